"""Search after the fixed cases: sizes not tried yet, changed values, options aimed at the largest error."""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.contract.cases import CaseSpec, case_seed, drawn, no_local_constants, spec, strategy, untried
from harness.contract.claim import Claim
from harness.evidence import counterexample
from harness.judging import result
from harness.judging.cause import Cause
from harness.judging.findings import findings
from harness.judging.limits import Finding, measures
from harness.judging.record import Record, shortened
from harness.measurements.table import MEASUREMENTS
from harness.trial.attempt import POOLED, Alone, with_case
from harness.trial.confirm import confirmed, sound
from harness.trial.edits import moves
from harness.trial.ending import Ending, end, ended
from harness.trial.experiment import Experiment, observe
from harness.trial.variant import Impossible, Variant, plain_arrays, run_alone, stored_arrays

SIZES, VALUES, AIMED = 3, 3, 24
"""Cases per round: untried sizes, changed values, and options that Hypothesis aims at the largest error."""
AIMED_EVERY = 4
"""The aimed options come in every fourth round, so that a short search spends its cases on sizes and values."""
SHARE = 10
"""One searched case per this many fixed ones, if no time for a search was asked for (docs/decisions.md, the cost)."""
EVERY_S = 1.0
"""Seconds between two reports of progress."""


@dataclass(frozen=True)
class Bound:
    """A search tries at least this many cases, and goes on for these seconds; the order of cases is the same."""

    cases: int
    seconds: float = 0.0


