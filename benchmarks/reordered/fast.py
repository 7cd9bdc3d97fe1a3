"""Fast formulas that lose digits in the result and none of the largest number inside, and plain 16-bit attention."""

from types import SimpleNamespace

import numpy as np
import torch

from reordered.activations import elementwise
from reordered.attention import visible_keys
from reordered.width import wide


def softmax_by_logsumexp(x):
    w = x if x.dtype == torch.float64 else x.float()
    return torch.exp(w - torch.logsumexp(w, dim=-1, keepdim=True)).to(x.dtype)


def layernorm_in_one_pass(x, weight, bias, eps):
    w = wide(x)
    mean, square = w.mean(axis=-1, keepdims=True), np.mean(w * w, axis=-1, keepdims=True)
    variance = np.maximum(square - mean * mean, 0)
    return ((w - mean) / np.sqrt(variance + w.dtype.type(eps)) * wide(weight) + wide(bias)).astype(x.dtype)


def attention_in_the_dtype(scale_first):
    """Plain products in the input's dtype: scores, scaled queries and weights are rounded to it, as in eager code."""

    def attention(q, k, v, *, scale=None, **masks):
        masks = {name: mask.cpu() if isinstance(mask, torch.Tensor) else mask for name, mask in masks.items()}
        visible = torch.from_numpy(visible_keys(q, k, **masks)).to(q.device)
        k, v = (a.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for a in (k, v))
        scale = q.shape[-1] ** -0.5 if scale is None else scale
        scores = (q * scale) @ k.mT if scale_first else (q @ k.mT) * scale
        scores = scores.masked_fill(~visible, float("-inf"))
        weights = torch.softmax(scores if q.dtype == torch.float64 else scores.float(), dim=-1)
        return weights.masked_fill(~visible.any(dim=-1, keepdim=True), 0).to(v.dtype) @ v

    return attention


def elu_by_exp(w, alpha):
    return np.where(w > 0, w, alpha * (np.exp(np.minimum(w, 0)) - 1))


def tanh_by_sigmoid(w):
    return 2 / (1 + np.exp(-2 * w)) - 1


KERNELS = {
    "softmax": {"log-sum-exp": SimpleNamespace(ARRAYS="torch", softmax=softmax_by_logsumexp)},
    "layernorm": {"one pass": SimpleNamespace(layernorm=layernorm_in_one_pass)},
    "elu": {"exp(x) - 1": SimpleNamespace(elu=elementwise(elu_by_exp))},
    "tanh": {"2 sigmoid(2x) - 1": SimpleNamespace(tanh=elementwise(tanh_by_sigmoid))},
    "attention": {
        "16-bit scores": SimpleNamespace(ARRAYS="torch", attention=attention_in_the_dtype(scale_first=False)),
        "16-bit scaled queries": SimpleNamespace(ARRAYS="torch", attention=attention_in_the_dtype(scale_first=True)),
    },
}
TOO_FEW_DIGITS = {
    "FALSIFY-SOFTMAX-001": "the level of 200 costs u times 200",
    "FALSIFY-SOFTMAX-STATE-001": "the level of 200 costs u times 200",
    "FALSIFY-LAYERNORM-SPECIAL-001": "squares overflow where the spread does not",
    "FALSIFY-LAYERNORM-MEAN-001": "a mean 1000 times the spread leaves no digit of the variance",
    "FALSIFY-ELU-SMALL-001": "the difference from 1 leaves few digits of x",
    "FALSIFY-TANH-SMALL-001": "the difference from 1 leaves few digits of x",
    "FALSIFY-ATTENTION-SPECIAL-001": "scores above 65,504 overflow float16 before the softmax",
}
"""The claims that rightly call these formulas wrong, and why (docs/limits.md, Fast formulas)."""
