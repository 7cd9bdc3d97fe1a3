"""Emulated GPU arithmetic under the shipped claims: which limits would call an honest GPU wrong?

    python benchmarks/gpu_arithmetic.py --pools 2000

A pool is the cases of one claim in one dtype, computed by one kind of arithmetic with one seed. Exit 1 on any alarm,
or if nothing could be run.
`--rows FILE` appends each judgement as a line of JSON, so that a stopped run keeps what it saw.
"""

import argparse
import itertools
import json
import re
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from reordered.gpu import KINDS
from rich.progress import Progress

from harness.contract.cases import plan
from harness.contract.claim import Claim
from harness.contract.validate import check
from harness.evidence.counterexample import case_entry
from harness.judging.judge import Judgement, judge
from harness.judging.limits import measures
from harness.judging.verdict import Verdict
from harness.subject import binding
from harness.trial.experiment import Experiment, record, run_subject

CONTRACTS = Path(__file__).resolve().parent.parent / "contracts"
RATIOS = ("err_ratio", "worst_ratio", "worst_ratio_max")
JUDGED = {*RATIOS, "nonfinite_mismatch"}
Row = dict[str, Any]


def claims(only: str = "") -> list[Claim]:
    """Every claim that compares with a baseline's error or with its special values."""
    found = [c for contract in check([CONTRACTS]).contracts for c in contract.claims if c.baseline]
    return [c for c in found if re.search(only, c.id) and JUDGED & measures(c.accept)]


def judged(claim: Claim, seed: int, kinds: dict[str, Any]) -> Iterator[tuple[str, Judgement]]:
    """What the judge says of each kind on the same cases; reference and baseline run once for all kinds."""
    baseline = binding.module(claim.baseline)
    shared = Experiment(
        falsifier=binding.attribute(claim.falsifier),
        given=_given(claim),
        cases=plan(claim, seed),
        extras=measures(claim.accept),
        device="cpu",
        candidate=baseline,
        baseline=baseline,
    )
    if shared.special:  # special values are compared with the baseline's own, which only the engine collects
        for name, kind in kinds.items():
            yield name, judge(claim.source, record(replace(shared, candidate=kind, outputs={}), "cpu"))
        return
    cases = [shared.make(spec) for spec in shared.cases]
    usual = run_subject(shared, baseline, cases, "baseline")
    for name, kind in kinds.items():
        subjects = {"candidate": run_subject(shared, kind, cases, "candidate"), "baseline": usual}
        entries = [case_entry(spec) for spec in shared.cases]
        yield name, judge(claim.source, {"platform": "cpu", "cases": entries, "subjects": subjects, "mutants": {}})


def _given(claim: Claim) -> dict[str, Any]:
    """The claim's fixed parameters; a model that it names by the function that builds it is built."""
    found = {key: value for key, value in claim.given.items() if key != "dtype"}
    if ":" in str(found.get("weights", "")):
        found["weights"] = binding.attribute(found["weights"])()
    return found


def rows(asked: argparse.Namespace, kinds: dict[str, Any]) -> Iterator[Row]:
    """One row per claim, seed and kind, until the pools asked for are there."""
    left = asked.pools
    chosen = claims(asked.claim)
    for seed, claim in ((seed, claim) for seed in itertools.count(asked.seed) for claim in chosen or [None]):
        if claim is None:
            return
        start = time.process_time()
        for kind, found in judged(claim, seed, kinds):
            ran = found.verdict not in (Verdict.UNVERIFIED, Verdict.ERROR)
            ratios = {m: {d: float(v) for d, v in found.measurements.get(m, {}).items()} for m in RATIOS}
            pools = max(len({d for m in JUDGED for d in found.measurements.get(m, {})}), 1) if ran else 0
            left -= pools
            seconds, start = time.process_time() - start, time.process_time()
            alarms = [f"{v['limit']}, found {v['value']}" for v in found.violated] if ran else []
            yield {
                "claim": claim.id,
                "kind": kind,
                "seed": seed,
                "pools": pools,
                "alarms": alarms,
                "not_run": "" if ran else found.reason,
                "ratios": ratios,
                "seconds": round(seconds, 2),
            }
        if left <= 0:
            return


def table(found: Iterable[Row]) -> str:
    """The rows summed up per kind, as Markdown."""
    lines = ["| arithmetic | pools | alarms | not run | worst err_ratio | worst_ratio | worst_ratio_max | seconds |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for kind, group in itertools.groupby(sorted(found, key=lambda row: list(KINDS).index(row["kind"])), _kind):
        own = list(group)
        worst = [max((v for row in own for v in row["ratios"][m].values()), default=0.0) for m in RATIOS]
        counts = (sum(row["pools"] for row in own), sum(map(_alarmed, own)), sum(bool(row["not_run"]) for row in own))
        numbers = [*map(str, counts), *(f"{v:.2f}" for v in worst), f"{sum(row['seconds'] for row in own):.0f}"]
        lines.append(f"| {kind} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def _kind(row: Row) -> str:
    return str(row["kind"])


def _alarmed(row: Row) -> bool:
    return bool(row["alarms"])


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pools", type=int, default=2000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--claim", default="", help="only claims whose id matches this regular expression")
    options.add_argument("--kind", default="", help="only kinds whose name holds this text")
    options.add_argument("--rows", type=Path, help="append each judgement to this file")
    asked = options.parse_args()
    torch.set_num_threads(1)
    np.seterr(all="ignore")  # special values are meant
    kinds = {name: kind for name, kind in KINDS.items() if asked.kind in name}
    seen: list[Row] = []
    with Progress() as progress:
        task = progress.add_task("pools", total=asked.pools)
        for row in rows(asked, kinds):
            seen.append(row)
            progress.advance(task, row["pools"])
            for text in [*row["alarms"], *filter(None, [row["not_run"]])]:
                word = "ALARM" if row["alarms"] else "NOT RUN"
                progress.print(f"{word} {row['claim']} under {row['kind']}, seed {row['seed']}: {text}")
            if asked.rows:
                with asked.rows.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
    print(table(seen))
    return 1 if any(map(_alarmed, seen)) or not any(row["pools"] for row in seen) else 0


if __name__ == "__main__":
    sys.exit(main())
