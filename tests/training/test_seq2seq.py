"""The encoder-decoder transformer in causal mode: reference against autograd, falsifiers against planted bugs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.candidates.torch.training import seq2seq as candidate
from harness.case import Case
from harness.contract.claim import Claim
from harness.falsifiers.baselines import torch_seq2seq as baseline
from harness.falsifiers.training import seq2seq
from harness.falsifiers.training.mutants import seq2seq as seq2seq_mutants
from harness.falsifiers.training.mutants.seq2seq import Composed
from harness.judging.judge import judge
from harness.judging.verdict import Verdict
from harness.mutant import mutants_of
from harness.reference.training.seq2seq import seq2seq_forward
from harness.reference.training.seq2seq_backward import seq2seq_loss_and_grads
from harness.reference.training.seq2seq_weights import (
    parse_config,
    random_weights,
    unused,
    weight_shapes,
    zero_gradient,
)
from harness.words.narrative import claim_page
from tests.support.cpu_boundary import boundary
from tests.support.judgement import judged, recorded
from tests.support.laboratory import shipped_in

MUTANTS = mutants_of(seq2seq_mutants)

MODEL = {"encoder_layers": 2, "layers": 2, "hidden": 24, "heads": 3, "intermediate": 40, "vocab": 29, "positions": 17}
CONFIG = seq2seq.seq2seq_config(**MODEL, eps=1e-5)
CLAIMS, _ = shipped_in("training", "seq2seq")
COMPOSITION = (
    "final_norm_fed_its_output",
    "ffn_gradient_through_the_norm_first",
    "head_gradient_before_w_o",
    "attn_concat_replaced_by_dq",
)


@pytest.fixture(scope="module")
def problem():
    """Weights, tokens with repeats, targets of unequal counts per row."""
    rng = np.random.default_rng(1)
    tokens, targets = rng.integers(0, MODEL["vocab"], (2, 3, 11))
    targets[1, 4:] = -100
    return random_weights(CONFIG, 0), tokens, targets


def tensors(weights):
    return {name: torch.from_numpy(w.copy()) for name, w in weights.items()}


def load(module, weights):
    return module.load_seq2seq(CONFIG, tensors(weights), dtype="float64", device="cpu")


def composed(module, weights, mistake=""):
    return Composed(load(module, weights), CONFIG, mistake)


def furthest(got, want):
    """Largest ||d|| / max(||g||, 1e-3 ||g of the model||), with its tensor."""
    model = np.sqrt(sum(np.sum(w**2) for w in want.values()))
    found = {n: np.linalg.norm(np.asarray(got[n]) - w) / max(np.linalg.norm(w), 1e-3 * model) for n, w in want.items()}
    return max(found.items(), key=lambda item: item[1])


@pytest.mark.parametrize(
    "make", [lambda w: load(baseline, w), lambda w: load(candidate, w), lambda w: composed(baseline, w)]
)
def test_logits_loss_and_every_gradient_equal_autograds(problem, make):
    weights, tokens, targets = problem
    loss, want = seq2seq_loss_and_grads(CONFIG, weights, tokens, targets)
    model = make(weights)
    got_loss, got = model.loss_and_grads(torch.from_numpy(tokens), torch.from_numpy(targets))
    logits = seq2seq_forward(CONFIG, weights, tokens)[0]
    assert np.linalg.norm(model.logits(torch.from_numpy(tokens)).numpy() - logits) <= 1e-13 * np.linalg.norm(logits)
    assert abs(float(got_loss) - loss) <= 1e-13
    assert list(got) == list(want) == list(model.weights()) == list(weight_shapes(parse_config(CONFIG)))
    assert furthest(got, want)[1] <= 1e-10
    assert all(np.count_nonzero(got[name]) == np.count_nonzero(want[name]) == 0 for name in want if unused(name))


@pytest.mark.parametrize("mistake", [*COMPOSITION, "softmax_row_sum_missing", "ignored_targets_counted"])
def test_a_composition_mistake_is_far_from_autograd_and_its_count_is_right(problem, mistake):
    weights, tokens, targets = problem
    _, want = seq2seq_loss_and_grads(CONFIG, weights, tokens, targets)
    _, got = composed(baseline, weights, mistake).loss_and_grads(torch.from_numpy(tokens), torch.from_numpy(targets))
    assert len(got) == len(want)
    assert furthest(got, want)[1] > 0.2


def test_gradients_are_central_differences_along_a_direction_of_every_tensor(problem):
    weights, tokens, targets = problem
    rng = np.random.default_rng(2)
    _, grads = seq2seq_loss_and_grads(CONFIG, weights, tokens, targets)
    scale = np.sqrt(sum(np.sum(g**2) for g in grads.values()))

    def loss(name, step):
        return seq2seq_loss_and_grads(CONFIG, {**weights, name: weights[name] + step}, tokens, targets)[0]

    for name in grads:
        d = 1e-6 * rng.standard_normal(weights[name].shape)
        slope = (loss(name, d) - loss(name, -d)) / 2e-6
        assert abs(slope - np.sum(grads[name] * d) / 1e-6) <= 1e-6 * scale, name


def test_zero_gradients_are_where_they_are_said_to_be(problem):
    """The lists are right: these are all the tensors whose gradient is nothing, and no others."""
    _, grads = seq2seq_loss_and_grads(CONFIG, *problem)
    model = np.sqrt(sum(np.sum(g**2) for g in grads.values()))
    share = {name: np.linalg.norm(g) / model for name, g in grads.items()}
    assert {n for n, s in share.items() if s == 0} == {n for n in grads if unused(n)}
    assert {n for n, s in share.items() if 0 < s < 1e-12} == {
        f"decoder.layers.{i}.self_attn.k_proj.bias" for i in (0, 1)
    }
    assert {n for n in grads if zero_gradient(n)} == {n for n, s in share.items() if 0 < s < 1e-12}


def test_positions_are_causal(problem):
    weights, tokens, _ = problem
    changed = tokens.copy()
    changed[:, -1] = (changed[:, -1] + 1) % MODEL["vocab"]
    before, after = (seq2seq_forward(CONFIG, weights, t)[0] for t in (tokens, changed))
    assert np.array_equal(before[:, :-1], after[:, :-1])
    assert not np.array_equal(before[:, -1], after[:, -1])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda w, t, y: (w, t, np.where(y == y[0, 0], 29, y)), "expected 0 to 28"),
        (lambda w, t, y: (w, t, y[:, :-1]), "targets"),
        (lambda w, t, y: (w, t - 1, y), "found ids -1 to 27, expected 0 to 28"),
        (lambda w, t, y: (w, t, np.full_like(y, -100)), "that count"),
        (lambda w, t, y: (w, np.tile(t, 2), np.tile(y, 2)), "found 22 positions, expected at most 17"),
        (lambda w, t, y: ({k: v for k, v in w.items() if k != "lm_head.bias"}, t, y), "lm_head.bias"),
        (lambda w, t, y: ({**w, "lm_head.bias": w["lm_head.bias"][1:]}, t, y), r"lm_head.bias has shape \(28,\)"),
    ],
)
def test_bad_input_is_told_in_one_line_by_reference_and_candidate(problem, change, told):
    weights, tokens, targets = change(*problem)
    with pytest.raises(ValueError, match=told):
        seq2seq_loss_and_grads(CONFIG, weights, tokens, targets)
    with pytest.raises(ValueError, match=told):
        load(candidate, weights).loss_and_grads(torch.from_numpy(tokens), torch.from_numpy(targets))


def quick(claim):
    """The claim in float32 alone, at one setting of all else."""
    one = {key: {"choices": domain["choices"][:1]} for key, domain in claim.explore.items()}
    source = {**claim.source, "examples": 1, "explore": {**one, "dtype": {"choices": ["float32"]}}}
    return Claim(claim.contract, "", 0, source)


def page(claim, found, data):
    """The README of the claim's evidence."""
    told = {"device": "cpu", "seconds": 0.0, "record": data, "first_divergent_stage": None}
    return claim_page(claim, {**vars(found), **told, "verdict": found.verdict.value}, None)


