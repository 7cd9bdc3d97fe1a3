"""Judge a claim of a shipped contract in this process, changed or not, on a candidate that a user could name."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

from harness.contract.claim import Claim
from harness.contract.validate import Checked, check
from harness.evidence.examined import Examined
from harness.judging.judgement import Judgement
from harness.judging.verdict import Verdict
from harness.subject.device import place
from harness.trial.examine import examine as examine_job
from harness.trial.job import Job
from tests.support.repository import CONTRACTS

Mutants = dict[str, str]
"""A mutant's name in the claim -> the place where `validate` found it, `module:name`."""


@cache
def _checked() -> Checked:
    """All shipped contracts; it takes seconds to read them."""
    return check([CONTRACTS])


def shipped(claim_id: str) -> tuple[Claim, Mutants]:
    """A claim of the shipped contracts, and where its mutants stand."""
    claim = next(c for contract in _checked().contracts for c in contract.claims if c.id == claim_id)
    return claim, dict(_checked().bindings[claim_id].mutants)


def shipped_in(folder: str, *names: str) -> tuple[dict[str, Claim], dict[str, Mutants]]:
    """The claims of some contracts of a folder, in the order of the files, and where the mutants of each stand."""
    by_file = {Path(contract.path).resolve(): contract for contract in _checked().contracts}
    chosen = [by_file[(CONTRACTS / folder / f"{name}.yaml").resolve()] for name in names]
    claims = {claim.id: claim for contract in chosen for claim in contract.claims}
    return claims, {id_: dict(_checked().bindings[id_].mutants) for id_ in claims}


def changed(claim: Claim, **fields: Any) -> Claim:
    """The claim with some fields of its entry exchanged."""
    return Claim(claim.contract, claim.path, claim.line, {**copy.deepcopy(claim.source), **fields})


def examine(
    claim: Claim, mutants: Mutants, folder: Path, candidate: str = "torch", seed: int = 0, device: str = "cpu"
) -> Examined:
    """Record and judgement, as a claim's own process would have them."""
    device = place(device, claim.device)
    job = Job(
        claim=claim,
        seed=seed,
        device=device,
        candidate=candidate,
        candidate_folder=str(folder),
        mutants=mutants,
    )
    return examine_job(job, lambda stage: None)


def judged(claim_id: str, folder: Path, kernel: str | None = None, **fields: Any) -> Judgement:
    """The judgement of a shipped claim on a kernel given as source, or on the default candidate."""
    claim, mutants = shipped(claim_id)
    return _on_source(changed(claim, **fields), mutants, folder, kernel)


def judged_alone(claim_id: str, folder: Path, kernel: str, device: str = "cpu", **fields: Any) -> Judgement:
    """The same without the claim's mutants, hardly shrunk unless `budget_s` is given: for a mistake in the kernel."""
    claim, _ = shipped(claim_id)
    return _on_source(changed(claim, **{"budget_s": 0.5, **fields}), {}, folder, kernel, device)


def _on_source(claim: Claim, mutants: Mutants, folder: Path, kernel: str | None, device: str = "cpu") -> Judgement:
    candidate = "torch"
    if kernel is not None:
        (folder / "kernel.py").write_text(kernel, encoding="utf-8")
        candidate = "kernel.py"
    found: Judgement = examine(claim, mutants, folder, candidate, device=device).judgement
    return found


def shows_its_power(claim: Claim, mutants: Mutants, folder: Path) -> None:
    """Assert that the default candidate survives a claim's first example, and that every mutant dies by far."""
    found = examine(changed(claim, examples=1), mutants, folder).judgement
    assert found.verdict is Verdict.PARTIAL, found.reason
    assert not [mutant["name"] for mutant in found.mutants if mutant["weak"]]
