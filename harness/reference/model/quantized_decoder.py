"""Forward pass of a declared decoder whose matrices are quantised blocks of a GGUF file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.reference.model.decoder import checked, logits_of
from harness.reference.model.tensors import Reader
from harness.reference.ops.quantization import dequantize, quantize, round_activations


@dataclass(frozen=True)
class Quantized(Reader):
    """Reads every matrix as its quantised blocks hold it, and rounds what is multiplied by one."""

    kind: str = ""

    def __call__(self, role: str, expert: int | None = None) -> np.ndarray:
        weight = super().__call__(role, expert)
        return dequantize(quantize(weight, self.kind), self.kind).astype(np.float64) if weight.ndim == 2 else weight

    def linear(self, role: str, x: np.ndarray, expert: int | None = None) -> np.ndarray:
        return super().linear(role, _rounded(x, self.kind), expert)


def quantized_logits(
    config: Mapping[str, Any], weights: Mapping[str, np.ndarray], tokens: np.ndarray, kind: str
) -> np.ndarray:
    """Next-token logits with every matrix quantised to `kind`; vectors, attention and norms stay float64.

    A product of Q8_0 or Q4_0 weights rounds its input to Q8_0 blocks; F16 or BF16 weights round it to their type.
    Shapes: tokens (B, T) -> (B, T, V).
    Raises: ValueError as `decoder_logits`, or for a row length that is not a multiple of 32.
    Source: ggml's type_traits_cpu: vec_dot_type of Q4_0 and Q8_0 is Q8_0, of F16 F16, of BF16 BF16.
    """
    return logits_of(Quantized(checked(config, weights, tokens), weights, kind=kind), tokens)


def _rounded(x: np.ndarray, kind: str) -> np.ndarray:
    if kind in ("Q8_0", "Q4_0"):
        return round_activations(x)
    return dequantize(quantize(x, kind), kind).astype(np.float64)
