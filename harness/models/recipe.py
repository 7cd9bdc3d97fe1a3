"""The recipe of the small model: every number that determines its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """Sizes, data and schedule; the defaults are the model the contracts use.

    Sizes are multiples of 32, so that every row fits llama.cpp's block formats; there are more rows
    than tokens, and 1 < kv_heads < heads, because equal sizes would hide bugs.
    """

    hidden_size: int = 192
    layers: int = 3
    heads: int = 6
    kv_heads: int = 2
    intermediate_size: int = 512
    rows: int = 2048
    """Embedding rows; those beyond `tokens` stand for no token (Qwen2 has 151,643 tokens in 151,936 rows)."""
    tokens: int = 2000
    max_positions: int = 1024
    rope_theta: float = 1e6
    rms_norm_eps: float = 1e-6

    files: int | None = None
    """Number of files to train on, the first ones; None: all that are not held out."""
    window: int = 128
    """T: tokens per training row."""
    text_rows: int = 6
    """Rows of the standard library per step."""
    memory_rows: int = 2
    """Rows of memorised functions per step: each of the 60 rows is trained 40 times (22 times teach only a third)."""
    steps: int = 1200
    warmup: int = 40
    lr: float = 4e-3
    weight_decay: float = 0.1
    beta2: float = 0.95
    clip: float = 1.0

    weight_std: float = 0.04
    embedding_std: float = 0.2
    """After 250,000 tokens the held-out loss is 5.17 with 0.02, and 4.55 with 0.2."""
    bias_std: float = 0.1
    """Standard deviation of the initial Q/K/V biases: with 0, dropping them would change nothing."""
    gain_spread: float = 0.5
    """Norm gains start uniform in 1 ± this: with gains of 1, dropping them would change nothing."""
    held_out_rows: int = 512
    seed: int = 20250101

    @property
    def tokens_seen(self) -> int:
        """Tokens in all rows of all steps, padding of the memory rows included."""
        return self.steps * (self.text_rows + self.memory_rows) * self.window

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def config(self) -> dict[str, Any]:
        """The model's sizes by their Hugging Face names."""
        return {
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "intermediate_size": self.intermediate_size,
            "vocab_size": self.rows,
            "max_position_embeddings": self.max_positions,
            "rms_norm_eps": self.rms_norm_eps,
        }
