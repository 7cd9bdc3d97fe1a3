"""The steps that convert a tensor between Hugging Face's and GGUF's layouts, each with its inverse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from harness.formats.architecture import head_dim, whole

Array = np.ndarray
Step = Callable[[Array, Mapping[str, Any]], Array]


def apply(steps: tuple[str, ...], tensor: Array, config: Mapping[str, Any]) -> Array:
    """Convert a tensor to GGUF's layout. Units: steps are names of `STEPS`."""
    for name in steps:
        tensor = STEPS[name][0](tensor, config)
    return tensor


def invert(steps: tuple[str, ...], tensor: Array, config: Mapping[str, Any]) -> Array:
    """Convert a tensor back to Hugging Face's layout."""
    for name in reversed(steps):
        tensor = STEPS[name][1](tensor, config)
    return tensor


def _halves_to_neighbours(heads: str) -> Step:
    """For llama models, RoPE pairs element i with i + D/2 in Hugging Face, and 2i with 2i + 1 in llama.cpp."""

    def step(x: Array, config: Mapping[str, Any]) -> Array:
        return x.reshape(whole(config, heads), 2, head_dim(config) // 2, -1).swapaxes(1, 2).reshape(x.shape)

    return step


def _neighbours_to_halves(heads: str) -> Step:
    def step(x: Array, config: Mapping[str, Any]) -> Array:
        return x.reshape(whole(config, heads), head_dim(config) // 2, 2, -1).swapaxes(1, 2).reshape(x.shape)

    return step


def _value_heads(width: int | None, *, back: bool, axis: int = 0, values: bool = False) -> Step:
    """Reorder value heads: Hugging Face keeps the value heads of a key head together, GGUF k0 v0, k1 v0, k0 v1, k1 v1.

    Units: width is numbers per head, None for linear_value_head_dim; values: reorder only the rows after q and k.
    """

    def step(x: Array, config: Mapping[str, Any]) -> Array:
        key_heads, heads = whole(config, "linear_num_key_heads"), whole(config, "linear_num_value_heads")
        each = whole(config, "linear_value_head_dim") if width is None else width
        order = np.arange(heads).reshape(key_heads, -1).T.reshape(-1)
        order = np.argsort(order) if back else order
        index = (order[:, None] * each + np.arange(each)).reshape(-1)
        if values:
            before = 2 * key_heads * whole(config, "linear_key_head_dim")
            index = np.concatenate([np.arange(before), before + index])
        return np.take(x, index, axis=axis)

    return step


STEPS: dict[str, tuple[Step, Step]] = {
    "rope pairs of queries": (
        _halves_to_neighbours("num_attention_heads"),
        _neighbours_to_halves("num_attention_heads"),
    ),
    "rope pairs of keys": (_halves_to_neighbours("num_key_value_heads"), _neighbours_to_halves("num_key_value_heads")),
    "gain plus one": (lambda x, config: x + x.dtype.type(1), lambda x, config: x - x.dtype.type(1)),
    "minus exp": (lambda x, config: -np.exp(x), lambda x, config: np.log(-x)),
    "one channel": (lambda x, config: x[:, 0], lambda x, config: x[:, None]),
    "value heads": (_value_heads(None, back=False), _value_heads(None, back=True)),
    "value heads, one number each": (_value_heads(1, back=False), _value_heads(1, back=True)),
    "value heads behind q and k": (
        _value_heads(None, back=False, values=True),
        _value_heads(None, back=True, values=True),
    ),
    "value heads as columns": (_value_heads(None, back=False, axis=1), _value_heads(None, back=True, axis=1)),
}
"""Name -> (to GGUF, back). Source: convert_hf_to_gguf.py of llama.cpp, classes LlamaModel and Qwen3NextModel."""
