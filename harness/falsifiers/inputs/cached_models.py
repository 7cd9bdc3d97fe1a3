"""What claims on caches ask of a model: prompts, padded batches, two requests; and the reference's logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from harness.case import Case
from harness.falsifiers.inputs.checkpoint import read_checkpoint
from harness.falsifiers.inputs.hybrid_model import hybrid_config, hybrid_weights
from harness.falsifiers.inputs.synthetic_model import Config, Weights, case_weights, first_twice, synthetic_config
from harness.reference.model.decoder import decoder_logits


def cached_model(
    case: Case, weights: str | None, model: dict[str, Any] | None, model_type: str
) -> tuple[Config, Weights]:
    """Config and weights of a checkpoint folder, or of a random model (`model`: the synthetic config's arguments)."""
    if weights is not None:
        return read_checkpoint(str(weights), case.dtype, any_family=True)
    if model_type == "qwen3_5_text":
        config = hybrid_config(**(model or {}))
        return config, hybrid_weights(case, config)
    config = synthetic_config(model_type=model_type, **(model or {}))
    return config, case_weights(case, config)


def whole_prompt(
    case: Case,
    *,
    length: int,
    batch: int,
    weights: str | None,
    model: dict[str, Any] | None,
    model_type: str,
    **sizes: Any,
) -> tuple[Config, Weights, np.ndarray, np.ndarray]:
    """Config, weights, tokens (batch, length), and the reference's logits; the other sizes are the model's."""
    config, tensors = cached_model(case, weights, {**(model or {}), **sizes}, model_type)
    tokens = first_twice(case.integers("tokens", (batch, length), 0, config["vocab_size"]))
    return config, tensors, tokens, case.once(_one_shot, config, tensors, tokens, [length] * batch)


def padded_batch(
    case: Case,
    *,
    length: int,
    pad: int,
    order: Sequence[int],
    steps: int,
    weights: str | None,
    model: dict[str, Any] | None,
    model_type: str,
    **sizes: Any,
) -> tuple[Config, Weights, np.ndarray, np.ndarray, np.ndarray]:
    """Config, weights, tokens (rows, length + steps + 2), the rows' logits alone, and their prompts' lengths."""
    config, tensors = cached_model(case, weights, {**(model or {}), **sizes}, model_type)
    tokens = case.integers("tokens", (len(order), length + steps + 2), 0, config["vocab_size"])
    lengths = np.maximum(length - pad * np.array(order), 1)
    want = case.once(_one_shot, config, tensors, tokens, [int(n) + steps + 2 for n in lengths])
    return config, tensors, tokens, want, lengths


class Asked(NamedTuple):
    """A request as it is made: tokens (B, T), the sizes of its pieces, and the reference's logits (B, T, V)."""

    name: str
    tokens: np.ndarray
    pieces: list[int]
    want: np.ndarray


def two_requests(
    case: Case,
    *,
    first: int,
    second: int,
    batches: Sequence[int],
    steps: int,
    weights: str | None,
    model: dict[str, Any] | None,
    model_type: str,
    **sizes: Any,
) -> tuple[Config, Weights, list[Asked]]:
    """Two prompts of `first` and `second` tokens in batches of their own, and `steps` single tokens behind each."""
    config, tensors = cached_model(case, weights, {**(model or {}), **sizes}, model_type)
    asked = []
    for name, prompt, batch in (("earlier", first, batches[0]), ("later", second, batches[1])):
        tokens = case.integers(name, (batch, prompt + steps), 0, config["vocab_size"])
        want = case.once(_one_shot, config, tensors, tokens, [prompt + steps] * batch)
        asked.append(Asked(name, tokens, [prompt] + [1] * steps, want))
    return config, tensors, asked


def turns_of(steps: int, together: bool) -> list[int]:
    """Which of two requests runs its next piece: one after the other, or in turns behind both prefills."""
    return [0] + [1, 0] * steps + [1] if together else [0] * (steps + 1) + [1] * (steps + 1)


def _one_shot(config: Config, weights: Weights, tokens: np.ndarray, lengths: list[int]) -> np.ndarray:
    """Reference logits of each row's last `length` tokens alone, NaN before. Shapes: tokens (B, T) -> (B, T, V)."""
    out = np.full((*tokens.shape, config["vocab_size"]), np.nan)
    for i, length in enumerate(lengths):
        out[i, -length:] = decoder_logits(config, weights, tokens[i : i + 1, -length:])[0]
    return out
