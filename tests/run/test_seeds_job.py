"""The job over seeds goes on where it stopped, repeats what has changed, and is red on an alarm or if nothing ran."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seeds

FALSIFIER = """
import numpy as np
from harness.observation import Observation

def near(subject, case, *, off):
    case.normal("x", (3,))
    return Observation(out=(np.array([1.0 + off]), np.array([1.0])))

def needs(subject, case):
    return Observation(out=(subject.no_such_op(case.normal("x", (3,))), np.zeros(3)))
"""
HEAD = """\
metadata: {id: tiny, version: 1.0.0, title: tiny, description: tiny, references: [], depends_on: []}
equations: {near: y = 1}
falsification_tests:
"""
CLAIM = """\
- id: FALSIFY-{name}-001
  rule: y is 1
  prediction: y is not 1
  falsifier: tiny.py:{function}
  given: {given}
  accept: {{max_abs_err: {{le: {limit}, why: exact}}}}
  mutants: []
  mutants_exempt: the job runs no mutants
  budget_s: 0.2
  if_fails: look at y
"""


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The job owns its process; here its settings end with each test."""
    monkeypatch.setenv("HARNESS_SCRATCH", str(tmp_path))
    monkeypatch.setattr(seeds, "settle", lambda threads: None)
    monkeypatch.setattr(seeds, "register", lambda device: None)
    with np.errstate():
        yield


def lay(folder: Path, limit: str = "1.0e-3") -> Path:
    """A contract of three claims: one holds, one is violated, one needs what the candidate lacks."""
    (folder / "tiny.py").write_text(FALSIFIER)
    claims = [
        CLAIM.format(name="HOLDS", function="near", given="{off: 0.0}", limit=limit),
        CLAIM.format(name="BROKEN", function="near", given="{off: 0.5}", limit=limit),
        CLAIM.format(name="LACKING", function="needs", given="{}", limit=limit),
    ]
    (folder / "tiny.yaml").write_text(HEAD + "".join(claims))
    return folder / "tiny.yaml"


def job(folder: Path, only: str, *more: str) -> int:
    """The exit code for seeds 0-2, or for those that `more` names."""
    words = ["--contracts", str(folder / "tiny.yaml"), "--done", str(folder / "done.jsonl"), "--only", only]
    return seeds.main([*words, "--seeds", "0-2", *more])


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "done.jsonl").read_text().splitlines()]


def test_a_finished_run_is_not_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lay(tmp_path)
    assert job(tmp_path, "HOLDS", "--seeds", "0-1") == 0
    assert job(tmp_path, "HOLDS") == 0
    assert [row["seed"] for row in rows(tmp_path)] == [0, 1, 2]
    assert "2 runs are done, 1 are left" in capsys.readouterr().out
    assert job(tmp_path, "HOLDS") == 0
    assert len(rows(tmp_path)) == 3
    assert "3 runs of 1 claims, 3 cases: 0 alarms; 0 runs left" in capsys.readouterr().out


def test_a_line_that_a_killed_job_left_unfinished_is_run_again(tmp_path: Path) -> None:
    lay(tmp_path)
    job(tmp_path, "HOLDS")
    done = tmp_path / "done.jsonl"
    done.write_text(done.read_text()[:-40])
    assert job(tmp_path, "HOLDS") == 0
    assert [row["seed"] for row in rows(tmp_path)] == [0, 1, 2]


def test_an_alarm_is_red_also_when_an_earlier_job_saw_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lay(tmp_path)
    assert job(tmp_path, "BROKEN|HOLDS") == 1
    assert "ALARM FALSIFY-BROKEN-001, seed 2: FALSIFIED, max_abs_err le 0.001" in capsys.readouterr().out
    assert job(tmp_path, "BROKEN|HOLDS") == 1
    assert len(rows(tmp_path)) == 6
    assert job(tmp_path, "HOLDS") == 0


@pytest.mark.parametrize("more", [(), ("--minutes", "0")])
def test_nothing_run_is_red(tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]) -> None:
    lay(tmp_path)
    assert job(tmp_path, "HOLDS" if more else "LACKING", *more) == 1
    told = capsys.readouterr().out
    assert "0 runs of 0 claims" in told
    assert more or "NOT RUN FALSIFY-LACKING-001: candidate has no `no_such_op`" in told


def test_claims_that_measure_time_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "performance").mkdir()
    lay(tmp_path / "performance")
    assert job(tmp_path / "performance", "HOLDS") == 2
    assert "matches none of the 0 claims" in capsys.readouterr().err


def test_another_limit_or_other_code_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path)
    assert job(tmp_path, "BROKEN") == 1
    lay(tmp_path, limit="1.0")
    assert job(tmp_path, "BROKEN") == 0
    assert len(rows(tmp_path)) == 6
    monkeypatch.setattr(seeds, "code_of", lambda candidate: "other code")
    assert job(tmp_path, "BROKEN") == 0
    assert len(rows(tmp_path)) == 9


def test_a_contract_with_a_mistake_and_a_name_that_matches_nothing_end_the_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = lay(tmp_path)
    assert job(tmp_path, "NEVER") == 2
    assert "--only NEVER: matches none of the 3 claims" in capsys.readouterr().err
    path.write_text(path.read_text().replace("accept:", "acept:", 1))
    assert job(tmp_path, "HOLDS") == 2
    assert "acept" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        job(tmp_path, "HOLDS", "--seeds", "0:9")
