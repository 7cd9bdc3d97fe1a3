"""`builtin:families`: every declared family, and the mutants of the contract on one folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.candidates import transformers
from harness.contract.location import contract_files
from harness.contract.validate import check
from harness.models.families import all as every
from harness.reference.model.families import FAMILIES
from tests.support.command import claims_of, harness
from tests.support.repository import CONTRACTS

OF_ONE = {"LOGITS": "FALSIFY-DECODER-TRAINED-001", "CACHED": "FALSIFY-CHECKPOINT-CACHED-001"}
OF_ONE |= {"KEYS": "FALSIFY-CHECKPOINT-KEYS-001"}
CANNOT_CACHE = {"nemotron_h"}
"""Whose cached pass in transformers is another one than its uncached: `harness.candidates.huggingface.decoder`."""


def test_it_has_every_family_and_the_same_mutants() -> None:
    claims = {claim.id: claim.source for contract in check(["builtin:families"]).contracts for claim in contract.claims}
    one = {c.id: c.source for contract in check([CONTRACTS / "model"]).contracts for c in contract.claims}
    assert len(claims) == len(OF_ONE)
    for name, other in OF_ONE.items():
        claim = claims[f"FALSIFY-FAMILIES-{name}-001"]
        assert claim["mutants"] == one[other]["mutants"]
        left_out = CANNOT_CACHE if name == "CACHED" else set()
        assert set(claim["explore"]["family"]["choices"]) == FAMILIES.keys() - left_out


def test_no_other_name_leads_to_it() -> None:
    files, problems = contract_files([CONTRACTS])
    assert not problems
    assert "on_request" not in str(files)


@pytest.mark.sample(0)
@pytest.mark.parametrize("claim", [f"FALSIFY-FAMILIES-{name}-001" for name in OF_ONE])
def test_transformers_survives_it_and_every_mutant_is_killed(tmp_path: Path, claim: str) -> None:
    done = harness(tmp_path, "run", "builtin:families", "-k", claim, "--candidate", "transformers", "--json")
    found = claims_of(done)[claim]
    assert found["verdict"] in ("PARTIAL", "DISCHARGED"), found["reason"]
    assert all(mutant["killed"] for mutant in found["mutants"])


def test_the_folders_are_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    monkeypatch.setattr(every, "FAMILIES", {"llama": None, "mamba2": None})
    folder = every.build()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert {"llama", "mamba2"} == {path.name for path in folder.iterdir() if path.is_dir()}
    assert every.build() == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    (folder / "llama" / "config.json").write_text("{}", encoding="utf-8")
    assert "architectures" in (every.build() / "llama" / "config.json").read_text(encoding="utf-8")


def test_transformers_takes_a_claim_s_own_weights(tmp_path: Path) -> None:
    done = harness(tmp_path, "run", "builtin:model", "-k", "DECODER-LOGITS", "--candidate", "transformers", "--json")
    found = claims_of(done)["FALSIFY-DECODER-LOGITS-001"]
    assert transformers.ARRAYS == "torch"
    assert found["verdict"] == "PARTIAL", found["reason"]
