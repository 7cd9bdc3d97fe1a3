"""Products, look-ups, the loss and the choice of ids: references pinned by torch, and the claims that rest on them."""

import importlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reordered import KERNELS

from harness.case import Case
from harness.falsifiers.ops.inputs import losses, sampling
from harness.falsifiers.ops.mutants import ops as shared
from harness.mutant import mutants_of
from harness.reference.ops.linear import embedding_forward, linear_forward, matmul_forward
from harness.reference.ops.losses import cross_entropy_backward, cross_entropy_forward
from harness.reference.ops.sampling import argmax_forward, margin, top_k_forward
from tests.sample import kinds_first
from tests.support.distance import rel_l2
from tests.support.draws import normal
from tests.support.judgement import stays_within_the_limits
from tests.support.laboratory import shipped_in, shows_its_power

CLAIMS, MUTANTS = shipped_in("ops", "linear", "losses", "sampling")
ROUND_OFF = 1e-14


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 7, 5), (2, 129, 3)])
@pytest.mark.parametrize("biased", [True, False])
def test_linear_is_torchs(shape, biased):
    rows, inner, outer = shape
    x, weight, bias = normal(1, 2, rows, inner), normal(2, outer, inner), normal(3, outer) if biased else None
    want = F.linear(*(torch.from_numpy(a) for a in (x, weight)), bias=None if bias is None else torch.from_numpy(bias))
    assert rel_l2(linear_forward(x, weight, bias)[0], want.numpy()) <= ROUND_OFF


def test_matmul_and_embedding_are_torchs():
    a, b = normal(1, 3, 4, 129), normal(2, 3, 129, 5)
    assert rel_l2(matmul_forward(a, b)[0], torch.matmul(torch.from_numpy(a), torch.from_numpy(b)).numpy()) <= ROUND_OFF
    tokens, weight = np.array([[0, 6, 6], [2, 0, 5]]), normal(3, 7, 4)
    want = F.embedding(torch.from_numpy(tokens), torch.from_numpy(weight)).numpy()
    assert np.array_equal(embedding_forward(tokens, weight)[0], want)


@pytest.mark.parametrize("level", [0.0, 1e4, -1e4])
@pytest.mark.parametrize("ignored", [True, False])
def test_cross_entropy_is_torchs(level, ignored):
    logits, targets = 5 * normal(1, 3, 9, 31) + level, np.random.default_rng(2).integers(0, 31, (3, 9))
    if ignored:
        targets[0, :5], targets[1, ::3], targets[2, 1:] = -100, -100, -100
    want = F.cross_entropy(torch.from_numpy(logits).flatten(0, 1), torch.from_numpy(targets).flatten()).numpy()
    got, (log_probabilities, _, counted, count, _) = cross_entropy_forward(logits, targets)
    assert rel_l2(got, want) <= 1e-12 if level else rel_l2(got, want) <= ROUND_OFF
    assert count == counted.sum() == (targets != -100).sum()
    np.testing.assert_allclose(np.exp(log_probabilities).sum(axis=-1), 1, rtol=1e-12)


@pytest.mark.parametrize("ignore_index", [-100, 0, 30])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy_with_options_and_its_gradient_are_torchs(ignore_index, smoothing):
    logits, targets = 5 * normal(1, 27, 31), np.random.default_rng(2).integers(0, 31, 27)
    targets[::3] = ignore_index
    theirs = torch.from_numpy(logits).requires_grad_()
    want = F.cross_entropy(theirs, torch.from_numpy(targets), ignore_index=ignore_index, label_smoothing=smoothing)
    (2.5 * want).backward()
    got, cache = cross_entropy_forward(logits, targets, ignore_index, smoothing)
    assert rel_l2(got, want.detach().numpy()) <= ROUND_OFF
    assert rel_l2(cross_entropy_backward(np.asarray(2.5), cache), theirs.grad.numpy()) <= ROUND_OFF


def test_cross_entropy_of_nothing_is_nan_as_torchs():
    logits, targets = normal(1, 2, 5), np.full(2, -100)
    assert np.isnan(cross_entropy_forward(logits, targets)[0])
    assert torch.isnan(F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(targets)))


@pytest.mark.parametrize("vocab", [2, 7, 129])
def test_choices_are_torchs(vocab):
    logits = normal(1, 50, vocab)
    k = min(vocab, 5)
    values, ids = torch.topk(torch.from_numpy(logits), k)
    assert np.array_equal(top_k_forward(logits, k)[0], ids.numpy())
    assert np.array_equal(argmax_forward(logits)[0], ids[:, 0].numpy())
    assert np.array_equal(margin(logits)[0], (values[:, 0] - values[:, 1]).numpy())


