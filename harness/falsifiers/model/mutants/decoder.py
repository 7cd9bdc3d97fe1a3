"""Known-wrong decoders: the baseline fed an edited config or edited weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from harness.mutant import Inapplicable, mutant, replace

Config = dict[str, Any]
Weights = dict[str, torch.Tensor]
WINDOW = 16
LINEARS = ("q_proj", "k_proj", "v_proj")


@mutant
def k_bias_dropped(baseline: Any) -> Any:
    """One bias of three is skipped on upload: a key bias alone (system D3; catalogue A1)."""
    return _loading(baseline, lambda config, weights: (config, _zeroed(weights, ("k_proj.bias",))))


@mutant
def qkv_bias_dropped(baseline: Any) -> Any:
    """The block has no bias fields, so all Q/K/V biases are lost (A1: sbryngelson/ANEForge#253; system D3)."""
    names = tuple(f"{name}.bias" for name in LINEARS)
    return _loading(baseline, lambda config, weights: (config, _zeroed(weights, names)))


@mutant
def eps_x10(baseline: Any) -> Any:
    """Norms built with 1e-5 for a model that says 1e-6 (N1: ggml-org/llama.cpp#2373; system D2)."""
    return _loading(
        baseline, lambda config, weights: ({**config, "rms_norm_eps": 10 * config["rms_norm_eps"]}, weights)
    )


@mutant
def rope_theta_10000(baseline: Any) -> Any:
    """theta is not read from the config, the default stays (R1: vllm-project/vllm#1096)."""

    def edit(config: Config, weights: Weights) -> tuple[Config, Weights]:
        if {**config, **(config.get("rope_parameters") or {})}["rope_theta"] == 10000:
            raise Inapplicable("the model's own theta is 10000")
        return _with_theta(config, 10000.0), weights

    return _loading(baseline, edit)


@mutant
def rope_rows_not_unpermuted(baseline: Any) -> Any:
    """Query and key rows left in the interleaved order of a GGUF (R3: huggingface/transformers#31788)."""

    def edit(config: Config, weights: Weights) -> tuple[Config, Weights]:
        keys = next(tensor for name, tensor in weights.items() if name.endswith("self_attn.k_proj.weight"))
        dim = keys.shape[0] // config["num_key_value_heads"]
        order = torch.arange(dim).reshape(2, dim // 2).T.reshape(-1)

        def permute(rows: torch.Tensor) -> torch.Tensor:
            return rows.unflatten(0, (-1, dim))[:, order.to(rows.device)].flatten(0, 1)

        return config, _edited(weights, ("q_proj.weight", "k_proj.weight", "q_proj.bias", "k_proj.bias"), permute)

    return _loading(baseline, edit)


@mutant
def gqa_interleaved(baseline: Any) -> Any:
    """Query head h reads key/value head h % KV instead of h // (H/KV) (R3, the GQA half; system D5)."""

    return _loading(baseline, lambda config, weights: _grouped(config, weights, lambda h, group, kv: h % kv))


@mutant
def groups_above_four(baseline: Any) -> Any:
    """A kernel whose groups hold four query heads at most: the fifth head of a group reads the next key/value head.
    (Groups of 6 were wrong in apache/tvm#17074, sizes other than 8 in HazyResearch/HipKittens#22.)"""

    def edit(config: Config, weights: Weights) -> tuple[Config, Weights]:
        if config["num_attention_heads"] <= 4 * config["num_key_value_heads"]:
            raise Inapplicable("no group has more than four heads")
        return _grouped(config, weights, lambda h, group, kv: h // min(group, 4) % kv)

    return _loading(baseline, edit)


@mutant
def first_token_once(baseline: Any) -> Any:
    """A doubled first token is dropped, as if it were a BOS that was added twice. Synthetic: llama.cpp only warns of
    a double BOS; dropping it is right for text and wrong for token ids."""

    def load(config: Config, weights: Weights, *, dtype: str, device: str) -> Any:
        loaded = baseline.load(config, weights, dtype=dtype, device=device)
        plain = loaded.logits

        def logits(tokens: torch.Tensor) -> torch.Tensor:
            out = plain(tokens)
            for i, row in enumerate(tokens):
                if len(row) > 1 and row[0] == row[1]:
                    out[i, 1:] = plain(row[None, 1:])[0]
            return out

        loaded.logits = logits
        return loaded

    return replace(baseline, load=load)


@mutant
def window_applied(baseline: Any) -> Any:
    """A sliding window where the config has none, for a file's default was taken for a setting (A7; system D5)."""

    def edit(config: Config, weights: Weights) -> tuple[Config, Weights]:
        if config["model_type"] != "qwen2":
            raise Inapplicable("transformers' Llama knows no window")
        layers = ["sliding_attention"] * config["num_hidden_layers"]
        return {**config, "use_sliding_window": True, "sliding_window": WINDOW, "layer_types": layers}, weights

    return _loading(baseline, edit)


@mutant
def head_overwritten_by_embedding(baseline: Any) -> Any:
    """An untied head is tied on loading, and the output looks fine (E5: sgl-project/sglang#15398; system D4)."""

    def edit(config: Config, weights: Weights) -> tuple[Config, Weights]:
        if config.get("tie_word_embeddings"):
            raise Inapplicable("the model's head is tied already")
        kept = {name: tensor for name, tensor in weights.items() if name != "lm_head.weight"}
        return {**config, "tie_word_embeddings": True}, kept

    return _loading(baseline, edit)


@mutant
def layers_in_the_order_of_names(baseline: Any) -> Any:
    """Layers are read in the order of their names, layers.10 before layers.2, and numbered by it.

    Synthetic: sorted(names) in a converter; a model of ten layers shows nothing.
    """

    def edit(config: Config, weights: Weights) -> tuple[Config, Weights]:
        order = sorted(range(config["num_hidden_layers"]), key=str)
        if order == sorted(order):
            raise Inapplicable("ten layers or fewer: their names are in order")
        moved = {}
        for name, tensor in weights.items():
            head, dot, rest = name.partition("model.layers.")
            number, _, tail = rest.partition(".")
            moved[f"{head}{dot}{order.index(int(number))}.{tail}" if dot else name] = tensor
        return config, moved

    return _loading(baseline, edit)


def _loading(baseline: Any, edit: Callable[[Config, Weights], tuple[Config, Weights]]) -> Any:
    """The baseline whose `load` sees edited copies."""

    def load(config: Config, weights: Weights, *, dtype: str, device: str) -> Any:
        return baseline.load(*edit(dict(config), dict(weights)), dtype=dtype, device=device)

    return replace(baseline, load=load)


def _grouped(config: Config, weights: Weights, read: Callable[[int, int, int], int]) -> tuple[Config, Weights]:
    """Query head h reads key/value head read(h, heads in a group, key/value heads)."""
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    if kv_heads in (1, heads):
        raise Inapplicable(f"{kv_heads} key/value heads for {heads} query heads leave one map only")
    taken = torch.tensor([read(h, heads // kv_heads, kv_heads) for h in range(heads)])

    def spread(rows: torch.Tensor) -> torch.Tensor:
        return rows.unflatten(0, (kv_heads, -1))[taken.to(rows.device)].flatten(0, 1)

    names = ("k_proj.weight", "v_proj.weight", "k_proj.bias", "v_proj.bias")
    return {**config, "num_key_value_heads": heads}, _edited(weights, names, spread)


def _edited(weights: Weights, endings: tuple[str, ...], edit: Callable[[torch.Tensor], torch.Tensor]) -> Weights:
    return {name: edit(tensor) if name.endswith(endings) else tensor for name, tensor in weights.items()}


def _zeroed(weights: Weights, endings: tuple[str, ...]) -> Weights:
    if not any(name.endswith(endings) for name in weights):
        raise Inapplicable(f"the model has no {' or '.join(endings)}")
    return _edited(weights, endings, torch.zeros_like)


def _with_theta(config: Config, theta: float) -> Config:
    """theta in both places a config may keep it, so that no reader sees the right one."""
    rope = {"rope_type": "default", **(config.get("rope_parameters") or {}), "rope_theta": theta}
    return {**config, "rope_theta": theta, "rope_parameters": rope}
