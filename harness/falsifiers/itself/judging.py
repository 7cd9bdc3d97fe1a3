"""Falsifier of the judge: records of which nothing may pass."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from harness.case import Case
from harness.falsifiers.itself import engine
from harness.observation import Observation

MEASURES = {
    "passed": "number of records with something unknown or red that were DISCHARGED or PARTIAL",
    "misjudged": "number of records whose verdict is not the one that their damage asks for",
    "sound_lost": "number of records of a sound claim that were not DISCHARGED",
}
U = 2.0**-24
"""The unit round-off of float32."""
CLAIM = {
    "accept": {"err_ratio": {"le": 2.0, "why": "w"}, "loss": {"le": 1.0, "ge": 0.1, "why": "w"}},
    "discharges_on": ["cpu"],
    "mutants": ["wrong", "low"],
}
SCALARS = ("nan", "inf", "-inf")
Damage = tuple[Callable[[dict[str, Any]], object], str]


def judges(subject: Any, case: Case, *, damage: str) -> Observation:
    """Judge a sound record and the same with one damage, of one case and of two.

    Units: errors in float32 unit round-offs.
    """
    judge = engine.own(subject, "judge")
    change, want = DAMAGE[damage]
    passed = misjudged = lost = 0
    for cases in (1, 2):
        sound = _record(case, cases)
        lost += judge(CLAIM, copy.deepcopy(sound)) != "DISCHARGED"
        change(sound)
        found = judge(CLAIM, sound)
        passed += found in ("DISCHARGED", "PARTIAL") and want != "PARTIAL"
        misjudged += found != want
    return Observation(passed=passed, misjudged=misjudged, sound_lost=lost)


def _record(case: Case, cases: int) -> dict[str, Any]:
    """A record of a sound claim: a candidate as good as its baseline, and a mutant for each limit."""
    errors = case.stream(f"errors of {cases}").uniform(0.5, 1.0, cases)
    right = _ran([_row(i, float(e) * U) for i, e in enumerate(errors)], 0.5)
    return {
        "platform": "cpu",
        "cases": [{"index": i, "seed": i, "dtype": "float32", "params": {}} for i in range(cases)],
        "subjects": {"candidate": right, "baseline": copy.deepcopy(right)},
        "mutants": {
            "wrong": _ran([_row(i, 1.0) for i in range(cases)], 5.0),
            "low": _ran([_row(i, 0.5 * U) for i in range(cases)], 0.01),
        },
    }


def _row(index: int, error: float) -> dict[str, Any]:
    """One row of 100 elements with this RMS error; the reference's RMS is 1."""
    sums = {"n": 100, "ref_sq": 100.0, "err_sq": 100 * error**2, "err_max": error, "ref_max": 1.0}
    return {"case": index, "pair": "y", "dtype": "float32", **sums, "at": [0], "got": 1.0, "want": 1.0}


def _ran(rows: list[dict[str, Any]], loss: float) -> dict[str, Any]:
    scalars = [{"case": row["case"], "name": "loss", "value": loss} for row in rows]
    return {"status": "ran", "reason": "", "rows": rows, "scalars": scalars, "faults": []}


def _rows(record: dict[str, Any], who: str = "candidate") -> Any:
    return (record["subjects"] if who in record["subjects"] else record["mutants"])[who]


def _put(who: str, key: str, value: Any) -> Callable[[dict[str, Any]], object]:
    """A damage: one sum of the last row of a subject."""
    return lambda record: _rows(record, who)["rows"][-1].update({key: value})


