"""A case with edits: it can be made again under another seed or on other sizes, as a plain case can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from harness.contract.cases import CaseSpec
from harness.judging.record import Entry, Record
from harness.judging.result import Edit
from harness.trial.attempt import Alone, alone
from harness.trial.edits import edited
from harness.trial.experiment import Experiment, observe


@dataclass(frozen=True)
class Variant:
    """A case, and the edits of its arrays in order."""

    spec: CaseSpec
    edits: tuple[Edit, ...] = ()

    def under(self, seed: int) -> Variant:
        """The same sizes, options and edits on arrays of another seed."""
        return replace(self, spec=replace(self.spec, seed=seed))

    def of(self, spec: CaseSpec) -> Variant:
        """The same edits on another case."""
        return replace(self, spec=spec)


class Impossible(Exception):
    """An edit that cannot be made on the arrays of this case."""


def plain_arrays(experiment: Experiment, spec: CaseSpec) -> Mapping[str, np.ndarray]:
    """The arrays of the case without edits. The trusted subject runs once, for only a falsifier knows its arrays."""
    case = experiment.make(spec)
    role, target = (
        ("candidate", experiment.candidate) if experiment.baseline is None else ("baseline", experiment.baseline)
    )
    observe(experiment, target, case, role)
    return case.arrays


def stored_arrays(
    experiment: Experiment, variant: Variant, plain: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """The edited arrays alone: what a falsifier derives from them is derived again.

    Raises: Impossible if an edit cannot be made; whatever the falsifier raises.
    """
    if not variant.edits:
        return {}
    if plain is None:
        plain = plain_arrays(experiment, variant.spec)
    found = edited(plain, variant.edits, variant.spec.dtype)
    if found is None:
        raise Impossible
    return found


def run_alone(
    experiment: Experiment,
    claim: Entry,
    record: Record,
    variant: Variant,
    plain: Mapping[str, np.ndarray] | None = None,
) -> Alone:
    """Run candidate and baseline on a variant alone; `plain` is what `plain_arrays` gave, if it is known.

    Raises: Impossible if an edit cannot be made; whatever falsifier, candidate or baseline raise.
    """
    return alone(experiment, claim, record, variant.spec, stored_arrays(experiment, variant, plain))
