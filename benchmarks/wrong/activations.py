"""Activations, wrong in one place each."""

import math

import numpy as np
from reordered.width import wide

from wrong.version import Version, normal

ROOT = math.sqrt(2 / math.pi)
ERF = np.vectorize(math.erf, otypes=[np.float64])
ERFC = np.vectorize(math.erfc, otypes=[np.float64])


def _sigmoid(w):
    small = np.exp(-np.abs(w))
    return np.where(w >= 0, 1, small) / (1 + small)


def _tanh_by_exp(z):
    """(e²ᶻ − 1) / (e²ᶻ + 1): NaN where e²ᶻ overflows."""
    e = np.exp(2 * z)
    return (e - 1) / (e + 1)


def sigmoid_is_clamped(wrong, x):
    """The argument is clamped at ±8: below, the result keeps 3e-4."""
    w = wide(x)
    return _sigmoid(np.clip(w, -8, 8) if wrong else w).astype(x.dtype)


def sigmoid_counts_in_eights(wrong, x):
    """Eight numbers at a time; what is left over is put out as it came."""
    out = _sigmoid(wide(x)).astype(x.dtype).reshape(-1)
    whole = out.size // 8 * 8
    if wrong and whole:
        out[whole:] = x.reshape(-1)[whole:]
    return out.reshape(x.shape)


def silu_tail_runs_away(wrong, x):
    """Only the sigmoid's argument is clamped, at −18: far below, x times a constant falls for ever."""
    w = wide(x)
    return (w * _sigmoid(np.maximum(w, -18) if wrong else w)).astype(x.dtype)


def silu_tail_is_zero(wrong, x):
    """Below −20 the result is 0."""
    w = wide(x)
    return np.where(wrong & (w < -20), 0, w * _sigmoid(w)).astype(x.dtype)


def silu_of_many(wrong, x):
    """More than 65,536 numbers: the index is 16 bits wide, and the rest is never written."""
    w = wide(x)
    out = (w * _sigmoid(w)).astype(x.dtype).reshape(-1)
    if wrong:
        out[65536:] = 0
    return out.reshape(x.shape)


def silu_with_a_slope_of_1702(wrong, x):
    """x·sigmoid(1.702 x), the quick GELU, under SiLU's name."""
    w = wide(x)
    return (w * _sigmoid(w * (1.702 if wrong else 1))).astype(x.dtype)


def tanh_overflows(wrong, x):
    """(e²ˣ − 1) / (e²ˣ + 1) is NaN above 44."""
    w = wide(x)
    return (np.where(w > 20, _tanh_by_exp(w), np.tanh(w)) if wrong else np.tanh(w)).astype(x.dtype)


def tanh_by_a_short_series(wrong, x):
    """A rational approximation that ends at ±3 and is 1 beyond."""
    w = wide(x)
    near = w * (27 + w * w) / (27 + 9 * w * w)
    return (np.where(np.abs(w) > 3, np.sign(w), near) if wrong else np.tanh(w)).astype(x.dtype)


def gelu_by_tanh(wrong, x):
    """The tanh approximation under the exact one's name."""
    w = wide(x)
    right = w * 0.5 * ERFC(-w.astype(np.float64) / math.sqrt(2))
    return (0.5 * w * (1 + np.tanh(ROOT * (w + 0.044715 * w**3))) if wrong else right).astype(x.dtype)


def gelu_tail_cancels(wrong, x):
    """1 + erf(x / √2) cancels: below −6 the result is 0."""
    w = wide(x)
    right = w * 0.5 * ERFC(-w.astype(np.float64) / math.sqrt(2))
    return (w * 0.5 * (1 + ERF(w / math.sqrt(2)).astype(w.dtype)) if wrong else right).astype(x.dtype)


def gelu_tanh_overflows(wrong, x):
    """tanh of a cube by exponentials: NaN above 10."""
    w = wide(x)
    z = ROOT * (w + 0.044715 * w**3)
    right = w * _sigmoid(2 * z)
    return (np.where(z > 20, 0.5 * w * (1 + _tanh_by_exp(z)), right) if wrong else right).astype(x.dtype)


