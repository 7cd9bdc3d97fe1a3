"""Known-wrong gradients of a gated-delta-net layer, and activations that outlive their call (systems B4 and B5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from harness.falsifiers.model.mutants.gdn_layer import Parts, layer
from harness.mutant import Inapplicable, mutant, replace

Grads = dict[str, Tensor]


@mutant
def one_matrix_without_gradient(baseline: Any) -> Any:
    """in_proj_a's B is not among the gradients (system B4)."""
    return _edited(baseline, lambda grads, *_: {n: g for n, g in grads.items() if n != "in_proj_a.lora_B.weight"})


@mutant
def one_module_all_zeros(baseline: Any) -> Any:
    """in_proj_b's adapter is declared trainable and its gradient stays zero (system B4)."""

    def zeroed(grads: Grads, *_: Any) -> Grads:
        return {n: torch.zeros_like(g) if n.startswith("in_proj_b.lora") else g for n, g in grads.items()}

    return _edited(baseline, zeroed)


@mutant
def scale_forgotten(baseline: Any) -> Any:
    """Adapter gradients without alpha / r (system B4; L2)."""

    def unscaled(grads: Grads, lora: Any, config: Any) -> Grads:
        return {n: g / lora[n.split(".lora")[0]][2] if ".lora_" in n else g for n, g in grads.items()}

    return _edited(baseline, unscaled)


@mutant
def gate_gradient_per_key_head(baseline: Any) -> Any:
    """The gates' gradients are summed by key head and given to its first value head (system B4)."""

    def grouped(grads: Grads, lora: Any, config: Any) -> Grads:
        per_key = config["linear_num_value_heads"] // config["linear_num_key_heads"]
        if per_key == 1:
            raise Inapplicable("as many value heads as key heads")

        def first(g: Tensor) -> Tensor:
            groups = g.unflatten(0, (-1, per_key))
            rest = torch.zeros_like(groups[:, 1:])
            return torch.cat([groups.sum(dim=1, keepdim=True), rest], dim=1).flatten(0, 1)

        per_head = ("in_proj_a.weight", "in_proj_b.weight", "in_proj_a.lora_B.weight", "in_proj_b.lora_B.weight")
        return {n: first(g) if n in (*per_head, "A_log", "dt_bias") else g for n, g in grads.items()}

    return _edited(baseline, grouped)


@mutant
def conv_history_ignored(baseline: Any) -> Any:
    """The backward pass takes the convolution to begin from zeros (system B4)."""
    return _given(baseline, "conv_state")


@mutant
def initial_state_ignored(baseline: Any) -> Any:
    """The backward pass takes the state to begin from zeros (system B4)."""
    return _given(baseline, "state")


@mutant
def state_adjoint_cut(baseline: Any) -> Any:
    """The state's adjoint is dropped every fourth step: truncated back-propagation, unsaid (system B4)."""
    return _by_autograd(baseline, Parts(between=lambda state, t: state if t % 4 else state.detach()))


@mutant
def gates_without_gradient(baseline: Any) -> Any:
    """The decay is taken for a constant (system B4)."""
    right = Parts().log_decay
    return _by_autograd(baseline, Parts(log_decay=lambda a, bias, A_log: right(a, bias, A_log).detach()))


@mutant
def adapters_left_out_of_dx(baseline: Any) -> Any:
    """Adapters read a detached input: what reaches it through them is lost (system B4; O6)."""
    return _by_autograd(baseline, Parts(adapter_input=lambda x: x.detach()))


@mutant
def stale_adapters(baseline: Any) -> Any:
    """The buffer still holds the last call's A, B and scale, and a plain call adds them (system B5)."""
    return _reusing(baseline, lambda old, x, lora: (x, lora or old["lora"]))


@mutant
def stale_scale(baseline: Any) -> Any:
    """A and B are emptied, and the scale times what is left of h is not (system B5)."""

    def faded(old: Any, x: Tensor, lora: Any) -> Any:
        return x, lora or {n: (A, B, scale * 1e-3) for n, (A, B, scale) in old["lora"].items()}

    return _reusing(baseline, faded)


