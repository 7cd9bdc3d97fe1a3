"""Forgeries of a sealed run: what was exchanged, left out or added, under a fresh seal, and how `verify` names it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.contract.claim import Claim
from harness.contract.text.reader import load_yaml
from harness.contract.text.writer import dump
from harness.evidence import manifest
from harness.falsifiers.itself.edits import body, result, seal_claim
from harness.falsifiers.itself.shop import DOUBLES

Forgery = Callable[[Path], object]


def easier_claim(run: Path) -> None:
    """The entry that the claim was judged by is not the contract's: a limit a thousand times as wide."""
    folder = run / "claims" / DOUBLES
    held = load_yaml(folder / "claim.yaml")[0]
    limit = next(entry for entry in held["claim"]["accept"].values())
    limit["le"] = 1e9
    (folder / "claim.yaml").write_text(dump(held), encoding="utf-8")
    claim = Claim(held["contract"], held["path"], held["line"], held["claim"])
    result(run, lambda found: found.update(claim_digest=claim.digest))


def drop_a_case(record: dict[str, Any]) -> None:
    gone = record["cases"].pop()["index"]
    for subject in [*record["subjects"].values(), *record["mutants"].values()]:
        for part in ("rows", "scalars", "faults"):
            subject[part] = [row for row in subject[part] if row["case"] != gone]


FORGERIES: dict[str, tuple[Forgery, str]] = {
    "another run's name": (
        lambda run: body(run, lambda b: b.update(id="20200101T000000Z-000000")),
        "keep a run's name",
    ),
    "another platform": (
        lambda run: result(run, lambda r: r["record"].update(platform="cuda")),
        "found platform 'cuda' on device 'cpu'",
    ),
    "an easier claim": (easier_claim, "is not the entry of the contract"),
    "an easier contract": (
        lambda run: (run / "contracts" / "doubling.json").write_text(
            (run / "contracts" / "doubling.json").read_text(encoding="utf-8").replace('"title":"', '"title":"x'),
            "utf-8",
        ),
        "run.json says",
    ),
    "a contract left out": (lambda run: (run / "contracts" / "slow.json").unlink(), "slow.json: missing"),
    "a case left out": (lambda run: result(run, lambda r: drop_a_case(r["record"])), "give other cases"),
    "another case": (
        lambda run: result(run, lambda r: r["record"]["cases"][0].update(seed=1)),
        "another case 0: claim and seed 0 give other cases",
    ),
    "another seed": (lambda run: body(run, lambda b: b.update(seed=1)), "claim and seed 1 give other cases"),
    "a mutant left out": (
        lambda run: result(
            run,
            lambda r: r["record"]["mutants"].pop(
                next(n for n, m in r["record"]["mutants"].items() if not m.get("free"))
            ),
        ),
        "the contract's mutants and the record's differ in",
    ),
    "a claim twice": (lambda run: body(run, lambda b: b["selected"].append(DOUBLES)), f"name '{DOUBLES}' twice"),
    "a claim not selected": (lambda run: body(run, lambda b: b["selected"].remove(DOUBLES)), "was not selected"),
    "a claim that nobody wrote": (
        lambda run: body(run, lambda b: b["selected"].append("FALSIFY-NONE-001")),
        "selected names 'FALSIFY-NONE-001', which claims do not have",
    ),
    "a claim left out of run.json": (
        lambda run: body(run, lambda b: b.update(claims=[r for r in b["claims"] if r["id"] != DOUBLES], selected=[])),
        "was not selected",
    ),
}


def link_to_a_file(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def link_to_a_folder(path: Path) -> None:
    path.symlink_to("/etc", target_is_directory=True)


def unix_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's name has 108 bytes at most
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


STRANGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link to a file": (link_to_a_file, "a link, expected a regular file"),
    "a link to a folder": (link_to_a_folder, "a link, expected a regular file"),
    "a pipe": (os.mkfifo, "a pipe, expected a regular file"),
    "a socket": (unix_socket, "a socket, expected a regular file"),
    "an empty folder": (Path.mkdir, "folder"),
    "a file": (Path.touch, "a file that no run has"),
}


def _flip(run: Path) -> None:
    path = run / "claims" / DOUBLES / "result.json"
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(bytes(whole))


def _linked(run: Path) -> None:
    path = run / "run.json"
    held = run.parent / "elsewhere.json"
    held.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(held)


def _twice(run: Path) -> None:
    path = run / "run.json"
    path.write_text(path.read_text(encoding="utf-8").replace("{", '{"status": "open",', 1), encoding="utf-8")
    manifest.write(run)


def _ship_percent(run: Path) -> None:
    body(run, lambda b: b["targets"][0].update(ship_percent=99.0))
    manifest.write(run)


def _verdict(run: Path) -> None:
    result(run, lambda r: r.update(verdict="UNVERIFIED"))
    manifest.write(run)


def _measured(run: Path) -> None:
    result(run, lambda r: r["record"]["subjects"]["candidate"]["rows"][0].update(err_sq=1e9))
    manifest.write(run)


BYTES: dict[str, tuple[Forgery, str]] = {
    "a flipped bit": (_flip, "changed after sealing"),
    "a file left out": (lambda run: (run / "ship.yaml").unlink(), "missing, though sealed"),
    "a file replaced by a link": (_linked, "run.json: a link"),
    "a key twice": (_twice, "the key 'status' stands twice"),
    "a ship-% by hand": (_ship_percent, "targets differ from what the claims give"),
    "a verdict by hand": (_verdict, "verdict is 'UNVERIFIED', judged again"),
    "an error by hand": (_measured, "judged again 'FALSIFIED'"),
}
"""Forgeries that seal, or do not seal, by themselves."""


PLACES = ("", "claims", f"claims/{DOUBLES}", "contracts")
"""Where in a run something strange may lie."""


def plant(run: Path, kind: str, where: str) -> None:
    """Put something that no run holds into one of its folders, and seal it."""
    STRANGE[kind][0](run / where / "strange")
    if where.startswith("claims/"):
        seal_claim(run / where)
    manifest.write(run)


def forge_named(run: Path, name: str) -> str:
    """Forge a run in one way, seal it, and return the words by which `verify` names that.

    `name` is a key of FORGERIES or of BYTES, or `KIND in PLACE` of STRANGE and PLACES (the run itself is `run`).
    """
    if name in BYTES:
        BYTES[name][0](run)
        return BYTES[name][1]
    if name in FORGERIES:
        FORGERIES[name][0](run)
        manifest.write(run)
        return FORGERIES[name][1]
    kind, _, where = name.partition(" in ")
    plant(run, kind, "" if where == "run" else where)
    return STRANGE[kind][1]