def test_ties_go_to_the_lowest_id_and_padding_is_never_chosen():
    logits = np.array([[1.0, 3.0, 3.0, 0.0, 9.0], [2.0, 2.0, 2.0, 2.0, 2.0]])
    assert top_k_forward(logits, 4)[0].tolist() == [[4, 1, 2, 0], [0, 1, 2, 3]]
    assert argmax_forward(logits, 4)[0].tolist() == torch.argmax(torch.from_numpy(logits[:, :4]), -1).tolist() == [1, 0]
    assert margin(logits)[0].tolist() == [6.0, 0.0]


def test_mistakes_are_named():
    x = np.ones((2, 3))
    for call, told in [
        (lambda: linear_forward(x, np.ones((4, 2))), r"found x \(2, 3\) and weight \(4, 2\)"),
        (lambda: linear_forward(x, np.ones((4, 3)), np.ones(3)), r"found bias \(3,\), expected \(4,\)"),
        (lambda: matmul_forward(x, x), r"found a \(2, 3\) and b \(2, 3\)"),
        (lambda: embedding_forward(np.array([0, -1]), x), "found ids -1 to 0, expected 0 to 1"),
        (lambda: embedding_forward(np.array([0, 2]), x), "found ids 0 to 2, expected 0 to 1"),
        (lambda: embedding_forward(np.array([0.0]), x), "type float64, expected integers"),
        (lambda: cross_entropy_forward(x, np.array([0])), r"found logits \(2, 3\) and targets \(1,\)"),
        (lambda: cross_entropy_forward(x, np.array([0, 3])), "found target 3, expected 0 to 2, or -100"),
        (lambda: cross_entropy_forward(x, np.array([-1, 0])), "found target -1"),
        (lambda: top_k_forward(x, 4), "found k 4, expected 1 to 3"),
        (lambda: argmax_forward(x, 0), "found vocab_size 0, expected 1 to 3"),
    ]:
        with pytest.raises(ValueError, match=told):
            call()


def test_inputs_are_sharp():
    """Counts differ by row, labels are favoured, maxima lie beside boundaries, ties and padding are there."""
    logits, targets = losses.cross_entropy(Case(seed=1), rows=5, length=33, vocab=131).args
    counts = (targets != -100).sum(axis=1)
    assert len(set(counts)) == 5
    assert counts.min() >= 1
    favoured = np.take_along_axis(logits, np.where(targets < 0, 0, targets)[..., None], -1)[..., 0]
    assert favoured[0].mean() > favoured[4].mean() + 2
    scores, _ = sampling.top_k(Case(seed=1), rows=17, vocab=1025, k=3).args
    assert set(scores.argmax(axis=1) % 128) == {0, 127}
    call = sampling.argmax(Case(seed=1), rows=9, vocab=129, padding=21)
    assert (call.args[0].argmax(axis=1) >= 129).all()
    assert ((call.args[0][::2, :129] == call.args[0][::2, :129].max(axis=1, keepdims=True)).sum(axis=1) >= 2).all()


BY_OP, OPS = kinds_first(CLAIMS, lambda name: CLAIMS[name].op)


@pytest.mark.sample(OPS)
@pytest.mark.parametrize("name", BY_OP)
def test_the_default_candidate_survives_and_every_mutant_dies_by_a_wide_margin(name, tmp_path):
    shows_its_power(CLAIMS[name], MUTANTS[name], tmp_path)


@pytest.mark.sample(OPS)
@pytest.mark.parametrize("name", BY_OP)
def test_correct_kernels_written_otherwise_stay_within_the_limits(name):
    for kernel, subject in KERNELS[CLAIMS[name].op].items():
        stays_within_the_limits(CLAIMS[name], subject, kernel, seed=2)


@pytest.mark.parametrize("op", ["linear", "matmul", "embedding", "cross_entropy", "top_k", "argmax"])
def test_every_mutant_belongs_to_a_claim(op):
    named = {mutant for claim in CLAIMS.values() if claim.op == op for mutant in claim.mutants}
    assert named - set(mutants_of(shared)) == set(
        mutants_of(importlib.import_module(f"harness.falsifiers.ops.mutants.{op}"))
    )
