"""The endpoint trainer: reference against torch and finite differences, the candidate against both, its claims."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.candidates.torch.training import endpoint
from harness.falsifiers.baselines import autograd_endpoint
from harness.falsifiers.inputs.synthetic_model import small_config
from harness.falsifiers.inputs.text_windows import _cut
from harness.falsifiers.training.perplexity import paired_interval
from harness.reference.random_weights import random_weights
from harness.reference.training.endpoint import (
    EMBEDDING,
    HEAD,
    NORM,
    TRAINED,
    endpoint_grads,
    final_hidden,
    train_endpoint,
)
from tests.support.laboratory import judged

KIND = {"dtype": "float64", "device": "cpu"}
CONFIG = small_config(tied=False)


def model(seed: int = 0) -> dict[str, np.ndarray]:
    weights = random_weights(CONFIG, seed)
    weights[NORM][[1, 5]] = 0
    return weights


def batch(seed: int, rows: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    tokens, targets = rng.integers(0, 67, (2, rows, 9))
    targets[0, 4:] = -100
    return tokens, targets


def tensors(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.tensor(value)
    if isinstance(value, dict):
        return {name: tensors(item) for name, item in value.items()}
    return type(value)(tensors(item) for item in value)


@pytest.mark.parametrize("trainer", [endpoint, autograd_endpoint])
def test_gradients_are_the_references(trainer: Any) -> None:
    weights, (tokens, targets) = model(), batch(0)
    want_loss, want = endpoint_grads(CONFIG, weights, tokens, targets)
    loss, got = trainer.endpoint_grads(CONFIG, tensors(weights), *tensors((tokens, targets)), **KIND)
    assert loss == pytest.approx(want_loss, abs=1e-13)
    assert tuple(want) == TRAINED
    for name in TRAINED:
        np.testing.assert_allclose(got[name].numpy(), want[name], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", [NORM, HEAD])
def test_head_and_norm_gradients_are_finite_differences_where_a_gain_is_0_too(name: str) -> None:
    weights, (tokens, targets) = model(), batch(1)
    grads = endpoint_grads(CONFIG, weights, tokens, targets)[1]
    rng = np.random.default_rng(2)
    places = [(1,), (5,), (0,)] if name == NORM else [tuple(rng.integers(0, s) for s in weights[name].shape)] * 2
    for at in places:
        ends = []
        for step in (1e-5, -1e-5):
            moved = {**weights, name: weights[name].copy()}
            moved[name][at] += step
            ends.append(endpoint_grads(CONFIG, moved, tokens, targets)[0])
        assert grads[name][at] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6, abs=1e-9)
    assert abs(grads[NORM][1]) > 1e-4


def test_the_bypass_is_the_gradient_at_the_final_norms_input() -> None:
    weights, (tokens, targets) = model(), batch(3)
    x = torch.tensor(final_hidden(CONFIG, weights, tokens), requires_grad=True)
    gain, head = torch.tensor(weights[NORM]), torch.tensor(weights[HEAD])
    out = torch.nn.functional.rms_norm(x, gain.shape, gain, CONFIG["rms_norm_eps"])
    torch.nn.functional.cross_entropy((out @ head.T).flatten(0, 1), torch.tensor(targets).flatten()).backward()
    want = np.zeros_like(weights[EMBEDDING])
    for token, row in zip(tokens.flatten(), x.grad.flatten(0, 1).numpy(), strict=True):
        want[token] += row
    np.testing.assert_allclose(endpoint_grads(CONFIG, weights, tokens, targets)[1][EMBEDDING], want, atol=1e-13)


@pytest.mark.parametrize("trainer", [endpoint, autograd_endpoint])
@pytest.mark.parametrize("max_norm", [None, 0.5])
def test_a_run_follows_the_reference_and_leaves_its_input_alone(trainer: Any, max_norm: float | None) -> None:
    weights, batches = model(), [batch(0), batch(1, rows=2)]
    given = tensors(weights)
    want = train_endpoint(CONFIG, weights, batches, lr=0.5, epochs=3, max_norm=max_norm)
    got = trainer.train_endpoint(CONFIG, given, tensors(batches), lr=0.5, epochs=3, max_norm=max_norm, **KIND)
    np.testing.assert_allclose(got["losses"], want["losses"], rtol=1e-12)
    np.testing.assert_allclose(got["grad_norms"], want["grad_norms"], rtol=1e-12)
    assert [len(got[k]) for k in ("losses", "perplexities", "grad_norms", "lrs", "tokens_per_s")] == [6] * 5
    for name, tensor in weights.items():
        assert np.array_equal(given[name].numpy(), tensor)
        if name in TRAINED:
            np.testing.assert_allclose(got["weights"][name].numpy(), want["weights"][name], rtol=1e-10, atol=1e-13)
            assert not np.array_equal(want["weights"][name], tensor)
        else:
            assert np.array_equal(got["weights"][name].numpy(), tensor)


def test_one_micro_batch_of_all_rows_is_the_token_weighted_mean_of_its_rows() -> None:
    weights, (tokens, targets) = model(), batch(4)
    whole = endpoint_grads(CONFIG, weights, tokens, targets)[1]
    counts = (targets != -100).sum(axis=1)
    rows = [endpoint_grads(CONFIG, weights, tokens[i : i + 1], targets[i : i + 1])[1] for i in range(3)]
    for name in TRAINED:
        mean = sum(n * row[name] for n, row in zip(counts, rows, strict=True)) / counts.sum()
        np.testing.assert_allclose(whole[name], mean, atol=1e-14)


def test_checkpoints_keep_every_byte(tmp_path: Path) -> None:
    weights = {name: w.float() for name, w in tensors(model()).items()}
    endpoint.save_checkpoint(str(tmp_path / "a"), CONFIG, weights)
    config, loaded = endpoint.load_checkpoint(str(tmp_path / "a"))
    assert config == CONFIG
    assert all(torch.equal(loaded[name], w) for name, w in weights.items())
    assert autograd_endpoint.load_checkpoint(str(tmp_path / "a"))[1].keys() == weights.keys()
    endpoint.train_endpoint(
        CONFIG,
        weights,
        tensors([batch(0)] * 4),
        lr=0.1,
        folder=str(tmp_path),
        save_every=2,
        dtype="float32",
        device="cpu",
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "step-2", "step-4"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"targets": np.full((1, 3), 67)}, "batch 1: .*found target 67, expected 0 to 66"),
        ({"targets": np.zeros((1, 2), np.int64)}, r"batch 1: .*\(1, 2\)"),
        (
            {"targets": np.full((1, 3), -100)},
            "batch 1: .*(finite one: NaN where no target counts|no target that counts)",
        ),
        ({"config": {**CONFIG, "tie_word_embeddings": True}}, "found tie_word_embeddings true"),
        ({"lr": 0.0}, "found lr 0.0"),
        ({"lr": math.nan}, "found lr nan"),
        ({"max_norm": -1.0}, "max_norm -1.0"),
    ],
)
def test_bad_input_is_refused_in_one_line(changed: dict[str, Any], says: str) -> None:
    config, weights = changed.get("config", CONFIG), model()
    if config is not CONFIG:
        weights.pop(HEAD)
    sound = (np.zeros((1, 3), np.int64), np.zeros((1, 3), np.int64))
    batches = [sound, (sound[0], changed.get("targets", sound[1]))]
    given = tensors(weights)
    options = {"lr": changed.get("lr", 0.1), "max_norm": changed.get("max_norm")}
    with pytest.raises(ValueError, match=says) as problem:
        train_endpoint(config, weights, batches, epochs=2, **options)
    assert "\n" not in str(problem.value)
    with pytest.raises(ValueError, match=says) as problem:
        endpoint.train_endpoint(config, given, tensors(batches), epochs=2, **options, **KIND)
    assert "\n" not in str(problem.value)
    assert all(np.array_equal(given[name].numpy(), w) for name, w in weights.items())


def test_a_batch_that_makes_nan_takes_no_step() -> None:
    weights = tensors(model())
    weights["model.layers.0.mlp.up_proj.weight"][0, 0] = math.nan
    kept = {name: w.clone() for name, w in weights.items()}
    with pytest.raises(ValueError, match="batch 0: found loss nan"):
        endpoint.train_endpoint(CONFIG, weights, tensors([batch(0)]), lr=0.1, **KIND)
    assert all(torch.equal(weights[name].nan_to_num(), w.nan_to_num()) for name, w in kept.items())


@pytest.mark.parametrize(
    ("momentum", "says"),
    [({HEAD: torch.zeros(3)}, r"momentum of 'lm_head.weight': found \(3,\), expected \(67, 32\)"), ({}, "found none")],
)
def test_momentum_that_does_not_fit_is_refused_by_name(tmp_path: Path, momentum: Any, says: str) -> None:
    weights, folder = tensors(model()), str(tmp_path / "step-1")
    endpoint.train_endpoint(CONFIG, weights, tensors([batch(0)]), lr=0.1, folder=str(tmp_path), save_every=1, **KIND)
    step, velocity = endpoint._load_optimizer(folder)
    endpoint._save_optimizer(folder, step, {**velocity, **momentum} if momentum else {NORM: velocity[NORM]})
    kept = {name: w.clone() for name, w in weights.items()}
    with pytest.raises(ValueError, match=says):
        endpoint.train_endpoint(CONFIG, weights, tensors([batch(0)] * 2), lr=0.1, resume=folder, **KIND)
    assert all(torch.equal(weights[name], w) for name, w in kept.items())


def test_perplexity_is_of_all_tokens_and_not_of_batches() -> None:
    weights, batches = tensors(model()), tensors([batch(0), batch(1, rows=1)])
    found = endpoint.perplexity(CONFIG, weights, batches, **KIND)
    losses = [endpoint_grads(CONFIG, model(), *(x.numpy() for x in pair))[0] for pair in batches]
    counts = [int((targets != -100).sum()) for _, targets in batches]
    assert found == pytest.approx(math.exp(np.average(losses, weights=counts)), rel=1e-12)
    assert found == pytest.approx(autograd_endpoint.perplexity(CONFIG, weights, batches, **KIND), rel=1e-12)
    assert abs(found - np.exp(losses).mean()) > 1e-3


def test_the_interval_is_paired_and_over_documents() -> None:
    rng = np.random.default_rng(0)
    before, sizes = 4 + rng.standard_normal((60, 8)) * 2, np.tile([1, 2, 3, 4, 5], 4)
    of = np.repeat(np.arange(20), sizes)
    low, high = paired_interval(before, before - 0.1, of, np.random.default_rng(1))
    assert low == pytest.approx(high) == pytest.approx(math.exp(-0.1))
    shift = 0.3 * rng.standard_normal(20)
    low, high = paired_interval(before, before + shift[of][:, None], of, np.random.default_rng(1))
    residual = shift - np.average(shift, weights=sizes)
    error = math.sqrt(np.sum((sizes * residual) ** 2)) / sizes.sum()
    assert math.log(high / low) == pytest.approx(2 * 1.96 * error, rel=0.2)


def test_the_gradient_claim_survives_on_torch(tmp_path: Path) -> None:
    found = judged("FALSIFY-ENDPOINT-GRADIENTS-001", tmp_path, mutants=["zero_where_the_gain_is", "missing_one_over_n"])
    assert found.verdict.value == "PARTIAL", found.reason


BROKEN = """
from harness.candidates import torch as right
from harness.candidates.torch import *
ARRAYS = "torch"
def train_endpoint(config, weights, batches, *, dtype, device, **options):
    said = right.train_endpoint(config, weights, batches, dtype=dtype, device=device, **options)
    said["weights"]["model.layers.1.mlp.up_proj.weight"] = weights["model.layers.1.mlp.up_proj.weight"] * 1.001
    return said
