"""Losses, wrong in one place each."""

import numpy as np
from reordered.width import wide

from wrong.version import Version, normal

HALF = 65536


def _lse(w):
    top = w.max(axis=-1, keepdims=True)
    return (np.log(np.exp(w - top).sum(axis=-1, keepdims=True)) + top)[..., 0]


def _picked(w, targets, kept):
    return np.take_along_axis(w, np.where(kept, targets, 0)[..., None], axis=-1)[..., 0]


def _mean(losses, kept, logits):
    total = np.where(kept, losses, 0).sum(dtype=losses.dtype)
    return (total / losses.dtype.type(kept.sum())).astype(logits.dtype)


def mean_over_all_tokens(wrong, logits, targets, ignore_index=-100):
    """The mean divides by all tokens, those that are ignored among them."""
    w, kept = wide(logits), targets != ignore_index
    losses = np.where(kept, _lse(w) - _picked(w, targets, kept), 0)
    return _mean(losses, np.ones_like(kept) if wrong else kept, logits)


def only_minus_100_is_ignored(wrong, logits, targets, ignore_index=-100):
    """ignore_index is −100, whatever is given: other ignored tokens count as their id, modulo the vocabulary."""
    w, kept = wide(logits), targets != (-100 if wrong else ignore_index)
    return _mean(_lse(w) - _picked(w, targets % w.shape[-1], kept), kept, logits)


def no_target_is_no_loss(wrong, logits, targets, ignore_index=-100):
    """If every token is ignored, the loss is 0, not NaN."""
    w, kept = wide(logits), targets != ignore_index
    if wrong and not kept.any():
        return np.zeros((), logits.dtype)
    return _mean(_lse(w) - _picked(w, targets, kept), kept, logits)


def large_vocabularies_end_early(wrong, logits, targets, ignore_index=-100):
    """The sum of exponentials ends at 65,536 columns."""
    w, kept = wide(logits), targets != ignore_index
    return _mean(_lse(w[..., :HALF] if wrong else w) - _picked(w, targets, kept), kept, logits)


def targets_in_sixteen_bits(wrong, logits, targets, ignore_index=-100):
    """Targets are int16: from 32,768 on another logit is picked."""
    w, kept = wide(logits), targets != ignore_index
    ids = targets.astype(np.int16).astype(np.int64) % w.shape[-1] if wrong else targets
    return _mean(_lse(w) - _picked(w, ids, kept), kept, logits)


def first_chunk_has_the_maximum(wrong, logits, targets, ignore_index=-100):
    """In chunks of 1,024 columns, the maximum of the first is subtracted from all: exp overflows further on."""
    w, kept = wide(logits), targets != ignore_index
    top = (w[..., :1024] if wrong else w).max(axis=-1, keepdims=True)
    lse = (np.log(np.exp(w - top).sum(axis=-1, keepdims=True)) + top)[..., 0]
    return _mean(lse - _picked(w, targets, kept), kept, logits)


def through_the_softmax(wrong, logits, targets, ignore_index=-100):
    """−log(softmax + 1e-9): a label far below the maximum costs at most 20.7."""
    w, kept = wide(logits), targets != ignore_index
    loss = _lse(w) - _picked(w, targets, kept)
    return _mean(-np.log(np.exp(-loss) + w.dtype.type(1e-9)) if wrong else loss, kept, logits)


def ragged_batches_average_rows(wrong, logits, targets, ignore_index=-100):
    """The mean is taken per row and then over the rows: right while each row ignores as many."""
    w, kept = wide(logits), targets != ignore_index
    losses = _lse(w) - _picked(w, targets, kept)
    if not wrong or targets.ndim < 2:
        return _mean(losses, kept, logits)
    rows = np.where(kept, losses, 0).sum(axis=-1) / np.maximum(kept.sum(axis=-1), 1)
    return rows.mean().astype(logits.dtype)


def last_token_of_an_odd_batch(wrong, logits, targets, ignore_index=-100):
    """Tokens run in pairs; the last of an odd number is left out of the sum and kept in the count."""
    w, kept = wide(logits), targets != ignore_index
    losses = np.where(kept, _lse(w) - _picked(w, targets, kept), 0)
    if wrong and losses.size % 2 and losses.size > 1:
        losses.reshape(-1)[-1] = 0
    return _mean(losses, kept, logits)


def bce_divides_by_the_weights(wrong, logits, labels, weights):
    """The mean divides by the sum of the weights."""
    w, y, by = wide(logits), np.clip(wide(labels), 0, 1), wide(weights)
    losses = by * (np.maximum(w, 0) - w * y + np.log1p(np.exp(-np.abs(w))))
    return (losses.sum() / (by.sum() if wrong else losses.size)).astype(logits.dtype)


