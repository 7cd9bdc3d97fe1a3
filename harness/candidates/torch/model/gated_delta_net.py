"""A gated-delta-net layer in eager torch, on CPU or CUDA, with adapters and gradients by autograd."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import silu, softplus

from harness.candidates.torch._width import widened
from harness.candidates.torch.adapters.lora import Adapter, lora_linear
from harness.candidates.torch.model._delta_rule import delta_rule
from harness.candidates.torch.ops.attention import rmsnorm
from harness.candidates.torch.ops.norms import l2norm

ARRAYS = "torch"
PROJECTIONS = ("in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a", "out_proj")
LENGTH_EPS = 1e-6
Adapters = Mapping[str, Adapter]
Tensors = dict[str, torch.Tensor]


def gated_delta_net(
    x: torch.Tensor,
    weights: Mapping[str, torch.Tensor],
    config: Mapping[str, Any],
    *,
    state: torch.Tensor | None = None,
    conv_state: torch.Tensor | None = None,
    lora: Adapters | None = None,
    real: torch.Tensor | None = None,
    dtype: str,
    device: str,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Run one layer over T tokens; return (out, state, conv_state).

    Shapes: x (B, T, H), state (B, Hv, Dk, Dv), conv_state (B, 2 Kd + Vd, K - 1), real (B, T), False on padding.
    Raises: ValueError naming a tensor that does not fit, or an adapter whose name is not a projection.
    """
    with torch.no_grad():
        return load_gated_delta_net(config, weights, dtype=dtype, device=device).run(x, state, conv_state, lora, real)


def gated_delta_net_grads(
    x: torch.Tensor,
    weights: Mapping[str, torch.Tensor],
    config: Mapping[str, Any],
    dout: torch.Tensor,
    *,
    state: torch.Tensor | None = None,
    conv_state: torch.Tensor | None = None,
    lora: Adapters | None = None,
    dtype: str,
    device: str,
) -> tuple[torch.Tensor, Tensors]:
    """(dx, {name: gradient}) of sum(out * dout); adapter names look like `in_proj_qkv.lora_A.weight`."""
    layer = load_gated_delta_net(config, weights, dtype=dtype, device=device)
    _, saved = layer.forward(x, state=state, conv_state=conv_state, lora=lora)
    return layer.backward(dout, saved)


def load_gated_delta_net(
    config: Mapping[str, Any], weights: Mapping[str, Any], *, dtype: str, device: str
) -> GatedDeltaNet:
    """Put a layer's tensors on `device` in `dtype`; 16-bit runs compute gates, norms and state in float32."""
    kind = getattr(torch, dtype)
    return GatedDeltaNet(dict(config), {name: torch.as_tensor(w).to(device, kind) for name, w in weights.items()})


class Saved:
    """The activations of a forward pass for its backward pass. Passing an old one to `forward` overwrites all of it."""

    def __init__(self) -> None:
        self.out: torch.Tensor | None = None
        self.x: torch.Tensor | None = None
        self.leaves: Tensors = {}


