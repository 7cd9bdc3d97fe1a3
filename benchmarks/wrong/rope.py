"""Rotary embedding, wrong in one place each."""

import numpy as np

from wrong.turning import frequencies, turn
from wrong.version import Version, normal


def table_wraps(wrong, x, positions, **options):
    """The table has 2,048 rows, and position 2,048 reads row 0."""
    return turn(x, np.asarray(positions) % 2048 if wrong else positions, **options)


def int16_positions(wrong, x, positions, **options):
    """Positions are int16: 32,768 is −32,768."""
    return turn(x, np.asarray(positions).astype(np.int16) if wrong else positions, **options)


def negative_positions_are_positive(wrong, x, positions, **options):
    """Positions are unsigned: a negative one turns forwards."""
    return turn(x, np.abs(positions) if wrong else positions, **options)


def angles_in_half(wrong, x, positions, **options):
    """Positions times frequencies in float16."""

    def angles(positions, speed):
        return (np.asarray(positions).astype(np.float16)[:, None] * speed.astype(np.float16)).astype(np.float64)

    return turn(x, positions, angles=angles if wrong and x.dtype == np.float16 else None, **options)


def frequencies_in_bfloat16(wrong, x, positions, **options):
    """Frequencies keep eight bits, as after model.to(bfloat16); far positions are turned by another angle."""

    def rates(size, theta, scaling):
        speed, factor = frequencies(size, theta, scaling)
        bits = speed.astype(np.float32).view(np.uint32)
        return (bits & 0xFFFF0000).view(np.float32).astype(np.float64) if wrong else speed, factor

    return turn(x, positions, rates=rates, **options)


def positions_from_the_first(wrong, x, positions, **options):
    """Only the first position is read, the others are counted up from it."""
    positions = np.asarray(positions)
    return turn(x, positions[0] + np.arange(len(positions)) if wrong else positions, **options)


def positions_start_at_zero(wrong, x, positions, **options):
    """Positions are counted from 0, whatever is given."""
    return turn(x, np.arange(len(positions)) if wrong else positions, **options)


def one_token_is_at_zero(wrong, x, positions, **options):
    """A single token, as in decoding, is turned as the first."""
    return turn(x, np.zeros(1) if wrong and len(positions) == 1 else positions, **options)


def base_of_10000(wrong, x, positions, theta, **options):
    """The base is 10,000, whatever is given."""
    return turn(x, positions, theta=10000.0 if wrong else theta, **options)


def base_kept_from_the_first_call(wrong, memory, x, positions, theta, **options):
    """The table is kept by the head size: a second model's base is not used."""
    return turn(x, positions, theta=memory.setdefault(x.shape[-1], theta) if wrong else theta, **options)


def partial_by_the_whole_head(wrong, x, positions, rotary_dim=None, **options):
    """With rotary_dim, frequencies are spread over the whole head."""

    def rates(size, theta, scaling):
        speed, factor = frequencies(x.shape[-1] if wrong else size, theta, scaling)
        return speed[: size // 2], factor

    return turn(x, positions, rotary_dim=rotary_dim, rates=rates, **options)


def tail_is_dropped(wrong, x, positions, rotary_dim=None, **options):
    """What is not turned is 0."""
    out = turn(x, positions, rotary_dim=rotary_dim, **options)
    if wrong and rotary_dim:
        out[..., rotary_dim:] = 0
    return out


def odd_pairs_are_not_turned(wrong, x, positions, **options):
    """Pairs are turned 16 at a time; those left over in a head stay as they are."""
    out = turn(x, positions, **options)
    size = options.get("rotary_dim") or x.shape[-1]
    whole = size // 2 // 16 * 16
    if wrong and whole and whole != size // 2 and not options.get("interleaved"):
        out[..., whole : size // 2] = x[..., whole : size // 2]
        out[..., size // 2 + whole : size] = x[..., size // 2 + whole : size]
    return out


def heads_above_32(wrong, x, positions, **options):
    """Heads from the 33rd on are not turned."""
    out = turn(x, positions, **options)
    if wrong:
        out[:, 32:] = x[:, 32:]
    return out


def halves_for_neighbours(wrong, x, positions, interleaved=False, **options):
    """Neighbouring pairs are asked for, and halves are turned."""
    return turn(x, positions, interleaved=False if wrong else interleaved, **options)


def turned_at(positions, size=32, heads=2, theta=10000.0, dtype=np.float32, **options):
    def trigger(f, r):
        x = normal(r, 1, heads, len(positions), size, dtype=dtype)
        return f.rope(x, np.array(positions, np.int64), theta=theta, **options)

    return trigger


def _two_bases(f, r):
    x, positions = normal(r, 1, 2, 4, 16), np.arange(4)
    return f.rope(x, positions, theta=10000.0), f.rope(x, positions, theta=1000000.0)


VERSIONS = (
    Version(
        table_wraps,
        "rope",
        turned_at([2047, 2048, 2049]),
        "Synthetic: a table for the training length, read modulo its length so that it cannot fault",
        rare="positions past 2,047",
    ),
    Version(
        int16_positions,
        "rope",
        turned_at([32767, 32768]),
        "vllm-project/tpu-inference#2755",
        rare="positions past 32,767",
    ),
    Version(
        negative_positions_are_positive,
        "rope",
        turned_at([-3, -2, -1]),
        "Synthetic: relative positions and left-shifted caches have negative ones, and the type is unsigned",
        rare="negative positions",
    ),
    Version(
        angles_in_half,
        "rope",
        turned_at([1857], dtype=np.float16),
        "EleutherAI/gpt-neox#1003",
        rare="one value range",
    ),
    Version(frequencies_in_bfloat16, "rope", turned_at([100, 4000]), "sgl-project/sglang-jax#1472"),
    Version(
        positions_from_the_first,
        "rope",
        turned_at([5, 3, 9, 9]),
        "Synthetic: a fused kernel takes an offset where the model passes position ids",
        rare="positions with gaps, or in another order",
    ),
    Version(positions_start_at_zero, "rope", turned_at([7, 8, 9]), "Synthetic: a table is sliced by the length alone"),
    Version(
        one_token_is_at_zero,
        "rope",
        turned_at([41]),
        "Synthetic: the offset is left out in the decoding path, and prefill is all that is tested",
        rare="one length",
    ),
    Version(
        base_of_10000, "rope", turned_at([7, 8, 9], theta=500000.0), "Synthetic: rope_theta is read from another key"
    ),
    Version(
        base_kept_from_the_first_call,
        "rope",
        _two_bases,
        "Synthetic: a table in a module-wide cache",
        remembers=True,
    ),
    Version(
        partial_by_the_whole_head,
        "rope",
        turned_at([5, 6], rotary_dim=16),
        "Synthetic: partial rotation is added to code that reads the head's size",
    ),
    Version(
        tail_is_dropped,
        "rope",
        turned_at([5, 6], rotary_dim=16),
        "Synthetic: the output is allocated as zeros, and only what is turned is written",
    ),
    Version(
        odd_pairs_are_not_turned,
        "rope",
        turned_at([5, 6], size=80),
        "Synthetic: vectors of 16 pairs and no tail; head sizes of 64 and 128 have none",
        rare="one residue of the head size",
    ),
    Version(
        heads_above_32,
        "rope",
        turned_at([5, 6], heads=40),
        "Synthetic: one warp holds a thread per head",
        rare="more heads than a warp has threads",
    ),
    Version(
        halves_for_neighbours,
        "rope",
        turned_at([5, 6], interleaved=True),
        "Synthetic: GPT-NeoX's and GPT-J's pairing differ by nothing but an index",
    ),
)
