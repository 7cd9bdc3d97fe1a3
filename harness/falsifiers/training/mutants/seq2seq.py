"""Gradients of an encoder-decoder transformer that were shipped wrong, or handed over in the wrong place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from harness.falsifiers.baselines.width import widened
from harness.mutant import mutant, replace

Grads = dict[str, Tensor]


@mutant
def final_norm_fed_its_output(baseline: Any) -> Any:
    """The last LayerNorm's backward is handed the state after that norm, not before it (systems:C3, first mistake)."""
    return _composed(baseline, "final_norm_fed_its_output")


@mutant
def ffn_gradient_through_the_norm_first(baseline: Any) -> Any:
    """The FFN's output gradient runs through the LayerNorm before the FFN, then the FFN (systems:C3, second)."""
    return _composed(baseline, "ffn_gradient_through_the_norm_first")


@mutant
def head_gradient_before_w_o(baseline: Any) -> Any:
    """The heads get the block's output gradient as it is, W_o's backward not yet applied (systems:C3, third)."""
    return _composed(baseline, "head_gradient_before_w_o")


@mutant
def attn_concat_replaced_by_dq(baseline: Any) -> Any:
    """W_o's gradient is built from dQ, which has the shape of the concatenated heads (systems:C3, fourth)."""
    return _composed(baseline, "attn_concat_replaced_by_dq")


@mutant
def softmax_row_sum_missing(baseline: Any) -> Any:
    """dS = P * dP without its row sum: rows of dS no longer sum to 0, and a key bias gets a gradient (systems:C2)."""
    return _composed(baseline, "softmax_row_sum_missing")


@mutant
def ignored_targets_counted(baseline: Any) -> Any:
    """The mean divides by all targets, the ignored ones too (open-mmlab/mmsegmentation#886; bug-catalogue:T3)."""
    return _composed(baseline, "ignored_targets_counted")


@mutant
def gradient_list_short(baseline: Any) -> Any:
    """The list of gradients ends one weight early (SMILELab-FL/FedLab#339; bug-catalogue:O7)."""

    def edit(grads: Grads) -> Grads:
        return {name: g for name, g in grads.items() if name != "lm_head.bias"}

    return _edited(baseline, edit)


@mutant
def same_shapes_swapped(baseline: Any) -> Any:
    """Two gradients of one shape change places: names, order, shapes and count are right
    (bug-catalogue:O7; SMILELab-FL/FedLab#339)."""

    def edit(grads: Grads) -> Grads:
        a, b = (f"decoder.layers.0.self_attn.{p}_proj.weight" for p in "qv")
        return {**grads, a: grads[b], b: grads[a]}

    return _edited(baseline, edit)


@mutant
def order_of_the_backward(baseline: Any) -> Any:
    """Gradients listed as the backward pass meets them, last layer first (stripe/rainier#445; bug-catalogue:O7)."""
    return _edited(baseline, lambda grads: dict(reversed(grads.items())))


@mutant
def cross_attention_gets_self_attention(baseline: Any) -> Any:
    """The unused block's gradients alias those of the block before it (systems:C4)."""

    def edit(grads: Grads) -> Grads:
        return {name: grads[name.replace("encoder_attn", "self_attn")] for name in grads}

    return _edited(baseline, edit)


@mutant
def unused_gradient_is_small_not_zero(baseline: Any) -> Any:
    """The encoder's gradients are filled with a tiny constant, as by an eps added everywhere (systems:C4)."""

    def edit(grads: Grads) -> Grads:
        return {n: torch.full_like(g, 1e-12) if n.startswith("encoder.") else g for n, g in grads.items()}

    return _edited(baseline, edit)


