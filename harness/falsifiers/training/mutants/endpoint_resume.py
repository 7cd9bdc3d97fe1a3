"""Trainers that resume elsewhere than they stopped, and 4-bit models packed from other weights (A6)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from harness.falsifiers.training.mutants.endpoint_record import loader_re_randomises
from harness.mutant import mutant, replace

HEAD = "lm_head.weight"
Weights = dict[str, Tensor]


@mutant
def optimizer_state_lost(baseline: Any) -> Any:
    """The weights are restored and the momentum starts at zero (system A6; bug catalogue, optimiser)."""

    def begin(folder: str, step: int, batches: Any, weights: Weights, options: dict[str, Any]) -> Any:
        return batches[step:], load_file(str(Path(folder) / "model.safetensors")), options

    return _resuming(baseline, begin)


@mutant
def step_reset(baseline: Any) -> Any:
    """The step count is not restored: the batches begin again from the first (systems A6 and E7)."""

    def begin(folder: str, step: int, batches: Any, weights: Weights, options: dict[str, Any]) -> Any:
        return batches, weights, {**options, "resume": _at(folder, 0)}

    return _resuming(baseline, begin)


@mutant
def one_batch_skipped(baseline: Any) -> Any:
    """Resuming goes on one batch too late (system E7)."""

    def begin(folder: str, step: int, batches: Any, weights: Weights, options: dict[str, Any]) -> Any:
        return batches, weights, {**options, "resume": _at(folder, step + 1)}

    return _resuming(baseline, begin)


@mutant
def resumed_from_the_first_weights(baseline: Any) -> Any:
    """The optimizer's state is restored, and the weights are the untrained ones (system A6)."""

    def begin(folder: str, step: int, batches: Any, weights: Weights, options: dict[str, Any]) -> Any:
        from safetensors.torch import save_file

        save_file({name: w.clone() for name, w in weights.items()}, str(Path(folder) / "model.safetensors"))
        return batches, weights, {**options, "resume": folder}

    return _resuming(baseline, begin)


@mutant
def momentum_never_used(baseline: Any) -> Any:
    """The option is taken and nothing comes of it (system A6): whole and resumed run agree, and both are wrong."""

    def train_endpoint(
        config: Any, weights: Weights, batches: Any, *, dtype: str, device: str, momentum: float = 0.0, **options: Any
    ) -> Any:
        return baseline.train_endpoint(config, weights, batches, dtype=dtype, device=device, **options)

    return replace(baseline, train_endpoint=train_endpoint)


@mutant
def packed_from_fresh_weights(baseline: Any) -> Any:
    """The 4-bit path packs the weights the model was built with, before training (system A6)."""
    first: Weights = {}

    def train_endpoint(
        config: Any, weights: Weights, batches: Any, *, dtype: str, device: str, **options: Any
    ) -> dict[str, Any]:
        first.update({name: w.clone() for name, w in weights.items()})
        said: dict[str, Any] = baseline.train_endpoint(config, weights, batches, dtype=dtype, device=device, **options)
        return said

    def load_quantized_checkpoint(folder: str, kind: str) -> tuple[Any, Weights]:
        return baseline.load_checkpoint(folder)[0], baseline.quantize_weights(first, kind)

    return replace(baseline, train_endpoint=train_endpoint, load_quantized_checkpoint=load_quantized_checkpoint)


@mutant
def head_packed_re_randomised(baseline: Any) -> Any:
    """The loader's key for the head matches nothing, and a fresh head is packed (system A6)."""
    wrong = loader_re_randomises(baseline)

    def load_quantized_checkpoint(folder: str, kind: str) -> tuple[Any, Weights]:
        config, weights = wrong.load_checkpoint(folder)
        return config, baseline.quantize_weights(weights, kind)

    return replace(wrong, load_quantized_checkpoint=load_quantized_checkpoint)


@mutant
def answers_with_a_fresh_head(baseline: Any) -> Any:
    """What is packed is right, and the 4-bit model answers through a head of its own (system A6)."""

    def load_quantized(config: Any, packed: Weights, kind: str, *, dtype: str, device: str) -> Any:
        fresh = baseline.quantize(torch.randn(67, 32, generator=torch.Generator().manual_seed(0)) * 0.02, kind)
        return baseline.load_quantized(config, {**packed, HEAD: fresh}, kind, dtype=dtype, device=device)

    return replace(baseline, load_quantized=load_quantized)


def _resuming(baseline: Any, begin: Callable[..., tuple[Any, Weights, dict[str, Any]]]) -> Any:
    def train_endpoint(
        config: Any,
        weights: Weights,
        batches: Any,
        *,
        dtype: str,
        device: str,
        resume: str | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        if resume is not None:
            step = int(torch.load(Path(resume) / "optimizer.pt", weights_only=True)["step"])
            batches, weights, options = begin(resume, step, batches, weights, options)
        said: dict[str, Any] = baseline.train_endpoint(config, weights, batches, dtype=dtype, device=device, **options)
        return said

    return replace(baseline, train_endpoint=train_endpoint)


def _at(folder: str, step: int) -> str:
    """The same folder, saying that `step` steps were taken."""
    state = torch.load(Path(folder) / "optimizer.pt", weights_only=True)
    torch.save({**state, "step": step}, Path(folder) / "optimizer.pt")
    return folder
