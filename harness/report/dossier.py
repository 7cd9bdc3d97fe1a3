"""The data for one claim's page."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict, final

from harness.contract.claim import Claim
from harness.evidence import store
from harness.evidence.body import RunBody
from harness.evidence.counterexample import Counterexample
from harness.judging.findings import IMPLICIT, findings
from harness.judging.limits import Accept, Finding
from harness.judging.result import ClaimRow, Fate, Result, ShortFate, Smallest, Stages
from harness.judging.verdict import Verdict
from harness.measurements.row import Number, encode
from harness.report.curve import Curves, curves
from harness.report.spread import Spread, spread
from harness.report.state import State
from harness.report.why import root_cause, whys
from harness.subject.candidate import BASELINE, built_in, is_program
from harness.words.glossary import MEANING
from harness.words.narrative import next_step, search_text

LOG_LINES, LOG_BYTES = 40, 1 << 16
"""How much of the end of a log a page shows."""
ARRAYS = 24


class LimitEntry(TypedDict):
    """A limit with the candidate's and the baseline's value; the numbers are None for an implicit limit."""

    limit: str
    measure: str
    dtype: str
    value: Number | None
    bound: Number | None
    margin: float | None
    baseline: Number | None
    holds: bool
    why: str


class MutantEntry(ShortFate):
    """A mutant's fate, and in `green` the candidate's value ÷ limit for the limit that killed the mutant."""

    free: bool
    weak: bool
    reason: str
    limits: int
    green: float | None


class Shown(Smallest):
    """The smallest counterexample with its replay command."""

    arrays: dict[str, str]
    more_arrays: int
    replay: str


class Numbers(TypedDict):
    """Measurements against limits, cases against limits, and mutants compared with the candidate."""

    limits: list[LimitEntry]
    spread: list[Spread]
    mutants: list[MutantEntry]
    subjects: dict[str, float | None]


class About(TypedDict):
    """The fields that every claim has, run or not."""

    id: str
    run: str
    device: str
    contract: str
    whys: list[str]
    meaning: str


@final
class Unrun(About):
    """A claim without a result."""

    ran: bool


@final
class Whole(About, Numbers, Curves):
    """A claim with its result."""

    ran: bool
    where: str
    rule: str
    prediction: str
    root_cause: str | None
    next: str
    cases: int
    searched: str
    """What the search tried, in a sentence; empty if nothing was searched."""
    stages: Stages | None
    counterexample: Shown | None
    entry: str
    log: str


Dossier = Unrun | Whole


def dossier(state: State, claim_id: str) -> Dossier:
    """One claim of a state: its explanation, its numbers, and how to reproduce them."""
    row = state.rows[claim_id]
    folder, body = state.sources[claim_id]
    place = folder / "claims" / claim_id
    result = state.result(claim_id)
    if result is None:
        return {**_about(row, body, [f"{row['verdict']}: {row['reason']}."]), "ran": False}
    stages: Stages | None = store.read_json(place / "stages.json") if (place / "stages.json").is_file() else None
    claim = store.entry(place)
    return {
        **_about(row, body, whys(result, stages)),
        "ran": True,
        "where": f"{_path(body, row['contract'])}:{claim.line}",
        "rule": claim.rule,
        "prediction": claim.prediction,
        "root_cause": root_cause(result),
        "next": next_step(claim, result),
        "cases": len(result["record"]["cases"]),
        "searched": search_text(result.get("search")),
        **_numbers(claim, result),
        "stages": stages if stages and "stages" in stages else None,
        **curves(result["record"]),
        "counterexample": _counterexample(place, result),
        "entry": (place / "claim.yaml").read_text(encoding="utf-8"),
        "log": _log(place) if row["verdict"] == Verdict.ERROR else "",
    }


def _about(row: ClaimRow, body: RunBody, whys: list[str]) -> About:
    return {
        "id": row["id"],
        "run": body["id"],
        "device": body["device"],
        "contract": row["contract"],
        "whys": whys,
        "meaning": MEANING[row["verdict"]],
    }


def _path(body: RunBody, contract: str) -> str:
    return next((c["path"] for c in body["contracts"] if c["id"] == contract), contract)


def _numbers(claim: Claim, result: Result) -> Numbers:
    record = result["record"]
    subjects = record["subjects"]
    ran = {who: s for who, s in subjects.items() if s["status"] == "ran"}
    found = {who: findings(claim.source, record, subject) for who, subject in ran.items()}
    limits = [_limit(f, claim.accept, found.get("baseline", [])) for f in found.get("candidate", [])]
    return {
        "limits": limits,
        "spread": spread(claim.source, record, ran["candidate"]) if "candidate" in ran else [],
        "mutants": [_mutant(m, found.get("candidate", [])) for m in result["mutants"]],
        "subjects": {who: _nearest(each) for who, each in found.items()},
    }


def _limit(finding: Finding, accept: Accept, baseline: list[Finding]) -> LimitEntry:
    beside = next((f for f in baseline if (f.limit, f.dtype) == (finding.limit, finding.dtype)), None)
    return {
        "limit": finding.limit,
        "measure": finding.measure,
        "dtype": finding.dtype,
        "value": None if finding.measure in IMPLICIT else encode(finding.value),
        "bound": None if finding.measure in IMPLICIT else encode(finding.bound),
        "margin": _finite(finding.margin),
        "baseline": encode(beside.value) if beside and finding.measure not in IMPLICIT else None,
        "holds": finding.holds,
        "why": "; ".join(dict.fromkeys(_reasons(accept, finding.measure))),
    }


def _reasons(accept: Accept, measure: str) -> Iterator[str]:
    """Yield the contract's reasons for the limits on a measurement, also of limits inside groups."""
    for name, value in accept.items():
        if name in ("any_of", "all_of"):
            for part in value:
                yield from _reasons(part, measure)
        elif name == measure:
            yield str(value["why"])


