"""The tensors of a checkpoint folder or of one file, after the headers have been held to what the format asks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from harness import checkpoint
from harness.errors import UserError
from harness.formats import safetensors_header
from harness.formats.errors import Malformed

FLOATS = ("F32", "F16", "BF16", "F64")


def read_weights(folder: str | Path) -> dict[str, np.ndarray]:
    """{name: tensor} of a Hugging Face checkpoint: what its index lists, or model.safetensors, and no file beside.

    Units:  float64 as stored, all others as float32.
    Raises: Malformed naming the file and the tensor: not whole, not as the index says, or no floating-point numbers.
    """
    folder = Path(folder)
    try:
        for shard in checkpoint.shards(folder):
            _check(folder / shard)
        return _wide(checkpoint.read_weights(folder))
    except UserError as problem:
        raise Malformed(str(problem)) from None


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """{name: tensor} of one file.

    Units:  float64 as stored, all others as float32.
    Raises: Malformed naming the file and the tensor: not whole, or no floating-point numbers.
    """
    _check(path)
    try:
        return _wide(checkpoint.read_tensors(path))
    except UserError as problem:
        raise Malformed(str(problem)) from None


def _check(path: Path) -> None:
    for tensor in safetensors_header.read(path).tensors:
        if tensor.type not in FLOATS:
            raise Malformed(f"{path}: tensor {tensor.name!r} has type {tensor.type}, expected {', '.join(FLOATS)}")


def _wide(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: tensor.astype(np.promote_types(tensor.dtype, np.float32)) for name, tensor in tensors.items()}
