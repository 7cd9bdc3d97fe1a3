"""A decoder whose linear weights stay packed in 4 bits; its layer code is separate, with its own norm calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn.functional import linear, silu

from harness.candidates.torch.ops.attention import attention, rmsnorm

ARRAYS = "torch"
BLOCK = 64
LINEARS = (*(f"self_attn.{n}_proj" for n in "qkvo"), *(f"mlp.{n}_proj" for n in ("gate", "up", "down")))
CODE = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
    *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
    *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)


def load_nf4(config: Mapping[str, Any], weights: Mapping[str, Any], *, dtype: str, device: str) -> Nf4Decoder:
    """Keep `<linear>.weight` as packed codes with `<linear>.weight.absmax`; convert other tensors to `dtype`.

    Shapes: packed (R*C / 2,) uint8, the first element of a byte in its high four bits; absmax (ceil(R*C / 64),).
    Raises: ValueError naming the tensor that is missing, extra or not packed.
    Source: arXiv:2305.14314; tensor names as bitsandbytes writes them.
    """
    kind = getattr(torch, dtype)
    tensors = {name: torch.as_tensor(value).to(device) for name, value in weights.items()}
    floats = {name: t.to(kind) if t.is_floating_point() else t for name, t in tensors.items()}
    return Nf4Decoder(dict(config), floats)


class Nf4Decoder:
    """A loaded 4-bit decoder: `logits(tokens)` and the stages between its fused operations."""

    def __init__(self, config: dict[str, Any], weights: dict[str, torch.Tensor]) -> None:
        self.layers = int(config["num_hidden_layers"])
        self.heads = int(config["num_attention_heads"])
        self.head_dim = int(config.get("head_dim") or config["hidden_size"] // self.heads)
        self.hidden, self.eps = int(config["hidden_size"]), float(config["rms_norm_eps"])
        self.theta = float({**config, **(config.get("rope_parameters") or {})}["rope_theta"])
        self.head = "model.embed_tokens.weight" if config.get("tie_word_embeddings") else "lm_head.weight"
        self.weights = weights
        self.code = torch.tensor(CODE, dtype=torch.float64, device=weights[self.head].device)
        self._check(config)

    @torch.no_grad()
    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Next-token logits. Shapes: tokens (B, T) -> (B, T, V)."""
        return self._forward(tokens, lambda _, value: value)

    @torch.no_grad()
    def stages(
        self, tokens: torch.Tensor, replace: Mapping[str, torch.Tensor] | None = None
    ) -> dict[str, torch.Tensor]:
        """The stages that this code has, as computed; later stages read the value in `replace` instead, if given."""
        given, seen = dict(replace or {}), {}

        def stage(name: str, value: torch.Tensor) -> torch.Tensor:
            seen[name] = value
            return given.pop(name).to(value) if name in given else value

        self._forward(tokens, stage)
        if given:
            raise ValueError(f"replace: no stage {min(given)!r}; expected names among {list(seen)}")
        return seen

    def _forward(self, tokens: torch.Tensor, stage: Callable[[str, torch.Tensor], torch.Tensor]) -> torch.Tensor:
        x = stage("embed", self.weights["model.embed_tokens.weight"][tokens])
        turn = self._turn(tokens.shape[1], x)
        for i in range(self.layers):
            at, stem = f"layers.{i}.", f"model.layers.{i}."
            h = stage(at + "input_norm", rmsnorm(x, self.weights[stem + "input_layernorm.weight"], self.eps))
            x = stage(at + "attn_residual", x + self._attention(h, stem, turn))
            h = stage(at + "post_norm", rmsnorm(x, self.weights[stem + "post_attention_layernorm.weight"], self.eps))
            act = silu(self._linear(h, stem + "mlp.gate_proj")) * self._linear(h, stem + "mlp.up_proj")
            x = stage(at + "mlp_residual", x + self._linear(act, stem + "mlp.down_proj"))
        x = stage("final_norm", rmsnorm(x, self.weights["model.norm.weight"], self.eps))
        return stage("logits", linear(x, self.weights[self.head]))

    def _attention(self, h: torch.Tensor, stem: str, turn: torch.Tensor) -> torch.Tensor:
        """h (B, T, C) -> (B, T, C)."""
        q, k, v = (
            self._linear(h, f"{stem}self_attn.{n}_proj").unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for n in "qkv"
        )
        out = attention(_rotate(q, turn), _rotate(k, turn), v)
        return self._linear(out.transpose(1, 2).flatten(2), stem + "self_attn.o_proj")

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """x W^T + b; W is unpacked for this call only and rounded once to x's dtype."""
        packed, absmax = self.weights[f"{name}.weight"], self.weights[f"{name}.weight.absmax"]
        codes = torch.stack([packed >> 4, packed & 15], dim=-1).flatten().long()
        scale = absmax.double().repeat_interleave(BLOCK)[: codes.numel()]
        weight = (self.code[codes] * scale).to(x.dtype).view(-1, x.shape[-1])
        return linear(x, weight, self.weights.get(f"{name}.bias"))

    def _turn(self, length: int, x: torch.Tensor) -> torch.Tensor:
        """cos and sin of the rotation angles, (2, T, D/2), float64 for a float64 run, else float32."""
        wide = torch.float64 if x.dtype == torch.float64 else torch.float32
        steps = torch.arange(0, self.head_dim, 2, device=x.device, dtype=wide)
        angles = torch.arange(length, device=x.device, dtype=wide)[:, None] * self.theta ** (-steps / self.head_dim)
        return torch.stack([angles.cos(), angles.sin()])

    def _check(self, config: Mapping[str, Any]) -> None:
        """Raises: ValueError unless the tensors are exactly the config's and every linear has one scale per block."""
        llama = config["model_type"] == "llama"
        attention_bias, mlp_bias = llama and config.get("attention_bias"), llama and config.get("mlp_bias")
        known = {"model.embed_tokens.weight", "model.norm.weight", self.head}
        for stem in (f"model.layers.{i}." for i in range(self.layers)):
            known |= {stem + "input_layernorm.weight", stem + "post_attention_layernorm.weight"}
            for name in LINEARS:
                known |= {f"{stem}{name}.weight", f"{stem}{name}.weight.absmax"}
                qkv = name.startswith("self_attn.") and "o_proj" not in name
                if mlp_bias if name.startswith("mlp.") else attention_bias or (qkv and not llama):
                    known.add(f"{stem}{name}.bias")
        for name in sorted(known ^ set(self.weights)):
            raise ValueError(f"weights: {name} is {'missing' if name in known else 'not a tensor of this config'}")
        for name in sorted(name for name in known if f"{name}.absmax" in known):
            packed, absmax = self.weights[name], self.weights[f"{name}.absmax"]
            if packed.dtype != torch.uint8:
                raise ValueError(f"weights: {name} is {packed.dtype}, expected NF4 codes packed in uint8")
            if absmax.numel() != -(-2 * packed.numel() // BLOCK):
                raise ValueError(f"weights: {name}.absmax has {absmax.numel()} scales, expected one per {BLOCK}")


def _rotate(x: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """Rotate x (B, H, T, D): element i of the first half pairs with element i of the second."""
    (a, b), (cos, sin) = x.to(turn.dtype).chunk(2, dim=-1), turn
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1).to(x.dtype)
