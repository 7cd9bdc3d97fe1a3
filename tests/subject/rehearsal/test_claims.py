"""Every shipped claim on ops, models, training and adapters runs on the rehearsal device.

The candidate's first case gives the CPU's numbers, and nothing is copied to the host or computed there.
"""

from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from harness.contract.claim import Claim
from harness.contract.validate import check
from harness.judging.record import Subject
from harness.subject import binding
from harness.trial.experiment import run_subject
from harness.trial.job import Job, assemble
from tests.support.repository import CONTRACTS

FOLDERS = ("model", "training", "ops", "adapters")
SAME_CODE_LONGER = (
    "THOUSAND",
    "DETERMINISM",
    "PROBES",
    "SLOPES",
    "TANGENTS",
    "CORPUS",
    "PERPLEXITY-FLOOR",
    "VAL-LOSS-001",
)
"""Claims that call what others call, many more times; `harness run contracts/ --device rehearsal` runs them too."""
OF_THIS_PROCESS = ("process", "steps_shared", "clock_share")
"""Numbers that name a process, count the turns of two threads, or read a clock."""
BY_FOLDER = [sorted((CONTRACTS / name).glob("*.yaml")) for name in FOLDERS]
PATHS = [path for row in zip_longest(*BY_FOLDER) for path in row if path]
"""The folders take turns, so that `make test` runs contracts of each."""


def claims(path: Path) -> list[Claim]:
    found = [claim for contract in check([path]).contracts for claim in contract.claims]
    return [claim for claim in found if not claim.unbound and not any(word in claim.id for word in SAME_CODE_LONGER)]


def first_case(claim: Claim, device: str, folder: Path) -> Subject:
    weights = str(binding.attribute(claim.given["weights"])()) if "weights" in claim.given else None
    job = Job(claim, 0, device, "torch", str(folder), weights=weights, mutants_left_out=True)
    experiment = assemble(job)
    return run_subject(experiment, experiment.candidate, [experiment.make(experiment.cases[0])], "candidate")


def differing(there: Subject, here: Subject) -> list[Any]:
    """Pairs and numbers that differ by more than another order of sums explains."""
    pairs = [(a, b) for a, b in zip(there["rows"], here["rows"], strict=True) if not _near_row(a, b)]
    numbers = zip(there["scalars"], here["scalars"], strict=True)
    return pairs + [
        (a, b) for a, b in numbers if a["name"] not in OF_THIS_PROCESS and not _near(a["value"], b["value"])
    ]


def _near_row(a: Any, b: Any) -> bool:
    if not all(a[key] == b[key] for key in ("pair", "dtype", "n")):
        return False
    sizes = [a.get("err_max"), b.get("err_max"), b.get("ref_max")]
    if not all(isinstance(size, float) for size in sizes):  # an infinity is kept as text
        return bool(a == b)
    there, here, reference = sizes
    return bool(there <= 4 * here + 1e-13 * reference)


def _near(a: Any, b: Any) -> bool:
    return bool(a == b or (isinstance(a, float) and a == pytest.approx(b, rel=1e-6, abs=1e-12)))


@pytest.mark.sample(12)
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_default_candidate_computes_the_same_on_a_device(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HARNESS_SCRATCH", str(tmp_path))
    for claim in claims(path):
        there = first_case(claim, "rehearsal", tmp_path)
        assert (there["status"], there["reason"], there["faults"]) == ("ran", "", []), claim.id
        if claim.device is None:  # on the CPU a claim about devices has nothing to count
            assert differing(there, first_case(claim, "cpu", tmp_path)) == [], claim.id


def test_another_number_is_seen():
    row = {"pair": "out", "dtype": "float32", "n": 2, "err_max": 1e-7, "ref_max": 1.0, "got": 1.0}
    here: Any = {"rows": [row], "scalars": [{"name": "moved", "value": 1.0}]}
    assert differing(here, here) == []
    assert len(differing({"rows": [{**row, "err_max": 1e-6}], "scalars": here["scalars"]}, here)) == 1
    assert len(differing({"rows": [row], "scalars": [{"name": "moved", "value": 1.1}]}, here)) == 1
