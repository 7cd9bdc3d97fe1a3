"""transformers' Qwen2 and Llama, built from a config and weights, without any download."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

ARRAYS = "torch"
HYBRID = ("qwen3", "qwen3_5_text")
"""Model types that `harness.falsifiers.baselines.transformers.hybrid` builds."""
PLAIN = ("llama", "qwen2")
"""Model types that are built here if their RoPE is not scaled; `any_decoder` builds all others, through a folder."""


@dataclass
class Cache:
    """transformers' own cache, and a mask (B, S) that is 1 for real tokens and 0 for padding."""

    kv: DynamicCache
    real: torch.Tensor


class Decoder:
    """A transformers model with `logits`, `prefill` and `decode`; `model` is transformers' object."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @torch.no_grad()
    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Next-token logits in the run's dtype. Shapes: tokens (B, T) -> (B, T, V)."""
        return self.model(input_ids=tokens, use_cache=False).logits

    def prefill(self, tokens: torch.Tensor, lengths: torch.Tensor | None = None) -> tuple[torch.Tensor, Cache]:
        """Logits (B, T, V) of a prompt, and its cache. Shapes: lengths (B,), real tokens of a left-padded row."""
        slots = torch.arange(tokens.shape[1], device=tokens.device)
        real = torch.ones_like(tokens) if lengths is None else (slots >= slots.numel() - lengths[:, None]).long()
        return self._extend(tokens, Cache(DynamicCache(), real[:, :0]), real)

    def decode(self, tokens: torch.Tensor, cache: Cache) -> tuple[torch.Tensor, Cache]:
        """Logits (B, n, V) of the next n tokens, and the longer cache. Shapes: tokens (B, n)."""
        return self._extend(tokens, cache, torch.ones_like(tokens))

    def _extend(self, tokens: torch.Tensor, cache: Cache, real: torch.Tensor) -> tuple[torch.Tensor, Cache]:
        cache.real = torch.cat([cache.real, real], dim=1)
        positions = (cache.real.cumsum(1) - 1).clamp_min(0)[:, -tokens.shape[1] :]
        return self.step(tokens, cache.kv, cache.real, positions), cache

    @torch.no_grad()
    def step(self, tokens: torch.Tensor, kv: DynamicCache, mask: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """One call of the model, which appends to kv. Shapes: tokens, positions (B, n), mask (B, S) -> (B, n, V)."""
        return self.model(
            input_ids=tokens, past_key_values=kv, attention_mask=mask, position_ids=positions, use_cache=True
        ).logits


def load(config: Mapping[str, Any], weights: Mapping[str, torch.Tensor], *, dtype: str, device: str) -> Any:
    """Build the model of `config`, load `weights`, and move it to `device` in `dtype`.

    Raises: RuntimeError naming the tensors if `weights` does not hold exactly the model's tensors.
    Source: transformers' AutoModelForCausalLM, eager attention.
    """
    if config["model_type"] not in (*HYBRID, *PLAIN) or _scaled(config):
        from harness.falsifiers.baselines.transformers import any_decoder

        return any_decoder.load(config, weights, dtype=dtype, device=device)
    if config["model_type"] in HYBRID:
        from harness.falsifiers.baselines.transformers import hybrid  # imported late, because its modules load slowly

        return hybrid.load(config, weights, dtype=dtype, device=device)
    wide = dtype == "float64"
    # Eager attention computes its softmax in float32 even in a float64 model, which float64
    # cases would detect; sdpa computes in the dtype of its inputs.
    known = AutoConfig.for_model(**config)
    model = AutoModelForCausalLM.from_config(known, attn_implementation="sdpa" if wide else "eager")
    state = dict(weights)
    if known.tie_word_embeddings:
        # A tied checkpoint stores the shared tensor once, but the strict load below needs both names.
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.to(getattr(torch, dtype))
    model.load_state_dict(state, strict=True)
    model.to(device).eval()
    _restore_rotary(model, wide)
    if wide:
        _norms_in_float64(model)
    return Decoder(model)


def _scaled(config: Mapping[str, Any]) -> bool:
    """Whether RoPE is of another kind than the plain one, which alone `_restore_rotary` computes anew."""
    given = {**(config.get("rope_parameters") or {}), **(config.get("rope_scaling") or {})}
    return given.get("rope_type", given.get("type", "default")) != "default"


def _restore_rotary(model: Any, wide: bool) -> None:
    """Recompute the rotary frequencies: `model.to(dtype)` rounds them too, which in bfloat16 is a RoPE bug."""
    rotary = model.model.rotary_emb
    frequencies, scaling = rotary.compute_default_rope_parameters(rotary.config)
    rotary.inv_freq = frequencies.to(rotary.inv_freq.device)
    rotary.attention_scaling = scaling
    if wide:
        rotary.forward = MethodType(_rotary_in_float64, rotary)


def _rotary_in_float64(self: Any, x: torch.Tensor, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """transformers' rotary forward without its two `.float()` casts and with float64 frequencies."""
    theta = self.config.rope_parameters["rope_theta"]
    dim = 2 * self.inv_freq.numel()
    frequencies = 1.0 / (theta ** (torch.arange(0, dim, 2, dtype=torch.float64, device=x.device) / dim))
    angles = position_ids[..., None].double() * frequencies
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def _norms_in_float64(model: Any) -> None:
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = MethodType(_norm_in_float64, module)


def _norm_in_float64(self: Any, x: torch.Tensor) -> torch.Tensor:
    """transformers' RMSNorm forward without its cast to float32."""
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))
