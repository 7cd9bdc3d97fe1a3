"""One claim from its job to its judgement, and what follows from a violation."""

from __future__ import annotations

import contextlib
import sys
import traceback
from typing import Any

from harness.contract.cases import CaseSpec
from harness.errors import UserError
from harness.judging.judge import Judgement, judge, nearly_single
from harness.judging.verdict import Verdict
from harness.subject import binding
from harness.subject.device import platform
from harness.trial.attempt import attempt, violates
from harness.trial.experiment import Experiment, record
from harness.trial.job import Job, assemble
from harness.trial.narrowing import narrowed
from harness.trial.shrink import shrink
from harness.trial.stages import localise


def examine(job: Job, tick: Any) -> dict[str, Any]:
    """The record, its judgement, and what follows from a violation."""
    try:
        experiment = assemble(job, tick)
    except ModuleNotFoundError as missing:
        return _end({"subjects": {"candidate": _absent(f"dependency `{missing.name}` is not installed")}}, job)
    except UserError as problem:
        return _end({"error": str(problem)}, job)
    except Exception as problem:  # noqa: BLE001  (a crash costs that claim its verdict and nothing else)
        traceback.print_exc()
        return _end({"error": f"{type(problem).__name__}: {problem}"}, job)
    found = record(experiment, platform(job.device))
    _print_tracebacks(found)
    judgement = judge(job.claim.source, found)
    if nearly_single(judgement, job.claim.source, found):
        with contextlib.suppress(Exception):  # it ran once already; what it does now changes no verdict
            found["subjects"]["candidate"]["narrowed"] = narrowed(experiment)
            judgement = judge(job.claim.source, found)
    out: dict[str, Any] = {"record": found, "judgement": judgement}
    if judgement.verdict is Verdict.FALSIFIED:
        tick("shrinking")
        out |= _follow_up(job, experiment, found, judgement)
    return out


def _follow_up(job: Job, experiment: Experiment, found: dict[str, Any], judgement: Judgement) -> dict[str, Any]:
    """The smallest counterexample and, where the falsifier can tell, the stage."""
    claim = job.claim.source
    index = next((v["case"] for v in judgement.violated if v["case"] is not None), None)
    start = CaseSpec(**next(c for c in found["cases"] if c["index"] == (index if index is not None else 0)))
    reproducible = violates(experiment, claim, found, start)
    least = start
    if reproducible:
        least = shrink(
            job.claim,
            job.seed,
            start,
            lambda spec: violates(experiment, claim, found, spec),
            job.claim.budget_s,
        )
    try:
        found_again = attempt(experiment, claim, found, least)
    except Exception:  # noqa: BLE001  (what was violated stays violated, though it cannot be shown again)
        traceback.print_exc()
        return {}
    companion = job.claim.falsifier + "_stages"
    out: dict[str, Any] = {"attempt": found_again, "reproducible": reproducible, "start": start, "job": job}
    module, _, name = companion.rpartition(":")
    if hasattr(binding.module(module, job.folder), name):
        out["stages"] = localise(experiment, binding.attribute(companion, job.folder), least)
    return out


def _end(found: dict[str, Any], job: Job) -> dict[str, Any]:
    whole = {"platform": platform(job.device), "cases": [], "subjects": {}, "mutants": {}, **found}
    return {"record": whole, "judgement": judge(job.claim.source, whole)}


def _absent(reason: str) -> dict[str, Any]:
    return {"status": "unsupported", "reason": reason, "rows": [], "scalars": [], "faults": []}


def _print_tracebacks(found: dict[str, Any]) -> None:
    """Tracebacks belong in the claim's log, not in its result."""
    for name, subject in {**found["subjects"], **found["mutants"]}.items():
        text = subject.pop("traceback", "")
        if text:
            print(f"--- {name}\n{text}", file=sys.stderr)