def test_the_count_check_is_green_on_every_composition_mistake_that_the_values_kill():
    claim = CLAIMS["FALSIFY-SEQ2SEQ-GRADIENTS-001"]
    data = recorded(quick(claim), candidate, mutants={name: MUTANTS[name] for name in COMPOSITION})
    found = judge(claim.source, data)
    for name in COMPOSITION:
        fate = next(m for m in found.mutants if m["name"] == name)
        counts = {row["value"] for row in data["mutants"][name]["scalars"] if row["name"] == "gradients_counted"}
        assert fate["killed"]
        assert "gradients_counted eq 1" not in fate["kills"]
        assert counts == {1.0}
        [told] = [line for line in page(claim, found, data).splitlines() if line.startswith(f"| {name} |")]
        _, killed_by, _, green = told.strip("| ").split(" | ")
        assert "err_ratio le 4 \\[dtype=float32\\|bfloat16]" in killed_by
        assert "gradients_counted" in green


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_users_model_with_one_of_the_mistakes_is_falsified(name):
    """The mutant as candidate, through the claim that names it."""
    claim = next(c for c in CLAIMS.values() if name in c.mutants and c.explore)
    found = judged(quick(claim), MUTANTS[name](baseline))
    assert found.verdict is Verdict.FALSIFIED