def gelu_tanh_with_a_shorter_constant(wrong, x):
    """0.0447 for 0.044715."""
    w = wide(x)
    z = ROOT * (w + (0.0447 if wrong else 0.044715) * w**3)
    return (w * _sigmoid(2 * z)).astype(x.dtype)


def gelu_tanh_tail_cancels(wrong, x):
    """1 + tanh cancels: the negative tail is coarse below −4 and 0 below −6."""
    w = wide(x)
    z = ROOT * (w + 0.044715 * w**3)
    return (0.5 * w * (1 + np.tanh(z)) if wrong else w * _sigmoid(2 * z)).astype(x.dtype)


def relu_swallows_nan(wrong, x):
    """x > 0 ? x : 0 turns NaN into 0."""
    return np.where(x > 0, x, 0).astype(x.dtype) if wrong else np.maximum(x, 0)


def relu_of_a_bit(wrong, x):
    """The sign bit decides by an integer of 16 bits: numbers below 2⁻¹²⁶ become 0."""
    return np.where(np.abs(x) < np.finfo(x.dtype).tiny, 0, np.maximum(x, 0)) if wrong else np.maximum(x, 0)


def leaky_relu_by_maximum(wrong, x, slope):
    """max(x, slope·x): right for slopes from 0 to 1."""
    w = wide(x)
    return (np.maximum(w, w * w.dtype.type(slope)) if wrong else np.where(w > 0, w, w * w.dtype.type(slope))).astype(
        x.dtype
    )


def leaky_relu_of_a_hundredth(wrong, x, slope):
    """The slope is 0.01, whatever is given."""
    w = wide(x)
    return np.where(w > 0, w, w * w.dtype.type(0.01 if wrong else slope)).astype(x.dtype)


def elu_with_alpha_on_both_sides(wrong, x, alpha):
    """alpha scales the positive side too."""
    w = wide(x)
    return np.where(w > 0, w * (alpha if wrong else 1), alpha * np.expm1(np.minimum(w, 0))).astype(x.dtype)


def elu_ends_early(wrong, x, alpha):
    """Below −5 the result is −alpha."""
    w = wide(x)
    low = np.where(wrong & (w < -5), -1, np.expm1(np.minimum(w, 0)))
    return np.where(w > 0, w, alpha * low).astype(x.dtype)


def swiglu_halves_swapped(wrong, gate, up):
    """The halves of one matrix change places: silu of up times gate."""
    g, u = (wide(up), wide(gate)) if wrong else (wide(gate), wide(up))
    return (g * _sigmoid(g) * u).astype(gate.dtype)


def swiglu_is_clamped(wrong, gate, up):
    """The gate is clamped at 7, gpt-oss's limit, in every model."""
    g = wide(gate)
    g = np.minimum(g, 7) if wrong else g
    return (g * _sigmoid(g) * wide(up)).astype(gate.dtype)


def swiglu_of_some_widths(wrong, gate, up):
    """Widths that are three blocks of 256: channels from 257 on are not written."""
    g = wide(gate)
    out = (g * _sigmoid(g) * wide(up)).astype(gate.dtype)
    if wrong and gate.shape[-1] % 768 == 0:
        out[..., 257:] = 0
    return out


def _numbers(op, size=64, std=1.0, *more, dtype=np.float32, shift=0.0):
    return lambda f, r: getattr(f, op)((shift + std * normal(r, 4, size)).astype(dtype), *more)


def _gated(width, std=1.0):
    return lambda f, r: f.swiglu(std * normal(r, 3, width), normal(r, 3, width))


def _with_nan(f, r):
    return f.relu(np.array([1, np.nan, -1], np.float32))


def _denormal(f, r):
    return f.relu(np.array([1e-39, 2e-39, -1e-39], np.float32))