def bound(claim: Claim, seconds: float | None) -> Bound:
    """The bound of a claim's search; `seconds` is None if no time was asked for."""
    return Bound(claim.examples // SHARE if claim.explore else 0, seconds or 0.0)


@dataclass(frozen=True)
class Searched:
    """The result of a search: what the evidence says, and the record with the case that breaks a limit or raises.

    There is no variant for a case that raises: it has no arrays to make smaller.
    """

    body: result.Search
    variant: Variant | None = None
    record: Record | None = None


NOT_ENDED: result.Search = {
    "cases": 0,
    "ended": "stopped",
    "left_out": 0,
    "unconfirmed": 0,
    "raised": None,
    "worst": None,
    "found": None,
}
"""What the evidence says of a search while it runs, and so of one that its process did not survive."""


@dataclass(frozen=True)
class Pressed:
    """A case, and how close it came to a limit: the value divided by the bound."""

    variant: Variant
    limit: str
    margin: float


class Search:
    """The search of one claim: the cases so far, the one under the largest pressure, and why it ended."""

    def __init__(self, experiment: Experiment, claim: Claim, seed: int, record: Record, bound: Bound) -> None:
        self.experiment, self.claim, self.seed, self.record, self.bound = experiment, claim, seed, record, bound
        self.index = 1 + max(case["index"] for case in record["cases"])
        self.cases = self.left_out = self.unconfirmed = 0
        self.raised: str | None = None
        self.found: Searched | None = None
        self.fixed = _pressed(claim, record)
        self.worst = max(self.fixed, key=lambda each: each.margin)
        self._ends = time.monotonic() + bound.seconds
        self._told = time.monotonic()
        self._untried = untried(claim, seed, experiment.cases)
        self._plain: tuple[CaseSpec, Mapping[str, np.ndarray]] | None = None

    @property
    def over(self) -> bool:
        """Whether a violation was found or the bound is reached."""
        return self.found is not None or (self.cases >= self.bound.cases and time.monotonic() >= self._ends)

    def run(self) -> Searched:
        """Search until a violation is found or the bound is reached."""
        for number in itertools.count():
            parts = [self._sizes, self._values]
            parts += [self._aimed] if number % AIMED_EVERY == AIMED_EVERY - 1 else []
            for part in parts:
                part(number)
                if self.over:
                    return self.found or Searched(self.body("bound"))
        raise AssertionError

    def body(self, ended: str, hit: result.Hit | None = None) -> result.Search:
        """What the evidence keeps."""
        worst = self.worst
        return {
            "cases": self.cases,
            "ended": ended,
            "left_out": self.left_out,
            "unconfirmed": self.unconfirmed,
            "raised": self.raised,
            "worst": {
                "case": counterexample.case_entry(worst.variant.spec),
                "edits": list(worst.variant.edits),
                "limit": worst.limit,
                "margin": worst.margin,
            },
            "found": hit,
        }

    def _sizes(self, number: int) -> None:
        """Cases whose every parameter has a value that no case had yet, while there are such values."""
        for place in range(number * SIZES, (number + 1) * SIZES):
            if self.over:
                return
            draw = random.Random(case_seed(self.claim, self.seed, f"size {place}"))
            params = {
                name: self._untried[name][place] if place < len(self._untried.get(name, ())) else drawn(domain, draw)
                for name, domain in self.claim.explore.items()
            }
            self._try(Variant(self._spec(params, f"size {place}")))

    def _values(self, number: int) -> None:
        """Edits of the worst case, one after the other, in every second round of any fixed case.

        An edit that raises the pressure stays. Numbers that the falsifier itself makes (an effect of an adapter, a
        learning rate's error) have limits for the declared inputs alone, so such claims keep their values.
        """
        if not measures(self.claim.accept) <= set(MEASUREMENTS):
            return
        draw = random.Random(case_seed(self.claim, self.seed, f"values {number}"))
        base = self.worst if number % 2 == 0 else draw.choice(self.fixed)
        try:
            plain = self._arrays(base.variant.spec)
        except Exception:  # noqa: BLE001  (arrays that cannot be made again cannot be edited)
            return
        ends = self.cases + VALUES
        for edit in moves(plain, base.variant.spec.dtype, draw):
            if self.over or self.cases == ends:
                return
            pressed = self._try(Variant(base.variant.spec, (*base.variant.edits, edit)), plain)
            if pressed and pressed.margin > base.margin:
                base = pressed

    def _aimed(self, number: int) -> None:
        """Draws of the explored domains by Hypothesis, which then changes the draws with the largest errors."""
        import hypothesis
        from hypothesis import strategies as st

        @hypothesis.seed(case_seed(self.claim, self.seed, f"aimed {number}"))
        @hypothesis.settings(
            max_examples=AIMED,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate, hypothesis.Phase.target],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(st.fixed_dictionaries({name: strategy(d) for name, d in self.claim.explore.items()}))
        def aim(params: dict[str, Any]) -> None:
            if self.over:
                return
            pressed = self._try(Variant(self._spec(params, f"aimed {number}")))
            if pressed:
                hypothesis.target(pressed.margin, label="value / limit")

        with no_local_constants():
            aim()

    def _spec(self, params: dict[str, Any], part: str) -> CaseSpec:
        drawn = spec(self.claim, self.seed, self.index, params)
        return replace(drawn, seed=case_seed(self.claim, self.seed, f"search {part}"))

    def _arrays(self, of: CaseSpec) -> Mapping[str, np.ndarray]:
        if self._plain is None or self._plain[0] != of:
            self._plain = (of, plain_arrays(self.experiment, of))
        return self._plain[1]

    def _try(self, variant: Variant, plain: Mapping[str, np.ndarray] | None = None) -> Pressed | None:
        """Run one variant; returns its pressure, None if it says nothing or breaks a limit."""
        variant = variant.of(replace(variant.spec, index=self.index))
        self.cases += 1
        self._tell()
        try:
            run = run_alone(self.experiment, self.claim.source, self.record, variant, plain)
        except Impossible:
            self.cases -= 1
            return None
        except Exception as problem:  # noqa: BLE001  (the candidate's crash is recorded, not raised)
            self._crashed(variant, problem, plain)
            return None
        if not sound(self.claim, self.record, variant.spec, run):
            self.left_out += 1
            return None
        if run.attempt.broken:
            self._weigh(variant, run)
            return None
        pressed = _most_pressed(variant, run.found)
        self.worst = max(self.worst, pressed, key=lambda each: each.margin)
        return pressed

    def _weigh(self, variant: Variant, run: Alone) -> None:
        """Keep a violation if it is confirmed."""
        if not confirmed(self.experiment, self.claim, self.record, variant, run):
            self.unconfirmed += 1
            return
        joined = with_case(self.record, variant.spec, run.subjects)
        joined["searched"] = [variant.spec.index]
        hit: result.Hit = {"case": variant.spec.index, "edits": list(variant.edits)}
        self.found = Searched(self.body("found", hit), variant, joined)

    def _crashed(self, variant: Variant, problem: Exception, plain: Mapping[str, np.ndarray] | None) -> None:
        """Keep what the candidate alone raised: on a case of the declared domain it decides, as on a fixed case.

        Edited values may be refused with reason, and memory may end at a size; both are told and decide nothing.
        """
        self.left_out += 1
        ending = self._ending(variant, problem, plain)
        if ending is None:
            return
        self.raised = self.raised or shortened(ending.reason)
        if variant.edits or ending.cause is not Cause.RAISED or not self._raises_again(variant):
            return
        joined = with_case(self.record, variant.spec, {})
        joined["subjects"] = {**joined["subjects"], "candidate": end(joined["subjects"]["candidate"], ending)}
        joined["searched"] = [variant.spec.index]
        self.found = Searched(self.body("found", {"case": variant.spec.index, "edits": []}), None, joined)

    def _raises_again(self, variant: Variant) -> bool:
        try:
            run_alone(self.experiment, self.claim.source, self.record, variant)
        except Exception:  # noqa: BLE001  (any exception is the answer)
            return True
        return False

    def _ending(self, variant: Variant, problem: Exception, plain: Mapping[str, np.ndarray] | None) -> Ending | None:
        """How the candidate ended; None if it lacks something, or the baseline raises as well."""
        experiment = self.experiment
        if experiment.baseline is None:
            return None
        try:
            case = experiment.make(variant.spec, stored_arrays(experiment, variant, plain))
            observe(experiment, experiment.baseline, case, "baseline")
        except Exception:  # noqa: BLE001  (then the case is outside of what the falsifier can make)
            return None
        ending = ended(problem, case, "candidate, searched case")
        return ending if ending.status == "crashed" else None

    def _tell(self) -> None:
        now = time.monotonic()
        if self.cases == 1 or now - self._told >= EVERY_S:
            self._told = now
            self.experiment.tick(f"searching, case {self.cases}")


def _pressed(claim: Claim, record: Record) -> list[Pressed]:
    """Every fixed case, with the limit that it came closest to."""
    candidate = record["subjects"]["candidate"]
    specs = [CaseSpec(**case) for case in record["cases"]]
    return [_most_pressed(Variant(spec), findings(claim.source, record, candidate, spec.index)) for spec in specs]


def _most_pressed(variant: Variant, found: list[Finding]) -> Pressed:
    """The limit whose value is closest to its bound, among those that a single case can break."""
    measured = [f for f in found if f.measure not in POOLED and math.isfinite(f.margin)]
    most = max(measured, key=lambda f: f.margin, default=None)
    return Pressed(variant, most.limit, most.margin) if most else Pressed(variant, "", 0.0)
