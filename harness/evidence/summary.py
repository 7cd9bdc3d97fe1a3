"""run.json: what a run was, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.evidence.store import claims, read_json
from harness.judging import ship
from harness.judging.verdict import ORDER, Verdict

NOT_SELECTED = "not selected by -k"
KEYS = ("measurements", "violated", "mutants", "first_divergent_stage", "seconds")


def settle(results: Mapping[str, Mapping[str, Any]], depends_on: Mapping[str, list[str]]) -> dict[str, tuple[str, str]]:
    """Final verdict and reason per claim: a survivor whose contract rests on a red one is BLOCKED."""
    red = {r["contract"] for r in results.values() if Verdict(r["verdict"]).red}
    below = {contract: reach(contract, depends_on) & red for contract in depends_on}
    out = {}
    for claim, result in results.items():
        blockers = sorted(below.get(result["contract"], set()) - {result["contract"]})
        if Verdict(result["verdict"]).survived and blockers:
            out[claim] = (Verdict.BLOCKED.value, f"survived, but {', '.join(blockers)} is red")
        else:
            out[claim] = (result["verdict"], result["reason"])
    return out


def reach(start: str, depends_on: Mapping[str, list[str]]) -> set[str]:
    """Every contract that one rests on, directly or through others."""
    seen: set[str] = set()
    todo = list(depends_on.get(start, []))
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += depends_on.get(name, [])
    return seen


def read_results(run: Path) -> dict[str, dict[str, Any]]:
    """result.json of every claim in a run."""
    return {claim: read_json(folder / "result.json") for claim, folder in claims(run)}


def outcome(
    order: Sequence[tuple[str, str]],
    results: Mapping[str, Mapping[str, Any]],
    depends_on: Mapping[str, list[str]],
    selected: Collection[str],
    ship_yaml: Mapping[str, Any],
) -> dict[str, Any]:
    """Counts, claims in `order` (claim id, contract id), and targets; what did not run is listed too."""
    final = settle(results, depends_on)
    rows = []
    for claim, contract in order:
        if claim in results and claim in selected:
            rows.append(_row(claim, contract, results[claim], *final[claim]))
        else:
            reason = "it did not run" if claim in selected else NOT_SELECTED
            rows.append(_row(claim, contract, {}, Verdict.UNVERIFIED.value, reason))
    verdicts = {row["id"]: Verdict(row["verdict"]) for row in rows}
    return {"counts": count(rows), "claims": rows, "targets": ship.targets(ship_yaml, verdicts)}


def again(run: Path, body: Mapping[str, Any]) -> dict[str, Any]:
    """The outcome of a sealed run, computed again from its claims, ship.yaml and run.json's lists."""
    from harness.contract.text.reader import load_yaml

    ship_yaml = load_yaml(run / "ship.yaml")[0] if (run / "ship.yaml").is_file() else {}
    return outcome(
        [(row["id"], row["contract"]) for row in body["claims"]],
        read_results(run),
        {c["id"]: c["depends_on"] for c in body["contracts"]},
        body["selected"],
        ship_yaml or {},
    )


def count(rows: list[dict[str, Any]]) -> dict[str, int]:
    """Verdict -> how many, in order of precedence, zeros left out."""
    counts = Counter(row["verdict"] for row in rows)
    return {verdict.value: counts[verdict.value] for verdict in ORDER if counts[verdict.value]}


def exit_code(counts: Mapping[str, int]) -> int:
    """0: something survived and nothing is red; 1: something is red; 3: nothing survived."""
    if any(Verdict(v).red for v in counts):
        return 1
    return 0 if any(Verdict(v).survived for v in counts) else 3


def _row(claim: str, contract: str, result: Mapping[str, Any], verdict: str, reason: str) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "measurements": {},
        "violated": [],
        "mutants": [],
        "first_divergent_stage": None,
        "seconds": 0.0,
    }
    row: dict[str, Any] = {"id": claim, "contract": contract, "verdict": verdict, "reason": reason}
    row |= {key: result.get(key, empty[key]) for key in KEYS}
    row["mutants"] = [{k: m[k] for k in ("name", "status", "killed", "by", "margin")} for m in row["mutants"]]
    return row
