"""A Qwen2 or Llama decoder in eager torch, CPU or CUDA, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn.functional import linear, silu

from candidates.torch.ops import rmsnorm, softmax

ARRAYS = "torch"
Weights = Mapping[str, torch.Tensor]
Stage = Callable[[str, torch.Tensor], torch.Tensor]


def load(config: Mapping[str, Any], weights: Mapping[str, Any], *, dtype: str, device: str) -> Decoder:
    """Put the weights on `device` in `dtype`; norms, RoPE and softmax compute wider in 16 bits.

    Raises: ValueError if the config asks for what this decoder does not do, or if a tensor is
            missing, left over or of the wrong shape.
    Source: the Hugging Face config keys and tensor names of Qwen2 and Llama.
    """
    kind = getattr(torch, dtype)
    return Decoder(dict(config), {name: torch.as_tensor(w).to(device, kind) for name, w in weights.items()})


class Decoder:
    """A loaded decoder: `logits(tokens)` and `stages(tokens, replace)`."""

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
        _check_weights(_shapes(config, self.heads * self.head_dim, self.kv_heads * self.head_dim), weights)

    @torch.no_grad()
    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Next-token logits. Shapes: tokens (B, T) -> (B, T, V)."""
        return self._forward(tokens, lambda _, value: value)

    @torch.no_grad()
    def stages(self, tokens: torch.Tensor, replace: Weights | None = None) -> dict[str, torch.Tensor]:
        """Every stage's value as computed; what follows a stage named in `replace` sees that value instead.

        Shapes: tokens (B, T) -> by stage name; scores are 0 where a key is in the future.
        """
        given = dict(replace or {})
        seen: dict[str, torch.Tensor] = {}

        def stage(name: str, value: torch.Tensor) -> torch.Tensor:
            seen[name] = value
            return given.pop(name).to(value) if name in given else value

        self._forward(tokens, stage)
        if given:
            raise ValueError(f"replace: no stage {min(given)!r}; expected names among {list(seen)}")
        return seen

    def _forward(self, tokens: torch.Tensor, stage: Stage) -> torch.Tensor:
        embedding = self.weights["model.embed_tokens.weight"]
        x = stage("embed", embedding[tokens.to(embedding.device)])
        rope = self._rope(tokens.shape[1], x)
        for i in range(self.layers):
            x = self._layer(i, x, rope, stage)
        x = stage("final_norm", rmsnorm(x, self.weights["model.norm.weight"], self.eps))
        return stage("logits", linear(x, embedding if self.tied else self.weights["lm_head.weight"]))

    def _layer(self, i: int, x: torch.Tensor, rope: torch.Tensor, stage: Stage) -> torch.Tensor:
        def at(name: str, value: torch.Tensor) -> torch.Tensor:
            return stage(f"layers.{i}.{name}", value)

        def project(x: torch.Tensor, name: str) -> torch.Tensor:
            name = f"model.layers.{i}.{name}"
            return linear(x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"))

        def norm(x: torch.Tensor, name: str) -> torch.Tensor:
            return rmsnorm(x, self.weights[f"model.layers.{i}.{name}.weight"], self.eps)

        h = at("input_norm", norm(x, "input_layernorm"))
        q, k, v = (at(f"{n}_proj", project(h, f"self_attn.{n}_proj")) for n in "qkv")
        x = at("attn_residual", x + at("o_proj", project(self._attention(q, k, v, rope, at), "self_attn.o_proj")))
        h = at("post_norm", norm(x, "post_attention_layernorm"))
        gate = at("gate_proj", project(h, "mlp.gate_proj"))
        up = at("up_proj", project(h, "mlp.up_proj"))
        return at("mlp_residual", x + at("down_proj", project(at("mlp_act", silu(gate) * up), "mlp.down_proj")))

    def _attention(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rope: torch.Tensor, at: Stage
    ) -> torch.Tensor:
        """q (B, T, H*D), k and v (B, T, KV*D) -> (B, T, H*D)."""
        q, k, v = (x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for x in (q, k, v))
        q, k = at("rope_q", _rotate(q, rope)), at("rope_k", _rotate(k, rope))
        # The query heads that share a key/value head are an axis of their own: nothing is copied.
        grouped = q.unflatten(1, (self.kv_heads, -1))
        future = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).triu(1)
        scores = (grouped @ k[:, :, None].transpose(-1, -2)) * self.head_dim**-0.5
        scores = at("scores", scores.flatten(1, 2).masked_fill(future, 0.0))
        probs = at("probs", softmax(scores.masked_fill(future, float("-inf"))))
        out = probs.unflatten(1, (self.kv_heads, -1)) @ v[:, :, None]
        return at("attn", out.flatten(1, 2).transpose(1, 2).flatten(2))

    def _rope(self, length: int, x: torch.Tensor) -> torch.Tensor:
        """Rotations as complex numbers (T, D/2), float64 for a float64 run, else float32."""
        wide = torch.float64 if x.dtype == torch.float64 else torch.float32
        steps = torch.arange(0, self.head_dim, 2, device=x.device, dtype=wide)
        frequencies = torch.pow(self.theta, -steps / self.head_dim)
        angles = torch.outer(torch.arange(length, device=x.device, dtype=wide), frequencies)
        return torch.polar(torch.ones_like(angles), angles)


