"""Claims as compressed text in the page: an index, read when the page opens, and chunks, read when they are shown."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from harness.judging.mutant_kills import alive
from harness.judging.result import ClaimRow, Measurements
from harness.judging.verdict import ORDER, Verdict
from harness.report.dossier import Dossier, dossier
from harness.report.outline import Outline
from harness.report.state import State
from harness.words.plain import data

SAFE = 2**53
"""The largest whole number up to which JavaScript represents each one exactly."""
CHUNK = 32
"""Claims per chunk; to show one claim, the page reads its whole chunk."""


class Line(TypedDict):
    """A claim in the list of the page."""

    id: str
    contract: str
    group: str
    verdict: str
    was: str | None
    reason: str
    rule: str
    criteria: Sequence[str]
    killed: int
    tried: int
    seconds: float
    measurements: Measurements
    near: float | None
    position: int


def packed(value: Any) -> str:
    """JSON, gzipped, as Base64: it needs no HTML escapes, and equal values give equal text."""
    text = json.dumps(exact(data(value)), separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode("ascii")


def exact(value: Any) -> Any:
    """Replace every whole number that JavaScript would round, such as a case's seed, by its text."""
    if isinstance(value, Mapping):
        return {key: exact(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [exact(each) for each in value]
    return str(value) if isinstance(value, int) and abs(value) > SAFE else value


def payload(state: State, outline: Outline) -> tuple[str, list[str]]:
    """Returns (the packed index of all claims, the packed chunks of dossiers)."""
    criteria: dict[str, list[str]] = {}
    for target in state.merged["targets"]:
        for criterion in target["criteria"]:
            for claim in criterion["claims"]:
                criteria.setdefault(claim, []).append(f"{target['id']}/{criterion['id']}")
    was = {c["id"]: c["before"] or "" for c in outline["movement"]["verdicts"]} if outline["movement"] else {}
    rows: list[Line] = []
    chunks = []
    groups = outline["matrix"]["groups"]
    claims = sorted(state.merged["claims"], key=_urgency)
    for start in range(0, len(claims), CHUNK):
        found = [dossier(state, row["id"]) for row in claims[start : start + CHUNK]]
        for each in found:
            claim = each["id"]
            place = (groups.get(each["contract"], ""), criteria.get(claim, []), was.get(claim))
            rows.append(_line(state.rows[claim], each, *place, position=len(rows)))
        chunks.append(packed(found))
    return packed({"claims": rows, "chunk": CHUNK, "runs": _runs(state)}), chunks


def _urgency(row: ClaimRow) -> tuple[bool, int]:
    """Sort key: red claims first, in order of precedence; claims that -k left out last."""
    return not row["selected"], ORDER.index(Verdict(row["verdict"]))


def _line(
    row: ClaimRow, found: Dossier, group: str, criteria: Sequence[str], was: str | None, *, position: int
) -> Line:
    """Build a claim's entry in the list."""
    tried = [m for m in row["mutants"] if m["killed"] or alive(m)]
    return {
        "id": row["id"],
        "contract": row["contract"],
        "group": group,
        "verdict": row["verdict"],
        "was": was,
        "reason": row["reason"],
        "rule": str(found.get("rule", "")),
        "criteria": criteria,
        "killed": sum(m["killed"] for m in tried),
        "tried": len(tried),
        "seconds": row["seconds"],
        "measurements": row["measurements"],
        "near": found["subjects"].get("candidate") if "subjects" in found else None,
        "position": position,
    }


def _runs(state: State) -> dict[str, dict[str, object]]:
    """Run id -> the fields of run.json that the claims' pages show."""
    keys = ("began", "candidate", "device", "device_asked", "seed", "host", "versions", "code", "harness")
    return {body["id"]: {key: value for key, value in body.items() if key in keys} for _, body in state.runs}
