"""Known-wrong loaders: a checkpoint that is not wholly used, or not where it belongs (system D4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from harness.mutant import Inapplicable, mutant, replace

Config = dict[str, Any]
Weights = dict[str, torch.Tensor]
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@mutant
def tied_head_left_random(baseline: Any) -> Any:
    """The head of a tied model is not in the file, so it keeps its initial value (system D4)."""

    def edit(config: Config, weights: Weights) -> tuple[Config, Weights]:
        if not config.get("tie_word_embeddings"):
            raise Inapplicable("the model's head is not tied")
        head = _initial(weights[EMBEDDING], 0)
        return {**config, "tie_word_embeddings": False}, {**weights, HEAD: head}

    return _loading(baseline, edit)


@mutant
def head_overwritten_by_embedding(baseline: Any) -> Any:
    """An untied head is tied on loading, and the output looks fine (E5: sgl-project/sglang#15398)."""

    def edit(config: Config, weights: Weights) -> tuple[Config, Weights]:
        if config.get("tie_word_embeddings"):
            raise Inapplicable("the model's head is tied already")
        return config, {**weights, HEAD: weights[EMBEDDING]}

    return _loading(baseline, edit)


@mutant
def layer_loaded_twice(baseline: Any) -> Any:
    """The last layer's up_proj is filled from layer 0, an index left at its first value (system D4)."""

    def edit(config: Config, weights: Weights) -> tuple[Config, Weights]:
        last = config["num_hidden_layers"] - 1
        name = "model.layers.{}.mlp.up_proj.weight"
        return config, {**weights, name.format(last): weights[name.format(0)]}

    return _loading(baseline, edit)


@mutant
def norm_gain_left_at_ones(baseline: Any) -> Any:
    """A renamed norm tensor matches nothing, and ones are a plausible gain (system D4)."""
    return _loading(baseline, lambda config, weights: (config, _at_ones(weights, "post_attention_layernorm.weight")))


@mutant
def linear_left_at_its_initial_value(baseline: Any) -> Any:
    """The keys of one projection match nothing, and strict=False says so to nobody (system D4)."""
    name = "model.layers.1.self_attn.o_proj.weight"
    return _loading(baseline, lambda config, weights: (config, {**weights, name: _initial(weights[name], 1)}))


@mutant
def subset_instead_of_equality(baseline: Any) -> Any:
    """Loads what fits and leaves the rest as initialised: a subset passes for the whole (system D4)."""

    def load(config: Config, weights: Weights, *, dtype: str, device: str) -> Any:
        return _lenient(baseline, config, weights, dtype, device)

    return replace(baseline, load=load)


@mutant
def extra_tensor_ignored(baseline: Any) -> Any:
    """Everything expected is there, and what nobody asked for is not looked at: a renamed bias goes unread
    (system D4)."""

    def load(config: Config, weights: Weights, *, dtype: str, device: str) -> Any:
        known = _expected(baseline, config, dtype, device)
        return baseline.load(config, {n: w for n, w in weights.items() if n in known}, dtype=dtype, device=device)

    return replace(baseline, load=load)


@mutant
def missing_tensor_ignored(baseline: Any) -> Any:
    """Every tensor of the file has a place, and the places without a tensor are not looked at (system D4)."""

    def load(config: Config, weights: Weights, *, dtype: str, device: str) -> Any:
        whole = {**_expected(baseline, config, dtype, device), **weights}
        return baseline.load(config, whole, dtype=dtype, device=device)

    return replace(baseline, load=load)


@mutant
def refusal_without_the_name(baseline: Any) -> Any:
    """Refuses, and says how many tensors were wrong but not which: the count is all a log keeps (system D4)."""

    def load(config: Config, weights: Weights, *, dtype: str, device: str) -> Any:
        try:
            return baseline.load(config, weights, dtype=dtype, device=device)
        except RuntimeError:
            raise RuntimeError("wrong number of tensors") from None

    return replace(baseline, load=load)


@mutant
def rotary_table_of_the_first_model(baseline: Any) -> Any:
    """The table is built once per process and keyed by its shape alone (R1, R8: huggingface/transformers#48892)."""
    kept: dict[tuple[int, ...], torch.Tensor] = {}

    def edit(table: torch.Tensor) -> torch.Tensor:
        return kept.setdefault(tuple(table.shape), table.clone())

    return _rotary(baseline, edit)


@mutant
def rotary_table_uninitialised(baseline: Any) -> Any:
    """A non-persistent buffer made on the meta device and never filled
    (R8: huggingface/transformers#48892, huggingface/transformers#34234)."""
    return _rotary(baseline, torch.zeros_like)


@mutant
def rotary_table_cast(baseline: Any) -> Any:
    """Casting the model to bfloat16 casts its frequencies too (R8; NVIDIA-NeMo/Automodel#2549)."""
    return _rotary(baseline, lambda table: table.to(torch.bfloat16).to(table.dtype))


def _loading(baseline: Any, edit: Callable[[Config, Weights], tuple[Config, Weights]]) -> Any:
    def load(config: Config, weights: Weights, *, dtype: str, device: str) -> Any:
        return baseline.load(*edit(dict(config), dict(weights)), dtype=dtype, device=device)

    return replace(baseline, load=load)


def _rotary(baseline: Any, edit: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    def load(config: Config, weights: Weights, *, dtype: str, device: str) -> Any:
        decoder = baseline.load(config, weights, dtype=dtype, device=device)
        rotary = decoder.model.model.rotary_emb
        rotary.inv_freq = edit(rotary.inv_freq)
        return decoder

    return replace(baseline, load=load)


def _lenient(baseline: Any, config: Config, weights: Weights, dtype: str, device: str) -> Any:
    whole = _expected(baseline, config, dtype, device)
    fitting = {n: w for n, w in weights.items() if n in whole and w.shape == whole[n].shape}
    return baseline.load(config, {**whole, **fitting}, dtype=dtype, device=device)


def _expected(baseline: Any, config: Config, dtype: str, device: str) -> Weights:
    """Every tensor the config implies, at an initial value."""
    skeleton = baseline.skeleton(config)
    return {
        name: _initial(tensor, i).to(device, getattr(torch, dtype)) for i, (name, tensor) in enumerate(skeleton.items())
    }


def _initial(tensor: torch.Tensor, seed: int) -> torch.Tensor:
    noise = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (0.02 * noise).to(tensor.dtype) if tensor.is_meta else (0.02 * noise).to(tensor)


def _at_ones(weights: Weights, ending: str) -> Weights:
    return {name: torch.ones_like(w) if name.endswith(ending) else w for name, w in weights.items()}
