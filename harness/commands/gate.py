"""`harness gate`: may this target ship? From sealed evidence only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import candidate, evidence, ship
from harness.commands import verify
from harness.contract.problem import nearest
from harness.contract.validate import check
from harness.contract.yaml_source import load_yaml
from harness.errors import UserError
from harness.merge import merge
from harness.provenance import code_digests, describe
from harness.verdict import Verdict


def run(paths: list[str], *, target: str, contracts: str | None) -> int:
    """Print what stands between the target and shipping; returns the exit code."""
    folders = [evidence.sealed(Path(path)) for path in paths]
    faults = [fault for folder in folders for fault in verify.check(folder)]
    for fault in faults:
        print(fault)
    if faults:
        print(f"gate {target}: CLOSED, the evidence does not verify")
        return 1
    runs = [(folder, evidence.read_json(folder / "run.json")) for folder in folders]
    ship_yaml = _ship(folders[0])
    if contracts is not None:
        for folder, body in runs:
            _mark_stale(folder, body, contracts)
    merged = merge(runs, ship_yaml)
    found = next((t for t in merged["targets"] if t["id"] == target), None)
    if found is None:
        known = [t["id"] for t in merged["targets"]]
        raise UserError(
            f"--target {target}: not a target of this evidence ({', '.join(known)}){nearest(target, known)}"
        )
    return _decide(found, merged)


def _decide(found: dict[str, Any], merged: dict[str, Any]) -> int:
    """Closed by anything red or short, claim by claim."""
    rows = {row["id"]: row for row in merged["claims"]}
    red, short = [], []
    for criterion in found["criteria"]:
        verdict = Verdict(criterion["verdict"])
        if verdict.red:
            red.append(criterion)
        elif verdict is not Verdict.DISCHARGED and criterion["ship_blocking"]:
            short.append(criterion)
    for criterion in red + short:
        reasons = _reasons([rows[claim] for claim in criterion["claims"] if claim in rows])
        reasons += [f"open: {part}" for part in criterion["open"]]
        print(f"{criterion['id']} {criterion['verdict']}: " + "; ".join(reasons or ["no claim covers it"]))
    state = "CLOSED" if red or short else "OPEN"
    print(f"gate {found['id']}: {state}, {ship.line(found)}")
    return 1 if red else 3 if short else 0


def _reasons(rows: list[dict[str, Any]]) -> list[str]:
    """Claims that fall short for the same reason, together."""
    by: dict[str, list[str]] = {}
    for row in rows:
        if Verdict(row["verdict"]) is not Verdict.DISCHARGED:
            by.setdefault(f"{row['verdict']} ({row['reason']})", []).append(row["id"])
    return [f"{', '.join(claims)}: {why}" for why, claims in by.items()]


def _ship(folder: Path) -> dict[str, Any]:
    path = folder / "ship.yaml"
    if not path.is_file():
        raise UserError(f"{path}: not found; run contracts that have a ship.yaml above them")
    return dict(load_yaml(path)[0])


def _mark_stale(folder: Path, body: dict[str, Any], contracts: str) -> None:
    """Claims whose contract or code is no longer the one at hand become STALE; red ones stay red."""
    checked = check([Path(contracts)])
    at_hand = {contract.id: _identity(describe(contract, checked)) for contract in checked.contracts}
    sealed = {c["id"]: _identity(c) for c in body["contracts"]}
    now, then = code_digests(), body["code"]
    code = sorted(name for name in {*now, *then} if now.get(name) != then.get(name))
    other = [] if _at_hand(body["candidate"]) else [f"candidate {body['candidate']['spec']}"]
    for row in body["claims"]:
        changed = [f"contract {row['contract']}"] if at_hand.get(row["contract"]) != sealed[row["contract"]] else []
        changed += [f"package {name}" for name in code] + other
        if changed and not Verdict(row["verdict"]).red:
            row["verdict"], row["reason"] = Verdict.STALE.value, f"{', '.join(changed)} changed since {folder.name}"


def _at_hand(sealed: dict[str, Any]) -> bool:
    """Whether the candidate is still the one of the run; one whose source is not on this machine cannot be asked."""
    spec = sealed["spec"]
    if ":" in spec and not spec.endswith(".py") and spec.partition(":")[0] not in candidate.OPENED:
        return True  # a module, which would have to be imported, and may do anything
    try:
        found = candidate.identity(spec)
    except (UserError, OSError):
        return True
    return bool(found["sha256"] == sealed["sha256"])


def _identity(contract: dict[str, Any]) -> tuple[str, dict[str, str]]:
    return contract["sha256"], contract["files"]
