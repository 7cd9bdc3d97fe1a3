"""What the gate takes from the folder at hand, what it accepts if it is asked to, and which run it reads."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.commands import main
from harness.evidence import manifest, store, verify
from harness.falsifiers.itself.edits import append, dies, every_result, forge, reseal, run_of
from harness.falsifiers.itself.stale import easier_ship_yaml
from harness.subject.identity import source_digest
from tests.evidence.forging import gate
from tests.support.command import light

Change = Callable[[Path], object]


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


TRUSTED: dict[str, Change] = {
    "a candidate that is not here": lambda home: (home / "good.py").unlink(),
    "no table": lambda home: (home / "data" / "table.bin").unlink(),
    "files that it left out": lambda home: every_result(home, lambda result: result["read"].update(left_out=3)),
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


def test_a_name_that_leads_out_of_its_folder_does_not_verify_and_is_not_opened(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("../good.py", "a/../../x", "/etc/hostname", ".."):
        every_result(home, lambda result, name=name: result["read"]["candidate"].update({name: "0" * 64}))
        assert gate() == 1
        assert "a name below the folder, without `..`" in capsys.readouterr().out
        every_result(home, lambda result, name=name: result["read"]["candidate"].pop(name))
    assert gate() == 0


def test_the_ship_yaml_in_the_evidence_decides_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run of X2 alone, whose own ship.yaml asks for no more, is sealed and consistent."""
    target = easier_ship_yaml(home)
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
    append(home / "good.py")
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