@pytest.mark.parametrize("name", ["FALSIFY-SEQ2SEQ-GRADIENTS-001", "FALSIFY-SEQ2SEQ-ALIGNED-001"])
def test_a_list_that_is_short_is_counted_so(name):
    found = judged(quick(CLAIMS[name]), MUTANTS["gradient_list_short"](baseline))
    assert "gradients_counted" in {violation["measure"] for violation in found.violated}


def test_the_pair_that_fails_is_the_tensor():
    case = Case(dtype="float64")
    subject = boundary(MUTANTS["same_shapes_swapped"](baseline), "float64")
    seen = seq2seq.composed_gradients(subject, case, **MODEL, eps=1e-5, length=11, batch=3)
    wrong = {n for n, (got, want) in seen.pairs.items() if np.linalg.norm(got - want) > 1e-10 * np.linalg.norm(want)}
    assert wrong == {f"decoder.layers.0.self_attn.{p}_proj.weight" for p in "qv"}
    aligned = seq2seq.aligned_gradients(subject, case, **MODEL, eps=1e-5, length=11, batch=3)
    assert {n for n, (got, want) in aligned.pairs.items() if not np.array_equal(got, want)} == wrong


@pytest.mark.parametrize(
    ("subject", "wrong"),
    [
        (candidate, set()),
        (MUTANTS["attn_concat_replaced_by_dq"](baseline), {"decoder.layers.0.self_attn.out_proj.weight"}),
    ],
)
def test_slopes_of_the_subjects_own_loss_name_the_wrong_tensor(subject, wrong):
    small = {**MODEL, "layers": 1, "encoder_layers": 1, "hidden": 12, "intermediate": 16, "vocab": 13}
    sut = boundary(subject, "float64")
    seen = seq2seq.slopes(sut, Case(dtype="float64"), **small, eps=1e-5, length=5, batch=2)
    far = {n for n, (got, want) in seen.pairs.items() if np.linalg.norm(got - want) > 1e-5 * np.linalg.norm(want)}
    assert far == wrong
    assert seen.scalars["zero_slope_share"] <= 1e-7


def test_training_on_the_candidate_leaves_the_callers_weights_alone(problem):
    given = tensors(problem[0])
    model = candidate.load_seq2seq(CONFIG, given, dtype="float64", device="cpu")
    model.weights()["lm_head.bias"].add_(1)
    assert torch.equal(given["lm_head.bias"], torch.from_numpy(problem[0]["lm_head.bias"]))
