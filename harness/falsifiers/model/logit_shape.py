"""What logits must look like before any parity counts: they depend on the input, and they prefer something."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.inputs.synthetic_model import case_tokens
from harness.falsifiers.model.decoder import read_checkpoint
from harness.observation import Observation

MEASURES = {
    "logit_std": "the smaller of the logits' std over the vocabulary and over positions, root mean square",
    "peak_to_mean": "largest probability of a row over the mean probability 1/V, mean over rows",
}


def peaked(subject: Any, case: Case, *, weights: str, length: int, batch: int = 2) -> Observation:
    """Spread and peak of a checkpoint's logits on random tokens.

    Logits that are the same number everywhere have no spread over the vocabulary; logits that do not
    depend on the prompt have none over positions; logits that prefer nothing have a peak of 1.
    Shapes: tokens (batch, length) -> logits (batch, length, vocab).
    """
    config, tensors = read_checkpoint(str(weights), case.dtype)
    tokens = case_tokens(case, config, batch, length)
    logits = subject.load(config, tensors).logits(tokens).astype(np.float64)
    rows = logits.reshape(-1, logits.shape[-1])
    # max softmax is exp(max - logsumexp); taken so, no probability underflows.
    top = rows.max(axis=-1, keepdims=True)
    peak = rows.shape[-1] / np.exp(rows - top).sum(axis=-1)
    return Observation(
        logit_std=min(_root_mean_square(rows.std(axis=axis)) for axis in (0, 1)), peak_to_mean=peak.mean()
    )


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
