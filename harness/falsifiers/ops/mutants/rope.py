"""Rotary position embeddings that were shipped wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from harness.mutant import Inapplicable, mutant, replace

Options = dict[str, Any]


@mutant
def theta_10000(baseline: Any) -> Any:
    """theta is not read from the config, the default stays (R1: vllm-project/vllm#1096; system D5)."""
    return _edited(baseline, lambda x, positions, options: (positions, {**options, "theta": 10000.0}))


@mutant
def layout_swapped(baseline: Any) -> Any:
    """Neighbours are paired where halves are meant, or the reverse (R3: transformers#31788; system D5)."""

    def edit(x: Tensor, positions: Tensor, options: Options) -> tuple[Tensor, Options]:
        return positions, {**options, "interleaved": not options.get("interleaved", False)}

    return _edited(baseline, edit)


@mutant
def rotates_backwards(baseline: Any) -> Any:
    """The sign of the sine is lost, so that every pair turns the other way; at position 0 nothing shows
    (ngxson/llama.cpp#59)."""
    return _edited(baseline, lambda x, positions, options: (-positions, options))


@mutant
def position_one_late(baseline: Any) -> Any:
    """Positions count from 1 (K1: transformers#47597, misaligned after a cache; system D5).

    Attention sees only differences of positions, so this shows on the rotated heads and not behind them.
    """
    return _edited(baseline, lambda x, positions, options: (positions + 1, options))


@mutant
def offset_ignored(baseline: Any) -> Any:
    """Each call counts from 0, whatever is in the cache (K1: transformers#47597; system D5)."""
    return _edited(baseline, lambda x, positions, options: (torch.arange(len(positions)).to(positions), options))


@mutant
def positions_in_bfloat16(baseline: Any) -> Any:
    """Positions are cast with the activations: bfloat16 cannot count past 256 (huggingface/transformers#29285)."""
    return _edited(baseline, lambda x, positions, options: (positions.bfloat16(), options))


@mutant
def inv_freq_in_bfloat16(baseline: Any) -> Any:
    """`model.to(bfloat16)` casts the buffer of frequencies too: 3 digits, times a position of thousands
    (NVIDIA-NeMo/Automodel#2549)."""

    def rope(
        x: Tensor,
        positions: Tensor,
        *,
        theta: float,
        interleaved: bool = False,
        rotary_dim: int | None = None,
        scaling: Options | None = None,
    ) -> Tensor:
        inv_freq, attention_scaling = baseline.frequencies(rotary_dim or x.shape[-1], theta, scaling)
        angles = positions.float()[:, None] * inv_freq.bfloat16().float().to(x.device)
        return baseline.rotate(x, angles, attention_scaling, interleaved)

    return replace(baseline, rope=rope)


@mutant
def scaling_skipped(baseline: Any) -> Any:
    """The scaling is parsed and then not used (R5: lablup/mlxcel#1385, ikawrakow/ik_llama.cpp#2291)."""

    def edit(x: Tensor, positions: Tensor, options: Options) -> tuple[Tensor, Options]:
        _scaling(options)
        return positions, {**options, "scaling": None}

    return _edited(baseline, edit)


@mutant
def scaled_as_linear(baseline: Any) -> Any:
    """Every frequency is divided by the factor, whatever the rope_type (R5, a reader that knows one key).
    Synthetic: `factor` is in every rope_scaling, and the oldest scheme needs nothing else."""

    def edit(x: Tensor, positions: Tensor, options: Options) -> tuple[Tensor, Options]:
        scaling = _scaling(options)
        if scaling["rope_type"] == "linear":
            raise Inapplicable("the scaling is linear")
        return positions, {**options, "scaling": {"rope_type": "linear", "factor": scaling["factor"]}}

    return _edited(baseline, edit)


@mutant
def yarn_attention_factor_missing(baseline: Any) -> Any:
    """YaRN's frequencies without its factor on cos and sin (arXiv:2309.00071, eq. 22)."""

    def edit(x: Tensor, positions: Tensor, options: Options) -> tuple[Tensor, Options]:
        scaling = _scaling(options)
        if scaling["rope_type"] != "yarn":
            raise Inapplicable(f"rope_type {scaling['rope_type']} has no attention factor")
        return positions, {**options, "scaling": {**scaling, "attention_factor": 1.0}}

    return _edited(baseline, edit)


@mutant
def partial_factor_ignored(baseline: Any) -> Any:
    """The whole head is rotated (R6: ml-explore/mlx-lm#1698, InternLM/lmdeploy#3861)."""

    def edit(x: Tensor, positions: Tensor, options: Options) -> tuple[Tensor, Options]:
        _rotary_dim(options)
        return positions, {**options, "rotary_dim": None}

    return _edited(baseline, edit)


@mutant
def exponent_over_head_dim(baseline: Any) -> Any:
    """The exponent is 2i/head_dim instead of 2i/rotary_dim (R7: pie-project/pie#603)."""

    def edit(x: Tensor, positions: Tensor, options: Options) -> tuple[Tensor, Options]:
        share = _rotary_dim(options) / x.shape[-1]
        return positions, {**options, "theta": options["theta"] ** share}

    return _edited(baseline, edit)


@mutant
def table_kept_by_shape(baseline: Any) -> Any:
    """A table or graph kept by shape alone replays its first base and offset (ikawrakow/ik_llama.cpp#2096)."""
    kept: dict[Any, tuple[Tensor, float]] = {}

    def edit(x: Tensor, positions: Tensor, options: Options) -> tuple[Tensor, Options]:
        first, theta = kept.setdefault((x.shape, x.dtype), (positions, options["theta"]))
        return first, {**options, "theta": theta}

    return _edited(baseline, edit)


def _edited(baseline: Any, edit: Callable[[Tensor, Tensor, Options], tuple[Tensor, Options]]) -> Any:
    """The baseline with edited positions and options."""

    def rope(x: Tensor, positions: Tensor, **options: Any) -> Tensor:
        changed, others = edit(x, positions, options)
        out: Tensor = baseline.rope(x, changed, **others)
        return out

    return replace(baseline, rope=rope)


def _scaling(options: Options) -> Options:
    scaling = options.get("scaling")
    if not scaling:
        raise Inapplicable("the frequencies are not scaled")
    return dict(scaling)


def _rotary_dim(options: Options) -> int:
    rotary_dim = options.get("rotary_dim")
    if rotary_dim is None:
        raise Inapplicable("the whole head is rotated")
    return int(rotary_dim)


@mutant
def table_wraps_at_2048(baseline: Any) -> Any:
    """The table of cosines has 2,048 rows and is read modulo its length.

    Synthetic: a table of the first model's context, and an index that must not leave it.
    """
    return _edited(baseline, lambda x, positions, options: (positions.remainder(2048), options))


@mutant
def positions_in_int16(baseline: Any) -> Any:
    """Positions are kept in 16 bits and turn negative past 32,767.

    Synthetic: id and position packed into one word of 32 bits save half of the traffic.
    """
    return _edited(baseline, lambda x, positions, options: (positions.short().long(), options))


@mutant
def positions_counted_from_the_first(baseline: Any) -> Any:
    """Only the first position is read, the others are counted from it.

    Synthetic: a kernel that takes one offset per call, made for one sequence without gaps.
    """

    def edit(x: Tensor, positions: Tensor, options: Options) -> tuple[Tensor, Options]:
        return positions[0] + torch.arange(len(positions)).to(positions), options

    return _edited(baseline, edit)


@mutant
def negative_positions_clamped(baseline: Any) -> Any:
    """Positions below zero, as relative ones and shifted caches have, are taken for 0.

    Synthetic: an index into a table must not be negative, so it is clamped.
    """
    return _edited(baseline, lambda x, positions, options: (positions.clamp(min=0), options))


@mutant
def given_attention_factor_scaled(baseline: Any) -> Any:
    """An explicit attention_factor is multiplied by 0.1 ln(factor) + 1 once more, or that stands in its place.

    Synthetic: the factor is computed in one place and read from the config in another.
    """

    def edit(x: Tensor, positions: Tensor, options: Options) -> tuple[Tensor, Options]:
        scaling = options.get("scaling") or {}
        given = scaling.get("attention_factor")
        if given is None:
            raise Inapplicable("no attention_factor is given")
        return positions, {
            **options,
            "scaling": {**scaling, "attention_factor": given * (0.1 * math.log(scaling["factor"]) + 1)},
        }

    return _edited(baseline, edit)
