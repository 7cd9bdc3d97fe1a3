"""Edit the keys and tensors of a GGUF file with the gguf package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np

Keys = dict[str, Any]
Tensors = dict[str, tuple[str, np.ndarray]]
"""{name: (type, rows of numbers, or rows of bytes for a block type)}."""


def rewrite(path: str, edit: Callable[[Keys, Tensors], None]) -> None:
    """Read a file, let `edit` change its keys and tensors in place, and write the file again."""
    reader = gguf.GGUFReader(path)
    fields = {name: field for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    keys: Keys = {name: field.contents() for name, field in fields.items()}
    tensors: Tensors = {t.name: (t.tensor_type.name, np.array(t.data)) for t in reader.tensors}
    edit(keys, tensors)
    arch = keys.pop("general.architecture")
    beside = Path(f"{path}.new")
    writer = gguf.GGUFWriter(beside, arch)
    for name, value in keys.items():
        if name in fields:
            kind, *inner = fields[name].types
            writer.add_key_value(name, value, kind, *inner[-1:])
        else:
            writer.add_float32(name, value)
    for name, (kind, data) in tensors.items():
        writer.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    beside.replace(path)


def quantized(x: np.ndarray, kind: str) -> np.ndarray:
    """Quantise x to rows of bytes."""
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(gguf.quants.quantize(np.ascontiguousarray(x, np.float32), gguf.GGMLQuantizationType[kind]))


def numbers(data: np.ndarray, kind: str) -> np.ndarray:
    """Dequantise to rows of float32."""
    return np.asarray(gguf.quants.dequantize(data, gguf.GGMLQuantizationType[kind]))
