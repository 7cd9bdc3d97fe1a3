"""Falsifier of degenerate logits: they must depend on the input and must not be uniform."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.inputs.checkpoint import read_checkpoint
from harness.falsifiers.inputs.synthetic_model import case_tokens
from harness.observation import Observation

MEASURES = {
    "logit_std": "root mean square of the logits' std over the vocabulary or over positions, whichever is smaller",
    "peak_to_mean": "largest probability of a row over the mean probability 1/V, averaged over rows",
}


def peaked(subject: Any, case: Case, *, weights: str, length: int, batch: int = 2) -> Observation:
    """Spread and peak of a checkpoint's logits on random tokens.

    Constant logits have no spread over the vocabulary; logits that do not depend on the prompt have
    no spread over positions; uniform logits have a peak of 1.
    Shapes: tokens (batch, length) -> logits (batch, length, vocab).
    """
    config, tensors = read_checkpoint(str(weights), case.dtype)
    tokens = case_tokens(case, config, batch, length)
    logits = subject.load(config, tensors).logits(tokens).astype(np.float64)
    rows = logits.reshape(-1, logits.shape[-1])
    # The largest probability is exp(max - logsumexp); this form cannot underflow.
    top = rows.max(axis=-1, keepdims=True)
    peak = rows.shape[-1] / np.exp(rows - top).sum(axis=-1)
    return Observation(
        logit_std=min(_root_mean_square(rows.std(axis=axis)) for axis in (0, 1)), peak_to_mean=peak.mean()
    )


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
