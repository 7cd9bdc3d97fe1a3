"""A saved failure: the smallest violating case, its input arrays and what came of them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.contract.cases import CaseSpec
from harness.errors import UserError
from harness.judging.limits import Finding

NAME = "counterexample"


@dataclass(frozen=True)
class Attempt:
    """One case run on its own: what it violates and the arrays it saw and gave."""

    spec: CaseSpec
    broken: list[Finding]
    arrays: dict[str, np.ndarray]
    pairs: dict[str, tuple[np.ndarray, np.ndarray]]


def save(folder: Path, found: Attempt, about: dict[str, Any]) -> dict[str, Any]:
    """Write counterexample.json and .safetensors; returns the JSON."""
    from safetensors.numpy import save_file

    tensors = {f"in.{name}": array for name, array in found.arrays.items()}
    for pair, (got, want) in found.pairs.items():
        tensors |= {f"got.{pair}": got, f"want.{pair}": want}
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, folder / f"{NAME}.safetensors")
    text = {
        **about,
        "case": found.spec.as_json(),
        "arrays": {name: {"shape": list(a.shape), "dtype": str(a.dtype)} for name, a in found.arrays.items()},
        "outputs_sha256": {pair: digest(got) for pair, (got, _) in found.pairs.items()},
    }
    (folder / f"{NAME}.json").write_text(json.dumps(text, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return text


def load(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A saved counterexample and its input arrays.

    Raises: UserError if either file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if path.is_dir():
        path = path / f"{NAME}.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        tensors = load_file(path.with_suffix(".safetensors"))
    except FileNotFoundError as missing:
        raise UserError(f"{missing.filename}: not found; give the counterexample.json of a FALSIFIED claim") from None
    except (ValueError, SafetensorError) as damaged:
        raise UserError(f"{path}: damaged counterexample ({damaged})") from None
    return about, {name.removeprefix("in."): a for name, a in tensors.items() if name.startswith("in.")}


def digest(array: np.ndarray) -> str:
    """SHA-256 of an array's type, shape and bytes."""
    head = f"{array.dtype}{array.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()
