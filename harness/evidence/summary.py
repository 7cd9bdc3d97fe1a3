"""Compute the results in run.json: final verdicts, rows, counts and targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from harness.evidence.body import Outcome, RunBody
from harness.evidence.store import claims, read_json
from harness.judging import ship
from harness.judging.cause import Cause, root_cause_class
from harness.judging.result import ClaimRow, Fate, Result, ShortFate
from harness.judging.verdict import ORDER, Verdict


class Settled(NamedTuple):
    """A claim's final verdict, which depends on the other claims of its run, with reason and cause."""

    verdict: str
    reason: str
    cause: str | None


class Final(TypedDict):
    """The keys that hold the final verdict in a claim's result or row."""

    verdict: str
    reason: str
    cause: str | None
    root_cause_class: str | None


def settled(found: Result | ClaimRow) -> Settled:
    """The verdict, reason and cause that a result or a row holds, without regard to other claims."""
    return Settled(found["verdict"], found["reason"], found["cause"])


def fields(final: Settled) -> Final:
    """A final verdict as keys of a result or a row."""
    return {
        "verdict": final.verdict,
        "reason": final.reason,
        "cause": final.cause,
        "root_cause_class": root_cause_class(final.cause),
    }


def with_blocked(results: Mapping[str, Result | ClaimRow], depends_on: Mapping[str, list[str]]) -> dict[str, Settled]:
    """Final verdict per claim: a survivor whose contract rests on a red one is BLOCKED."""
    red = {r["contract"] for r in results.values() if Verdict(r["verdict"]).red}
    below = {contract: all_dependencies(contract, depends_on) & red for contract in depends_on}
    out = {}
    for claim, result in results.items():
        blockers = sorted(below.get(result["contract"], set()) - {result["contract"]})
        if Verdict(result["verdict"]).survived and blockers:
            reason = f"survived, but {', '.join(blockers)} is red"
            out[claim] = Settled(Verdict.BLOCKED.value, reason, Cause.DEPENDS_ON_RED.value)
        else:
            out[claim] = settled(result)
    return out


def all_dependencies(start: str, depends_on: Mapping[str, list[str]]) -> set[str]:
    """Every contract on which a contract rests, directly or through others."""
    found: set[str] = set()
    todo = list(depends_on.get(start, []))
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += depends_on.get(name, [])
    return found


def read_results(run: Path) -> dict[str, Result]:
    """result.json of every claim in a run."""
    return {claim: read_json(folder / "result.json") for claim, folder in claims(run)}


def outcome(
    order: Sequence[tuple[str, str]],
    results: Mapping[str, Result],
    depends_on: Mapping[str, list[str]],
    selected: Collection[str],
    ship_yaml: Mapping[str, Any],
) -> Outcome:
    """Counts, claims in `order` (claim id, contract id), and targets; claims that did not run are listed too."""
    final = with_blocked(results, depends_on)
    rows = [
        _row(claim, contract, results[claim], final[claim])
        if claim in results and claim in selected
        else _not_run(claim, contract, claim in selected)
        for claim, contract in order
    ]
    by_id = {row["id"]: row for row in rows}
    return {"counts": count(rows), "claims": rows, "targets": ship.targets(ship_yaml, by_id)}


def recomputed(run: Path, body: RunBody) -> Outcome:
    """Compute the outcome of a sealed run again from its results, its ship.yaml and the lists in run.json."""
    from harness.contract.text.reader import load_yaml

    ship_yaml = load_yaml(run / "ship.yaml")[0] if (run / "ship.yaml").is_file() else {}
    return outcome(
        [(row["id"], row["contract"]) for row in body["claims"]],
        read_results(run),
        {c["id"]: c["depends_on"] for c in body["contracts"]},
        body["selected"],
        ship_yaml or {},
    )


def count(rows: Sequence[ClaimRow]) -> dict[str, int]:
    """Verdict -> number of claims, in order of precedence, without zeros."""
    counts = Counter(row["verdict"] for row in rows)
    return {verdict.value: counts[verdict.value] for verdict in ORDER if counts[verdict.value]}


def exit_code(counts: Mapping[str, int]) -> int:
    """0: something survived and nothing is red; 1: something is red; 3: nothing survived."""
    if any(Verdict(v).red for v in counts):
        return 1
    return 0 if any(Verdict(v).survived for v in counts) else 3


def _row(claim: str, contract: str, result: Result, final: Settled) -> ClaimRow:
    return {
        "id": claim,
        "contract": contract,
        **fields(final),
        "selected": True,
        "measurements": result["measurements"],
        "violated": result["violated"],
        "mutants": [_short(fate) for fate in result["mutants"]],
        "survived_on": _survived_on(result),
        "first_divergent_stage": result["first_divergent_stage"],
        "seconds": result["seconds"],
    }


def _not_run(claim: str, contract: str, selected: bool) -> ClaimRow:
    """The row of a claim without a result: -k excluded it, or the run ended before it ran."""
    reason = "it did not run" if selected else "not selected by -k"
    cause = Cause.DID_NOT_RUN if selected else Cause.NOT_SELECTED
    return {
        "id": claim,
        "contract": contract,
        **fields(Settled(Verdict.UNVERIFIED.value, reason, cause.value)),
        "selected": selected,
        "measurements": {},
        "violated": [],
        "mutants": [],
        "survived_on": [],
        "first_divergent_stage": None,
        "seconds": 0.0,
    }


def _survived_on(result: Result) -> list[str]:
    """The run's platform if the claim survived there with every mutant run, whatever other claims did; else nothing."""
    every = all(mutant["status"] != "not_run" for mutant in result["mutants"])
    return [result["record"]["platform"]] if Verdict(result["verdict"]).survived and every else []


def _short(fate: Fate) -> ShortFate:
    return {
        "name": fate["name"],
        "status": fate["status"],
        "killed": fate["killed"],
        "by": fate["by"],
        "margin": fate["margin"],
    }
