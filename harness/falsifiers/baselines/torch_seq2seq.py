"""The encoder-decoder transformer in causal mode, built from torch.nn's modules, with torch.autograd's gradients."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ARRAYS = "torch"
RENAMED = {
    "encoder": {"self_attn_layer_norm": "norm1", "final_layer_norm": "norm2"},
    "decoder": {"self_attn_layer_norm": "norm1", "encoder_attn_layer_norm": "norm2", "final_layer_norm": "norm3"},
}
BLOCKS = {"encoder_attn": "multihead_attn", "fc1": "linear1", "fc2": "linear2"}
PACKED = ("q_proj", "k_proj", "v_proj")


class CausalSeq2Seq(nn.Module):
    """torch.nn.TransformerEncoderLayer and TransformerDecoderLayer (norm_first); causal mode runs only the decoder.

    TransformerDecoderLayer.forward always runs its cross-attention, so this class calls its other two blocks
    directly, as that forward does: `_sa_block` and `_ff_block`.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width, eps = int(config["d_model"]), float(config["layer_norm_eps"])
        options: dict[str, Any] = {
            "d_model": width,
            "nhead": int(config["decoder_attention_heads"]),
            "dim_feedforward": int(config["decoder_ffn_dim"]),
            "dropout": 0.0,
            "activation": partial(F.gelu, approximate="tanh"),
            "layer_norm_eps": eps,
            "batch_first": True,
            "norm_first": True,
        }
        tables = {"embed_tokens": int(config["vocab_size"]), "embed_positions": int(config["max_position_embeddings"])}
        kinds: dict[str, Any] = {"encoder": nn.TransformerEncoderLayer, "decoder": nn.TransformerDecoderLayer}
        for half, layer in kinds.items():
            parts: dict[str, nn.Module] = {name: nn.Embedding(rows, width) for name, rows in tables.items()}
            parts["layers"] = nn.ModuleList(layer(**options) for _ in range(int(config[f"{half}_layers"])))
            self.add_module(half, nn.ModuleDict({**parts, "layer_norm": nn.LayerNorm(width, eps=eps)}))
        self.lm_head = nn.Linear(width, int(config["vocab_size"]))

    def forward(self, tokens: Tensor) -> Tensor:
        """Next-token logits. Shapes: tokens (B, T) -> (B, T, V)."""
        decoder, length = self.get_submodule("decoder"), tokens.shape[1]
        x = decoder["embed_tokens"](tokens) + decoder["embed_positions"](torch.arange(length, device=tokens.device))
        mask = torch.ones(length, length, dtype=torch.bool, device=tokens.device).triu(1)
        for layer in decoder["layers"]:
            x = x + layer._sa_block(layer.norm1(x), mask, None)
            x = x + layer._ff_block(layer.norm3(x))
        return self.lm_head(decoder["layer_norm"](x))


class Model:
    """The modules with weights by their checkpoint names: `weights`, `logits`, `loss_and_grads`."""

    def __init__(self, modules: CausalSeq2Seq, tensors: dict[str, Tensor]) -> None:
        self.modules = modules
        self.tensors = tensors

    def weights(self) -> dict[str, Tensor]:
        """Every tensor by name, in the order of the checkpoint."""
        return dict(self.tensors)

    @torch.no_grad()
    def logits(self, tokens: Tensor) -> Tensor:
        """Next-token logits. Shapes: tokens (B, T) -> (B, T, V)."""
        return self._call(self.tensors, tokens)

    def loss_and_grads(self, tokens: Tensor, targets: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """torch's mean cross-entropy over targets that are not -100, and autograd's gradient for every weight."""
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in self.tensors.items()}
        loss = F.cross_entropy(self._call(leaves, tokens).flatten(0, 1), targets.flatten())
        grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
        return loss.detach(), dict(zip(leaves, grads, strict=True))

    def _call(self, tensors: Mapping[str, Tensor], tokens: Tensor) -> Tensor:
        return torch.func.functional_call(self.modules, _in_torch_names(tensors), (tokens,), strict=True)


def load_seq2seq(config: Mapping[str, Any], weights: Mapping[str, Tensor], *, dtype: str, device: str) -> Model:
    """The modules of `config`, with copies of `weights` on `device` in `dtype`.

    Raises: RuntimeError from torch if the tensors are not exactly the modules' own.
    """
    kind = getattr(torch, dtype)
    return Model(
        _modules(tuple(sorted(config.items()))),
        {name: tensor.detach().to(device, kind, copy=True) for name, tensor in weights.items()},
    )


@lru_cache(maxsize=8)
def _modules(config: tuple[tuple[str, Any], ...]) -> CausalSeq2Seq:
    """Modules on torch's meta device, without values, so that all models of a config can share them."""
    with torch.device("meta"):
        return CausalSeq2Seq(dict(config))


def _in_torch_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename each tensor to torch.nn's name; torch.nn packs a block's q, k and v projections into one tensor."""
    out: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        half, *path, module, kind = name.split(".") if name.count(".") > 1 else ("", *name.split("."))
        inside = [BLOCKS.get(part, part) for part in path]
        if module in PACKED:
            packed = [tensors[name.replace(f".{module}.", f".{part}.")] for part in PACKED]
            out[".".join([half, *inside, f"in_proj_{kind}"])] = torch.cat(packed)
        else:
            own = RENAMED.get(half, {}).get(module, BLOCKS.get(module, module)) if path else module
            out[".".join([*([half] if half else []), *inside, own, kind])] = tensor
    return out
