"""A saved failure: the smallest violating case with its arrays, and running it again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.contract.cases import CaseSpec
from harness.errors import UserError
from harness.judging.findings import findings
from harness.judging.limits import Finding
from harness.measurements.table import MEASUREMENTS
from harness.subject.boundary import Unsupported
from harness.trial.experiment import Experiment, faults, observe, rows, scalars

NAME = "counterexample"
POOLED = tuple(name for name, entry in MEASUREMENTS.items() if not entry.alone)
"""Measurements that mean something over many cases only; shrinking follows the others."""


@dataclass(frozen=True)
class Attempt:
    """One case run on its own: what it violates and the arrays it saw and gave."""

    spec: CaseSpec
    broken: list[Finding]
    arrays: dict[str, np.ndarray]
    pairs: dict[str, tuple[np.ndarray, np.ndarray]]


def attempt(
    experiment: Experiment,
    claim: Mapping[str, Any],
    record: Mapping[str, Any],
    spec: CaseSpec,
    stored: dict[str, np.ndarray] | None = None,
) -> Attempt:
    """Run candidate and baseline on one case and judge it alone, beside the recorded baseline's pool."""
    case = experiment.make(spec, stored)
    if experiment.special:
        given, _ = observe(experiment, experiment.baseline, case, "baseline")
        experiment.outputs.update({(spec.index, pair): got for pair, (got, _) in given.pairs.items()})
    seen, trace = observe(experiment, experiment.candidate, case, "candidate")
    subject = {
        "rows": rows(experiment, case, seen),
        "scalars": scalars(spec.index, seen),
        "faults": faults(case, trace),
    }
    subjects: dict[str, Any] = {}
    known = [c for c in record["cases"] if c["index"] != spec.index]
    if experiment.baseline is not None:
        expected, _ = observe(experiment, experiment.baseline, case, "baseline")
        old = [r for r in record["subjects"]["baseline"]["rows"] if r["case"] != spec.index]
        subjects["baseline"] = {"rows": old + rows(experiment, case, expected)}
    alone = {**record, "cases": [*known, spec.as_json()], "subjects": subjects}
    found = [f for f in findings(claim, _only(alone, spec.index), subject) if not f.holds and f.measure not in POOLED]
    return Attempt(spec, found, dict(case.arrays), dict(seen.pairs))


def _only(record: Mapping[str, Any], index: int) -> Mapping[str, Any]:
    """The record with one case to judge; the other cases stay where the baseline is pooled."""
    return {**record, "judged": [index]}


def violates(experiment: Experiment, claim: Mapping[str, Any], record: Mapping[str, Any], spec: CaseSpec) -> bool:
    """Whether the case violates a limit on its own; a case that cannot run does not."""
    try:
        return bool(attempt(experiment, claim, record, spec).broken)
    except Unsupported:
        return False
    except Exception:  # noqa: BLE001  (a crash on another case is not this violation)
        return False


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