def bce_through_the_sigmoid(wrong, logits, labels, weights):
    """The logarithm of a sigmoid, with 1e-7 added against log 0: confident mistakes cost at most 16."""
    w, y, by = wide(logits), np.clip(wide(labels), 0, 1), wide(weights)
    losses = np.maximum(w, 0) - w * y + np.log1p(np.exp(-np.abs(w)))
    if wrong:
        p = 1 / (1 + np.exp(-w))
        losses = -(y * np.log(p + w.dtype.type(1e-7)) + (1 - y) * np.log(1 - p + w.dtype.type(1e-7)))
    return (by * losses).mean().astype(logits.dtype)


def bce_labels_as_they_are(wrong, logits, labels, weights):
    """Labels are not clamped to [0, 1]."""
    w, y, by = wide(logits), wide(labels), wide(weights)
    y = y if wrong else np.clip(y, 0, 1)
    return (by * (np.maximum(w, 0) - w * y + np.log1p(np.exp(-np.abs(w))))).mean().astype(logits.dtype)


def _tokens(*shape, vocabulary=50, ignored=(), ignore_index=-100, shift=None, at=None):
    def call(f, r):
        logits = normal(r, *shape, vocabulary)
        targets = r.integers(0, vocabulary, shape) if at is None else np.full(shape, at)
        if shift:
            logits[..., shift[0]] += shift[1]
        targets.reshape(-1)[list(ignored)] = ignore_index
        return f.cross_entropy(logits, targets, **({} if ignore_index == -100 else {"ignore_index": ignore_index}))

    return call


def _examples(std=1.0, label=1.0):
    def call(f, r):
        return f.weighted_bce(
            std * normal(r, 9), (label * r.integers(0, 2, 9)).astype(np.float32), np.abs(normal(r, 9))
        )

    return call


VERSIONS = (
    Version(mean_over_all_tokens, "cross_entropy", _tokens(2, 5, ignored=[0, 3]), "Synthetic: loss.mean() over a mask"),
    Version(
        only_minus_100_is_ignored,
        "cross_entropy",
        _tokens(2, 5, ignored=[0, 3], ignore_index=-1),
        "flagos-ai/FlagGems#73",
        rare="one option",
    ),
    Version(
        no_target_is_no_loss,
        "cross_entropy",
        _tokens(1, 3, ignored=[0, 1, 2]),
        "Synthetic: the count is floored at 1 against a division by 0, which hides an empty batch",
        rare="no token counts",
    ),
    Version(
        large_vocabularies_end_early,
        "cross_entropy",
        _tokens(1, 2, vocabulary=151936),
        "Synthetic: Triton's largest block is 65,536, and Qwen's vocabulary has 151,936 ids",
        rare="one length",
    ),
    Version(
        targets_in_sixteen_bits,
        "cross_entropy",
        _tokens(1, 2, vocabulary=40000, at=39000),
        "Synthetic: targets are kept as the token file has them",
        rare="ids past 32,767",
    ),
    Version(
        first_chunk_has_the_maximum,
        "cross_entropy",
        _tokens(1, 4, vocabulary=3000, shift=(2000, 120.0)),
        "Synthetic: a chunked loss whose first pass covers one chunk",
        rare="one length and value",
    ),
    Version(
        through_the_softmax,
        "cross_entropy",
        _tokens(1, 3, shift=(0, 40.0), at=3),
        "Synthetic: a small number is added against log 0",
        rare="one value range",
    ),
    Version(
        ragged_batches_average_rows,
        "cross_entropy",
        _tokens(3, 6, ignored=[1, 2, 3, 13]),
        "Synthetic: the loss is averaged per example before the batch is",
        rare="rows that ignore unequally",
    ),
    Version(
        last_token_of_an_odd_batch,
        "cross_entropy",
        _tokens(1, 7),
        "Synthetic: two rows per block, and no tail",
        rare="one residue of the tokens",
    ),
    Version(bce_divides_by_the_weights, "weighted_bce", _examples(), "Synthetic: a weighted mean in another library"),
    Version(
        bce_through_the_sigmoid,
        "weighted_bce",
        _examples(std=20.0),
        "Synthetic: probabilities first, and a small number against log 0",
        rare="one value range",
    ),
    Version(
        bce_labels_as_they_are,
        "weighted_bce",
        _examples(label=1.5),
        "Synthetic: labels are taken for 0 and 1",
        rare="one value range",
    ),
)
