"""The record of a claim, made in this process, on a candidate that is a Python object and no file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.contract.cases import plan
from harness.contract.claim import Claim
from harness.judging.limits import measures
from harness.subject import binding
from harness.subject.device import platform
from harness.trial.experiment import Experiment, record


def recorded(
    claim: Claim,
    candidate: object,
    *,
    mutants: Mapping[str, Callable[..., Any]] | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> dict[str, Any]:
    """The record of a claim in this process: candidate, the claim's own baseline, and the mutants that are given."""
    experiment = Experiment(
        falsifier=binding.attribute(claim.falsifier),
        given={key: value for key, value in claim.given.items() if key != "dtype"},
        cases=plan(claim, seed),
        extras=measures(claim.accept),
        device=device,
        candidate=candidate,
        baseline=binding.module(claim.baseline),
        mutants=dict(mutants or {}),
    )
    found: dict[str, Any] = record(experiment, platform(device))
    return found
