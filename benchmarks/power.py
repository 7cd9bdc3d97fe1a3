"""Wrong versions under every shipped claim that tests them: how many are caught, and how many by other rules?

    python benchmarks/power.py                    all versions; --only NAME or MODULE, --seed N
    python benchmarks/power.py --markdown FILE    the tables as they stand in docs/power.md

A version is caught if a claim on its op is FALSIFIED; its right twin may break no limit of any of these claims. The
other rules compare a version with its twin on one conventional problem. Exit 1 on an alarm, or if nothing was run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import power_tables
import torch
from prepared import Prepared
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn
from wrong import VERSIONS
from wrong.rules import RULES, agreed
from wrong.version import Version

from harness.contract.claim import Claim
from harness.contract.validate import check
from harness.judging.verdict import Verdict
from harness.subject.torch_settings import settle

CONTRACTS = Path(__file__).resolve().parent.parent / "contracts"


@dataclass
class Outcome:
    """What became of one version: the claim that caught it, the alarms on its twin, the rules that it passed."""

    version: Version
    claims: int = 0
    caught: str = ""
    alarms: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    passed: dict[str, bool] = field(default_factory=dict)


class Session:
    """The shipped claims, each prepared when a version first needs it and dropped after the last one."""

    def __init__(self, seed: int, claims: Iterable[Claim]) -> None:
        self.seed = seed
        self.claims = sorted(claims, key=lambda claim: claim.examples)
        self.ready: dict[str, Prepared] = {}

    def of(self, version: Version) -> list[Claim]:
        """The claims that test a version: those on its op, or those of its falsifiers."""
        if version.falsifiers:
            return [
                claim for claim in self.claims if claim.falsifier and claim.falsifier.startswith(version.falsifiers)
            ]
        return [claim for claim in self.claims if claim.op == version.op.removesuffix("_backward")]

    def prepared(self, claim: Claim) -> Prepared:
        if claim.id not in self.ready:
            self.ready[claim.id] = Prepared(claim, self.seed)
        return self.ready[claim.id]

    def keep_only(self, claims: list[Claim]) -> None:
        """Free the cases of all other claims."""
        kept = {claim.id for claim in claims}
        self.ready = {name: ready for name, ready in self.ready.items() if name in kept}


def examine(session: Session, version: Version, tick: Any) -> Outcome:
    """Run the version until a claim catches it, its right twin under all of them, and both under the other rules."""
    outcome = Outcome(version)
    claims = session.of(version)
    session.keep_only(claims)
    for claim in claims:
        tick(f"{version.name}: {claim.id}")
        twin = session.prepared(claim).judged(version.subject(wrong=False))
        if twin.verdict is Verdict.UNVERIFIED and not twin.measurements:
            continue  # the claim asks for something that this version does not offer
        outcome.claims += 1
        if twin.verdict is Verdict.ERROR:
            outcome.alarms.append(f"{claim.id}: {twin.reason}")
        outcome.alarms += [f"{claim.id}: {each['limit']}, found {each['value']}" for each in twin.violated]
        if outcome.caught:
            continue
        found = session.prepared(claim).judged(version.subject(wrong=True))
        if found.verdict is Verdict.FALSIFIED:
            worst = found.violated[0]
            outcome.caught = f"{claim.id}, {worst['measure']} of {worst['pair'] or 'the call'}, case {worst['case']}"
        elif found.verdict is Verdict.ERROR:
            outcome.stopped.append(f"{claim.id}: {found.reason.splitlines()[-1]}")
    outcome.passed = agreed(version)
    return outcome


def chosen(only: str) -> list[Version]:
    """The versions of this name, module or op, those that meet the same claims side by side.

    Raises: SystemExit if there is none.
    """
    groups = list(dict.fromkeys(map(_group, VERSIONS)))
    found = [v for v in VERSIONS if only in ("", v.name, v.family, v.op)]
    found.sort(key=lambda version: groups.index(_group(version)))
    if not found:
        known = ", ".join(sorted({v.family for v in VERSIONS}))
        sys.exit(f"power: found no version {only!r}, expected a version's name or one of {known}")
    return found


def _group(version: Version) -> tuple[str, ...]:
    return version.falsifiers or (version.op.removesuffix("_backward"),)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", default="", metavar="NAME", help="one version, or all of one module or op")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--markdown", metavar="FILE", help="write the tables to a file too")
    asked = options.parse_args()
    versions = chosen(asked.only)
    settle(threads=1)
    np.seterr(all="ignore")  # special values are meant
    torch.set_num_threads(1)
    session = Session(asked.seed, (c for contract in check([CONTRACTS]).contracts for c in contract.claims))
    console = Console(highlight=False, soft_wrap=True)
    outcomes: list[Outcome] = []
    text = ""
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console, transient=True) as progress:
        bar = progress.add_task("versions", total=len(versions))
        for version in versions:
            outcomes.append(examine(session, version, lambda text: progress.update(bar, description=text)))
            progress.update(bar, advance=1)
            console.print(power_tables.line(outcomes[-1]), markup=False)
            text = power_tables.markdown(outcomes, list(RULES), asked.seed)
            if asked.markdown:  # after every version, so that a run that is stopped leaves what it saw
                Path(asked.markdown).write_text(text, encoding="utf-8")
    console.print(text, markup=False)
    return 1 if any(o.alarms for o in outcomes) or not any(o.claims for o in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
