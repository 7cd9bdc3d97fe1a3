"""LoRA adapters in PEFT's layout: adapter_config.json and adapter_model.safetensors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.formats import safetensors_header
from harness.formats.architecture import linear_layers
from harness.formats.errors import Malformed
from harness.formats.safetensors_weights import read_tensors

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
NOT_KNOWN = (
    "use_dora",
    "fan_in_fan_out",
    "use_qalora",
    "layers_to_transform",
    "exclude_modules",
    "alora_invocation_tokens",
)
"""Settings that change which layers are adapted, or how, and that leave no tensor of their own."""
Pair = tuple[np.ndarray, np.ndarray]


def save(
    folder: str | Path,
    config: Mapping[str, Any],
    lora: Mapping[str, Pair],
    *,
    r: int,
    lora_alpha: float,
    use_rslora: bool = False,
    base: str | None = None,
) -> None:
    """Write an adapter folder that PEFT loads; nothing is written unless all of it fits the model.

    Shapes: lora maps a layer's full name (`model.layers.0.linear_attn.in_proj_a`) to A (r, in), B (out, r).
    Units:  target_modules are the last parts of the names that are there, and no others.
    Raises: Malformed naming the layer, what was found and what was expected.
    Source: peft's LoraConfig and save_pretrained, version 0.21.
    """
    layers = linear_layers(config)
    where = str(Path(folder) / TENSORS)
    if not lora:
        raise Malformed(f"{where}: found no adapter, expected at least one")
    if not math.isfinite(lora_alpha):
        raise Malformed(f"{where}: found lora_alpha {lora_alpha!r}, expected a finite number")
    tensors = {}
    for name, (A, B) in lora.items():
        _fits(where, layers, name, A.shape, B.shape, r)
        tensors[f"{PREFIX}{name}.lora_A.weight"] = np.ascontiguousarray(A, np.float32)
        tensors[f"{PREFIX}{name}.lora_B.weight"] = np.ascontiguousarray(B, np.float32)
    about: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": lora_alpha,
        "lora_dropout": 0.0,
        "modules_to_save": None,
        "r": r,
        "rank_pattern": {},
        "alpha_pattern": {},
        "target_modules": _targets(layers, lora),
        "use_rslora": use_rslora,
    }
    from safetensors.numpy import save_file

    Path(folder).mkdir(parents=True, exist_ok=True)
    save_file(tensors, where, metadata={"format": "pt"})
    (Path(folder) / CONFIG).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def load(folder: str | Path, config: Mapping[str, Any]) -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
    """{layer's full name: (A (r, in), B (out, r), scale)}, all of it held to the model's config first.

    Units:  scale is lora_alpha / r, with use_rslora lora_alpha / sqrt(r), r and lora_alpha by layer where patterns say.
    Raises: Malformed with one line: a file that is not whole, a module that is missing, extra or mis-shaped.
    """
    layers = linear_layers(config)
    path = Path(folder) / TENSORS
    about = _settings(Path(folder) / CONFIG)
    header = safetensors_header.read(path)
    shapes = {tensor.name: tensor.shape for tensor in header.tensors}
    names = _names(str(path), shapes)
    _declared(str(path), layers, about["target_modules"], names)
    ranks = {name: _pattern(about, "rank_pattern", name, about["r"]) for name in names}
    for name, r in ranks.items():
        A, B = (shapes[f"{PREFIX}{name}.lora_{part}.weight"] for part in "AB")
        _fits(str(path), layers, name, A, B, r)
    tensors = read_tensors(path)
    for key, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise Malformed(f"{path}: tensor {key!r} holds NaN or infinity, expected finite numbers")
    found = {}
    for name, r in ranks.items():
        alpha = _pattern(about, "alpha_pattern", name, about["lora_alpha"])
        low, high = (tensors[f"{PREFIX}{name}.lora_{part}.weight"] for part in "AB")
        found[name] = (low, high, alpha / (math.sqrt(r) if about["use_rslora"] else r))
    return found


def _settings(path: Path) -> dict[str, Any]:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise Malformed(f"{path}: not a readable JSON file ({getattr(problem, 'strerror', None) or problem})") from None
    if not isinstance(about, dict) or about.get("peft_type") != "LORA":
        raise Malformed(f"{path}: expected a JSON object with peft_type 'LORA'")
    r, alpha = about.get("r"), about.get("lora_alpha")
    if isinstance(r, bool) or not isinstance(r, int) or r < 1:
        raise Malformed(f"{path}: found r {r!r}, expected a positive whole number")
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not math.isfinite(alpha):
        raise Malformed(f"{path}: found lora_alpha {alpha!r}, expected a finite number")
    for key in NOT_KNOWN:
        if about.get(key):
            raise Malformed(f"{path}: found {key} {str(about[key])[:60]}, expected none: this reader does not know it")
    targets = about.get("target_modules")
    if not isinstance(targets, list) or not all(isinstance(name, str) for name in targets) or not targets:
        raise Malformed(f"{path}: found target_modules {str(targets)[:60]}, expected a list of module names")
    patterns = {key: _patterns(path, about, key) for key in ("rank_pattern", "alpha_pattern")}
    return {**about, **patterns, "use_rslora": bool(about.get("use_rslora", False))}


def _patterns(path: Path, about: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A rank or an alpha by module; PEFT writes regular expressions too, which are refused rather than missed."""
    found = about.get(key) or {}
    if not isinstance(found, dict):
        raise Malformed(f"{path}: found {key} {str(found)[:60]}, expected an object of module names")
    for name, value in found.items():
        whole = isinstance(value, int) and value > 0 if key == "rank_pattern" else isinstance(value, (int, float))
        if isinstance(value, bool) or not whole or not math.isfinite(value):
            raise Malformed(f"{path}: found {key} of {name!r} {value!r}, expected a positive rank or a finite alpha")
        if not name.replace(".", "").replace("_", "").isalnum():
            raise Malformed(f"{path}: found {key} of {name!r}, expected the name of a module")
    return found


def _names(where: str, shapes: Mapping[str, Any]) -> list[str]:
    """Layers of the file, each with both of its matrices. Raises: Malformed naming a tensor that is none."""
    names = []
    for key in shapes:
        name, _, part = key.removeprefix(PREFIX).rpartition(".lora_")
        if not key.startswith(PREFIX) or part not in ("A.weight", "B.weight"):
            raise Malformed(
                f"{where}: tensor {key!r} is no adapter matrix, expected {PREFIX}<layer>.lora_A.weight or lora_B"
            )
        other = f"{PREFIX}{name}.lora_{'B' if part[0] == 'A' else 'A'}.weight"
        if other not in shapes:
            raise Malformed(f"{where}: tensor {other!r} is missing, {key!r} is there")
        if name not in names:
            names.append(name)
    return names


def _declared(where: str, layers: Mapping[str, Any], targets: list[str], names: list[str]) -> None:
    """target_modules and the file name the same layers."""
    unknown = [t for t in targets if not any(_is(layer, t) for layer in layers)]
    if unknown:
        raise Malformed(f"{where}: target_modules name {unknown[0]!r}, which is no linear layer of this model")
    for name in names:
        if name not in layers:
            raise Malformed(f"{where}: layer {name!r} is not one of this model's linear layers")
        if not any(_is(name, t) for t in targets):
            raise Malformed(f"{where}: layer {name!r} is there and target_modules {sorted(targets)} do not name it")
    for layer in layers:
        if any(_is(layer, t) for t in targets) and layer not in names:
            raise Malformed(f"{where}: layer {layer!r} is missing, target_modules name it")


def _fits(
    where: str, layers: Mapping[str, tuple[int, ...]], name: str, A: tuple[int, ...], B: tuple[int, ...], r: int
) -> None:
    if name not in layers:
        raise Malformed(f"{where}: layer {name!r} is not one of this model's linear layers")
    rows, columns = layers[name]
    for part, found, expected in (("lora_A", A, (r, columns)), ("lora_B", B, (rows, r))):
        if tuple(found) != expected:
            raise Malformed(f"{where}: {name}.{part} has shape {tuple(found)}, expected {expected}")


def _targets(layers: Mapping[str, Any], lora: Mapping[str, Any]) -> list[str]:
    """Last parts of the names, or full names where a last part would name layers that have no adapter."""
    short = sorted({name.rsplit(".", 1)[-1] for name in lora})
    named = {layer for layer in layers if any(_is(layer, t) for t in short)}
    return short if named == set(lora) else sorted(lora)


def _is(layer: str, target: str) -> bool:
    return layer == target or layer.endswith(f".{target}")


def _pattern(about: Mapping[str, Any], key: str, name: str, default: Any) -> Any:
    found = [value for pattern, value in (about[key] or {}).items() if _is(name, pattern)]
    return found[0] if found else default
