"""Falsifier of loading: float32 weights are rounded to the run's dtype, to nearest and ties to even."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.dtypes import FORMATS, AsStored, round_to
from harness.falsifiers.inputs.synthetic_model import small_config
from harness.observation import Observation
from harness.reference.model.families import declare

MEASURES = {
    "rounded_otherwise": "number of weights that differ from the float32 weight rounded to nearest, ties to even"
}
WIDTH, VOCAB = 64, 131


def rounded_at_load(subject: Any, case: Case, *, tensor: str) -> Observation:
    """Read the weights of one tensor from the logits of a model that is made to show them.

    All linear layers are 0, and token j is 8 on dimension j: its root mean square is 1, so that its logits are 8 times
    column j of the head, times the final gain, without any rounding but that of the weights.
    Shapes: tokens (1, 64) -> logits (1, 64, 131). Units: tensor is `head`, `embedding` (a tied head) or `norm`.
    """
    config = small_config(
        model_type="llama", layers=1, hidden=WIDTH, vocab=VOCAB, biases=False, tied=tensor == "embedding"
    )
    weights = {
        name: np.full(shape, float(name.endswith("norm.weight")), np.float32)
        for name, shape in declare(config).shapes().items()
    }
    embedding = weights["model.embed_tokens.weight"]
    embedding[:WIDTH] = 8 * np.eye(WIDTH)
    planted = _near_ties(case, (WIDTH,) if tensor == "norm" else (VOCAB - WIDTH, WIDTH))
    if tensor == "norm":
        weights["model.norm.weight"][:] = planted
        weights["lm_head.weight"][:] = 1.0
    else:
        weights.get("lm_head.weight", embedding)[WIDTH:] = planted
    stored = {name: w.view(AsStored) for name, w in weights.items()}
    logits = np.asarray(subject.load(config, stored).logits(np.arange(WIDTH)[None])[0, :, WIDTH:], np.float64)
    want = 8 * round_to(planted, case.dtype).astype(np.float64)
    return Observation(rounded_otherwise=int((logits != (want[:, None] if tensor == "norm" else want.T)).sum()))


def _near_ties(case: Case, shape: tuple[int, ...]) -> np.ndarray:
    """float32 numbers from 2**-7 to 4 in magnitude: ties of the dtype, their two neighbours, and others, in turn."""
    drop = 23 - FORMATS[case.dtype].mantissa
    half = 1 << (drop - 1)
    fraction = case.integers("fraction", shape, 0, 1 << 23)
    kept, turn = fraction >> drop << drop, np.arange(fraction.size).reshape(shape) % 4
    fraction = np.choose(turn, [kept + half, kept + half - 1, kept + half + 1, fraction])
    exponent = case.integers("exponent", shape, -7, 2)
    sign = 1 - 2 * case.integers("sign", shape, 0, 2)
    return (sign * np.ldexp(1 + fraction / 2.0**23, exponent)).astype(np.float32)
