"""Read a Hugging Face checkpoint folder: config.json and safetensors, single file or sharded."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import UserError

INDEX = "model.safetensors.index.json"
TYPES = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")
"""Element types that NumPy can hold, by their names in a safetensors header; bfloat16 by widening."""


def read_config(folder: str | Path) -> dict[str, Any]:
    """The folder's config.json.

    Raises: UserError if the folder or the file is missing or is not a JSON object.
    """
    path = Path(folder) / "config.json"
    config = _read_json(path)
    if not isinstance(config, dict):
        raise UserError(f"{path}: found {type(config).__name__}, expected a JSON object with the model's keys")
    return config


def read_weights(folder: str | Path) -> dict[str, np.ndarray]:
    """Every tensor by its Hugging Face name, in file order.

    Units:  float32, float16 and float64 as stored; bfloat16 as float32 that holds bfloat16 values.
    Raises: UserError naming the file and the tensor if a shard is missing or cut short,
            or if its tensors differ from those that the index lists.
    """
    folder = Path(folder)
    weights: dict[str, np.ndarray] = {}
    for shard, expected in shards(folder).items():
        tensors = read_tensors(folder / shard)
        if expected is not None and set(tensors) != expected:
            missing, extra = sorted(expected - set(tensors)), sorted(set(tensors) - expected)
            raise UserError(
                f"{folder / shard}: tensors differ from {INDEX} (missing {missing[:3]}, not listed {extra[:3]}); "
                "download or export the checkpoint again"
            )
        weights.update(tensors)
    return weights


def digest(folder: str | Path) -> str:
    """SHA-256 over config.json, the index and every safetensors file of the folder, by name and bytes."""
    total, index = hashlib.sha256(), Path(folder) / INDEX
    files = [*Path(folder).glob("*.safetensors"), Path(folder) / "config.json", *([index] if index.is_file() else [])]
    for path in sorted(files):
        total.update(path.name.encode() + b"\0")
        with path.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()


def shards(folder: Path) -> dict[str, set[str] | None]:
    """File name -> the tensors that it must hold (None: no requirement). Other files do not belong to the checkpoint.

    Raises: UserError if the folder has no weights, or an index that does not say where they are.
    """
    if not (folder / INDEX).is_file():
        if not (folder / "model.safetensors").is_file():
            raise UserError(
                f"{folder}: found neither model.safetensors nor {INDEX}; expected a Hugging Face checkpoint folder"
            )
        return {"model.safetensors": None}
    index = _read_json(folder / INDEX)
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{folder / INDEX}: found no weight_map, expected tensor names mapped to files")
    found: dict[str, set[str] | None] = {}
    for tensor, name in weight_map.items():
        if not isinstance(name, str) or not name or Path(name).name != name:
            raise UserError(f"{folder / INDEX}: tensor {tensor} points to {name!r}, expected a file in the folder")
        held = found.setdefault(name, set())
        assert held is not None
        held.add(tensor)
    return dict(sorted(found.items()))


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Every tensor of one safetensors file, in file order.

    Units:  as stored; bfloat16 as float32 holding bfloat16 values.
    Raises: UserError naming the file if it is missing or incomplete, and the tensor whose type NumPy does not have.
    """
    import ml_dtypes  # noqa: F401  (registers the NumPy bfloat16 type that safetensors needs)
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"{path}: file not found, although the checkpoint's index lists it")
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: _tensor(file, path, name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as problem:
        raise UserError(f"{path}: not a complete safetensors file ({problem}); copy or download it again") from None


def _tensor(file: Any, path: Path, name: str) -> np.ndarray:
    kind = file.get_slice(name).get_dtype()
    if kind not in TYPES:
        raise UserError(f"{path}: tensor {name} has type {kind}, expected one of {', '.join(TYPES)}")
    array: np.ndarray = file.get_tensor(name)
    return array.astype(np.float32) if kind == "BF16" else array


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: file not found; expected a Hugging Face checkpoint folder") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as problem:
        raise UserError(f"{path}: not JSON ({problem})") from None
