"""What a gate's decision holds, and what a mutant's fate says: each part that a reader is told."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from harness.judging import gate, ship
from harness.judging.mutant_kills import alive, mutant_fate, weak

ENTRY = {
    "title": "T",
    "criteria": [
        {"id": "X1", "title": "one", "weight": 3, "effort_hours": 1, "claims": ["A", "B", "C"]},
        {"id": "X2", "title": "two", "weight": 1, "effort_hours": 2, "claims": []},
    ],
}


def _row(claim: str, verdict: str, reason: str) -> dict[str, Any]:
    return {"id": claim, "verdict": verdict, "reason": reason, "survived_on": [], "mutants": []}


def _decision(*rows: dict[str, Any], least: Fraction | None = None) -> gate.Decision:
    return gate.decide(ship.target("t", ENTRY, {row["id"]: row for row in rows}), rows, least)


def test_a_red_criterion_names_its_claims_by_reason() -> None:
    found = _decision(_row("A", "ERROR", "died"), _row("B", "ERROR", "died"), _row("C", "DISCHARGED", "lives"))
    assert found.red == [
        {"id": "X1", "title": "one", "verdict": "ERROR", "claims": ["A", "B", "C"], "why": ["A, B: ERROR (died)"]}
    ]
    (short,) = found.short
    assert short["why"] == ["no claim covers it"]
    assert found.as_json() == {
        "id": "t",
        "platform": None,
        "open": False,
        "exit_code": 1,
        "ship_percent": 0.0,
        "parts": {"discharged": 0, "partial": 0, "red": 1, "open": 1},
        "min_ship": None,
        "red": found.red,
        "short": found.short,
    }
    assert found.line == "CLOSED, 0 % (0 discharged, 0 partial, 1 red, 1 open)"


def test_a_required_share_opens_a_gate_that_is_short() -> None:
    rows = [_row(claim, "DISCHARGED", "lives") for claim in "ABC"]
    assert _decision(*rows).code == 3
    found = _decision(*rows, least=Fraction(75))
    assert (found.code, found.as_json()["open"], found.as_json()["min_ship"]) == (0, True, 75.0)
    assert found.line.startswith("OPEN, 75 % ")
    assert found.line.endswith("; at least 75 % required")


def test_nothing_weighs_nothing() -> None:
    empty: Any = {**_decision().target, "criteria": []}
    assert gate.ship_percent(empty) == 0
    assert ship.targets({}, {}) == []


def _fate(rows: list[dict[str, Any]], limit: float = 0.01) -> Any:
    claim = {"accept": {"rel_l2_err": {"le": limit, "why": "w"}}}
    cases = [{"index": i, "seed": i, "dtype": row["dtype"], "params": {}} for i, row in enumerate(rows)]
    subject: Any = {"status": "ran", "reason": "", "rows": rows, "scalars": [], "faults": []}
    record: Any = {"platform": "cpu", "cases": cases, "subjects": {}, "mutants": {}}
    return mutant_fate("m", subject, claim, record)


def _of(case: int, dtype: str, error: float, **more: Any) -> dict[str, Any]:
    sums = {"n": 1, "ref_sq": 1.0, "err_sq": error**2, "err_max": error, "ref_max": 1.0}
    return {"case": case, "pair": "y", "dtype": dtype, **sums, "at": [0], "got": 1.0, "want": 1.0, **more}


def test_a_limit_kills_by_its_largest_margin_over_the_dtypes() -> None:
    found = _fate([_of(0, "float16", 0.5), _of(1, "float32", 0.2)])
    assert found["kills"] == {"rel_l2_err le 0.01": pytest.approx(50)}
    assert (found["killed"], found["weak"], found["implicit"]) == (True, False, False)


def test_a_wrong_shape_is_no_kill_of_a_written_limit() -> None:
    found = _fate([_of(0, "float32", 0.5, shape="found (1,), expected (2,)")])
    assert found["implicit"]
    assert found["by"].startswith("shape (")


def test_weak_mutants_are_listed() -> None:
    fates: list[Any] = [{"name": "a", "weak": True}, {"name": "b", "weak": False}, {"name": "c", "weak": True}]
    assert weak(fates) == "; weak: a, c killed by less than 10x"
    assert weak(fates[1:2]) == ""


@pytest.mark.parametrize(
    ("killed", "status", "lives"),
    [
        (False, "ran", True),
        (True, "ran", False),
        (False, "crashed", True),
        (False, "inapplicable", False),
        (False, "not_run", False),
    ],
)
def test_who_is_alive(killed: bool, status: str, lives: bool) -> None:
    mutant: Any = {"killed": killed, "status": status}
    assert alive(mutant) is lives


def test_a_bare_target_and_a_bare_criterion_take_their_defaults() -> None:
    thirds: list[dict[str, Any]] = [{"id": f"X{i}", "weight": 1, "effort_hours": 1, "claims": ["A"]} for i in range(2)]
    bare = {"id": "X2", "weight": 1, "effort_hours": 1}
    found = ship.target("t", {"criteria": [*thirds, bare]}, {"A": _row("A", "DISCHARGED", "lives")})
    assert (found["title"], found["platform"], found["ship_percent"]) == ("t", None, 66.67)
    last = found["criteria"][2]
    assert (last["title"], last["claims"], last["open"], last["ship_blocking"]) == ("", [], [], True)
    assert (last["credit"], last["verdict"]) == (0.0, "UNVERIFIED")
    assert ship.target("t", {"criteria": []}, {})["ship_percent"] == 0.0


def test_a_standing_says_where_and_what_is_missing() -> None:
    row: Any = {**_row("A", "PARTIAL", "r"), "survived_on": ["cpu", "mps"]}
    row["mutants"] = [{"name": name, "status": "not_run"} for name in "pq"]
    assert ship.standing(row, "mps") == ("DISCHARGED", "survived on cpu, mps")
    told = "survived on cpu, mps; mutants not run: p, q; the target ships on cuda"
    assert ship.standing(row, "cuda") == ("PARTIAL", told)


def test_a_criterion_that_blocks_nothing_is_not_short() -> None:
    criteria = [{**ENTRY["criteria"][1], "ship_blocking": False}]
    found = gate.decide(ship.target("t", {"criteria": criteria}, {}), [], None)
    assert (found.short, found.code) == ([], 0)
