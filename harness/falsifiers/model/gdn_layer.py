"""Inputs for falsifiers of a gated-delta-net layer: config, random weights, adapters, hidden states, states."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.reference.model.gated_delta_net_config import PROJECTIONS, parse_config, weight_shapes

Config = dict[str, Any]
Arrays = dict[str, np.ndarray]


def layer(case: Case, key_heads: int, per_key: int, *, hidden: int = 24) -> tuple[Config, Arrays]:
    """Config and weights in which a fault of any tensor shows; decays range from 1e-3 to 0.99 per step.

    Units: per_key is the number of value heads that share a key head. With one key head, keys and values have the
           same width, so that a subject can confuse them; otherwise their widths differ.
    """
    config = {
        "hidden_size": hidden,
        "linear_num_key_heads": key_heads,
        "linear_num_value_heads": key_heads * per_key,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8 if key_heads == 1 else 6,
        "linear_conv_kernel_dim": 4,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
    }
    shapes = weight_shapes(parse_config(config))
    return config, {name: _tensor(case, name, shape) for name, shape in shapes.items()}


def adapters(case: Case, weights: Arrays, names: tuple[str, ...] = PROJECTIONS, scale: float = 0.7) -> dict[str, Any]:
    """(A, B, scale) for each named projection, with ranks 2 and 3 in turn and B not zero."""
    return {
        name: (
            case.normal(f"{name}.lora_A", (2 + i % 2, weights[f"{name}.weight"].shape[1]), std=0.3),
            case.normal(f"{name}.lora_B", (weights[f"{name}.weight"].shape[0], 2 + i % 2), std=0.3),
            scale,
        )
        for i, name in enumerate(names)
    }


def inputs(case: Case, config: Config, length: int, batch: int = 2) -> np.ndarray:
    """Hidden states (batch, length, H)."""
    return case.normal("x", (batch, length, config["hidden_size"]))


def states(case: Case, config: Config, batch: int = 2) -> dict[str, np.ndarray]:
    """Random states, as an earlier call could return: the layer's state and the convolution's last inputs."""
    model = parse_config(config)
    keys, values = model.widths
    return {
        "state": case.normal("state", (batch, model.value_heads, model.key_dim, model.value_dim)),
        "conv_state": case.normal("conv_state", (batch, 2 * keys + values, model.taps - 1)),
    }


def _tensor(case: Case, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name == "A_log":
        return case.array(name, lambda: np.log(case.stream(name).uniform(0.01, 4, shape)))
    mean = 1.0 if name == "norm.weight" else 0.0
    return case.normal(name, shape, std=0.5 if name.startswith("conv1d") else 0.3, mean=mean)