class Composed:
    """A backward pass written by hand, module by module, right unless `mistake` names one of the above.

    16-bit weights are computed in float32. `test_seq2seq.py` holds it to autograd when nothing is mistaken.
    """

    def __init__(self, model: Any, config: Mapping[str, Any], mistake: str = "") -> None:
        self.model = model
        self.mistake = mistake
        self.config = config
        self.weights, self.logits = model.weights, model.logits
        given = model.weights()
        self.w = {name: widened(w) for name, w in given.items()}
        self.tape: dict[str, Tensor] = {}
        self.grads: Grads = {}

    def loss_and_grads(self, tokens: Tensor, targets: Tensor) -> tuple[Tensor, Grads]:
        """Mean cross-entropy over targets that are not -100, and every weight's gradient in `weights()` order."""
        self.grads = {name: torch.zeros_like(w) for name, w in self.w.items()}
        log_probabilities = self._forward(tokens).log_softmax(dim=-1)
        counted = targets != -100
        count = targets.numel() if self.mistake == "ignored_targets_counted" else counted.sum()
        picked = log_probabilities.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
        loss = -(picked * counted).sum() / count
        one_hot = torch.nn.functional.one_hot(targets.clamp(min=0), log_probabilities.shape[-1])
        self._backward((log_probabilities.exp() - one_hot) * counted[..., None] / count, tokens)
        kind = self.model.weights()["lm_head.weight"].dtype
        return loss.to(kind), {name: g.to(kind) for name, g in self.grads.items()}

    def _forward(self, tokens: Tensor) -> Tensor:
        x = self.w["decoder.embed_tokens.weight"][tokens] + self.w["decoder.embed_positions.weight"][: tokens.shape[1]]
        for i in range(int(self.config["decoder_layers"])):
            layer = f"decoder.layers.{i}"
            x = x + self._attend(self._norm(x, f"{layer}.self_attn_layer_norm"), f"{layer}.self_attn")
            h = self._linear(self._norm(x, f"{layer}.final_layer_norm"), f"{layer}.fc1")
            self.tape[f"{layer}.gelu"] = h
            x = x + self._linear(torch.nn.functional.gelu(h, approximate="tanh"), f"{layer}.fc2")
        return self._linear(self._norm(x, "decoder.layer_norm"), "lm_head")

    def _attend(self, h: Tensor, name: str) -> Tensor:
        q, k, v = (self._split(self._linear(h, f"{name}.{p}_proj")) for p in "qkv")
        hidden = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool, device=q.device).triu(1)
        probabilities = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(hidden, float("-inf")).softmax(dim=-1)
        self.tape |= {f"{name}.q": q, f"{name}.k": k, f"{name}.v": v, f"{name}.p": probabilities}
        return self._linear((probabilities @ v).transpose(1, 2).flatten(2), f"{name}.out_proj")

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self.w[f"{name}.weight"], self.w[f"{name}.bias"]
        out = torch.nn.functional.layer_norm(x, weight.shape, weight, bias, float(self.config["layer_norm_eps"]))
        post = name == "decoder.layer_norm" and self.mistake == "final_norm_fed_its_output"
        self.tape[name] = out if post else x
        return out

    def _linear(self, x: Tensor, name: str) -> Tensor:
        self.tape[name] = x
        return torch.nn.functional.linear(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"])

    def _backward(self, dlogits: Tensor, tokens: Tensor) -> None:
        dx = self._norm_back(self._linear_back(dlogits, "lm_head"), "decoder.layer_norm")
        for i in reversed(range(int(self.config["decoder_layers"]))):
            layer = f"decoder.layers.{i}"
            dx = dx + self._ffn_back(dx, layer)
            dh = self._attend_back(dx, f"{layer}.self_attn")
            dx = dx + self._norm_back(dh, f"{layer}.self_attn_layer_norm")
        self.grads["decoder.embed_positions.weight"][: dx.shape[1]] = dx.sum(dim=0)
        self.grads["decoder.embed_tokens.weight"].index_add_(0, tokens.flatten(), dx.flatten(0, 1))

    def _ffn_back(self, dout: Tensor, layer: str) -> Tensor:
        early = self.mistake == "ffn_gradient_through_the_norm_first"
        if early:
            dout = self._norm_back(dout, f"{layer}.final_layer_norm")
        h = self.tape[f"{layer}.gelu"]
        t = torch.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3))
        slope = (1 + t + h * (1 - t * t) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * h * h)) / 2
        dh = self._linear_back(self._linear_back(dout, f"{layer}.fc2") * slope, f"{layer}.fc1")
        return dh if early else self._norm_back(dh, f"{layer}.final_layer_norm")

    def _attend_back(self, dout: Tensor, name: str) -> Tensor:
        q, k, v, p = (self.tape[f"{name}.{part}"] for part in "qkvp")
        dconcat = self._linear_back(dout, f"{name}.out_proj")
        dheads = self._split(dout if self.mistake == "head_gradient_before_w_o" else dconcat)
        dp = dheads @ v.mT
        ds = p * (dp if self.mistake == "softmax_row_sum_missing" else dp - (dp * p).sum(dim=-1, keepdim=True))
        ds = ds / math.sqrt(q.shape[-1])
        dq, dk, dv = ((d.transpose(1, 2).flatten(2)) for d in (ds @ k, ds.mT @ q, p.mT @ dheads))
        if self.mistake == "attn_concat_replaced_by_dq":
            self.grads[f"{name}.out_proj.weight"] = dout.flatten(0, 1).mT @ dq.flatten(0, 1)
        parts = zip("qkv", (dq, dk, dv), strict=True)
        return torch.stack([self._linear_back(d, f"{name}.{part}_proj") for part, d in parts]).sum(dim=0)

    def _norm_back(self, dout: Tensor, name: str) -> Tensor:
        x, weight = self.tape[name], self.w[f"{name}.weight"]
        centred = x - x.mean(dim=-1, keepdim=True)
        inverse = torch.rsqrt(centred.square().mean(dim=-1, keepdim=True) + float(self.config["layer_norm_eps"]))
        normalised, g = centred * inverse, dout * weight
        self.grads[f"{name}.weight"], self.grads[f"{name}.bias"] = (dout * normalised).sum((0, 1)), dout.sum((0, 1))
        return inverse * (g - g.mean(-1, keepdim=True) - normalised * (g * normalised).mean(-1, keepdim=True))

    def _linear_back(self, dout: Tensor, name: str) -> Tensor:
        rows = dout.flatten(0, -2)
        self.grads[f"{name}.weight"] = rows.mT @ self.tape[name].flatten(0, -2)
        self.grads[f"{name}.bias"] = rows.sum(dim=0)
        return dout @ self.w[f"{name}.weight"]

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (int(self.config["decoder_attention_heads"]), -1)).transpose(1, 2)


