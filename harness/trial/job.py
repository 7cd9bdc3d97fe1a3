"""The job that is sent to one claim's process, and the experiment that the process builds from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.contract.cases import plan
from harness.contract.claim import Claim
from harness.evidence.examined import MadeFrom
from harness.judging.limits import measures
from harness.mutant import mutants_of
from harness.platforms import HOST, REHEARSAL
from harness.subject import binding, candidate
from harness.subject.boundary import Unsupported
from harness.subject.device import platform, register
from harness.subject.isolation.link import Link
from harness.subject.isolation.remote import Isolated
from harness.trial.experiment import Experiment


@dataclass(frozen=True)
class Job:
    """Everything a claim's process needs; plain data, so that it can be pickled."""

    claim: Claim
    seed: int
    device: str
    candidate: str
    candidate_folder: str
    mutants: dict[str, str] = field(default_factory=dict)
    """Mutant name -> `module:name` of the module that declares it."""
    weights: str | None = None
    threads: int = 1
    mutants_left_out: bool = False
    search_s: float | None = None
    """Seconds for a search after the fixed cases; None if none were asked for."""
    scratch: Path = Path("scratch")
    """Where a program finds its requests: outside of the evidence, made and removed by the claim's process."""

    @property
    def log(self) -> Path:
        """The file that gets what the claim prints; the run makes it, reads it at the end and removes it."""
        return self.scratch.with_name(f"{self.scratch.name}.log")

    @property
    def folder(self) -> Path:
        """The contract's folder; relative paths in the claim start here."""
        return Path(self.claim.path).parent

    @property
    def made_from(self) -> MadeFrom:
        """The fields of the job that a counterexample stores."""
        return MadeFrom(self.candidate, self.candidate_folder, self.weights, self.device, self.seed)


def assemble(job: Job, tick: Callable[[str], None] = lambda _: None, link: Link | None = None) -> Experiment:
    """Make the device known to torch, import the objects that the claim names, and plan its cases.

    The candidate is loaded by the process behind `link`, if there is one.
    Raises: Unsupported if the candidate is `baseline` and the claim names no baseline, or this torch cannot rehearse;
            whatever the modules that the claim names raise on import.
    """
    claim = job.claim
    register(job.device)
    baseline = binding.module(claim.baseline, job.folder) if claim.baseline else None
    if job.candidate == candidate.BASELINE and baseline is None:
        raise Unsupported("the claim names no baseline")
    given = {key: value for key, value in claim.given.items() if key != "dtype"}
    if job.weights is not None and "weights" in given:
        given["weights"] = job.weights
    return Experiment(
        falsifier=binding.attribute(claim.falsifier, job.folder),
        given=given,
        cases=plan(claim, job.seed),
        extras=measures(claim.accept),
        device=job.device,
        candidate=baseline if job.candidate == candidate.BASELINE else _candidate(job, link),
        baseline=baseline,
        mutants={} if job.mutants_left_out else {n: _mutant(where, job.folder) for n, where in job.mutants.items()},
        # The rehearsal device is there for the candidate; on the host its kernels give the same numbers faster.
        trusted_on=HOST if platform(job.device) == REHEARSAL and not claim.device else None,
        stays_on_device=claim.on_device_exempt is None,
        mutants_left_out=job.mutants_left_out,
        tick=tick,
    )


def _candidate(job: Job, link: Link | None) -> Any:
    if link is None:
        return candidate.load(job.candidate, job.candidate_folder)
    link.ask("load", job.candidate, job.candidate_folder)
    return Isolated(link)


def _mutant(where: str, folder: Path) -> Any:
    module, _, name = where.rpartition(":")
    return mutants_of(binding.module(module, folder))[name]
