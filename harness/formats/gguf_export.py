"""A Hugging Face folder to a GGUF file, by its plan."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.formats.architecture import tensor_shapes
from harness.formats.errors import Malformed
from harness.formats.gguf_plan import Plan, plan
from harness.formats.gguf_tokenizer import tokenizer_keys
from harness.formats.gguf_transforms import apply
from harness.formats.json_object import read_object
from harness.formats.safetensors_weights import read_weights


def export(folder: str | Path, path: str | Path, *, type: str = "F32", tokenizer: bool = True) -> Plan:
    """Write the model of a folder to `path`, matrices in `type`; returns the plan it followed.

    The file appears whole or not at all. Without `tokenizer` it holds none, and gives logits alone.
    Raises: Malformed with one line naming the key, the tensor or the file that does not fit.
    """
    folder, path = Path(folder), Path(path)
    config = read_config(folder)
    made = plan(config, type=type.upper())
    weights = read_weights(folder)
    check(config, weights, str(folder))
    keys = made.keys | about(folder)
    keys |= tokenizer_keys(folder, config["vocab_size"]) if tokenizer else {"tokenizer.ggml.model": "no_vocab"}
    beside = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        _write(beside, made, keys, weights, config)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return made


def about(folder: Path) -> dict[str, str]:
    """Name, licence and provenance of a folder, where its recipe.json or LICENSE says them."""
    found = {"general.name": folder.name}
    if (folder / "LICENSE").is_file():
        lines = (folder / "LICENSE").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        found["general.license"] = lines[0][:200] if lines else ""
    if (folder / "recipe.json").is_file():
        recipe = read_object(folder / "recipe.json")
        found["general.description"] = json.dumps(recipe, sort_keys=True)[:4000]
    return found


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a folder, a text model's own part of it where it has several. Raises: Malformed."""
    return read_object(folder / "config.json")


def check(config: Mapping[str, Any], weights: Mapping[str, np.ndarray], where: str) -> None:
    """The weights are the config's, each in its shape. Raises: Malformed naming the first tensor that is not."""
    shapes = tensor_shapes(config)
    for name in [*shapes, *weights]:
        found = weights[name].shape if name in weights else None
        if found != shapes.get(name):
            missing = "is missing" if found is None else f"has shape {found}"
            expected = f"expected {shapes[name]}" if name in shapes else "which this config does not have"
            raise Malformed(f"{where}: tensor {name!r} {missing}, {expected}")


def _write(path: Path, made: Plan, keys: Mapping[str, Any], weights: Mapping[str, np.ndarray], config: Any) -> None:
    import gguf

    writer = gguf.GGUFWriter(path, made.architecture)
    for name, value in keys.items():
        if name != "general.architecture":  # the writer has written it
            _key(writer, name, value)
    for entry in made.entries:
        tensor = apply(entry.steps, weights[entry.source], config)
        kind = gguf.GGMLQuantizationType[entry.type]
        # Rounded once: a float64 that passes through float32 on its way to float16 may end one step off.
        data = np.ascontiguousarray(tensor, np.float16 if entry.type == "F16" else np.float32)
        if entry.type not in ("F32", "F16"):
            with np.errstate(divide="ignore", over="ignore"):
                data = gguf.quants.quantize(data, kind)
        writer.add_tensor(entry.target, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _key(writer: Any, name: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(name, value)
    elif isinstance(value, int):
        writer.add_uint32(name, value)
    elif isinstance(value, float):
        writer.add_float32(name, value)
    elif isinstance(value, list):
        writer.add_array(name, value)
    else:
        writer.add_string(name, value)
