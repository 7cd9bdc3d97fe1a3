"""All that the page shows of one claim, as plain data."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.contract.claim import Claim
from harness.evidence import store
from harness.judging.findings import IMPLICIT, findings
from harness.judging.limits import Finding
from harness.judging.measure import encode
from harness.judging.verdict import Verdict
from harness.report.curve import curves
from harness.report.spread import spread
from harness.report.state import State
from harness.report.why import root_cause, whys
from harness.words.meaning import MEANING
from harness.words.narrative import next_step

LOG_LINES = 40
ARRAYS = 24


def dossier(state: State, claim_id: str) -> dict[str, Any]:
    """One claim of a state: the story, the numbers, and how to see them again."""
    row = state.rows[claim_id]
    folder, body = state.sources[claim_id]
    place = folder / "claims" / claim_id
    about = {"id": claim_id, "run": body["id"], "device": body["device"], "contract": row["contract"]}
    meaning = MEANING[row["verdict"]]
    if not (place / "result.json").is_file():
        return {**about, "whys": [f"{row['verdict']}: {row['reason']}."], "meaning": meaning, "ran": False}
    result = {**store.read_json(place / "result.json"), "verdict": row["verdict"], "reason": row["reason"]}
    stages = store.read_json(place / "stages.json") if (place / "stages.json").is_file() else None
    claim = store.entry(place)
    return {
        **about,
        "ran": True,
        "where": f"{_path(body, row['contract'])}:{claim.line}",
        "rule": claim.rule,
        "prediction": claim.prediction,
        "whys": whys(result, stages, body),
        "root_cause": root_cause(result, body),
        "meaning": meaning,
        "next": next_step(claim, result),
        "cases": len(result["record"]["cases"]),
        **_numbers(claim, result),
        "stages": stages if stages and "stages" in stages else None,
        **curves(result["record"]),
        "counterexample": _counterexample(place, result),
        "entry": (place / "claim.yaml").read_text(encoding="utf-8"),
        "log": _log(place) if row["verdict"] == Verdict.ERROR else "",
    }


def _path(body: Mapping[str, Any], contract: str) -> str:
    return str(next((c["path"] for c in body["contracts"] if c["id"] == contract), contract))


def _numbers(claim: Claim, result: Mapping[str, Any]) -> dict[str, Any]:
    """Measurements against limits, the cases against limits, and every mutant beside the candidate."""
    record = result["record"]
    subjects = record["subjects"]
    ran = {who: s for who, s in subjects.items() if s.get("status") == "ran"}
    found = {who: findings(claim.source, record, subject) for who, subject in ran.items()}
    limits = [_limit(f, claim.accept, found.get("baseline", [])) for f in found.get("candidate", [])]
    return {
        "limits": limits,
        "spread": spread(claim.source, record, ran["candidate"]) if "candidate" in ran else [],
        "mutants": [_mutant(m, found.get("candidate", [])) for m in result["mutants"]],
        "subjects": {who: _nearest(each) for who, each in found.items()},
    }


def _limit(finding: Finding, accept: Mapping[str, Any], baseline: list[Finding]) -> dict[str, Any]:
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


def _reasons(accept: Mapping[str, Any], measure: str) -> Iterator[str]:
    """The contract's reasons for the limits on a measurement, groups opened."""
    for name, value in accept.items():
        if name in ("any_of", "all_of"):
            for part in value:
                yield from _reasons(part, measure)
        elif name == measure:
            yield str(value["why"])


def _mutant(mutant: Mapping[str, Any], candidate: list[Finding]) -> dict[str, Any]:
    """A mutant's fate, and how the candidate fares on the very limit that killed it."""
    same = [f.margin for f in candidate if f.limit == mutant["by"] and math.isfinite(f.margin)]
    keys = ("name", "free", "status", "killed", "by", "margin", "weak", "reason")
    return {**{key: mutant[key] for key in keys}, "limits": len(mutant["kills"]), "green": max(same, default=None)}


def _nearest(found: list[Finding]) -> float | None:
    """The largest value ÷ limit of a subject: what comes nearest to a violation, or is the worst one."""
    return max((f.margin for f in found if math.isfinite(f.margin)), default=None)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _counterexample(place: Path, result: Mapping[str, Any]) -> dict[str, Any] | None:
    found = result.get("counterexample")
    if not found:
        return None
    path = place / "counterexample.json"
    arrays = json.loads(path.read_text(encoding="utf-8"))["arrays"] if path.is_file() else {}
    shown = {name: f"{a['dtype']} {'×'.join(map(str, a['shape'])) or 'scalar'}" for name, a in arrays.items()}
    return {
        **{key: found[key] for key in ("case", "violated", "reproducible", "shrunk_from")},
        "arrays": dict(list(shown.items())[:ARRAYS]),
        "more_arrays": max(len(shown) - ARRAYS, 0),
        "replay": f"harness replay {path.as_posix()}",
    }


def _log(place: Path) -> str:
    path = place / "log.txt"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    return "\n".join(lines[-LOG_LINES:])