def _loss(value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda record: _rows(record)["scalars"][-1].update(value=value)


def _empty(record: dict[str, Any]) -> None:
    """No element was compared in the last case, as `harness.judging.measure` records it."""
    _rows(record)["rows"][-1].update(n=0, err_sq=0.0, ref_sq=0.0, err_max="nan", ref_max=0.0)


def _all_empty(record: dict[str, Any]) -> None:
    for row in _rows(record)["rows"]:
        row.update(n=0, err_sq=0.0, ref_sq=0.0, err_max="nan", ref_max=0.0)


def _nothing_ran(record: dict[str, Any]) -> None:
    record["cases"] = []
    for subject in (*record["subjects"].values(), *record["mutants"].values()):
        subject.update(rows=[], scalars=[])


def _status(who: str, status: str) -> Callable[[dict[str, Any]], object]:
    return lambda record: _rows(record, who).update(status=status, reason="r", rows=[], scalars=[])


def _fault(limit: str) -> Callable[[dict[str, Any]], object]:
    return lambda record: _rows(record)["faults"].append({"case": 0, "limit": limit, "detail": "d"})


def _survivor(record: dict[str, Any]) -> None:
    record["mutants"]["low"] = copy.deepcopy(record["subjects"]["candidate"])


DAMAGE: dict[str, Damage] = {
    **{f"{word} error": (_put("candidate", "err_sq", word), "FALSIFIED") for word in ("nan", "inf")},
    "nan largest error alone": (_put("candidate", "nonfinite", 1), "FALSIFIED"),
    **{f"{word} loss": (_loss(word), "FALSIFIED") for word in SCALARS},
    "an error beyond its limit": (_put("candidate", "err_sq", 1.0), "FALSIFIED"),
    "a loss too low": (_loss(0.05), "FALSIFIED"),
    "an empty case": (_empty, "FALSIFIED"),
    "every case empty": (_all_empty, "FALSIFIED"),
    "a case without a row": (lambda record: _rows(record)["rows"].pop(), "FALSIFIED"),
    "no row": (lambda record: _rows(record)["rows"].clear(), "FALSIFIED"),
    "a case without a loss": (lambda record: _rows(record)["scalars"].pop(), "FALSIFIED"),
    "no case": (_nothing_ran, "VACUOUS"),
    "another shape": (_put("candidate", "shape", "found (1,), expected (2,)"), "FALSIFIED"),
    "an edited input": (_fault("inputs_unchanged"), "FALSIFIED"),
    "no candidate": (lambda record: record["subjects"].pop("candidate"), "UNVERIFIED"),
    "a candidate that lacks it": (_status("candidate", "unsupported"), "UNVERIFIED"),
    "a candidate that crashed": (_status("candidate", "crashed"), "ERROR"),
    "a baseline that crashed": (_status("baseline", "crashed"), "ERROR"),
    "an error of the whole": (lambda record: record.update(error="the driver died"), "ERROR"),
    "a baseline out of limits": (_put("baseline", "err_sq", 1.0), "UNSOUND"),
    "a baseline that is nan": (_put("baseline", "err_sq", "nan"), "UNSOUND"),
    "a baseline and a candidate that are nan": (
        lambda record: (_put("baseline", "err_sq", "nan")(record), _put("candidate", "err_sq", "nan")(record)),
        "UNSOUND",
    ),
    "a mutant that survived": (_survivor, "VACUOUS"),
    "a mutant that crashed": (_status("low", "crashed"), "VACUOUS"),
    "a mutant that is missing": (lambda record: record["mutants"].update(more=record["mutants"].pop("low")), "VACUOUS"),
    "no mutant": (lambda record: record["mutants"].clear(), "VACUOUS"),
    "a limit that killed nothing": (
        lambda record: (
            [s.update(value=0.5) for s in record["mutants"]["low"]["scalars"]] + [_put("low", "err_sq", 1.0)(record)]
        ),
        "VACUOUS",
    ),
    "mutants left out": (lambda record: record.update(mutants={}, mutants_left_out=True), "UNVERIFIED"),
    "a mutant that could not run here": (_status("wrong", "not_run"), "VACUOUS"),
    "another platform": (lambda record: record.update(platform="mps"), "PARTIAL"),
}
"""Name -> (what becomes of a sound record, the verdict that it asks for)."""
