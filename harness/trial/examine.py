"""Run one claim from its job to its judgement; after a violation, shrink the case and find the stage."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable

from harness.contract.cases import CaseSpec
from harness.errors import UserError
from harness.evidence.examined import Examined, FollowUp
from harness.judging.cause import Cause
from harness.judging.judge import judge, nearly_single
from harness.judging.judgement import Judgement
from harness.judging.record import Record, Subject, lacking, without_result
from harness.judging.result import Stages
from harness.judging.verdict import Verdict
from harness.subject import binding
from harness.subject.boundary import Unsupported
from harness.subject.device import platform
from harness.trial.attempt import attempt, violates
from harness.trial.experiment import Experiment, record
from harness.trial.job import Job, assemble
from harness.trial.narrowing import narrowed
from harness.trial.shrink import shrink
from harness.trial.stages import localise


def examine(job: Job, tick: Callable[[str], None]) -> Examined:
    """Run one claim's subjects on its cases and judge them; after a violation, find the smallest case and the stage."""
    try:
        experiment = assemble(job, tick)
    except Unsupported as lack:
        return _without_result(job, candidate=lacking(str(lack), Cause.CAPABILITY_MISSING.value))
    except ModuleNotFoundError as missing:
        reason = f"dependency `{missing.name}` is not installed"
        return _without_result(job, candidate=lacking(reason, Cause.DEPENDENCY_MISSING.value))
    except UserError as problem:
        return _without_result(job, error=str(problem))
    except Exception as problem:  # noqa: BLE001  (a crash ends this claim without a result; the other claims still run)
        traceback.print_exc()
        return _without_result(job, error=f"{type(problem).__name__}: {problem}")
    found = record(experiment, platform(job.device))
    judgement = judge(job.claim.source, found)
    if nearly_single(judgement, job.claim.source, found):
        with contextlib.suppress(Exception):  # a crash in this extra run changes no verdict
            found["subjects"]["candidate"]["narrowed"] = narrowed(experiment)
            judgement = judge(job.claim.source, found)
    if judgement.verdict is not Verdict.FALSIFIED:
        return Examined(found, judgement)
    tick("shrinking")
    return Examined(found, judgement, _follow_up(job, experiment, found, judgement))


def _follow_up(job: Job, experiment: Experiment, found: Record, judgement: Judgement) -> FollowUp | None:
    """The smallest counterexample, and its stages if the falsifier has a companion; None if it cannot run again."""
    claim = job.claim.source
    index = next((v["case"] for v in judgement.violated if v["case"] is not None), 0)
    start = CaseSpec(**next(c for c in found["cases"] if c["index"] == index))
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
    except Exception:  # noqa: BLE001  (the verdict stands although the case fails to run again)
        traceback.print_exc()
        return None
    return FollowUp(found_again, start, reproducible, job.made_from, _stages(job, experiment, least))


def _stages(job: Job, experiment: Experiment, least: CaseSpec) -> Stages | None:
    """The case's stages from the falsifier's companion `<name>_stages`; None if there is no companion."""
    companion = job.claim.falsifier + "_stages"
    module, _, name = companion.rpartition(":")
    if not hasattr(binding.module(module, job.folder), name):
        return None
    return localise(experiment, binding.attribute(companion, job.folder), least)


def _without_result(job: Job, *, candidate: Subject | None = None, error: str | None = None) -> Examined:
    cause = Cause.COULD_NOT_START.value if error is not None else None
    found = without_result(platform(job.device), candidate=candidate, error=error, cause=cause)
    return Examined(found, judge(job.claim.source, found))
