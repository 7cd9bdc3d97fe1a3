"""Seal a run: decide final verdicts, compute ship-%, and write every file's digest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.contract.claim import Claim, canonical
from harness.contract.validate import Checked
from harness.errors import UserError
from harness.evidence import store, summary, tree
from harness.evidence.body import Begun, Outcome, RunBody
from harness.evidence.provenance import code_digests
from harness.judging.result import Result


@dataclass(frozen=True)
class Sealed:
    """A sealed run: its folder, its counts, claims and targets, and each claim's result."""

    id: str
    folder: Path
    outcome: Outcome
    results: dict[str, Result]


def seal(run: store.Run, begun: Begun, checked: Checked, selected: list[Claim], seconds: float) -> Sealed:
    """Seal a run whose claims have ended; selected claims that did not run are UNVERIFIED.

    Units:  seconds is the wall time of the claims.
    Raises: UserError if the code changed while it ran; the folder then stays as it is.
    """
    ship: dict[str, Any] = {}
    if checked.ship is not None:
        (run.folder / "ship.yaml").write_bytes(Path(checked.ship.path).read_bytes())
        ship = checked.ship.source
    _keep_contracts(run.folder / tree.CONTRACTS, checked)
    results = summary.read_results(run.folder)
    found = summary.outcome(
        [(claim.id, claim.contract) for contract in checked.contracts for claim in contract.claims],
        results,
        {contract.id: list(contract.depends_on) for contract in checked.contracts},
        {claim.id for claim in selected},
        ship,
    )
    body: RunBody = {
        "status": "sealed",
        "id": run.id,
        **begun,
        "selected": [claim.id for claim in selected],
        "seconds": round(seconds, 3),
        **found,
    }
    if begun["code"] != code_digests():
        raise UserError(f"{run.folder}: the code changed while it ran; the evidence is not sealed, run again")
    return Sealed(run.id, run.seal(body), found, results)


def _keep_contracts(folder: Path, checked: Checked) -> None:
    """Write each contract as it was read when the run began; the file's SHA-256 is the contract's digest.

    It is JSON, so that nothing that looks for contracts takes it for one.
    """
    folder.mkdir(exist_ok=True)
    for contract in checked.contracts:
        (folder / f"{contract.id}.json").write_bytes(canonical(contract.source))
