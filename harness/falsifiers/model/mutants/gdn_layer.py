"""A gated-delta-net layer, step by step in plain torch, in which one part can be exchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv1d, silu, softplus

Call = Callable[..., tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True)
class Parts:
    """What a mutant may exchange; as they stand, they are right."""

    activation: Callable[[Tensor], Tensor] = silu
    gate: Callable[[Tensor], Tensor] = silu
    length: Callable[[Tensor], Tensor] = lambda x: x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-6)
    scale: Callable[[int], float] = lambda width: width**-0.5
    log_decay: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda a, bias, A_log: -A_log.exp() * softplus(a + bias)
    rate: Callable[[Tensor], Tensor] = torch.sigmoid
    per_head: Callable[[Tensor, int], Tensor] = lambda gates, per_key: gates
    heads: Callable[[Tensor, int], Tensor] = lambda x, per_key: x.repeat_interleave(per_key, dim=2)
    order: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]] = lambda q, k, v: (q, k, v)
    error: Callable[[Tensor, Tensor], Tensor] = lambda state, decayed: decayed
    history: Callable[[Tensor], Tensor] = lambda history: history
    kept: Callable[[Tensor, int], Tensor] = lambda whole, taps: whole[..., whole.shape[-1] - taps + 1 :]
    between: Callable[[Tensor, int], Tensor] = lambda state, t: state
    final: Callable[[Tensor, int, Tensor], Tensor] = lambda state, length, idle: state
    norm_first: bool = True
    adapter_input: Callable[[Tensor], Tensor] = lambda x: x


def layer(parts: Parts) -> Call:
    """The call of a layer with these parts; arguments and answers as the baseline's `gated_delta_net`."""

    def call(
        x: Tensor,
        weights: dict[str, Tensor],
        config: dict[str, Any],
        *,
        state: Tensor | None = None,
        conv_state: Tensor | None = None,
        lora: dict[str, Any] | None = None,
        real: Tensor | None = None,
        dtype: str,
        device: str,
    ) -> tuple[Tensor, Tensor, Tensor]:
        wide = torch.float64 if x.dtype == torch.float64 else torch.float32
        w = {name: tensor.to(wide) for name, tensor in weights.items()}
        h = x.to(wide) if real is None else x.to(wide) * real[..., None]
        lora = lora or {}
        keys, values, width, taps, per_key = _figures(config)
        qkv, z, b, a = (_port(parts, f"in_proj_{n}", h, w, lora) for n in ("qkv", "z", "b", "a"))
        mixed = qkv.transpose(1, 2)
        past = mixed.new_zeros(*mixed.shape[:2], taps - 1) if conv_state is None else conv_state.to(wide)
        whole = torch.cat([parts.history(past), mixed], dim=-1)
        active = parts.activation(conv1d(whole, w["conv1d.weight"], groups=whole.shape[1]).transpose(1, 2))
        q, k, v = active.split([keys, keys, values], dim=-1)
        q, k = (parts.length(part.unflatten(-1, (-1, config["linear_key_head_dim"]))) for part in (q, k))
        v = v.unflatten(-1, (-1, width))
        q, k = (parts.heads(part, per_key) for part in (q * parts.scale(q.shape[-1]), k))
        q, k, v = parts.order(q, k, v)
        g = parts.per_head(parts.log_decay(a, w["dt_bias"], w["A_log"]), per_key)
        S = v.new_zeros(x.shape[0], v.shape[2], k.shape[-1], width) if state is None else state.to(wide)
        out, S = _scan(parts, S, q, k, v, g, parts.rate(b))
        S = parts.final(S, x.shape[1], -w["A_log"].exp() * softplus(w["dt_bias"]))
        gate = parts.gate(z.unflatten(-1, (-1, width)))
        core = out if parts.norm_first else out * gate
        core = core * torch.rsqrt(core.square().mean(-1, keepdim=True) + config["rms_norm_eps"]) * w["norm.weight"]
        core = core * gate if parts.norm_first else core
        answer = _port(parts, "out_proj", core.flatten(2), w, lora)
        return answer.to(x.dtype), S.to(x.dtype), parts.kept(whole, taps).to(x.dtype)

    return call


def _scan(parts: Parts, S: Tensor, q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    outs = []
    for t in range(q.shape[1]):
        S = parts.between(S, t)
        decayed = g[:, t].exp()[..., None, None] * S
        error = v[:, t] - torch.einsum("bhkv,bhk->bhv", parts.error(S, decayed), k[:, t])
        S = decayed + torch.einsum("bhk,bhv->bhkv", k[:, t], beta[:, t][..., None] * error)
        outs.append(torch.einsum("bhkv,bhk->bhv", S, q[:, t]))
    return torch.stack(outs, dim=1), S


def _port(parts: Parts, name: str, x: Tensor, w: dict[str, Tensor], lora: dict[str, Any]) -> Tensor:
    out = x @ w[f"{name}.weight"].T
    if name not in lora:
        return out
    A, B, scale = lora[name]
    return out + scale * (parts.adapter_input(x) @ A.to(x.dtype).T) @ B.to(x.dtype).T


def _figures(config: dict[str, Any]) -> tuple[int, int, int, int, int]:
    """(width of all keys, of all values, of one value head, taps, value heads per key head)."""
    key_heads, value_heads = config["linear_num_key_heads"], config["linear_num_value_heads"]
    width = config["linear_value_head_dim"]
    keys, values = key_heads * config["linear_key_head_dim"], value_heads * width
    return keys, values, width, config["linear_conv_kernel_dim"], value_heads // key_heads
