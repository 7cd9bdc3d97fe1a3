"""Attention, wrong in what a query sees: causal mask, window, padding, documents."""

import numpy as np

from wrong.attending import attend, visible, weighed
from wrong.attention import call
from wrong.version import Version, normal


def window_of_one_more(wrong, q, k, v, window=None, **options):
    """A window of n shows n + 1 keys, the query's own beside n before it."""
    return attend(q, k, v, window=window + 1 if wrong and window is not None else window, **options)


def window_is_ignored_behind_a_cache(wrong, q, k, v, window=None, offset=0, **options):
    """The window's diagonal has the wrong sign, so with earlier keys it hides nothing."""
    return attend(q, k, v, window=None if wrong and offset else window, offset=offset, **options)


def window_counts_from_the_block(wrong, q, k, v, **options):
    """The window starts at the first query of a block of 16: later queries of the block see too much."""

    def mask(queries, keys, causal, offset, window, padding, segments):
        seen = visible(queries, keys, causal, offset, None if wrong else window, padding, segments)
        if not wrong or window is None:
            return seen
        start = np.arange(queries)[:, None] // 16 * 16 + offset
        return seen & (np.arange(keys) > start - window)

    return attend(q, k, v, mask=mask, **options)


def causal_from_the_top_left(wrong, q, k, v, offset=0, **options):
    """With fewer queries than keys, the causal mask is that of the first queries."""

    def mask(queries, keys, causal, offset, *rest):
        return visible(queries, keys, causal, 0 if wrong else offset, *rest)

    return attend(q, k, v, mask=mask, offset=offset, **options)


def padding_on_the_other_side(wrong, q, k, v, padding=None, **options):
    """The first keys of a row are padding; the last ones are hidden."""
    if not wrong or padding is None:
        return attend(q, k, v, padding=padding, **options)

    def mask(queries, keys, causal, offset, window, padding, segments):
        seen = visible(queries, keys, causal, offset, window, None, segments)
        return seen & (np.arange(keys) < keys - np.asarray(padding)[:, None, None])

    return attend(q, k, v, mask=mask, padding=padding, **options)


def padding_of_the_first_row(wrong, q, k, v, padding=None, **options):
    """All rows of a batch have the first row's padding."""
    same = np.full_like(padding, padding[0]) if wrong and padding is not None else padding
    return attend(q, k, v, padding=same, **options)


def lengths_sorted(wrong, q, k, v, padding=None, **options):
    """Rows are sorted by their padding for the kernel, and put out in that order."""
    if not wrong or padding is None:
        return attend(q, k, v, padding=padding, **options)
    order = np.argsort(padding, kind="stable")
    return attend(q[order], k[order], v[order], padding=padding[order], **options)


def padding_in_eight_bits(wrong, q, k, v, padding=None, **options):
    """The padding of a row is kept in eight bits: 256 padded keys are none."""
    kept = np.asarray(padding) % 256 if wrong and padding is not None else padding
    return attend(q, k, v, padding=kept, **options)


def empty_rows_are_a_mean(wrong, q, k, v, **options):
    """Hidden scores are -1e9 instead of −inf: a query that sees no key gets the mean of all values."""

    def weigh(scores, seen):
        if not wrong:
            return weighed(scores, seen)
        hidden = np.where(seen, scores, scores.dtype.type(-1e9))
        weights = np.exp(hidden - hidden.max(axis=-1, keepdims=True))
        return weights / weights.sum(axis=-1, keepdims=True)

    return attend(q, k, v, weigh=weigh, **options)


def hidden_by_a_small_number(wrong, q, k, v, **options):
    """Hidden scores get −100 added: visible scores as low as that let them through."""

    def weigh(scores, seen):
        return weighed(scores - scores.dtype.type(100) * ~seen, np.ones_like(seen)) if wrong else weighed(scores, seen)

    def guarded(scores, seen):
        return np.where(seen.any(axis=-1, keepdims=True), weigh(scores, seen), 0)

    return attend(q, k, v, weigh=guarded, **options)


def documents_by_the_first_query(wrong, q, k, v, **options):
    """With earlier keys, a query's document is read at its own index, without the keys before it."""

    def mask(queries, keys, causal, offset, window, padding, segments):
        seen = visible(queries, keys, causal, offset, window, padding, None if wrong else segments)
        if not wrong or segments is None:
            return seen
        return seen & (segments[:, :queries, None] == segments[:, None])

    return attend(q, k, v, mask=mask, **options)


def documents_only_ascend(wrong, q, k, v, **options):
    """Document 0 is seen by all documents behind it."""

    def mask(queries, keys, causal, offset, window, padding, segments):
        seen = visible(queries, keys, causal, offset, window, padding, None if wrong else segments)
        if not wrong or segments is None:
            return seen
        own = segments[:, offset : offset + queries, None]
        return seen & ((own == segments[:, None]) | ((own > segments[:, None]) & (segments[:, None] == 0)))

    return attend(q, k, v, mask=mask, **options)


