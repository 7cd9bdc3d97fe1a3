"""transformers' greedy generation, generate(do_sample=False), and decoding of ids by AutoTokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from transformers import AutoTokenizer

from harness.falsifiers.baselines.transformers import decoder, hybrid

ARRAYS = "torch"


def load(config: Mapping[str, Any], weights: Mapping[str, torch.Tensor], *, dtype: str, device: str) -> Generator:
    """transformers' model of the config, with `generate`."""
    known = decoder if config["model_type"] in ("qwen2", "llama") else hybrid
    return Generator(known.load(config, weights, dtype=dtype, device=device).model)


def detokenize(ids: Sequence[int], folder: str) -> str:
    """Decode ids with AutoTokenizer; special tokens are spelled out."""
    text: str = _tokenizer(folder).decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text


class Generator:
    """A model with transformers' own `generate`."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @torch.no_grad()
    def generate(
        self, tokens: torch.Tensor, max_new_tokens: int, *, stop: Sequence[int] = ()
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """New ids (1, n) and the logits behind each choice (1, n, V). Shapes: tokens (1, T)."""
        out = self.model.generate(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            do_sample=False,
            max_new_tokens=max_new_tokens,
            eos_token_id=list(stop) or None,
            pad_token_id=0,
            output_logits=True,
            return_dict_in_generate=True,
        )
        return out.sequences[:, tokens.shape[1] :], torch.stack(out.logits, dim=1)


@lru_cache(maxsize=2)
def _tokenizer(folder: str) -> Any:
    return AutoTokenizer.from_pretrained(folder)
