"""Claims as compressed text inside the page: an index that is read at once, and chunks that are read when shown."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from harness.evidence.summary import NOT_SELECTED
from harness.judging.mutant_kills import alive
from harness.judging.verdict import ORDER, Verdict
from harness.report.dossier import dossier
from harness.report.state import State

SAFE = 2**53
"""JavaScript holds whole numbers up to here."""
CHUNK = 32
"""Claims per chunk: one claim's page costs reading this many."""


def packed(value: Any) -> str:
    """JSON, gzip and Base64: no character of it means anything to HTML, and the same value gives the same text."""
    text = json.dumps(exact(value), separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode("ascii")


def exact(value: Any) -> Any:
    """The same data with every whole number that a browser would round (a case's seed) as text."""
    if isinstance(value, Mapping):
        return {key: exact(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [exact(each) for each in value]
    return str(value) if isinstance(value, int) and abs(value) > SAFE else value


def payload(state: State, outline: Mapping[str, Any]) -> tuple[str, list[str]]:
    """(the packed index of all claims, the packed dossiers in chunks)."""
    criteria: dict[str, list[str]] = {}
    for target in state.merged["targets"]:
        for criterion in target["criteria"]:
            for claim in criterion["claims"]:
                criteria.setdefault(claim, []).append(f"{target['id']}/{criterion['id']}")
    was = {c["id"]: c["before"] or "" for c in outline["movement"]["verdicts"]} if outline["movement"] else {}
    rows: list[dict[str, Any]] = []
    chunks = []
    claims = sorted(state.merged["claims"], key=_urgency)
    for start in range(0, len(claims), CHUNK):
        found = [dossier(state, row["id"]) for row in claims[start : start + CHUNK]]
        lines = [_line(state.rows[d["id"]], d, criteria, was, outline["matrix"]["groups"]) for d in found]
        rows += [{**line, "position": start + i} for i, line in enumerate(lines)]
        chunks.append(packed(found))
    return packed({"claims": rows, "chunk": CHUNK, "runs": _runs(state)}), chunks


def _urgency(row: Mapping[str, Any]) -> tuple[bool, int]:
    """Red first, in order of precedence; what -k left out last."""
    return row["reason"] == NOT_SELECTED, ORDER.index(Verdict(row["verdict"]))


def _line(
    row: Mapping[str, Any],
    found: Mapping[str, Any],
    criteria: Mapping[str, Sequence[str]],
    was: Mapping[str, str],
    groups: Mapping[str, str],
) -> dict[str, Any]:
    """A claim in the list."""
    tried = [m for m in row["mutants"] if m["killed"] or alive(m)]
    return {
        "id": row["id"],
        "contract": row["contract"],
        "group": groups.get(row["contract"], ""),
        "verdict": row["verdict"],
        "was": was.get(row["id"]),
        "reason": row["reason"],
        "rule": found.get("rule", ""),
        "criteria": criteria.get(row["id"], []),
        "killed": sum(m["killed"] for m in tried),
        "tried": len(tried),
        "seconds": row["seconds"],
        "measurements": row["measurements"],
        "near": found.get("subjects", {}).get("candidate"),
    }


def _runs(state: State) -> dict[str, Any]:
    """Run id -> host, device, versions, for the claims' pages."""
    keys = ("began", "candidate", "device", "device_asked", "seed", "host", "versions", "code", "harness")
    return {body["id"]: {key: body[key] for key in keys} for _, body in state.runs}
