"""Claims as compressed text inside the page: an index that is read at once, and chunks that are read when shown."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from harness.report.dossier import dossier
from harness.report.state import State
from harness.terminal import alive

CHUNK = 32
"""Claims per chunk: one claim's page costs reading this many."""


def packed(value: Any) -> str:
    """JSON, gzip and Base64: no character of it means anything to HTML, and the same value gives the same text."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode("ascii")


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
    claims = state.merged["claims"]
    for start in range(0, len(claims), CHUNK):
        found = [dossier(state, row["id"]) for row in claims[start : start + CHUNK]]
        rows += [
            _line(state.rows[d["id"]], d, criteria, was, outline["matrix"]["groups"]) for d in found
        ]
        chunks.append(packed(found))
    return packed({"claims": rows, "chunk": CHUNK, "runs": _runs(state)}), chunks


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
