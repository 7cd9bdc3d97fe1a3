"""Tell a violation from luck: a search finds the largest round-off of correct code too."""

from __future__ import annotations

import math

from harness.contract.cases import CaseSpec, case_seed
from harness.contract.claim import Claim
from harness.dtypes import FORMATS
from harness.judging.findings import IMPLICIT, findings
from harness.judging.judge import BASELINE_MAX_U, judge
from harness.judging.limits import Finding
from harness.judging.record import Record, Subject
from harness.judging.verdict import Verdict
from harness.measurements.pool import Pool
from harness.trial.attempt import POOLED, Alone, with_case
from harness.trial.edits import nudged
from harness.trial.experiment import Experiment, observe, rows, scalars
from harness.trial.variant import Variant, run_alone

SEEDS = 3
"""Other seeds under which a violation must show again at least once, unless it is far beyond its limit."""
FAR = 10.0
"""A value this many times its limit is no luck (docs/decisions.md has the distribution)."""
ROUNDING = 4.0
"""On edited values the error must exceed this many times the change of the reference that one rounding of the inputs
makes: beyond the declared values an op may be so ill-conditioned that no code can hold the limit."""


def sound(claim: Claim, record: Record, spec: CaseSpec, run: Alone) -> bool:
    """Whether the baseline keeps every limit on this case, and is as near to the reference as on the fixed cases.

    Near is below the bound of the judge, or no farther than the worst fixed case of the dtype.
    """
    baseline = run.subjects.get("baseline")
    if baseline is None:
        return True
    joined = with_case(record, spec, run.subjects)
    found = findings(claim.source, joined, baseline, spec.index)
    if any(not f.holds and f.measure not in POOLED for f in found):
        return False
    pool = Pool(spec.dtype, [], [], claim.scale)
    fixed = record["subjects"]["baseline"]["rows"]
    held = [pool.rms_error(row) for row in fixed if row["dtype"] == spec.dtype and not row.get("exact")]
    bound = max([BASELINE_MAX_U * FORMATS[spec.dtype].unit_roundoff, *held])
    return all(row.get("exact") or pool.rms_error(row) <= bound for row in baseline["rows"])


def confirmed(experiment: Experiment, claim: Claim, record: Record, variant: Variant, run: Alone) -> bool:
    """Whether the case falsifies the claim, beyond what round-off explains and what one seed shows by luck."""
    if judge(claim.source, with_case(record, variant.spec, run.subjects)).verdict is not Verdict.FALSIFIED:
        return False
    broken = _beyond_rounding(experiment, claim, record, variant, run)
    if any(f.measure in IMPLICIT or (math.isfinite(f.margin) and f.margin >= FAR) for f in broken):
        return True
    if variant.edits:  # limits are declared for the declared values: beyond them a number near its limit says nothing
        broken = [f for f in broken if not math.isfinite(f.margin)]
    others = (variant.under(case_seed(claim, variant.spec.seed, f"again {number}")) for number in range(SEEDS))
    return bool(broken) and any(stands(experiment, claim, record, other) for other in others)


def stands(experiment: Experiment, claim: Claim, record: Record, variant: Variant) -> bool:
    """Whether the variant, run alone, breaks a limit that the baseline keeps, by more than round-off explains."""
    try:
        run = run_alone(experiment, claim.source, record, variant)
    except Exception:  # noqa: BLE001  (a case that cannot run breaks no limit)
        return False
    return sound(claim, record, variant.spec, run) and bool(_beyond_rounding(experiment, claim, record, variant, run))


def _beyond_rounding(
    experiment: Experiment, claim: Claim, record: Record, variant: Variant, run: Alone
) -> list[Finding]:
    """The broken limits whose value no rounding of the inputs explains; on values that are not edited, all."""
    broken = run.attempt.broken
    if not variant.edits:
        return broken
    moved = _moved_reference(experiment, variant, run)
    if moved is None:
        return [finding for finding in broken if finding.measure in IMPLICIT]
    joined = with_case(record, variant.spec, run.subjects)
    explained = {f.limit: f.value for f in findings(claim.source, joined, moved, variant.spec.index)}
    return [f for f in broken if f.measure in IMPLICIT or _exceeds(f, explained.get(f.limit, math.nan))]


def _exceeds(finding: Finding, explained: float) -> bool:
    """A NaN of the candidate exceeds everything; a NaN of the moved reference explains nothing."""
    if math.isnan(finding.value) or math.isnan(explained):
        return True
    return abs(finding.value) > ROUNDING * abs(explained)


def _moved_reference(experiment: Experiment, variant: Variant, run: Alone) -> Subject | None:
    """The reference on inputs moved by one unit in the last place, as if it were a subject; None if it cannot run."""
    spec, seen = variant.spec, run.attempt
    case = experiment.make(spec, {**seen.arrays, **nudged(seen.arrays, spec.dtype, spec.seed)})
    target, role = experiment.baseline or experiment.candidate, "baseline" if experiment.baseline else "candidate"
    try:
        observation, _ = observe(experiment, target, case, role)
        observation.pairs = {name: (want, seen.pairs[name][1]) for name, (_, want) in observation.pairs.items()}
        measured = rows(experiment, case, observation)
    except Exception:  # noqa: BLE001  (moved inputs may leave the domain of the falsifier)
        return None
    return {"status": "ran", "reason": "", "rows": measured, "scalars": scalars(spec.index, observation), "faults": []}
