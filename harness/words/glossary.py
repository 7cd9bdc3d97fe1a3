"""Plain descriptions of Harness's terms: verdicts, measurements, implicit limits, operators, free mutants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from harness.judging import cause
from harness.judging.verdict import Verdict
from harness.measurements.table import MEASUREMENTS

Page = tuple[str, Iterator[tuple[int, str]]]
"""A title, and paragraphs with their indent."""


IMPLICIT = {
    "shape": "the output has the reference's shape",
    "dtype": "the output has the requested dtype",
    "finite": "the output is finite wherever the reference is",
    "inputs_unchanged": "the implementation does not change the arrays that it is given",
    "outputs_unchanged": "a later call does not overwrite what an earlier one returned",
    "on_device": "on a device that is not the CPU, the implementation computes and keeps its tensors there",
}
OPERATORS = {"le": "at most", "lt": "below", "ge": "at least", "gt": "above", "eq": "exactly"}
FREE = {
    "zeros": "an output of zeros",
    "nan": "an output of NaN",
    "mean": "the baseline's mean everywhere",
    "input": "the input returned as the output, if the shapes allow it",
    "lower_precision": "the baseline on inputs and outputs rounded to a lower precision",
}


MEANING = {
    "ERROR": "The falsifier could not finish, so nothing is known; the traceback is in log.txt.",
    "UNSOUND": "The trusted baseline breaks the claim's own limit: falsifier or limit is wrong, not the candidate.",
    "FALSIFIED": "The candidate broke a limit that the baseline keeps. The smallest failing case is saved.",
    "VACUOUS": "The candidate passed, but so did something known to be wrong: this pass means nothing.",
    "BLOCKED": "The claim survived, but a contract that it depends on is red.",
    "UNVERIFIED": "It did not run, so nothing is known, and it earns no credit.",
    "STALE": "The evidence belongs to another contract, code or candidate than the present one.",
    "PARTIAL": "The candidate survived and every mutant died, but not on the platform that discharges the claim.",
    "DISCHARGED": "The candidate survived and every mutant died, on a platform that the contract accepts.",
}
"""What each verdict means, in a sentence."""


class Reading(NamedTuple):
    """When a verdict arises, what to do about it, and how pytest reports it."""

    arises: str
    do: str
    pytest: str


VERDICTS = {
    "ERROR": Reading(
        "the falsifier raised or returned nonsense, its process crashed, or it ran out of its time (ten times "
        "budget_s) or memory",
        "read claims/CLAIM/log.txt in the evidence, which has the traceback and all output; mend the cause, "
        "then run again",
        "an error",
    ),
    "UNSOUND": Reading(
        "the baseline, run on the same cases, breaks one of the claim's own limits",
        "the candidate is not at fault: look for a mistake in the falsifier or its reference, or for a limit tighter "
        "than round-off; after you widen a limit, every mutant must still die",
        "an error",
    ),
    "FALSIFIED": Reading(
        "the candidate broke a written or an implicit limit; NaN breaks every limit",
        "`harness replay .../counterexample.json` runs the smallest failing case again on the same bytes; with "
        "--candidate it runs your mended version on them. The claim's `if_fails` says where to look first",
        "a failure",
    ),
    "VACUOUS": Reading(
        "the candidate passed, but a mutant (a known-wrong version) passed the same check too, or a limit killed no "
        "mutant at all: the reason names it",
        "sharpen the explored domain or tighten the limit until the mutant dies (`harness mutants` shows the "
        "margins); remove a limit that kills no mutant",
        "an error",
    ),
    "BLOCKED": Reading(
        "the claim itself survived, but a contract named in `depends_on`, directly or through others, is red",
        "mend the contract that the reason names, then run again",
        "a skip",
    ),
    "UNVERIFIED": Reading(
        "it did not run: a device, a dependency, a function or an argument of the candidate is missing, or -k did not "
        "select it; the reason says which",
        "provide what the reason names, then run again; until then it earns no credit",
        "a skip",
    ),
    "STALE": Reading(
        "`harness gate` found evidence that is too old, or of another candidate, contract, code, version or file than "
        "those at hand",
        "run again, or name what you ship with --candidate and --contracts",
        "a skip",
    ),
    "PARTIAL": Reading(
        "it survived and every mutant was killed, but on a platform outside the claim's `discharges_on`, or a mutant "
        "did not run because it needs a device that is missing",
        "run it on a platform that the claim names; the same survival there is DISCHARGED. If you ship where it "
        "survived, name that platform in ship.yaml (`platform: cpu`)",
        "a skip",
    ),
    "DISCHARGED": Reading(
        "it survived and every mutant was killed, on a platform that the claim names",
        "nothing; --seed tries other cases, and a case that fails is a counterexample",
        "a pass",
    ),
}


def pages(word: str) -> Iterator[Page]:
    """Yield one page for each meaning that Harness gives to a word, ignoring case; none for an unknown word."""
    folded = word.lower()
    if word.upper() in VERDICTS:
        yield _verdict(Verdict(word.upper()))
    if folded in MEASUREMENTS:
        entry = MEASUREMENTS[folded]
        yield f"{folded}: a measurement", iter([(0, f"It is {entry.what}."), (0, f"How it reads: {entry.reads}.")])
    if folded in IMPLICIT:
        yield f"{folded}: an implicit limit of every claim", iter([(0, f"It holds where {IMPLICIT[folded]}.")])
    if folded in OPERATORS:
        text = f"`{folded}: 2` holds where the measurement is {OPERATORS[folded]} 2; NaN violates every limit."
        yield f"{folded}: an operator of limits", iter([(0, text)])
    if folded in FREE:
        yield f"{folded}: a free mutant", iter([(0, f"Every comparison of arrays must catch it: {FREE[folded]}.")])
    if folded in cause.MEANING:
        yield f"{folded}: a cause of a verdict", iter([(0, f"It means: {cause.MEANING[cause.Cause(folded)]}.")])


def _verdict(verdict: Verdict) -> Page:
    reading = VERDICTS[verdict.value]
    code = (
        "1, whatever the other claims give"
        if verdict.red
        else "0 if nothing is red"
        if verdict.survived
        else "3 if no claim is red and none survived"
    )
    opens = {Verdict.DISCHARGED: "open"}.get(verdict, "shut, with exit code " + ("1" if verdict.red else "3"))

    def lines() -> Iterator[tuple[int, str]]:
        yield 0, MEANING[verdict.value]
        yield 0, f"When: {reading.arises}."
        yield 0, f"What to do: {reading.do}."
        yield 0, f"Exit code: `harness run` gives {code}; `harness gate` is {opens}; in pytest it is {reading.pytest}."
        yield 0, f"Credit: {verdict.credit:g} of a criterion's weight in ship-%; the weakest of its claims decides."

    return f"{verdict.value}: a verdict" + (" (red)" if verdict.red else ""), lines()
