"""Random decoder weights, scaled so that a fault in any tensor changes the logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.reference.model.families import declare

TINY_ROW_EVERY = 4
TINY_ROW_STD = 1e-3
"""Every fourth embedding row has a mean square near 1e-6, so that a wrong eps in the first norm shows."""


def random_weights(config: Mapping[str, Any], seed: int) -> dict[str, np.ndarray]:
    """Every tensor of the config's decoder, float64, by its Hugging Face name.

    Raises: ValueError if the config does not describe a supported decoder.
    """
    rng = np.random.default_rng(seed)
    return {name: random_tensor(name, shape, rng) for name, shape in declare(config).shapes().items()}


def random_tensor(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """One tensor, float64, with the scale that its Hugging Face name calls for.

    Units:  norm gains have mean 1 and std 0.3, biases std 0.5; rows of linear layers have norm near 1,
            rows of q and k norm near 1.5, so that attention is neither uniform nor saturated; embedding
            rows have norm near 1, but every fourth has RMS 1e-3.
    """
    values = rng.standard_normal(shape)
    if name.endswith("norm.weight"):
        return 1 + 0.3 * values
    if name.endswith(".bias"):
        return 0.5 * values
    values /= np.sqrt(shape[-1])
    if "embed_tokens" in name:
        values[::TINY_ROW_EVERY] *= TINY_ROW_STD * np.sqrt(shape[-1])
    return 1.5 * values if name.endswith(("q_proj.weight", "k_proj.weight")) else values
