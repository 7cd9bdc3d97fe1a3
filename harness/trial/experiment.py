"""One claim's experiment: run candidate, baseline, free mutants and named mutants on the same cases."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.case import Case
from harness.contract.cases import CaseSpec
from harness.evidence.counterexample import case_entry
from harness.judging.measure import measure
from harness.judging.record import Fault, Params, Record, Row, Scalar, Subject, shortened
from harness.measurements.row import Number, encode
from harness.measurements.table import MEASUREMENTS
from harness.observation import Observation
from harness.platforms import HOST
from harness.subject.device import platform
from harness.subject.isolation.remote import RemoteTrace, bounded
from harness.subject.layout import CONTIGUOUS
from harness.subject.trace import Trace
from harness.trial.ending import end, ended

Falsifier = Callable[..., Observation]
FREE = ("zeros", "nan", "mean", "input")
"""Mutants derived from the baseline's output; a fifth, `lower_precision`, runs the baseline again.
On special values only the first two are certain to be wrong, so only they are used."""


@dataclass(frozen=True)
class Experiment:
    """What a claim runs: its falsifier, its fixed parameters, its subjects and its cases."""

    falsifier: Falsifier
    given: Params
    cases: list[CaseSpec]
    extras: frozenset[str]
    device: str
    candidate: Any
    baseline: Any | None = None
    mutants: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    tick: Callable[[str], None] = lambda _: None
    trusted_on: str | None = None
    """The device of baseline and mutants, if it is not the candidate's."""
    stays_on_device: bool = True
    """Whether host work of the candidate, on a device that is not the host, breaks the implicit limit `on_device`."""
    mutants_left_out: bool = False
    outputs: dict[tuple[int, str], np.ndarray] = field(default_factory=dict)
    """The baseline's outputs by (case, pair); filled only for claims on special values."""

    def place(self, role: str) -> str:
        """The device on which a subject runs."""
        return self.device if role == "candidate" else self.trusted_on or self.device

    @property
    def special(self) -> bool:
        """Whether the claim tests special values; its outputs are then compared with the baseline's outputs."""
        own = (entry for name, entry in MEASUREMENTS.items() if name in self.extras)
        return self.baseline is not None and any(entry.replaces_errors for entry in own)

    def make(self, spec: CaseSpec, stored: dict[str, np.ndarray] | None = None) -> Case:
        """Make the case that a spec describes; `stored` gives recorded input arrays instead of drawn ones."""
        params = {**self.given, **spec.params}
        return Case(
            index=spec.index,
            seed=spec.seed,
            dtype=spec.dtype,
            device=self.device,
            layout=params.pop("memory_layout", CONTIGUOUS),
            params=params,
            stored=stored,
        )


def record(experiment: Experiment, where: str) -> Record:
    """Run every subject; returns what the judge reads, as plain JSON data."""
    cases = [experiment.make(spec) for spec in experiment.cases]
    subjects: dict[str, Subject] = {}
    mutants: dict[str, Subject] = {}
    if experiment.special:
        _remember(experiment, cases)
    subjects["candidate"] = run_subject(experiment, experiment.candidate, cases, "candidate")
    if subjects["candidate"]["status"] == "ran" and experiment.baseline is not None:
        free = _Derived()
        each = None if experiment.mutants_left_out else free.add(experiment)
        subjects["baseline"] = run_subject(experiment, experiment.baseline, cases, "baseline", each=each)
        mutants = free.subjects
        if mutants and not experiment.special:
            mutants["lower_precision"] = run_subject(
                experiment, experiment.baseline, cases, "lower_precision", lower=True
            )
            mutants["lower_precision"]["free"] = True
        for name, make in experiment.mutants.items():
            mutants[name] = _run_mutant(experiment, name, make, cases)
    found: Record = {
        "platform": where,
        "cases": [case_entry(spec) for spec in experiment.cases],
        "subjects": subjects,
        "mutants": mutants,
    }
    if experiment.mutants_left_out:
        found["mutants_left_out"] = True
    return found


def _remember(experiment: Experiment, cases: list[Case]) -> None:
    """Fill `outputs` by running the baseline before the candidate.

    An exception here is dropped: the baseline's own run raises it again and records it.
    """
    with contextlib.suppress(Exception):
        for case in cases:
            observation, _ = observe(experiment, experiment.baseline, case, "baseline")
            experiment.outputs.update({(case.index, pair): got for pair, (got, _) in observation.pairs.items()})


