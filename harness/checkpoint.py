"""Read a Hugging Face checkpoint folder: config.json and safetensors, single file or sharded."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import UserError

INDEX = "model.safetensors.index.json"


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
    for shard, expected in _shards(folder).items():
        tensors = _read_file(folder / shard)
        if expected is not None and set(tensors) != expected:
            missing, extra = sorted(expected - set(tensors)), sorted(set(tensors) - expected)
            raise UserError(
                f"{folder / shard}: tensors differ from {INDEX} (missing {missing[:3]}, not listed {extra[:3]}); "
                "download or export the checkpoint again"
            )
        weights.update(tensors)
    return weights


def digest(folder: str | Path) -> str:
    """SHA-256 over config.json and every safetensors file of the folder, by name and bytes."""
    total = hashlib.sha256()
    for path in sorted([*Path(folder).glob("*.safetensors"), Path(folder) / "config.json"]):
        total.update(path.name.encode() + b"\0")
        with path.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()


def _shards(folder: Path) -> dict[str, set[str] | None]:
    """File name -> the tensors that it must hold (None: no requirement)."""
    if not (folder / INDEX).is_file():
        if not (folder / "model.safetensors").is_file():
            raise UserError(
                f"{folder}: found neither model.safetensors nor {INDEX}; expected a Hugging Face checkpoint folder"
            )
        return {"model.safetensors": None}
    weight_map = _read_json(folder / INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{folder / INDEX}: found no weight_map, expected tensor names mapped to files")
    shards: dict[str, set[str] | None] = {}
    for tensor, name in weight_map.items():
        if Path(name).name != name:
            raise UserError(f"{folder / INDEX}: tensor {tensor} points to {name!r}, expected a file in the folder")
        held = shards.setdefault(name, set())
        assert held is not None
        held.add(tensor)
    return dict(sorted(shards.items()))


def _read_file(path: Path) -> dict[str, np.ndarray]:
    import ml_dtypes  # noqa: F401  (registers the NumPy bfloat16 type that safetensors needs)
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"{path}: file not found, although the checkpoint's index lists it")
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: _plain(file.get_tensor(name), path, name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as problem:
        raise UserError(f"{path}: not a complete safetensors file ({problem}); copy or download it again") from None


def _plain(array: np.ndarray, path: Path, name: str) -> np.ndarray:
    if array.dtype.name == "bfloat16":
        return array.astype(np.float32)
    if array.dtype.kind not in "fiub":
        raise UserError(f"{path}: tensor {name} has type {array.dtype}, expected float32, float16 or bfloat16")
    return array


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: file not found; expected a Hugging Face checkpoint folder") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as problem:
        raise UserError(f"{path}: not JSON ({problem})") from None
