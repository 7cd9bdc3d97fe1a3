"""Decide whether targets may ship, from sealed runs of one candidate on one or several hosts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

from harness.contract.problem import nearest
from harness.errors import UserError
from harness.evidence import signature, store
from harness.evidence.body import Merged, RunBody
from harness.evidence.merge import merge
from harness.evidence.release import stale
from harness.evidence.release.at_hand import AtHand, Named, at_hand
from harness.evidence.verify import check
from harness.judging.gate import Decision, decide
from harness.judging.verdict import Verdict


@dataclass(frozen=True)
class Question:
    """The targets to decide, the evidence to use, what is to ship, and the conditions on the evidence."""

    evidence: list[str]
    targets: list[str]
    named: Named
    """Evidence of anything else than this is STALE."""
    min_ship: Fraction | None = None
    """The ship-% that opens the gate; None: every ship-blocking criterion must be discharged."""
    max_age: timedelta | None = None
    signers: signature.Signers = field(default_factory=signature.Signers)
    """Who may have signed the runs."""


NOTHING: Merged = {"counts": {}, "claims": [], "targets": []}


@dataclass(frozen=True)
class Ruling:
    """The decisions on the targets. If there are `faults`, the evidence cannot be trusted and nothing was decided."""

    hand: AtHand
    folders: list[Path]
    faults: list[str]
    runs: list[tuple[Path, RunBody]] = field(default_factory=list)
    merged: Merged = field(default_factory=lambda: NOTHING)
    decisions: list[Decision] = field(default_factory=list)
    trusted: list[str] = field(default_factory=list)
    """What the evidence was believed in, because its source is not here."""

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


def rule_on(question: Question) -> Ruling:
    """Verify the runs, mark what is not of what is at hand, merge, and decide each target by the ship.yaml at hand.

    Raises: UserError if there is no ship.yaml or no such target at hand, or if the runs cannot be merged.
    """
    hand = at_hand(question.named)
    _refuse_unknown(question.targets, hand)
    folders = store.sealed_runs(map(Path, question.evidence))
    faults = [fault for folder in folders for fault in check(folder) or signature.faults(folder, question.signers)]
    if faults:
        return Ruling(hand, folders, faults)
    runs: list[tuple[Path, RunBody]] = [(folder, store.read_json(folder / "run.json")) for folder in folders]
    hand = hand.with_contracts(contract["id"] for _, body in runs for contract in body["contracts"])
    trusted: list[str] = []
    now = datetime.now(UTC)
    for folder, body in runs:
        trusted += stale.by_hand(folder, body, hand)
        if question.max_age is not None:
            faults += stale.by_age(folder, body, question.max_age, now)
    if faults:
        return Ruling(hand, folders, faults)
    merged = merge(runs, hand.ship.source)
    targets = {target["id"]: target for target in merged["targets"]}
    decisions = [decide(targets[name], merged["claims"], question.min_ship) for name in dict.fromkeys(question.targets)]
    return Ruling(hand, folders, [], runs, merged, decisions, list(dict.fromkeys(trusted)))


def _refuse_unknown(names: list[str], hand: AtHand) -> None:
    known = [target.id for target in hand.ship.targets]
    for name in names:
        if name not in known:
            raise UserError(
                f"--target {name}: not a target of {hand.ship.path} ({', '.join(known)}){nearest(name, known)}"
            )
