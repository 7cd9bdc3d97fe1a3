"""Weights in ggml's blocks, wrong in one place each; every version is a whole pair of quantize and dequantize."""

from types import SimpleNamespace

import numpy as np

from wrong.version import Version, normal

BLOCK = 32
SIZES = {"Q8_0": 34, "Q4_0": 18}


def _blocks(x):
    return np.ascontiguousarray(x, np.float32).reshape(*x.shape[:-1], -1, BLOCK)


def _inverse(d):
    return np.divide(1, d, out=np.zeros_like(d), where=d != 0)


def _packed(d, codes):
    step = d.astype(np.float16).view(np.uint8)
    both = np.concatenate([step, codes.astype(np.uint8)], axis=-1)
    return both.reshape(*both.shape[:-2], -1)


def _away(x):
    return np.sign(x) * np.floor(np.abs(x) + np.float32(0.5))


def _bfloat16(x, cut=False):
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + (0 if cut else 0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16).view(np.uint8)


def _quantize(x, kind, *, away=_away, largest=None, order=None, cut=False, floor=True):
    if kind == "F32":
        return np.ascontiguousarray(x, np.float32).view(np.uint8)
    if kind == "F16":
        return x.astype(np.float16).view(np.uint8)
    if kind == "BF16":
        return _bfloat16(x, cut)
    blocks = _blocks(x)
    if kind == "Q8_0":
        d = np.abs(blocks).max(axis=-1, keepdims=True) / np.float32(127)
        return _packed(d, away(blocks * _inverse(d)).astype(np.int8).view(np.uint8))
    found = largest or (lambda b: np.take_along_axis(b, np.abs(b).argmax(axis=-1)[..., None], axis=-1))
    d = found(blocks) / np.float32(-8)
    raised = (blocks.astype(np.float64) * _inverse(d) + (8.5 if floor else 8)).astype(np.float32)
    q = np.clip(np.floor(raised), 0, 15).astype(np.uint8)
    low, high = (q[..., :16], q[..., 16:]) if order is None else order(q)
    return _packed(d, low | (high << 4))


def _dequantize(data, kind, *, shift=8, signed=True):
    data = np.ascontiguousarray(data)
    if kind == "F32":
        return data.view(np.float32)
    if kind == "F16":
        return data.view(np.float16).astype(np.float32)
    if kind == "BF16":
        return (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    blocks = data.reshape(*data.shape[:-1], -1, SIZES[kind])
    d = np.ascontiguousarray(blocks[..., :2]).view(np.float16).astype(np.float32)
    codes = np.ascontiguousarray(blocks[..., 2:])
    if kind == "Q8_0":
        q = codes.view(np.int8).astype(np.float32) if signed else codes.astype(np.float32)
    else:
        q = np.concatenate([codes & 15, codes >> 4], axis=-1).astype(np.float32) - shift
    return (d * q).reshape(*data.shape[:-1], -1)


def _pair(dequantize=None, **changed):
    return SimpleNamespace(
        quantize=lambda x, kind: _quantize(x, kind, **changed),
        dequantize=lambda data, kind: _dequantize(data, kind, **(dequantize or {})),
    )


def bfloat16_is_cut(wrong):
    """bfloat16 is the upper half of a float32: cut, not rounded."""
    return _pair(cut=wrong)


def halves_go_to_even(wrong):
    """Half-way codes of Q8_0 go to the even one, not away from 0."""
    return _pair(away=np.rint if wrong else _away)


def largest_without_its_sign(wrong):
    """Q4_0's step comes from the largest absolute value: its sign is lost."""
    return _pair(largest=(lambda b: np.abs(b).max(axis=-1, keepdims=True)) if wrong else None)


def last_of_equal_maxima(wrong):
    """Of two numbers as large as each other, of either sign, the last one sets Q4_0's step."""

    def last(blocks):
        at = BLOCK - 1 - np.abs(blocks[..., ::-1]).argmax(axis=-1)
        return np.take_along_axis(blocks, at[..., None], axis=-1)

    return _pair(largest=last if wrong else None)


def neighbours_share_a_byte(wrong):
    """Two neighbouring numbers share a byte of Q4_0, not those of the two halves."""
    return _pair(order=(lambda q: (q[..., 0::2], q[..., 1::2])) if wrong else None)


def codes_are_cut(wrong):
    """Q4_0's codes are cut, not rounded."""
    return _pair(floor=not wrong)


def codes_without_a_sign(wrong):
    """Q8_0's codes are read as 0 to 255."""
    return _pair({"signed": not wrong})


def _matrix(kind, back=False, change=None):
    def call(f, r):
        x = normal(r, 3, 64)
        if change:
            change(x)
        data = f.quantize(x, kind)
        return f.dequantize(data, kind) if back else data

    return call


def _halves(x):
    x[:] = np.arange(64) / 2
    x[:, ::32] = -127


def _equal(x):
    x[:] = np.where(np.arange(64) % 2, 3.0, -3.0)


QUANTIZATION = ("harness.falsifiers.ops.quantization:rows",)
VERSIONS = (
    Version(
        bfloat16_is_cut,
        "quantize",
        _matrix("BF16"),
        "Synthetic: a shift by 16 bits is the shortest way from float32 to bfloat16",
        falsifiers=QUANTIZATION,
    ),
    Version(
        halves_go_to_even,
        "quantize",
        _matrix("Q8_0", change=_halves),
        "Synthetic: roundf and rintf differ on halves alone",
        rare="half-way values",
        falsifiers=QUANTIZATION,
    ),
    Version(
        largest_without_its_sign,
        "quantize",
        _matrix("Q4_0"),
        "Synthetic: Q8_0's maximum in Q4_0's place",
        falsifiers=QUANTIZATION,
    ),
    Version(
        last_of_equal_maxima,
        "quantize",
        _matrix("Q4_0", change=_equal),
        "Synthetic: >= for > in the search of the largest",
        rare="equal numbers",
        falsifiers=QUANTIZATION,
    ),
    Version(
        neighbours_share_a_byte,
        "quantize",
        _matrix("Q4_0"),
        "Synthetic: other 4-bit formats pack neighbours",
        falsifiers=QUANTIZATION,
    ),
    Version(codes_are_cut, "quantize", _matrix("Q4_0"), "Synthetic: 8 for 8.5 before a cast", falsifiers=QUANTIZATION),
    Version(
        codes_without_a_sign,
        "quantize",
        _matrix("Q8_0", back=True),
        "Synthetic: bytes are read as they lie in a uint8 tensor",
        falsifiers=QUANTIZATION,
    ),
)
