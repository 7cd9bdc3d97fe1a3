"""Rename gated delta net weights as Qwen3-Next names them."""

from __future__ import annotations

from typing import Any

import torch


def as_qwen3_next(p: dict[str, Any], prefix: str = "") -> dict[str, torch.Tensor]:
    """in_proj_qkvz and in_proj_ba lie head by head: each key head's q, k, its values and their gates."""
    heads, hidden = p["config"]["linear_num_key_heads"], p["config"]["hidden_size"]
    w = {name: torch.from_numpy(p["weights"][name].copy()) for name in p["weights"] if name.startswith(prefix)}
    keys = heads * p["config"]["linear_key_head_dim"]
    values = p["config"]["linear_num_value_heads"] * p["config"]["linear_value_head_dim"]
    rows = [*w.pop(f"{prefix}in_proj_qkv.weight").split([keys, keys, values]), w.pop(f"{prefix}in_proj_z.weight")]
    gates = [w.pop(f"{prefix}in_proj_{name}.weight") for name in "ba"]
    for name, parts in (("in_proj_qkvz", rows), ("in_proj_ba", gates)):
        by_head = [part.reshape(heads, -1, hidden) for part in parts]
        w[f"{prefix}{name}.weight"] = torch.cat(by_head, dim=1).flatten(0, 1)
    return w
