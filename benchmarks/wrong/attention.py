"""Attention, wrong in its heads, scale or weights."""

import numpy as np
from reordered.width import wide

from wrong.attending import attend, shared, visible, weighed
from wrong.version import Version, normal

BLOCK = 64


def heads_by_modulo(wrong, q, k, v, **options):
    """Query head h reads key head h modulo their number, instead of consecutive groups."""
    return attend(q, k, v, groups=(lambda head, heads, kv: head % kv) if wrong else shared, **options)


def groups_by_their_number(wrong, q, k, v, **options):
    """The group is found by dividing by the number of key heads: right only if both numbers are equal."""
    return attend(q, k, v, groups=(lambda head, heads, kv: head // kv) if wrong else shared, **options)


def groups_above_four(wrong, q, k, v, **options):
    """Groups of more than four query heads are taken as groups of four."""

    def of(head, heads, kv):
        return head // min(heads // kv, 4) % kv if wrong else shared(head, heads, kv)

    return attend(q, k, v, groups=of, **options)


def heads_by_a_shift(wrong, q, k, v, **options):
    """The group's size is rounded down to a power of two, and the division is a shift."""

    def of(head, heads, kv):
        return head >> ((heads // kv).bit_length() - 1) if wrong else shared(head, heads, kv)

    return attend(q, k, v, groups=of, **options)


def scale_of_the_padded_head(wrong, q, k, v, scale=None, **options):
    """The scale is taken from the head size after it was filled up to a multiple of 64."""
    size = -(-q.shape[-1] // 64) * 64 if wrong and q.shape[-1] > 64 else q.shape[-1]
    return attend(q, k, v, scale=size**-0.5 if scale is None else scale, **options)


def first_64_of_a_head(wrong, q, k, v, scale=None, **options):
    """Scores are taken over the first 64 numbers of a head."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    return attend(q[..., :64] if wrong else q, k[..., :64] if wrong else k, v, scale=scale, **options)


def scale_is_ignored(wrong, q, k, v, scale=None, **options):
    """A scale that is given is not used."""
    return attend(q, k, v, scale=None if wrong else scale, **options)


def running_maximum_of_the_block(wrong, q, k, v, **options):
    """Online softmax: the running maximum is the latest block's, the old sums are not scaled up again."""

    def weigh(scores, seen):
        if not wrong:
            return weighed(scores, seen)
        hidden = np.where(seen, scores, -np.inf)
        top = np.full((*scores.shape[:-1], 1), -np.inf, scores.dtype)
        weights = np.zeros_like(hidden)
        for start in range(0, scores.shape[-1], BLOCK):
            block = hidden[..., start : start + BLOCK]
            new = block.max(axis=-1, keepdims=True)
            new = np.where(np.isneginf(new), top, new)
            safe = np.where(np.isneginf(new), 0, new)
            weights[..., :start] *= np.exp(np.minimum(np.where(np.isneginf(top), 0, top - safe), 0))
            weights[..., start : start + BLOCK] = np.exp(block - safe)
            top = new
        total = weights.sum(axis=-1, keepdims=True)
        return weights / np.where(total == 0, 1, total)

    return attend(q, k, v, weigh=weigh, **options)


def scores_in_half(wrong, q, k, v, **options):
    """Scores are stored in float16 before the softmax: above 65,504 they are infinite, near it they are coarse."""

    def weigh(scores, seen):
        half = scores.astype(np.float16).astype(scores.dtype) if wrong and q.dtype == np.float16 else scores
        return weighed(half, seen)

    return attend(q, k, v, weigh=weigh, **options)


def scores_are_capped(wrong, q, k, v, **options):
    """Scores are clamped at 50, a guard of another model's."""

    def weigh(scores, seen):
        return weighed(np.clip(scores, -50, 50) if wrong else scores, seen)

    return attend(q, k, v, weigh=weigh, **options)


def last_part_of_a_split_is_lost(wrong, q, k, v, **options):
    """Keys beyond 1,024 are split into parts of 512; the last, shorter part is not run."""

    def mask(queries, keys, *rest):
        seen = visible(queries, keys, *rest)
        lost = wrong and keys > 1024 and keys % 512
        return seen & (np.arange(keys) < keys // 512 * 512) if lost else seen

    return attend(q, k, v, mask=mask, **options)


def batches_in_three_bits(wrong, q, k, v, **options):
    """The row of the batch is kept in three bits: row 8 reads the keys of row 0."""
    rows = np.arange(len(q)) % 8 if wrong else np.arange(len(q))
    return attend(q, k[rows], v[rows], **options)


def last_query_of_a_block(wrong, q, k, v, **options):
    """A query that stands alone in the last block of 64 does not see its own key."""

    def mask(queries, keys, causal, offset, *rest):
        seen = visible(queries, keys, causal, offset, *rest)
        if wrong and queries % BLOCK == 1 and queries > 1:
            seen = seen.copy()
            seen[:, -1, min(queries - 1 + offset, keys - 1)] = False
        return seen

    return attend(q, k, v, mask=mask, **options)


def values_of_the_last_call(wrong, memory, q, k, v, **options):
    """Every hundredth call multiplies with the values that the last call of this shape left behind."""
    memory["calls"] = memory.get("calls", 0) + 1
    left = memory.get(v.shape, v)
    memory[v.shape] = v
    return attend(q, k, left if wrong and memory["calls"] % 100 == 0 else v, **options)


def scale_twice(wrong, q, k, v, scale=None, **options):
    """The scale is applied to the query and to the scores."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    return attend(q * wide(q).dtype.type(scale) if wrong else q, k, v, scale=scale, **options)


def call(batch=2, heads=4, kv=2, queries=9, keys=9, size=16, std=1.0, dtype=np.float32, **options):
    """A trigger: one call of attention on normal inputs."""

    def trigger(f, r):
        q, k, v = (
            (std * normal(r, batch, h, t, size)).astype(dtype) for h, t in ((heads, queries), (kv, keys), (kv, keys))
        )
        return f.attention(q, k, v, **options)

    return trigger


def _falling(f, r):
    q = np.abs(normal(r, 1, 1, 1, 16))
    k = np.abs(normal(r, 1, 1, 200, 16)) * np.linspace(4, 0, 200, dtype=np.float32)[:, None]
    return f.attention(q, k, normal(r, 1, 1, 200, 16), causal=False)


def _often(f, r):
    return [f.attention(*(normal(r, 1, 2, 3, 4) for _ in range(3))) for _ in range(101)]


VERSIONS = (
    Version(
        heads_by_modulo,
        "attention",
        call(),
        "Synthetic: k.repeat(1, groups, 1, 1) where repeat_interleave is meant; both have the same shape",
    ),
    Version(
        groups_by_their_number,
        "attention",
        call(heads=12, kv=3),
        "PSAL-POSTECH/ONNXim#34",
        rare="head counts that are not a square",
    ),
    Version(
        groups_above_four,
        "attention",
        call(heads=12, kv=2),
        "given: HazyResearch/HipKittens#22",
        rare="one range of head ratios",
    ),
    Version(
        heads_by_a_shift,
        "attention",
        call(heads=12, kv=4),
        "Synthetic: Llama's ratios are powers of two and a shift is quicker; Qwen2.5-7B has 28 heads on 4",
        rare="head ratios that are no power of two",
    ),
    Version(
        scale_of_the_padded_head,
        "attention",
        call(size=80),
        "NVIDIA/FasterTransformer#89",
        rare="one range of head sizes",
    ),
    Version(first_64_of_a_head, "attention", call(size=96), "triton-lang/triton#621", rare="one range of head sizes"),
    Version(
        scale_is_ignored,
        "attention",
        call(scale=0.3),
        "Synthetic: a fused call without the argument, right for every model that keeps 1/sqrt(D)",
        rare="one option",
    ),
    Version(
        running_maximum_of_the_block,
        "attention",
        _falling,
        "given: tile-ai/TileOPs#239",
        rare="maxima that fall block by block",
    ),
    Version(
        scores_in_half,
        "attention",
        call(size=64, std=20.0, dtype=np.float16),
        "Synthetic: the product of two float16 matrices is stored in float16 before the scale",
        rare="one value range",
    ),
    Version(
        scores_are_capped,
        "attention",
        call(size=64, std=8.0),
        "Synthetic: a soft cap of 50 that belongs to Gemma 2, as a clamp",
        rare="one value range",
    ),
    Version(
        last_part_of_a_split_is_lost,
        "attention",
        call(batch=1, heads=2, kv=1, queries=3, keys=1100, offset=1097),
        "Synthetic: split-K attention whose number of parts is rounded down",
        rare="one length",
    ),
    Version(
        batches_in_three_bits,
        "attention",
        call(batch=9),
        "Synthetic: indices are packed into one word beside the head",
        rare="one batch size",
    ),
    Version(
        last_query_of_a_block,
        "attention",
        call(queries=65, keys=65),
        "Synthetic: an off-by-one in the bound of the last block, which no length of 64 or 128 meets",
        rare="one residue of the length",
    ),
    Version(
        values_of_the_last_call,
        "attention",
        _often,
        "Synthetic: a workspace that is reused before the last kernel has finished",
        rare="one call in a hundred",
        remembers=True,
    ),
    Version(scale_twice, "attention", call(), "Synthetic: a model scales its queries and the kernel scales again"),
)
