"""Readers of GGUF files that give back another model (system E3)"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.mutant import Inapplicable, mutant, replace


@mutant
def head_read_as_embedding(baseline: Any) -> Any:
    """Reading back, the head's tensor takes the embedding's place (system D4)."""
    return _reading(baseline, lambda config, w: (config, {**w, "model.embed_tokens.weight": w["lm_head.weight"]}))


@mutant
def permutation_not_undone(baseline: Any) -> Any:
    """Reading back, Llama's q and k rows stay in llama.cpp's order (system E3)."""

    def edit(config: dict[str, Any], w: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        if config["model_type"] != "llama":
            raise Inapplicable("only llama's rows are permuted")
        heads = config["num_attention_heads"]
        for name in [n for n in w if n.endswith("self_attn.q_proj.weight")]:
            w[name] = w[name].unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)
        return config, w

    return _reading(baseline, edit)


@mutant
def eps_of_the_class(baseline: Any) -> Any:
    """Reading back, eps is the class's default (system D2)."""
    return _reading(baseline, lambda config, w: ({**config, "rms_norm_eps": 1e-5}, w))


@mutant
def biases_not_read(baseline: Any) -> Any:
    """Reading back, optional tensors are left out (system D3)."""

    def edit(config: dict[str, Any], w: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        kept = {n: t for n, t in w.items() if not n.endswith(".bias")}
        if len(kept) == len(w):
            raise Inapplicable("no biases")
        return config, kept

    return _reading(baseline, edit)


@mutant
def value_heads_left_tiled(baseline: Any) -> Any:
    """Reading back, the delta net's decays stay in llama.cpp's order of heads (system E3)."""

    def edit(config: dict[str, Any], w: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        named = [n for n in w if n.endswith("A_log")]
        if not named:
            raise Inapplicable("no delta net")
        for name in named:
            w[name] = w[name].unflatten(0, (config["linear_num_key_heads"], -1)).transpose(0, 1).flatten()
        return config, w

    return _reading(baseline, edit)


def _reading(baseline: Any, edit: Callable[[dict[str, Any], dict[str, Any]], tuple[Any, Any]]) -> Any:
    return replace(baseline, import_gguf=lambda path: edit(*baseline.import_gguf(path)))
