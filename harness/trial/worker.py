"""What runs inside a claim's own process, forked from a server that has torch loaded already."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from harness.contract.cases import CaseSpec, plan
from harness.contract.claim import Claim
from harness.errors import UserError
from harness.judging.judge import Judgement, judge, nearly_single
from harness.judging.limits import measures
from harness.judging.verdict import Verdict
from harness.mutant import mutants_of
from harness.subject import binding, candidate
from harness.trial import attempt as counterexample
from harness.trial import stages
from harness.trial.experiment import Experiment, record
from harness.trial.narrowing import narrowed
from harness.trial.shrink import shrink


@dataclass(frozen=True)
class Job:
    """Everything a claim's process needs; plain data, so it can be sent."""

    claim: Claim
    staging: Path
    seed: int
    device: str
    candidate: str
    candidate_folder: str
    mutants: dict[str, str] = field(default_factory=dict)
    """Mutant name -> `module:name` of the module that declares it."""
    weights: str | None = None
    threads: int = 1

    @property
    def folder(self) -> Path:
        return Path(self.claim.path).parent


def work(job: Job, line: Connection) -> None:
    """Run one claim, write its files to staging, and say so on the line."""
    _die_with_parent(line)
    _redirect(job.staging / "log.txt")
    settle(job.threads)
    started = time.monotonic()
    with _scratch(job.staging / "scratch"):
        found = examine(job, lambda stage: line.send(("stage", stage)))
    from harness.evidence.result import write

    write(job.staging, job.claim, found, device=job.device, seconds=time.monotonic() - started)
    sys.stdout.flush()
    sys.stderr.flush()
    line.send(("done", found["judgement"].verdict.value))


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


def assemble(job: Job, tick: Any = lambda _: None) -> Experiment:
    """Import what the claim names and fix its cases."""
    claim = job.claim
    baseline = binding.module(claim.baseline, job.folder) if claim.baseline else None
    if job.candidate == candidate.BASELINE and baseline is None:
        raise ModuleNotFoundError("the claim names no baseline", name="baseline")
    given = {key: value for key, value in claim.given.items() if key != "dtype"}
    if job.weights is not None and "weights" in given:
        given["weights"] = job.weights
    return Experiment(
        falsifier=binding.attribute(claim.falsifier, job.folder),
        given=given,
        cases=plan(claim, job.seed),
        extras=measures(claim.accept),
        device=job.device,
        candidate=(
            baseline if job.candidate == candidate.BASELINE else candidate.load(job.candidate, job.candidate_folder)
        ),
        baseline=baseline,
        mutants={name: _mutant(where, job.folder) for name, where in job.mutants.items()},
        tick=tick,
    )


def _mutant(where: str, folder: Path) -> Any:
    module, _, name = where.rpartition(":")
    return mutants_of(binding.module(module, folder))[name]


def _follow_up(job: Job, experiment: Experiment, found: dict[str, Any], judgement: Judgement) -> dict[str, Any]:
    """The smallest counterexample and, where the falsifier can tell, the stage."""
    claim = job.claim.source
    index = next((v["case"] for v in judgement.violated if v["case"] is not None), None)
    start = CaseSpec(**next(c for c in found["cases"] if c["index"] == (index if index is not None else 0)))
    reproducible = counterexample.violates(experiment, claim, found, start)
    least = start
    if reproducible:
        least = shrink(
            job.claim,
            job.seed,
            start,
            lambda spec: counterexample.violates(experiment, claim, found, spec),
            job.claim.budget_s,
        )
    try:
        attempt = counterexample.attempt(experiment, claim, found, least)
    except Exception:  # noqa: BLE001  (what was violated stays violated, though it cannot be shown again)
        traceback.print_exc()
        return {}
    companion = job.claim.falsifier + "_stages"
    out: dict[str, Any] = {"attempt": attempt, "reproducible": reproducible, "start": start, "job": job}
    module, _, name = companion.rpartition(":")
    if hasattr(binding.module(module, job.folder), name):
        out["stages"] = stages.localise(experiment, binding.attribute(companion, job.folder), least)
    return out


def platform(device: str) -> str:
    """`cuda:0` -> `cuda`."""
    return device.partition(":")[0]


def settle(threads: int) -> None:
    """Threads fixed, TF32 off, kernels deterministic where torch offers it: same seed, same bytes."""
    if "torch" not in sys.modules:
        return
    import torch

    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


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


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[None]:
    """A folder for what a candidate writes between calls; of a claim that is stopped it goes with the staging."""
    folder.mkdir()
    os.environ["HARNESS_SCRATCH"] = str(folder)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _redirect(path: Path) -> None:
    """Everything the claim prints, C libraries included, goes to its log."""
    log = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)


def _die_with_parent(line: Connection) -> None:
    """A run killed with SIGKILL must leave no process behind that still writes to its staging."""

    def watch() -> None:
        try:
            line.recv()
        except (EOFError, OSError):
            with contextlib.suppress(psutil.Error):
                for child in psutil.Process().children(recursive=True):
                    child.kill()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
