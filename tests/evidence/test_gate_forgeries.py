"""The gate holds evidence against what is at hand: sealed, consistent evidence of anything else opens nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.evidence import verify
from tests.evidence.forging import body, edit, gate, read, run_of
from tests.support.doubling import DOUBLES
from tests.support.second_host import rewrite_contract


def limit(home: Path) -> None:
    path = home / "contracts" / "doubling.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("1.0e-6", "1.0e-7"), encoding="utf-8")


def renamed(home: Path) -> None:
    for name, word in (("doubling", "id: doubling,"), ("slow", "depends_on: [doubling]")):
        path = home / "contracts" / f"{name}.yaml"
        path.write_text(path.read_text(encoding="utf-8").replace(word, word.replace("doubling", "doubled")), "utf-8")


BOTH = r"SHA-256 \w{12}… in 20260101T000000Z-00aa00, SHA-256 \w{12}… at hand"
Change = Callable[[Path], object]
STALE: dict[str, tuple[Change, list[str], str]] = {
    "another candidate": (
        lambda home: (home / "other.py").write_text("def double(x):\n    return 2 * x\n"),
        ["--candidate", "other.py"],
        r"is of candidate good.py \(SHA-256 \w{12}…\), at hand is other.py \(SHA-256 \w{12}…\)",
    ),
    "another object of the same file": (
        lambda home: None,
        ["--candidate", "good.py:double"],
        "is of candidate good.py .*, at hand is good.py:double",
    ),
    "the default candidate": (lambda home: (home / "harness.toml").unlink(), [], "is of candidate good.py .* is torch"),
    "an edited candidate": (lambda home: edit(home / "good.py"), [], f"candidate good.py: {BOTH}"),
    "an edited file beside it": (lambda home: edit(home / "side.py"), [], f"candidate good.py: {BOTH}"),
    "a candidate that is not here": (
        lambda home: (home / "good.py").unlink(),
        [],
        r"not here: candidate good.py \(SHA-256 \w{12}… in .*good.py not found.* --trust-missing",
    ),
    "another table": (
        lambda home: np.full(2, 2, np.float32).tofile(home / "data" / "table.bin"),
        [],
        r"read data/table.bin \(SHA-256 \w{12}… in .*, SHA-256 \w{12}… at hand\): run again",
    ),
    "no table": (
        lambda home: (home / "data" / "table.bin").unlink(),
        [],
        r"not here: files that were read: data/table.bin \(SHA-256 \w{12}… in ",
    ),
    "a pipe for a table": (
        lambda home: ((home / "data" / "table.bin").unlink(), os.mkfifo(home / "data" / "table.bin")),
        [],
        "not here: files that were read: data/table.bin",
    ),
    "files that it does not name": (
        lambda home: read(home, lambda result: result.pop("read")),
        [],
        "does not say which files FALSIFY-DOUBLES-001 read",
    ),
    "files that it left out": (
        lambda home: read(home, lambda result: result["read"].update(left_out=3)),
        [],
        "not here: 3 files that FALSIFY-DOUBLES-001 read, too many or too large to digest",
    ),
    "another limit at hand": (limit, [], f"contract doubling: {BOTH}"),
    "an easier contract in the evidence": (
        lambda home: rewrite_contract(run_of(home), "doubling", lambda c: c["metadata"].update(title="easier")),
        [],
        f"contract doubling: {BOTH}",
    ),
    "another falsifier at hand": (
        lambda home: edit(home / "contracts" / "own.py"),
        [],
        f"contract doubling, own.py: {BOTH}",
    ),
    "a contract that is not at hand": (
        renamed,
        [],
        r"contract doubling \(SHA-256 \w{12}… in .*\) is not among those of contracts: name its place with --contracts",
    ),
    "another engine": (
        lambda home: body(home, lambda b: b["code"].update(harness="0" * 64)),
        [],
        f"package harness: {BOTH}",
    ),
    "a package more": (
        lambda home: body(home, lambda b: b["code"].update(more="0" * 64)),
        [],
        "package more: .*, no SHA-256 at hand",
    ),
    "an old NumPy": (
        lambda home: body(home, lambda b: b["versions"].update(numpy="1.26.4")),
        [],
        "was made with numpy 1.26.4, this Harness asks for >=2.2: run again",
    ),
    "an old Python": (
        lambda home: body(home, lambda b: b["host"].update(python="3.10.1")),
        [],
        "was made with python 3.10.1, this Harness asks for >=3.11",
    ),
    "a version that is none": (
        lambda home: body(home, lambda b: b["versions"].update(numpy="new")),
        [],
        "was made with numpy new",
    ),
    "weights of its own": (
        lambda home: body(home, lambda b: b.update(weights={"folder": "zeros", "sha256": "0" * 64})),
        [],
        r"not here: weights zeros \(SHA-256 000000000000… in ",
    ),
}


@pytest.mark.parametrize("name", STALE)
def test_evidence_of_anything_else_is_stale(home: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    change, words, told = STALE[name]
    change(home)
    assert verify.check(run_of(home)) == []
    assert gate(*words) == 3
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if line.startswith("X1 ")]
    assert re.search(rf"^X1 STALE: {DOUBLES}: STALE \(.*{told}", line), line
    assert "CLOSED" in out


@pytest.mark.parametrize("name", ["an edited candidate", "another table", "another limit at hand", "an old NumPy"])
def test_what_is_here_and_differs_is_never_trusted(home: Path, name: str) -> None:
    STALE[name][0](home)
    assert gate("--trust-missing") == 3
