"""Write Hugging Face folders for a claim, and read GGUF files with the gguf package's reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import save_file


def write_folder(folder: str | Path, config: dict[str, Any], weights: dict[str, np.ndarray]) -> None:
    """Write config.json and model.safetensors, without a tokenizer."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors = {name: np.ascontiguousarray(w, np.float32) for name, w in weights.items()}
    save_file(tensors, Path(folder) / "model.safetensors", metadata={"format": "pt"})


def read_gguf(path: str | Path) -> tuple[dict[str, Any], dict[str, tuple[str, tuple[int, ...]]]]:
    """({key: value}, {tensor: (type, shape)}); shapes in NumPy's order."""
    reader = gguf.GGUFReader(path)
    keys = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    tensors = {t.name: (t.tensor_type.name, tuple(int(n) for n in t.shape[::-1])) for t in reader.tensors}
    return keys, tensors


def read_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """{tensor: its rows of bytes} of a file."""
    return {t.name: np.array(t.data) for t in gguf.GGUFReader(path).tensors}
