"""Falsifiers of a checkpoint's use: training resumed from it, and a quantised model made from it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.inputs.synthetic_model import case_weights, small_config
from harness.falsifiers.training.endpoint import ragged_batches, some_of, tensor_of
from harness.falsifiers.training.endpoint_record import bytes_of
from harness.observation import Observation
from harness.reference.model.decoder import decoder_logits
from harness.reference.ops.quantization import dequantize, open_bytes, quantize
from harness.reference.training.endpoint import TRAINED, train_endpoint

MEASURES = {
    "resumed_differently": "bytes of losses and trained tensors in which a resumed and an uninterrupted run differ",
    "packed_differently": "number of bytes in which the packed matrices differ from the packed trained weights",
    "fresh_distance": "share of the packed matrices' bytes that differ from the packed untrained weights",
}


def resume(
    subject: Any, case: Case, *, model_type: str, steps: int, stop: int, lr: float, momentum: float
) -> Observation:
    """A run that is resumed after `stop` steps equals the uninterrupted run bit for bit.

    Shapes: losses (steps,), changes as the trained tensors, against a float64 run with the same momentum.
    """
    config, weights = _model(case, model_type)
    data = ragged_batches(case, config, steps, 4, 8)
    options = {"lr": lr, "momentum": momentum}
    with TemporaryDirectory() as folder:
        whole = subject.train_endpoint(config, weights, data, folder=folder, save_every=stop, **options)
        rest = subject.train_endpoint(config, weights, data, resume=str(Path(folder) / f"step-{stop}"), **options)
    want = case.once(train_endpoint, config, weights, data, **options)
    losses = np.asarray(whole["losses"], np.float64)
    moves: dict[str, Any] = {
        f"{n} moved": (tensor_of(rest["weights"], n).astype(np.float64) - weights[n], want["weights"][n] - weights[n])
        for n in TRAINED
    }
    again = np.asarray(rest["losses"], np.float64)
    apart = _apart(rest["weights"], whole["weights"], list(TRAINED))
    apart["losses"] = _differ(again.view(np.uint8), losses[stop:].view(np.uint8))
    return Observation(
        losses=(losses, np.asarray(want["losses"])),
        resumed_differently=sum(apart.values()),
        series={"loss": losses, "resumed loss": again},
        where={"resumed_differently": some_of([name for name, count in apart.items() if count])},
        **moves,
    )


def quantized_checkpoint(subject: Any, case: Case, *, model_type: str, steps: int, lr: float, kind: str) -> Observation:
    """Train, save, pack from the file: packed bytes and logits equal those of the trained weights.

    Shapes: logits (4, 8, V).
    """
    config, weights = _model(case, model_type)
    data = ragged_batches(case, config, steps, 4, 8)
    with TemporaryDirectory() as folder:
        run = subject.train_endpoint(config, weights, data, lr=lr, folder=folder, save_every=steps)
        loaded, packed = subject.load_quantized_checkpoint(str(Path(folder) / f"step-{steps}"), kind)
    trained = {name: tensor_of(run["weights"], name) for name in weights}
    matrices = [name for name in weights if weights[name].ndim == 2]
    want = {name: _bytes_allowed(bytes_of(packed, [name]), trained[name], kind) for name in matrices}
    apart = _apart(packed, want, matrices)
    untrained = {name: quantize(weights[name], kind) for name in matrices}
    fresh = _apart(packed, untrained, matrices)
    logits = subject.load_quantized(loaded, packed, kind).logits(data[0][0])
    numbers = {**trained, **{name: dequantize(data, kind) for name, data in want.items()}}
    return Observation(
        logits=(logits, decoder_logits(config, numbers, data[0][0])),
        packed_differently=sum(apart.values()),
        fresh_distance=sum(fresh.values()) / sum(data.nbytes for data in untrained.values()),
        where={"packed_differently": some_of([name for name, count in apart.items() if count])},
    )


def _model(case: Case, model_type: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A small decoder whose row lengths are multiples of 32."""
    config = small_config(model_type=model_type, tied=False, hidden=32, intermediate=64, heads=4, head_dim=16)
    return config, case_weights(case, config)


def _apart(got: Any, want: Any, names: list[str]) -> dict[str, int]:
    """Per tensor, the number of bytes that differ."""
    return {name: _differ(bytes_of(got, [name]), bytes_of(want, [name])) for name in names}


def _bytes_allowed(got: np.ndarray, numbers: np.ndarray, kind: str) -> np.ndarray:
    """The bytes of the packed matrix, with the subject's own where the format leaves them open."""
    want = quantize(numbers, kind)
    if got.size != want.size:
        return want
    return np.where(open_bytes(numbers, kind), got.reshape(want.shape), want)


def _differ(got: np.ndarray, want: np.ndarray) -> int:
    """Number of bytes that differ; all of them if the lengths differ."""
    return int((got != want).sum()) if got.shape == want.shape else max(got.size, want.size)
