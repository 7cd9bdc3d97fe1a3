"""Forge a sealed run of another host from a real run: edit its records, judge them again, seal it again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.contract.claim import Contract, canonical
from harness.contract.text.reader import load_yaml
from harness.evidence import manifest, store, summary
from harness.judging.cause import root_cause_class
from harness.judging.judge import judge
from harness.subject.device import platform
from tests.support.doubling import CANDIDATE, DOUBLES, contract

SHIP = """targets:
  doubling:
    title: Doubling ships
    criteria:
    - {id: X1, title: doubles, weight: 3, effort_hours: 1, claims: [FALSIFY-DOUBLES-001]}
    - {id: X2, title: slowly, weight: 1, effort_hours: 1, claims: [FALSIFY-SLOWLY-001]}
"""


def dies(claim: str, record: dict[str, Any]) -> None:
    """The record that the engine makes of a claim whose process died."""
    if claim == DOUBLES:
        record["error"] = "the driver died"


def laboratory(folder: Path) -> Path:
    """Contracts, ship.yaml and a candidate, which harness.toml names; `slow` depends on `doubling`.

    Only CUDA discharges `doubling`.
    """
    contract(folder / "contracts", "doubling", ["doubles"], on="cuda")
    contract(folder / "contracts", "slow", ["slowly"], after="doubling", on="cpu, cuda")
    (folder / "contracts" / "ship.yaml").write_text(SHIP, encoding="utf-8")
    (folder / "good.py").write_text(CANDIDATE, encoding="utf-8")
    (folder / "harness.toml").write_text('candidate = "good.py"\n', encoding="utf-8")
    return folder


def forge(
    run: Path,
    root: Path,
    name: str,
    *,
    device: str = "cuda:0",
    keep: Callable[[str], bool] = lambda claim: True,
    record: Callable[[str, dict[str, Any]], None] = lambda claim, record: None,
    body: Callable[[dict[str, Any]], None] = lambda body: None,
) -> Path:
    """The run at `root/name` on `device` with the claims that `keep` keeps; `record` and `body` change what it says."""
    target = root / name
    shutil.copytree(run, target)
    text = store.read_json(target / "run.json")
    text |= {"id": name, "device": device, "selected": [claim for claim in text["selected"] if keep(claim)]}
    for claim, folder in list(store.claims(target)):
        if keep(claim):
            _judge(folder, device, lambda found, claim=claim: record(claim, found))
        else:
            shutil.rmtree(folder)
    body(text)
    kept = {contract["id"] for contract in text["contracts"]}
    for path in (target / "contracts").iterdir():
        if path.stem not in kept:
            path.unlink()
    text["claims"] = [row for row in text["claims"] if row["contract"] in kept]
    text |= summary.recomputed(target, text)
    reseal(target, text)
    return target


def rewrite_contract(run: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the copy of a contract that a run holds, and its digest in run.json; seal both."""
    path, body = run / "contracts" / f"{name}.json", store.read_json(run / "run.json")
    source = store.read_json(path)
    change(source)
    path.write_bytes(canonical(source))
    entry = next(contract for contract in body["contracts"] if contract["id"] == name)
    entry["sha256"] = Contract(str(path), source).digest
    reseal(run, body)


def reseal(target: Path, body: dict[str, Any]) -> None:
    """Write run.json and a manifest over what the folder holds now."""
    store.write_json(target / "run.json", body)
    manifest.write(target)


def _judge(folder: Path, device: str, change: Callable[[dict[str, Any]], None]) -> None:
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    result["device"] = device
    result["record"]["platform"] = platform(device)
    change(result["record"])
    found = judge(load_yaml(folder / "claim.yaml")[0]["claim"], result["record"])
    result |= {"verdict": found.verdict.value, "reason": found.reason, "measurements": found.measurements}
    result |= {"violated": found.violated, "mutants": found.mutants}
    result |= {"cause": found.cause, "root_cause_class": root_cause_class(found.cause)}
    store.write_json(folder / "result.json", result)
    store.write_json(folder / store.SEAL, {"files": manifest.digests(folder, skip=(store.SEAL,))})