@mutant
def stale_input(baseline: Any) -> Any:
    """A buffer that fits is not written again: the backward pass sees the last call's input (system B5)."""

    def shifted(old: Any, x: Tensor, lora: Any) -> Any:
        return (x + 1e-4 * old["x"].roll(1, dims=1), lora)

    return _reusing(baseline, shifted)


@mutant
def stale_gradients(baseline: Any) -> Any:
    """Gradients are added to what the buffer holds (system B5)."""

    class Layer:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def forward(self, x: Tensor, saved: Any = None, **given: Any) -> Any:
            out, fresh = self.inner.forward(x, **given)
            return out, {"saved": fresh, "before": saved}

        def backward(self, dout: Tensor, saved: Any) -> Any:
            dx, grads = self.inner.backward(dout, saved["saved"])
            if saved["before"]:
                _, old = self.inner.backward(dout, saved["before"]["saved"])
                grads = {n: g + old[n] if n in old else g for n, g in grads.items()}
            return dx, grads

    return _loading(baseline, Layer)


def _edited(baseline: Any, edit: Callable[[Grads, Any, Any], Grads]) -> Any:
    def grads(x: Tensor, weights: Any, config: Any, dout: Tensor, *, lora: Any = None, **given: Any) -> Any:
        dx, found = baseline.gated_delta_net_grads(x, weights, config, dout, lora=lora, **given)
        return dx, edit(found, lora, config)

    return _context(baseline, grads)


def _given(baseline: Any, lost: str) -> Any:
    def grads(x: Tensor, weights: Any, config: Any, dout: Tensor, **given: Any) -> Any:
        kept = {name: value for name, value in given.items() if name != lost}
        return baseline.gated_delta_net_grads(x, weights, config, dout, **kept)

    return _context(baseline, grads)


def _by_autograd(baseline: Any, parts: Parts) -> Any:
    call = layer(parts)

    def grads(x: Tensor, weights: Any, config: Any, dout: Tensor, *, lora: Any = None, **given: Any) -> Any:
        leaves = {name: w.detach().requires_grad_() for name, w in weights.items()}
        adapters = {}
        for name, (A, B, scale) in (lora or {}).items():
            pair = (A.detach().requires_grad_(), B.detach().requires_grad_())
            leaves |= {f"{name}.lora_A.weight": pair[0], f"{name}.lora_B.weight": pair[1]}
            adapters[name] = (*pair, scale)
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            out, _, _ = call(x, {name: leaves[name] for name in weights}, config, lora=adapters, **given)
            found = torch.autograd.grad(out, [x, *leaves.values()], dout, allow_unused=True, materialize_grads=True)
        return found[0], dict(zip(leaves, found[1:], strict=True))

    return _context(baseline, grads)


def _reusing(baseline: Any, edit: Callable[[Any, Tensor, Any], tuple[Tensor, Any]]) -> Any:
    """A layer whose forward, given an old buffer, sees what `edit(old, x, lora)` makes of its arguments."""

    class Layer:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def forward(self, x: Tensor, lora: Any = None, saved: Any = None, **given: Any) -> Any:
            seen = (x, lora) if saved is None else edit(saved, x, lora)
            out, fresh = self.inner.forward(seen[0], lora=seen[1], **given)
            return out, {"saved": fresh, "x": seen[0], "lora": seen[1]}

        def backward(self, dout: Tensor, saved: Any) -> Any:
            dx, grads = self.inner.backward(dout, saved["saved"])
            return dx, {name: grad for name, grad in grads.items() if ".lora_" not in name}

    return _loading(baseline, Layer)


def _loading(baseline: Any, kind: Callable[[Any], Any]) -> Any:
    def load_gated_delta_net(config: Any, weights: Any, *, dtype: str, device: str) -> Any:
        return kind(baseline.load_gated_delta_net(config, weights, dtype=dtype, device=device))

    return replace(baseline, load_gated_delta_net=load_gated_delta_net)


def _context(baseline: Any, grads: Callable[..., Any]) -> Any:
    def gated_delta_net_grads(
        x: Tensor, weights: Any, config: Any, dout: Tensor, *, dtype: str, device: str, **given: Any
    ) -> Any:
        return grads(x, weights, config, dout, dtype=dtype, device=device, **given)

    return replace(baseline, gated_delta_net_grads=gated_delta_net_grads)
