"""The evidence of a run says on which device and under which settings of torch its claims ran."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.evidence import store, verify
from harness.falsifiers.itself.shop import DOUBLES
from tests.subject.test_device_facts import SETTLED
from tests.support.command import as_json, harness
from tests.support.doubling import contract

TF32 = "import torch\n\ndef double(x):\n    torch.backends.cuda.matmul.allow_tf32 = True\n    return x + x\n"


def evidence(folder: Path, *options: str) -> tuple[Any, Any]:
    """(run.json, result.json of the claim) of a run of a candidate that switches TF32 on."""
    contract(folder / "c", "doubling", ["doubles"], on="cpu, cuda")
    (folder / "tf32.py").write_text(TF32, encoding="utf-8")
    done = harness(folder, "run", "c", "--candidate", "tf32.py", "--json", *options)
    assert as_json(done)["counts"], done.stderr
    run = store.sealed(folder / "evidence")
    assert verify.check(run) == []
    return store.read_json(run / "run.json"), store.read_json(run / "claims" / DOUBLES / "result.json")


def test_settings_are_those_of_the_claims_own_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    body, result = evidence(tmp_path, "--device", "cpu")
    assert body["host"]["device"]["settings"] == SETTLED
    assert result["settings"] == {**SETTLED, "cublas_fp32": "tf32"}
    assert body["host"]["device"]["capability"]


def test_a_rehearsal_is_partial_whatever_the_claim_says(tmp_path: Path) -> None:
    body, result = evidence(tmp_path, "--device", "rehearsal")
    assert body["device"] == result["device"] == result["record"]["platform"] == "rehearsal"
    assert (result["verdict"], result["cause"]) == ("PARTIAL", "other_platform")


def test_a_device_that_is_missing_has_no_facts(tmp_path: Path) -> None:
    body, result = evidence(tmp_path, "--device", "hpu:7")
    assert body["host"]["device"] is None
    assert result["settings"] is None
    assert (result["verdict"], result["cause"]) == ("UNVERIFIED", "device_missing")
    assert "device hpu:7 is not there (torch finds 0 hpu devices)" in result["reason"]
