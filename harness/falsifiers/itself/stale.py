"""What may be at hand that a sealed, consistent run is not of: the gate stays closed, and says why."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness.evidence import store, summary
from harness.falsifiers.itself.edits import append, every_result, forge, reseal, rewrite_contract, run_of, sealed_body
from harness.falsifiers.itself.shop import DOUBLES, SHIP

EASIER = SHIP.replace("    - {id: X1, title: doubles, weight: 3, effort_hours: 1, claims: [FALSIFY-DOUBLES-001]}\n", "")
"""A ship.yaml that asks for less."""
BOTH = r"SHA-256 \w{12}… in \S+, SHA-256 \w{12}… at hand"


class Stale(NamedTuple):
    """A change of what is at hand or of what the run says, the candidate that is asked for, and the gate's words."""

    change: Callable[[Path], object]
    candidate: str
    told: str


def _limit(home: Path) -> None:
    path = home / "contracts" / "doubling.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("1.0e-6", "1.0e-7"), encoding="utf-8")


def _renamed(home: Path) -> None:
    for name, word in (("doubling", "id: doubling,"), ("slow", "depends_on: [doubling]")):
        path = home / "contracts" / f"{name}.yaml"
        path.write_text(path.read_text(encoding="utf-8").replace(word, word.replace("doubling", "doubled")), "utf-8")


def _pipe(home: Path) -> None:
    table = home / "data" / "table.bin"
    table.unlink()
    os.mkfifo(table)


def easier_ship_yaml(home: Path) -> Path:
    """Exchange the folder's run for one of X2 alone, whose own ship.yaml asks for no more; it is consistent."""
    old = run_of(home)
    device = store.read_json(old / "run.json")["device"]
    name = "20260102T000000Z-00aa00"
    target = forge(old, home / "evidence", name, device=device, keep=lambda claim: claim != DOUBLES)
    shutil.rmtree(old)
    more = EASIER.partition("\n")[2].replace("doubling:", "more:")
    (target / "ship.yaml").write_text(EASIER + more, encoding="utf-8")
    found = store.read_json(target / "run.json")
    reseal(target, {**found, **summary.recomputed(target, found)})
    return target


STALE: dict[str, Stale] = {
    "another candidate": Stale(
        lambda home: (home / "other.py").write_text("def double(x):\n    return 2 * x\n"),
        "other.py",
        r"is of candidate good.py \(SHA-256 \w{12}…\), at hand is other.py \(SHA-256 \w{12}…\)",
    ),
    "another object of the same file": Stale(
        lambda home: None, "good.py:double", "is of candidate good.py .*, at hand is good.py:double"
    ),
    "an edited candidate": Stale(lambda home: append(home / "good.py"), "", f"candidate good.py: {BOTH}"),
    "an edited file beside it": Stale(lambda home: append(home / "side.py"), "", f"candidate good.py: {BOTH}"),
    "a candidate that is not here": Stale(
        lambda home: (home / "good.py").unlink(),
        "",
        r"not here: candidate good.py \(SHA-256 \w{12}… in .*good.py not found.* --trust-missing",
    ),
    "another table": Stale(
        lambda home: np.full(2, 2, np.float32).tofile(home / "data" / "table.bin"),
        "",
        r"read data/table.bin \(SHA-256 \w{12}… in .*, SHA-256 \w{12}… at hand\): run again",
    ),
    "no table": Stale(
        lambda home: (home / "data" / "table.bin").unlink(),
        "",
        r"not here: files that were read: data/table.bin \(SHA-256 \w{12}… in ",
    ),
    "a pipe for a table": Stale(_pipe, "", "not here: files that were read: data/table.bin"),
    "files that it does not name": Stale(
        lambda home: every_result(home, lambda result: result.pop("read")),
        "",
        "does not say which files FALSIFY-DOUBLES-001 read",
    ),
    "files that it left out": Stale(
        lambda home: every_result(home, lambda result: result["read"].update(left_out=3)),
        "",
        "not here: 3 files that FALSIFY-DOUBLES-001 read, too many or too large to digest",
    ),
    "another limit at hand": Stale(_limit, "", f"contract doubling: {BOTH}"),
    "an easier contract in the evidence": Stale(
        lambda home: rewrite_contract(run_of(home), "doubling", lambda c: c["metadata"].update(title="easier")),
        "",
        f"contract doubling: {BOTH}",
    ),
    "another falsifier at hand": Stale(
        lambda home: append(home / "contracts" / "own.py"), "", f"contract doubling, own.py: {BOTH}"
    ),
    "a contract that is not at hand": Stale(
        _renamed,
        "",
        r"contract doubling \(SHA-256 \w{12}… in .*\) is not among those of contracts: name its place with --contracts",
    ),
    "another engine": Stale(
        lambda home: sealed_body(home, lambda b: b["code"].update(harness="0" * 64)), "", f"package harness: {BOTH}"
    ),
    "a package more": Stale(
        lambda home: sealed_body(home, lambda b: b["code"].update(more="0" * 64)),
        "",
        "package more: .*, no SHA-256 at hand",
    ),
    "an old NumPy": Stale(
        lambda home: sealed_body(home, lambda b: b["versions"].update(numpy="1.26.4")),
        "",
        "was made with numpy 1.26.4, this Harness asks for >=2.2: run again",
    ),
    "an old Python": Stale(
        lambda home: sealed_body(home, lambda b: b["host"].update(python="3.10.1")),
        "",
        "was made with python 3.10.1, this Harness asks for >=3.11",
    ),
    "a version that is none": Stale(
        lambda home: sealed_body(home, lambda b: b["versions"].update(numpy="new")), "", "was made with numpy new"
    ),
    "weights of its own": Stale(
        lambda home: sealed_body(home, lambda b: b.update(weights={"folder": "zeros", "sha256": "0" * 64})),
        "",
        r"not here: weights zeros \(SHA-256 000000000000… in ",
    ),
}
