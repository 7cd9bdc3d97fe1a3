"""Thin the series of a claim (losses, gradient norms, drift over tokens) to curves small enough for a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from harness.judging.record import Record
from harness.measurements.row import Number

POINTS = 240
CASES = 4
AXES = ("token", "step")
"""A series with one of these names is the x axis for the other series of its case."""


class Points(TypedDict):
    """The points to draw; None where a value is not finite."""

    x: list[Number]
    candidate: list[float | None]
    baseline: list[float | None]


class Curve(Points):
    """One series of one case."""

    name: str
    case: int
    axis: str


class Curves(TypedDict):
    """The curves to draw, and the number of further cases that have curves."""

    curves: list[Curve]
    left_out: int


def curves(record: Record) -> Curves:
    """The candidate's series beside the baseline's.

    A series of more than POINTS points keeps every k-th; of more than CASES cases the first are kept, and `left_out`
    counts the rest.
    """
    candidate, baseline = (_series(record, who) for who in ("candidate", "baseline"))
    out: list[Curve] = []
    cases = sorted((case for case in candidate if _plottable(candidate[case])), key=int)
    for case in cases[:CASES]:
        series = candidate[case]
        axis = next((name for name in AXES if name in series), None)
        for name, values in series.items():
            if name == axis or len(values) < 2:
                continue
            x: list[Number] = series[axis] if axis and len(series[axis]) == len(values) else list(range(len(values)))
            other = baseline.get(case, {}).get(name, [])
            out.append(
                {
                    "name": name,
                    "case": int(case),
                    "axis": axis or "entry",
                    **_thinned(x, values, other if len(other) == len(values) else []),
                }
            )
    return {"curves": out, "left_out": max(len(cases) - CASES, 0)}


def _series(record: Record, who: str) -> dict[str, dict[str, list[Number]]]:
    subject = record["subjects"].get(who)
    return subject.get("series", {}) if subject else {}


def _plottable(series: Mapping[str, list[Number]]) -> bool:
    return any(len(values) > 1 for values in series.values())


def _thinned(x: list[Number], candidate: list[Number], baseline: list[Number]) -> Points:
    every = -(-len(x) // POINTS)
    kept = [i for i in range(len(x)) if i % every == 0 or i == len(x) - 1]
    return {
        "x": [x[i] for i in kept],
        "candidate": [_brief(candidate[i]) for i in kept],
        "baseline": [_brief(baseline[i]) for i in kept] if baseline else [],
    }


def _brief(value: Number) -> float | None:
    """A number rounded to six digits; None if it is not finite."""
    return None if isinstance(value, str) else float(f"{value:.6g}")
