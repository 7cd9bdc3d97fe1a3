"""The gated-delta-net reference against transformers, PEFT, torch.autograd and its own slopes; refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers.models.qwen3_next import modeling_qwen3_next
from transformers.models.qwen3_next.configuration_qwen3_next import Qwen3NextConfig

from harness.candidates import torch as eager
from harness.falsifiers.baselines.transformers import gdn
from harness.falsifiers.baselines.transformers.hybrid import modeling
from harness.falsifiers.model.mutants.gdn_layer import Parts, layer
from harness.reference.adapters.lora import lora_linear_forward, lora_scale, merge, unmerge
from harness.reference.model.delta_rule import delta_rule_backward, delta_rule_forward
from harness.reference.model.delta_rule_chunks import unit_lower_inverse
from harness.reference.model.gated_delta_net import gated_delta_net_backward, gated_delta_net_forward
from harness.reference.model.gated_delta_net_config import PROJECTIONS, parse_config, weight_shapes
from tests.support.model.qwen3_next import as_qwen3_next

HEADS = {"one head": (1, 1), "many": (3, 3), "unequal": (2, 4)}


def problem(heads: str, length: int, batch: int = 2) -> dict[str, Any]:
    """A layer with everything non-zero: config, weights, adapters, input, states, upstream gradient."""
    rng = np.random.default_rng(length)
    key_heads, value_heads = HEADS[heads]
    config = {
        "hidden_size": 12,
        "linear_num_key_heads": key_heads,
        "linear_num_value_heads": value_heads,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 6,
        "linear_conv_kernel_dim": 4,
        "rms_norm_eps": 1e-6,
    }
    weights = {name: 0.3 * rng.standard_normal(shape) for name, shape in weight_shapes(parse_config(config)).items()}
    weights["A_log"] = np.log(rng.uniform(0.01, 4, value_heads))
    weights["norm.weight"] += 1
    channels = 16 * key_heads + 6 * value_heads
    lora = {
        name: (
            0.3 * rng.standard_normal((3, weights[f"{name}.weight"].shape[1])),
            0.3 * rng.standard_normal((weights[f"{name}.weight"].shape[0], 3)),
            0.7,
        )
        for name in PROJECTIONS
    }
    given = {
        "state": rng.standard_normal((batch, value_heads, 8, 6)),
        "conv_state": rng.standard_normal((batch, channels, 3)),
        "lora": lora,
    }
    x, dout = rng.standard_normal((2, batch, length, 12))
    return {"x": x, "weights": weights, "config": config, "given": given, "dout": dout}


def torched(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, dict):
        return {key: torched(item) for key, item in value.items()}
    return tuple(torched(item) for item in value) if isinstance(value, tuple) else value


def apart(got: Any, want: Any) -> float:
    """Relative L2; the difference itself where nothing is right, as for a gate's gradient after one step from zeros."""
    got, want = (np.asarray(part) for part in (got, want))
    return float(np.linalg.norm(got - want) / (np.linalg.norm(want) or 1))


def farthest(got: Any, want: Any) -> float:
    """The largest `apart`, by name or by place; NaN where one of them is, which Python's own max would pass over."""
    names = want if isinstance(want, dict) else range(len(want))
    return float(np.max([apart(got[name], want[name]) for name in names]))


def run(module: Any, name: str, given: dict[str, Any], *args: Any, dtype: str = "float64") -> Any:
    return getattr(module, name)(*torched(args), **torched(given), dtype=dtype, device="cpu")


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("length", [1, 3, 63, 64, 65, 200, 2048])
def test_forward_and_backward_are_those_of_transformers_and_peft(heads: str, length: int) -> None:
    p = problem(heads, length, batch=1 if length > 200 else 2)
    want = run(gdn, "gated_delta_net", p["given"], p["x"], p["weights"], p["config"])
    for chunk in (None, 64, 7):
        *got, cache = gated_delta_net_forward(p["x"], p["weights"], p["config"], **p["given"], chunk=chunk)
        assert farthest(got, want) <= 1e-13
        dx, grads, _, _ = gated_delta_net_backward(p["dout"], cache)
        args = (p["x"], p["weights"], p["config"], p["dout"])
        want_dx, want_grads = run(gdn, "gated_delta_net_grads", p["given"], *args)
        assert set(grads) == set(want_grads)
        assert len([name for name in grads if ".lora_" in name]) == 10
        assert apart(dx, want_dx) <= 1e-11
        assert farthest(grads, want_grads) <= 1e-9


