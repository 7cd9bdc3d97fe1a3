"""The shipped claims on ops, models, training and adapters run on the rehearsal device, and none is red."""

import pytest

from tests.support.command import as_json, harness
from tests.support.repository import ROOT

SAME_CODE_AGAIN = (
    *("thousand", "determinism", "probes", "slopes", "tangents", "localisation", "corpus"),
    *("f64", "special", "state", "large"),
)
"""Words in the ids of claims that call what another claim calls, with more steps or other values; the numbers of the
rehearsal device are the CPU's. `harness run contracts/ --device rehearsal` runs them too."""


@pytest.mark.parametrize(("folder", "least"), [("model", 25), ("training", 25), ("ops", 40), ("adapters", 9)])
def test_the_default_candidate_works_on_a_device(folder, least, tmp_path):
    select = " and ".join(f"not {word}" for word in SAME_CODE_AGAIN)
    words = ["--device", "rehearsal", "--no-mutants", "-j", "1", "-k", select, "--json"]
    done = harness(tmp_path, "run", str(ROOT / "contracts" / folder), *words)
    claims = [claim for claim in as_json(done)["claims"] if claim["selected"]]
    assert [f"{c['id']} {c['verdict']} {c['reason']}" for c in claims if c["cause"] != "mutants_left_out"] == []
    assert as_json(done)["device"] == "rehearsal"
    assert len(claims) >= least
    assert done.returncode == 3
