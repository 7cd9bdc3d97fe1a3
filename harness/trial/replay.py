"""Run a saved failure again from its stored input arrays."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from harness.checkpoint import digest as checkpoint_digest
from harness.contract.cases import CaseSpec
from harness.contract.claim import Claim
from harness.contract.text.reader import load_yaml
from harness.errors import UserError
from harness.evidence import counterexample
from harness.evidence.counterexample import Counterexample
from harness.evidence.store import read_json
from harness.judging.limits import Finding
from harness.judging.result import Result
from harness.subject import candidate
from harness.subject.boundary import Unsupported
from harness.subject.torch_settings import settle
from harness.trial.attempt import attempt
from harness.trial.job import Job, assemble


@dataclass(frozen=True)
class Replay:
    """The result of one replay, compared with the recorded result."""

    about: Counterexample
    """The content of counterexample.json."""
    candidate: str
    arrays: int
    same_inputs: bool
    same_outputs: bool
    broken: list[Finding]


def replay(path: Path, spec: str | None = None) -> Replay:
    """Run one counterexample again, with its own candidate or with `spec`.

    Raises: UserError if files are missing or damaged, or the weights differ from those of the recorded run; with
            code 3 if the candidate lacks what the claim needs.
    """
    about, stored = counterexample.load(path)
    folder = path if path.is_dir() else path.parent
    job = _job(about, folder, spec)
    settle(job.threads)
    experiment = assemble(job)
    result: Result = read_json(folder / "result.json")
    try:
        again = attempt(experiment, job.claim.source, result["record"], CaseSpec(**about["case"]), stored)
    except Unsupported as lacking:
        raise UserError(f"{path}: {lacking}", code=3) from None
    outputs = {pair: counterexample.digest(got) for pair, (got, _) in again.pairs.items()}
    return Replay(
        about=about,
        candidate=job.candidate,
        arrays=len(again.arrays),
        same_inputs=all(counterexample.digest(a) == counterexample.digest(stored[n]) for n, a in again.arrays.items()),
        same_outputs=outputs == about["outputs_sha256"],
        broken=again.broken,
    )


def _job(about: Counterexample, folder: Path, spec: str | None) -> Job:
    entry = load_yaml(folder / "claim.yaml")[0]
    claim = Claim(entry["contract"], about["contract_path"], entry["line"], entry["claim"])
    weights = about["weights"]
    if weights and checkpoint_digest(weights) != about["weights_sha256"]:
        raise UserError(f"{weights}: not the weights that the counterexample was found on; build or copy them again")
    chosen = spec or about["candidate"]
    where = os.getcwd() if spec else about["candidate_folder"]
    candidate.load(chosen, where)
    return Job(
        claim=claim,
        staging=folder,
        seed=about["seed"],
        device=about["device"],
        candidate=chosen,
        candidate_folder=where,
        weights=weights,
    )