"""


MEAN_OF_BATCHES = """
from harness.candidates import torch as right
from harness.candidates.torch import *
ARRAYS = "torch"
def train_endpoint(config, weights, batches, *, held_out, dtype, device, **options):
    kind = {"dtype": dtype, "device": device}
    said = right.train_endpoint(config, weights, batches, **options, **kind)
    for key, of in (("initial_perplexity", weights), ("final_perplexity", said["weights"])):
        said[key] = sum(right.perplexity(config, of, [batch], **kind) for batch in held_out) / len(held_out)
    return said
"""


def test_the_step_claim_falsifies_a_body_that_moves(tmp_path: Path) -> None:
    found = judged("FALSIFY-ENDPOINT-STEPS-001", tmp_path, BROKEN, mutants=["body_decayed"], budget_s=1)
    assert found.verdict.value == "FALSIFIED"
    assert {v["measure"] for v in found.violated} == {"frozen_moved"}


def test_no_window_crosses_the_end_of_a_file() -> None:
    assert _cut(np.arange(23, dtype=np.int32), 5).tolist() == np.arange(20).reshape(4, 5).tolist()
    assert _cut(np.arange(4), 5).shape == (0, 5)


def test_the_reported_perplexity_claim_falsifies_a_mean_over_batches(tmp_path: Path) -> None:
    found = judged(
        "FALSIFY-PERPLEXITY-REPORTED-001", tmp_path, MEAN_OF_BATCHES, mutants=["averaged_per_batch"], budget_s=1
    )
    assert found.verdict.value == "FALSIFIED"
    assert {v["measure"] for v in found.violated} == {"nats_misreported"}
