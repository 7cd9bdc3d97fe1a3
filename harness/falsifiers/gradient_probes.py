"""Check gradients with the loss alone, by central differences, without a reference and without a framework.

This works for any model whose loss can be computed at changed weights, also yours: see docs/gradients.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Arrays = Mapping[str, np.ndarray]
Loss = Callable[[dict[str, np.ndarray]], float]
KINDS = ("top", "entry", "direction")
FAINT = 1e-3
"""If a tensor's derivatives are below this share of the model's, its error is divided by that share."""


@dataclass(frozen=True)
class Probes:
    """Derivatives of the loss along some moves of one tensor: claimed by the gradient, and measured from the loss.

    Units: per relative move: a move of an entry is measured in root mean squares of its row.
    """

    tensor: str
    kind: str
    claimed: np.ndarray
    measured: np.ndarray


def probe(
    loss: Loss,
    weights: Arrays,
    gradients: Arrays | Sequence[np.ndarray],
    *,
    top: int = 4,
    entries: int = 4,
    directions: int = 2,
    step: float = 1e-5,
    seed: int = 0,
    also: Mapping[str, Sequence[int]] | None = None,
) -> list[Probes]:
    """Probe each tensor at the `top` entries of its claimed gradient, at random entries, and along random moves of it.

    `also` lists entries (in C order) that are always probed, together with the random ones.

    The largest entries expose a wrong scale, random entries a gradient that is wrongly zero, and a move of the whole
    tensor faults that a few entries miss.
    Shapes: gradients as the weights, by name or in their order; `loss` takes {tensor's name: changed tensor}.
    Units:  step is relative, as in `Probes`; a missing gradient counts as 0, because it trains nothing.
    Raises: ValueError naming the tensor if it is not float64 or its gradient has another shape.
    """
    claimed = by_name(weights, gradients)
    found: list[Probes] = []
    for tensor, values in weights.items():
        gradient = np.asarray(claimed.get(tensor, np.zeros_like(values)), dtype=np.float64)
        if values.dtype != np.float64 or gradient.shape != values.shape:
            raise ValueError(
                f"gradients: {tensor} has {gradient.shape} for a {values.dtype} tensor {values.shape}, expected "
                "equal shapes and float64, because differences need its precision"
            )
        rng = np.random.default_rng([seed, len(found)])
        extra = (also or {}).get(tensor, ())
        for kind, moves in moves_of(values, gradient, rng, top, entries, directions, extra).items():
            measured = [_difference(loss, tensor, values, move, step) for move in moves]
            claims = [float(np.sum(gradient * move)) for move in moves]
            found.append(Probes(tensor, kind, np.array(claims), np.array(measured)))
    return found


def units(found: Sequence[Probes]) -> list[float]:
    """The scale of each probe's error: its measured root mean square, at least 1e-3 of the model's for this kind."""
    whole = {
        kind: _rms(np.concatenate([p.measured for p in found if p.kind == kind] or [np.zeros(0)])) for kind in KINDS
    }
    return [max(_rms(p.measured), FAINT * whole[p.kind]) for p in found]


def errors(found: Sequence[Probes]) -> dict[str, float]:
    """Largest error of each tensor over all its probes, in `units`; near 1 or more means a wrong gradient."""
    worst: dict[str, float] = {}
    for probes, unit in zip(found, units(found), strict=True):
        error = _largest(probes, unit)
        worst[probes.tensor] = float(np.maximum(worst.get(probes.tensor, 0.0), error))  # np.maximum propagates NaN
    return worst


def by_name(weights: Arrays, gradients: Arrays | Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Gradients by name; a list takes the weights' names in order, and extra gradients are named by place, `#26`."""
    if isinstance(gradients, Mapping):
        return dict(gradients)
    names = [*weights, *(f"#{i}" for i in range(len(weights), len(gradients)))]
    return dict(zip(names, gradients, strict=False))


def misaligned(weights: Arrays, gradients: Arrays | Sequence[np.ndarray]) -> dict[str, list[str]]:
    """Faults that a count of gradients misses, as names of tensors: missing, extra, out of order, misshaped, all zero.

    Shapes: gradients by name, or as a list in the order of the weights.
    """
    claimed = by_name(weights, gradients)
    shared = [name for name in claimed if name in weights]
    return {
        "missing": [name for name in weights if name not in claimed],
        "extra": [name for name in claimed if name not in weights],
        "out of order": [a for a, b in zip(shared, (n for n in weights if n in claimed), strict=True) if a != b],
        "misshaped": [name for name in shared if np.shape(claimed[name]) != np.shape(weights[name])],
        "all zero": [name for name in shared if not np.any(claimed[name])],
    }


def moves_of(
    values: np.ndarray,
    gradient: np.ndarray,
    rng: np.random.Generator,
    top: int,
    entries: int,
    directions: int,
    also: Sequence[int] = (),
) -> dict[str, list[np.ndarray]]:
    """kind -> moves, each shaped as the tensor."""
    scale = np.broadcast_to(_row_scale(values), values.shape)

    def one(index: int) -> np.ndarray:
        move = np.zeros_like(values)
        move.flat[index] = scale.flat[index]
        return move

    largest = np.argsort(-np.abs(gradient * scale), axis=None, kind="stable")[:top]
    chosen = rng.choice(values.size, size=min(entries, values.size), replace=False)
    return {
        "top": [one(int(i)) for i in largest],
        "entry": [one(int(i)) for i in (*also, *chosen)],
        "direction": [scale * rng.standard_normal(values.shape) for _ in range(directions)],
    }


def _row_scale(values: np.ndarray) -> np.ndarray:
    """Root mean square of each row, the scale on which the loss curves, because norms divide by a row's length.

    Shapes: (..., C) -> (..., 1); a row of zeros gets the tensor's root mean square, a tensor of zeros gets 1.
    """
    rows = np.sqrt(np.mean(np.square(values), axis=-1, keepdims=True))
    return np.where(rows > 0, rows, _rms(values) or 1.0)


def _difference(loss: Loss, tensor: str, values: np.ndarray, move: np.ndarray, step: float) -> float:
    ahead, behind = (float(loss({tensor: values + sign * step * move})) for sign in (1, -1))
    return (ahead - behind) / (2 * step)


def _largest(probes: Probes, unit: float) -> float:
    gap = float(np.abs(probes.claimed - probes.measured).max(initial=0.0))
    return gap / unit if unit > 0 else float("nan")  # a loss that no move changes cannot check a gradient


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
