"""AdamW with decoupled weight decay, as pure functions: they do not change their arguments."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]
State = dict[str, Any]
"""{"step": updates taken, "m": {name: first moment}, "v": {name: second moment}}."""


def adamw_step(
    w: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    *,
    step: int,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One update of one tensor.

    m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2
    w <- w - lr weight_decay w - lr (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps)

    Shapes: w, g, m, v all the same -> (w, m, v).
    Units:  step counts from 1; eps is added to the root, not under it; the decay does not enter the moments.
    Raises: ValueError if shapes differ, lr or eps is not above 0, step is below 1, or g is not finite.
    Source: arXiv:1711.05101, algorithm 2; torch.optim.AdamW, which has no schedule multiplier of its own.
    """
    check_rates(lr=lr, eps=eps, beta1=beta1, beta2=beta2, weight_decay=weight_decay)
    if step < 1:
        raise ValueError(f"adamw: found step {step}, expected 1 or more (the first update is step 1)")
    if not w.shape == g.shape == m.shape == v.shape:
        raise ValueError(f"adamw: found w {w.shape}, g {g.shape}, m {m.shape}, v {v.shape}, expected one shape")
    if not np.isfinite(g).all():
        raise ValueError(f"adamw: found {_not_finite(g)} in the gradient, expected finite numbers")
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    mean, root = m / (1 - beta1**step), np.sqrt(v / (1 - beta2**step))
    return w - lr * weight_decay * w - lr * mean / (root + eps), m, v


def new_state(weights: Arrays) -> State:
    """The state before the first update: step 0, and two arrays of zeros per tensor."""
    zeros = {name: np.zeros_like(w) for name, w in weights.items()}
    return {"step": 0, "m": zeros, "v": dict(zeros)}


def adamw_update(
    weights: Arrays, grads: Arrays, state: State, *, no_decay: Collection[str] = (), weight_decay: float, **rates: float
) -> tuple[dict[str, np.ndarray], State]:
    """One update of every tensor of a model, without weight decay for those named in `no_decay` (norms, biases).

    Shapes: weights and grads {name: any}, with the same names and shapes -> (weights, state).
    Raises: ValueError naming the tensor: without a gradient, unknown, of another shape,
            with a number that is not finite, or in no_decay and not in the model.
    Source: the parameter groups of torch.optim.AdamW; transformers.Trainer.get_decay_parameter_names.
    """
    check_gradients(weights, grads)
    check_state(weights, state)
    strangers = sorted(set(no_decay) - set(weights))
    if strangers:
        raise ValueError(f"no_decay: found {strangers[0]!r}, expected names of the model's tensors")
    step = state["step"] + 1
    done = {
        name: adamw_step(
            w,
            grads[name],
            state["m"][name],
            state["v"][name],
            step=step,
            weight_decay=0.0 if name in no_decay else weight_decay,
            **rates,
        )
        for name, w in weights.items()
    }
    moved = {name: new[0] for name, new in done.items()}
    return moved, {"step": step, "m": {n: new[1] for n, new in done.items()}, "v": {n: d[2] for n, d in done.items()}}


def state_arrays(state: State) -> dict[str, np.ndarray]:
    """The state as named arrays, ready to save in a file: `step`, `m.<name>`, `v.<name>`."""
    moments = {f"{kind}.{name}": array for kind in ("m", "v") for name, array in state[kind].items()}
    return {"step": np.asarray(state["step"], dtype=np.int64), **moments}


def state_from_arrays(arrays: Arrays, weights: Arrays) -> State:
    """Build the state of `weights` from the arrays of `state_arrays`.

    Raises: ValueError naming the tensor that is missing, unknown or of another shape.
    """
    if "step" not in arrays:
        raise ValueError(f"optimizer state: found no `step` among {len(arrays)} arrays, expected the updates taken")
    state: State = {"step": int(arrays["step"]), "m": {}, "v": {}}
    for key, array in arrays.items():
        kind, _, name = key.partition(".")
        if key != "step":
            state.setdefault(kind, {})[name] = array
    check_state(weights, state)
    return state


def check_rates(*, lr: float, eps: float, beta1: float, beta2: float, weight_decay: float) -> None:
    """Raises: ValueError naming the first rate outside its range; NaN is outside every range."""
    for name, rate in (("lr", lr), ("eps", eps)):
        if not 0 < rate < np.inf:
            raise ValueError(f"adamw: found {name} {rate}, expected a finite number above 0")
    for name, rate in (("beta1", beta1), ("beta2", beta2)):
        if not 0 <= rate < 1:
            raise ValueError(f"adamw: found {name} {rate}, expected 0 <= {name} < 1")
    if not 0 <= weight_decay < np.inf:
        raise ValueError(f"adamw: found weight_decay {weight_decay}, expected a finite number, 0 or more")


def check_gradients(weights: Arrays, grads: Arrays) -> None:
    """Raises: ValueError naming the first tensor whose gradient is missing, unknown, mis-shaped or not finite."""
    _check_names("gradients", weights, grads)
    for name, g in grads.items():
        if not np.isfinite(g).all():
            raise ValueError(f"gradient of {name!r}: found {_not_finite(g)}, expected finite numbers")


def check_state(weights: Arrays, state: State) -> None:
    """Raises: ValueError naming the first moment that does not fit the weights, or a step below 0."""
    unknown = sorted(set(state) - {"step", "m", "v"})
    if unknown or not {"step", "m", "v"} <= set(state):
        raise ValueError(f"optimizer state: found {sorted(state)}, expected step, m and v")
    if state["step"] < 0:
        raise ValueError(f"optimizer state: found step {state['step']}, expected 0 or more")
    for kind in ("m", "v"):
        _check_names(f"optimizer state {kind}", weights, state[kind])


def _check_names(what: str, weights: Arrays, other: Arrays) -> None:
    for name, w in weights.items():
        if name not in other:
            raise ValueError(f"{what}: found none for {name!r}, expected one of shape {w.shape}")
        if other[name].shape != w.shape:
            raise ValueError(f"{what} of {name!r}: found shape {other[name].shape}, expected {w.shape}")
    strangers = [name for name in other if name not in weights]
    if strangers:
        raise ValueError(f"{what}: found {strangers[0]!r}, expected only the model's {len(weights)} tensors")


def _not_finite(array: np.ndarray) -> str:
    flat = int(np.argmin(np.isfinite(array)))
    at = ", ".join(str(int(i)) for i in np.unravel_index(flat, array.shape))
    return f"{array.reshape(-1)[flat]} at [{at}]"
