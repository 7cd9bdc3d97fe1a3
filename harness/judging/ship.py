"""ship-%: what share of a target's weighted criteria the verdicts carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.judging.verdict import Verdict, worst


def targets(ship: Mapping[str, Any], verdicts: Mapping[str, Verdict]) -> list[dict[str, Any]]:
    """Every target with its ship-% and criteria, from ship.yaml as data and the claims' verdicts."""
    return [target(name, entry, verdicts) for name, entry in ship.get("targets", {}).items()]


def target(name: str, entry: Mapping[str, Any], verdicts: Mapping[str, Verdict]) -> dict[str, Any]:
    """ship-% = 100 · Σ weight·credit / Σ weight, with its parts."""
    rows = [criterion(c, verdicts) for c in entry["criteria"]]
    weights = [float(c["weight"]) for c in entry["criteria"]]
    total = sum(weights)
    percent = 100 * sum(w * r["credit"] for w, r in zip(weights, rows, strict=True)) / total if total else 0.0
    return {
        "id": name,
        "title": entry.get("title", name),
        "ship_percent": round(percent, 2),
        "parts": _parts(rows),
        "criteria": rows,
    }


def criterion(entry: Mapping[str, Any], verdicts: Mapping[str, Verdict]) -> dict[str, Any]:
    """The credit of a criterion is the least of its claims'; none, or a part without a claim, is 0."""
    claims = list(entry.get("claims", []))
    held = [verdicts.get(claim, Verdict.UNVERIFIED) for claim in claims]
    open_parts = list(entry.get("open", []))
    verdict = worst(held + ([Verdict.UNVERIFIED] if open_parts or not claims else []))
    credit = min([v.credit for v in held], default=0.0) if not open_parts else 0.0
    return {
        "id": entry["id"],
        "title": entry.get("title", ""),
        "weight": entry["weight"],
        "effort_hours": entry["effort_hours"],
        "credit": credit,
        "verdict": verdict.value,
        "claims": claims,
        "open": open_parts,
        "ship_blocking": bool(entry.get("ship_blocking", True)),
    }


def line(target: Mapping[str, Any]) -> str:
    """`50 % (0 discharged, 8 partial, 0 red, 0 open)`: never the number without its parts."""
    parts = target["parts"]
    inside = ", ".join(f"{parts[key]} {key}" for key in ("discharged", "partial", "red", "open"))
    return f"{target['ship_percent']:g} % ({inside})"


def _parts(rows: list[dict[str, Any]]) -> dict[str, int]:
    counts = {"discharged": 0, "partial": 0, "red": 0, "open": 0}
    for row in rows:
        verdict = Verdict(row["verdict"])
        key = "red" if verdict.red else verdict.value.lower() if verdict.survived else "open"
        counts[key] += 1
    return counts
