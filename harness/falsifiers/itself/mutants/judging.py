"""Known-wrong judges."""

from __future__ import annotations

import operator
from dataclasses import replace as with_fields
from typing import Any

from harness.falsifiers.itself.mutants.patching import patched
from harness.judging import judge as judging
from harness.judging import limits
from harness.judging.findings import findings
from harness.judging.mutant_kills import vacuous
from harness.mutant import mutant, replace


@mutant
def nan_compares_as_fine(baseline: Any) -> Any:
    """Fails what is above its limit, instead of passing what is not.

    Synthetic: a NaN is above nothing, which its author forgot.
    """
    wrong = {"le": lambda a, b: not a > b, "lt": lambda a, b: not a >= b, "ge": lambda a, b: not a < b}
    return patched(baseline, "judge", limits, OPERATORS={**limits.OPERATORS, **wrong})


@mutant
def limits_are_not_held(baseline: Any) -> Any:
    """Every comparison holds. Synthetic: a mocked comparison left in place after a test."""
    held = {name: lambda a, b: True for name in limits.OPERATORS}
    return patched(baseline, "judge", limits, OPERATORS=held)


@mutant
def infinity_is_left_out(baseline: Any) -> Any:
    """Values that are not finite are dropped before the largest is taken.

    Synthetic: nanmax and isfinite masks are the usual way to silence a warning.
    """

    def nearest(op: str, bound: float, found: Any) -> Any:
        kept = [each for each in found if abs(each.value) < float("inf")]
        return right(op, bound, kept) if kept else limits.Measured(bound)

    right = limits._nearest
    return patched(baseline, "judge", limits, _nearest=nearest)


@mutant
def empty_measurement_is_zero(baseline: Any) -> Any:
    """What was not measured counts as an error of 0. Synthetic: a sum over nothing, and a default of `get`."""

    def measured(*args: Any) -> Any:
        found = right(*args)
        return limits.Measured(min(max(0.1, 0.0), args[2])) if found.value != found.value else found

    right = limits._measured
    return patched(baseline, "judge", limits, _measured=measured)


@mutant
def case_without_a_row_is_passed_over(baseline: Any) -> Any:
    """Judges the cases that have rows. Synthetic: iterating over results, and not over what was asked for."""

    def judge(claim: dict[str, Any], record: Any) -> Any:
        for part in (record["subjects"], record["mutants"]):
            for subject in part.values():
                cases = {row["case"] for row in subject["rows"]}
                subject["scalars"] = [each for each in subject["scalars"] if each["case"] in cases]
        seen = {row["case"] for row in record["subjects"].get("candidate", {}).get("rows", [])}
        kept = {**record, "cases": [each for each in record["cases"] if each["index"] in seen]}
        return baseline.judge(claim, kept if seen else record)

    return replace(baseline, judge=judge)


@mutant
def lower_bound_is_forgotten(baseline: Any) -> Any:
    """Only upper bounds are compared, so 0.0008 meets a limit on a loss.

    Synthetic: a loss is usually wanted small, so one side is written.
    """
    wrong = {"ge": lambda a, b: True, "gt": lambda a, b: True}
    return patched(baseline, "judge", limits, OPERATORS={**limits.OPERATORS, **wrong})


@mutant
def missing_mutant_is_forgotten(baseline: Any) -> Any:
    """Only the mutants that have a record are asked about.

    Synthetic: a loop over the results does not see what is not among them.
    """

    def lenient(claim: Any, parsed: Any, fates: Any) -> str:
        return vacuous({**claim, "mutants": []}, parsed, fates)

    return patched(baseline, "judge", judging, vacuous=lenient)


@mutant
def survivor_is_forgiven(baseline: Any) -> Any:
    """A mutant that survived changes no verdict. Synthetic: a report that nobody reads is taken for a check."""
    return patched(baseline, "judge", judging, vacuous=lambda claim, parsed, fates: "")


@mutant
def crash_is_a_kill(baseline: Any) -> Any:
    """A mutant that crashed counts as killed: it proves nothing.

    Synthetic: any exit code but 0 is the usual sign of a kill.
    """

    def fate(name: str, subject: Any, claim: Any, record: Any) -> Any:
        found = right(name, subject, claim, record)
        if subject["status"] != "crashed":
            return found
        labels = {each.limit: None for each in findings(claim, record, record["subjects"]["candidate"])}
        return {**found, "killed": True, "status": "ran", "kills": labels}

    right = judging.mutant_fate
    return patched(baseline, "judge", judging, mutant_fate=fate)


@mutant
def baseline_is_trusted(baseline: Any) -> Any:
    """The baseline is not held to the limits, so a falsifier that is wrong itself falsifies or passes anything.

    Synthetic: a trusted implementation is the last that anyone suspects.
    """
    return patched(baseline, "judge", judging, _unsound=lambda claim, record: "")


@mutant
def skipped_is_passed(baseline: Any) -> Any:
    """A test that did not run reads as passed. Synthetic: a skip is green in most reports."""

    def judge(claim: dict[str, Any], record: Any) -> Any:
        found = baseline.judge(claim, record)
        return "DISCHARGED" if found == "UNVERIFIED" else found

    return replace(baseline, judge=judge)


@mutant
def any_platform_discharges(baseline: Any) -> Any:
    """Where it survived is not compared with where it has to. Synthetic: one machine is all that its author has."""

    def judge(claim: dict[str, Any], record: Any) -> Any:
        return baseline.judge({**claim, "discharges_on": [record["platform"]]}, record)

    return replace(baseline, judge=judge)


@mutant
def equal_is_out(baseline: Any) -> Any:
    """A measurement at its limit fails, and half of the limit is taken for it. Synthetic: a safety margin in code."""
    tight = {"le": lambda a, b: operator.lt(a, b / 4)}
    return patched(baseline, "judge", limits, OPERATORS={**limits.OPERATORS, **tight})


@mutant
def first_case_alone(baseline: Any) -> Any:
    """Only the first case is judged: the rest is never looked at (systems B7)."""

    def evaluate(limit: Any, sample: Any) -> Any:
        return right(limit, with_fields(sample, judged=frozenset({0})))

    from harness.judging import findings as module

    right = module.evaluate
    return patched(baseline, "judge", module, evaluate=evaluate)
