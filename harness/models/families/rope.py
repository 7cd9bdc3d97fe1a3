"""Rotary settings that matter within 40 tokens: short original contexts, small theta, factors far from 1."""

from __future__ import annotations

from typing import Any

Rope = dict[str, Any]


def default(theta: float = 300.0, **more: Any) -> Rope:
    return {"rope_type": "default", "rope_theta": theta, **more}


def linear(theta: float = 300.0, **more: Any) -> Rope:
    return {"rope_type": "linear", "rope_theta": theta, "factor": 2.5, **more}


def dynamic(theta: float = 300.0, **more: Any) -> Rope:
    """Needs `max_position_embeddings` smaller than the text."""
    return {"rope_type": "dynamic", "rope_theta": theta, "factor": 3.0, **more}


def llama3(theta: float = 100.0, **more: Any) -> Rope:
    """With head_dim 20, wavelengths of all three kinds: below 8, between, and above 32."""
    scaled = {"factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
    return {"rope_type": "llama3", "rope_theta": theta, **scaled, **more}


def yarn(theta: float = 100.0, **more: Any) -> Rope:
    """beta_fast 2 and beta_slow 1 put the ramp inside the head; the usual 32 would interpolate every pair."""
    scaled = {"factor": 4.0, "beta_fast": 2.0, "beta_slow": 0.5, "original_max_position_embeddings": 32}
    return {"rope_type": "yarn", "rope_theta": theta, **scaled, **more}


def longrope(pairs: int, original: int | None = 16, theta: float = 300.0, **more: Any) -> Rope:
    """Factors for `pairs` = rotary dim / 2; `long_factor` rules when the text is longer than `original`."""
    factors = {
        "short_factor": [1.0 + 0.15 * i for i in range(pairs)],
        "long_factor": [1.5 + 0.7 * i for i in range(pairs)],
    }
    kept = {} if original is None else {"original_max_position_embeddings": original}
    return {"rope_type": "longrope", "rope_theta": theta, **factors, **kept, **more}
