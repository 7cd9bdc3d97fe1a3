"""Helpers for tests: a claim of a shipped contract, changed or not, judged in this process."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from harness.contract.claim import Claim
from harness.contract.validate import check
from harness.evidence.examined import Examined
from harness.judging.judgement import Judgement
from harness.trial.examine import examine as examine_job
from harness.trial.job import Job

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = ROOT / "contracts"


def shipped(claim_id: str) -> tuple[Claim, dict[str, str]]:
    """A claim of the shipped contracts, and where its mutants stand."""
    checked = check([CONTRACTS])
    claim = next(c for contract in checked.contracts for c in contract.claims if c.id == claim_id)
    return claim, dict(checked.bindings[claim_id].mutants)


def changed(claim: Claim, **fields: Any) -> Claim:
    """The claim with some fields of its entry exchanged."""
    return Claim(claim.contract, claim.path, claim.line, {**copy.deepcopy(claim.source), **fields})


def examine(claim: Claim, mutants: dict[str, str], folder: Path, candidate: str = "torch", seed: int = 0) -> Examined:
    """Record and judgement, as a claim's own process would have them."""
    job = Job(
        claim=claim,
        staging=folder,
        seed=seed,
        device="cpu",
        candidate=candidate,
        candidate_folder=str(folder),
        mutants=mutants,
    )
    return examine_job(job, lambda stage: None)


def judged(claim_id: str, folder: Path, kernel: str | None = None, **fields: Any) -> Judgement:
    """The judgement of a shipped claim on a kernel given as source, or on the default candidate."""
    claim, mutants = shipped(claim_id)
    candidate = "torch"
    if kernel is not None:
        (folder / "kernel.py").write_text(kernel, encoding="utf-8")
        candidate = "kernel.py"
    return examine(changed(claim, **fields), mutants, folder, candidate).judgement
