"""Decide whether targets may ship, from sealed runs of one candidate on one or several hosts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

from harness.contract.problem import nearest
from harness.errors import UserError
from harness.evidence import signature, stale, store
from harness.evidence.body import Merged, RunBody
from harness.evidence.merge import merge, plan
from harness.evidence.verify import check
from harness.judging.gate import Decision, decide
from harness.judging.ship import TargetRow
from harness.judging.verdict import Verdict


@dataclass(frozen=True)
class Question:
    """The targets to decide, the evidence to use, and the conditions on it."""

    evidence: list[str]
    targets: list[str]
    contracts: str | None = None
    """A folder of contracts; evidence whose contracts differ from these is STALE."""
    min_ship: Fraction | None = None
    """The ship-% that opens the gate; None: every ship-blocking criterion must be discharged."""
    max_age: timedelta | None = None
    keys: tuple[str, ...] = ()
    """Public keys; a signature must be by one of them."""
    signed: bool = False
    """Whether every run must be signed."""


@dataclass(frozen=True)
class Ruling:
    """The decisions on the targets. If there are `faults`, the evidence cannot be trusted and nothing was decided."""

    folders: list[Path]
    faults: list[str]
    runs: list[tuple[Path, RunBody]]
    merged: Merged
    decisions: list[Decision]

    @property
    def code(self) -> int:
        """The exit code: 0 open, 1 red or evidence with faults, 3 short of what the gate requires."""
        if self.faults:
            return 1
        codes = {decision.code for decision in self.decisions}
        return next(each for each in (1, 3, 0) if each in codes)

    @property
    def red_elsewhere(self) -> list[str]:
        """Red claims that no criterion of these targets names."""
        named = {claim for each in self.decisions for c in each.target["criteria"] for claim in c["claims"]}
        return [row["id"] for row in self.merged["claims"] if Verdict(row["verdict"]).red and row["id"] not in named]


NOTHING: Merged = {"counts": {}, "claims": [], "targets": []}


def rule_on(question: Question) -> Ruling:
    """Verify the runs, mark what is stale, merge, and decide each target.

    Raises: UserError if the runs cannot be merged, or have no ship.yaml or no such target.
    """
    folders = store.sealed_runs(map(Path, question.evidence))
    faults = [
        fault
        for folder in folders
        for fault in check(folder) or signature.faults(folder, question.keys, question.signed)
    ]
    if faults:
        return Ruling(folders, faults, [], NOTHING, [])
    runs: list[tuple[Path, RunBody]] = [(folder, store.read_json(folder / "run.json")) for folder in folders]
    now = datetime.now(UTC)
    for folder, body in runs:
        if question.contracts is not None:
            stale.by_contracts(folder, body, question.contracts)
        if question.max_age is not None:
            faults += stale.by_age(folder, body, question.max_age, now)
    if faults:
        return Ruling(folders, faults, [], NOTHING, [])
    merged = merge(runs, _plan(folders))
    wanted = _wanted(question.targets, merged)
    return Ruling(folders, [], runs, merged, [decide(each, merged["claims"], question.min_ship) for each in wanted])


def _plan(folders: list[Path]) -> dict[str, Any]:
    found = plan(folders)
    if not found["targets"]:
        raise UserError(f"{folders[0] / 'ship.yaml'}: not found; run contracts that have a ship.yaml above them")
    return found


def _wanted(names: list[str], merged: Merged) -> list[TargetRow]:
    targets = {target["id"]: target for target in merged["targets"]}
    for name in names:
        if name not in targets:
            known = list(targets)
            raise UserError(
                f"--target {name}: not a target of this evidence ({', '.join(known)}){nearest(name, known)}"
            )
    return [targets[name] for name in dict.fromkeys(names)]
