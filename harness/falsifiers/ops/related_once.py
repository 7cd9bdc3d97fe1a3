"""Relations that one op alone has: attention in time and with padding, and the cross entropy's mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.ops.inputs.call import Call
from harness.falsifiers.ops.related_calls import Related
from harness.falsifiers.ops.shapes import arguments, with_arguments

PADS = 5
LOUD = 30.0
"""Numbers that must not be looked at are this large, so that a small weight on them shows."""
IGNORED = -100


def split_time(case: Case, call: Call) -> Related:
    """Causal attention to a prefix, then of the other queries to all keys, is attention in one call."""
    q, k = call.args[:2]
    queries, keys = q.shape[2], k.shape[2]
    at = int(case.stream("relation").integers(1, queries)) if queries > 1 else queries
    parts = [(0, at)] + [(at, queries)] * (at < queries)
    moved = [_cut(call, 0, first, stop, keys - queries + stop) for first, stop in parts]
    return Related(call, moved, lambda answers: np.concatenate(answers, axis=2), lambda answer: answer)


def pad_left(case: Case, call: Call) -> Related:
    """Five loud keys before all others, declared as padding, change nothing."""
    given = arguments(call)
    padding, segments = given.get("padding"), given.get("segments")
    batch = given["q"].shape[0]
    more = {
        **_loud(case, given, before=True),
        "offset": given["offset"] + PADS,
        "padding": (np.zeros(batch, np.int64) if padding is None else padding) + PADS,
        "segments": None if segments is None else np.pad(segments, ((0, 0), (PADS, 0)), mode="edge"),
    }
    return Related(call, [with_arguments(call, more)], lambda answers: answers[0], lambda answer: answer)


def pad_right(case: Case, call: Call) -> Related:
    """Five loud keys after the last query's position change nothing: a causal query does not see them."""
    given = arguments(call)
    segments = given.get("segments")
    more = {
        **_loud(case, given, before=False),
        "segments": None if segments is None else np.pad(segments, ((0, 0), (0, PADS)), mode="edge"),
    }
    return Related(call, [with_arguments(call, more)], lambda answers: answers[0], lambda answer: answer)


def unpad(case: Case, call: Call) -> Related:
    """Each row of a padded batch is the row alone without its padding."""
    given = arguments(call)
    queries, keys, offset = given["q"].shape[2], given["k"].shape[2], given["offset"]
    rows = [(row, int(pad), max(int(pad) - offset, 0)) for row, pad in enumerate(given["padding"])]
    rows = [(row, pad, first) for row, pad, first in rows if pad < keys and first < queries]
    moved = []
    for row, pad, first in rows:
        alone = _cut(_row(call, row), pad, first, queries, keys)
        moved.append(with_arguments(alone, {"padding": None, "offset": offset + first - pad}))
    return Related(
        call,
        moved,
        lambda answers: np.concatenate([_flat(answer) for answer in answers]),
        lambda answer: np.concatenate([_flat(answer[row, :, first:]) for row, _, first in rows]),
    )


def ignored_added(case: Case, call: Call) -> Related:
    """A row of loud logits whose labels are all -100 does not change the mean loss."""
    logits, targets = call.args
    loud = (LOUD * case.stream("relation").standard_normal(logits[:1].shape)).round().astype(logits.dtype)
    more = {
        "logits": np.concatenate([logits, loud]),
        "targets": np.concatenate([targets, np.full_like(targets[:1], IGNORED)]),
    }
    return Related(call, [with_arguments(call, more)], lambda answers: answers[0], lambda answer: answer)


def weighted_parts(case: Case, call: Call) -> Related:
    """The mean over tokens is the mean of each row's loss, weighted by its labels that count."""
    logits, targets = call.args
    counts = (targets != IGNORED).sum(axis=1)
    rows = np.flatnonzero(counts)
    moved = [with_arguments(call, {"logits": logits[[row]], "targets": targets[[row]]}) for row in rows]
    return Related(
        call,
        moved,
        lambda answers: np.average(np.asarray(answers, np.float64), weights=counts[rows]),
        lambda answer: answer,
    )


def shift_positions(case: Case, call: Call) -> Related:
    """Products of two rotated rows depend on the distance of their positions: all moved on by as much, they stay."""
    positions = arguments(call)["positions"]
    by = int(case.stream("relation").integers(1000, 3000))
    moved = with_arguments(call, {"positions": positions + by})
    return Related(call, [moved], lambda answers: _products(answers[0]), _products)


_FUNCTIONS = (split_time, pad_left, pad_right, unpad, ignored_added, weighted_parts, shift_positions)
ONCE = {each.__name__: each for each in _FUNCTIONS}


def _products(rows: np.ndarray) -> np.ndarray:
    """Shapes: (..., T, D) -> (..., T, T)."""
    wide = rows.astype(np.float64)
    return np.asarray(wide @ wide.swapaxes(-1, -2))


def _cut(call: Call, pad: int, first: int, stop: int, keys: int) -> Call:
    """Queries first .. stop over keys pad .. keys of the call; the offset counts from the whole call's first key."""
    given = arguments(call)
    segments = given.get("segments")
    return with_arguments(
        call,
        {
            "q": given["q"][:, :, first:stop],
            "k": given["k"][:, :, pad:keys],
            "v": given["v"][:, :, pad:keys],
            "offset": given["offset"] + first,
            "segments": None if segments is None else segments[:, pad:keys],
        },
    )


def _row(call: Call, row: int) -> Call:
    batch: dict[str, Any] = {}
    for name, value in arguments(call).items():
        batch[name] = value[row : row + 1] if isinstance(value, np.ndarray) else value
    return with_arguments(call, batch)


def _flat(answer: np.ndarray) -> np.ndarray:
    return answer.reshape(-1, answer.shape[-1])


def _loud(case: Case, given: dict[str, Any], before: bool) -> dict[str, np.ndarray]:
    """Keys and values with five loud ones added. Shapes: (B, KV, Tk, D) -> (B, KV, Tk + 5, D)."""
    found = {}
    for name in ("k", "v"):
        array = given[name]
        shape = (*array.shape[:2], PADS, array.shape[3])
        loud = (LOUD * case.stream(f"loud {name}").standard_normal(shape)).round().astype(array.dtype)
        found[name] = np.concatenate([loud, array] if before else [array, loud], axis=2)
    return found
