"""RMSNorm, softmax, SwiGLU and flash attention in Triton (extra `triton`), written for CUDA.

    harness run builtin:ops -k "rmsnorm or softmax or swiglu or attention" --candidate examples/triton_kernels.py

Without a GPU, put TRITON_INTERPRET=1 before the command: Triton's interpreter then runs the same kernels with NumPy,
which takes minutes. Sums are computed in float32, or in float64 for float64 tensors. Claims on what is missing here
(padding, packed documents, gradients) are UNVERIFIED.
"""

import math
import os

import torch
import triton
import triton.language as tl

ARRAYS = "torch"
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
# The interpreter's time grows with the number of blocks. There must be several, so that the rescaling is tested.
BLOCK_Q, BLOCK_K = (64, 128) if INTERPRETED else (16, 64)
BLOCK = 1024


def rmsnorm(x, weight, eps):
    x, weight = x.contiguous(), weight.contiguous()  # the kernels count on rows that follow one another
    out = torch.empty_like(x)
    rows, width = x.reshape(-1, x.shape[-1]).shape
    rmsnorm_kernel[(rows,)](x, weight, out, width, EPS=eps, BLOCK=triton.next_power_of_2(width), WIDE=wide(x))
    return out


@triton.jit
def rmsnorm_kernel(x, weight, out, width, EPS: tl.constexpr, BLOCK: tl.constexpr, WIDE: tl.constexpr):
    """One program per row. EPS is a compile-time constant, because a number passed at launch would be a float32."""
    row = tl.program_id(0).to(tl.int64) * width
    at = tl.arange(0, BLOCK)
    inside = at < width
    values = tl.load(x + row + at, mask=inside, other=0.0).to(WIDE)
    gain = tl.load(weight + at, mask=inside, other=0.0).to(WIDE)
    scale = 1 / tl.sqrt(tl.sum(values * values, axis=0) / width + EPS)
    tl.store(out + row + at, values * scale * gain, mask=inside)


def softmax(x):
    x = x.contiguous()
    out = torch.empty_like(x)
    rows, width = x.reshape(-1, x.shape[-1]).shape
    softmax_kernel[(rows,)](x, out, width, BLOCK=triton.next_power_of_2(width), WIDE=wide(x))
    return out


@triton.jit
def softmax_kernel(x, out, width, BLOCK: tl.constexpr, WIDE: tl.constexpr):
    """One program per row; lanes past its end hold -inf, so that their weight is 0."""
    row = tl.program_id(0).to(tl.int64) * width
    at = tl.arange(0, BLOCK)
    inside = at < width
    values = tl.load(x + row + at, mask=inside, other=-float("inf")).to(WIDE)
    e = tl.exp(values - tl.max(values, axis=0))
    tl.store(out + row + at, e / tl.sum(e, axis=0), mask=inside)


def swiglu(gate, up):
    gate, up = gate.contiguous(), up.contiguous()
    out = torch.empty_like(gate)
    swiglu_kernel[(triton.cdiv(gate.numel(), BLOCK),)](gate, up, out, gate.numel(), BLOCK=BLOCK, WIDE=wide(gate))
    return out


