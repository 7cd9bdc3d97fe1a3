"""Naming the stage that went wrong: each stage on its own, and the first in the run that diverged.

A falsifier `f` that can localise has a companion `f_stages(subject, case, *, replaced, **params)`
in its module, which returns (stage, got, want) in order. With `replaced` every stage is fed the
reference's inputs, so an error that merely passed through is not blamed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from harness.boundary import Boundary, Trace, Unsupported
from harness.cases import CaseSpec
from harness.experiment import Experiment
from harness.localisation import BAD_U, convicted, error_u
from harness.measure import encode

Stages = Callable[..., list[tuple[str, np.ndarray, np.ndarray]]]


def localise(experiment: Experiment, stages: Stages, start: CaseSpec) -> dict[str, Any]:
    """Per-stage errors of the candidate in units of round-off, and the stages they convict.

    Tried in float32 first, where logic errors stand clear of round-off, then in the case's own dtype.
    """
    for dtype in dict.fromkeys(["float32", start.dtype]):
        case = CaseSpec(start.index, start.seed, dtype, start.params)
        try:
            alone = _errors(experiment, stages, case, replaced=True)
            through = _errors(experiment, stages, case, replaced=False)
        except Unsupported as lacking:
            return {"unsupported": str(lacking)}
        except Exception as problem:  # noqa: BLE001  (a candidate that fails here has already its verdict)
            return {"unsupported": f"{type(problem).__name__}: {problem}"}
        found = _summary(dtype, alone, through)
        if found["independently_bad"] or found["first_divergent"]:
            break
    return found


def _summary(dtype: str, alone: dict[str, float], through: dict[str, float]) -> dict[str, Any]:
    return {
        "dtype": dtype,
        "limit_u": BAD_U,
        **convicted(alone, through),
        "stages": [
            {"stage": name, "alone_u": encode(alone[name]), "propagated_u": encode(through.get(name, math.nan))}
            for name in alone
        ],
    }


def _errors(experiment: Experiment, stages: Stages, spec: CaseSpec, *, replaced: bool) -> dict[str, float]:
    case = experiment.make(spec)
    subject = Boundary(
        experiment.candidate, role="candidate", dtype=case.dtype, device=experiment.device, trace=Trace()
    )
    case.begin()
    return {
        name: error_u(got, want, case.dtype)
        for name, got, want in stages(subject, case, replaced=replaced, **case.params)
    }
