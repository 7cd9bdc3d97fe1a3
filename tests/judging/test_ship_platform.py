"""A target that names its platform: what each claim counts as for it."""

from __future__ import annotations

from typing import Any

import pytest

from harness.judging import ship
from harness.judging.gate import decide
from harness.judging.verdict import ORDER, Verdict


def row(verdict: str, *on: str, name: str = "A", idle: tuple[str, ...] = ()) -> Any:
    """A claim's row in run.json, as far as ship-% reads it."""
    mutants = [{"name": each, "status": "not_run"} for each in idle] + [{"name": "wrong", "status": "ran"}]
    return {"id": name, "verdict": verdict, "reason": "its reason", "survived_on": list(on), "mutants": mutants}


def plan(platform: str | None) -> dict[str, Any]:
    head = {} if platform is None else {"platform": platform}
    criterion = {"id": "X", "title": "x", "weight": 1, "effort_hours": 1, "claims": ["A"]}
    return {"targets": {"t": {"title": "T", **head, "criteria": [criterion]}}}


@pytest.mark.parametrize(
    ("found", "platform", "verdict", "percent"),
    [
        (row("PARTIAL", "cpu"), None, "PARTIAL", 50),
        (row("PARTIAL", "cpu"), "cpu", "DISCHARGED", 100),
        (row("PARTIAL", "cpu"), "cuda", "PARTIAL", 50),
        (row("DISCHARGED", "cpu"), "cuda", "PARTIAL", 50),
        (row("DISCHARGED", "cuda"), None, "DISCHARGED", 100),
        (row("DISCHARGED", "cuda"), "cpu", "PARTIAL", 50),
        (row("DISCHARGED", "cpu", "cuda"), "cpu", "DISCHARGED", 100),
        (row("DISCHARGED", "cpu", "cuda"), "mps", "PARTIAL", 50),
        (row("PARTIAL", "rehearsal"), "cuda", "PARTIAL", 50),
        (row("PARTIAL", "rehearsal"), "cpu", "DISCHARGED", 100),
        (row("PARTIAL", "rehearsal"), None, "PARTIAL", 50),
        (row("PARTIAL", idle=("tf32",)), "cpu", "PARTIAL", 50),
        (row("BLOCKED", "cpu"), "cpu", "BLOCKED", 0),
        (row("STALE", "cpu"), "cpu", "STALE", 0),
        (row("FALSIFIED", "cpu"), "cpu", "FALSIFIED", 0),
    ],
)
def test_what_a_claim_counts_as(found: Any, platform: str | None, verdict: str, percent: float) -> None:
    (target,) = ship.targets(plan(platform), {"A": found})
    assert (target["criteria"][0]["verdict"], target["ship_percent"]) == (verdict, percent)
    decision = decide(target, [found], None)
    assert decision.code == (1 if Verdict(verdict).red else 0 if verdict == "DISCHARGED" else 3)


@pytest.mark.parametrize("verdict", [each for each in ORDER if not each.survived])
def test_no_platform_makes_more_of_a_claim_that_did_not_survive(verdict: Verdict) -> None:
    assert ship.standing(row(verdict.value, "cpu"), "cpu") == (verdict, "its reason")


def test_a_claim_without_a_row_is_unverified() -> None:
    (target,) = ship.targets(plan("cpu"), {})
    assert (target["criteria"][0]["verdict"], target["ship_percent"]) == ("UNVERIFIED", 0)
    assert decide(target, [], None).short[0]["why"] == ["A: UNVERIFIED (in none of these runs)"]


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (row("DISCHARGED", "cuda"), "A: PARTIAL (survived on cuda; the target ships on cpu)"),
        (row("PARTIAL", idle=("tf32",)), "A: PARTIAL (survived; mutants not run: tf32; the target ships on cpu)"),
    ],
)
def test_the_gate_says_why_a_survival_counts_half(found: Any, why: str) -> None:
    (target,) = ship.targets(plan("cpu"), {"A": found})
    (short,) = decide(target, [found], None).short
    assert (short["verdict"], short["why"]) == ("PARTIAL", [why])


def test_the_line_names_a_platform_that_is_declared() -> None:
    lines = [ship.line(ship.targets(plan(name), {"A": row("PARTIAL", "cpu")})[0]) for name in ("cpu", None)]
    assert lines == [
        "100 % on cpu (1 discharged, 0 partial, 0 red, 0 open)",
        "50 % (0 discharged, 1 partial, 0 red, 0 open)",
    ]
