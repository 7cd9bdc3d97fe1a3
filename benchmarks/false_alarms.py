"""Correct, re-ordered code under every shipped claim, over many seeds: how often is it called wrong?

    python benchmarks/false_alarms.py --runs 300

A run is one claim, one correct implementation, one seed: all cases of the claim, every limit. Exit 1 on any alarm.
"""

import argparse
import itertools
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from reordered import KERNELS
from rich.progress import track

import candidates.torch as eager
from harness import binding
from harness.cases import plan
from harness.contract.claim import Claim
from harness.contract.validate import check
from harness.experiment import Experiment, record
from harness.judge import judge
from harness.limits import measures

CONTRACTS = Path(__file__).resolve().parent.parent / "contracts"


class Rows:
    """A decoder that computes each row of the batch alone."""

    def __init__(self, model):
        self.model = model

    def logits(self, tokens):
        return torch.cat([self.model.logits(row[None]) for row in tokens])


class Wide:
    """A decoder in float64 inside, rounded at the end."""

    def __init__(self, model, dtype):
        self.model, self.dtype = model, getattr(torch, dtype)

    def logits(self, tokens):
        return self.model.logits(tokens).to(self.dtype)


def alone(config, weights, *, dtype, device):
    return Rows(eager.load(config, weights, dtype=dtype, device=device))


def wide(config, weights, *, dtype, device):
    return Wide(eager.load(config, weights, dtype="float64", device=device), dtype)


DECODERS = {
    "batch of one": SimpleNamespace(ARRAYS="torch", load=alone),
    "float64 inside": SimpleNamespace(ARRAYS="torch", load=wide),
}


def shipped() -> list[tuple[Claim, str, object]]:
    """Every claim with every correct implementation of its op; models that need a checkpoint are left out."""
    claims = [c for contract in check([CONTRACTS]).contracts for c in contract.claims]
    return [
        (claim, name, subject)
        for claim in claims
        if "weights" not in claim.given
        for name, subject in (KERNELS.get(claim.op) or DECODERS).items()
    ]


def alarm(claim: Claim, subject: object, seed: int) -> tuple[list[dict], dict[str, dict[str, float]]]:
    """What is violated, and the measurements, of one correct implementation."""
    experiment = Experiment(
        falsifier=binding.attribute(claim.falsifier),
        given={key: value for key, value in claim.given.items() if key != "dtype"},
        cases=plan(claim, seed),
        extras=measures(claim.accept),
        device="cpu",
        candidate=subject,
        baseline=binding.module(claim.baseline),
    )
    found = judge(claim.source, record(experiment, "cpu"))
    ran = bool(found.measurements)
    return (found.violated if ran else [{"limit": f"did not run: {found.reason}"}]), found.measurements


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=300)
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    torch.set_num_threads(1)
    subjects = shipped()
    runs = itertools.islice(((s, seed) for seed in itertools.count(asked.seed) for s in subjects), asked.runs)
    ratios: dict[tuple[str, str], list[float]] = {}
    alarms = 0
    for (claim, name, subject), seed in track(runs, total=asked.runs, description="runs"):
        violated, measured = alarm(claim, subject, seed)
        alarms += bool(violated)
        for finding in violated:
            print(f"ALARM {claim.id} on `{name}`, seed {seed}: {finding['limit']} = {finding.get('value')}")
        for measure in ("err_ratio", "worst_ratio", "worst_ratio_max"):
            for dtype, value in measured.get(measure, {}).items():
                ratios.setdefault((measure, dtype), []).append(float(value))
    print(f"{asked.runs} runs of {len(subjects)} correct implementations: {alarms} alarms")
    print("| measurement | dtype | pools | median | 99 % | largest |\n|---|---|---|---|---|---|")
    for (measure, dtype), values in sorted(ratios.items()):
        median, high = np.quantile(values, [0.5, 0.99])
        print(f"| {measure} | {dtype} | {len(values)} | {median:.2f} | {high:.2f} | {max(values):.2f} |")
    return 1 if alarms else 0


if __name__ == "__main__":
    sys.exit(main())
