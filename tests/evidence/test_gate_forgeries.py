"""The gate holds evidence against what is at hand: sealed, consistent evidence of anything else opens nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.commands import main
from harness.evidence import manifest, store, summary, verify
from harness.subject.identity import source_digest
from tests.support.command import light
from tests.support.doubling import DOUBLES
from tests.support.second_host import SHIP, dies, forge, laboratory, reseal, rewrite_contract

READS = """from pathlib import Path
import numpy as np
import side
TABLE = np.memmap(Path(__file__).parent / "data" / "table.bin", dtype=np.float32)

def double(x):
    return side.add(x, x) * np.asarray(TABLE[0], x.dtype)
"""
EASIER = SHIP.replace("    - {id: X1, title: doubles, weight: 3, effort_hours: 1, claims: [FALSIFY-DOUBLES-001]}\n", "")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(folder with what ships, a run of it as if on a GPU, which opens the gate). The candidate reads a table."""
    folder = laboratory(tmp_path_factory.mktemp("shop"))
    (folder / "data").mkdir()
    np.ones(2, np.float32).tofile(folder / "data" / "table.bin")
    (folder / "side.py").write_text("def add(a, b):\n    return a + b\n", encoding="utf-8")
    (folder / "good.py").write_text(READS, encoding="utf-8")
    done = light(folder, "run", "contracts", "--candidate", "good.py", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    return folder, forge(store.sealed(folder / "evidence"), folder / "evidence", "20260101T000000Z-00aa00")


@pytest.fixture
def home(shop: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what ships, to be changed; the working folder. Its evidence is one run."""
    place = tmp_path / "home"
    shutil.copytree(shop[0], place, ignore=shutil.ignore_patterns("evidence", "__pycache__"))
    shutil.copytree(shop[1], place / "evidence" / shop[1].name)
    monkeypatch.chdir(place)
    return place


def run_of(home: Path) -> Path:
    return next((home / "evidence").iterdir())


def gate(*words: str) -> int:
    return main.main(["gate", "evidence", "--target", "doubling", *words])


def body(home: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the run's run.json and seal it again."""
    found = store.read_json(run_of(home) / "run.json")
    change(found)
    reseal(run_of(home), found)


def read(home: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what the run's claims say that they read, and seal them again."""
    for _, claim in store.claims(run_of(home)):
        found = store.read_json(claim / "result.json")
        change(found)
        store.write_json(claim / "result.json", found)
        store.write_json(claim / store.SEAL, {"files": manifest.digests(claim, skip=(store.SEAL,))})
    manifest.write(run_of(home))


def edit(path: Path, more: str = "# edited\n") -> None:
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")


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


def test_the_run_itself_opens_the_gate_and_all_that_is_at_hand_is_told(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify.check(run_of(home)) == []
    assert gate() == 0
    head = capsys.readouterr().out.splitlines()[:3]
    expected = ["candidate  good.py, ", "contracts  2 in contracts, ", "ship.yaml  contracts/ship.yaml, "]
    for line, words in zip(head, expected, strict=True):
        assert re.fullmatch(re.escape(words) + "SHA-256 [0-9a-f]{64}", line), line
    assert gate("--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["at_hand"]["candidate"]["sha256"] == store.read_json(run_of(home) / "run.json")["candidate"]["sha256"]
    assert set(found["at_hand"]["contracts"]["each"]) == {"doubling", "slow"}
    assert found["at_hand"]["ship"]["sha256"] == manifest.file_digest(Path("contracts/ship.yaml"))
    assert (found["trust_missing"], found["trusted"]) == (False, [])


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


TRUSTED: dict[str, Change] = {
    "a candidate that is not here": lambda home: (home / "good.py").unlink(),
    "no table": lambda home: (home / "data" / "table.bin").unlink(),
    "files that it left out": lambda home: read(home, lambda result: result["read"].update(left_out=3)),
}


@pytest.mark.parametrize("name", TRUSTED)
def test_a_source_that_is_not_here_is_trusted_only_if_that_is_asked_for_and_it_is_written_down(
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    TRUSTED[name](home)
    assert gate() == 3
    capsys.readouterr()
    assert gate("--trust-missing") == 0
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line.startswith("not here, taken as recorded: ")], out
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert gate("--trust-missing", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["trust_missing"]
    assert found["trusted"]
    assert all(line in (tmp_path / "summary.md").read_text(encoding="utf-8") for line in found["trusted"])


@pytest.mark.parametrize("name", ["an edited candidate", "another table", "another limit at hand", "an old NumPy"])
def test_what_is_here_and_differs_is_never_trusted(home: Path, name: str) -> None:
    STALE[name][0](home)
    assert gate("--trust-missing") == 3


def test_a_name_that_leads_out_of_its_folder_does_not_verify_and_is_not_opened(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("../good.py", "a/../../x", "/etc/hostname", ".."):
        read(home, lambda result, name=name: result["read"]["candidate"].update({name: "0" * 64}))
        assert gate() == 1
        assert "a name below the folder, without `..`" in capsys.readouterr().out
        read(home, lambda result, name=name: result["read"]["candidate"].pop(name))
    assert gate() == 0


def test_the_ship_yaml_in_the_evidence_decides_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run of X2 alone, whose own ship.yaml asks for no more, is sealed and consistent."""
    target = home / "evidence" / "20260102T000000Z-00aa00"
    forge(run_of(home), home / "evidence", target.name, keep=lambda claim: claim != DOUBLES)
    shutil.rmtree(home / "evidence" / "20260101T000000Z-00aa00")
    (target / "ship.yaml").write_text(EASIER + EASIER.partition("\n")[2].replace("doubling:", "more:"), "utf-8")
    found = store.read_json(target / "run.json")
    reseal(target, {**found, **summary.recomputed(target, found)})
    assert verify.check(target) == []
    assert {each["id"]: each["ship_percent"] for each in store.read_json(target / "run.json")["targets"]} == {
        "doubling": 100,
        "more": 100,
    }
    assert gate() == 3
    assert "X1 UNVERIFIED" in capsys.readouterr().out
    assert main.main(["gate", "evidence", "--target", "more"]) == 2
    assert "--target more: not a target of contracts/ship.yaml (doubling)" in capsys.readouterr().err


def test_without_a_ship_yaml_at_hand_there_is_no_gate(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "contracts" / "ship.yaml").unlink()
    assert gate() == 2
    said = capsys.readouterr()
    assert said.err.startswith("harness: contracts: found no ship.yaml there or above; the gate decides by the one at")
    assert len(said.err.splitlines()) == 1


def test_red_stays_red_in_stale_evidence(home: Path) -> None:
    name = "20260102T000000Z-00aa00"
    forge(run_of(home), home / "evidence", name, record=dies)
    edit(home / "good.py")
    assert main.main(["gate", f"evidence/{name}", "--target", "doubling"]) == 1


def test_the_newest_run_is_the_one_that_began_last_and_a_renamed_one_is_a_fault(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An old green run with a name that sorts last does not stand for the red one that began after it."""
    green = run_of(home)
    later = forge(green, home / "evidence", "20250101T000000Z-00aa00", record=dies)
    began = "2026-11-28T00:00:00+00:00"
    for run, when in ((green, "2026-11-01T00:00:00+00:00"), (later, began)):
        reseal(run, {**store.read_json(run / "run.json"), "began": when})
    assert gate() == 1
    assert "X1 ERROR" in capsys.readouterr().out
    shutil.rmtree(later)
    assert gate() == 0
    green.rename(green.with_name("20991231T000000Z-00aa00"))
    capsys.readouterr()
    assert gate() == 1
    assert "expected the same; keep a run's name" in capsys.readouterr().out


def test_nothing_of_the_candidate_runs(home: Path) -> None:
    """The gate digests the candidate at hand, a module by its name too, and imports neither."""
    package = home / "kernels"
    package.mkdir()
    (package / "__init__.py").write_text("open('was_run', 'w')\n")
    (package / "fast.py").write_text("open('was_run', 'w')\n")
    done = light(home, "gate", "evidence", "--target", "doubling", "--candidate", "kernels.fast:Kernel")
    assert done.returncode == 3, done.stderr
    sha256 = source_digest(package / "fast.py")
    assert f"candidate  kernels.fast:Kernel, SHA-256 {sha256}" in done.stdout
    assert not (home / "was_run").exists()
