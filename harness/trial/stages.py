"""Find the stage that went wrong: test each stage alone, and find the first stage that diverges in a whole pass.

A falsifier `f` that can localise has a companion `f_stages(subject, case, *, replaced, **params)`
in its module, which returns (stage, got, want) in order. With `replaced` every stage gets the
reference's inputs, so that a stage is not blamed for an error that an earlier stage passed to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from harness.contract.cases import CaseSpec
from harness.judging.result import Localised, Stages
from harness.localisation import BAD_U, convicted, error_u
from harness.measurements.row import encode
from harness.subject.boundary import Unsupported
from harness.subject.isolation.remote import bounded
from harness.trial.experiment import Experiment

Companion = Callable[..., list[tuple[str, np.ndarray, np.ndarray]]]
"""Returns (stage, got, want) in the order of computation."""


def localise(experiment: Experiment, stages: Companion, start: CaseSpec) -> Stages:
    """Per-stage errors of the candidate in units of round-off, and the stages that exceed the limit.

    The stages run in float32 first, where most logic errors are much larger than round-off, then in the case's own
    dtype and in float64, until a stage fails alone. An error that only accumulates over the stages does not show
    where it began.
    """
    found: Localised | None = None
    for dtype in dict.fromkeys(["float32", start.dtype, "float64"]):
        tried = _tried(experiment, stages, CaseSpec(start.index, start.seed, dtype, start.params))
        if "unsupported" in tried:
            if found is None:
                return tried
            continue
        if found is None or _more_specific(tried, found):
            found = tried
        if found["independently_bad"]:
            break
    assert found is not None
    return found


def _tried(experiment: Experiment, stages: Companion, case: CaseSpec) -> Stages:
    try:
        alone = _errors(experiment, stages, case, replaced=True)
        through = _errors(experiment, stages, case, replaced=False)
    except Unsupported as lacking:
        return {"unsupported": str(lacking)}
    except Exception as problem:  # noqa: BLE001  (the candidate already has its verdict)
        return {"unsupported": f"{type(problem).__name__}: {problem}"}
    return _summary(case.dtype, alone, through)


def _more_specific(tried: Localised, found: Localised) -> bool:
    """Whether `tried` names a bad stage and `found` does not.

    If half of the stages fail at once, suspect precision, not a bug: a candidate that computes in float32 inside is
    wrong at every stage in float64.
    """
    if 2 * len(tried["independently_bad"]) >= len(tried["stages"]):
        return False
    return bool(tried["independently_bad"]) or not found["first_divergent"]


def _summary(dtype: str, alone: dict[str, float], through: dict[str, float]) -> Localised:
    return {
        "dtype": dtype,
        "limit_u": BAD_U,
        **convicted(alone, through),
        "stages": [
            {"stage": name, "alone_u": encode(alone[name]), "propagated_u": encode(through.get(name, math.nan))}
            for name in alone
        ],
    }


def _errors(experiment: Experiment, stages: Companion, spec: CaseSpec, *, replaced: bool) -> dict[str, float]:
    case = experiment.make(spec)
    subject, _ = bounded(
        experiment.candidate,
        watch=False,
        role="candidate",
        dtype=case.dtype,
        device=experiment.device,
        layout=case.layout,
    )
    case.begin()
    return {
        name: error_u(got, want, case.dtype)
        for name, got, want in stages(subject, case, replaced=replaced, **case.params)
    }
