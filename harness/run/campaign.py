"""Run the claims of one run: build the weights first, then write each claim to the evidence as it ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from harness.contract.claim import Claim
from harness.errors import UserError
from harness.evidence import store
from harness.evidence.examined import Examined
from harness.evidence.parcel import unpack
from harness.evidence.result import files
from harness.evidence.shape import of_body
from harness.judging.cause import Cause
from harness.judging.judge import judge, why_unbound
from harness.judging.record import Subject, lacking, without_result
from harness.judging.result import Result
from harness.run import schedule
from harness.run.log import Logs, read_log
from harness.run.probe import Lack, Weights, send_weights
from harness.run.progress import Progress
from harness.subject.device import place, platform
from harness.trial.job import Job
from harness.trial.worker import work


@dataclass(frozen=True)
class Campaign:
    """The settings that all claims of a run share."""

    evidence: store.Run
    seed: int
    candidate: str
    device: str
    device_missing: str | None
    weights: str | None
    """A checkpoint folder that replaces the result of every model builder."""
    workers: int
    memory_mb: int | None
    mutants: Mapping[str, dict[str, str]]
    """Claim id -> mutant name -> `module:name`."""
    mutants_left_out: bool = False
    search_s: float | None = None
    """Seconds by which a search may lengthen the run; None if none was asked for."""
    isolate: bool = False
    """Whether the candidate runs in a process of its own."""

    @property
    def memory(self) -> int:
        """Bytes of resident memory that one claim may use."""
        share = int(psutil.virtual_memory().total * 0.8 / self.workers)
        return (self.memory_mb or share >> 20) << 20


NO_SOURCE = Lack(
    "a GGUF file is compared with the checkpoint it was made from; give that with --weights HF_DIR",
    Cause.WEIGHTS_NOT_GIVEN,
)


def run_claims(context: Any, campaign: Campaign, claims: list[Claim], progress: Progress) -> float:
    """Run the claims; returns the wall time in seconds, without the time to build models."""
    folders = _weights(context, campaign, claims)
    began = time.monotonic()
    progress.begin(len(claims))
    # What a program is asked and answers lies outside of the evidence, which it is not to find beside its request.
    outside = tempfile.TemporaryDirectory(prefix="harness-run-", ignore_cleanup_errors=True)
    watched = contextlib.ExitStack()
    try:
        ready = []
        for claim in claims:
            weights = folders.get(claim.given.get("weights", ""), Weights())
            lack = _lack(campaign, claim, weights)
            if lack:
                _write_unrun(campaign, claim, candidate=lacking(lack.reason, lack.cause.value))
                progress.ended(claim.id, "UNVERIFIED", lack.reason)
            else:
                ready.append(_job(campaign, claim, weights.folder, Path(outside.name)))
        ready = _with_search(campaign, ready)
        # Start long claims first, so that no worker idles at the end; results are listed in contract order.
        ready.sort(key=lambda job: (-job.claim.budget_s, job.claim.id))
        workers, memory = campaign.workers, campaign.memory
        by_id = {job.claim.id: job for job in ready}
        logs = watched.enter_context(Logs([job.log for job in ready], workers))
        target = partial(work, isolate=campaign.isolate)
        for outcome in schedule.run_jobs(context, target, ready, workers=workers, memory=memory, watch=progress.stage):
            job = by_id[outcome.claim]
            logs.end(job.log)
            log = read_log(job.log)
            result = _written(campaign, job, outcome, log)
            job.log.unlink(missing_ok=True)
            shutil.rmtree(job.scratch, ignore_errors=True)
            progress.ended(outcome.claim, result["verdict"], result["reason"])
    finally:
        watched.close()
        progress.end()
        outside.cleanup()
    return time.monotonic() - began


def _lack(campaign: Campaign, claim: Claim, weights: Weights) -> Lack | None:
    """Why a claim cannot run; None if it can."""
    if claim.unbound:
        return Lack(why_unbound(claim.source), Cause.UNBOUND)
    if campaign.device_missing:
        return Lack(campaign.device_missing, Cause.DEVICE_MISSING)
    return weights.lack


def _weights(context: Any, campaign: Campaign, claims: list[Claim]) -> dict[str, Weights]:
    """Model builder -> its weights, built on first use; a folder from --weights replaces all of them."""
    builders = sorted({claim.given["weights"] for claim in claims if "weights" in claim.given})
    if campaign.weights is None and campaign.candidate.startswith("gguf:"):
        # Weights read back from the GGUF file would hide the errors of its exporter.
        return {builder: Weights(lack=NO_SOURCE) for builder in builders}
    if campaign.weights is None:
        return {each: Weights.answered(schedule.call(context, send_weights, each)) for each in builders}
    folder = Path(campaign.weights).resolve()
    if not (folder / "config.json").is_file():
        raise UserError(
            f"--weights {campaign.weights}: no config.json there; expected a Hugging Face checkpoint folder"
        )
    return {builder: Weights(folder=str(folder)) for builder in builders}


def _job(campaign: Campaign, claim: Claim, weights: str | None, outside: Path) -> Job:
    return Job(
        scratch=outside / claim.id,
        claim=claim,
        seed=campaign.seed,
        device=place(campaign.device, claim.device),
        candidate=campaign.candidate,
        candidate_folder=os.getcwd(),
        mutants=campaign.mutants[claim.id],
        weights=weights,
        mutants_left_out=campaign.mutants_left_out,
    )


def _with_search(campaign: Campaign, jobs: list[Job]) -> list[Job]:
    """The jobs, each with an equal share of the time for searching; claims without `explore` have one case alone."""
    searched = [job for job in jobs if job.claim.explore]
    if campaign.search_s is None or not searched:
        return jobs
    share = campaign.search_s * min(campaign.workers, len(searched)) / len(searched)
    return [replace(job, search_s=share) if job.claim.explore else job for job in jobs]


def _written(campaign: Campaign, job: Job, outcome: schedule.Outcome, log: bytes) -> Result:
    """Judge what a claim's process sent, and write it into the evidence. Only here, and never there, is it written."""
    problem = outcome.problem
    if outcome.found is not None:
        try:
            parcel = unpack(outcome.found, job.claim, job.made_from)
            result, kept = files(
                job.claim,
                parcel.found,
                device=job.device,
                seconds=parcel.seconds,
                settings=parcel.settings,
                read=parcel.read,
            )
            faults = of_body(result, "result")
        except Exception as strange:  # noqa: BLE001  (a process that runs foreign code may send anything)
            faults = [f"{type(strange).__name__}: {strange}"]
        if not faults:
            campaign.evidence.deposit(job.claim.id, {**kept, "log.txt": log})
            return result
        problem = schedule.Problem(f"what its process sent is no result ({faults[0]})"[:500], Cause.PROCESS_DIED)
    return _write_unrun(campaign, job.claim, problem=problem, log=log)


def _write_unrun(
    campaign: Campaign,
    claim: Claim,
    *,
    candidate: Subject | None = None,
    problem: schedule.Problem | None = None,
    log: bytes = b"",
) -> Result:
    """Write the result and the page of a claim that could not run or was stopped, and its log."""
    error, cause = (problem.reason, problem.cause.value) if problem else (None, None)
    device = place(campaign.device, claim.device)
    record = without_result(platform(device), candidate=candidate, error=error, cause=cause)
    result, kept = files(claim, Examined(record, judge(claim.source, record)), device=device, seconds=0.0)
    campaign.evidence.deposit(claim.id, {**kept, "log.txt": log})
    return result
