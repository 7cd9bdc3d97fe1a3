"""Fast formulas pass the claims that declare their precision, and the claims that ask for more call them wrong."""

import numpy as np
import pytest
from false_alarms import shipped
from reordered import fast

from harness.judging.verdict import Verdict
from harness.reference.ops.softmax import softmax_forward
from tests.support.distance import rel_l2
from tests.support.judgement import judged, known_wrong, survives
from tests.support.laboratory import shipped as shipped_claim
from tests.support.laboratory import shipped_in

CLAIMS, MUTANTS = shipped_in("ops", "fast")
FORMULAS = [(op, name) for op, kernels in fast.KERNELS.items() for name in kernels]


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_fast_formula_survives_its_claim_and_every_mutant_dies(claim):
    for name, kernel in fast.KERNELS[CLAIMS[claim].op].items():
        found = judged(CLAIMS[claim], kernel, mutants=known_wrong(MUTANTS[claim]), seed=3)
        assert found.verdict is Verdict.PARTIAL, (name, found.reason)
        assert not any(mutant["weak"] for mutant in found.mutants if not mutant["free"])


@pytest.mark.parametrize("claim", fast.TOO_FEW_DIGITS)
def test_a_claim_that_asks_for_more_digits_calls_every_fast_formula_of_its_op_wrong(claim):
    entry, _ = shipped_claim(claim)
    for name, kernel in fast.KERNELS[entry.op].items():
        assert judged(entry, kernel).verdict is Verdict.FALSIFIED, name


@pytest.mark.parametrize("claim", ["FALSIFY-ATTENTION-001", "FALSIFY-ATTENTION-STATE-001"])
def test_scores_in_16_bits_are_no_fault(claim):
    entry, _ = shipped_claim(claim)
    for name, kernel in fast.KERNELS["attention"].items():
        assert survives(judged(entry, kernel)), name


def test_the_job_of_false_alarms_runs_every_fast_formula():
    there = {(claim.id, claim.op, name) for claim, name, _ in shipped()}
    assert set(FORMULAS) <= {(op, name) for _, op, name in there}
    assert not [claim for claim, op, name in there if claim in fast.TOO_FEW_DIGITS and (op, name) in FORMULAS]


def test_scaling_by_the_sigmoid_of_lse_minus_sink_is_attention_with_a_sink():
    """A sink is one more score with no value: its column takes weight from the others, and all keep their ratios."""
    draw = np.random.default_rng(5)
    scores, v = draw.standard_normal((3, 7, 33)), draw.standard_normal((3, 33, 8))
    sink = 3 + draw.standard_normal((3, 1, 1))
    columns = np.concatenate([scores, np.broadcast_to(sink, (3, 7, 1))], axis=-1)
    want = softmax_forward(columns)[0][..., :-1] @ v
    top = scores.max(axis=-1, keepdims=True)
    lse = top + np.log(np.exp(scores - top).sum(axis=-1, keepdims=True))
    gated = softmax_forward(scores)[0] @ v / (1 + np.exp(sink - lse))
    assert rel_l2(gated, want) <= 1e-14
    assert rel_l2(softmax_forward(scores)[0] @ v, want) >= 1e-2
