"""The judge: a pure function from a claim and its record to a verdict.

It reads no file, runs no implementation and keeps no state, so anyone can judge the evidence again.
"""

from __future__ import annotations

import math

from harness.dtypes import FORMATS
from harness.judging.cause import Cause
from harness.judging.findings import IMPLICIT, findings, sample
from harness.judging.judgement import Judgement, violation
from harness.judging.limits import Finding, Group, Limit, evaluate, parse
from harness.judging.mutant_kills import mutant_fate, vacuous, weak
from harness.judging.record import Entry, Record, Subject, of_fixed_cases, shortened
from harness.judging.result import Fate, Measurements
from harness.judging.verdict import Verdict
from harness.measurements.pool import Pool
from harness.measurements.row import Row
from harness.platforms import DISCHARGING, REHEARSAL, named

SINGLE = "candidate computes in float32 where float64 is required"
BASELINE_MAX_U = 64
"""The bound on a baseline's error, in unit round-offs, if the claim does not limit `baseline_err` itself.

A larger error makes the claim UNSOUND (docs/limits.md, the ratio rule).
"""
MOST = 300
"""The reason of an unbound claim repeats at most this many characters of its `unbound` text."""


def judge(claim: Entry, record: Record) -> Judgement:
    """Judge one claim (its YAML entry as data) on its record (`result.json`'s `record`)."""
    if "unbound" in claim:
        return _without_findings(Verdict.UNVERIFIED, why_unbound(claim), Cause.UNBOUND)
    if record.get("error"):
        return _without_findings(Verdict.ERROR, record["error"], _cause(record, Cause.RAISED))
    candidate = record["subjects"].get("candidate")
    if candidate is None:
        return _without_findings(Verdict.UNVERIFIED, "it did not run", Cause.DID_NOT_RUN)
    if candidate["status"] == "crashed":
        return _without_findings(Verdict.ERROR, candidate["reason"], _cause(candidate, Cause.RAISED))
    if candidate["status"] != "ran":
        return _without_findings(Verdict.UNVERIFIED, candidate["reason"], _cause(candidate, Cause.CAPABILITY_MISSING))
    baseline = record["subjects"].get("baseline")
    if baseline and baseline["status"] != "ran":
        verdict = Verdict.UNVERIFIED if baseline["status"] == "unsupported" else Verdict.ERROR
        return _without_findings(verdict, f"the baseline did not run: {baseline['reason']}", Cause.BASELINE_FAILED)
    limits = parse(claim["accept"])
    found = findings(claim, record, candidate)
    fixed = of_fixed_cases(record)
    mutants = [mutant_fate(name, subject, claim, fixed) for name, subject in record["mutants"].items()]
    verdict, reason, cause = _verdict(claim, record, found, limits, mutants)
    return Judgement(
        verdict=verdict,
        reason=shortened(reason),
        cause=cause,
        violated=[violation(finding) for finding in found if not finding.holds],
        measurements=_measurements(found),
        mutants=mutants,
    )


def _cause(ended: Record | Subject, otherwise: Cause) -> Cause:
    """The recorded cause; `otherwise` if none was recorded."""
    return Cause(ended.get("cause", otherwise))


def why_unbound(claim: Entry) -> str:
    """The reason of a claim that binds no falsifier: its `unbound` text on one line."""
    words = " ".join(str(claim["unbound"]).split())
    return f"no falsifier is bound: {words if len(words) <= MOST else words[: MOST - 3] + '...'}"


def _without_findings(verdict: Verdict, reason: str, cause: Cause) -> Judgement:
    return Judgement(verdict, shortened(reason), cause, [], {}, [])


