"""Compare two states: what moved in ship-%, verdicts, mutants and measurements, and in which direction."""

from __future__ import annotations

from typing import TypedDict

from harness.evidence import store
from harness.judging import ship
from harness.judging.findings import findings
from harness.judging.result import Measurements, ShortFate
from harness.judging.verdict import Verdict
from harness.report.difference import differences, joined, of_claim
from harness.report.state import State

FACTOR = 3.0
"""A measurement moved by much when value ÷ limit changed by more than this ..."""
NEAR = 0.01
"""... and is more than this before or after, because round-off far below a limit varies by chance."""


class TargetMove(TypedDict):
    """A target's ship-% before and after, None if the state lacks it; `was` and `now` are the printed lines."""

    id: str
    before: float | None
    after: float | None
    was: str | None
    now: str | None
    direction: str


class VerdictMove(TypedDict):
    """A verdict that changed; None stands for a claim that the state lacks."""

    id: str
    contract: str
    before: str | None
    after: str | None
    direction: str
    reason: str
    because: str
    selected: bool
    """Whether the later run selected the claim."""


class MutantMove(TypedDict):
    """A mutant whose fate changed."""

    claim: str
    mutant: str
    before: str
    after: str
    direction: str


class AgainstLimit(TypedDict):
    """A measurement, and `margin`, its value ÷ limit."""

    value: float
    margin: float


class MeasurementMove(TypedDict):
    """A measurement that moved by much."""

    claim: str
    limit: str
    dtype: str
    before: AgainstLimit
    after: AgainstLimit


class DifferenceEntry(TypedDict):
    """A recorded difference between two runs."""

    kind: str
    text: str
    contract: str | None


class Movement(TypedDict):
    """Everything that moved; `worse` says whether anything got worse."""

    targets: list[TargetMove]
    verdicts: list[VerdictMove]
    mutants: list[MutantMove]
    measurements: list[MeasurementMove]
    causes: list[DifferenceEntry]
    worse: bool


def moved(before: State, after: State) -> Movement:
    """Compare two states.

    Worse means: a claim turned red, a surviving claim no longer survives (or did not run), ship-% fell, or a killed
    mutant is alive. A measurement that moved nearer to its limit is listed but is not worse.
    """
    targets, verdicts, mutants = _targets(before, after), _verdicts(before, after), _mutants(before, after)
    ways = [each["direction"] for each in [*targets, *verdicts, *mutants]]
    found = differences(before.newest, after.newest)
    return {
        "targets": targets,
        "verdicts": verdicts,
        "mutants": mutants,
        "measurements": _measurements(before, after),
        "causes": [{"kind": each.kind, "text": each.text, "contract": each.contract} for each in found],
        "worse": "worse" in ways,
    }


def direction(before: str | None, after: str | None) -> str:
    """same, better, worse or other, from one verdict to the next; None stands for a claim that the state lacks."""
    old, new = _rank(before), _rank(after)
    if new == old:
        return "same" if before == after else "other"
    if new > old:
        return "other" if new == 1 else "better"  # a red claim that did not run again is not mended
    return "worse"


def _rank(verdict: str | None) -> int:
    """0 red, 1 unknown, 2 PARTIAL, 3 DISCHARGED."""
    known = Verdict(verdict) if verdict else Verdict.UNVERIFIED
    return 0 if known.red else 1 + round(2 * known.credit)


def _targets(before: State, after: State) -> list[TargetMove]:
    old, new = ({t["id"]: t for t in state.merged["targets"]} for state in (before, after))
    out: list[TargetMove] = []
    for name in [*new, *(n for n in old if n not in new)]:
        was, now = (side[name]["ship_percent"] if name in side else None for side in (old, new))
        lines = [ship.line(side[name]) if name in side else None for side in (old, new)]
        way = "same" if was == now else "worse" if (now or 0.0) < (was or 0.0) else "better"
        out.append({"id": name, "before": was, "after": now, "was": lines[0], "now": lines[1], "direction": way})
    return out


