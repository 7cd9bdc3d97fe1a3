"""Known-wrong computations of ship-%."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from harness.falsifiers.itself.mutants.patching import patched
from harness.judging import gate, ship
from harness.judging.verdict import Verdict
from harness.mutant import mutant, replace


def _credited(baseline: Any, verdict: Verdict, credit: float) -> Any:
    """ship-% with another credit for one verdict."""
    right: Any = vars(Verdict)["credit"]
    wrong = property(lambda self: credit if self is verdict else right.fget(self))
    return patched(baseline, "ship_target", Verdict, credit=wrong)


def _criteria(baseline: Any, change: Callable[[dict[str, Any], Any], dict[str, Any]]) -> Any:
    """ship-% of criteria whose entries in ship.yaml are changed first."""
    right = ship.criterion

    def criterion(entry: Any, rows: Any, platform: Any) -> Any:
        return right(change(dict(entry), rows), rows, platform)

    return patched(baseline, "ship_target", ship, criterion=criterion)


@mutant
def partial_counts_whole(baseline: Any) -> Any:
    """PARTIAL has the credit of DISCHARGED. Synthetic: survived reads like done, wherever it was that it survived."""
    return _credited(baseline, Verdict.PARTIAL, 1.0)


@mutant
def partial_counts_nothing(baseline: Any) -> Any:
    """PARTIAL has no credit. Synthetic: two states, passed and not, are what most reports know."""
    return _credited(baseline, Verdict.PARTIAL, 0.0)


@mutant
def stale_counts_half(baseline: Any) -> Any:
    """Evidence of something else keeps half of its credit. Synthetic: it was green once, and little has changed."""
    return _credited(baseline, Verdict.STALE, 0.5)


@mutant
def unverified_counts_half(baseline: Any) -> Any:
    """What did not run has half a credit. Synthetic: a skip is no failure, so it gets the middle of three states."""
    return _credited(baseline, Verdict.UNVERIFIED, 0.5)


@mutant
def missing_claims_are_left_out(baseline: Any) -> Any:
    """Claims that did not run cost nothing. Synthetic: a join of ship.yaml and run.json drops them."""
    return _criteria(baseline, lambda entry, rows: {**entry, "claims": [c for c in entry["claims"] if c in rows]})


@mutant
def open_parts_are_forgotten(baseline: Any) -> Any:
    """What no claim covers yet costs nothing. Synthetic: it has no id, so no loop over ids meets it."""
    return _criteria(baseline, lambda entry, rows: {**entry, "open": []})


@mutant
def first_claim_alone(baseline: Any) -> Any:
    """A criterion has the credit of its first claim. Synthetic: a criterion had one claim when this was written."""
    return _criteria(baseline, lambda entry, rows: {**entry, "claims": entry["claims"][:1]})


@mutant
def weights_are_forgotten(baseline: Any) -> Any:
    """The mean of the credits without weights. Synthetic: all weights were 1 in its author's example."""

    def target(name: str, entry: Any, rows: Any) -> Any:
        found = right(name, entry, rows)
        credits = [row["credit"] for row in found["criteria"]]
        return {**found, "ship_percent": round(100 * sum(credits) / len(credits), 2)}

    right = ship.target
    return patched(baseline, "ship_target", ship, target=target)


@mutant
def whole_percents(baseline: Any) -> Any:
    """ship-% is rounded to a whole number, so 99.6 reads 100. Synthetic: a badge has no room for decimals."""

    def ship_target(entry: Any, rows: Any) -> Any:
        found = baseline.ship_target(entry, rows)
        return {**found, "ship_percent": float(round(found["ship_percent"]))}

    return replace(baseline, ship_target=ship_target)


@mutant
def unsound_is_open(baseline: Any) -> Any:
    """Only FALSIFIED and ERROR are counted as red. Synthetic: the other two are no fault of the candidate's."""
    red = property(lambda self: self in (Verdict.ERROR, Verdict.FALSIFIED))
    return patched(baseline, "ship_target", Verdict, red=red)


@mutant
def rounded_number_opens_the_gate(baseline: Any) -> Any:
    """The gate compares the printed ship-%: 49.996 passes for 50. Synthetic: the shown number is at hand."""
    return patched(baseline, "min_ship", gate, ship_percent=lambda target: Fraction(str(target["ship_percent"])))


@mutant
def gate_asks_for_more(baseline: Any) -> Any:
    """A ship-% of exactly what is asked for keeps the gate closed. Synthetic: > where >= was meant."""
    right = gate.ship_percent
    return patched(baseline, "min_ship", gate, ship_percent=lambda target: right(target) - Fraction(1, 10**9))