def _rotate(x: torch.Tensor, rope: torch.Tensor) -> torch.Tensor:
    """x (B, H, T, D): its first half is the real part, its second the imaginary part."""
    real, imaginary = x.to(rope.real.dtype).chunk(2, dim=-1)
    turned = torch.complex(real.contiguous(), imaginary.contiguous()) * rope
    return torch.cat([turned.real, turned.imag], dim=-1).to(x.dtype)


def _shapes(config: dict[str, Any], queries: int, keys: int) -> dict[str, tuple[int, ...]]:
    """Hugging Face name -> shape of every tensor that the config implies; queries is H*D, keys KV*D."""
    C, F, V = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    llama = config["model_type"] == "llama"
    attention, mlp = llama and config.get("attention_bias"), llama and config.get("mlp_bias")
    projections = {
        "self_attn.q_proj": (queries, C, attention or not llama),
        "self_attn.k_proj": (keys, C, attention or not llama),
        "self_attn.v_proj": (keys, C, attention or not llama),
        "self_attn.o_proj": (C, queries, attention),
        "mlp.gate_proj": (F, C, mlp),
        "mlp.up_proj": (F, C, mlp),
        "mlp.down_proj": (C, F, mlp),
    }
    layer: dict[str, tuple[int, ...]] = {"input_layernorm.weight": (C,), "post_attention_layernorm.weight": (C,)}
    layer |= {f"{name}.weight": (rows, columns) for name, (rows, columns, _) in projections.items()}
    layer |= {f"{name}.bias": (rows,) for name, (rows, _, biased) in projections.items() if biased}
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (V, C), "model.norm.weight": (C,)}
    if not config.get("tie_word_embeddings"):
        shapes["lm_head.weight"] = (V, C)
    layers = range(config["num_hidden_layers"])
    return shapes | {f"model.layers.{i}.{name}": shape for i in layers for name, shape in layer.items()}


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
            raise ValueError(f"config: found {key} {found!r}, this decoder knows {', '.join(map(repr, known))}")
    if rope.get("rope_theta", config.get("rope_theta")) is None:
        raise ValueError("config: found no rope_theta, expected it in rope_parameters or at the top")


def _check_weights(expected: dict[str, tuple[int, ...]], weights: dict[str, torch.Tensor]) -> None:
    for name in [*expected, *weights]:
        found = tuple(weights[name].shape) if name in weights else None
        if found != expected.get(name):
            raise ValueError(f"weights: {name} is {found}, expected {expected.get(name)} (None: not there)")
