"""Read all tensors of a checkpoint folder, after validating the files' headers."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np

from harness.formats import safetensors_header
from harness.formats.errors import Malformed

TYPES = {
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F64": np.dtype(np.float64),
}


def read_weights(folder: str | Path) -> dict[str, np.ndarray]:
    """{name: tensor} of every *.safetensors file of a folder, as float32.

    Raises: Malformed naming the file and the tensor that is damaged, is in two files, or has an unsupported type.
    """
    weights: dict[str, np.ndarray] = {}
    shards = sorted(Path(folder).glob("*.safetensors"))
    if not shards:
        raise Malformed(f"{folder}: found no *.safetensors, expected a Hugging Face checkpoint folder")
    for path in shards:
        for name, tensor in read_tensors(path, safetensors_header.read(path)).items():
            if name in weights:
                raise Malformed(f"{path}: tensor {name!r} is also in another file of the folder")
            weights[name] = tensor
    return weights


def read_tensors(path: Path, header: safetensors_header.SafetensorsHeader) -> dict[str, np.ndarray]:
    """{name: tensor} of one file, as float32, given its header. Raises: Malformed naming an unsupported type."""
    tensors: dict[str, np.ndarray] = {}
    data = np.memmap(path, np.uint8, mode="r", offset=header.data_offset) if header.tensors else np.zeros(0, np.uint8)
    for tensor in header.tensors:
        if tensor.type not in TYPES:
            raise Malformed(f"{path}: tensor {tensor.name!r} has type {tensor.type}, expected {', '.join(TYPES)}")
        raw = np.array(data[tensor.begin : tensor.end])
        tensors[tensor.name] = raw.view(TYPES[tensor.type]).astype(np.float32).reshape(tensor.shape)
    return tensors