def _verdicts(before: State, after: State) -> list[VerdictMove]:
    out: list[VerdictMove] = []
    for claim in [*after.rows, *(c for c in before.rows if c not in after.rows)]:
        was, now = before.rows.get(claim), after.rows.get(claim)
        old, new = (row["verdict"] if row else None for row in (was, now))
        known = now or was
        if old == new or known is None:
            continue
        out.append(
            {
                "id": claim,
                "contract": known["contract"],
                "before": old,
                "after": new,
                "direction": direction(old, new),
                "reason": now["reason"] if now else "its contract is not in this run",
                "because": _because(claim, before, after),
                "selected": now["selected"] if now else True,
            }
        )
    order = ("worse", "better", "other")
    return sorted(out, key=lambda change: order.index(change["direction"]))


def _because(claim: str, before: State, after: State) -> str:
    """The recorded differences that can have changed this claim, as text."""
    if claim not in before.rows or claim not in after.rows:
        return "the claim is new" if claim in after.rows else "the claim is gone"
    for state, when in ((before, "before"), (after, "now")):
        if not state.rows[claim]["selected"]:
            return f"left out by -k {when}"
    found = differences(before.sources[claim][1], after.sources[claim][1])
    return joined(of_claim(found, after.rows[claim]["contract"]))


def _mutants(before: State, after: State) -> list[MutantMove]:
    out: list[MutantMove] = []
    for claim in after.rows.keys() & before.rows.keys():
        old = {m["name"]: m for m in before.rows[claim]["mutants"]}
        for mutant in after.rows[claim]["mutants"]:
            was = old.get(mutant["name"])
            if was is None or "ran" not in (was["status"], mutant["status"]) or was["killed"] == mutant["killed"]:
                continue
            way = "worse" if was["killed"] and mutant["status"] == "ran" else "better" if mutant["killed"] else "other"
            old_fate, new_fate = _fate(was), _fate(mutant)
            out.append(
                {"claim": claim, "mutant": mutant["name"], "before": old_fate, "after": new_fate, "direction": way}
            )
    return sorted(out, key=lambda change: (change["direction"] != "worse", change["claim"]))


def _fate(mutant: ShortFate) -> str:
    return "killed" if mutant["killed"] else "survived" if mutant["status"] == "ran" else mutant["status"]


def _measurements(before: State, after: State) -> list[MeasurementMove]:
    out: list[MeasurementMove] = []
    for claim in sorted(after.rows.keys() & before.rows.keys()):
        if _differ(before.rows[claim]["measurements"], after.rows[claim]["measurements"]):
            old, new = _against_limits(before, claim), _against_limits(after, claim)
            for key in [k for k in new if k in old]:
                if _moved_much(old[key]["margin"], new[key]["margin"]):
                    limit, dtype = key
                    out.append({"claim": claim, "limit": limit, "dtype": dtype, "before": old[key], "after": new[key]})
    return out


def _differ(old: Measurements, new: Measurements) -> bool:
    """Whether a value of a row changed by more than FACTOR, or changed and is or was not a positive number."""
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


def _against_limits(state: State, claim: str) -> dict[tuple[str, str], AgainstLimit]:
    """(limit, dtype) -> the candidate's value and value ÷ limit, computed from the record."""
    result = state.result(claim)
    candidate = result["record"]["subjects"].get("candidate") if result else None
    if not result or not candidate or candidate["status"] != "ran":
        return {}
    source = store.entry(state.sources[claim][0] / "claims" / claim).source
    found = findings(source, result["record"], candidate)
    return {(f.limit, f.dtype): {"value": f.value, "margin": f.margin} for f in found}


def _moved_much(old: float, new: float) -> bool:
    high, low = max(old, new), min(old, new)
    return NEAR < high < float("inf") and high > FACTOR * low
