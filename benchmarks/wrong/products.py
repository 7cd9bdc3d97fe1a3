"""Linear layers, matrix products and embeddings, wrong in one place each."""

import numpy as np
from reordered.width import wide

from wrong.version import Version, normal


def _linear(x, weight, bias):
    out = wide(x) @ wide(weight).T
    return (out if bias is None else out + wide(bias)).astype(x.dtype)


def bias_left_out_above_32_rows(wrong, x, weight, bias=None):
    """More than 32 rows take another kernel, which has no bias."""
    many = x.size // x.shape[-1] > 32
    return _linear(x, weight, None if wrong and many else bias)


def bias_in_every_part(wrong, x, weight, bias=None):
    """From 2,048 inputs on, the sum is split in two, and each part adds the bias."""
    twice = wrong and x.shape[-1] >= 2048 and bias is not None
    return _linear(x, weight, 2 * bias if twice else bias)


def inner_tail_is_lost(wrong, x, weight, bias=None):
    """The inner axis runs in blocks of 32; what is left over is not added."""
    inner = x.shape[-1] // 32 * 32 if wrong and x.shape[-1] > 32 else x.shape[-1]
    return _linear(x[..., :inner], weight[:, :inner], bias)


def outputs_beyond_the_last_block(wrong, x, weight, bias=None):
    """Outputs run in blocks of 64; those left over hold the bias alone."""
    out = _linear(x, weight, bias)
    whole = len(weight) // 64 * 64
    if wrong and whole:
        out[..., whole:] = 0 if bias is None else bias[whole:]
    return out


def square_weights_are_transposed(wrong, x, weight, bias=None):
    """A square weight is taken as (inputs, outputs)."""
    square = wrong and weight.shape[0] == weight.shape[1]
    return _linear(x, weight.T if square else weight, bias)


def long_sums_in_half(wrong, x, weight, bias=None):
    """Beyond 1,024 inputs, float16 partial sums of 128 are added in float16."""
    if not wrong or x.dtype != np.float16 or x.shape[-1] <= 1024:
        return _linear(x, weight, bias)
    total = np.float16(0)
    for start in range(0, x.shape[-1], 128):
        part = wide(x[..., start : start + 128]) @ wide(weight[:, start : start + 128]).T
        total = total + part.astype(np.float16)
    return (total if bias is None else total + bias).astype(x.dtype)


def one_row_beyond_4096(wrong, x, weight, bias=None):
    """A single row, as in decoding, is read up to 4,096 inputs: what fits into shared memory."""
    one = wrong and x.size == x.shape[-1]
    return _linear(x[..., :4096] if one else x, weight[:, :4096] if one else weight, bias)


def a_row_of_the_wrong_batch(wrong, x, weight, bias=None):
    """With three or more batches, the first row of the last one is computed from the one before."""
    if wrong and x.ndim == 3 and len(x) >= 3:
        x = x.copy()
        x[-1, 0] = x[-2, 0]
    return _linear(x, weight, bias)


def batches_share_the_first(wrong, a, b):
    """A stack of right-hand matrices is read as its first one."""
    return (wide(a) @ wide(b[:1] if wrong and b.ndim == 3 else b)).astype(a.dtype)


def odd_inner_axis(wrong, a, b):
    """Pairs of numbers are multiplied at once; the last of an odd inner axis is lost."""
    inner = a.shape[-1] - (a.shape[-1] % 2 if wrong and a.shape[-1] > 1 else 0)
    return (wide(a[..., :inner]) @ wide(b[..., :inner, :])).astype(a.dtype)


def tall_times_wide(wrong, a, b):
    """A product with an inner axis of one adds in place of the row before."""
    out = wide(a) @ wide(b)
    if wrong and a.shape[-1] == 1 and a.shape[-2] > 1:
        out[..., 1:, :] += out[..., :1, :]
    return out.astype(a.dtype)


def ids_in_sixteen_bits(wrong, tokens, weight):
    """Ids are int16: from 32,768 on another row is read."""
    ids = np.asarray(tokens).astype(np.int16) if wrong else tokens
    return weight[ids]


