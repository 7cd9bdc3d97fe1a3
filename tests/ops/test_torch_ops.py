"""The op claims end to end: correct kernels survive, however they are written, and wrong ones are told so."""

from types import SimpleNamespace

import numpy as np
import pytest
from reordered import KERNELS
from reordered.attention import numpy_attention, numpy_softmax
from reordered.norms import numpy_rmsnorm

import harness.candidates.torch as torch_ops
import harness.falsifiers.baselines.torch_ops as baseline
from harness.case import Case
from harness.contract.claim import Claim
from harness.errors import UserError
from harness.falsifiers import ops
from harness.falsifiers.ops.inputs import attention, norm, softmax
from harness.falsifiers.ops.mutants import attention as attention_mutants
from harness.falsifiers.ops.mutants import ops as shared_mutants
from harness.falsifiers.ops.mutants import rmsnorm as rmsnorm_mutants
from harness.falsifiers.ops.mutants import softmax as softmax_mutants
from harness.judging.verdict import Verdict
from harness.mutant import mutants_of
from harness.subject.boundary import Boundary
from harness.subject.trace import Trace
from tests.sample import kinds_first
from tests.support.judgement import judged, survives
from tests.support.laboratory import shipped_in

CLAIMS, _ = shipped_in("ops", "rmsnorm", "softmax", "attention")
MUTANTS = {
    "rmsnorm": mutants_of(rmsnorm_mutants),
    "softmax": mutants_of(softmax_mutants),
    "attention": mutants_of(attention_mutants),
}
SHARED = mutants_of(shared_mutants)


def only(claim, *, examples=None, **domains):
    """The claim with fewer examples (the corners always stay) or narrower domains."""
    source = {**claim.source, "explore": {**claim.explore, **domains}, "examples": examples or claim.examples}
    return Claim(claim.contract, claim.path, claim.line, source)


@pytest.mark.sample(3)
@pytest.mark.parametrize("name", kinds_first(CLAIMS, lambda name: CLAIMS[name].op)[0])
def test_the_default_candidate_survives_and_every_mutant_dies_by_a_wide_margin(name):
    claim = CLAIMS[name]
    known = MUTANTS[claim.op] | SHARED
    found = judged(claim, torch_ops, mutants={mutant: known[mutant] for mutant in claim.mutants})
    assert found.verdict is Verdict.PARTIAL, found.reason
    assert not [mutant["name"] for mutant in found.mutants if mutant["weak"]]


def test_every_mutant_belongs_to_a_claim():
    named = {(claim.op, mutant) for claim in CLAIMS.values() for mutant in claim.mutants if mutant not in SHARED}
    assert named == {(op, mutant) for op, known in MUTANTS.items() for mutant in known}


KERNEL_CASES, KERNEL_KINDS = kinds_first(
    [(name, kernel) for name, claim in CLAIMS.items() for kernel in KERNELS[claim.op]],
    lambda case: (CLAIMS[case[0]].op, case[1]),
)


@pytest.mark.sample(KERNEL_KINDS)
@pytest.mark.parametrize(("name", "kernel"), KERNEL_CASES)
def test_correct_kernels_written_otherwise_stay_within_the_limits(name, kernel):
    found = judged(only(CLAIMS[name], examples=1), KERNELS[CLAIMS[name].op][kernel], seed=1)
    assert survives(found), found.reason


def test_weights_rounded_to_bfloat16_as_in_flash_attention_are_no_fault_in_bfloat16():
    claim = only(CLAIMS["FALSIFY-ATTENTION-ONLINE-001"], dtype={"choices": ["bfloat16"]}, past={"choices": [257]})

    def attention(q, k, v, *, causal=True, offset=0):
        return numpy_attention(q, k, v, causal=causal, offset=offset, block=64, narrow=True)

    assert survives(judged(claim, SimpleNamespace(attention=attention)))