def _mutant(mutant: Fate, candidate: list[Finding]) -> MutantEntry:
    same = [f.margin for f in candidate if f.limit == mutant["by"] and math.isfinite(f.margin)]
    return {
        "name": mutant["name"],
        "free": mutant["free"],
        "status": mutant["status"],
        "killed": mutant["killed"],
        "by": mutant["by"],
        "margin": mutant["margin"],
        "weak": mutant["weak"],
        "reason": mutant["reason"],
        "limits": len(mutant["kills"]),
        "green": max(same, default=None),
    }


def _nearest(found: list[Finding]) -> float | None:
    """The largest finite value ÷ limit of a subject: its worst violation, or its nearest to one."""
    return max((f.margin for f in found if math.isfinite(f.margin)), default=None)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _counterexample(place: Path, result: Result) -> Shown | None:
    found = result.get("counterexample")
    if not found:
        return None
    saved: Counterexample = store.read_json(place / "counterexample.json")
    shown = {name: f"{a['dtype']} {'×'.join(map(str, a['shape'])) or 'scalar'}" for name, a in saved["arrays"].items()}
    return {
        **found,
        "arrays": dict(list(shown.items())[:ARRAYS]),
        "more_arrays": max(len(shown) - ARRAYS, 0),
        "replay": f"harness replay {(place / 'counterexample.json').as_posix()}{_named(saved['candidate'])}",
    }


def _named(candidate: str) -> str:
    """The option that names the candidate; the words of a command line are left out: this one comes from evidence."""
    if candidate in (BASELINE, *built_in()):
        return ""
    return f" --candidate {shlex.quote('exec:...' if is_program(candidate) else candidate)}"


def _log(place: Path) -> str:
    path = place / "log.txt"
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - LOG_BYTES, 0))
        text = file.read(LOG_BYTES).decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-LOG_LINES:])