def run_subject(
    experiment: Experiment,
    target: Any,
    cases: list[Case],
    role: str,
    *,
    lower: bool = False,
    each: Callable[[Case, Observation], None] | None = None,
) -> Subject:
    """Run one subject on the cases; returns its rows, scalars, faults and series."""
    out = _nothing_yet()
    series: dict[str, dict[str, list[Number]]] = {}
    skipped: list[int] = []
    out["series"] = series
    experiment.tick(role)
    for case in cases:
        try:
            observation, trace = observe(experiment, target, case, role, lower=lower)
        except Exception as problem:  # noqa: BLE001  (a subject's crash is recorded, not raised)
            if getattr(problem, "inapplicable", False) and role.startswith("mutant "):
                skipped.append(case.index)
                out["skipped"], out["reason"] = skipped, shortened(str(problem))
                continue
            return end(out, ended(problem, case, role))
        out["rows"] += rows(experiment, case, observation)
        out["scalars"] += scalars(case.index, observation)
        out["faults"] += faults(case, trace)
        if observation.series:
            series[str(case.index)] = {n: [encode(v) for v in curve] for n, curve in observation.series.items()}
        if each:
            each(case, observation)
    if len(skipped) == len(cases):
        out["status"] = "inapplicable"
    return out


def _nothing_yet() -> Subject:
    return {"status": "ran", "reason": "", "rows": [], "scalars": [], "faults": []}


def observe(
    experiment: Experiment, target: Any, case: Case, role: str, *, lower: bool = False
) -> tuple[Observation, Trace | RemoteTrace]:
    """Call the falsifier once; returns its observation and the boundary's trace.

    Raises: TypeError if the falsifier returns no Observation; whatever the falsifier or the subject raises.
    """
    device = experiment.place(role)
    watch = role == "candidate" and experiment.stays_on_device and platform(device) != HOST
    subject, trace = bounded(
        target, watch=watch, role=role, dtype=case.dtype, device=device, lower=lower, layout=case.layout
    )
    case.begin()
    observation = experiment.falsifier(subject, case, **case.params)
    if not isinstance(observation, Observation):
        raise TypeError(
            f"the falsifier returned {type(observation).__name__}, expected harness.observation.Observation"
        )
    return observation, trace


def rows(experiment: Experiment, case: Case, observation: Observation) -> list[Row]:
    """Measure every pair (got, want) of one observation."""
    return [
        measure(
            name,
            got,
            want,
            case=case.index,
            dtype=case.dtype,
            extras=experiment.extras,
            baseline=experiment.outputs.get((case.index, name)),
        )
        for name, (got, want) in observation.pairs.items()
    ]


def scalars(index: int, observation: Observation) -> list[Scalar]:
    """The numbers of one observation; a number with an entry in `where` takes that entry as its pair."""
    out: list[Scalar] = []
    for name, value in observation.scalars.items():
        scalar: Scalar = {"case": index, "name": name, "value": encode(value)}
        if name in observation.where:
            scalar["pair"] = observation.where[name]
        out.append(scalar)
    return out


def faults(case: Case, trace: Trace | RemoteTrace) -> list[Fault]:
    """The violations of implicit limits that the boundary recorded; the first of each kind."""
    found = [
        ("inputs_unchanged", trace.inputs_changed),
        ("outputs_unchanged", [f"a later call overwrote what `{name}` returned" for name in trace.outputs_changed()]),
        ("dtype", trace.dtypes_wrong),
        ("on_device", trace.off_device()),
    ]
    return [{"case": case.index, "limit": limit, "detail": shortened(texts[0])} for limit, texts in found if texts]


class _Derived:
    """The free mutants of a parity claim: wrong outputs derived from the baseline's outputs."""

    def __init__(self) -> None:
        self.subjects: dict[str, Subject] = {}

    def add(self, experiment: Experiment) -> Callable[[Case, Observation], None]:
        def each(case: Case, observation: Observation) -> None:
            for name in FREE[:2] if experiment.special else FREE:
                pairs = {pair: (derive(name, got, case), want) for pair, (got, want) in observation.pairs.items()}
                if all(got is None for got, _ in pairs.values()):
                    continue
                kept = {
                    pair: (observation.pairs[pair][0] if got is None else got, want)
                    for pair, (got, want) in pairs.items()
                }
                subject = self.subjects.setdefault(name, {**_nothing_yet(), "free": True})
                wrong = Observation()
                wrong.pairs = kept
                subject["rows"] += rows(experiment, case, wrong)
                subject["scalars"] += scalars(case.index, observation)

        return each


def derive(name: str, got: np.ndarray, case: Case) -> np.ndarray | None:
    """A free mutant's output; None if shape or dtype rule the mutant out. Values never rule it out."""
    if got.dtype.kind != "f" or got.size == 0:
        return None
    if name == "zeros":
        return np.zeros_like(got)
    if name == "nan":
        return np.full_like(got, np.nan)
    if name == "mean":
        with np.errstate(all="ignore"):
            return np.full_like(got, got.mean(dtype=np.float64)) if got.size > 1 else None
    same = [a for a in case.arrays.values() if a.shape == got.shape and a.dtype.kind == "f"]
    return same[0].astype(got.dtype) if same else None


def _run_mutant(experiment: Experiment, name: str, make: Callable[[Any], Any], cases: list[Case]) -> Subject:
    try:
        target = make(experiment.baseline)
    except Exception as problem:  # noqa: BLE001  (a mutant that cannot be built is recorded, and is not a kill)
        return end(_nothing_yet(), ended(problem, cases[0], f"mutant {name}"))
    return run_subject(experiment, target, cases, f"mutant {name}")