def test_a_kernel_that_is_float32_inside_is_told_so_by_the_float64_claim_alone():
    def softmax(x):
        return numpy_softmax(x.astype(np.float32)).astype(x.dtype)

    assert survives(judged(CLAIMS["FALSIFY-SOFTMAX-001"], SimpleNamespace(softmax=softmax)))
    found = judged(CLAIMS["FALSIFY-SOFTMAX-F64-001"], SimpleNamespace(softmax=softmax))
    assert found.verdict is Verdict.UNVERIFIED
    assert {violation["measure"] for violation in found.violated} == {"rel_l2_err"}


def test_a_users_numpy_kernel_with_a_constant_eps_is_falsified():
    def rmsnorm(x, weight, eps):
        return numpy_rmsnorm(x, weight, 1e-5)

    found = judged(CLAIMS["FALSIFY-RMSNORM-EPS-001"], SimpleNamespace(rmsnorm=rmsnorm))
    assert found.verdict is Verdict.FALSIFIED
    assert "max_abs_err" in {violation["measure"] for violation in found.violated}


def test_a_candidate_without_offset_is_tried_on_the_rest_and_unverified_where_it_matters():
    def attention(q, k, v, causal=True):
        return numpy_attention(q, k, v, causal=causal)

    candidate = SimpleNamespace(attention=attention)
    assert survives(judged(CLAIMS["FALSIFY-ATTENTION-001"], candidate))
    found = judged(CLAIMS["FALSIFY-ATTENTION-OFFSET-001"], candidate)
    assert found.verdict is Verdict.UNVERIFIED
    assert "does not take `offset`" in found.reason


def test_a_stale_buffer_is_seen_by_two_calls_and_not_by_one():
    wrong = softmax_mutants.reused_output_buffer(baseline)
    assert judged(CLAIMS["FALSIFY-SOFTMAX-STATE-001"], wrong).violated[0]["measure"] == "outputs_unchanged"
    assert survives(judged(CLAIMS["FALSIFY-SOFTMAX-001"], wrong))


def test_inputs_are_sharp():
    """Rows with a mean square at eps, softmax rows that overflow, and a maximum that moves from block to block."""
    x, _, _ = norm.rmsnorm(Case(seed=1), rows=3, hidden=896, eps=1e-6, std=0.02).args
    assert np.mean(x[2] ** 2) == pytest.approx(1e-6, rel=1e-3)
    (x,) = softmax.softmax(Case(seed=1), rows=9, length=129).args
    assert x.max(axis=1).max() > 89 > -89 > x.max(axis=1).min()
    assert (np.isneginf(x[:, :86]).all(axis=1) & np.isfinite(x[:, 86:]).all(axis=1)).sum() == 1
    assert (np.ptp(x, axis=1) == 0).sum() == 1
    params = {"q_len": 1, "past": 1024, "causal": False, "kv_heads": 2, "group": 2, "head_dim": 40, "spread": 3.0}
    q, k, _ = attention.attention(Case(seed=1), batch=2, **params).args
    blocks = (k[0, 1, :1024] @ q[0, 3, 0]).reshape(8, 128).max(axis=1)
    assert (np.maximum.accumulate(blocks) == blocks).sum() >= 5


@pytest.mark.parametrize(
    ("params", "told"),
    [
        (
            {"op": "rmsnrom"},
            "found no function 'rmsnrom' among the inputs, expected one of .*attention.*rmsnorm.*softmax",
        ),
        ({"op": "softmax", "rows": 2}, "missing a required argument: 'length'"),
        ({"op": "softmax", "rows": 2, "length": 3, "hiden": 1}, "unexpected keyword argument 'hiden'"),
    ],
)
def test_bad_parameters_get_one_clear_line(params, told):
    subject = Boundary(torch_ops, role="candidate", dtype="float32", device="cpu", trace=Trace())
    with pytest.raises(UserError, match=told):
        ops.parity(subject, Case(), **params)