def test_two_thousand_tokens_agree_with_transformers_as_it_comes() -> None:
    p = problem("unequal", 2048, batch=1)
    given = {key: value for key, value in p["given"].items() if key != "lora"}
    want = run(gdn, "gated_delta_net", given, p["x"], p["weights"], p["config"])
    *got, _ = gated_delta_net_forward(p["x"], p["weights"], p["config"], **given, chunk=32)
    assert farthest(got, want) <= 1e-12
    narrow = torched({k: v.astype(np.float32) for k, v in p["weights"].items()})
    single = {k: torch.from_numpy(v.astype(np.float32)) for k, v in given.items()}
    x = torch.from_numpy(p["x"].astype(np.float32))
    unpatched = gdn.gated_delta_net(x, narrow, p["config"], **single, dtype="float32", device="cpu")
    assert 1e-8 < apart(unpatched[0], got[0]) < 1e-5


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("length", [1, 3, 63, 64, 65, 200, 2048])
def test_qwen3_next_has_the_same_layer_under_other_names(heads: str, length: int) -> None:
    """Forward, and the gradients of input and weights, against transformers' Qwen3-Next with float64 throughout."""
    p = problem(heads, length, batch=1 if length > 200 else 2)
    config = Qwen3NextConfig(**p["config"], layer_types=["linear_attention"], num_hidden_layers=1)
    module = modeling("float64", modeling_qwen3_next).Qwen3NextGatedDeltaNet(config, 0).double()
    module.load_state_dict(as_qwen3_next(p))
    x = torch.from_numpy(p["x"]).requires_grad_()
    want = module(x)
    for chunk in (None, 16, 64):
        got, _, _, cache = gated_delta_net_forward(p["x"], p["weights"], p["config"], chunk=chunk)
        assert apart(want.detach(), got) < 1e-12
    dx, grads, _, _ = gated_delta_net_backward(p["dout"], cache)
    want.backward(torch.from_numpy(p["dout"]))
    assert apart(dx, x.grad) < 1e-9
    named = {name: parameter.grad.numpy() for name, parameter in module.named_parameters()}
    found = as_qwen3_next({**p, "weights": grads})
    assert set(found) == set(named)
    assert farthest(found, named) < 1e-9


def steps(length: int, batch: int = 1, rate: float = 1.0) -> dict[str, np.ndarray]:
    """q, k, v, g, beta, state of a delta rule: unit keys, decays of exp(-rate |normal|)."""
    rng = np.random.default_rng(length)
    rows, gates = (batch, length, 2), rng.standard_normal((2, batch, length, 2))
    q, k = rng.standard_normal((2, *rows, 4))
    k /= np.linalg.norm(k, axis=-1, keepdims=True)
    given = {"q": q, "k": k, "v": rng.standard_normal((*rows, 3)), "g": -rate * np.abs(gates[0])}
    return given | {"beta": 1 / (1 + np.exp(gates[1])), "state": rng.standard_normal((batch, 2, 4, 3))}


@pytest.mark.parametrize("chunk", [1, 5, 16, 64, 80])
@pytest.mark.parametrize("length", [0, 1, 16, 63, 65, 200])
@pytest.mark.parametrize("rate", [0.1, 60.0])
def test_chunks_are_the_steps_one_by_one(chunk: int, length: int, rate: float) -> None:
    """Decays of exp(-60) a step too, whose running product is 0 within a chunk; the inputs stay as they are.

    A decay between two steps is the difference of sums over the chunk, so it has their round-off: 4,000 units in 1e-16.
    """
    given, limit = steps(length, 2, rate), 1e-13 if rate < 1 else 1e-12
    kept = {name: array.copy() for name, array in given.items()}
    want_out, want_state, _ = delta_rule_forward(**given)
    out, state, cache = delta_rule_forward(**given, chunk=chunk)
    assert out.shape == want_out.shape
    assert np.abs(out - want_out).max(initial=0) < limit
    assert np.abs(state - want_state).max() < limit
    assert all(np.array_equal(given[name], kept[name]) for name in given)
    states, span = cache[5:]
    assert len(states) == max(1, -(-length // span))
    for i, begun in enumerate(states):
        until = {name: array if name == "state" else array[:, : i * span] for name, array in given.items()}
        assert np.abs(begun - delta_rule_forward(**until)[1]).max() < limit


@pytest.mark.parametrize("chunk", [None, 5, 80])
def test_the_delta_rules_own_backward_is_its_slope(chunk: int | None) -> None:
    """Over 150 steps, more than two spans of states."""
    given, rng = steps(150), np.random.default_rng(3)
    dout, dstate = rng.standard_normal((1, 150, 2, 3)), rng.standard_normal((1, 2, 4, 3))
    _, _, cache = delta_rule_forward(**given, chunk=chunk)
    for (name, array), gradient in zip(given.items(), delta_rule_backward(dout, dstate, cache), strict=True):
        d = rng.standard_normal(array.shape)
        sides = []
        for step in (1e-6, -1e-6):
            out, state, _ = delta_rule_forward(**{**given, name: array + step * d}, chunk=chunk)
            sides.append(np.sum(out * dout) + np.sum(state * dstate))
        assert np.sum(gradient * d) == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-6), name


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 24, 64])
def test_the_inverse_of_a_unit_lower_matrix(size: int) -> None:
    system = np.random.default_rng(size).standard_normal((3, size, size)) / size
    want = np.linalg.inv(np.tril(system, -1) + np.eye(size))
    assert np.abs(unit_lower_inverse(system) - want).max() < 1e-12


