"""Falsifiers of adapter files: PEFT reads the subject's, the subject reads PEFT's, and refuses wrong ones by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.baselines.peft import files
from harness.falsifiers.inputs.hybrid_model import adapter_layers, adapter_pairs, hybrid_config, layer_shape
from harness.falsifiers.inputs.synthetic_model import small_config
from harness.observation import Observation
from harness.reference.adapters.lora import lora_scale

MEASURES = {
    "refused_by_peft": "1 if PEFT raises an error for the folder or ignores one of its tensors, else 0",
    "layers_missing": "number of layers whose adapter is missing after reading",
    "layers_extra": "number of layers that have an adapter only after reading",
    "bytes_differ": "bytes of A and B that differ after reading; all bytes of a mis-shaped matrix",
    "scale_differs": "number of layers with a wrong scale",
    "targets_differ": "number of module names that only target_modules or only the adapters have",
    "accepted": "wrong folders that load without an error",
    "unnamed": "wrong folders without a one-line error that names the fault",
    "right_refused": "1 if the correct folder raises an error, else 0",
}
PROBLEMS = (ValueError, RuntimeError, KeyError, TypeError, AttributeError, OSError)
LAYERS = 12
"""Of the model that has adapters on some layers: layers.10 comes before layers.2 in the order of names, and its name
begins as that of layers.1 does."""
CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"


def written(
    subject: Any, case: Case, *, model: str, which: str, r: int, lora_alpha: float, use_rslora: bool
) -> Observation:
    """The subject writes an adapter folder, and PEFT reads it into a model of the same config."""
    config = _config(model, which)
    pairs = adapter_pairs(case, config, adapter_layers(config, which), r)
    with TemporaryDirectory() as folder:
        subject.save_adapter(folder, config, pairs, r=r, lora_alpha=lora_alpha, use_rslora=use_rslora)
        targets = _targets(Path(folder) / CONFIG)
        try:
            found, refused = files.read(folder, config), 0
        except PROBLEMS:  # PEFT and transformers raise these for a folder that they cannot use
            found, refused = {}, 1
    wanted = {name.rsplit(".", 1)[-1] for name in pairs}
    return Observation(
        refused_by_peft=refused,
        targets_differ=len({t.rsplit(".", 1)[-1] for t in targets} ^ wanted),
        **_arrived(found, pairs, lora_scale(r, lora_alpha, use_rslora)),
    )


def read(
    subject: Any, case: Case, *, model: str, which: str, r: int, lora_alpha: float, use_rslora: bool
) -> Observation:
    """PEFT writes an adapter folder, and the subject reads it."""
    config = _config(model, which)
    pairs = adapter_pairs(case, config, adapter_layers(config, which), r)
    with TemporaryDirectory() as folder:
        files.write(folder, config, pairs, r=r, lora_alpha=lora_alpha, use_rslora=use_rslora)
        found = subject.load_adapter(folder, config)
    return Observation(**_arrived(found, pairs, lora_scale(r, lora_alpha, use_rslora)))


def refusals(subject: Any, case: Case, *, model: str, r: int) -> Observation:
    """The subject refuses folders with one fault each, in one line that names the fault, and loads the correct one."""
    config = _config(model)
    names = adapter_layers(config, "mixed")
    pairs = adapter_pairs(case, config, names, r)
    accepted = unnamed = 0
    with TemporaryDirectory() as folder:
        right = Path(folder) / "right"
        files.write(str(right), config, pairs, r=r, lora_alpha=8.0, use_rslora=False)
        right_refused = int(_refusal(subject, right, config) is not None)
        for i, (spoil, words) in enumerate(_wrongs(config, names, r)):
            wrong = Path(folder) / str(i)
            files.write(str(wrong), config, pairs, r=r, lora_alpha=8.0, use_rslora=False)
            spoil(wrong)
            error = _refusal(subject, wrong, config)
            accepted += error is None
            unnamed += error is None or "\n" in error or not all(word in error for word in words)
    return Observation(accepted=accepted, unnamed=unnamed, right_refused=right_refused)


def _wrongs(config: dict[str, Any], names: list[str], r: int) -> list[tuple[Callable[[Path], None], list[str]]]:
    """(edit of a correct folder, words that the error must contain: module, found and expected shapes)."""
    gate = next(name for name in names if name.endswith("in_proj_a"))
    key, (rows, columns) = f"base_model.model.{gate}.lora_A.weight", layer_shape(config, gate)
    high = key.replace("lora_A", "lora_B")
    extra = gate.replace("in_proj_a", "in_proj_c")

    def tensors(edit: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> Callable[[Path], None]:
        return lambda folder: files.rewrite(str(folder / TENSORS), edit)

    def settings(**changed: Any) -> Callable[[Path], None]:
        def edit(folder: Path) -> None:
            about = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            (folder / CONFIG).write_text(json.dumps({**about, **changed}), encoding="utf-8")

        return edit

    def cut(folder: Path) -> None:
        whole = (folder / TENSORS).read_bytes()
        (folder / TENSORS).write_bytes(whole[: len(whole) // 2])

    def text(folder: Path) -> None:
        (folder / TENSORS).write_bytes(b"PK\x03\x04 this is a zip of a pickle")

    return [
        (tensors(lambda t: {k: v for k, v in t.items() if gate not in k}), [gate, "missing"]),
        (tensors(lambda t: {k: v for k, v in t.items() if k != high}), [high, "missing"]),
        (tensors(lambda t: {**t, key: np.ascontiguousarray(t[key].T)}), [gate, str((columns, r)), str((r, columns))]),
        (tensors(lambda t: {**t, high: t[high][: rows - 1]}), [gate, str((rows - 1, r)), str((rows, r))]),
        (tensors(lambda t: {**t, **{k.replace(gate, extra): t[k] for k in (key, high)}}), [extra]),
        (settings(r=r + 1), [str((r, config["hidden_size"])), str((r + 1, config["hidden_size"]))]),
        (settings(target_modules=["q_proj", "v_proj"]), ["target_modules"]),
        (settings(target_modules=["in_proj_qkvz"]), ["in_proj_qkvz"]),
        (settings(lora_alpha=None), ["lora_alpha", "None"]),
        (cut, [TENSORS]),
        (text, [TENSORS]),
        (lambda folder: (folder / CONFIG).write_text("{", encoding="utf-8") and None, [CONFIG]),
    ]


def _refusal(subject: Any, folder: Path, config: dict[str, Any]) -> str | None:
    try:
        subject.load_adapter(str(folder), config)
    except Exception as refusal:
        if getattr(refusal, "unsupported", False):
            raise
        return str(refusal) or type(refusal).__name__
    return None


def _arrived(found: Any, pairs: dict[str, Any], scale: float) -> dict[str, Any]:
    both = [name for name in pairs if name in found]
    differ = sum(_bytes(found[name][i], pairs[name][i]) for name in both for i in range(2))
    return {
        "layers_missing": len(pairs) - len(both),
        "layers_extra": len(set(found) - set(pairs)),
        "bytes_differ": differ,
        "scale_differs": sum(not abs(found[name][2] / scale - 1) < 1e-12 for name in both),
    }


def _bytes(got: Any, want: np.ndarray) -> int:
    got = np.ascontiguousarray(got)
    if got.shape != want.shape or got.dtype != want.dtype:
        return want.nbytes
    return int((got.reshape(-1).view(np.uint8) != np.ascontiguousarray(want).reshape(-1).view(np.uint8)).sum())


def _targets(path: Path) -> list[str]:
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["target_modules"])
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _config(model: str, which: str = "mixed") -> dict[str, Any]:
    layers = LAYERS if which == "some" else 2
    if model == "qwen3_5_text":
        return hybrid_config(layer_types="la" * (layers // 2))
    return small_config(model_type=model, layers=layers)
