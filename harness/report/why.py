"""Explain a verdict step by step from the evidence, and name its root-cause class if the cause has one."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.judging.cause import Cause
from harness.judging.record import Record
from harness.judging.result import Result, Stages
from harness.judging.verdict import Verdict
from harness.measurements.row import Number, Row
from harness.words.narrative import case_text, violation_text

ABOVE_BASELINE = 10.0
"""A case is compared with the mutants if its error is more than this many times the baseline's."""
SAME = 0.1
"""Two errors count as the same if they differ by at most this share of the candidate's."""


def whys(result: Result, stages: Stages | None) -> list[str]:
    """Explain a verdict in sentences, from the verdict down to the place to look at."""
    verdict = Verdict(result["verdict"])
    links = [f"{verdict}: {result['reason']}."]
    if verdict is Verdict.FALSIFIED:
        links += [*_violation(result), *_stages(stages), *_like_a_mutant(result["record"]), *_hint(result)]
    elif verdict is Verdict.VACUOUS:
        links += _survivors(result)
    elif verdict.survived or verdict is Verdict.BLOCKED:
        links += _survival(result)
    elif result["cause"] == Cause.DEVICE_MISSING:
        links.append(f"The device asked for was not there: {result['reason']}.")
    return links


def root_cause(result: Result) -> str | None:
    """The root-cause class with the reason; None if the cause of the verdict has no class."""
    found = result["root_cause_class"]
    return f"{found}: {result['reason']}" if found else None


def _violation(result: Result) -> Iterator[str]:
    broken = result["violated"]
    placed = [v for v in broken if v["at"] is not None]
    worst = max(placed or broken, key=lambda v: v["margin"] or math.inf, default=None)
    if worst:
        many = "One limit is broken" if len(broken) == 1 else f"{len(broken)} limits are broken"
        yield f"{many}; the worst place for {worst['limit']} is: {violation_text(worst)}."
    found = result.get("counterexample")
    if found:
        still = "" if found["reproducible"] else ", and only after earlier calls"
        yield f"The smallest case found that still fails{still}: {case_text(found['case'])}."


def _stages(stages: Stages | None) -> Iterator[str]:
    if stages is None:
        return
    if "unsupported" in stages:
        yield f"The faulty stage is unknown: {stages['unsupported']}."
        return
    errors = {stage["stage"]: stage for stage in stages["stages"]}
    first, bad = stages["first_divergent"], stages["independently_bad"]
    if first is None:
        yield "No stage is wrong on its own and none diverges: the fault lies between stages, or not in this case."
        return
    alone = errors[first]["alone_u"]
    yield f"First divergent stage: {first}, {_u(alone)} round-offs on its own (limit {stages['limit_u']})."
    inherited = [n for n, s in errors.items() if n not in bad and not _within(s["propagated_u"], stages["limit_u"])]
    if stages.get("transposed"):
        yield f"Its values are those of {' or '.join(stages['transposed'])} in the other layout, transposed."
    if bad:
        yield f"Wrong when fed the reference's inputs: {', '.join(bad)}."
    if inherited:
        yield f"{len(inherited)} later stages only pass the error on, the last of them {inherited[-1]}."


def _within(error: Number, limit: float) -> bool:
    return float(error) <= limit


def _u(error: Number) -> str:
    return f"{float(error):.3g}"


def _like_a_mutant(record: Record) -> Iterator[str]:
    """Name the known-wrong version whose errors match the candidate's, if one matches in 80 % of the places."""
    candidate = _clear_errors(record)
    if len(candidate) < 3:
        return
    shares = {}
    for name, mutant in record["mutants"].items():
        errors = _errors(mutant["rows"])
        same = [_same(error, errors.get(key)) for key, error in candidate.items()]
        if mutant["status"] == "ran" and not mutant.get("free"):
            shares[name] = sum(same) / len(same)
    best = max(shares, key=lambda name: shares[name], default=None)
    if best is not None and shares[best] >= 0.8:
        many = f"{sum(_same(e, _errors(record['mutants'][best]['rows']).get(k)) for k, e in candidate.items())}"
        yield (
            f"The candidate errs as the known-wrong version {best} does: the same error, within {SAME:.0%}, in "
            f"{many} of the {len(candidate)} places where its error is clearly above round-off."
        )


def _clear_errors(record: Record) -> dict[tuple[int, str], float]:
    trusted = record["subjects"].get("baseline")
    baseline = _errors(trusted["rows"]) if trusted else {}
    found = _errors(record["subjects"]["candidate"]["rows"])
    return {key: error for key, error in found.items() if error > ABOVE_BASELINE * baseline.get(key, 0.0) and error > 0}


def _errors(rows: list[Row]) -> dict[tuple[int, str], float]:
    """(case, pair) -> square root of the summed squared error, for the finite ones."""
    squares = {(row["case"], row["pair"]): row.get("err_sq") for row in rows}
    return {key: math.sqrt(sq) for key, sq in squares.items() if isinstance(sq, float) and math.isfinite(sq)}


def _same(a: float, b: float | None) -> bool:
    return b is not None and abs(a - b) <= SAME * a


def _hint(result: Result) -> list[str]:
    return [f"What to look at: {result['if_fails']}."] if result["if_fails"] else []


def _survivors(result: Result) -> Iterator[str]:
    for mutant in result["mutants"]:
        if not mutant["killed"] and mutant["status"] == "ran":
            yield f"{mutant['name']} is known to be wrong, but it ran on the same cases and broke no limit."


def _survival(result: Result) -> Iterator[str]:
    killed = [m for m in result["mutants"] if m["killed"]]
    margins = [(m["margin"], m["name"], m["by"]) for m in killed if m["margin"] is not None]
    yield f"All {len(killed)} known-wrong versions that ran were killed on the same cases by a named limit."
    if margins:
        margin, name, by = min(margins, key=lambda each: each[0])
        yield f"The one nearest to surviving: {name}, at {margin:.3g} times the limit {by}."