def id_zero_is_padding(wrong, tokens, weight):
    """Id 0 is padding, and its row is 0."""
    out = weight[tokens]
    return np.where(wrong & (np.asarray(tokens) == 0)[..., None], 0, out).astype(weight.dtype)


def last_id_is_clipped(wrong, tokens, weight):
    """Ids are clipped to the last but one, which an added token exceeds."""
    return weight[np.minimum(tokens, len(weight) - 2)] if wrong and len(weight) > 1 else weight[tokens]


def _rows(rows, inner, outer, bias=True, dtype=np.float32):
    def call(f, r):
        shape = rows if isinstance(rows, tuple) else (rows,)
        x, weight = normal(r, *shape, inner, dtype=dtype), normal(r, outer, inner, dtype=dtype)
        return f.linear(x, weight, normal(r, outer, dtype=dtype)) if bias else f.linear(x, weight)

    return call


def _product(*shapes):
    return lambda f, r: f.matmul(*(normal(r, *shape) for shape in shapes))


def _ids(ids, vocabulary):
    return lambda f, r: f.embedding(np.array(ids, np.int64), normal(r, vocabulary, 4))


VERSIONS = (
    Version(
        bias_left_out_above_32_rows,
        "linear",
        _rows(33, 16, 8),
        "Synthetic: the decoding kernel and the prefill kernel are two, and one has an epilogue",
        rare="one row count",
    ),
    Version(
        bias_in_every_part,
        "linear",
        _rows(2, 2048, 8),
        "Synthetic: split-K with the bias in the epilogue of each part",
        rare="one length",
    ),
    Version(
        inner_tail_is_lost,
        "linear",
        _rows(2, 80, 8),
        "Synthetic: quantised layers come in blocks of 32, and the float path inherits the loop",
        rare="one residue of the length",
    ),
    Version(
        outputs_beyond_the_last_block,
        "linear",
        _rows(2, 16, 100),
        "Synthetic: the grid is rounded down",
        rare="one residue of the length",
    ),
    Version(
        square_weights_are_transposed,
        "linear",
        _rows(2, 16, 16),
        "Synthetic: the layout is guessed from the shape, which a square matrix does not tell",
        rare="one shape",
    ),
    Version(
        long_sums_in_half,
        "linear",
        _rows(2, 4096, 8, dtype=np.float16),
        "Synthetic: allow_fp16_reduced_precision_reduction, torch's default on CUDA",
        rare="one length",
    ),
    Version(
        one_row_beyond_4096,
        "linear",
        _rows(1, 4097, 4),
        "Synthetic: the vector is copied into an array of 4,096",
        rare="one length",
    ),
    Version(
        a_row_of_the_wrong_batch,
        "linear",
        _rows((3, 2), 8, 4),
        "Synthetic: a stride that is right for two batches",
        rare="one batch size",
    ),
    Version(
        batches_share_the_first,
        "matmul",
        _product((3, 4, 5), (3, 5, 6)),
        "Synthetic: the right-hand side is taken for a weight",
    ),
    Version(
        odd_inner_axis,
        "matmul",
        _product((4, 7), (7, 5)),
        "Synthetic: half2 products without a tail",
        rare="one residue of the length",
    ),
    Version(
        tall_times_wide,
        "matmul",
        _product((4, 1), (1, 5)),
        "Synthetic: an accumulator that is cleared when the second step of a loop begins",
        rare="one length",
    ),
    Version(
        ids_in_sixteen_bits,
        "embedding",
        _ids([5, 40000], 50257),
        "Synthetic: token files of GPT-2's time are 16 bits wide, and Qwen's vocabulary has 151,936 ids",
        rare="ids past 32,767",
    ),
    Version(
        id_zero_is_padding,
        "embedding",
        _ids([3, 0, 2], 8),
        "Synthetic: padding_idx=0 is a habit from BERT; in other vocabularies 0 is a word",
        rare="one id",
    ),
    Version(
        last_id_is_clipped,
        "embedding",
        _ids([3, 7], 8),
        "Synthetic: a guard against ids out of range that is off by one",
        rare="one id",
    ),
)
