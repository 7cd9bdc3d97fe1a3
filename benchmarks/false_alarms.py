"""Correct, re-ordered code under every shipped claim, over many seeds: how often is it called wrong?

    python benchmarks/false_alarms.py --runs 300

A run is one claim, one correct implementation, one seed: all cases of the claim, every limit. Fast formulas run under
all claims but those that ask for digits they are known to lose (`reordered/fast.py`). Exit 1 on any alarm, or if none
could be run.
"""

import argparse
import itertools
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from in_process import recorded
from reordered import KERNELS, fast
from rich.progress import track

import harness.candidates.torch as eager
from harness.contract.claim import Claim
from harness.contract.validate import check
from harness.judging.judge import Judgement, judge
from harness.judging.verdict import Verdict
from harness.subject.device import register
from harness.subject.torch_settings import settle

CONTRACTS = Path(__file__).resolve().parent.parent / "contracts"


class Rows:
    """A decoder that computes each row of the batch alone."""

    def __init__(self, model):
        self.model = model

    def logits(self, tokens):
        return torch.cat([self.model.logits(row[None]) for row in tokens])

    def prefill(self, tokens, lengths=None):
        if lengths is None:
            return self._joined([self.model.prefill(row[None]) for row in tokens])
        return self._joined(
            [self.model.prefill(t[None], lengths=n[None]) for t, n in zip(tokens, lengths, strict=True)]
        )

    def decode(self, tokens, cache):
        return self._joined([self.model.decode(t[None], c) for t, c in zip(tokens, cache.rows, strict=True)])

    def _joined(self, answers):
        return torch.cat([logits for logits, _ in answers]), SimpleNamespace(rows=[cache for _, cache in answers])


class Wide:
    """A decoder in float64 inside, rounded at the end."""

    def __init__(self, model, dtype):
        self.model, self.dtype = model, getattr(torch, dtype)

    def logits(self, tokens):
        return self.model.logits(tokens).to(self.dtype)

    def prefill(self, tokens, lengths=None):
        logits, cache = self.model.prefill(tokens, lengths=lengths)
        return logits.to(self.dtype), cache

    def decode(self, tokens, cache):
        logits, cache = self.model.decode(tokens, cache)
        return logits.to(self.dtype), cache


def alone(config, weights, *, dtype, device):
    return Rows(eager.load(config, weights, dtype=dtype, device=device))


def wide(config, weights, *, dtype, device):
    return Wide(eager.load(config, weights, dtype="float64", device=device), dtype)


DECODERS = {
    "batch of one": SimpleNamespace(ARRAYS="torch", load=alone),
    "float64 inside": SimpleNamespace(ARRAYS="torch", load=wide),
}

SINGLE = ("harness.falsifiers.ops", "harness.falsifiers.ops.special", "harness.falsifiers.ops.relations")
"""Modules whose falsifiers call one op."""
WHOLE = ("harness.falsifiers.model.decoder:logit_parity", "harness.falsifiers.model.relations:relation")
"""Falsifiers that load a decoder."""


def shipped() -> list[tuple[Claim, str, object]]:
    """Every claim on an op, and the decoder's parity and relations, with every correct implementation we have of it."""
    claims = [c for contract in check([CONTRACTS]).contracts for c in contract.claims]
    return [(claim, name, subject) for claim in claims for name, subject in _correct(claim).items()]


def _correct(claim: Claim) -> dict[str, object]:
    if claim.falsifier in WHOLE:
        return DECODERS
    if claim.falsifier.partition(":")[0] not in SINGLE:
        return {}
    fitting = {} if claim.id in fast.TOO_FEW_DIGITS else fast.KERNELS.get(claim.op, {})
    return KERNELS.get(claim.op, {}) | fitting


def judged(claim: Claim, subject: object, seed: int, device: str = "cpu") -> tuple[int, Judgement]:
    """How many cases one correct implementation ran, and what the judge says of it."""
    found = recorded(claim, subject, seed=seed, device=device)
    return len(found["cases"]), judge(claim.source, found)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=300)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--minutes", type=float, default=float("inf"), help="begin no run after this time")
    options.add_argument("--claim", default="", help="only claims whose id holds this text")
    options.add_argument("--device", default="cpu", help="where implementation and baseline compute (cpu, cuda, ...)")
    asked = options.parse_args()
    settle(threads=1)
    register(asked.device)
    np.seterr(all="ignore")  # special values are meant
    subjects = [each for each in shipped() if asked.claim in each[0].id]
    runs = itertools.islice(((s, seed) for seed in itertools.count(asked.seed) for s in subjects), asked.runs)
    ratios: dict[tuple[str, str], list[float]] = {}
    cases = alarms = not_run = done = 0
    end = time.monotonic() + 60 * asked.minutes
    for (claim, name, subject), seed in track(runs, total=asked.runs, description="runs"):
        if time.monotonic() >= end:
            break
        done += 1
        count, found = judged(claim, subject, seed, asked.device)
        if found.verdict in (Verdict.UNVERIFIED, Verdict.ERROR):
            not_run += 1
            print(f"NOT RUN {claim.id} on `{name}`: {found.reason}")
            continue
        cases += count
        alarms += bool(found.violated)
        for finding in found.violated:
            what = f"{finding['limit']}, found {finding['value']}"
            print(f"ALARM {claim.id} on `{name}`, seed {seed}: {what}", flush=True)
        for measure in ("err_ratio", "worst_ratio", "worst_ratio_max"):
            for dtype, value in found.measurements.get(measure, {}).items():
                ratios.setdefault((measure, dtype), []).append(float(value))
    print(f"{done} runs of {len(subjects)} claims x implementations, {cases} cases: ", end="")
    print(f"{alarms} alarms, {not_run} not run")
    print("\n| measurement | dtype | pools | median | 99 % | largest |\n|---|---|---|---|---|---|")
    for (measure, dtype), values in sorted(ratios.items()):
        median, high = np.quantile(values, [0.5, 0.99])
        print(f"| {measure} | {dtype} | {len(values)} | {median:.2f} | {high:.2f} | {max(values):.2f} |")
    return 1 if alarms or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
