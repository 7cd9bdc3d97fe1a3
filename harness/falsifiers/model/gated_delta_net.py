"""Falsifiers of a gated-delta-net layer: its forward pass, its state over time, and isolation of requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.case import Case
from harness.dtypes import round_to
from harness.falsifiers.model.gdn_layer import Arrays, Config, adapters, inputs, layer, states
from harness.observation import Observation
from harness.reference.model.gated_delta_net import gated_delta_net_forward

Stages = list[tuple[str, np.ndarray, np.ndarray]]
MEASURES = {
    "drift": "relative error of the last 64 tokens over the relative error of the first 64",
}


def forward(
    subject: Any, case: Case, *, key_heads: int, per_key: int, length: int, started: bool, adapted: bool = False
) -> Observation:
    """One call: output, final state and the convolution's last inputs, starting from zeros or from given states.

    Shapes: x (2, length, 24) -> out the same, state (2, Hv, 8, 6), conv_state (2, channels, 3).
    """
    config, weights = layer(case, key_heads, per_key)
    x = inputs(case, config, length)
    given: dict[str, Any] = states(case, config) if started else {}
    if adapted:
        given["lora"] = adapters(case, weights)
    out, state, conv_state = subject.gated_delta_net(x, weights, config, **given)
    want = case.once(_forward, x, weights, config, **given)
    return Observation(out=(out, want[0]), state=(state, want[1]), conv_state=(conv_state, want[2]))


def forward_stages(
    subject: Any,
    case: Case,
    *,
    key_heads: int,
    per_key: int,
    length: int,
    started: bool,
    adapted: bool = False,
    replaced: bool = False,
) -> Stages:
    """(stage, got, want) of the first three tokens one by one, then of all at once; see `_call_stages`."""
    config, weights = layer(case, key_heads, per_key)
    given: dict[str, Any] = states(case, config) if started else {}
    lora = {"lora": adapters(case, weights)} if adapted else {}
    return _call_stages(subject, case, inputs(case, config, length), weights, config, given, replaced, lora)


def split(subject: Any, case: Case, *, key_heads: int, per_key: int, length: int) -> Observation:
    """f(a + b) equals f(a) followed by f(b) from its states, for every split and token by token.

    Shapes: outputs (length, 2, length, 24), one row per split and one for single steps; final states of each.
    """
    config, weights = layer(case, key_heads, per_key)
    x, given = inputs(case, config, length), states(case, config)
    want = case.once(_forward, x, weights, config, **given)
    pieces = [[at, length - at] for at in range(1, length)] + [[1] * length]
    runs = [_in_pieces(subject, x, weights, config, given, sizes) for sizes in pieces]
    pairs: dict[str, Any] = {
        name: (np.stack([run[i] for run in runs]), np.broadcast_to(want[i], (length, *want[i].shape)))
        for i, name in enumerate(("out", "state", "conv_state"))
    }
    return Observation(**pairs)


def split_stages(
    subject: Any, case: Case, *, key_heads: int, per_key: int, length: int, replaced: bool = False
) -> Stages:
    """As `forward_stages`, from given states."""
    config, weights = layer(case, key_heads, per_key)
    x, given = inputs(case, config, length), states(case, config)
    return _call_stages(subject, case, x, weights, config, given, replaced)


def horizon(subject: Any, case: Case, *, key_heads: int, per_key: int, length: int, spans: list[int]) -> Observation:
    """A long sequence in one call, and in two halves: the errors of the output, at `spans` and at the end.

    Shapes: out (1, length, 24); series rel_l2_err, the relative error of the 64 tokens up to each of `spans`.
    """
    config, weights = layer(case, key_heads, per_key)
    x = inputs(case, config, length, batch=1)
    want = case.once(_forward, x, weights, config)
    once, state, _ = subject.gated_delta_net(x, weights, config)
    halves = _in_pieces(subject, x, weights, config, {}, [length // 2, length - length // 2])[0]
    errors = {at: _error(once[:, at - 64 : at], want[0][:, at - 64 : at]) for at in spans}
    first, last = _error(once[:, :64], want[0][:, :64]), errors[max(spans)]
    return Observation(
        out=(once, want[0]),
        halves=(halves, want[0]),
        state=(state, want[1]),
        drift=last / first if first else float(last > 0),
        series={"token": list(errors), "rel_l2_err": list(errors.values())},
    )


def unequal_lengths(
    subject: Any,
    case: Case,
    *,
    key_heads: int,
    per_key: int,
    length: int,
    pad: int,
    order: Sequence[int] = (0, 1, 2),
) -> Observation:
    """Left-padded rows equal each row alone: outputs of the real tokens, and final states.

    Shapes: x (rows, length, 24), one row of length - number * pad real tokens for each number of `order`.
    """
    config, weights = layer(case, key_heads, per_key)
    x = inputs(case, config, length, batch=len(order))
    begins = [number * pad for number in order]
    real = np.arange(length) >= np.array(begins)[:, None]
    out, state, _ = subject.gated_delta_net(x, weights, config, real=real)
    rows = [case.once(_forward, x[i : i + 1, begin:], weights, config) for i, begin in enumerate(begins)]
    return Observation(
        out=(
            np.concatenate([out[i, begin:] for i, begin in enumerate(begins)]),
            np.concatenate([row[0][0] for row in rows]),
        ),
        state=(state, np.concatenate([row[1] for row in rows])),
    )


def next_request(subject: Any, case: Case, *, key_heads: int, per_key: int, length: int, poison: str) -> Observation:
    """A request on a layer is not affected by an earlier request whose inputs were all `poison`.

    Shapes: x (2, length, 24), out the same; state and conv_state of the later request.
    """
    config, weights = layer(case, key_heads, per_key)
    x = inputs(case, config, length)
    subject.gated_delta_net(np.full_like(x, float(poison)), weights, config)
    out, state, conv_state = subject.gated_delta_net(x, weights, config)
    want = case.once(_forward, x, weights, config)
    return Observation(out=(out, want[0]), state=(state, want[1]), conv_state=(conv_state, want[2]))


def _call_stages(
    subject: Any,
    case: Case,
    x: np.ndarray,
    weights: Arrays,
    config: Config,
    given: dict[str, Any],
    replaced: bool,
    lora: dict[str, Any] | None = None,
) -> Stages:
    """(stage, got, want) of calls of one token, and of a call of all: the convolution's inputs, the state, the output.

    With `replaced` every token starts from the reference's states. A wrong convolution state is in_proj_qkv or what is
    kept of it; a wrong state behind a right one is gates, roles or order; a wrong output alone is the norm or its gate.
    """
    calls = [(f"token.{t}", t, t + 1) for t in range(min(3, x.shape[1]))] + [("all", 0, x.shape[1])]
    stages: Stages = []
    right = own = given
    for name, start, end in calls:
        before = given if not start else right if replaced else own
        out, state, conv_state = subject.gated_delta_net(x[:, start:end], weights, config, **before, **(lora or {}))
        wanted = case.once(_forward, x[:, start:end], weights, config, **(right if start else given), **(lora or {}))
        own = {"state": state, "conv_state": conv_state}
        right = {key: round_to(want, case.dtype) for key, want in zip(own, wanted[1:], strict=True)}
        stages += [(f"{name}.conv_state", conv_state, wanted[2]), (f"{name}.state", state, wanted[1])]
        stages.append((f"{name}.out", out, wanted[0]))
    return stages


def _forward(x: np.ndarray, weights: Arrays, config: Config, **given: Any) -> tuple[np.ndarray, ...]:
    """The reference's recurrent form, without chunks, whatever chunks the subject uses."""
    return gated_delta_net_forward(x, weights, config, **given)[:3]


def _in_pieces(
    subject: Any, x: np.ndarray, weights: Arrays, config: Config, given: Arrays, sizes: list[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Run a sequence piece by piece; return (outputs of all pieces, final state, final conv_state)."""
    outs = []
    for piece in np.split(x, np.cumsum(sizes)[:-1], axis=1):
        out, state, conv_state = subject.gated_delta_net(piece, weights, config, **given)
        given = {**given, "state": state, "conv_state": conv_state}
        outs.append(out)
    return np.concatenate(outs, axis=1), given["state"], given["conv_state"]


def _error(got: np.ndarray, want: np.ndarray) -> float:
    return float(np.linalg.norm(got.astype(np.float64) - want) / np.linalg.norm(want))
