"""Correct losses and choices by other routes."""

import heapq
from types import SimpleNamespace

import numpy as np
import torch

from reordered.width import wide


def cross_entropy_by_lse(logits, targets, ignore_index=-100, label_smoothing=0.0):
    """log-sum-exp with the maximum added back, less the label's logit, token by token in one accumulator."""
    w, kept = wide(logits), targets != ignore_index
    top = w.max(axis=-1)
    lse = top + np.log(np.exp(w - top[..., None]).sum(axis=-1))
    picked = np.take_along_axis(w, np.where(kept, targets, 0)[..., None], axis=-1)[..., 0]
    picked = (1 - label_smoothing) * picked + label_smoothing * w.mean(axis=-1)
    return (np.add.accumulate((lse - picked)[kept].astype(w.dtype))[-1] / kept.sum(dtype=w.dtype)).astype(logits.dtype)


def cross_entropy_in_float64(logits, targets, **options):
    return cross_entropy_by_lse(logits.astype(np.float64), targets, **options).astype(logits.dtype)


def cross_entropy_through_softmax(logits, targets, ignore_index=-100, label_smoothing=0.0):
    """Row by row, the probability first and its logarithm after, without what is ignored."""
    losses = torch.log_softmax(logits.float(), dim=-1).flatten(0, -2)
    kept = [
        (1 - label_smoothing) * row[label] + label_smoothing * row.mean()
        for row, label in zip(losses, targets.flatten(), strict=True)
        if label != ignore_index
    ]
    return -torch.stack(kept).mean().to(logits.dtype)


def top_k_by_lexsort(logits, k):
    ids = np.broadcast_to(np.arange(logits.shape[-1]), logits.shape)
    return np.lexsort((ids, -logits), axis=-1)[..., :k]


def top_k_by_heap(logits, k):
    return np.array([heapq.nsmallest(k, range(len(row)), key=lambda i, row=row: (-row[i], i)) for row in logits])


def argmax_in_blocks(logits, vocab_size=None):
    real = logits[..., :vocab_size]
    blocks = [real[..., start : start + 100] for start in range(0, real.shape[-1], 100)]
    tops = np.stack([block.max(axis=-1) for block in blocks], axis=-1)
    ids = np.stack([100 * i + block.argmax(axis=-1) for i, block in enumerate(blocks)], axis=-1)
    return np.take_along_axis(ids, tops.argmax(axis=-1)[..., None], axis=-1)[..., 0]


KERNELS = {
    "cross_entropy": {
        "log-sum-exp": SimpleNamespace(cross_entropy=cross_entropy_by_lse),
        "log-softmax, token by token": SimpleNamespace(ARRAYS="torch", cross_entropy=cross_entropy_through_softmax),
        "float64 inside": SimpleNamespace(cross_entropy=cross_entropy_in_float64),
    },
    "top_k": {
        "lexsort": SimpleNamespace(top_k=top_k_by_lexsort),
        "heap": SimpleNamespace(top_k=top_k_by_heap),
    },
    "argmax": {
        "blocks": SimpleNamespace(argmax=argmax_in_blocks),
        "numpy": SimpleNamespace(argmax=lambda logits, vocab_size=None: logits[..., :vocab_size].argmax(axis=-1)),
    },
}
