"""ci/gpu_run.py: what is finished is kept, what was cut goes on, and two never work in one folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import gpu_run
import gpu_table
import pytest
import yaml

from harness.falsifiers.itself.shop import CANDIDATE
from tests.support.doubling import contract
from tests.support.repository import NUMPY_ALONE


class Machine:
    """A folder with a candidate, two contracts, and parts.yaml that runs them one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        (folder / "good.py").write_text(CANDIDATE, encoding="utf-8")
        for name, claims in (("one", ["doubles"]), ("two", ["doubles", "slowly"])):
            contract(folder / name, name, claims)
        given = {"candidate": str(folder / "good.py"), "workers": 1}
        self.entries = [{"name": name, "paths": [str(folder / name)], **given} for name in ("one", "two")]

    def run(self, *more: str) -> int:
        """The exit code of gpu_run on a CPU."""
        parts = self.folder / "parts.yaml"
        parts.write_text(yaml.safe_dump(self.entries))
        return gpu_run.main([str(self.out), "--device", "cpu", "--parts", str(parts), *more])

    def rows(self) -> dict[str, Any]:
        """The table's rows by part."""
        return {row["part"]: row for row in json.loads((self.out / "summary.json").read_text())["parts"]}

    def sealed(self, part: str) -> Path:
        """A part's sealed run."""
        found = gpu_table.newest(self.out / "parts" / part)
        assert found is not None
        assert not found.name.endswith(".partial")
        return found


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("PYTHONPATH", NUMPY_ALONE["PYTHONPATH"])
    monkeypatch.setenv("HARNESS_CACHE", os.environ.get("HARNESS_CACHE", ""))  # both are set by main, and put back here
    monkeypatch.setenv("WHEELHOUSE", "")
    return Machine(tmp_path)


def test_finished_parts_are_kept_damaged_ones_run_again(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert machine.run() == 0
    rows = machine.rows()
    assert [(row["state"], row["claims"]) for row in rows.values()] == [("sealed", 1), ("sealed", 2)]
    assert rows["two"]["verdicts"] == {"DISCHARGED": 2}
    assert rows["two"]["facts"]["name"], "a sealed run says which device computed"
    before = machine.sealed("one"), machine.sealed("two")
    manifest = before[0] / "manifest.json"
    manifest.write_text(manifest.read_text().replace("a", "b", 1))
    capsys.readouterr()
    assert machine.run() == 0
    said = capsys.readouterr().out
    assert "two: finished before, kept" in said
    assert "one: sealed" in said
    assert machine.sealed("one") != before[0]
    assert machine.sealed("two") == before[1]
    assert said.endswith((machine.out / "summary.md").read_text() + "\n")


def test_a_part_cut_by_its_limit_stays_and_goes_on(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    wait = gpu_run.subprocess.Popen.wait

    def until_one_has_ended(process: Any, seconds: float | None = None) -> int:
        """Run into the limit as soon as the first claim of part two has ended."""
        ended = machine.out / "parts" / "two"
        while process.poll() is None:
            if seconds and list(ended.glob("*.partial/claims/FALSIFY-DOUBLES-001")):
                raise gpu_run.subprocess.TimeoutExpired("harness", seconds)
            gpu_run.time.sleep(0.01)
        return int(wait(process))

    with monkeypatch.context() as limited:
        limited.setattr(gpu_run.subprocess.Popen, "wait", until_one_has_ended)
        assert machine.run("--only", "two") == 3
    row = machine.rows()["two"]
    assert (row["state"], row["claims"], row["verdicts"]) == ("cut", 1, {"DISCHARGED": 1})
    partial = machine.out / "parts" / "two" / row["evidence"]
    kept = (partial / "claims/FALSIFY-DOUBLES-001/result.json").stat().st_mtime_ns
    assert machine.run("--only", "two") == 0
    run = machine.sealed("two")
    assert run.name == partial.name.removesuffix(".partial")
    assert (run / "claims/FALSIFY-DOUBLES-001/result.json").stat().st_mtime_ns == kept


def test_a_run_that_cannot_go_on_is_put_aside_and_begun_anew(machine: Machine) -> None:
    assert machine.run("--only", "one") == 0
    run = machine.sealed("one")
    partial = run.with_name(run.name + ".partial")
    run.rename(partial)
    body = json.loads((partial / "run.json").read_text())
    (partial / "run.json").write_text(json.dumps({**body, "status": "running"}))
    (machine.folder / "good.py").write_text(CANDIDATE + "# edited\n", encoding="utf-8")
    (partial.parent / "empty.partial").mkdir()
    assert machine.run("--only", "one") == 0
    assert machine.sealed("one").name != run.name
    assert (partial.parent / f"{partial.name}.refused").is_dir()
    assert not (partial.parent / "empty.partial").exists()


def test_a_red_part_does_not_stop_the_others(machine: Machine) -> None:
    (machine.folder / "bad.py").write_text("def double(x):\n    return 3 * x\n", encoding="utf-8")
    machine.entries[0]["candidate"] = str(machine.folder / "bad.py")
    machine.entries[1]["candidate"] = "nowhere.py"
    assert machine.run() == 1
    rows = machine.rows()
    assert rows["one"]["verdicts"] == {"FALSIFIED": 1}
    assert list(rows["one"]["red"]) == ["FALSIFY-DOUBLES-001"]
    assert rows["two"]["state"] == "failed"
    assert "nowhere.py" in rows["two"]["line"]


def test_the_exit_code_is_0_only_if_every_part_is_whole_and_shows_something() -> None:
    sealed = {"red": {}, "state": "sealed", "verdicts": {"PARTIAL": 1, "UNVERIFIED": 1}}
    command = {"red": {}, "state": "finished", "verdicts": {}}
    assert gpu_run.outcome([sealed, command]) == 0
    assert gpu_run.outcome([sealed, {**sealed, "state": "cut"}]) == 3
    assert gpu_run.outcome([command, {**sealed, "verdicts": {"UNVERIFIED": 5}}]) == 3
    assert gpu_run.outcome([sealed, {**command, "state": "failed"}]) == 1
    assert gpu_run.outcome([{**sealed, "red": {"A": "why"}}, command]) == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--only", "three"], "--only three: found no part 'three', expected some of one, two"),
        (["--quick"], "found parts run with {'device': 'cpu', 'quick': False}, expected {'device': 'cpu', 'quick'"),
    ],
)
def test_a_mistake_is_one_line(
    machine: Machine, given: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    gpu_run.agree(machine.out.parent, {})
    machine.out.mkdir()
    gpu_run.agree(machine.out, {"device": "cpu", "quick": False})
    assert machine.run(*given) == 2
    assert words in capsys.readouterr().err
    assert not list(machine.out.glob("parts/*"))


def test_two_never_work_in_one_folder(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.out.mkdir()
    with gpu_run.held(machine.out / gpu_run.LOCK):
        assert machine.run() == 2
    assert "another run is at work there" in capsys.readouterr().err
