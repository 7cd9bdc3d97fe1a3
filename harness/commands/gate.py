"""`harness gate`: may these targets ship? From sealed evidence only, of one host or of several."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

from harness.commands import verify
from harness.contract.problem import nearest
from harness.errors import UserError
from harness.evidence import stale
from harness.evidence import store as evidence
from harness.evidence.merge import merge, plan
from harness.judging.gate import Decision, decide
from harness.judging.verdict import Verdict
from harness.report import github
from harness.report.claim import reported
from harness.report.terminal import print_json

Runs = list[tuple[Path, dict[str, Any]]]


@dataclass(frozen=True)
class Options:
    """The command line of one gate."""

    evidence: list[str]
    target: list[str]
    contracts: str | None = None
    min_ship: Fraction | None = None
    max_age: timedelta | None = None
    json: bool = False


def run(options: Options) -> int:
    """Say what stands between each target and shipping; returns the exit code: 0 open, 1 red, 3 short.

    Raises: UserError if the runs do not merge, or know no such target.
    """
    folders = evidence.sealed_runs(map(Path, options.evidence))
    faults = [fault for folder in folders for fault in verify.check(folder)]
    if faults:
        return _refused(options, folders, faults)
    runs = [(folder, evidence.read_json(folder / "run.json")) for folder in folders]
    now = datetime.now(UTC)
    for folder, body in runs:
        if options.contracts is not None:
            stale.by_contracts(folder, body, options.contracts)
        if options.max_age is not None:
            faults += stale.by_age(folder, body, options.max_age, now)
    if faults:
        return _refused(options, folders, faults)
    merged = merge(runs, _plan(folders))
    decisions = [decide(target, merged["claims"], options.min_ship) for target in _wanted(options.target, merged)]
    return _told(options, runs, merged, decisions)


def _plan(folders: list[Path]) -> dict[str, Any]:
    found = plan(folders)
    if not found["targets"]:
        raise UserError(f"{folders[0] / 'ship.yaml'}: not found; run contracts that have a ship.yaml above them")
    return found


def _wanted(names: list[str], merged: dict[str, Any]) -> list[dict[str, Any]]:
    targets = {target["id"]: target for target in merged["targets"]}
    for name in names:
        if name not in targets:
            known = list(targets)
            raise UserError(
                f"--target {name}: not a target of this evidence ({', '.join(known)}){nearest(name, known)}"
            )
    return [targets[name] for name in dict.fromkeys(names)]


def _refused(options: Options, folders: list[Path], faults: list[str]) -> int:
    """Evidence that cannot be trusted closes every gate."""
    if options.json:
        print_json({"open": False, "exit_code": 1, "evidence": [str(f) for f in folders], "faults": faults})
    else:
        for fault in faults:
            print(fault)
        for target in options.target:
            print(f"gate {target}: CLOSED, the evidence does not verify")
    if github.enabled():
        github.say([github.annotation("error", fault, title="harness gate") for fault in faults], options.json)
        github.append_summary(["## Gate: CLOSED", f"The evidence does not verify: {len(faults)} faults."])
    return 1


def _told(options: Options, runs: Runs, merged: dict[str, Any], decisions: list[Decision]) -> int:
    codes = {decision.code for decision in decisions}
    code = next(each for each in (1, 3, 0) if each in codes)
    named = {claim for decision in decisions for c in decision.target["criteria"] for claim in c["claims"]}
    beside = [row["id"] for row in merged["claims"] if Verdict(row["verdict"]).red and row["id"] not in named]
    if options.json:
        print_json(
            {
                "open": code == 0,
                "exit_code": code,
                "evidence": [str(folder) for folder, _ in runs],
                "faults": [],
                "targets": [decision.as_json() for decision in decisions],
                "red_elsewhere": beside,
            }
        )
    else:
        for decision in decisions:
            for criterion in decision.red + decision.short:
                print(f"{criterion['id']} {criterion['verdict']}: " + "; ".join(criterion["why"]))
            print(f"gate {decision.target['id']}: {decision.line}")
        if beside:
            print(f"red, though no criterion of these targets names it: {', '.join(beside)}")
    if github.enabled():
        claims = reported(merged, runs)
        github.say(github.of_decisions(decisions, claims), options.json)
        github.append_summary(github.gate_page(decisions, claims))
    return code
