"""Falsifiers of every norm in a forward pass: their number, and the eps that each used, inferred from its output."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.inputs.synthetic_model import Config, Weights, case_tokens, case_weights, small_config
from harness.observation import Observation
from harness.reference.model.decoder import decoder_logits
from harness.reference.model.families import declare
from harness.reference.ops.nf4 import nf4_absmax, nf4_dequantise, nf4_quantise

ROWS = 8
MEASURES = {"eps_error": "largest |used eps / config's eps - 1| over the norms of one forward pass"}


def norm_eps(
    subject: Any, case: Case, *, layers: int, eps: float, model_type: str, nf4: bool = False, hidden: int = 32
) -> Observation:
    """Give every norm rows whose mean square is a quarter of eps, and compute the used eps from its output.

    y = x w / sqrt(mean(x^2) + eps), so eps = |x w|^2 / |y|^2 - mean(x^2), in float64 and averaged over rows.
    The number of norm stages that the subject returns must be exactly 2 * layers + 1.
    Shapes: hidden states (1, 8, hidden).
    """
    config = small_config(layers=layers, eps=eps, model_type=model_type, hidden=hidden)
    weights = case_weights(case, config)
    model = subject.load_nf4(config, packed(case, weights)) if nf4 else subject.load(config, weights)
    sites = norm_sites(layers)
    fed = {
        at: case.normal(f"input of {norm}", (1, ROWS, hidden), std=0.5 * eps**0.5) for norm, (at, _) in sites.items()
    }
    seen = model.stages(case_tokens(case, config, 1, ROWS), replace=fed)
    used = [_eps_used(fed[at], weights[gain], seen.get(norm)) for norm, (at, gain) in sites.items()]
    norms = sum(name.endswith("_norm") for name in seen)
    return Observation(
        norms=(np.array([norms]), np.array([2 * layers + 1])),
        eps_error=float(np.max(np.abs(np.array(used) / eps - 1))),
        series={"eps_used": used},
    )


def nf4_logits(
    subject: Any, case: Case, *, length: int, eps: float, model_type: str, tied: bool, biases: bool
) -> Observation:
    """Logits of the 4-bit decoder against the float64 reference with the dequantised weights.

    Shapes: tokens (2, length) -> logits (2, length, vocab).
    """
    config = small_config(eps=eps, model_type=model_type, tied=tied, biases=biases)
    config["mlp_bias"] = config["attention_bias"] = False
    weights = case_weights(case, config)
    held = packed(case, weights)
    tokens = case_tokens(case, config, 2, length)
    want = case.once(_dequantised_logits, config, held, tokens)
    return Observation(logits=(subject.load_nf4(config, held).logits(tokens), want))


def norm_sites(layers: int) -> dict[str, tuple[str, str]]:
    """Norm stage -> (the stage it reads, its gain's Hugging Face name), in order of computation."""
    sites, before = {}, "embed"
    for i in range(layers):
        at, stem = f"layers.{i}.", f"model.layers.{i}."
        sites[at + "input_norm"] = (before, stem + "input_layernorm.weight")
        sites[at + "post_norm"] = (at + "attn_residual", stem + "post_attention_layernorm.weight")
        before = at + "mlp_residual"
    return {**sites, "final_norm": (before, "model.norm.weight")}


def packed(case: Case, weights: Weights) -> Weights:
    """Replace the layers' linear weights by NF4 codes and their absmax (in the case's dtype); keep other tensors."""
    held = dict(weights)
    for name in weights:
        if name.startswith("model.layers.") and name.endswith("_proj.weight"):
            absmax = case.array(f"{name}.absmax", lambda name=name: nf4_absmax(weights[name]))  # type: ignore[misc]
            held[f"{name}.absmax"] = absmax
            held[name] = case.once(nf4_quantise, weights[name], absmax)
    return held


def _eps_used(x: np.ndarray, gain: np.ndarray, y: np.ndarray | None) -> float:
    """The eps that explains y as the norm of x; NaN if the norm's output is missing or mis-shaped."""
    if y is None or np.shape(y) != x.shape:
        return float("nan")
    x, y = x.astype(np.float64), y.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        square = ((x * gain.astype(np.float64)) ** 2).sum(-1) / (y**2).sum(-1)
    return float(np.mean(square - (x**2).mean(-1)))


def _dequantised_logits(config: Config, held: Weights, tokens: np.ndarray) -> np.ndarray:
    shapes = declare(config).shapes()
    plain = {
        name: nf4_dequantise(held[name], held[f"{name}.absmax"], shape) if f"{name}.absmax" in held else held[name]
        for name, shape in shapes.items()
    }
    return decoder_logits(config, plain, tokens)
