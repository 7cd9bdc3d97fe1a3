"""Falsifiers of an endpoint trainer's checkpoints and history."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from harness.case import Case
from harness.checkpoint import read_config, read_weights
from harness.errors import UserError
from harness.falsifiers.inputs.synthetic_model import Weights
from harness.falsifiers.training.endpoint import (
    Batches,
    bytes_of,
    model_with_zero_gains,
    ragged_batches,
    some_of,
    tensor_of,
)
from harness.observation import Observation
from harness.reference.model.decoder_config import parse_config
from harness.reference.training.endpoint import train_endpoint

MEASURES = {
    "tensors_changed": "tensors whose bytes, in the file or as loaded from it, differ from the trained tensor's",
    "config_differences": "number of the model's config values that differ in the checkpoint's config.json",
    "checkpoints_missing": "number of periodic checkpoints that are missing or incomplete",
    "entries_missing": "number of missing or extra entries in the five histories, which need one per step",
    "exp_error": "largest relative difference of a step's perplexity and exp(loss)",
    "lr_error": "largest difference of a step's recorded lr and the requested lr",
    "clock_share": "time that the recorded tokens/s imply over the time of the whole training",
    "flat_norms": "number of neighbouring steps with equal gradient norms",
}
HISTORY = ("losses", "perplexities", "grad_norms", "lrs", "tokens_per_s")


def checkpoint(subject: Any, case: Case, *, model_type: str, steps: int, save_every: int, lr: float) -> Observation:
    """Train, save, load: the file's bytes, the loaded bytes and the logits equal those of the trained weights.

    Shapes: logits (2, 8, V) against the trained model's, as bytes.
    """
    config, weights = model_with_zero_gains(case, model_type, 2)
    data = ragged_batches(case, config, steps, 4, 8)
    tokens = data[0][0]
    with TemporaryDirectory() as folder:
        run = subject.train_endpoint(config, weights, data, lr=lr, folder=folder, save_every=save_every)
        expected = [Path(folder) / f"step-{n}" for n in range(save_every, steps + 1, save_every)]
        missing = sum(not _whole(path, weights) for path in expected)
        file = read_weights(expected[-1]) if _whole(expected[-1], weights) else {}
        figures = _figures(expected[-1])
        loaded_config, loaded = subject.load_checkpoint(str(expected[-1]))
    trained = {name: tensor_of(run["weights"], name) for name in weights}
    logits = subject.load(loaded_config, loaded).logits(tokens)
    changed = [
        f"{where} {name}"
        for where, tensors in (("file", file), ("loaded", loaded))
        for name in weights
        if not np.array_equal(bytes_of(tensors, [name]), bytes_of(trained, [name]))
    ]
    return Observation(
        tensors_changed=len(changed),
        logits=(logits.view(np.uint8), subject.load(config, trained).logits(tokens).view(np.uint8)),
        checkpoints_missing=missing,
        config_differences=_differences(figures, parse_config(config)),
        where={"tensors_changed": some_of(changed)},
    )


def history(subject: Any, case: Case, *, lr: float, epochs: int, batches: int) -> Observation:
    """The trainer's history: five series with one plausible entry per step."""
    config, weights = model_with_zero_gains(case, "qwen2", 2)
    data = ragged_batches(case, config, batches, 4, 32)
    began = time.perf_counter()
    run = subject.train_endpoint(config, weights, data, lr=lr, epochs=epochs)
    took = time.perf_counter() - began
    steps = epochs * batches
    series = [np.asarray(run.get(key) or [], np.float64) for key in HISTORY]
    short = [key for key, curve in zip(HISTORY, series, strict=True) if curve.size != steps]
    losses, perplexities, norms, lrs, speeds = series
    want = case.once(train_endpoint, config, weights, data, lr=lr, epochs=epochs)
    return Observation(
        entries_missing=sum(abs(curve.size - steps) for curve in series),
        exp_error=_largest(perplexities, np.exp(losses), relative=True),
        lr_error=_largest(lrs, np.full(lrs.size, lr)),
        clock_share=_seconds(data, epochs, speeds) / took,
        flat_norms=int((np.diff(norms) == 0).sum()),
        losses=(losses, np.asarray(want["losses"])),
        grad_norms=(norms, np.asarray(want["grad_norms"])),
        series=dict(zip(HISTORY, series, strict=True)),
        where={"entries_missing": some_of(short)},
    )


def _whole(folder: Path, weights: Weights) -> bool:
    try:
        return set(read_weights(folder)) == set(weights)
    except UserError:
        return False


def _figures(folder: Path) -> Any:
    try:
        return parse_config(read_config(folder))
    except (UserError, ValueError):
        return None


def _differences(found: Any, expected: Any) -> int:
    return sum(getattr(found, key, None) != value for key, value in vars(expected).items())


def _largest(got: np.ndarray, want: np.ndarray, *, relative: bool = False) -> float:
    if got.shape != want.shape or not got.size:
        return float("nan")
    return float(np.max(np.abs(got - want) / (np.abs(want) if relative else 1)))


def _seconds(data: Batches, epochs: int, speeds: np.ndarray) -> float:
    """The training time that the recorded speeds imply; NaN if a step has no positive speed."""
    tokens = np.array([tokens.size for _ in range(epochs) for tokens, _ in data], np.float64)
    return float(np.sum(tokens / speeds)) if speeds.shape == tokens.shape and speeds.min() > 0 else float("nan")
