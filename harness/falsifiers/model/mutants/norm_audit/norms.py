"""Known-wrong norms: the right eps, but not at every call site (system D2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from harness.mutant import Inapplicable, mutant, replace

DEFAULT = 1e-5


@mutant
def every_norm_on_default(baseline: Any) -> Any:
    """The block is built with 1e-5 whatever the model says (N1: ggml-org/llama.cpp#2373; the story of system D)."""
    return _loaded(baseline, lambda model, config: _set(_norms(model), config))


@mutant
def one_call_site_on_default(baseline: Any) -> Any:
    """One norm of one layer is constructed without its eps (system D2)."""
    return _loaded(baseline, lambda model, config: _set([model.model.layers[-1].post_attention_layernorm], config))


@mutant
def final_norm_on_default(baseline: Any) -> Any:
    """Every layer passes its eps on, the norm before the head does not (system D2)."""
    return _loaded(baseline, lambda model, config: _set([model.model.norm], config))


@mutant
def nf4_path_on_default(baseline: Any) -> Any:
    """The 4-bit block has call sites of its own, and a literal there (the story of system D)."""
    return _loaded(baseline, lambda model, config: _set(_norms(model), config), ("load_nf4",))


@mutant
def eps_of_the_first_model(baseline: Any) -> Any:
    """Norm kernels are cached by width: the second model gets the eps of the first (system D1, D2)."""
    kept: dict[int, float] = {}

    def edit(model: Any, config: dict[str, Any]) -> None:
        eps = kept.setdefault(config["hidden_size"], config["rms_norm_eps"])
        for norm in _norms(model):
            norm.variance_epsilon = eps

    return _loaded(baseline, edit)


@mutant
def one_norm_skipped(baseline: Any) -> Any:
    """A fused block forgets the norm before one MLP: 2 x layers norms are called (system D2)."""

    def edit(model: Any, _: dict[str, Any]) -> None:
        model.model.layers[0].post_attention_layernorm = torch.nn.Identity()

    return _loaded(baseline, edit)


def _loaded(
    baseline: Any, edit: Callable[[Any, dict[str, Any]], None], loaders: tuple[str, ...] = ("load", "load_nf4")
) -> Any:
    """The baseline whose models are edited once they are loaded."""

    def wrong(name: str) -> Callable[..., Any]:
        def load(config: dict[str, Any], weights: dict[str, Any], *, dtype: str, device: str) -> Any:
            decoder = getattr(baseline, name)(config, weights, dtype=dtype, device=device)
            edit(decoder.model, config)
            return decoder

        return load

    return replace(baseline, **{name: wrong(name) for name in loaders})


def _norms(model: Any) -> list[Any]:
    return [module for module in model.modules() if hasattr(module, "variance_epsilon")]


def _set(norms: list[Any], config: dict[str, Any]) -> None:
    if config["rms_norm_eps"] == DEFAULT:
        raise Inapplicable(f"the model's own eps is {DEFAULT:g}")
    for norm in norms:
        norm.variance_epsilon = DEFAULT
