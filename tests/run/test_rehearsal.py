"""`harness run --device rehearsal`, as its users start it."""

from harness.judging.cause import Cause
from harness.judging.verdict import Verdict
from harness.subject.rehearsal import start
from harness.trial.examine import examine
from harness.trial.job import Job
from tests.support.command import as_json, harness, light
from tests.support.laboratory import shipped
from tests.support.repository import ROOT


def test_a_rehearsal_runs_mutants_too_and_never_discharges(tmp_path):
    paths = [str(ROOT / "contracts" / name) for name in ("model/device_traffic.yaml", "ops/activations.yaml")]
    done = harness(tmp_path, "run", *paths, "-k", "traffic or swiglu-001", "--device", "rehearsal", "--json")
    claims = {claim["id"]: claim for claim in as_json(done)["claims"] if claim["selected"]}
    assert {name: (claim["verdict"], claim["cause"]) for name, claim in claims.items()} == dict.fromkeys(
        ("FALSIFY-DEVICE-TRAFFIC-DECODER-001", "FALSIFY-DEVICE-TRAFFIC-GRADIENTS-001", "FALSIFY-SWIGLU-001"),
        ("PARTIAL", "other_platform"),
    )
    assert all(mutant["killed"] for claim in claims.values() for mutant in claim["mutants"])
    assert (as_json(done)["device"], done.returncode) == ("rehearsal", 0)


def test_where_no_device_can_be_rehearsed_the_claim_is_unverified(tmp_path, monkeypatch):
    """Without torch, and with a torch that lets no device be written in Python."""
    claim, _ = shipped("FALSIFY-DEVICE-TRAFFIC-DECODER-001")
    job = Job(claim, 0, "rehearsal", "torch", str(tmp_path))
    monkeypatch.setattr("harness.subject.rehearsal.start", start.__wrapped__)  # as in a process that has not begun it
    monkeypatch.delattr("torch.utils.backend_registration._setup_privateuseone_for_python_backend")
    found = examine(job, lambda stage: None).judgement
    assert (found.verdict, found.cause) == (Verdict.UNVERIFIED, Cause.CAPABILITY_MISSING)
    assert "lets no device be written in Python" in found.reason
    done = light(
        tmp_path, "run", str(ROOT / claim.path), "--device", "cpu", "-k", "decoder", "--json", "--candidate", "baseline"
    )
    (row,) = [row for row in as_json(done)["claims"] if row["selected"]]
    assert (row["verdict"], row["cause"]) == ("UNVERIFIED", "dependency_missing")
