"""Falsifier of an optimizer's refusals: bad input raises an error that names it, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.training.optim import BETAS, gradients, model
from harness.observation import Observation

RATES = {**BETAS, "lr": 0.01, "eps": 1e-8, "weight_decay": 0.1}
Mistake = tuple[str, Callable[[], Any]]


def refusals(subject: Any, case: Case) -> Observation:
    """Wrong rates, gradients and states; the last tensor is wrong, so that a check during the update comes too late.

    Each pair holds 1 per mistake: `named`, if a one-line error names the rate or the tensor; `kept`, if
    weights and state keep their bytes.
    """
    weights, grads = model(case), gradients(case, 2, 1e-8)
    optimizer = subject.optimizer(weights, **RATES)
    optimizer.step([grads[0]], [1])
    mistakes = _of_rates(subject, weights) + _of_gradients(optimizer, grads[1]) + _of_state(optimizer)
    named, kept = [], []
    for name, mistake in mistakes:
        before = _seen(optimizer)
        named.append(_refused(name, mistake))
        kept.append(int(_seen(optimizer) == before))
    ones = np.ones(len(mistakes), dtype=np.int64)
    return Observation(named=(np.array(named), ones), kept=(np.array(kept), ones))


def _of_rates(subject: Any, weights: dict[str, np.ndarray]) -> list[Mistake]:
    wrong = [("lr", 0.0), ("lr", -0.01), ("lr", float("nan")), ("eps", 0.0), ("eps", -1e-8)]
    made = [(name, partial(subject.optimizer, weights, **{**RATES, name: rate})) for name, rate in wrong]
    return [*made, ("stranger.bias", partial(subject.optimizer, weights, **RATES, no_decay=("stranger.bias",)))]


def _of_gradients(optimizer: Any, grads: dict[str, np.ndarray]) -> list[Mistake]:
    last = list(grads)[-1]
    wrong = [
        {**grads, last: np.full_like(grads[last], np.nan)},
        {**grads, last: np.where(np.arange(grads[last].size) == 1, np.inf, grads[last]).astype(grads[last].dtype)},
        {**grads, last: grads[last][:-1]},
        {name: g for name, g in grads.items() if name != last},
    ]
    longer = partial(optimizer.step, [{**grads, "stranger.bias": grads[last]}], [1])
    empty, counts = partial(optimizer.step, [grads, grads], [3, 0]), partial(optimizer.step, [grads, grads], [5])
    named = [("stranger.bias", longer), ("0 tokens", empty), ("1 token count", counts)]
    return [*((last, partial(optimizer.step, [g], [1])) for g in wrong), *named]


def _of_state(optimizer: Any) -> list[Mistake]:
    state = optimizer.state()
    last = list(state["v"])[-1]
    others = {kind: {n: a * 0 for n, a in state[kind].items()} for kind in ("m", "v")}
    wrong = [
        {**state, **others, "v": {**others["v"], last: others["v"][last][:-1]}},
        {**state, **others, "v": {name: a for name, a in others["v"].items() if name != last}},
    ]
    return [(last, partial(optimizer.load_state, s)) for s in wrong]


def _refused(name: str, mistake: Callable[[], Any]) -> int:
    try:
        mistake()
    except Exception as refusal:  # noqa: BLE001  (this measures whether any error names the mistake)
        return int(name in str(refusal) and "\n" not in str(refusal))
    return 0


def _seen(optimizer: Any) -> Any:
    """Weights and state as bytes."""
    weights, state = optimizer.weights(), optimizer.state()
    groups = {"w": weights, "m": state["m"], "v": state["v"]}
    return state["step"], {(kind, name): a.tobytes() for kind, group in groups.items() for name, a in group.items()}
