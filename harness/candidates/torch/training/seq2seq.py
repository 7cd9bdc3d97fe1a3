"""An encoder-decoder transformer in causal mode in eager torch with autograd, on CPU or CUDA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from harness.candidates.torch.ops.activations import gelu_tanh
from harness.candidates.torch.ops.attention import attention
from harness.candidates.torch.ops.losses import cross_entropy
from harness.candidates.torch.ops.norms import layernorm

ARRAYS = "torch"
IGNORED = -100


def load_seq2seq(config: Mapping[str, Any], weights: Mapping[str, Any], *, dtype: str, device: str) -> Seq2Seq:
    """Put the weights on `device` in `dtype`; 16-bit runs compute norms, GELU, softmax and loss in float32.

    Raises: ValueError if the config has another activation, or a tensor is missing, extra or mis-shaped.
    Source: Hugging Face's config keys and tensor names of BART, in pre-LN form.
    """
    kind = getattr(torch, dtype)
    # A copy, so that training does not change the caller's tensors.
    own = {name: torch.as_tensor(w).detach().to(device, kind, copy=True) for name, w in weights.items()}
    return Seq2Seq(dict(config), own)


class Seq2Seq:
    """A loaded model in causal mode: `weights`, `logits`, `loss_and_grads`."""

    def __init__(self, config: dict[str, Any], weights: dict[str, Tensor]) -> None:
        if config.get("activation_function") != "gelu_pytorch_tanh":
            found = config.get("activation_function")
            raise ValueError(f"config: found activation_function {found!r}, expected 'gelu_pytorch_tanh'")
        self.layers = int(config["decoder_layers"])
        self.heads = int(config["decoder_attention_heads"])
        self.eps = float(config["layer_norm_eps"])
        _check(_shapes(config), weights)
        self._weights = weights

    def weights(self) -> dict[str, Tensor]:
        """Every tensor by name; gradients come in the same order."""
        return dict(self._weights)

    @torch.no_grad()
    def logits(self, tokens: Tensor) -> Tensor:
        """Next-token logits. Shapes: tokens (B, T) -> (B, T, V)."""
        return self._forward(tokens, self._weights)

    def loss_and_grads(self, tokens: Tensor, targets: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy over targets other than -100, and its gradient for every weight, zeros where unused.

        Shapes: tokens, targets (B, T) -> (), gradients by name in `weights()` order.
        Raises: ValueError if targets do not fit the tokens or the vocabulary, or all are -100.
        """
        if not (targets != IGNORED).any():
            raise ValueError(f"targets: all {targets.numel()} are {IGNORED}, expected at least one that counts")
        leaves = {name: w.detach().requires_grad_() for name, w in self._weights.items()}
        loss = cross_entropy(self._forward(tokens, leaves), targets.to(self.device))
        grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        named = zip(leaves.items(), grads, strict=True)
        return loss.detach(), {n: torch.zeros_like(w) if g is None else g for (n, w), g in named}

    @property
    def device(self) -> torch.device:
        return self._weights["lm_head.weight"].device

    def _forward(self, tokens: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        self._check_tokens(tokens)
        tokens = tokens.to(self.device)

        def norm(x: Tensor, name: str) -> Tensor:
            return layernorm(x, weights[f"{name}.weight"], weights[f"{name}.bias"], self.eps)

        def project(x: Tensor, name: str) -> Tensor:
            return linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

        x = weights["decoder.embed_tokens.weight"][tokens]
        x = x + weights["decoder.embed_positions.weight"][: tokens.shape[1]]
        for i in range(self.layers):
            layer = f"decoder.layers.{i}"
            h = norm(x, f"{layer}.self_attn_layer_norm")
            q, k, v = (project(h, f"{layer}.self_attn.{p}_proj") for p in "qkv")
            q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))
            x = x + project(attention(q, k, v).transpose(1, 2).flatten(2), f"{layer}.self_attn.out_proj")
            h = norm(x, f"{layer}.final_layer_norm")
            x = x + project(gelu_tanh(project(h, f"{layer}.fc1")), f"{layer}.fc2")
        return project(norm(x, "decoder.layer_norm"), "lm_head")

    def _check_tokens(self, tokens: Tensor) -> None:
        vocab, positions = len(self._weights["lm_head.weight"]), len(self._weights["decoder.embed_positions.weight"])
        if tokens.shape[1] > positions:
            raise ValueError(f"tokens: found {tokens.shape[1]} positions, expected at most {positions}")
        low, high = int(tokens.min()), int(tokens.max())
        if low < 0 or high >= vocab:
            raise ValueError(f"tokens: found ids {low} to {high}, expected 0 to {vocab - 1}")


def _shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The tensors that the config implies, by name."""
    C, F, V = (int(config[key]) for key in ("d_model", "decoder_ffn_dim", "vocab_size"))
    linears = {"lm_head": (V, C)}
    norms = []
    tables: dict[str, tuple[int, ...]] = {}
    for half, blocks in (("encoder", ("self_attn",)), ("decoder", ("self_attn", "encoder_attn"))):
        tables[f"{half}.embed_tokens.weight"] = (V, C)
        tables[f"{half}.embed_positions.weight"] = (int(config["max_position_embeddings"]), C)
        norms.append(f"{half}.layer_norm")
        for i in range(int(config[f"{half}_layers"])):
            layer = f"{half}.layers.{i}"
            norms += [f"{layer}.{block}_layer_norm" for block in (*blocks, "final")]
            linears |= {f"{layer}.{b}.{p}_proj": (C, C) for b in blocks for p in ("q", "k", "v", "out")}
            linears |= {f"{layer}.fc1": (F, C), f"{layer}.fc2": (C, F)}
    shapes = {**tables, **{f"{name}.weight": (C,) for name in norms}, **{f"{name}.bias": (C,) for name in norms}}
    shapes |= {f"{name}.weight": shape for name, shape in linears.items()}
    return shapes | {f"{name}.bias": shape[:1] for name, shape in linears.items()}


def _check(expected: dict[str, tuple[int, ...]], weights: Mapping[str, Tensor]) -> None:
    for name in sorted(expected.keys() ^ weights.keys()):
        raise ValueError(f"weights: {name} " + ("not found" if name in expected else "is not a tensor of this config"))
    for name, shape in expected.items():
        if tuple(weights[name].shape) != shape:
            raise ValueError(f"weights: {name} has shape {tuple(weights[name].shape)}, expected {shape}")
