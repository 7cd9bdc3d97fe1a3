"""A Qwen2 or Llama decoder in eager torch, on CPU or CUDA, with readable and replaceable stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch.nn.functional import linear, silu

from harness.candidates.torch.adapters._fitting import Adapter, fitting
from harness.candidates.torch.generation._generate import greedy
from harness.candidates.torch.model._hybrid import MODEL_TYPES as HYBRID
from harness.candidates.torch.model._hybrid import load_hybrid
from harness.candidates.torch.model._shapes import shapes_of
from harness.candidates.torch.model._stage_record import StageRecord
from harness.candidates.torch.model.cache import KVCache
from harness.candidates.torch.ops.attention import rmsnorm
from harness.candidates.torch.ops.softmax import softmax
from harness.candidates.torch.training._gradients import decoder_loss, decoder_loss_and_grads

ARRAYS = "torch"
Weights = Mapping[str, torch.Tensor]
Stage = Callable[[str, torch.Tensor], torch.Tensor]


def load(
    config: Mapping[str, Any],
    weights: Mapping[str, Any],
    *,
    lora: Mapping[str, Adapter] | None = None,
    dtype: str,
    device: str,
) -> Any:
    """Put the weights on `device` in `dtype`; 16-bit runs compute norms, RoPE and softmax in float32.

    Units:  lora maps a linear layer's name (`model.layers.0.self_attn.q_proj`) to its adapter (A, B, scale).
    Raises: ValueError if the config has a setting that this decoder does not support, or if a tensor is
            missing, extra or mis-shaped.
    Source: the Hugging Face config keys and tensor names of Qwen2 and Llama.
    """
    if config.get("model_type") in HYBRID:
        return load_hybrid(config, weights, lora=lora, dtype=dtype, device=device)
    return Decoder.load(config, weights, lora=lora, dtype=dtype, device=device)


class Decoder:
    """A loaded decoder: `logits`, `stages`, `loss_and_grads`, and, with a KV cache, `prefill` and `decode`.

    The caller passes the cache back unchanged and does not read it. `decode` may change the cache in place;
    continue with the cache that it returns.
    """

    norm = staticmethod(rmsnorm)
    softmax = staticmethod(softmax)
    loss, loss_and_grads, generate = decoder_loss, decoder_loss_and_grads, greedy

    def __init__(self, config: dict[str, Any], weights: dict[str, torch.Tensor]) -> None:
        _check_config(config)
        self.layers = int(config["num_hidden_layers"])
        self.heads = int(config["num_attention_heads"])
        self.kv_heads = int(config.get("num_key_value_heads") or self.heads)
        self.head_dim = int(config.get("head_dim") or config["hidden_size"] // self.heads)
        self.eps = float(config["rms_norm_eps"])
        self.theta = float({**config, **(config.get("rope_parameters") or {})}["rope_theta"])
        self.tied = bool(config.get("tie_word_embeddings", False))
        self.weights = weights
        self.scales: dict[str, float] = {}
        _check_weights(shapes_of(config), weights)

    @classmethod
    def load(
        cls,
        config: Mapping[str, Any],
        weights: Mapping[str, Any],
        *,
        lora: Mapping[str, Adapter] | None = None,
        dtype: str,
        device: str,
    ) -> Self:
        """What a candidate offers as `load`, for this class and those derived from it. Raises: as the function."""
        kind = getattr(torch, dtype)
        decoder = cls(dict(config), {name: torch.as_tensor(w).to(device, kind) for name, w in weights.items()})
        decoder.adapt(lora or {})
        return decoder

    @torch.no_grad()
    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Next-token logits. Shapes: tokens (B, T) -> (B, T, V)."""
        return self._forward(tokens, lambda _, value: value)

    @torch.no_grad()
    def prefill(self, tokens: torch.Tensor, lengths: torch.Tensor | None = None) -> tuple[torch.Tensor, KVCache]:
        """Logits of a prompt, and its cache; pass the later chunks of a chunked prompt to `decode`.

        Shapes: tokens (B, T); lengths (B,), how many real tokens end each row of a LEFT-padded batch (None:
                all T) -> logits (B, T, V), meaningless at padding.
        Units:  positions count real tokens, so a row's first real token is at 0.
        """
        tokens = tokens.to(self.device)
        batch, length = tokens.shape
        real = torch.ones(batch, length, dtype=torch.bool, device=self.device)
        if lengths is not None:
            starts = length - torch.as_tensor(lengths, device=self.device)
            real = torch.arange(length, device=self.device) >= starts[:, None]
        return self._extend(tokens, real, KVCache(self.layers, batch, self.device))

    @torch.no_grad()
    def decode(self, tokens: torch.Tensor, cache: KVCache) -> tuple[torch.Tensor, KVCache]:
        """Logits of the next n tokens of every row, n >= 1, and the longer cache.

        Shapes: tokens (B, n) -> logits (B, n, V).
        """
        tokens = tokens.to(self.device)
        return self._extend(tokens, torch.ones_like(tokens, dtype=torch.bool), cache)

    @torch.no_grad()
    def stages(self, tokens: torch.Tensor, replace: Weights | None = None) -> dict[str, torch.Tensor]:
        """Every stage's value as computed; later stages read the value in `replace` instead, if given.

        Shapes: tokens (B, T) -> by stage name; scores are 0 where a key is in the future; NaN for a stage whose
                operation edits a value that a later one still reads.
        """
        stages = StageRecord(dict(replace or {}))
        self._forward(tokens, stages)
        if stages.given:
            raise ValueError(f"replace: no stage {min(stages.given)!r}; expected names among {list(stages.seen)}")
        return stages.seen

    def adapt(self, lora: Mapping[str, Adapter]) -> None:
        """Add adapters to linear layers, as the tensors `<layer>.lora_A.weight` and `.lora_B.weight` of the model.

        Raises: ValueError if the model has no such linear layer, or A or B does not fit it.
        """
        for name, (A, B, scale) in lora.items():
            if f"{name}.weight" not in self.weights or not name.endswith("_proj"):
                raise ValueError(f"lora: found an adapter of {name!r}, expected a linear layer of this model")
            weight = self.weights[f"{name}.weight"]
            A, B, _ = fitting(weight, (torch.as_tensor(A), torch.as_tensor(B), scale))
            self.weights |= {f"{name}.lora_A.weight": A, f"{name}.lora_B.weight": B}
            self.scales[name] = float(scale)

    @property
    def device(self) -> torch.device:
        return self.weights["model.embed_tokens.weight"].device

    def _extend(self, tokens: torch.Tensor, real: torch.Tensor, cache: KVCache) -> tuple[torch.Tensor, KVCache]:
        return self._forward(tokens, lambda _, value: value, cache, *cache.extend(real)), cache

    def _forward(
        self,
        tokens: torch.Tensor,
        stage: Stage,
        cache: KVCache | None = None,
        positions: torch.Tensor | None = None,
        hidden: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits; without `positions` and `hidden`: positions 0 .. T-1 and a causal mask."""
        embedding = self.weights["model.embed_tokens.weight"]
        tokens = tokens.to(self.device)
        x = stage("embed", embedding[tokens])
        if positions is None or hidden is None:
            length = tokens.shape[1]
            positions = torch.arange(length, device=self.device)[None]
            hidden = torch.ones(length, length, dtype=torch.bool, device=self.device).triu(1)
        rope = self._rope(positions, x)
        for i in range(self.layers):
            x = self._layer(i, x, rope, hidden, stage, cache)
        x = stage("final_norm", self.norm(x, self.weights["model.norm.weight"], self.eps))
        return stage("logits", linear(x, embedding if self.tied else self.weights["lm_head.weight"]))

    def _layer(
        self, i: int, x: torch.Tensor, rope: torch.Tensor, hidden: torch.Tensor, stage: Stage, cache: KVCache | None
    ) -> torch.Tensor:
        def at(name: str, value: torch.Tensor) -> torch.Tensor:
            return stage(f"layers.{i}.{name}", value)

        def project(x: torch.Tensor, name: str) -> torch.Tensor:
            name = f"model.layers.{i}.{name}"
            out = linear(x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"))
            if name not in self.scales:
                return out
            A, B = (self.weights[f"{name}.lora_{part}.weight"] for part in "AB")
            return out + self.scales[name] * linear(linear(x, A), B)

        def norm(x: torch.Tensor, name: str) -> torch.Tensor:
            return self.norm(x, self.weights[f"model.layers.{i}.{name}.weight"], self.eps)

        h = at("input_norm", norm(x, "input_layernorm"))
        q, k, v = (at(f"{n}_proj", project(h, f"self_attn.{n}_proj")) for n in "qkv")
        q, k, v = (part.unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for part in (q, k, v))
        q, k = at("rope_q", _rotate(q, rope)), at("rope_k", _rotate(k, rope))
        if cache is not None:
            k, v = cache.append(i, k, v)
        attn = at("attn", self.attend(q, k, v, hidden, at).transpose(1, 2).flatten(2))
        x = at("attn_residual", x + at("o_proj", project(attn, "self_attn.o_proj")))
        h = at("post_norm", norm(x, "post_attention_layernorm"))
        gate = at("gate_proj", project(h, "mlp.gate_proj"))
        up = at("up_proj", project(h, "mlp.up_proj"))
        return at("mlp_residual", x + at("down_proj", project(at("mlp_act", silu(gate) * up), "mlp.down_proj")))

    def attend(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, hidden: torch.Tensor, at: Stage
    ) -> torch.Tensor:
        """q (B, H, n, D), k and v (B, KV, S, D), hidden (n, S) or (B, 1, n, S) -> (B, H, n, D)."""
        # Query heads that share a key/value head get their own axis, so that broadcasting avoids copies.
        grouped = q.unflatten(1, (self.kv_heads, -1))
        scores = (grouped @ k[:, :, None].transpose(-1, -2)) * self.head_dim**-0.5
        scores = at("scores", scores.flatten(1, 2).masked_fill(hidden, 0.0))
        probs = at("probs", self.softmax(scores.masked_fill(hidden, float("-inf"))))
        return (probs.unflatten(1, (self.kv_heads, -1)) @ v[:, :, None]).flatten(1, 2)

    def _rope(self, positions: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Rotations as complex numbers (B, 1, n, D/2), float64 for a float64 run, else float32."""
        wide = torch.float64 if x.dtype == torch.float64 else torch.float32
        steps = torch.arange(0, self.head_dim, 2, device=x.device, dtype=wide)
        angles = positions[:, None, :, None].to(wide) * torch.pow(self.theta, -steps / self.head_dim)
        return torch.polar(torch.ones_like(angles), angles)


def _rotate(x: torch.Tensor, rope: torch.Tensor) -> torch.Tensor:
    """x (B, H, T, D): its first half is the real part, its second the imaginary part."""
    real, imaginary = x.to(rope.real.dtype).chunk(2, dim=-1)
    turned = torch.complex(real.contiguous(), imaginary.contiguous()) * rope
    return torch.cat([turned.real, turned.imag], dim=-1).to(x.dtype)


def _check_config(config: dict[str, Any]) -> None:
    rope = {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
    for key, found, known in (
        ("model_type", config.get("model_type"), ("llama", "qwen2")),
        ("hidden_act", config.get("hidden_act", "silu"), ("silu",)),
        ("rope_type", rope.get("rope_type", rope.get("type", "default")), ("default",)),
        ("partial_rotary_factor", rope.get("partial_rotary_factor", 1), (1,)),
        ("use_sliding_window", config.get("use_sliding_window", False), (False,)),
    ):
        if found not in known:
            raise ValueError(f"config: found {key} {found!r}, this decoder supports only {', '.join(map(repr, known))}")
    if rope.get("rope_theta", config.get("rope_theta")) is None:
        raise ValueError("config: found no rope_theta, expected it in rope_parameters or at the top")


def _check_weights(expected: dict[str, tuple[int, ...]], weights: dict[str, torch.Tensor]) -> None:
    for name in [*expected, *weights]:
        found = tuple(weights[name].shape) if name in weights else None
        if found != expected.get(name):
            raise ValueError(f"weights: {name} is {found}, expected {expected.get(name)} (None: absent)")
