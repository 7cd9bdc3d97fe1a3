"""Sums as a GPU adds them: trees of 32 lanes, split inner axes, fused multiply-add, tensor cores.

Every product takes a (B, M, K) and b (B, K, N) of any float type and gives (B, M, N) in `accumulator(a)`, not rounded
to 16 bits yet.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

LANES = 32
"""Threads of a warp; a block has at most 32 warps."""
ROOM = 1 << 18
"""Elements of a temporary; larger products are computed in groups of rows, which stay in the cache."""
Product = Callable[[Tensor, Tensor], Tensor]


def accumulator(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def tree_sum(x: Tensor, axes: tuple[int, ...], keepdim: bool = False) -> Tensor:
    """Each lane adds every 32nd (in long rows every 1,024th) number, then halves of the lanes are added (shuffles)."""
    axes = tuple(axis % x.ndim for axis in axes) or tuple(range(x.ndim))
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    rows = x.to(accumulator(x)).permute(*kept, *axes).reshape(*(x.shape[axis] for axis in kept), -1)
    total = halves(lanes(rows))
    return total.reshape([1 if i in axes else size for i, size in enumerate(x.shape)]) if keepdim else total


def lanes(rows: Tensor) -> Tensor:
    """What each lane holds before the shuffles. Shapes: (..., N) -> (..., 32 or 1024)."""
    width = LANES if rows.shape[-1] <= LANES**2 else LANES**2
    padded = torch.nn.functional.pad(rows, (0, -rows.shape[-1] % width)).unflatten(-1, (-1, width))
    if not padded.shape[-2]:
        return padded.sum(dim=-2)
    total = padded[..., 0, :]
    for i in range(1, padded.shape[-2]):
        total = total + padded[..., i, :]
    return total


def halves(x: Tensor) -> Tensor:
    """The sum over the last axis, whose size is a power of two, by adding its halves."""
    while x.shape[-1] > 1:
        x = x[..., : x.shape[-1] // 2] + x[..., x.shape[-1] // 2 :]
    return x[..., 0]


def tree_product(a: Tensor, b: Tensor) -> Tensor:
    """Each of 32 lanes multiplies every 32nd column of a, then the lanes are added as a tree (matrix times vector)."""

    def product(a: Tensor, b: Tensor) -> Tensor:
        pad = -a.shape[-1] % LANES
        a = torch.nn.functional.pad(a, (0, pad)).unflatten(-1, (-1, LANES)).permute(3, 0, 1, 2)
        b = torch.nn.functional.pad(b, (0, 0, 0, pad)).unflatten(-2, (-1, LANES)).permute(2, 0, 1, 3)
        return halves((a @ b).movedim(0, -1))

    return in_groups(product, a, b, LANES)


def split_product(parts: int) -> Product:
    """The inner axis in `parts` pieces, each summed alone, the pieces added in order (split-K)."""

    def product(a: Tensor, b: Tensor) -> Tensor:
        a, b = a.to(accumulator(a)), b.to(accumulator(b))
        pieces = zip(a.tensor_split(parts, dim=-1), b.tensor_split(parts, dim=-2), strict=True)
        total = torch.zeros(a.shape[0], a.shape[1], b.shape[2], dtype=a.dtype)
        for left, right in pieces:
            total = total + left @ right
        return total

    return product


def fused_product(a: Tensor, b: Tensor) -> Tensor:
    """One accumulator, first column first, each product added with one rounding (float64 holds it exactly)."""
    if a.dtype == torch.float64:
        return a @ b

    def product(a: Tensor, b: Tensor) -> Tensor:
        a, b = a.double(), b.double()
        total = torch.zeros(a.shape[0], a.shape[1], b.shape[2], dtype=torch.float64)
        for i in range(a.shape[-1]):
            total = torch.addcmul(total, a[..., i : i + 1], b[..., i : i + 1, :]).float().double()
        return total.float()

    return in_groups(product, a, b, 2)


def tensor_core_product(a: Tensor, b: Tensor) -> Tensor:
    """Products of bfloat16 and of float16 numbers by tensor cores; wider numbers do not use them."""
    if not (narrow(a) and narrow(b) and torch.isfinite(a).all() and torch.isfinite(b).all()):
        return a.to(accumulator(a)) @ b.to(accumulator(b))
    brain = fits(a, torch.bfloat16) and fits(b, torch.bfloat16)
    return in_groups(cut_product(14, promoted=True) if brain else cut_product(23, promoted=False), a, b, 32)


def cut_product(bits: int, promoted: bool, block: int = 16) -> Product:
    """Exact products of 16-bit numbers, `block` of them and the accumulator added at once after alignment.

    Each addend is cut, towards zero, `bits` binary digits below the leading one of the largest addend, as Fasi, Higham,
    Mikaitis and Pranesh measured (doi:10.7717/peerj-cs.330): 23 bits on V100, one or two more on later devices.
    With `promoted` the accumulator stays outside, in float32, as it must where tensor cores keep only 14 bits
    (arXiv:2412.19437, section 3.3.2: float8 on Hopper); no device is known to keep so few for bfloat16.
    """

    def product(a: Tensor, b: Tensor) -> Tensor:
        a, b = a.double(), b.double()
        total = torch.zeros(a.shape[0], a.shape[1], b.shape[2], dtype=torch.float64)
        for start in range(0, a.shape[-1], block):
            terms = a[..., start : start + block, None] * b[:, None, start : start + block, :]
            part = cut_sum(terms, bits) if promoted else cut_sum(terms, bits, total)
            total = (total + part if promoted else part).float().double()
        return total.float()

    return product


def cut_sum(terms: Tensor, bits: int, first: Tensor | None = None) -> Tensor:
    """The exact sum over axis 2, and `first`, of addends cut `bits` digits below the largest one's leading digit."""
    low, high = terms.aminmax(dim=2)
    largest = torch.maximum(high, -low)
    largest = largest if first is None else torch.maximum(largest, first.abs())
    _, exponent = torch.frexp(largest)
    quantum = torch.ldexp(torch.ones_like(largest), exponent - 1 - bits)
    total = terms.mul_(1 / quantum[:, :, None]).trunc_().sum(dim=2)
    return (total if first is None else total + (first / quantum).trunc()) * quantum


def narrow(x: Tensor) -> bool:
    """Whether a tensor core can take the numbers."""
    return fits(x, torch.bfloat16) or fits(x, torch.float16)


def fits(x: Tensor, kind: torch.dtype) -> bool:
    """Whether every number is one of `kind`; kernels that widen their inputs hand over float32."""
    return x.dtype == kind or (x.dtype == torch.float32 and torch.equal(x.to(kind).float(), x))


def in_groups(product: Product, a: Tensor, b: Tensor, copies: int) -> Tensor:
    """The product in groups of batches and rows whose temporaries have at most `ROOM` elements or one row."""
    a, b = a.to(accumulator(a)), b.to(accumulator(b))
    if a.shape[0] * a.shape[1] * b.shape[2] * copies <= ROOM:
        return product(a, b)
    rows = max(ROOM // max(b.shape[2] * copies, 1), 1)
    batches = zip(a.split(1), b.split(1), strict=True)
    return torch.cat([torch.cat([product(part, right) for part in left.split(rows, 1)], 1) for left, right in batches])
