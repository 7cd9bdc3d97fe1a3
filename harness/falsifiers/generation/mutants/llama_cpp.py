"""Files from which llama.cpp generates something else: split special tokens, drift, text in circles (E5)."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.falsifiers.baselines.gguf.rewrite import Keys, Tensors
from harness.falsifiers.packaging.mutants.gguf_edit import edited_file
from harness.falsifiers.packaging.mutants.gguf_files import biases_dropped, output_head_missing, rope_base_missing
from harness.falsifiers.packaging.mutants.tokenizer_file import special_tokens_normal
from harness.mutant import mutant


@mutant
def weights_drifted(baseline: Any) -> Any:
    """Every matrix is off by 3 %: forward parity by eye, and low-margin tokens flip (system E5)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        noise = np.random.default_rng(0)
        for name, (kind, data) in list(tensors.items()):
            if data.ndim == 2:
                tensors[name] = (kind, (data * (1 + 0.03 * noise.standard_normal(data.shape))).astype(np.float32))

    return edited_file(baseline, edit)


@mutant
def last_layer_silent(baseline: Any) -> Any:
    """The last layer's feed-forward writes nothing: text that begins well and goes in circles (system E5)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        last = max(name for name in tensors if name.endswith("ffn_down.weight"))
        tensors[last] = (tensors[last][0], np.zeros_like(tensors[last][1]))

    return edited_file(baseline, edit)


@mutant
def one_token_for_ever(baseline: Any) -> Any:
    """Attention is flat and the embedding's own head answers: the same fragment again and again (system E)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        for name, (kind, data) in list(tensors.items()):
            if name.endswith(("attn_output.weight",)):
                tensors[name] = (kind, np.zeros_like(data))

    return edited_file(baseline, edit)


MUTANTS = {
    "special_tokens_normal": special_tokens_normal,
    "biases_dropped": biases_dropped,
    "rope_base_missing": rope_base_missing,
    "output_head_missing": output_head_missing,
}