def test_padding_on_the_left_is_as_if_it_were_not_there() -> None:
    p = problem("unequal", 9)
    real = np.arange(9) >= np.array([[0], [4]])
    out, state, conv_state, cache = gated_delta_net_forward(p["x"], p["weights"], p["config"], real=real)
    alone = gated_delta_net_forward(p["x"][1:, 4:], p["weights"], p["config"])
    assert apart(out[1:, 4:], alone[0]) < 1e-14
    assert apart(state[1:], alone[1]) < 1e-14
    assert apart(conv_state[1:], alone[2]) < 1e-14
    dx, *_ = gated_delta_net_backward(p["dout"], cache)
    assert not dx[1, :4].any()


def test_the_layer_that_mutants_are_made_of_is_right() -> None:
    p = problem("unequal", 65)
    right = layer(Parts())(
        *torched((p["x"], p["weights"], p["config"])), **torched(p["given"]), dtype="float64", device="cpu"
    )
    want = gated_delta_net_forward(p["x"], p["weights"], p["config"], **p["given"])
    assert farthest(right, want[:3]) < 1e-13


def test_adapters_merge_and_unmerge() -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((2, 5, 6)), rng.standard_normal((4, 6))
    adapter = (rng.standard_normal((3, 6)), rng.standard_normal((4, 3)), lora_scale(3, 6.0))
    beside, _ = lora_linear_forward(x, weight, adapter)
    assert apart(x @ merge(weight, adapter).T, beside) < 1e-14
    assert apart(unmerge(merge(weight, adapter), adapter), weight) < 1e-15
    plain, _ = lora_linear_forward(x, weight)
    assert plain.tobytes() == (x @ weight.T).tobytes()
    assert lora_scale(16, 32) == 2
    assert lora_scale(16, 32, use_rslora=True) == 8


WRONG = {
    "weights": ({"dt_bias": None}, "weights: dt_bias is missing"),
    "extra": ({"bias": np.zeros(3)}, "weights: bias is not a tensor of this layer"),
    "shape": ({"A_log": np.zeros(3)}, r"weights: found A_log \(3,\), expected \(4,\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_tensors_that_do_not_fit_are_named(name: str) -> None:
    p = problem("unequal", 3)
    changed, words = WRONG[name]
    weights = {k: v for k, v in {**p["weights"], **changed}.items() if v is not None}
    with pytest.raises(ValueError, match=words):
        gated_delta_net_forward(p["x"], weights, p["config"])
    with pytest.raises(ValueError, match=f"weights: {next(iter(changed))}"):
        run(eager, "gated_delta_net", {}, p["x"], weights, p["config"])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"linear_num_value_heads": 3}, "found 3 value heads and 2 key heads, expected a multiple"),
        ({"linear_conv_kernel_dim": None}, "found linear_conv_kernel_dim None, expected a positive whole number"),
        ({"rms_norm_eps": float("nan")}, "found rms_norm_eps nan"),
        ({"hidden_act": "gelu"}, "found hidden_act 'gelu', expected 'silu'"),
    ],
)
def test_figures_that_make_no_layer_are_named(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_config({**problem("unequal", 1)["config"], **changed})


def test_adapters_that_do_not_fit_are_named() -> None:
    p = problem("unequal", 3)
    A, B, scale = p["given"]["lora"]["in_proj_a"]
    for lora, words in (
        ({"q_proj": (A, B, scale)}, "lora: found an adapter of 'q_proj', expected one of in_proj_qkv"),
        ({"in_proj_a": (A.T, B, scale)}, r"lora: found A \(12, 3\) and B \(4, 3\) for weight \(4, 12\)"),
    ):
        with pytest.raises(ValueError, match=words):
            gated_delta_net_forward(p["x"], p["weights"], p["config"], lora=lora)
        with pytest.raises(ValueError, match="lora: found"):
            run(eager, "gated_delta_net", {"lora": lora}, p["x"], p["weights"], p["config"])
