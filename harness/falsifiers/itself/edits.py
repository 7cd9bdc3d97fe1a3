"""Change what a sealed run says, and seal it again: what a forger who knows the format can do without a key."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from harness.contract.claim import Contract, canonical
from harness.contract.text.reader import load_yaml
from harness.evidence import manifest, store, summary
from harness.evidence.body import RunBody
from harness.falsifiers.itself.shop import DOUBLES
from harness.judging.cause import root_cause_class
from harness.judging.judge import judge
from harness.subject.device import platform

Data = dict[str, Any]


def run_of(home: Path) -> Path:
    """The one run of a folder with what ships."""
    return next((home / "evidence").iterdir())


def result(run: Path, change: Callable[[Data], object], claim: str = DOUBLES) -> None:
    """Change a claim's result and seal the claim again."""
    folder = run / "claims" / claim
    found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    change(found)
    store.write_json(folder / "result.json", found)
    seal_claim(folder)


def seal_claim(folder: Path) -> None:
    """Write the digests of a claim's files as they are now."""
    store.write_json(folder / store.SEAL, {"files": manifest.digests(folder, skip=(store.SEAL,))})


def body(run: Path, change: Callable[[Data], object]) -> None:
    """Change run.json; the manifest is written by whoever is done."""
    found = store.read_json(run / "run.json")
    change(found)
    store.write_json(run / "run.json", found)


def sealed_body(home: Path, change: Callable[[Data], object]) -> None:
    """Change the run.json of a folder's run and seal it again."""
    body(run_of(home), change)
    manifest.write(run_of(home))


def every_result(home: Path, change: Callable[[Data], object]) -> None:
    """Change the results of all claims of a folder's run and seal them again."""
    run = run_of(home)
    for claim, _ in store.claims(run):
        result(run, change, claim)
    manifest.write(run)


def append(path: Path, more: str = "# edited\n") -> None:
    """Add text to a file."""
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")


def reseal(target: Path, text: RunBody | Data) -> None:
    """Write run.json and a manifest over what the folder holds now."""
    store.write_json(target / "run.json", text)
    manifest.write(target)


def rewrite_contract(run: Path, name: str, change: Callable[[Data], None]) -> None:
    """Change the copy of a contract that a run holds, and its digest in run.json; seal both."""
    path, text = run / "contracts" / f"{name}.json", store.read_json(run / "run.json")
    source = store.read_json(path)
    change(source)
    path.write_bytes(canonical(source))
    entry = next(contract for contract in text["contracts"] if contract["id"] == name)
    entry["sha256"] = Contract(str(path), source).digest
    reseal(run, text)


def dies(claim: str, record: Data) -> None:
    """The record that the engine makes of a claim whose process died."""
    if claim == DOUBLES:
        record["error"] = "the driver died"


def forge(
    run: Path,
    root: Path,
    name: str,
    *,
    device: str = "cuda:0",
    keep: Callable[[str], bool] = lambda claim: True,
    record: Callable[[str, Data], None] = lambda claim, record: None,
    body: Callable[[Data], None] = lambda body: None,
) -> Path:
    """The run at `root/name` on `device` with the claims that `keep` keeps; `record` and `body` change what it says.

    All is judged, computed and sealed again, as a run of another host would be.
    """
    target = root / name
    shutil.copytree(run, target)
    text = store.read_json(target / "run.json")
    text |= {"id": name, "device": device, "selected": [claim for claim in text["selected"] if keep(claim)]}
    for claim, folder in list(store.claims(target)):
        if keep(claim):
            _judge(folder, device, partial(record, claim))
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


def _judge(folder: Path, device: str, change: Callable[[Data], None]) -> None:
    found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    found["device"] = device
    found["record"]["platform"] = platform(device)
    change(found["record"])
    again = judge(load_yaml(folder / "claim.yaml")[0]["claim"], found["record"])
    found |= {"verdict": again.verdict.value, "reason": again.reason, "measurements": again.measurements}
    found |= {"violated": again.violated, "mutants": again.mutants}
    found |= {"cause": again.cause, "root_cause_class": root_cause_class(again.cause)}
    store.write_json(folder / "result.json", found)
    seal_claim(folder)
