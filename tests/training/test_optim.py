"""AdamW, clipping, accumulation, schedule: pinned to torch and transformers, and refusals that change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.candidates.torch.training import accumulation as torch_accumulation
from harness.candidates.torch.training.optim import Optimizer
from harness.falsifiers.baselines import torch_optim
from harness.reference.training.accumulator import Accumulator, accumulate
from harness.reference.training.clip import clip_gradients, global_norm
from harness.reference.training.optim import adamw_step, adamw_update, new_state, state_arrays, state_from_arrays
from harness.reference.training.schedule import lr_at
from harness.reference.training.trainer_copy import TrainerCopy

RATES = {"lr": 0.01, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1}
SHAPES = {"weight": (5, 3), "bias": (4,)}


def arrays(seed, size=1.0):
    rng = np.random.default_rng(seed)
    return {name: size * rng.standard_normal(shape) for name, shape in SHAPES.items()}


def tensors(values):
    return {name: torch.from_numpy(value.copy()) for name, value in values.items()}


@pytest.fixture(scope="module")
def recorded():
    """1,000 gradients whose size wanders from 1e-9, below eps, to 10."""
    return [arrays(t, size=10.0 ** (5 * np.sin(t / 40) - 4)) for t in range(1, 1001)]


def torch_trajectory(weights, grads):
    parameters = {name: torch.nn.Parameter(w) for name, w in tensors(weights).items()}
    groups = [{"params": [parameters["weight"]]}, {"params": [parameters["bias"]], "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    for g in grads:
        for name, p in parameters.items():
            p.grad = torch.from_numpy(g[name])
        adamw.step()
    return {name: p.detach().numpy() for name, p in parameters.items()}


def far(got, want):
    return float(np.max([np.max(np.abs(got[n] - want[n]) / np.abs(want[n]).max()) for n in want]))


def test_a_thousand_updates_follow_torch_optim_adamw(recorded):
    start = arrays(0)
    weights, state = start, new_state(start)
    for g in recorded:
        weights, state = adamw_update(weights, g, state, no_decay=("bias",), **RATES)
    want = torch_trajectory(start, recorded)
    assert far(weights, want) <= 1e-12
    assert state["step"] == 1000
    decayed, other = start, new_state(start)
    for g in recorded:
        decayed, other = adamw_update(decayed, g, other, **RATES)
    assert far(decayed, want) > 1e-3, "a bias that is decayed must show, or the pin pins nothing"


def test_the_state_is_two_arrays_and_resumes_the_same_bytes(recorded):
    weights, state = arrays(0), new_state(arrays(0))
    for g in recorded[:20]:
        weights, state = adamw_update(weights, g, state, **RATES)
    saved = state_arrays(state)
    assert sum(a.nbytes for key, a in saved.items() if key != "step") == 2 * 8 * sum(w.size for w in weights.values())
    again, resumed = weights, state_from_arrays(saved, weights)
    cold, restarted = weights, new_state(weights)
    for g in recorded[20:30]:
        weights, state = adamw_update(weights, g, state, **RATES)
        again, resumed = adamw_update(again, g, resumed, **RATES)
        cold, restarted = adamw_update(cold, g, restarted, **RATES)
    assert all(np.array_equal(weights[name], again[name]) for name in weights)
    assert far(cold, weights) > 1e-3


def test_without_gradient_decay_alone_moves_a_weight():
    w, zero = np.full((3,), 2.0), np.zeros(3)
    moved, _, _ = adamw_step(w, zero, zero, zero, step=1, **RATES)
    np.testing.assert_allclose(moved, w * (1 - 0.01 * 0.1), rtol=1e-15)


@pytest.mark.parametrize("max_norm", [1.0, 1e3])
def test_clipping_is_torchs(max_norm):
    grads = arrays(3, size=50.0)
    parameters = [torch.nn.Parameter(torch.zeros_like(g)) for g in tensors(grads).values()]
    for p, g in zip(parameters, tensors(grads).values(), strict=True):
        p.grad = g
    want_norm = float(torch.nn.utils.clip_grad_norm_(parameters, max_norm))
    got, norm = clip_gradients(grads, max_norm)
    assert norm == pytest.approx(want_norm, rel=1e-14)
    for p, g in zip(parameters, got.values(), strict=True):
        np.testing.assert_allclose(g, p.grad.numpy(), rtol=1e-14)
    assert global_norm(got) == pytest.approx(min(max_norm, norm), rel=1e-6)


def test_a_norm_beyond_the_root_of_the_largest_number_is_still_finite():
    assert global_norm({"w": np.array([3e200, 4e200])}) == pytest.approx(5e200)
    assert np.isnan(global_norm({"w": np.array([1.0, np.nan])}))


@pytest.mark.parametrize("decay", ["cosine", "linear"])
@pytest.mark.parametrize("floor", [0.0, 1e-3])
def test_the_schedule_is_that_of_transformers(decay, floor):
    options = {"peak": 0.01, "warmup": 7, "total": 40, "decay": decay, "floor": floor}
    for step in range(45):
        assert lr_at(step, **options) == pytest.approx(torch_optim.lr_at(step, **options), abs=1e-16)
    assert lr_at(7, **options) == pytest.approx(0.01, rel=1e-15)
    assert lr_at(8, **options) < 0.01


def test_unequal_micro_batches_are_one_batch():
    per_token = np.random.default_rng(0).standard_normal((100, 4))
    parts = np.split(per_token, [1, 8, 40])
    got = accumulate([{"w": part.mean(axis=0)} for part in parts], [len(part) for part in parts])
    np.testing.assert_allclose(got["w"], per_token.mean(axis=0), rtol=1e-12)
    means = np.mean([part.mean(axis=0) for part in parts], axis=0)
    assert np.abs(means - per_token.mean(axis=0)).max() > 0.1


def test_an_accumulator_that_was_reset_knows_nothing():
    accumulator = Accumulator()
    accumulator.add({"w": np.ones(2)}, 3)
    accumulator.reset()
    with pytest.raises(ValueError, match="no micro-batch since the start or the last reset"):
        accumulator.mean()
    accumulator.add({"w": np.full(2, 5.0)}, 2)
    np.testing.assert_array_equal(accumulator.mean()["w"], 5.0)


@pytest.mark.parametrize("accumulator", [Accumulator, torch_accumulation.Accumulator])
def test_a_refused_micro_batch_changes_nothing(accumulator):
    make = np.ones if accumulator is Accumulator else torch.ones
    total = accumulator()
    total.add({"w": make(2), "b": make(3)}, 3)
    for grads, tokens, told in [
        ({"w": 9 * make(2), "b": make(3)}, 0, "found a micro-batch of 0 tokens"),
        ({"w": 9 * make(2)}, 1, "found 'b'"),
        ({"w": 9 * make(2), "b": make(4)}, 1, r"gradient of 'b': found shape \(4,\)"),
    ]:
        with pytest.raises(ValueError, match=told):
            total.add(grads, tokens)
    assert float(total.mean()["w"][0]) == 1


MISTAKES = [
    ({"lr": 0.0}, "found lr 0.0"),
    ({"lr": -1.0}, "found lr -1.0"),
    ({"lr": float("nan")}, "found lr nan"),
    ({"eps": 0.0}, "found eps 0.0"),
]


@pytest.mark.parametrize(("rates", "told"), MISTAKES)
def test_rates_out_of_range_are_refused(rates, told):
    with pytest.raises(ValueError, match=told):
        adamw_update(arrays(0), arrays(1), new_state(arrays(0)), **{**RATES, **rates})
    with pytest.raises(ValueError, match=told):
        Optimizer(tensors(arrays(0)), **{**RATES, **rates})


def spoilt(values, name, change):
    return {**values, name: change(values[name])}


def nan_at_2(array):
    return np.where(np.arange(array.size) == 2, np.nan, array.reshape(-1)).reshape(array.shape)


@pytest.mark.parametrize(
    ("grads", "told"),
    [
        (spoilt(arrays(1), "bias", nan_at_2), r"gradient of 'bias': found (nan at \[2\]|a number that is not finite)"),
        (spoilt(arrays(1), "bias", lambda g: g[:2]), r"'bias': found shape \(2,\), expected \(4,\)"),
        ({"weight": arrays(1)["weight"]}, "found none for 'bias'"),
        ({**arrays(1), "stranger": np.ones(1)}, "found 'stranger'"),
    ],
)
def test_a_bad_gradient_is_refused_by_name_and_nothing_moves(grads, told):
    weights, state = arrays(0), new_state(arrays(0))
    held = {name: w.copy() for name, w in weights.items()}
    with pytest.raises(ValueError, match=told):
        adamw_update(weights, grads, state, **RATES)
    assert state["step"] == 0
    assert all(np.array_equal(held[name], w) for name, w in weights.items())
    optimizer = Optimizer(tensors(weights), **RATES)
    with pytest.raises(ValueError, match=told):
        optimizer.step([tensors(grads)], [1])
    assert optimizer.state()["step"] == 0
    assert all(np.array_equal(held[name], w.numpy()) for name, w in optimizer.weights().items())


def test_a_state_of_another_shape_is_refused_by_name_and_nothing_moves():
    weights = arrays(0)
    other = state_arrays(new_state({**weights, "bias": np.zeros(9)}))
    with pytest.raises(ValueError, match=r"optimizer state m of 'bias': found shape \(9,\), expected \(4,\)"):
        state_from_arrays(other, weights)
    optimizer = Optimizer(tensors(weights), **RATES)
    optimizer.step([tensors(arrays(1))], [1])
    before = optimizer.state()
    wrong = {**before, "v": {**before["v"], "bias": torch.zeros(9)}}
    with pytest.raises(ValueError, match=r"optimizer state v of 'bias': found shape \(9,\), expected \(4,\)"):
        optimizer.load_state(wrong)
    after = optimizer.state()
    assert all(torch.equal(before[kind][name], after[kind][name]) for kind in ("m", "v") for name in weights)


def test_no_decay_names_what_there_is():
    with pytest.raises(ValueError, match="no_decay: found 'baias'"):
        adamw_update(arrays(0), arrays(1), new_state(arrays(0)), no_decay=("baias",), **RATES)


def test_an_overflow_leaves_the_step_out_and_halves_the_scale():
    optimizer = Optimizer(tensors(arrays(0)), **RATES, loss_scale=1024.0, growth_interval=2)
    assert optimizer.step([tensors(spoilt(arrays(1), "bias", nan_at_2))], [1]) == np.inf
    assert (optimizer.loss_scale, optimizer.state()["step"]) == (512.0, 0)
    for _ in range(2):
        optimizer.step([tensors(arrays(1))], [1])
    assert (optimizer.loss_scale, optimizer.state()["step"]) == (1024.0, 2)


def test_the_copy_is_trained_and_the_read_weights_stay_until_the_swap():
    start = arrays(0)
    trainer = TrainerCopy(start, **RATES)
    want, _ = adamw_update(start, arrays(1), new_state(start), **RATES)
    trainer.step(arrays(1))
    assert all(np.array_equal(trainer.inference_weights()[name], start[name]) for name in start)
    trainer.swap()
    trainer.step(arrays(2))
    assert all(np.array_equal(trainer.inference_weights()[name], want[name]) for name in start)
