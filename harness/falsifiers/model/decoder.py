"""Falsifiers of whole decoders: logits, and each stage, against the float64 reference."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.case import Case
from harness.dtypes import round_to
from harness.falsifiers.inputs.synthetic_model import Config, Weights, case_tokens, case_weights, synthetic_config
from harness.observation import Observation
from harness.reference.model.decoder import decoder_forward, decoder_logits, stage_names
from harness.reference.model.families import declare

Stages = list[tuple[str, np.ndarray, np.ndarray]]


def logit_parity(
    subject: Any,
    case: Case,
    *,
    model_type: str,
    head_dim: int,
    vocab: int,
    rope_theta: float,
    eps: float,
    tied: bool,
    biases: bool,
    shape: Mapping[str, int] | None = None,
    layers: int = 2,
    hidden: int = 64,
    intermediate: int = 96,
    heads: int = 4,
    kv_heads: int = 2,
    length: int = 17,
    batch: int = 2,
) -> Observation:
    """Logits of a synthetic model with random weights, at positions 0 .. length-1.

    Shapes: tokens (batch, length) -> logits (batch, length, vocab).
    Units:  shape gives several of the sizes layers to batch at once, so that a contract can explore them together;
            biases switches Llama's `attention_bias` and `mlp_bias`; a Qwen2 always has q/k/v biases.
    """
    sizes = {"hidden": hidden, "intermediate": intermediate, "heads": heads, "kv_heads": kv_heads}
    sizes |= {"layers": layers, "length": length, "batch": batch, **(shape or {})}
    length, batch = sizes.pop("length"), sizes.pop("batch")
    config = synthetic_config(
        model_type=model_type,
        head_dim=head_dim,
        vocab=vocab,
        rope_theta=rope_theta,
        eps=eps,
        tied=tied,
        biases=biases,
        **sizes,
    )
    weights, tokens = case_weights(case, config), case_tokens(case, config, batch, length)
    want = case.once(decoder_logits, config, weights, tokens)
    return Observation(logits=(subject.load(config, weights).logits(tokens), want))


def logit_parity_stages(
    subject: Any, case: Case, *, shape: Mapping[str, int] | None = None, replaced: bool = False, **model: Any
) -> Stages:
    """(stage, got, want) in order of computation, for the model and tokens of `logit_parity`.

    With `replaced` every stage gets the reference's values as input, so that each shows only its own error.
    Shapes: as in `reference.model.decoder.stage_names`, without the stages that the subject does not return.
    """
    return stages_of(subject, case, *_model(case, shape, model), replaced)


def logit_parity_layouts(
    subject: Any, case: Case, *, stage: str, shape: Mapping[str, int] | None = None, **model: Any
) -> Stages:
    """`layouts_of` for the model and tokens of `logit_parity`."""
    return layouts_of(subject, case, *_model(case, shape, model), stage)


def _model(case: Case, shape: Mapping[str, int] | None, model: Mapping[str, Any]) -> tuple[Config, Weights, np.ndarray]:
    """Config, weights and tokens of `logit_parity`."""
    sizes = {**(logit_parity.__kwdefaults__ or {}), **model, **(shape or {})}
    length, batch = sizes.pop("length"), sizes.pop("batch")
    config = synthetic_config(**{name: value for name, value in sizes.items() if name != "shape"})
    return config, case_weights(case, config), case_tokens(case, config, batch, length)


def layouts_of(subject: Any, case: Case, config: Config, weights: Weights, tokens: np.ndarray, stage: str) -> Stages:
    """(tensor, got, want) of one stage, for each square matrix that could make it: `want` has the matrix transposed.

    Units:  the matrices of the stage's own layer, or those outside of the layers; every stage reads the reference's
            values.
    """
    _, right = decoder_forward(config, weights, tokens)
    given = {name: round_to(value, case.dtype) for name, value in right.items()}
    got = subject.load(config, weights).stages(tokens, replace=given)[stage]
    layer = re.match(r"layers\.\d+\.", stage)
    names = {part.name for role, part in declare(config).parts.items() if not part.each and _is_of(role, layer)}
    found = []
    for name in sorted(names):
        own = np.asarray(weights[name])
        if own.ndim < 2 or own.shape[-1] != own.shape[-2]:
            continue
        turned = {**weights, name: own.swapaxes(-1, -2)}
        found.append((name, got, decoder_forward(config, turned, tokens, replace=given)[1][stage]))
    return found


def _is_of(role: str, layer: re.Match[str] | None) -> bool:
    return role.startswith(layer[0]) if layer else not role.startswith("layers.")


def stages_of(subject: Any, case: Case, config: Config, weights: Weights, tokens: np.ndarray, replaced: bool) -> Stages:
    """(stage, got, want) of a decoder's stages, fed with the reference's values if `replaced`."""
    model = subject.load(config, weights)
    _, want = decoder_forward(config, weights, tokens)
    if replaced:
        # The reference too starts each stage from the rounded values, so that their rounding is not counted as error.
        given = {name: round_to(value, case.dtype) for name, value in want.items()}
        _, want = decoder_forward(config, weights, tokens, replace=given)
        got = model.stages(tokens, replace=given)
    else:
        got = model.stages(tokens)
    return [(name, got[name], want[name]) for name in stage_names(config) if name in got]
