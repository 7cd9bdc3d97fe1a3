"""Small changes of a case's arrays: what the search tries on the values of a case."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

import numpy as np

from harness.dtypes import FORMATS, round_to
from harness.judging.result import Edit

Arrays = Mapping[str, np.ndarray]
EVERY = -1
"""The row of an edit that changes all rows."""
FACTORS = (-1.0, 0.0, 2.0**-60, 2.0**-20, 2.0**-8, 0.25, 4.0, 32.0)
SHIFTS = (-1000.0, -300.0, -30.0, 30.0, 300.0, 1000.0)


def edited(arrays: Arrays, edits: Iterable[Edit], dtype: str) -> dict[str, np.ndarray] | None:
    """The arrays that the edits change, after all of them; None if an edit is impossible on these arrays.

    A row is a slice along the last axis. Impossible are a name that is not there, values that are no finite floats, a
    result that is not finite in the dtype or leaves the domain that the array shows (`_in_domain`).
    """
    changed: dict[str, np.ndarray] = {}
    for edit in edits:
        name = edit["array"]
        found = changed.get(name, arrays.get(name))
        if found is None or not _editable(found):
            return None
        after = _edited(found, edit, dtype)
        if after is None:
            return None
        changed[name] = after
    return changed


def moves(arrays: Arrays, dtype: str, draw: random.Random) -> list[Edit]:
    """Every kind of edit on each array, on a row that `draw` picks, and some on all rows; in an order of `draw`."""
    found: list[Edit] = []
    for name, array in sorted(arrays.items()):
        if not _editable(array):
            continue
        count = array.size // array.shape[-1]
        kinds: list[tuple[str, float]] = [("tie", 1.0), ("tie", FORMATS[dtype].mantissa // 2)]
        kinds += [("sort", 1.0), ("sort", -1.0), ("repeat", 1.0), ("peak", 2.0**-20), ("denormal", 0.25)]
        kinds += [*[("times", factor) for factor in FACTORS], *[("plus", shift) for shift in SHIFTS]]
        for kind, by in kinds:
            found.append({"array": name, "kind": kind, "row": draw.randrange(count), "by": float(by)})
            if kind in ("times", "plus", "sort") and count > 1:
                found.append({"array": name, "kind": kind, "row": EVERY, "by": float(by)})
    draw.shuffle(found)
    return found


def nudged(arrays: Arrays, dtype: str, seed: int) -> dict[str, np.ndarray]:
    """Every finite float moved by one unit in the last place of the dtype, up or down at random."""
    stream = np.random.default_rng(seed)
    step = 2 * FORMATS[dtype].unit_roundoff
    found = {}
    for name, array in arrays.items():
        if _editable(array):
            signs = stream.choice([-1.0, 1.0], array.shape)
            moved = round_to(array.astype(np.float64) * (1 + step * signs), dtype)
            found[name] = np.where(np.isfinite(moved), moved, array).astype(array.dtype)
    return found


def _editable(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" and array.ndim > 0 and array.size > 0 and bool(np.isfinite(array).all())


def _in_domain(array: np.ndarray, after: np.ndarray) -> bool:
    """Whether an edit keeps what the array shows of its domain.

    An array of one sign may be a variance, a decay or a scale: no entry gets the other sign. If it lies within [0, 1]
    as well, it may be a gate or a probability: its largest entry does not grow.
    """
    if array.min() < 0 < array.max():
        return True
    if np.any(np.sign(after) * np.sign(array.max() + array.min()) < 0):
        return False
    return bool(np.abs(array).max() > 1 or np.abs(after).max() <= np.abs(array).max())


def _edited(array: np.ndarray, edit: Edit, dtype: str) -> np.ndarray | None:
    wide = array.astype(np.float64).reshape(-1, array.shape[-1])
    chosen = range(len(wide)) if edit["row"] == EVERY else [edit["row"] % len(wide)]
    for row in chosen:
        wide[row] = _row(wide, row, edit, dtype)
    after = round_to(wide.reshape(array.shape), dtype)
    if not np.isfinite(after).all() or np.array_equal(after, array) or not _in_domain(array, after):
        return None
    return after


def _row(wide: np.ndarray, row: int, edit: Edit, dtype: str) -> np.ndarray:
    """One row after the edit. Shapes: wide (rows, length) -> (length,)."""
    values, kind, by = wide[row].copy(), edit["kind"], edit["by"]
    if kind == "times":
        return np.asarray(values * by)
    if kind == "plus":
        return np.asarray(values + by)
    if kind == "sort":
        return np.sort(values)[:: int(by)]
    if kind == "repeat":
        return wide[(row + int(by)) % len(wide)].copy()
    if kind == "tie":
        return _tied(values, by, dtype)
    top = int(np.abs(values).argmax())
    if kind == "peak":
        return np.where(np.arange(values.size) == top, values, values * by)
    largest = np.abs(values[top])
    return np.asarray(values * (by * FORMATS[dtype].min_normal / largest)) if largest else values


def _tied(values: np.ndarray, bits: float, dtype: str) -> np.ndarray:
    """The second largest entry set to 2^(bits - 1) units in the last place below the largest.

    An exact tie is left to the claims: which of two equal entries comes first is no question of round-off.
    """
    if values.size < 2:
        return values
    second, first = np.argsort(values, kind="stable")[-2:]
    values[second] = values[first] - 2.0**bits * FORMATS[dtype].unit_roundoff * np.abs(values[first])
    return values
