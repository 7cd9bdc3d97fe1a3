"""`harness replay`: one saved failure again, from the bytes that were stored."""

from __future__ import annotations

import os
from pathlib import Path

from harness.checkpoint import digest as checkpoint_digest
from harness.contract.cases import CaseSpec
from harness.contract.claim import Claim
from harness.contract.text.reader import load_yaml
from harness.errors import UserError
from harness.evidence.store import read_json
from harness.subject import candidate
from harness.subject.boundary import Unsupported
from harness.trial import attempt, worker


def run(path: str, *, spec: str | None = None) -> int:
    """Print the story; 1 if it fails again, 0 if it passes now."""
    about, stored = attempt.load(Path(path))
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    job = _job(about, folder, spec)
    worker.settle(job.threads)
    experiment = worker.assemble(job)
    record = read_json(folder / "result.json")["record"]
    try:
        again = attempt.attempt(experiment, job.claim.source, record, CaseSpec(**about["case"]), stored)
    except Unsupported as lacking:
        raise UserError(f"{path}: {lacking}", code=3) from None
    inputs = all(attempt.digest(a) == attempt.digest(stored[n]) for n, a in again.arrays.items())
    outputs = {pair: attempt.digest(got) for pair, (got, _) in again.pairs.items()}
    print(f"{about['claim']} ({about['contract']}), candidate {job.candidate}, {about['device']}")
    print(f"  case      {about['case']['params']} {about['case']['dtype']} seed={about['case']['seed']}")
    print(f"  inputs    {len(again.arrays)} arrays, {'the stored bytes' if inputs else 'NOT the stored bytes'}")
    same = outputs == about["outputs_sha256"]
    print(f"  outputs   {'the same bytes as recorded' if same else 'other bytes than recorded'}")
    for finding in again.broken:
        row = finding.row or {}
        place = f" at {row['pair']}{row['at']}: found {row['got']}, reference {row['want']}" if "at" in row else ""
        print(f"  violates  {finding.limit} ({finding.measure} = {finding.value:.6g}){place}")
    if not again.broken:
        print("  violates  nothing on its own" + ("" if about["reproducible"] else ": it was not reproducible"))
    return 1 if again.broken else 0


def _job(about: dict[str, object], folder: Path, spec: str | None) -> worker.Job:
    entry = load_yaml(folder / "claim.yaml")[0]
    claim = Claim(entry["contract"], str(about["contract_path"]), entry["line"], entry["claim"])
    weights = about.get("weights")
    if weights and checkpoint_digest(str(weights)) != about["weights_sha256"]:
        raise UserError(f"{weights}: not the weights that the counterexample was found on; build or copy them again")
    chosen = spec or str(about["candidate"])
    where = os.getcwd() if spec else str(about["candidate_folder"])
    candidate.load(chosen, where)
    return worker.Job(
        claim=claim,
        staging=folder,
        seed=int(str(about["seed"])),
        device=str(about["device"]),
        candidate=chosen,
        candidate_folder=where,
        weights=str(weights) if weights else None,
    )