@triton.jit
def swiglu_kernel(gate, up, out, count, BLOCK: tl.constexpr, WIDE: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    g = tl.load(gate + at, mask=inside, other=0.0).to(WIDE)
    u = tl.load(up + at, mask=inside, other=0.0).to(WIDE)
    small = tl.exp(-tl.abs(g))  # exp of a large positive number would overflow
    tl.store(out + at, g * tl.where(g >= 0, 1.0, small) / (1.0 + small) * u, mask=inside)


def attention(q, k, v, *, causal=True, scale=None, offset=0, window=None):
    """Shapes: q (B, H, Tq, D), k (B, KV, Tk, D), v (B, KV, Tk, Dv) -> (B, H, Tq, Dv); query t is at t + offset."""
    batch, heads, queries, width = q.shape
    kv_heads, keys, value_width = k.shape[1], k.shape[2], v.shape[-1]
    out = torch.empty(batch, heads, queries, value_width, dtype=q.dtype, device=q.device)
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    attention_kernel[(triton.cdiv(queries, BLOCK_Q), batch * heads)](
        *(q, k, v, out, queries, keys, width, value_width, heads, heads // kv_heads),
        *(offset, window or 0),
        SCALE=1 / math.sqrt(width) if scale is None else scale,
        CAUSAL=causal,
        WINDOWED=window is not None,
        BLOCK_Q=BLOCK_Q,
        BLOCK_K=BLOCK_K,
        WIDTH=max(16, triton.next_power_of_2(width)),
        VALUES=max(16, triton.next_power_of_2(value_width)),
        WIDE=wide(q),
        # Triton 3.7's interpreter multiplies the bit patterns of bfloat16 in `tl.dot`.
        WIDEN=INTERPRETED and q.dtype == torch.bfloat16,
    )
    return out


@triton.jit
def attention_kernel(
    q, k, v, out, queries, keys, width, value_width, heads, group, offset, window,
    SCALE: tl.constexpr, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr,
    WIDTH: tl.constexpr, VALUES: tl.constexpr, WIDE: tl.constexpr, WIDEN: tl.constexpr,
):  # fmt: skip
    """One program per block of queries of one head. It reads keys block by block, with a running maximum and sum."""
    head = tl.program_id(1).to(tl.int64)
    shared = head // heads * (heads // group) + head % heads // group
    rows = tl.program_id(0) * BLOCK_Q + tl.arange(0, BLOCK_Q)
    columns, value_columns = tl.arange(0, WIDTH), tl.arange(0, VALUES)
    q_at = q + head * queries * width + rows[:, None] * width + columns[None, :]
    q_block = tl.load(q_at, mask=(rows[:, None] < queries) & (columns[None, :] < width), other=0.0)
    if WIDEN:
        q_block = q_block.to(WIDE)
    positions = rows + offset
    most = tl.full([BLOCK_Q], -float("inf"), WIDE)
    total = tl.zeros([BLOCK_Q], WIDE)
    summed = tl.zeros([BLOCK_Q, VALUES], WIDE)
    for first in range(0, keys, BLOCK_K):
        at = first + tl.arange(0, BLOCK_K)
        k_at = k + shared * keys * width + at[None, :] * width + columns[:, None]
        k_block = tl.load(k_at, mask=(at[None, :] < keys) & (columns[:, None] < width), other=0.0)
        if WIDEN:
            k_block = k_block.to(WIDE)
        scores = SCALE * tl.dot(q_block, k_block, input_precision="ieee", out_dtype=WIDE)
        seen = (at[None, :] < keys) & (rows[:, None] < queries)
        if CAUSAL:
            seen = seen & (at[None, :] <= positions[:, None])
        if WINDOWED:
            seen = seen & (at[None, :] > positions[:, None] - window)
        scores = tl.where(seen, scores, -float("inf"))
        higher = tl.maximum(most, tl.max(scores, axis=1))
        level = tl.where(higher == -float("inf"), 0.0, higher)  # a row without keys so far: -inf - -inf is NaN
        weights = tl.exp(scores - level[:, None])
        rescale = tl.exp(most - level)
        v_at = v + shared * keys * value_width + at[:, None] * value_width + value_columns[None, :]
        v_block = tl.load(v_at, mask=(at[:, None] < keys) & (value_columns[None, :] < value_width), other=0.0)
        total = total * rescale + tl.sum(weights, axis=1)
        # Weights in float32: rounded to 16 bits they would add an error of their own.
        added = tl.dot(weights, v_block.to(WIDE), input_precision="ieee", out_dtype=WIDE)
        summed = summed * rescale[:, None] + added
        most = higher
    # The contract declares that a query that sees no key gives 0.
    result = tl.where(total[:, None] == 0, 0.0, summed / tl.where(total == 0, 1.0, total)[:, None])
    out_at = out + head * queries * value_width + rows[:, None] * value_width + value_columns[None, :]
    tl.store(out_at, result, mask=(rows[:, None] < queries) & (value_columns[None, :] < value_width))


def wide(x):
    """The dtype in which a kernel computes: float64 for float64, else float32."""
    return tl.float64 if x.dtype == torch.float64 else tl.float32