class GatedDeltaNet:
    """A loaded layer: `forward` and `backward` for training, `run` for inference."""

    def __init__(self, config: dict[str, Any], weights: Tensors) -> None:
        self.key_heads, self.value_heads = config["linear_num_key_heads"], config["linear_num_value_heads"]
        self.key_dim, self.value_dim = config["linear_key_head_dim"], config["linear_value_head_dim"]
        self.eps = float(config["rms_norm_eps"])
        self.weights = weights
        _check(_shapes_of(config), weights)

    def forward(
        self,
        x: torch.Tensor,
        state: torch.Tensor | None = None,
        conv_state: torch.Tensor | None = None,
        lora: Adapters | None = None,
        saved: Saved | None = None,
    ) -> tuple[torch.Tensor, Saved]:
        """Output, and the activations for `backward`; `saved` may be reused from an earlier call."""
        saved = saved or Saved()
        saved.leaves = {name: w.detach().requires_grad_() for name, w in self.weights.items()}
        adapters = {}
        for name, (A, B, scale) in (lora or {}).items():
            low, high = A.detach().requires_grad_(), B.detach().requires_grad_()
            saved.leaves |= {f"{name}.lora_A.weight": low, f"{name}.lora_B.weight": high}
            adapters[name] = (low, high, scale)
        saved.x = x.detach().requires_grad_()
        with torch.enable_grad():
            saved.out, _, _ = self._run(saved.x, saved.leaves, state, conv_state, adapters, None)
        return saved.out.detach(), saved

    def backward(self, dout: torch.Tensor, saved: Saved) -> tuple[torch.Tensor, Tensors]:
        """(dx, {name: gradient}) of the forward pass that filled `saved`; may be called repeatedly."""
        wanted = [saved.x, *saved.leaves.values()]
        dx, *grads = torch.autograd.grad(saved.out, wanted, dout.to(saved.out), retain_graph=True)
        return dx, dict(zip(saved.leaves, grads, strict=True))

    def run(
        self,
        x: torch.Tensor,
        state: torch.Tensor | None = None,
        conv_state: torch.Tensor | None = None,
        lora: Adapters | None = None,
        real: torch.Tensor | None = None,
        *,
        keep_wide: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """As `gated_delta_net`; with keep_wide a 16-bit run returns its state in float32."""
        out, state, conv_state = self._run(x, self.weights, state, conv_state, lora or {}, real)
        return out, state if keep_wide else state.to(x.dtype), conv_state

    def _run(
        self,
        x: torch.Tensor,
        w: Tensors,
        state: torch.Tensor | None,
        conv_state: torch.Tensor | None,
        lora: Adapters,
        real: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        for name in lora:
            if name not in PROJECTIONS:
                raise ValueError(f"lora: found an adapter of {name!r}, expected one of {', '.join(PROJECTIONS)}")
        x = x if real is None else x * real[..., None].to(x.dtype)
        qkv, z, b, a = (lora_linear(x, w[f"{n}.weight"], lora.get(n)) for n in PROJECTIONS[:-1])
        mixed, conv_state = _causal_conv(qkv, w["conv1d.weight"], conv_state)
        keys, values = self.key_heads * self.key_dim, self.value_heads * self.value_dim
        q, k, v = silu(mixed).split([keys, keys, values], dim=-1)
        q, k = (l2norm(widened(part.unflatten(-1, (-1, self.key_dim))), LENGTH_EPS) for part in (q, k))
        v = widened(v.unflatten(-1, (-1, self.value_dim)))
        rate = -widened(w["A_log"]).exp()
        g = rate * softplus(widened(a) + widened(w["dt_bias"]))
        repeats = self.value_heads // self.key_heads
        q, k = (part.repeat_interleave(repeats, dim=2) for part in (q * self.key_dim**-0.5, k))
        if state is None:
            state = v.new_zeros(x.shape[0], self.value_heads, self.key_dim, self.value_dim)
        q, k, v, g, beta = (part.transpose(1, 2) for part in (q, k, v, g, widened(b).sigmoid()))
        core, state = delta_rule(q, k, v, g, beta, widened(state))
        normed = rmsnorm(core.transpose(1, 2), widened(w["norm.weight"]), self.eps)
        gated = (normed * silu(widened(z.unflatten(-1, (-1, self.value_dim))))).flatten(2).to(x.dtype)
        return lora_linear(gated, w["out_proj.weight"], lora.get("out_proj")), state, conv_state


def _shapes_of(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name -> shape of a layer's tensors, without the prefix `model.layers.<i>.linear_attn.`."""
    hidden, heads = config["hidden_size"], config["linear_num_value_heads"]
    keys = config["linear_num_key_heads"] * config["linear_key_head_dim"]
    values = heads * config["linear_value_head_dim"]
    return {
        "dt_bias": (heads,),
        "A_log": (heads,),
        "conv1d.weight": (2 * keys + values, 1, config["linear_conv_kernel_dim"]),
        "norm.weight": (config["linear_value_head_dim"],),
        "out_proj.weight": (hidden, values),
        "in_proj_qkv.weight": (2 * keys + values, hidden),
        "in_proj_z.weight": (values, hidden),
        "in_proj_b.weight": (heads, hidden),
        "in_proj_a.weight": (heads, hidden),
    }


def _causal_conv(
    x: torch.Tensor, weight: torch.Tensor, history: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """A weighted sum of each channel's last K inputs. Shapes: x (B, T, C), weight (C, 1, K), history (B, C, K - 1)."""
    x, taps = x.transpose(1, 2), weight.shape[-1]
    history = x.new_zeros(*x.shape[:2], taps - 1) if history is None else history.to(x)
    whole = torch.cat([history, x], dim=-1)
    out = torch.nn.functional.conv1d(whole, weight, groups=x.shape[1])
    return out.transpose(1, 2), whole[..., whole.shape[-1] - taps + 1 :].detach()


def _check(expected: dict[str, tuple[int, ...]], weights: Tensors) -> None:
    for name in [*expected, *weights]:
        found = tuple(weights[name].shape) if name in weights else None
        if found != expected.get(name):
            raise ValueError(f"weights: {name} is {found}, expected {expected.get(name)} (None: absent)")
