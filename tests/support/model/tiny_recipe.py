"""A recipe of the small model that is built in seconds."""

from __future__ import annotations

from harness.models.recipe import Recipe

TINY = Recipe(
    hidden_size=64,
    layers=1,
    heads=2,
    kv_heads=1,
    intermediate_size=64,
    files=12,
    steps=6,
    warmup=2,
    text_rows=2,
    memory_rows=1,
    held_out_rows=4,
    max_positions=256,
)
