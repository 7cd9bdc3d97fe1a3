"""Inputs on which wrong rotary embeddings show: late positions, other bases, heads that rotate in part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.ops.inputs.call import Call
from harness.reference.ops.rope import rope_forward

ORIGINAL_CONTEXT = 1024
"""Contexts are scaled from here, so that the claims' positions lie before and beyond it."""
SCALINGS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "linear": {"rope_type": "linear", "factor": 4.0},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": ORIGINAL_CONTEXT,
    },
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": ORIGINAL_CONTEXT},
    "yarn_given": {
        "rope_type": "yarn",
        "factor": 8.0,
        "attention_factor": 1.3,
        "original_max_position_embeddings": ORIGINAL_CONTEXT,
    },
    "yarn_mscale": {
        "rope_type": "yarn",
        "factor": 40.0,
        "beta_fast": 16.0,
        "beta_slow": 2.0,
        "mscale": 1.0,
        "mscale_all_dim": 0.7,
        "truncate": False,
        "original_max_position_embeddings": ORIGINAL_CONTEXT,
    },
}
"""Hugging Face `rope_parameters` by the name that contracts use."""


def _gaps(stream: np.random.Generator, positions: np.ndarray) -> np.ndarray:
    return positions + np.cumsum(stream.integers(0, 5, positions.shape))


ORDERS: dict[str, Callable[[np.random.Generator, np.ndarray], np.ndarray]] = {
    "rising": lambda _, positions: positions,
    "shuffled": lambda stream, positions: stream.permutation(positions),
    "repeated": lambda stream, positions: positions[0] + np.sort(stream.integers(0, positions.size, positions.shape)),
    "gaps": _gaps,
    "negative": lambda _, positions: -positions,
}
"""Positions of a row of tokens: in order, of a tree or a packed batch, with gaps; negative, which angles may be."""


def rope(
    case: Case,
    variant: int = 0,
    *,
    theta: float,
    start: int,
    length: int,
    head_dim: int,
    rotary_dim: int | None = None,
    interleaved: bool = False,
    scaling: str = "none",
    batch: int = 2,
    heads: int = 3,
    order: str = "rising",
) -> Call:
    """Normal heads at positions start .. start + length - 1 in an order, rotated in their first rotary_dim dimensions.

    Variant 1 is other data of the same shape, 7 positions on, with twice the base.
    Shapes: x (batch, heads, length, head_dim), positions (length,), int64.
    Raises: KeyError if SCALINGS or ORDERS has no such name.
    """
    x = case.normal(f"x{variant}", (batch, heads, length, head_dim))
    first = start + 7 * variant
    name = f"positions{variant}"
    positions = case.array(name, lambda: ORDERS[order](case.stream(name), first + np.arange(length)))
    options = {
        "theta": theta * (1 + variant),
        "interleaved": interleaved,
        "rotary_dim": None if rotary_dim == head_dim else rotary_dim,
        "scaling": SCALINGS[scaling],
    }
    return Call((x, positions), rope_forward, options)
