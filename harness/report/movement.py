"""What moved between two states, and in which direction: ship-%, verdicts, mutants, measurements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.evidence import store
from harness.evidence.summary import NOT_SELECTED
from harness.judging import ship
from harness.judging.findings import findings
from harness.judging.verdict import Verdict
from harness.report.cause import causes, of_claim, told
from harness.report.state import State

FACTOR = 3.0
"""A measurement moved by much when value ÷ limit changed by more than this ..."""
NEAR = 0.01
"""... and is more than this on either side: round-off far below a limit moves by chance."""

Change = dict[str, Any]


def moved(before: State, after: State) -> dict[str, Any]:
    """All that moved; `worse` is whether any of it is a loss.

    Worse: a claim red that was not, a survivor that no longer is one (a claim that did not run is not green), less
    ship-%, a mutant alive that was killed. A measurement nearer to its limit is told and is not worse.
    """
    found = {
        "targets": _targets(before, after),
        "verdicts": _verdicts(before, after),
        "mutants": _mutants(before, after),
        "measurements": _measurements(before, after),
        "causes": [vars(cause) for cause in causes(before.newest, after.newest)],
    }
    moves = [*found["targets"], *found["verdicts"], *found["mutants"]]
    return {**found, "worse": any(move["direction"] == "worse" for move in moves)}


def direction(before: str | None, after: str | None) -> str:
    """better, worse or other, from one verdict to the next; None is a claim that is not there."""
    old, new = _rank(before), _rank(after)
    if new == old:
        return "same" if before == after else "other"
    if new > old:
        return "other" if new == 1 else "better"  # what was red and did not run is not mended
    return "worse"


def _rank(verdict: str | None) -> int:
    """0 red, 1 unknown, 2 PARTIAL, 3 DISCHARGED."""
    known = Verdict(verdict) if verdict else Verdict.UNVERIFIED
    return 0 if known.red else 1 + round(2 * known.credit)


def _targets(before: State, after: State) -> list[Change]:
    old, new = ({t["id"]: t for t in state.merged["targets"]} for state in (before, after))
    out = []
    for name in [*new, *(n for n in old if n not in new)]:
        was, now = (side[name]["ship_percent"] if name in side else None for side in (old, new))
        lines = {key: ship.line(side[name]) if name in side else None for key, side in (("was", old), ("now", new))}
        way = "same" if was == now else "worse" if (now or 0.0) < (was or 0.0) else "better"
        out.append({"id": name, "before": was, "after": now, **lines, "direction": way})
    return out


def _verdicts(before: State, after: State) -> list[Change]:
    out = []
    for claim in [*after.rows, *(c for c in before.rows if c not in after.rows)]:
        was, now = before.rows.get(claim), after.rows.get(claim)
        old, new = (row["verdict"] if row else None for row in (was, now))
        if old == new:
            continue
        row: Mapping[str, Any] = now or was or {}
        change = {"id": claim, "contract": row["contract"], "before": old, "after": new}
        reason = now["reason"] if now else "its contract is not in this run"
        out.append(
            {**change, "direction": direction(old, new), "reason": reason, "because": _because(claim, before, after)}
        )
    order = ("worse", "better", "other")
    return sorted(out, key=lambda change: order.index(change["direction"]))


def _because(claim: str, before: State, after: State) -> str:
    """The recorded differences that can have moved this claim."""
    if claim not in before.rows or claim not in after.rows:
        return "the claim is new" if claim in after.rows else "the claim is gone"
    for state, when in ((before, "before"), (after, "now")):
        if state.rows[claim]["reason"] == NOT_SELECTED:
            return f"left out by -k {when}"
    found = causes(before.sources[claim][1], after.sources[claim][1])
    return told(of_claim(found, after.rows[claim]["contract"]))


def _mutants(before: State, after: State) -> list[Change]:
    out = []
    for claim in after.rows.keys() & before.rows.keys():
        old = {m["name"]: m for m in before.rows[claim]["mutants"]}
        for mutant in after.rows[claim]["mutants"]:
            was = old.get(mutant["name"])
            if was is None or "ran" not in (was["status"], mutant["status"]) or was["killed"] == mutant["killed"]:
                continue
            way = "worse" if was["killed"] and mutant["status"] == "ran" else "better" if mutant["killed"] else "other"
            fates = {"before": _fate(was), "after": _fate(mutant)}
            out.append({"claim": claim, "mutant": mutant["name"], **fates, "direction": way})
    return sorted(out, key=lambda change: (change["direction"] != "worse", change["claim"]))


def _fate(mutant: Mapping[str, Any]) -> str:
    return "killed" if mutant["killed"] else "survived" if mutant["status"] == "ran" else mutant["status"]


def _measurements(before: State, after: State) -> list[Change]:
    out: list[Change] = []
    for claim in sorted(after.rows.keys() & before.rows.keys()):
        if _differ(before.rows[claim]["measurements"], after.rows[claim]["measurements"]):
            old, new = _against_limits(before, claim), _against_limits(after, claim)
            for key in [k for k in new if k in old]:
                if _by_much(old[key]["margin"], new[key]["margin"]):
                    values = {"before": old[key], "after": new[key]}
                    out.append({"claim": claim, "limit": key[0], "dtype": key[1], **values})
    return out


def _differ(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether any number of a row changed by more than FACTOR, or is no number any more."""
    for name, by in new.items():
        for dtype, value in by.items():
            was = old.get(name, {}).get(dtype)
            if was == value or was is None:
                continue
            if isinstance(was, str) or isinstance(value, str) or not (was > 0 and value > 0):
                return True
            if max(was, value) > FACTOR * min(was, value):
                return True
    return False


def _against_limits(state: State, claim: str) -> dict[tuple[str, str], dict[str, float]]:
    """(limit, dtype) -> value and value ÷ limit of the candidate, from the record."""
    result = state.file(claim, "result.json")
    source = store.entry(state.sources[claim][0] / "claims" / claim).source
    candidate = (result or {"record": {"subjects": {}}})["record"]["subjects"].get("candidate")
    if not candidate or candidate["status"] != "ran":
        return {}
    found = findings(source, result["record"], candidate)
    return {(f.limit, f.dtype): {"value": f.value, "margin": f.margin} for f in found}


def _by_much(old: float, new: float) -> bool:
    high, low = max(old, new), min(old, new)
    return NEAR < high < float("inf") and high > FACTOR * low