CLAMP = "one value range"
VERSIONS = (
    Version(
        sigmoid_is_clamped,
        "sigmoid",
        _numbers("sigmoid", std=12),
        "Synthetic: a table or polynomial has a range",
        rare=CLAMP,
    ),
    Version(
        sigmoid_counts_in_eights,
        "sigmoid",
        _numbers("sigmoid", 33),
        "Synthetic: 16-byte loads of float16 and no scalar tail",
        rare="one residue of the size",
    ),
    Version(silu_tail_runs_away, "silu", _numbers("silu", std=30), "sonos/tract#2506", rare=CLAMP),
    Version(silu_tail_is_zero, "silu", _numbers("silu", shift=-24), "tenstorrent/tt-metal#56355", rare=CLAMP),
    Version(
        silu_of_many,
        "silu",
        _numbers("silu", 20000),
        "Synthetic: a 16-bit index, which no unit test's array exceeds",
        rare="more numbers than a type holds",
    ),
    Version(silu_with_a_slope_of_1702, "silu", _numbers("silu"), "Synthetic: CLIP's quick GELU is SiLU with a slope"),
    Version(tanh_overflows, "tanh", _numbers("tanh", std=40), "apache/tvm#16438", rare=CLAMP),
    Version(tanh_by_a_short_series, "tanh", _numbers("tanh"), "Synthetic: audio code's fast tanh"),
    Version(gelu_by_tanh, "gelu", _numbers("gelu"), "Synthetic: `gelu` is the exact one in torch and not in JAX"),
    Version(
        gelu_tail_cancels,
        "gelu",
        _numbers("gelu", shift=-7),
        "Synthetic: the textbook's 1 + erf, whose tail is lost as tanh's is",
        rare=CLAMP,
    ),
    Version(gelu_tanh_overflows, "gelu_tanh", _numbers("gelu_tanh", std=12), "huggingface/candle#1408", rare=CLAMP),
    Version(
        gelu_tanh_with_a_shorter_constant,
        "gelu_tanh",
        _numbers("gelu_tanh"),
        "Synthetic: a constant copied from a paper that rounds it",
    ),
    Version(
        gelu_tanh_tail_cancels,
        "gelu_tanh",
        _numbers("gelu_tanh", shift=-6),
        "tenstorrent/tt-metal#56517",
        rare=CLAMP,
    ),
    Version(relu_swallows_nan, "relu", _with_nan, "Synthetic: a comparison with NaN is false", rare="one value"),
    Version(
        relu_of_a_bit,
        "relu",
        _denormal,
        "Synthetic: flush-to-zero is on for the whole library after one fast-math object was linked",
        rare="one value range",
    ),
    Version(
        leaky_relu_by_maximum,
        "leaky_relu",
        _numbers("leaky_relu", 64, 1.0, 1.5),
        "tensorflow/tensorflow#24566",
        rare="one option",
    ),
    Version(
        leaky_relu_of_a_hundredth,
        "leaky_relu",
        _numbers("leaky_relu", 64, 1.0, 0.2),
        "Dobiasd/frugally-deep#446",
    ),
    Version(
        elu_with_alpha_on_both_sides,
        "elu",
        _numbers("elu", 64, 1.0, 0.5),
        "Synthetic: SELU scales both sides, and ELU is written from it",
        rare="one option",
    ),
    Version(
        elu_ends_early,
        "elu",
        _numbers("elu", 64, 4.0, 1.0),
        "Synthetic: a table of exp ends where float8 does",
        rare=CLAMP,
    ),
    Version(swiglu_halves_swapped, "swiglu", _gated(64), "Synthetic: gate and up lie in one matrix, in either order"),
    Version(
        swiglu_is_clamped,
        "swiglu",
        _gated(64, std=5.0),
        "Synthetic: gpt-oss's limit of 7 is left on for other models",
        rare=CLAMP,
    ),
    Version(
        swiglu_of_some_widths,
        "swiglu",
        _gated(768),
        "vllm-project/vllm-xpu-kernels#454",
        rare="one width",
    ),
)
