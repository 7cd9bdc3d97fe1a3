"""The judge: a pure function from a claim and what was recorded to a verdict.

It reads no file, runs nothing and keeps nothing, so anyone can judge the evidence again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.dtypes import FORMATS
from harness.limits import Finding, Group, Limit, Sample, evaluate, parse
from harness.measure import Row
from harness.pool import Pool
from harness.verdict import Verdict

BASELINE_MAX_U = 64
"""Above this many unit round-offs a baseline is no arbiter (design, the ratio rule)."""
STRONG_MARGIN = 10.0
IMPLICIT = ("shape", "dtype", "finite", "inputs_unchanged", "outputs_unchanged")


@dataclass(frozen=True)
class Judgement:
    """A verdict with everything it was derived from."""

    verdict: Verdict
    reason: str
    violated: list[dict[str, Any]]
    measurements: dict[str, dict[str, Any]]
    mutants: list[dict[str, Any]]


def judge(claim: Mapping[str, Any], record: Mapping[str, Any]) -> Judgement:
    """Judge one claim (its YAML entry as data) on its record (`result.json`'s `record`).

    The record holds `platform`, `cases`, and per subject its status, rows, scalars and faults.
    """
    if record.get("error"):
        return _only(Verdict.ERROR, record["error"])
    candidate = record["subjects"].get("candidate", {"status": "unsupported", "reason": "it did not run"})
    if candidate["status"] == "crashed":
        return _only(Verdict.ERROR, candidate["reason"])
    if candidate["status"] != "ran":
        return _only(Verdict.UNVERIFIED, candidate["reason"])
    baseline = record["subjects"].get("baseline")
    if baseline and baseline["status"] != "ran":
        verdict = Verdict.UNVERIFIED if baseline["status"] == "unsupported" else Verdict.ERROR
        return _only(verdict, f"the baseline did not run: {baseline['reason']}")
    limits = parse(claim["accept"])
    found = findings(claim, record, candidate)
    mutants = [_mutant(name, subject, claim, record) for name, subject in record["mutants"].items()]
    verdict, reason = _verdict(claim, record, found, limits, mutants)
    return Judgement(
        verdict=verdict,
        reason=reason,
        violated=[brief(finding) for finding in found if not finding.holds],
        measurements=_measurements(found),
        mutants=mutants,
    )


def findings(claim: Mapping[str, Any], record: Mapping[str, Any], subject: Mapping[str, Any]) -> list[Finding]:
    """Every limit, implicit ones first, against one subject."""
    sample = _sample(claim, record, subject)
    return faults(subject, sample.cases) + [f for limit in parse(claim["accept"]) for f in evaluate(limit, sample)]


def faults(subject: Mapping[str, Any], cases: dict[int, dict[str, Any]]) -> list[Finding]:
    """Violations of the implicit limits: only what failed is listed."""
    seen: dict[str, tuple[int, str, Row | None]] = {}
    for row in subject["rows"]:
        for key, name in (("shape", "shape"), ("kind", "dtype"), ("nonfinite", "finite")):
            if key in row:
                text = f"{row[key]} not finite" if key == "nonfinite" else row[key]
                seen.setdefault(name, (row["case"], f"`{row['pair']}`: {text}", row))
    for fault in subject["faults"]:
        seen.setdefault(fault["limit"], (fault["case"], fault["detail"], None))
    return [
        Finding(
            limit=f"{name} ({text})",
            measure=name,
            dtype=cases.get(index, {}).get("dtype", "?"),
            value=math.nan,
            bound=math.nan,
            holds=False,
            margin=math.inf,
            case=index,
            pair=row["pair"] if row else None,
            row=row,
        )
        for name, (index, text, row) in sorted(seen.items(), key=lambda item: IMPLICIT.index(item[0]))
    ]


def _only(verdict: Verdict, reason: str) -> Judgement:
    return Judgement(verdict, reason, [], {}, [])


def _sample(claim: Mapping[str, Any], record: Mapping[str, Any], subject: Mapping[str, Any]) -> Sample:
    given = claim.get("given", {})
    baseline = record["subjects"].get("baseline")
    return Sample(
        cases={
            c["index"]: {**given, **c["params"], "dtype": c["dtype"], "device": record["platform"]}
            for c in record["cases"]
        },
        rows=subject["rows"],
        scalars=subject["scalars"],
        baseline=baseline["rows"] if baseline else [],
        scale=claim.get("scale"),
        judged=_judged(record, subject),
    )


def _judged(record: Mapping[str, Any], subject: Mapping[str, Any]) -> frozenset[int] | None:
    """The cases to judge: one that is asked for alone, or all that a mutant applies to."""
    if "judged" in record:
        return frozenset(record["judged"])
    skipped = subject.get("skipped", [])
    return frozenset(c["index"] for c in record["cases"]) - frozenset(skipped) if skipped else None


def _verdict(
    claim: Mapping[str, Any],
    record: Mapping[str, Any],
    found: list[Finding],
    limits: list[Limit | Group],
    mutants: list[dict[str, Any]],
) -> tuple[Verdict, str]:
    unsound = _unsound(claim, record)
    if unsound:
        return Verdict.UNSOUND, unsound
    broken = [finding for finding in found if not finding.holds]
    if broken and _single(broken, record["subjects"]["candidate"]["rows"], claim.get("scale")):
        return (
            Verdict.UNVERIFIED,
            "candidate computes in float32 where float64 is asked: every value it gave is a float32",
        )
    if broken:
        return Verdict.FALSIFIED, _tell(max(broken, key=lambda f: (f.measure in IMPLICIT, f.margin)))
    vacuous = _vacuous(claim, limits, mutants)
    if vacuous:
        return Verdict.VACUOUS, vacuous
    platform = record["platform"]
    where = claim.get("discharges_on", ["cpu", "cuda"])
    not_run = [m["name"] for m in mutants if m["status"] == "not_run"]
    if platform in where and not not_run:
        return Verdict.DISCHARGED, f"survived on {platform}" + _weak(mutants)
    missing = (
        f"mutants not run here: {', '.join(not_run)}" if platform in where else f"discharges on {', '.join(where)}"
    )
    return Verdict.PARTIAL, f"survived on {platform}; {missing}" + _weak(mutants)


def _unsound(claim: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    baseline = record["subjects"].get("baseline")
    if not baseline:
        return ""
    found = findings(claim, record, baseline)
    own = any(finding.measure == "baseline_err" for finding in found)
    if not own and any(not row.get("exact") for row in baseline["rows"]):
        bound = {name: BASELINE_MAX_U * fmt.unit_roundoff for name, fmt in FORMATS.items()}
        sample = _sample(claim, record, baseline)
        found += [f for limit in parse({"baseline_err": {"le": bound}}) for f in evaluate(limit, sample)]
    broken = [finding for finding in found if not finding.holds]
    return f"the baseline itself violates {_tell(broken[0])}" if broken else ""


def _single(broken: list[Finding], rows: list[Row], scale: float | None) -> bool:
    """Whether all that is wrong is float32 precision in float64 cases: right as far as float32 goes."""
    if any(f.dtype != "float64" or f.measure in IMPLICIT for f in broken):
        return False
    bound = BASELINE_MAX_U * FORMATS["float32"].unit_roundoff
    wide = [row for row in rows if row["dtype"] == "float64" and not row.get("exact")]
    pool = Pool("float64", wide, [], scale)
    return all(row.get("single") and pool.rms_error(row) <= bound for row in wide)


def _mutant(
    name: str, subject: Mapping[str, Any], claim: Mapping[str, Any], record: Mapping[str, Any]
) -> dict[str, Any]:
    """Whether a mutant is killed, by which limit, by what margin, and everything that kills it."""
    out: dict[str, Any] = {"name": name, "free": bool(subject.get("free")), "status": subject["status"]}
    if subject["status"] != "ran":
        nothing: dict[str, Any] = {
            "killed": False,
            "by": None,
            "margin": None,
            "weak": False,
            "implicit": False,
            "kills": {},
        }
        return {**out, **nothing, "reason": subject["reason"]}
    broken = [finding for finding in findings(claim, record, subject) if not finding.holds]
    kills: dict[str, float] = {}
    for finding in broken:
        kills[finding.limit] = max(kills.get(finding.limit, 0.0), finding.margin)
    implicit = [finding for finding in broken if finding.measure in IMPLICIT]
    best = implicit[0] if implicit else max(broken, key=lambda f: f.margin, default=None)
    margin = best.margin if best and math.isfinite(best.margin) else None
    return {
        **out,
        "killed": best is not None,
        "by": best.limit if best else None,
        "margin": margin,
        "weak": bool(best) and margin is not None and margin < STRONG_MARGIN,
        "implicit": bool(implicit),
        "kills": {label: (m if math.isfinite(m) else None) for label, m in kills.items()},
        "reason": "",
    }


def _vacuous(claim: Mapping[str, Any], limits: list[Limit | Group], mutants: list[dict[str, Any]]) -> str:
    """Why the falsifier's power is not shown: a mutant alive, or a limit that kills none."""
    ran = [m for m in mutants if m["status"] not in ("not_run", "inapplicable")]
    for mutant in ran:
        if not mutant["killed"]:
            crashed = f" (it did not run: {mutant['reason']})" if mutant["reason"] else ""
            return f"mutant {mutant['name']} survived{crashed}"
    if not ran:
        return "no mutant ran"
    exempt = bool(claim.get("mutants_exempt"))
    # A limit that only tells zeros from an answer is decoration: derived outputs do not
    # count, and a mutant that an implicit limit kills says nothing of the written ones.
    telling = [m for m in ran if not m["implicit"] and (exempt or not m["free"] or m["name"] == "lower_precision")]
    for limit in limits:
        if isinstance(limit, Limit) and limit.measure == "baseline_err":
            continue  # it limits the baseline alone; what it kills is the claim, as UNSOUND
        if not any(limit.label in m["kills"] for m in telling):
            return f"limit {limit.label} killed no mutant: it is decoration"
    return ""


def _weak(mutants: list[dict[str, Any]]) -> str:
    weak = [m["name"] for m in mutants if m.get("weak")]
    return f"; weak: {', '.join(weak)} killed by less than {STRONG_MARGIN:g}x" if weak else ""


def _measurements(found: list[Finding]) -> dict[str, dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {}
    for finding in found:
        if finding.measure not in IMPLICIT:
            held = out.setdefault(finding.measure, {}).get(finding.dtype)
            number = finding.value if math.isfinite(finding.value) else str(finding.value)
            out[finding.measure][finding.dtype] = number if held is None else held
    return out


def brief(finding: Finding) -> dict[str, Any]:
    """A finding as plain JSON data."""

    def plain(number: float) -> float | str | None:
        return number if math.isfinite(number) else str(number)

    row = finding.row or {}
    return {
        "limit": finding.limit,
        "measure": finding.measure,
        "dtype": finding.dtype,
        "value": plain(finding.value),
        "bound": plain(finding.bound),
        "margin": finding.margin if math.isfinite(finding.margin) else None,
        "case": finding.case,
        "pair": finding.pair,
        "at": row.get("at"),
        "got": row.get("got"),
        "want": row.get("want"),
    }


def _tell(finding: Finding) -> str:
    if finding.measure in IMPLICIT:
        return finding.limit
    return f"{finding.limit}: {finding.measure} = {finding.value:.3g} in {finding.dtype}"
