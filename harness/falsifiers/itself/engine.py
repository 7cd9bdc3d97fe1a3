"""Harness's own judging, ship-%, verify and gate, under the names by which the claims on Harness call them.

A candidate may offer another `judge`, `ship_target`, `min_ship`, `verify_run` or `gate_run`; the claims then hold that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from harness.evidence import verify
from harness.evidence.release.at_hand import Named
from harness.evidence.release.ruling import Question, rule_on
from harness.judging import gate, ship
from harness.judging import judge as judging

ARRAYS = "numpy"


def own(subject: Any, name: str) -> Callable[..., Any]:
    """The function `name` of the subject if it offers one, as mutants do; else Harness's own, which is then tested."""
    found: Callable[..., Any] = getattr(subject, name) if subject.offers(name) else globals()[name]
    return found


def judge(claim: dict[str, Any], record: Any) -> str:
    """The verdict on a claim (its YAML entry as data) and its record."""
    return str(judging.judge(claim, record).verdict)


def ship_target(entry: Mapping[str, Any], rows: Mapping[str, Any]) -> dict[str, Any]:
    """A target's ship-%, parts and criteria, from its entry in ship.yaml and the rows of claims by id."""
    return dict(ship.target("target", entry, rows))


def min_ship(target: Any, least: str) -> bool:
    """Whether a gate that asks for at least `least` percent is open; nothing in the target is red."""
    return gate.decide(target, [], Fraction(least)).code == 0


def verify_run(run: str) -> list[str]:
    """The faults of a sealed run."""
    return verify.check(Path(run))


def gate_run(home: str, candidate: str, evidence: list[str]) -> tuple[int, list[str]]:
    """(exit code, reasons) of the gate in the folder `home` for evidence there and the target `doubling`."""
    with contextlib.chdir(home):
        found = rule_on(Question(evidence, ["doubling"], Named(candidate)))
    why = [each for decision in found.decisions for s in (*decision.red, *decision.short) for each in s["why"]]
    return found.code, [*found.faults, *why]
