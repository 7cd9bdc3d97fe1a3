"""RMSNorm, wrong in one place each."""

import numpy as np
import torch
from reordered.width import wide

from wrong.version import Version, normal


def drops_the_tail(wrong, x, weight, eps):
    """The squares of the columns behind the last whole 128 are not added."""
    w = wide(x)
    seen = w[..., : w.shape[-1] // 128 * 128] if wrong and w.shape[-1] > 128 else w
    mean = np.sum(seen * seen, axis=-1, keepdims=True) / w.dtype.type(w.shape[-1])
    return (w / np.sqrt(mean + w.dtype.type(eps)) * wide(weight)).astype(x.dtype)


def odd_rows_spill(wrong, x, weight, eps):
    """With an odd number of columns, each row's last number is stored over the first of the next row."""
    w = wide(x).reshape(-1, x.shape[-1])
    out = w / np.sqrt(np.square(w).mean(axis=-1, keepdims=True) + w.dtype.type(eps)) * wide(weight)
    if wrong and x.shape[-1] % 2:
        out[1:, 0] = out[:-1, -1]
    return out.reshape(x.shape).astype(x.dtype)


def divides_by_the_block(wrong, x, weight, eps):
    """The mean divides by the block, the next power of two, instead of the number of columns."""
    w = wide(x)
    size = 1 << (w.shape[-1] - 1).bit_length() if wrong else w.shape[-1]
    mean = np.square(w).sum(axis=-1, keepdims=True) / w.dtype.type(size)
    return (w / np.sqrt(mean + w.dtype.type(eps)) * wide(weight)).astype(x.dtype)


def squares_in_half(wrong, x, weight, eps):
    """Squares in float16 without widening: they overflow above 255."""
    w = wide(x)
    squares = np.square(x).astype(w.dtype) if wrong else np.square(w)
    scale = 1 / np.sqrt(squares.mean(axis=-1, keepdims=True) + w.dtype.type(eps))
    return (w * scale * wide(weight)).astype(x.dtype)


def single_row_has_its_own_eps(wrong, x, weight, eps):
    """The kernel for one row, as in decoding, was compiled with eps 1e-5."""
    w = wide(x)
    used = 1e-5 if wrong and x.size == x.shape[-1] else eps
    return (w / np.sqrt(np.square(w).mean(axis=-1, keepdims=True) + w.dtype.type(used)) * wide(weight)).astype(x.dtype)


def rows_in_fours(wrong, x, weight, eps):
    """Rows are normed four at a time; those left over take the scale of the last whole group's last row."""
    w = wide(x).reshape(-1, x.shape[-1])
    scale = 1 / np.sqrt(np.square(w).mean(axis=-1, keepdims=True) + w.dtype.type(eps))
    whole = len(w) // 4 * 4
    if wrong and whole:
        scale[whole:] = scale[whole - 1]
    return (w * scale * wide(weight)).reshape(x.shape).astype(x.dtype)


def hundredth_call_is_stale(wrong, memory, x, weight, eps):
    """Every hundredth call reads the scales that the call before it left in the shared buffer."""
    w = wide(x)
    scale = 1 / np.sqrt(np.square(w).mean(axis=-1, keepdims=True) + w.dtype.type(eps))
    memory["calls"] = memory.get("calls", 0) + 1
    left = memory.get("scale")
    memory["scale"] = scale
    if wrong and memory["calls"] % 100 == 0 and left is not None:
        scale = np.resize(left, scale.shape).astype(scale.dtype)
    return (w * scale * wide(weight)).astype(x.dtype)


def weight_by_its_first_call(wrong, memory, x, weight, eps):
    """The gain is kept by its length: a second layer of the same width uses the first layer's."""
    w = wide(x)
    gain = memory.setdefault(len(weight), weight) if wrong else weight
    return (w / np.sqrt(np.square(w).mean(axis=-1, keepdims=True) + w.dtype.type(eps)) * wide(gain)).astype(x.dtype)


def as_it_lies(x):
    """The numbers that stand one behind the other from the first on; zeros where the memory ends before."""
    memory = x.as_strided((x.untyped_storage().nbytes() // x.element_size() - x.storage_offset(),), (1,))[: x.numel()]
    return torch.cat([memory, memory.new_zeros(x.numel() - memory.numel())]).reshape(x.shape)


def strides_ignored(wrong, x, weight, eps):
    """A transposed input is read as if it lay row by row."""
    w = (as_it_lies(x) if wrong else x).to(torch.float64 if x.dtype == torch.float64 else torch.float32)
    scale = torch.rsqrt(w.square().mean(dim=-1, keepdim=True) + eps)
    return (w * scale * weight.to(w.dtype)).to(x.dtype)


def tiny_rows_become_zero(wrong, x, weight, eps):
    """A row whose mean square is below 1e-8 is taken for padding and set to 0."""
    w = wide(x)
    mean = np.square(w).mean(axis=-1, keepdims=True)
    out = w / np.sqrt(mean + w.dtype.type(eps)) * wide(weight)
    return np.where(wrong & (mean < 1e-8), 0, out).astype(x.dtype)


def gain_offset_twice(wrong, x, weight, eps):
    """1 + gain for a checkpoint whose gains already hold the 1 (Gemma's form for a Llama file)."""
    w = wide(x)
    gain = wide(weight) + (1 if wrong else 0)
    return (w / np.sqrt(np.square(w).mean(axis=-1, keepdims=True) + w.dtype.type(eps)) * gain).astype(x.dtype)


def _rows(rows, columns, eps=1e-6, dtype=np.float32, size=1.0):
    return lambda f, r: f.rmsnorm((size * normal(r, rows, columns)).astype(dtype), normal(r, columns, dtype=dtype), eps)


def _twice(f, r):
    x = normal(r, 4, 64)
    return f.rmsnorm(x, normal(r, 64), 1e-6), f.rmsnorm(x, normal(r, 64), 1e-6)


def _often(f, r):
    return [f.rmsnorm(normal(r, 2, 16), normal(r, 16), 1e-6) for _ in range(101)]


def _transposed(f, r):
    return f.rmsnorm(normal(r, 48, 5).T, normal(r, 48), 1e-6)


VERSIONS = (
    Version(drops_the_tail, "rmsnorm", _rows(3, 4097), "tile-ai/tilelang-ascend#890", rare="one residue of the length"),
    Version(odd_rows_spill, "rmsnorm", _rows(7, 769), "ROCm/aiter#5044", rare="one residue of the length"),
    Version(
        divides_by_the_block,
        "rmsnorm",
        _rows(3, 5120),
        "Synthetic: Triton kernels pad rows to a power of two, and the block's size is at hand where the length is not",
        rare="lengths that are no power of two",
    ),
    Version(
        squares_in_half,
        "rmsnorm",
        _rows(3, 64, dtype=np.float16, size=200.0),
        "Synthetic: the square is taken before the cast, and only outlier channels exceed 255",
        rare="one value range",
    ),
    Version(
        single_row_has_its_own_eps,
        "rmsnorm",
        _rows(1, 2048, size=0.002),
        "Synthetic: decoding has a kernel of its own, whose constants nobody compares with the prefill's",
        rare="one row count",
    ),
    Version(
        rows_in_fours,
        "rmsnorm",
        _rows(7, 512),
        "Synthetic: rows per block with a remainder that leaves the loop early",
        rare="one residue of the rows",
    ),
    Version(
        hundredth_call_is_stale,
        "rmsnorm",
        _often,
        "Synthetic: a race that is lost once in a hundred calls",
        rare="one call in a hundred",
        remembers=True,
    ),
    Version(
        weight_by_its_first_call,
        "rmsnorm",
        _twice,
        "Synthetic: a compiled kernel that captured its constants, kept by shape",
        remembers=True,
    ),
    Version(
        strides_ignored,
        "rmsnorm",
        _transposed,
        "Synthetic: the kernel takes a pointer and a row length and no strides",
        rare="one layout",
        arrays="torch",
    ),
    Version(
        tiny_rows_become_zero,
        "rmsnorm",
        _rows(5, 256, eps=1e-12, size=1e-5),
        "Synthetic: padding rows are found by their size",
        rare="one value range",
    ),
    Version(
        gain_offset_twice,
        "rmsnorm",
        _rows(3, 64),
        "Synthetic: one norm class for Gemma and Llama",
    ),
)
