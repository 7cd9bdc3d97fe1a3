"""Run one claim from its job to its judgement; after a violation, shrink the case and find the stage."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial

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
from harness.subject.candidate import BASELINE
from harness.subject.device import platform
from harness.subject.isolation.link import Link
from harness.trial.attempt import violates
from harness.trial.confirm import stands
from harness.trial.experiment import Experiment, record
from harness.trial.job import Job, assemble
from harness.trial.narrowing import narrowed
from harness.trial.search import NOT_ENDED, Search, bound
from harness.trial.shrink import shrink, with_fewest_edits
from harness.trial.stages import localise
from harness.trial.variant import Variant, run_alone


def examine(
    job: Job,
    tick: Callable[[str], None],
    hold: Callable[[Examined], None] = lambda _: None,
    link: Link | None = None,
) -> Examined:
    """Run one claim's subjects on its cases and judge them; after a violation, find the smallest case and the stage.

    A survivor is searched further. `hold` is called with the result so far before that: it stands, whatever stops the
    search. `link` is the process that holds the candidate, if this one does not.
    """
    try:
        experiment = assemble(job, tick, link)
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
    if judgement.verdict is Verdict.FALSIFIED:
        tick("shrinking")
        index = next((v["case"] for v in judgement.violated if v["case"] is not None), 0)
        start = Variant(CaseSpec(**next(c for c in found["cases"] if c["index"] == index)))
        broken = partial(_violates, experiment, job, found)
        return Examined(found, judgement, _follow_up(job, experiment, found, start, broken))
    if not _searchable(job, judgement):
        return Examined(found, judgement)
    hold(Examined(found, judgement, search=NOT_ENDED))
    return _searched(job, experiment, Examined(found, judgement, search=NOT_ENDED), tick)


def _searchable(job: Job, judgement: Judgement) -> bool:
    """Whether a search can tell anything, and is wanted: a quick look without mutants searches only if it is asked."""
    limits = bound(job.claim, job.search_s)
    if not job.claim.explore or job.candidate == BASELINE or not (limits.cases or limits.seconds):
        return False
    quick = judgement.cause is Cause.MUTANTS_LEFT_OUT and job.search_s is not None
    return judgement.verdict.survived or quick


def _searched(job: Job, experiment: Experiment, fixed: Examined, tick: Callable[[str], None]) -> Examined:
    """The result after a search; the result of the fixed cases if the search fails."""
    try:
        searched = Search(experiment, job.claim, job.seed, fixed.record, bound(job.claim, job.search_s)).run()
    except Exception:  # noqa: BLE001  (a search that fails takes no verdict from the fixed cases)
        traceback.print_exc()
        return fixed
    found, start = searched.record, searched.variant
    if found is None:
        return replace(fixed, search=searched.body)
    if start is None:
        return Examined(found, judge(job.claim.source, found), None, searched.body)
    tick("shrinking")
    broken = partial(stands, experiment, job.claim, found)
    follow_up = _follow_up(job, experiment, found, start, broken)
    return Examined(found, judge(job.claim.source, found), follow_up, searched.body)


def _violates(experiment: Experiment, job: Job, found: Record, variant: Variant) -> bool:
    return violates(experiment, job.claim.source, found, variant.spec)


def _follow_up(
    job: Job, experiment: Experiment, found: Record, start: Variant, broken: Callable[[Variant], bool]
) -> FollowUp | None:
    """The smallest counterexample, and its stages if the falsifier has a companion; None if it cannot run again."""
    reproducible = broken(start)
    least = start
    if reproducible:
        smallest = shrink(job.claim, job.seed, start.spec, lambda spec: broken(start.of(spec)), job.claim.budget_s)
        least = with_fewest_edits(start.of(smallest), broken)
    try:
        found_again = run_alone(experiment, job.claim.source, found, least).attempt
    except Exception:  # noqa: BLE001  (the verdict stands although the case fails to run again)
        traceback.print_exc()
        return None
    # A stage is sought on the case's own arrays, not on edited ones.
    stages = None if least.edits else _stages(job, experiment, least.spec)
    return FollowUp(found_again, start.spec, reproducible, job.made_from, stages)


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
