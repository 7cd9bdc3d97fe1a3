"""A claim on many candidates in this process; its cases, reference answers and baseline rows are made once."""

from __future__ import annotations

from typing import Any

from harness.case import Case
from harness.contract.cases import plan
from harness.contract.claim import Claim
from harness.judging.judge import Judgement, judge
from harness.judging.limits import measures
from harness.judging.record import Subject
from harness.subject import binding
from harness.subject.device import platform
from harness.trial.experiment import Experiment, case_entry, observe, run_subject

DEVICE = "cpu"


class Prepared:
    """A claim with its cases and its baseline's rows; `judged` runs one candidate on them, without mutants."""

    def __init__(self, claim: Claim, seed: int) -> None:
        self.claim = claim
        self.experiment = Experiment(
            falsifier=binding.attribute(claim.falsifier),
            given=_given(claim),
            cases=plan(claim, seed),
            extras=measures(claim.accept),
            device=DEVICE,
            candidate=None,
            baseline=binding.module(claim.baseline),
            mutants_left_out=True,
        )
        self.cases: list[Case] = [self.experiment.make(spec) for spec in self.experiment.cases]
        self._baseline: Subject | None = None

    def judged(self, candidate: Any) -> Judgement:
        """What the judge says of a candidate, mutants left out."""
        subjects = {"candidate": self._run(candidate, "candidate")}
        if subjects["candidate"]["status"] == "ran":
            subjects["baseline"] = self._trusted()
        record: Any = {
            "platform": platform(DEVICE),
            "cases": [case_entry(spec) for spec in self.experiment.cases],
            "subjects": subjects,
            "mutants": {},
            "mutants_left_out": True,
        }
        return judge(self.claim.source, record)

    def _run(self, subject: Any, role: str) -> Subject:
        if self.experiment.special and not self.experiment.outputs:
            for case in self.cases:  # special values are held against the baseline's own answers
                seen, _ = observe(self.experiment, self.experiment.baseline, case, "baseline")
                outputs = {(case.index, pair): got for pair, (got, _) in seen.pairs.items()}
                self.experiment.outputs.update(outputs)
        return run_subject(self.experiment, subject, self.cases, role)

    def _trusted(self) -> Subject:
        if self._baseline is None:
            self._baseline = self._run(self.experiment.baseline, "baseline")
        return self._baseline


def _given(claim: Claim) -> dict[str, Any]:
    """The claim's fixed parameters; a model that it names by the function that builds it is built."""
    found = {key: value for key, value in claim.given.items() if key != "dtype"}
    if ":" in str(found.get("weights", "")):
        found["weights"] = binding.attribute(found["weights"])()
    return found
