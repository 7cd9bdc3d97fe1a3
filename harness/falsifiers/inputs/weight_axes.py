"""The axes of a Qwen2 or Llama decoder's weights, and the same model with one of them in another order."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.falsifiers.ops.shapes import Named, take

_QUERIES = ("kv_heads", "group", "dim")
_TABLE = {
    "q_proj.weight": (_QUERIES, ("width",)),
    "q_proj.bias": (_QUERIES,),
    "k_proj.weight": (("kv_heads", "dim"), ("width",)),
    "k_proj.bias": (("kv_heads", "dim"),),
    "v_proj.weight": (("kv_heads", "dim"), ("width",)),
    "v_proj.bias": (("kv_heads", "dim"),),
    "o_proj.weight": (("width",), _QUERIES),
    "o_proj.bias": (("width",),),
    "gate_proj.weight": (("inner",), ("width",)),
    "gate_proj.bias": (("inner",),),
    "up_proj.weight": (("inner",), ("width",)),
    "up_proj.bias": (("inner",),),
    "down_proj.weight": (("width",), ("inner",)),
    "down_proj.bias": (("width",),),
    "norm.weight": (("width",),),
    "embed_tokens.weight": (("vocab",), ("width",)),
    "lm_head.weight": (("vocab",), ("width",)),
}
"""End of a tensor's name -> its axes; query head h reads the keys of head h // group."""
AXES = ("kv_heads", "group", "width", "inner", "vocab")
"""Axes whose order is free: dim is not, because RoPE pairs its entries."""


def axis_sizes(config: dict[str, Any]) -> dict[str, int]:
    """The size of every axis of a dense decoder's weights."""
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    return {
        "kv_heads": kv_heads,
        "group": heads // kv_heads,
        "dim": config["head_dim"],
        "width": config["hidden_size"],
        "inner": config["intermediate_size"],
        "vocab": config["vocab_size"],
    }


def permuted(weights: dict[str, np.ndarray], size: dict[str, int], axis: str, order: np.ndarray) -> dict[str, Any]:
    """The weights with the entries of one axis in another order, everywhere.

    Shapes: every tensor keeps its own. Raises: StopIteration for a tensor whose axes are not known.
    """

    def named(name: str) -> Named:
        return Named(next(axes for end, axes in _TABLE.items() if name.endswith(end)), None)

    return {name: take(tensor, named(name), size, axis, order) for name, tensor in weights.items()}
