"""Audits that let a fault of infrastructure pass for a healthy run (system E7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.mutant import mutant, replace

Finding = tuple[str, str, float, float]


@mutant
def exhaustion_unseen(baseline: Any) -> Any:
    """The loader begins anew without a word, and nobody counts (system E7)."""
    return _without(baseline, "corpus exhausted")


@mutant
def early_stop_taken_for_the_end(baseline: Any) -> Any:
    """A run that stopped is a run that is done (system E7)."""
    return _without(baseline, "stopped while falling")


@mutant
def resume_unseen(baseline: Any) -> Any:
    """The batches after a resume are taken as they come (system E7)."""
    return _without(baseline, "resumed at a wrong batch")


@mutant
def first_step_alone(baseline: Any) -> Any:
    """The device is looked at once, at the start; what falls back later is not seen (systems D8 and E7)."""

    def audit_run(record: Any) -> list[Finding]:
        first = [{**s, "devices": record["steps"][0]["devices"]} for s in record["steps"]]
        return list(baseline.audit_run({**record, "steps": first}))

    return replace(baseline, audit_run=audit_run)


@mutant
def plan_taken_for_done(baseline: Any) -> Any:
    """Planned tokens are reported as consumed (system E7)."""
    return _without(baseline, "fewer tokens than planned")


@mutant
def share_of_the_corpus(baseline: Any) -> Any:
    """Tokens per parameter are counted of all epochs' corpus, not of what was seen (system E7)."""

    def edit(finding: Finding, record: Any) -> Finding:
        if finding[0] != "few tokens per parameter":
            return finding
        return (*finding[:2], 3 * record["corpus_tokens"] / record["parameters"], finding[3])

    return _each(baseline, edit)


@mutant
def always_optimisation(baseline: Any) -> Any:
    """Whatever is wrong, the learning rate is blamed (system W4)."""
    return _each(baseline, lambda finding, record: (finding[0], "optimisation", *finding[2:]))


@mutant
def every_run_is_short(baseline: Any) -> Any:
    """Padding is planned for, so that no run ever has all its tokens (system E7)."""

    def audit_run(record: Any) -> list[Finding]:
        planned = record["planned_tokens"] + 1
        return list(baseline.audit_run({**record, "planned_tokens": planned}))

    return replace(baseline, audit_run=audit_run)


def _without(baseline: Any, fault: str) -> Any:
    return replace(baseline, audit_run=lambda record: [f for f in baseline.audit_run(record) if f[0] != fault])


def _each(baseline: Any, edit: Callable[[Finding, Any], Finding]) -> Any:
    return replace(baseline, audit_run=lambda record: [edit(f, record) for f in baseline.audit_run(record)])
