"""Emulated GPU arithmetic under the shipped claims: which limits would call an honest GPU wrong?

    python benchmarks/gpu_arithmetic.py --pools 2000

A pool is the cases of one claim in one dtype, computed by one kind of arithmetic with one seed. Exit 1 on any alarm.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from reordered.gpu import KINDS
from rich.progress import track

from harness.contract.cases import plan
from harness.contract.claim import Claim
from harness.contract.validate import check
from harness.judging.judge import Judgement, judge
from harness.judging.limits import measures
from harness.judging.verdict import Verdict
from harness.subject import binding
from harness.trial.experiment import Experiment, case_entry, run_subject
from harness.trial.experiment import _remember as remember

CONTRACTS = Path(__file__).resolve().parent.parent / "contracts"
RATIOS = ("err_ratio", "worst_ratio", "worst_ratio_max")
JUDGED = {*RATIOS, "nonfinite_mismatch"}


def claims(only: str = "") -> list[Claim]:
    """Every claim with a ratio to its baseline's error among its limits."""
    found = [c for contract in check([CONTRACTS]).contracts for c in contract.claims if c.baseline]
    return [c for c in found if only in c.id and JUDGED & measures(c.accept)]


def judged(claim: Claim, seed: int, kinds: dict[str, Any]) -> Iterator[tuple[str, Judgement]]:
    """What the judge says of each kind on the same cases; reference and baseline run once for all kinds."""
    shared = Experiment(
        falsifier=binding.attribute(claim.falsifier),
        given=given(claim),
        cases=plan(claim, seed),
        extras=measures(claim.accept),
        device="cpu",
        candidate=None,
        baseline=binding.module(claim.baseline),
    )
    cases = [shared.make(spec) for spec in shared.cases]
    if shared.special:
        remember(shared, cases)
    baseline = run_subject(shared, shared.baseline, cases, "baseline")
    for name, kind in kinds.items():
        candidate = run_subject(replace(shared, candidate=kind), kind, cases, "candidate")
        found = {
            "platform": "cpu",
            "cases": [case_entry(spec) for spec in shared.cases],
            "subjects": {"candidate": candidate, "baseline": baseline},
            "mutants": {},
        }
        yield name, judge(claim.source, found)


def given(claim: Claim) -> dict[str, Any]:
    """The claim's fixed parameters; a model that it names by the function that builds it is built."""
    found = {key: value for key, value in claim.given.items() if key != "dtype"}
    if ":" in str(found.get("weights", "")):
        found["weights"] = binding.attribute(found["weights"])()
    return found


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pools", type=int, default=2000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--claim", default="", help="only claims whose id holds this text")
    options.add_argument("--kind", default="", help="only kinds whose name holds this text")
    options.add_argument("--times", action="store_true")
    asked = options.parse_args()
    torch.set_num_threads(1)
    np.seterr(all="ignore")
    kinds = {name: kind for name, kind in KINDS.items() if asked.kind in name}
    seen = {name: {"pools": 0, "alarms": 0, **dict.fromkeys(JUDGED, 0.0)} for name in kinds}
    worst: dict = {}
    n = 0
    for seed in itertools.count(asked.seed):
        for claim in claims(asked.claim):
            if n >= asked.pools:
                break
            start = time.perf_counter()
            for name, found in judged(claim, seed, kinds):
                if found.verdict in (Verdict.UNVERIFIED, Verdict.ERROR):
                    print(f"NOT RUN {claim.id} under `{name}`: {found.reason[:200]}")
                    continue
                for v in found.violated:
                    print(f"ALARM {claim.id} under `{name}`, seed {seed}: {v['limit']}, found {v['value']}")
                seen[name]["alarms"] += bool(found.violated)
                dts = set()
                for measure in JUDGED:
                    for dtype, value in found.measurements.get(measure, {}).items():
                        dts.add(dtype)
                        seen[name][measure] = max(seen[name][measure], float(value))
                        key = (claim.id, measure, dtype)
                        worst[key] = max(worst.get(key, (0, "")), (float(value), name))
                n += len(dts)
                seen[name]["pools"] += len(dts)
            if asked.times:
                print(f"  {claim.id} {time.perf_counter() - start:.1f} s", flush=True)
        if n >= asked.pools:
            break
        if n == 0:
            break
    for name, row in seen.items():
        print(name, row)
    for key, v in sorted(worst.items()):
        print(*key, *v)
    return 0


if __name__ == "__main__":
    sys.exit(main())
