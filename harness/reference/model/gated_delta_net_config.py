"""A gated-delta-net layer's sizes, its tensor shapes, and the layout of its heads in a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

PROJECTIONS = ("in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a", "out_proj")


@dataclass(frozen=True)
class GatedDeltaNetConfig:
    """The numbers of a model's config on which the layer depends."""

    hidden: int
    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    taps: int
    eps: float
    inputs = PROJECTIONS[:-1]

    @property
    def widths(self) -> tuple[int, int]:
        """Channels of all keys, and of all values."""
        return self.key_heads * self.key_dim, self.value_heads * self.value_dim

    def split(self, mixed: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """q, k, v by head. Shapes: (B, T, 2 Kd + Vd) -> (B, T, Hk, Dk) twice, (B, T, Hv, Dv)."""
        keys, _ = self.widths
        q, k, v = mixed[..., :keys], mixed[..., keys : 2 * keys], mixed[..., 2 * keys :]
        rows = mixed.shape[:2]
        heads = (*rows, self.key_heads, self.key_dim)
        return q.reshape(heads), k.reshape(heads), v.reshape(*rows, self.value_heads, self.value_dim)

    def join(self, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Undo `split`: join q, k and v to one row."""
        return np.concatenate([part.reshape(*part.shape[:2], -1) for part in (q, k, v)], axis=-1)

    def repeat(self, heads: np.ndarray) -> np.ndarray:
        """Repeat each key head value_heads / key_heads times. Shapes: (B, T, Hk, Dk) -> (B, T, Hv, Dk)."""
        return np.repeat(heads, self.value_heads // self.key_heads, axis=2)

    def gather(self, heads: np.ndarray) -> np.ndarray:
        """Sum over the value heads that share a key head: the adjoint of `repeat`."""
        batch, length, _, width = heads.shape
        return np.asarray(heads.reshape(batch, length, self.key_heads, -1, width).sum(axis=3))


def parse_config(config: Mapping[str, Any]) -> GatedDeltaNetConfig:
    """Read Hugging Face's keys. Raises: ValueError naming the key, what was found and what was expected."""
    figures: dict[str, Any] = {
        key: config.get(key)
        for key in (
            "hidden_size",
            "linear_num_key_heads",
            "linear_num_value_heads",
            "linear_key_head_dim",
            "linear_value_head_dim",
            "linear_conv_kernel_dim",
        )
    }
    for key, value in figures.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"config: found {key} {value!r}, expected a positive whole number")
    eps = config.get("rms_norm_eps")
    if isinstance(eps, bool) or not isinstance(eps, (int, float)) or not 0 < eps < float("inf"):
        raise ValueError(f"config: found rms_norm_eps {eps!r}, expected a positive finite number")
    if config.get("hidden_act", "silu") != "silu":
        raise ValueError(f"config: found hidden_act {config['hidden_act']!r}, expected 'silu'")
    hidden, key_heads, value_heads, key_dim, value_dim, taps = (int(value) for value in figures.values())
    model = GatedDeltaNetConfig(hidden, key_heads, value_heads, key_dim, value_dim, taps, float(eps))
    if model.value_heads % model.key_heads:
        raise ValueError(
            f"config: found {model.value_heads} value heads and {model.key_heads} key heads, expected a multiple"
        )
    return model


def weight_shapes(model: GatedDeltaNetConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor of a layer by its name in Qwen3.5, with its shape."""
    keys, values = model.widths
    return {
        "dt_bias": (model.value_heads,),
        "A_log": (model.value_heads,),
        "conv1d.weight": (2 * keys + values, 1, model.taps),
        "norm.weight": (model.value_dim,),
        "out_proj.weight": (model.hidden, values),
        "in_proj_qkv.weight": (2 * keys + values, model.hidden),
        "in_proj_z.weight": (values, model.hidden),
        "in_proj_b.weight": (model.value_heads, model.hidden),
        "in_proj_a.weight": (model.value_heads, model.hidden),
    }


def check_weights(model: GatedDeltaNetConfig, weights: Mapping[str, Any], lora: Mapping[str, Any]) -> None:
    """Raises: ValueError naming a missing, extra or mis-shaped tensor, or an adapter whose name is not a projection."""
    shapes = weight_shapes(model)
    for name in sorted(shapes.keys() ^ weights.keys()):
        raise ValueError(f"weights: {name} is {'missing' if name in shapes else 'not a tensor of this layer'}")
    for name, shape in shapes.items():
        if tuple(weights[name].shape) != shape:
            raise ValueError(f"weights: found {name} {tuple(weights[name].shape)}, expected {shape}")
    for name in lora:
        if name not in PROJECTIONS:
            raise ValueError(f"lora: found an adapter of {name!r}, expected one of {', '.join(PROJECTIONS)}")
