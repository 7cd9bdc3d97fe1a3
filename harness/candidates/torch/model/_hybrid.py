"""Qwen3 decoders and Qwen3.5 text models (attention and gated-delta-net layers) in eager torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import silu

from harness.candidates.torch.adapters._fitting import Adapter, fitting
from harness.candidates.torch.adapters.lora import lora_linear
from harness.candidates.torch.generation._generate import greedy
from harness.candidates.torch.model.cache import KVCache
from harness.candidates.torch.model.gated_delta_net import GatedDeltaNet
from harness.candidates.torch.ops.attention import rmsnorm
from harness.candidates.torch.ops.softmax import softmax
from harness.formats.architecture import layer_types, tensor_shapes

ARRAYS = "torch"
MODEL_TYPES = ("qwen3", "qwen3_5_text")
Tensors = dict[str, torch.Tensor]


def load_hybrid(
    config: Mapping[str, Any],
    weights: Mapping[str, Any],
    *,
    lora: Mapping[str, Adapter] | None = None,
    dtype: str,
    device: str,
) -> Hybrid:
    """Put the weights on `device` in `dtype`; 16-bit runs compute norms, RoPE, softmax, gates, states in float32.

    Raises: ValueError naming an unsupported key or a tensor that does not fit.
    """
    kind = getattr(torch, dtype)
    tensors = {name: torch.as_tensor(w).to(device, kind) for name, w in weights.items()}
    return Hybrid(dict(config), tensors, dict(lora or {}))


class HybridCache:
    """One request's keys and values, and its delta-net layers' states; `decode` changes the cache in place."""

    def __init__(self, layers: int, batch: int, device: torch.device) -> None:
        self.attention = KVCache(layers, batch, device)
        self.states: list[tuple[torch.Tensor, torch.Tensor] | None] = [None] * layers


class Hybrid:
    """A loaded model: `logits`, and with a cache `prefill`, `decode` and `generate`."""

    generate = greedy

    def __init__(self, config: dict[str, Any], weights: Tensors, lora: dict[str, Adapter]) -> None:
        _check(config, weights)
        self.types = layer_types(config)
        self.heads, self.kv_heads = int(config["num_attention_heads"]), int(config["num_key_value_heads"])
        self.head_dim = int(config.get("head_dim") or config["hidden_size"] // self.heads)
        rope = {**config, **(config.get("rope_parameters") or {})}
        self.theta = float(rope["rope_theta"])
        self.rotary_dim = int(self.head_dim * rope.get("partial_rotary_factor", 1.0))
        self.gated = config["model_type"] == "qwen3_5_text"
        self.eps, self.tied = float(config["rms_norm_eps"]), bool(config.get("tie_word_embeddings", False))
        self.weights, self.lora = weights, _fitted(weights, lora)
        self.mixers = {i: self._mixer(config, i) for i, kind in enumerate(self.types) if kind == "linear_attention"}

    @torch.no_grad()
    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Next-token logits. Shapes: tokens (B, T) -> (B, T, V)."""
        return self.prefill(tokens)[0]

    @torch.no_grad()
    def prefill(self, tokens: torch.Tensor, lengths: torch.Tensor | None = None) -> tuple[torch.Tensor, HybridCache]:
        """Logits (B, T, V) of a prompt, and its cache. Shapes: lengths (B,), real tokens of left-padded rows."""
        tokens = tokens.to(self.device)
        batch, length = tokens.shape
        real = torch.ones(batch, length, dtype=torch.bool, device=self.device)
        if lengths is not None:
            starts = length - torch.as_tensor(lengths, device=self.device)
            real = torch.arange(length, device=self.device) >= starts[:, None]
        return self._extend(tokens, real, HybridCache(len(self.types), batch, self.device))

    @torch.no_grad()
    def decode(self, tokens: torch.Tensor, cache: HybridCache) -> tuple[torch.Tensor, HybridCache]:
        """Logits (B, n, V) of the next n tokens of every row, and the longer cache."""
        tokens = tokens.to(self.device)
        return self._extend(tokens, torch.ones_like(tokens, dtype=torch.bool), cache)

    @property
    def device(self) -> torch.device:
        return self.weights["model.embed_tokens.weight"].device

    def _extend(self, tokens: torch.Tensor, real: torch.Tensor, cache: HybridCache) -> tuple[torch.Tensor, HybridCache]:
        embedding = self.weights["model.embed_tokens.weight"]
        x = embedding[tokens]
        positions, hidden = cache.attention.extend(real)
        rope = self._rope(positions, x)
        for i in range(len(self.types)):
            stem = f"model.layers.{i}."
            h = self._norm(x, f"{stem}input_layernorm")
            x = x + (self._delta(i, h, real, cache) if i in self.mixers else self._attention(i, h, rope, hidden, cache))
            h = self._norm(x, f"{stem}post_attention_layernorm")
            act = silu(self._linear(h, f"{stem}mlp.gate_proj")) * self._linear(h, f"{stem}mlp.up_proj")
            x = x + self._linear(act, f"{stem}mlp.down_proj")
        head = embedding if self.tied else self.weights["lm_head.weight"]
        return torch.nn.functional.linear(self._norm(x, "model.norm"), head), cache

    def _delta(self, i: int, h: torch.Tensor, real: torch.Tensor, cache: HybridCache) -> torch.Tensor:
        state, conv_state = cache.states[i] or (None, None)
        stem = f"model.layers.{i}.linear_attn."
        lora = {name.removeprefix(stem): adapter for name, adapter in self.lora.items() if name.startswith(stem)}
        out, state, conv_state = self.mixers[i].run(h, state, conv_state, lora, real, keep_wide=True)
        cache.states[i] = (state, conv_state)
        return out

    def _attention(
        self, i: int, h: torch.Tensor, rope: torch.Tensor, hidden: torch.Tensor, cache: HybridCache
    ) -> torch.Tensor:
        stem = f"model.layers.{i}.self_attn."
        q, k, v = (self._linear(h, f"{stem}{n}_proj") for n in "qkv")
        q = q.unflatten(-1, (self.heads, -1))
        gate = q[..., self.head_dim :].flatten(2)
        q = self._norm(q[..., : self.head_dim], f"{stem}q_norm").transpose(1, 2)
        k, v = (part.unflatten(-1, (-1, self.head_dim)) for part in (k, v))
        k, v = self._norm(k, f"{stem}k_norm").transpose(1, 2), v.transpose(1, 2)
        k, v = cache.attention.append(i, _rotate(k, rope), v)
        grouped = _rotate(q, rope).unflatten(1, (self.kv_heads, -1))
        scores = (grouped @ k[:, :, None].transpose(-1, -2)) * self.head_dim**-0.5
        probs = softmax(scores.masked_fill(hidden[:, :, None], float("-inf")))
        out = (probs @ v[:, :, None]).flatten(1, 2).transpose(1, 2).flatten(2)
        return self._linear(out * gate.sigmoid() if self.gated else out, f"{stem}o_proj")

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return lora_linear(x, self.weights[f"{name}.weight"], self.lora.get(name))

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """RMSNorm; Qwen3.5 stores each gain minus 1, and a 16-bit run adds the 1 in float32."""
        weight = self.weights[f"{name}.weight"]
        if not self.gated:
            return rmsnorm(x, weight, self.eps)
        wide = torch.float64 if x.dtype == torch.float64 else torch.float32
        return rmsnorm(x.to(wide), 1 + weight.to(wide), self.eps).to(x.dtype)

    def _rope(self, positions: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Rotations as complex numbers (B, 1, n, R/2), float64 for a float64 run, else float32."""
        wide = torch.float64 if x.dtype == torch.float64 else torch.float32
        steps = torch.arange(0, self.rotary_dim, 2, device=x.device, dtype=wide)
        angles = positions[:, None, :, None].to(wide) * torch.pow(self.theta, -steps / self.rotary_dim)
        return torch.polar(torch.ones_like(angles), angles)

    def _mixer(self, config: dict[str, Any], i: int) -> GatedDeltaNet:
        stem = f"model.layers.{i}.linear_attn."
        own = {n.removeprefix(stem): w for n, w in self.weights.items() if n.startswith(stem)}
        return GatedDeltaNet(config, own)


def _rotate(x: torch.Tensor, rope: torch.Tensor) -> torch.Tensor:
    """Rotate the first R dimensions of x (B, H, n, D), whose halves are real and imaginary part; keep the rest."""
    width = 2 * rope.shape[-1]
    real, imaginary = x[..., :width].to(rope.real.dtype).chunk(2, dim=-1)
    turned = torch.complex(real.contiguous(), imaginary.contiguous()) * rope
    return torch.cat([turned.real.to(x.dtype), turned.imag.to(x.dtype), x[..., width:]], dim=-1)


def _fitted(weights: Tensors, lora: dict[str, Adapter]) -> dict[str, Adapter]:
    for name in lora:
        if not name.startswith("model.layers.") or f"{name}.weight" not in weights:
            raise ValueError(f"lora: found an adapter of {name!r}, expected a linear layer of this model")
    return {
        n: fitting(weights[f"{n}.weight"], (torch.as_tensor(A), torch.as_tensor(B), s)) for n, (A, B, s) in lora.items()
    }


def _check(config: dict[str, Any], weights: Tensors) -> None:
    rope = {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
    for key, found, known in (
        ("hidden_act", config.get("hidden_act", "silu"), "silu"),
        ("rope_type", rope.get("rope_type", "default"), "default"),
        ("attention_bias", bool(config.get("attention_bias", False)), False),
    ):
        if found != known:
            raise ValueError(f"config: found {key} {found!r}, this decoder supports only {known!r}")
    expected = tensor_shapes(config)
    for name in [*expected, *weights]:
        shape = tuple(weights[name].shape) if name in weights else None
        if shape != expected.get(name):
            raise ValueError(f"weights: {name} is {shape}, expected {expected.get(name)} (None: absent)")
