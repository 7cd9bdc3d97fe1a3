"""Find the newest sealed run in which a claim ran, and describe its result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.contract.claim import Claim
from harness.contract.names.reference import short
from harness.errors import UserError
from harness.evidence import manifest, shape, store
from harness.evidence.body import RunBody
from harness.judging.result import ClaimRow, Result
from harness.measurements.row import Number
from harness.words import explanation


def evidence_lines(claim: Claim, runs: Path) -> Iterator[tuple[int, str]]:
    """Verdict, measurements with their limits, and broken limits, as (indent, text) lines."""
    found = run_of(runs, claim.id)
    if found is None:
        yield 0, f"None in {runs}/."
        return
    run_, row = found
    result: Result = _read(run_ / "claims" / claim.id / "result.json")
    stale = "" if result["claim_digest"] == claim.digest else " Since then the claim has changed: STALE."
    yield 0, f"{row['verdict']} in {short(run_)}, on {result['device']}: {row['reason']}.{stale}"
    for name, by_dtype in result["measurements"].items():
        entry = claim.accept.get(name)
        limit = f"  (limit: {explanation.limit_text(entry)})" if entry else ""
        yield 2, f"{name}: " + ", ".join(f"{_number(v)} in {d}" for d, v in by_dtype.items()) + limit
    for broken in result["violated"]:
        yield 2, f"broken: {broken['limit']}, {broken['measure']} = {_number(broken['value'])} in {broken['dtype']}"
    killed = sum(m["killed"] for m in result["mutants"])
    yield 2, f"mutants killed: {killed} of {len(result['mutants'])}"
    if "counterexample" in result:
        yield 2, f"$ harness replay {short(run_)}/claims/{claim.id}/counterexample.json"


def run_of(runs: Path, claim: str) -> tuple[Path, ClaimRow] | None:
    """The newest sealed run in which a claim ran, and its row in run.json; None if there is none.

    Raises: UserError if the run is damaged.
    """
    inside = runs.is_dir() and not (runs / manifest.NAME).is_file()
    folders = [path for path in (runs.iterdir() if inside else [runs]) if (path / manifest.NAME).is_file()]
    for run_ in sorted(folders, key=store.began, reverse=True):
        if (run_ / "claims" / claim / "result.json").is_file():
            body: RunBody = _read(run_ / "run.json")
            row = next((row for row in body["claims"] if row["id"] == claim), None)
            if row is None:
                raise UserError(
                    f"{run_ / 'run.json'}: found no claim {claim}, whose folder is there; see `harness verify`"
                )
            return run_, row
    return None


def _read(file: Path) -> Any:
    """A JSON file of a run.

    Raises: UserError if it is damaged or has another shape.
    """
    found = store.read_json(file)
    for fault in shape.of_body(found, file.stem):
        raise UserError(f"{file}: {fault}")
    return found


def _number(value: Number) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
