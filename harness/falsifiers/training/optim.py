"""Falsifiers of AdamW: one step, a trajectory, a resumed trajectory, and the learning rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.observation import Observation
from harness.reference.training.optim import adamw_step, adamw_update, new_state
from harness.reference.training.schedule import lr_at

MEASURES = {
    "state_bytes_per_weight": "bytes of optimizer state over number of weights",
    "steps_miscounted": "absolute difference of the state's step count and the number of updates",
    "lr_error": "largest difference of a learning rate and the schedule's, as a share of the peak",
}
Arrays = dict[str, np.ndarray]
BETAS = {"beta1": 0.9, "beta2": 0.95}
SHAPES = {
    "layers.0.weight": (24, 10),
    "layers.0.bias": (24,),
    "norm.weight": (10,),
    "layers.1.weight": (10, 24),
    "head.bias": (7,),
}
NO_DECAY = ("layers.0.bias", "norm.weight", "head.bias")


def step_parity(
    subject: Any,
    case: Case,
    *,
    step: int,
    lr: float,
    eps: float,
    weight_decay: float,
    beta2: float,
    transposed: bool,
    rows: int = 32,
    columns: int = 24,
) -> Observation:
    """One `adamw_step` of one tensor, whose gradient falls from row to row down to a tenth of eps.

    The last row has zero gradient and zero moments, so that only decay changes it.
    Shapes: w, g, m, v (rows, columns), or a transposed view of it.
    """
    sizes = np.append(np.geomspace(1.0, eps / 10, rows - 1), 0.0)[:, None]
    seen = float(step > 1)
    shape = (rows, columns)
    arrays = [
        case.normal("w", shape, std=0.05),
        case.array("g", lambda: sizes * case.stream("g").standard_normal(shape)),
        case.array("m", lambda: seen * 0.5 * sizes * case.stream("m").standard_normal(shape)),
        case.array("v", lambda: seen * sizes**2 * case.stream("v").uniform(0.2, 2.0, shape)),
    ]
    if transposed:
        arrays = [array.T for array in arrays]
    rates = {"step": step, "lr": lr, "beta1": 0.9, "beta2": beta2, "eps": eps, "weight_decay": weight_decay}
    got = subject.adamw_step(*arrays, **rates)
    want = case.once(adamw_step, *(array.astype(np.float64) for array in arrays), **rates)
    return Observation(w=(got[0], want[0]), m=(got[1], want[1]), v=(got[2], want[2]))


def trajectory(
    subject: Any, case: Case, *, steps: int, lr: float, eps: float, weight_decay: float, excluded: bool
) -> Observation:
    """Weights and state after `steps` updates of a small model; `excluded` switches decay off for norms and biases.

    Shapes: SHAPES; the first weight is a transposed view.
    """
    weights, grads = model(case), gradients(case, steps, eps)
    rates = {**BETAS, "lr": lr, "eps": eps, "weight_decay": weight_decay}
    no_decay = NO_DECAY if excluded else ()
    optimizer = subject.optimizer(weights, **rates, **({"no_decay": no_decay} if excluded else {}))
    for g in grads:
        optimizer.step([g], [1])
    moved, state = case.once(follow, weights, grads, no_decay=no_decay, **rates)
    found = optimizer.state()
    pairs = beside("w", optimizer.weights(), moved) | {
        key: pair for kind in ("m", "v") for key, pair in beside(kind, found[kind], state[kind]).items()
    }
    return Observation(
        **pairs,
        state_bytes_per_weight=_bytes(found) / sum(w.size for w in weights.values()),
        steps_miscounted=abs(found["step"] - state["step"]),
    )


def resumed(
    subject: Any, case: Case, *, steps: int, saved_after: int, lr: float, eps: float, weight_decay: float
) -> Observation:
    """A new optimizer that continues from the state and weights after `saved_after` updates ends with the same bytes.

    The subject computes both trajectories.
    """
    weights, grads = model(case), gradients(case, steps, eps)
    rates = {**BETAS, "lr": lr, "eps": eps, "weight_decay": weight_decay}
    first = subject.optimizer(weights, **rates)
    for g in grads[:saved_after]:
        first.step([g], [1])
    second = subject.optimizer(first.weights(), **rates)
    second.load_state(first.state())
    for g in grads[saved_after:]:
        first.step([g], [1])
        second.step([g], [1])
    return Observation(**beside("w", second.weights(), first.weights()))


def schedule(
    subject: Any, case: Case, *, peak: float, warmup: int, total: int, decay: str, floor_share: float
) -> Observation:
    """`lr_at` at every step, and at three steps after the last."""
    options: dict[str, Any] = {
        "peak": peak,
        "warmup": warmup,
        "total": total,
        "decay": decay,
        "floor": peak * floor_share,
    }
    steps = range(total + 3)
    got = [float(subject.lr_at(step, **options)) for step in steps]
    want = [lr_at(step, **options) for step in steps]
    error = float(np.max(np.abs(np.subtract(got, want)))) / peak
    return Observation(lr_error=error, series={"lr": got, "wanted": want})


def model(case: Case) -> Arrays:
    """Weights of a small model. Shapes: SHAPES; the first is a transposed view, like a tied or fused weight."""
    drawn = {name: case.normal(name, shape[::-1], std=0.05) for name, shape in SHAPES.items()}
    turned = {name: np.ascontiguousarray(w.T) for name, w in drawn.items()}
    return {**turned, "layers.0.weight": drawn["layers.0.weight"].T}


def gradients(case: Case, steps: int, eps: float) -> list[Arrays]:
    """One gradient per step: sizes between eps and 1 by tensor, times 0.1, 1 or 10 from step to step."""
    sizes = dict(zip(SHAPES, np.geomspace(1.0, eps, len(SHAPES)), strict=True))
    return [
        {n: case.normal(f"{n} grad {t}", shape, std=sizes[n] * 10.0 ** (t % 3 - 1)) for n, shape in SHAPES.items()}
        for t in range(steps)
    ]


def follow(weights: Arrays, grads: list[Arrays], **rates: Any) -> tuple[Arrays, dict[str, Any]]:
    """The reference's weights and state after all updates, in float64."""
    wide = {name: w.astype(np.float64) for name, w in weights.items()}
    state = new_state(wide)
    for part in grads:
        wide, state = adamw_update(wide, {n: g.astype(np.float64) for n, g in part.items()}, state, **rates)
    return wide, state


def beside(what: str, got: Arrays, want: Arrays) -> dict[str, Any]:
    """A pair per tensor; a missing tensor becomes an empty array, whose shape is wrong."""
    return {f"{what} {name}": (got.get(name, np.zeros(0, array.dtype)), array) for name, array in want.items()}


def _bytes(state: dict[str, Any]) -> int:
    """Bytes of all arrays in the state, whatever their keys."""
    groups = [group for group in state.values() if isinstance(group, dict)]
    return sum(array.nbytes for group in groups for array in group.values())
