"""Falsifier of checkpoint audits: a complete folder, and folders with one fault each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness.case import Case
from harness.observation import Observation

MEASURES = {
    "false_alarms": "number of problems reported for a complete folder",
    "missed": "number of faulty folders without a reported problem",
    "unnamed": "number of faulty folders whose report lacks the key or file, or the wrong value",
}
KEYS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size")
OTHERS = ("vocab_size", "max_position_embeddings", "rope_theta", "rms_norm_eps")


def audited(subject: Any, case: Case, *, weights: str) -> Observation:
    """Audit the trained model's folder and faulty copies: each of nine keys missing or mistyped, six contradicting the
    tensors; the tokenizer, licence or provenance missing; the weights cut short.
    """
    missed = unnamed = 0
    with TemporaryDirectory() as place:
        right = Path(place) / "right"
        shutil.copytree(str(weights), right)
        alarms = len(subject.audit_checkpoint(str(right)))
        for i, (spoil, words) in enumerate(_spoilt(json.loads((right / "config.json").read_text(encoding="utf-8")))):
            wrong = Path(place) / str(i)
            shutil.copytree(right, wrong)
            spoil(wrong)
            report = " ".join(subject.audit_checkpoint(str(wrong)))
            missed += not report
            unnamed += not all(word in report for word in words)
    return Observation(false_alarms=alarms, missed=missed, unnamed=unnamed)


def _spoilt(config: dict[str, Any]) -> list[tuple[Callable[[Path], Any], list[str]]]:
    cases: list[tuple[Callable[[Path], Any], list[str]]] = []
    for key in (*KEYS, *OTHERS):
        cases.append((_edited(partial(_without, key=key)), [key, "None"]))
        cases.append((_edited(partial(_with, key=key, value="12")), [key, "'12'"]))
    for key in (*KEYS, "vocab_size"):
        other = config[key] * 2 if key != "num_hidden_layers" else config[key] + 1
        cases.append((_edited(partial(_with, key=key, value=other)), [key, str(other)]))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        cases.append((partial(_removed, name=name), [name]))
    cases.append((partial(_removed, name="LICENSE"), ["licence"]))
    cases.append((partial(_removed, name="recipe.json"), ["provenance"]))
    cases.append((_cut, ["model.safetensors"]))
    return cases


def _edited(edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Path], Any]:
    def spoil(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(edit(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")

    return spoil


def _without(config: dict[str, Any], key: str) -> dict[str, Any]:
    rope = {k: v for k, v in (config.get("rope_parameters") or {}).items() if k != key}
    return {**{k: v for k, v in config.items() if k != key}, "rope_parameters": rope}


def _with(config: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    rope = config.get("rope_parameters") or {}
    return {**config, key: value, "rope_parameters": {**rope, **({key: value} if key in rope else {})}}


def _removed(folder: Path, name: str) -> None:
    (folder / name).unlink()


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
