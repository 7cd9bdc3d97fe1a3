"""Judge a claim in this process, on a candidate that is a Python object and not a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from in_process import recorded

from harness.contract.claim import Claim
from harness.judging.judge import Judgement, judge
from harness.judging.verdict import Verdict
from harness.mutant import mutants_of
from harness.subject import binding
from tests.support.laboratory import changed


def judged(
    claim: Claim, candidate: object, *, mutants: Mapping[str, Callable[..., Any]] | None = None, seed: int = 0
) -> Judgement:
    """The judgement of a claim on a candidate."""
    return judge(claim.source, recorded(claim, candidate, mutants=mutants, seed=seed))


def survives(found: Judgement) -> bool:
    """Whether every limit held; run without the claim's mutants, a survivor reads VACUOUS."""
    return found.verdict in (Verdict.VACUOUS, Verdict.PARTIAL) and not found.violated


def known_wrong(places: Mapping[str, str]) -> dict[str, Callable[..., Any]]:
    """Mutants by name from the places that `validate` resolved, `module:name` each."""
    found = {}
    for name, place in places.items():
        module, _, key = place.partition(":")
        found[name] = mutants_of(binding.module(module))[key]
    return found


def stays_within_the_limits(claim: Claim, candidate: object, name: str, seed: int = 1) -> None:
    """Assert that a correct candidate is measured on one example and violates nothing; `name` tells which it was."""
    found = judged(changed(claim, examples=1), candidate, seed=seed)
    assert found.measurements, (name, found.reason)
    assert not found.violated, (name, found.violated)
