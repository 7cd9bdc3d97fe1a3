"""transformers' Qwen3 and Qwen3.5 text models, and rewritten copies of their code that compute in float64."""

from __future__ import annotations

import copy
import inspect
import re
import sys
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedConfig
from transformers.models.qwen3 import modeling_qwen3
from transformers.models.qwen3.configuration_qwen3 import Qwen3Config
from transformers.models.qwen3_5 import modeling_qwen3_5
from transformers.models.qwen3_5.configuration_qwen3_5 import Qwen3_5TextConfig

ARRAYS = "torch"


def text_config(config: Mapping[str, Any]) -> Qwen3_5TextConfig:
    """Build transformers' Qwen3.5 text config from Hugging Face keys."""
    known = Qwen3_5TextConfig(**{k: v for k, v in config.items() if k != "model_type"})
    known._attn_implementation = "eager"
    return known


def modeling(dtype: str, module: ModuleType = modeling_qwen3_5) -> ModuleType:
    """transformers' module; for float64 a copy of its source in which float64 replaces every float32."""
    return _in_float64(module) if dtype == "float64" else module


@cache
def _in_float64(original: ModuleType) -> ModuleType:
    """Replace float32 in the module's source: `model.double()` keeps casts in norms, rotary, softmax and delta rule."""
    source = inspect.getsource(original)
    source = re.sub(r"torch\.float32\b|torch\.float\b(?!\d)", "torch.float64", source).replace(".float()", ".double()")
    name = f"{original.__name__}_float64"
    module = ModuleType(name)
    module.__package__ = original.__package__
    module.__file__ = original.__file__
    sys.modules[name] = module
    exec(compile(source, name, "exec"), module.__dict__)
    return module


def load(config: Mapping[str, Any], weights: Mapping[str, torch.Tensor], *, dtype: str, device: str) -> HybridDecoder:
    """A Qwen3 or Qwen3.5 text model with these weights.

    Raises: RuntimeError naming the tensors if `weights` does not hold exactly the model's tensors.
    """
    if config["model_type"] == "qwen3":
        known: PreTrainedConfig = Qwen3Config(**{k: v for k, v in config.items() if k != "model_type"})
        known._attn_implementation = "eager"
        model = modeling(dtype, modeling_qwen3).Qwen3ForCausalLM(known)
    else:
        known = text_config(config)
        model = modeling(dtype).Qwen3_5ForCausalLM(known)
    state = dict(weights)
    if known.tie_word_embeddings:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    frequencies = model.model.rotary_emb.inv_freq.clone()
    model.to(getattr(torch, dtype))
    model.load_state_dict(state, strict=True)
    model.to(device).eval()
    if dtype == "bfloat16":
        # `model.to(dtype)` rounds the rotary frequencies too, which in bfloat16 is a RoPE bug.
        model.model.rotary_emb.inv_freq = frequencies.to(device)
    return HybridDecoder(model)


class HybridDecoder:
    """A model with `logits`, `prefill` and `decode`."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @torch.no_grad()
    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Shapes: tokens (B, T) -> (B, T, V)."""
        return self.model(input_ids=tokens, use_cache=False).logits

    def prefill(self, tokens: torch.Tensor, lengths: torch.Tensor | None = None) -> tuple[torch.Tensor, Any]:
        """Logits (B, T, V) of a prompt, and its cache. Shapes: lengths (B,), real tokens of a left-padded row."""
        slots = torch.arange(tokens.shape[1], device=tokens.device)
        real = torch.ones_like(tokens) if lengths is None else (slots >= slots.numel() - lengths[:, None]).long()
        return self.step(tokens, DynamicCache(config=self.model.config), real)

    def decode(self, tokens: torch.Tensor, cache: tuple[Any, torch.Tensor]) -> tuple[torch.Tensor, Any]:
        """Logits (B, n, V) of the next n tokens, and the longer cache; the given cache is not changed."""
        kept, real = cache
        return self.step(tokens, copy.deepcopy(kept), torch.cat([real, torch.ones_like(tokens)], dim=1))

    @torch.no_grad()
    def step(self, tokens: torch.Tensor, kept: Any, real: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """One call of the model, which appends to `kept`."""
        positions = (real.cumsum(1) - 1).clamp_min(0)[:, -tokens.shape[1] :]
        out = self.model(
            input_ids=tokens, past_key_values=kept, attention_mask=real, position_ids=positions, use_cache=True
        )
        return out.logits, (kept, real)