def positions_in_sixteen_bits(wrong, q, k, v, **options):
    """Positions in the mask are int16: beyond 32,767 a query sees no key before it."""

    def mask(queries, keys, causal, offset, window, padding, segments):
        if not wrong or not causal or queries + offset <= 32768:
            return visible(queries, keys, causal, offset, window, padding, segments)
        at = (np.arange(queries) + offset).astype(np.int16)[:, None]
        return visible(queries, keys, False, offset, window, padding, segments) & (np.arange(keys) <= at)

    return attend(q, k, v, mask=mask, **options)


def mask_of_the_first_call(wrong, memory, q, k, v, **options):
    """The mask is kept by the shape: a second call with another offset or window gets the first one's."""

    def mask(queries, keys, *rest):
        made = visible(queries, keys, *rest)
        return memory.setdefault((len(made), queries, keys), made) if wrong else made

    return attend(q, k, v, mask=mask, **options)


def keys_fill_up_the_block(wrong, q, k, v, **options):
    """Without a causal mask, keys of zero fill the last block of 64 and take their share."""

    def weigh(scores, seen):
        weights = weighed(scores, seen)
        lanes = -scores.shape[-1] % 64
        if not wrong or options.get("causal", True) or not lanes:
            return weights
        top = np.where(seen, scores, -np.inf).max(axis=-1, keepdims=True)
        total = np.exp(np.where(seen, scores, -np.inf) - top).sum(axis=-1, keepdims=True)
        return weights * total / (total + lanes * np.exp(-top))

    return attend(q, k, v, weigh=weigh, **options)


def _two_masks(f, r):
    q, k, v = normal(r, 1, 2, 4, 8), normal(r, 1, 2, 12, 8), normal(r, 1, 2, 12, 8)
    return f.attention(q, k, v, offset=8), f.attention(q, k, v, offset=3)


def _segments(*rows):
    return np.array(rows, np.int64)


VERSIONS = (
    Version(window_of_one_more, "attention", call(window=3), "huggingface/transformers#39408"),
    Version(
        window_is_ignored_behind_a_cache,
        "attention",
        call(queries=2, keys=12, offset=10, window=3),
        "huggingface/transformers#41228",
        rare="two options together",
    ),
    Version(
        window_counts_from_the_block,
        "attention",
        call(queries=20, keys=20, window=5),
        "Synthetic: whole blocks are skipped by their first query, and the mask inside a block is left out",
    ),
    Version(
        causal_from_the_top_left,
        "attention",
        call(queries=3, keys=9, offset=6),
        "Synthetic: flash attention before 2.1 aligned the mask at the top left",
    ),
    Version(padding_on_the_other_side, "attention", call(padding=np.array([2, 0])), "huggingface/transformers#29075"),
    Version(
        padding_of_the_first_row,
        "attention",
        call(batch=3, padding=np.array([2, 0, 4])),
        "Synthetic: a batch of one was generalised, and its padding was a number",
    ),
    Version(
        lengths_sorted,
        "attention",
        call(batch=3, padding=np.array([4, 0, 2])),
        "Synthetic: rows are sorted by length for the kernel and never put back",
        rare="one order of the rows",
    ),
    Version(
        padding_in_eight_bits,
        "attention",
        call(batch=1, queries=260, keys=260, padding=np.array([257])),
        "Synthetic: lengths are packed beside other fields",
        rare="one length",
    ),
    Version(
        empty_rows_are_a_mean,
        "attention",
        call(padding=np.array([3, 0])),
        "Synthetic: a large negative number in place of −inf avoids NaN, and hides an empty row",
        rare="a query that sees no key",
    ),
    Version(
        hidden_by_a_small_number,
        "attention",
        call(size=64, std=9.0),
        "Synthetic: BERT adds −10,000 to hidden scores, and float16 code adds less",
        rare="one value range",
    ),
    Version(
        documents_by_the_first_query,
        "attention",
        call(batch=1, queries=3, keys=6, offset=3, segments=_segments([0, 0, 0, 0, 1, 1])),
        "Synthetic: packing was written for training, where there are no earlier keys",
        rare="two options together",
    ),
    Version(
        documents_only_ascend,
        "attention",
        call(batch=1, segments=_segments([0, 0, 0, 1, 1, 1, 2, 2, 2])),
        "Synthetic: document 0 is taken for a prefix that all documents share",
    ),
    Version(
        positions_in_sixteen_bits,
        "attention",
        call(batch=1, heads=1, kv=1, queries=2, keys=32770, size=4, offset=32768),
        "vllm-project/tpu-inference#2755",
        rare="positions past 32,767",
    ),
    Version(
        mask_of_the_first_call,
        "attention",
        _two_masks,
        "Synthetic: a causal mask is a buffer, made once for a shape",
        remembers=True,
    ),
    Version(
        keys_fill_up_the_block,
        "attention",
        call(queries=5, keys=70, causal=False),
        "jax-ml/jax#27224",
        rare="one residue of the length",
    ),
)
