"""`harness run --device rehearsal`, as its users start it."""

from tests.support.command import as_json, harness
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
