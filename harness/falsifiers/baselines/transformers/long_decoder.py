"""transformers' decoder of one layer, for long texts: what comes as several tokens at once only fills the cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from transformers import DynamicCache
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from harness.falsifiers.baselines.transformers import decoder

ARRAYS = "torch"


class LongDecoder(decoder.Decoder):
    """A decoder whose logits are right for single tokens and 0 for longer pieces, which need no attention.

    Keys and values of the only layer depend on embeddings and positions alone, so the time grows with the text's
    length and not with its square.
    """

    @torch.no_grad()
    def step(self, tokens: torch.Tensor, kv: DynamicCache, mask: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """As `Decoder.step` for n = 1; else keys and values by transformers' own modules, and logits of 0."""
        if tokens.shape[1] == 1:
            return super().step(tokens, kv, mask, positions)
        layer = self.model.model.layers[0]
        h = layer.input_layernorm(self.model.model.embed_tokens(tokens))
        k, v = (
            project(h).unflatten(-1, (-1, layer.self_attn.head_dim)).transpose(1, 2)
            for project in (layer.self_attn.k_proj, layer.self_attn.v_proj)
        )
        _, k = apply_rotary_pos_emb(k, k, *self.model.model.rotary_emb(h, positions))
        kv.update(k, v, 0)
        return h.new_zeros(*tokens.shape, self.model.config.vocab_size)


def load(config: Mapping[str, Any], weights: Mapping[str, torch.Tensor], *, dtype: str, device: str) -> LongDecoder:
    """As `decoder.load`. Raises: ValueError if the config has more than one layer."""
    if config["num_hidden_layers"] != 1:
        raise ValueError(f"config: found {config['num_hidden_layers']} layers, expected one")
    return LongDecoder(decoder.load(config, weights, dtype=dtype, device=device).model)