def _verdict(
    claim: Entry, record: Record, found: list[Finding], limits: list[Limit | Group], mutants: list[Fate]
) -> tuple[Verdict, str, Cause | None]:
    unsound = _unsound(claim, record)
    if unsound:
        return Verdict.UNSOUND, unsound, None
    broken = [finding for finding in found if not finding.holds]
    single = _float32_explanation(broken, record["subjects"]["candidate"], claim.get("scale"))
    if broken and single:
        return Verdict.UNVERIFIED, f"{SINGLE}: {single}", Cause.FLOAT32_IN_FLOAT64
    if broken:
        return Verdict.FALSIFIED, _violation_text(max(broken, key=lambda f: (f.measure in IMPLICIT, f.margin))), None
    if record.get("mutants_left_out"):
        survived = f"survived {len(record['cases'])} cases on {record['platform']}"
        return Verdict.UNVERIFIED, f"{survived}; no mutant was run (--no-mutants)", Cause.MUTANTS_LEFT_OUT
    unproven = vacuous(claim, limits, mutants)
    if unproven:
        return Verdict.VACUOUS, unproven, None
    platform = record["platform"]
    where = claim.get("discharges_on", DISCHARGING)
    not_run = [m["name"] for m in mutants if m["status"] == "not_run"]
    survived = f"survived on {platform}"
    if platform not in where or platform == REHEARSAL:
        return Verdict.PARTIAL, f"{survived}; discharges on {named(where)}{weak(mutants)}", Cause.OTHER_PLATFORM
    if not_run:
        missing = f"mutants not run here: {', '.join(not_run)}"
        return Verdict.PARTIAL, f"{survived}; {missing}{weak(mutants)}", Cause.MUTANT_NOT_RUN
    return Verdict.DISCHARGED, survived + weak(mutants), None


def _unsound(claim: Entry, record: Record) -> str:
    baseline = record["subjects"].get("baseline")
    if not baseline:
        return ""
    found = findings(claim, record, baseline)
    own = {finding.dtype for finding in found if finding.measure == "baseline_err"}
    if any(not row.get("exact") for row in baseline["rows"]):
        bound = {name: BASELINE_MAX_U * fmt.unit_roundoff for name, fmt in FORMATS.items() if name not in own}
        data = sample(claim, record, baseline)
        found += [f for limit in parse({"baseline_err": {"le": bound}}) for f in evaluate(limit, data)]
    broken = [finding for finding in found if not finding.holds]
    return f"the baseline itself violates {_violation_text(broken[0])}" if broken else ""


def nearly_single(judgement: Judgement, claim: Entry, record: Record) -> bool:
    """Whether the claim is FALSIFIED only in float64 cases whose errors float32 round-off explains.

    If so, the caller checks whether the candidate rounds its float64 inputs to float32.
    """
    if judgement.verdict is not Verdict.FALSIFIED:
        return False
    candidate = record["subjects"]["candidate"]
    broken = [finding for finding in findings(claim, record, candidate) if not finding.holds]
    return _within_float32(broken, _float64_rows(candidate), claim.get("scale"))


def _float64_rows(candidate: Subject) -> list[Row]:
    return [row for row in candidate["rows"] if row["dtype"] == "float64" and not row.get("exact")]


def _within_float32(broken: list[Finding], wide: list[Row], scale: float | None) -> bool:
    if any(f.dtype != "float64" or (f.measure in IMPLICIT and f.measure != "dtype") for f in broken):
        return False
    bound = BASELINE_MAX_U * FORMATS["float32"].unit_roundoff
    pool = Pool("float64", wide, [], scale)
    return bool(wide) and all(pool.rms_error(row) <= bound for row in wide)


def _float32_explanation(broken: list[Finding], candidate: Subject, scale: float | None) -> str:
    """Why float32 arithmetic alone explains every failing float64 case; '' if it does not."""
    wide = _float64_rows(candidate)
    if not _within_float32(broken, wide, scale):
        return ""
    if all(row.get("single") for row in wide):
        return "every value it gave is a float32"
    names = candidate.get("narrowed", [])
    return f"it rounds {', '.join(f'`{name}`' for name in names)} first" if names else ""


def _measurements(found: list[Finding]) -> Measurements:
    out: Measurements = {}
    for finding in found:
        if finding.measure not in IMPLICIT:
            held = out.setdefault(finding.measure, {}).get(finding.dtype)
            number = finding.value if math.isfinite(finding.value) else str(finding.value)
            out[finding.measure][finding.dtype] = number if held is None else held
    return out


def _violation_text(finding: Finding) -> str:
    if finding.measure in IMPLICIT:
        return finding.limit
    where = f", `{finding.pair}`" if finding.pair else ""
    return f"{finding.limit}: {finding.measure} = {finding.value:.3g} in {finding.dtype}{where}"
