"""Keep and load a failure: the smallest violating case, its input arrays, outputs and expected outputs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np

from harness.contract.cases import CaseSpec
from harness.errors import UserError
from harness.judging.limits import Finding
from harness.judging.record import CaseEntry
from harness.judging.result import Violation

NAME = "counterexample"


@dataclass(frozen=True)
class Attempt:
    """One case run alone: the limits it violates, its input arrays and its pairs (got, want)."""

    spec: CaseSpec
    broken: list[Finding]
    arrays: dict[str, np.ndarray]
    pairs: dict[str, tuple[np.ndarray, np.ndarray]]


class Stored(TypedDict):
    """Shape and dtype of one array in the .safetensors."""

    shape: list[int]
    dtype: str


class About(TypedDict):
    """The inputs of the run that found a counterexample, and the limits that it violates."""

    claim: str
    contract: str
    contract_path: str
    candidate: str
    candidate_folder: str
    weights: str | None
    weights_sha256: str | None
    device: str
    seed: int
    reproducible: bool
    shrunk_from: CaseEntry
    violated: list[Violation]


class Counterexample(About):
    """The content of counterexample.json."""

    case: CaseEntry
    arrays: dict[str, Stored]
    outputs_sha256: dict[str, str]


def case_entry(spec: CaseSpec) -> CaseEntry:
    """A case as JSON data."""
    return {"index": spec.index, "seed": spec.seed, "dtype": spec.dtype, "params": spec.params}


def tensors(found: Attempt) -> dict[str, np.ndarray]:
    """The arrays of a failure under their names in the .safetensors."""
    held = {f"in.{name}": array for name, array in found.arrays.items()}
    for pair, (got, want) in found.pairs.items():
        held |= {f"got.{pair}": got, f"want.{pair}": want}
    return {name: np.ascontiguousarray(array) for name, array in held.items()}


def files(found: Attempt, about: About) -> tuple[Counterexample, dict[str, bytes]]:
    """The content of counterexample.json, and both files by their names."""
    from safetensors.numpy import save

    text: Counterexample = {
        **about,
        "case": case_entry(found.spec),
        "arrays": {name: {"shape": list(a.shape), "dtype": str(a.dtype)} for name, a in found.arrays.items()},
        "outputs_sha256": {pair: digest(got) for pair, (got, _) in found.pairs.items()},
    }
    written = (json.dumps(text, indent=1, allow_nan=False) + "\n").encode("utf-8")
    return text, {f"{NAME}.safetensors": save(tensors(found)), f"{NAME}.json": written}


def load(path: Path) -> tuple[Counterexample, dict[str, np.ndarray]]:
    """Load a saved counterexample and its input arrays.

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
    """SHA-256 of an array's dtype, shape and bytes."""
    head = f"{array.dtype}{array.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()
