"""The shipped claims on ops, models, training and adapters run on the rehearsal device, and none is red."""

import pytest

from tests.support.command import as_json, harness
from tests.support.repository import ROOT

SAME_CODE_LONGER = "thousand"
"""FALSIFY-ADAMW-THOUSAND-001 takes a thousand steps by the code of which FALSIFY-ADAMW-TRAJECTORY-001 takes forty."""


@pytest.mark.parametrize("folder", ["model", "training", "ops", "adapters"])
def test_the_default_candidate_works_on_a_device(folder, tmp_path):
    words = ["--device", "rehearsal", "--no-mutants", "-j", "1", "-k", f"not {SAME_CODE_LONGER}", "--json"]
    done = harness(tmp_path, "run", str(ROOT / "contracts" / folder), *words)
    claims = [claim for claim in as_json(done)["claims"] if claim["selected"]]
    assert [f"{c['id']} {c['verdict']} {c['reason']}" for c in claims if c["cause"] != "mutants_left_out"] == []
    assert as_json(done)["device"] == "rehearsal"
    assert len(claims) >= 9
    assert done.returncode == 3