class Edited:
    """The baseline's model, whose gradients pass through `edit` on their way out."""

    def __init__(self, model: Any, edit: Callable[[Grads], Grads]) -> None:
        self.model = model
        self.edit = edit
        self.weights, self.logits = model.weights, model.logits

    def loss_and_grads(self, tokens: Tensor, targets: Tensor) -> tuple[Tensor, Grads]:
        """The baseline's loss, and its gradients edited."""
        loss, grads = self.model.loss_and_grads(tokens, targets)
        return loss, self.edit(grads)


def _composed(baseline: Any, mistake: str) -> Any:
    def load_seq2seq(config: Mapping[str, Any], weights: Mapping[str, Tensor], *, dtype: str, device: str) -> Composed:
        return Composed(baseline.load_seq2seq(config, weights, dtype=dtype, device=device), config, mistake)

    return replace(baseline, load_seq2seq=load_seq2seq)


def _edited(baseline: Any, edit: Callable[[Grads], Grads]) -> Any:
    def load_seq2seq(config: Mapping[str, Any], weights: Mapping[str, Tensor], *, dtype: str, device: str) -> Edited:
        return Edited(baseline.load_seq2seq(config, weights, dtype=dtype, device=device), edit)

    return replace(baseline, load_seq2seq=load_seq2seq)
