"""The choice of tokens, wrong in one place each."""

import numpy as np

from wrong.version import Version, normal


def _real(logits, vocab_size):
    return logits[..., : vocab_size or logits.shape[-1]]


def maximum_starts_at_zero(wrong, logits, vocab_size=None):
    """The running maximum starts at 0: of negative numbers the first is chosen."""
    real = _real(logits, vocab_size)
    best = real.argmax(axis=-1)
    return np.where(wrong & (real.max(axis=-1) < 0), 0, best)


def last_of_equals(wrong, logits, vocab_size=None):
    """Of equal numbers the last is chosen."""
    real = _real(logits, vocab_size)
    return real.shape[-1] - 1 - real[..., ::-1].argmax(axis=-1) if wrong else real.argmax(axis=-1)


def padding_may_win(wrong, logits, vocab_size=None):
    """The columns that fill up the vocabulary take part."""
    return (logits if wrong else _real(logits, vocab_size)).argmax(axis=-1)


def ids_in_int16(wrong, logits, vocab_size=None):
    """The winner's id is int16."""
    best = _real(logits, vocab_size).argmax(axis=-1)
    return best.astype(np.int16).astype(np.int64) if wrong else best


def last_block_is_left_out(wrong, logits, vocab_size=None):
    """Blocks of 1,024 columns; the last, shorter one is not searched."""
    real = _real(logits, vocab_size)
    whole = real.shape[-1] // 1024 * 1024
    return (real[..., :whole] if wrong and whole else real).argmax(axis=-1)


def compared_in_bfloat16(wrong, logits, vocab_size=None):
    """Numbers are compared after rounding to bfloat16: near ties go to the first."""
    real = _real(logits, vocab_size).astype(np.float32)
    bits = real.view(np.uint32).astype(np.uint64)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)
    return (rounded if wrong else real).argmax(axis=-1)


def small_numbers_are_equal(wrong, logits, vocab_size=None):
    """Denormals are flushed: 0 and 1e-40 are equal."""
    real = _real(logits, vocab_size)
    tiny = np.finfo(np.float32).tiny
    return np.where(wrong & (np.abs(real) < tiny), 0, real).argmax(axis=-1)


def _best(logits, k):
    return np.argsort(-logits, axis=-1, kind="stable")[..., :k]


def equals_in_any_order(wrong, logits, k):
    """Equal numbers come out with the higher id first."""
    flipped = logits.shape[-1] - 1 - np.argsort(-logits[..., ::-1], axis=-1, kind="stable")[..., :k]
    return flipped if wrong else _best(logits, k)


def unsorted_beyond_32(wrong, logits, k):
    """From k = 33 on the ids are not sorted by their numbers but by themselves."""
    found = _best(logits, k)
    return np.sort(found, axis=-1) if wrong and k > 32 else found


def two_per_block(wrong, logits, k):
    """Each block of 64 columns offers its two largest: three winners in one block lose the third."""
    kept = np.array(logits, copy=True)
    for start in range(0, logits.shape[-1], 64):
        block = kept[..., start : start + 64]
        if wrong and k > 2 and block.shape[-1] > 2 and logits.shape[-1] >= 128:
            np.put_along_axis(block, np.argsort(-block, axis=-1, kind="stable")[..., 2:], -np.inf, axis=-1)
    return _best(kept, k)


def minus_infinity_is_found_again(wrong, logits, k):
    """What was chosen is set to −inf; if only −inf is left, ids repeat."""
    if not wrong:
        return _best(logits, k)
    left, found = np.array(logits, np.float64), []
    for _ in range(k):
        found.append(left.argmax(axis=-1))
        np.put_along_axis(left, found[-1][..., None], -np.inf, axis=-1)
    return np.stack(found, axis=-1)


def _rows(vocabulary, change=None, op="argmax", **options):
    def call(f, r):
        logits = normal(r, 3, vocabulary)
        if change:
            change(logits)
        return f.argmax(logits, **options) if op == "argmax" else f.top_k(logits, options["k"])

    return call


def _below_zero(logits):
    logits -= 20


def _equal(logits):
    logits[:, [3, 9]] = 8


def _late(logits):
    logits[:, -1] = 9


def _near(logits):
    logits[:, 3], logits[:, 9] = 8.0, 8.001


def _denormal(logits):
    logits[:] = -1
    logits[:, 3], logits[:, 9] = 0.0, 1e-40


def _together(logits):
    logits[:, 70:75] = np.arange(9, 14)


def _masked(logits):
    logits[:, 2:] = -np.inf


VERSIONS = (
    Version(
        maximum_starts_at_zero,
        "argmax",
        _rows(50, _below_zero),
        "given: kakaobrain/trident#143",
        rare="one value range",
    ),
    Version(last_of_equals, "argmax", _rows(50, _equal), "Synthetic: >= for > in the comparison", rare="equal numbers"),
    Version(
        padding_may_win,
        "argmax",
        _rows(64, _late, vocab_size=50),
        "Synthetic: the vocabulary is filled up to a multiple of 64, and its weights are not 0 after training",
    ),
    Version(
        ids_in_int16,
        "argmax",
        _rows(40000, _late),
        "Synthetic: an id is returned in the type that the token file has",
        rare="ids past 32,767",
    ),
    Version(
        last_block_is_left_out,
        "argmax",
        _rows(1500, _late),
        "Synthetic: the number of blocks is rounded down; 151,936 is no multiple of 1,024",
        rare="one residue of the length",
    ),
    Version(
        compared_in_bfloat16,
        "argmax",
        _rows(50, _near),
        "Synthetic: logits stay in the model's type until they are sampled",
        rare="near ties",
    ),
    Version(
        small_numbers_are_equal,
        "argmax",
        _rows(50, _denormal),
        "keras-team/keras#20350",
        rare="one value range",
    ),
    Version(
        equals_in_any_order,
        "top_k",
        _rows(50, _equal, "top_k", k=4),
        "Synthetic: a reversed ascending sort is stable the wrong way round",
        rare="equal numbers",
    ),
    Version(
        unsorted_beyond_32,
        "top_k",
        _rows(100, None, "top_k", k=33),
        "Synthetic: a warp sorts 32, and radix selection above that does not sort",
        rare="one option",
    ),
    Version(
        two_per_block,
        "top_k",
        _rows(200, _together, "top_k", k=4),
        "sgl-project/sglang#35257",
        rare="winners side by side",
    ),
    Version(
        minus_infinity_is_found_again,
        "top_k",
        _rows(50, _masked, "top_k", k=4),
        "Synthetic: what is chosen is masked by −inf, as what is forbidden",
        rare="one value",
    ),
)
