"""Processes of `--candidate exec:COMMAND`: killed with their children, and no claim held up by another's."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from harness.confinement import landlock
from tests.support.command import HARNESS, as_json, claims_of, harness
from tests.support.exec_program import SPAWNS, WRITE, program, relu
from tests.support.process import gone, wait_for
from tests.support.repository import CONTRACTS, environment

RELU = """
import json, os, sys
from pathlib import Path
import ml_dtypes, numpy as np
from safetensors.numpy import load_file, save_file
folder = Path(sys.argv[-1])
if json.loads((folder / "request.json").read_text())["call"] != "relu":
    os.abort()
x = load_file(folder / "inputs.safetensors")["x"]
save_file({"out": np.maximum(x, np.zeros((), x.dtype))}, folder / "outputs.safetensors")
"""
LIMITED = """
metadata: {id: limited, version: 1.0.0, title: t, description: d}
falsification_tests:
- id: FALSIFY-LIMITED-001
  rule: r
  prediction: p
  falsifier: harness.falsifiers.ops:parity
  baseline: harness.falsifiers.baselines.torch_ops
  given: {op: relu, rows: 1, length: 3, std: 1.0, dtype: float32}
  accept: {rel_l2_err: {le: 1.0e-6, why: w}}
  mutants: [harness.falsifiers.ops.mutants.activations.relu:clipped_at_six]
  budget_s: 1
  ship_blocking: false
  if_fails: i
"""


@pytest.fixture(autouse=True)
def _unconfined(monkeypatch: Any) -> None:
    """Programs here leave marks in the working folder, as a program may where the system confines none."""
    monkeypatch.setenv("HARNESS_ISOLATION", "none")


def test_a_program_that_does_not_end_is_killed_with_its_children(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HARNESS_EXEC_SECONDS", "1.5")
    spec = program(tmp_path, SPAWNS + "time.sleep(600)")
    with pytest.raises(Exception, match=r"did not answer `relu` within 1\.5 s"):
        relu(spec, tmp_path)
    assert gone(int((tmp_path / "child").read_text()))


def test_a_child_left_behind_does_not_hold_the_answer_up(tmp_path: Path) -> None:
    started = time.monotonic()
    assert relu(program(tmp_path, SPAWNS + WRITE + 'write({"out": right}, x)'), tmp_path).tolist() == [[1, 1, 1]] * 2
    assert time.monotonic() - started < 20
    assert gone(int((tmp_path / "child").read_text()))


def test_endless_printing_fills_neither_pipe_nor_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    loud = "import sys\nfor i in range(3000):\n    print('x' * 999)\nprint('end of stdout')\n"
    relu(program(tmp_path, loud + WRITE + 'write({"out": right}, x)'), tmp_path)
    said = capfd.readouterr().err
    assert "end of stdout" in said
    assert len(said) < 200_000


def options(folder: Path, spec: str) -> list[str]:
    """The arguments of `harness run` for the claim on relu and a program."""
    contract = str(CONTRACTS / "ops" / "activations.yaml")
    select = ["-k", "RELU-001 and not leaky", "--device", "cpu", "--evidence", str(folder / "evidence")]
    return ["run", contract, *select, "--candidate", spec]


def test_a_killed_run_takes_its_program_along(tmp_path: Path) -> None:
    spec = program(tmp_path, SPAWNS + "Path('self').write_text(str(__import__('os').getpid()))\ntime.sleep(600)")
    command = [*HARNESS, *options(tmp_path, spec)]
    own = tmp_path / "self"
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL) as run:
        try:
            wait_for(lambda: own.is_file() and own.read_text(), seconds=60)
            pids = [int((tmp_path / name).read_text()) for name in ("self", "child")]
        finally:
            run.send_signal(signal.SIGKILL)
    assert all(gone(pid) for pid in pids)


@pytest.mark.sample(0)
def test_a_claim_out_of_time_takes_its_program_along(tmp_path: Path) -> None:
    (tmp_path / "contract.yaml").write_text(LIMITED)
    spec = program(tmp_path, SPAWNS + "time.sleep(600)")
    done = harness(tmp_path, "run", "contract.yaml", "--candidate", spec, "--device", "cpu", "--json")
    claim = as_json(done)["claims"][0]
    assert (claim["verdict"], done.returncode) == ("ERROR", 1)
    assert "stopped after 10 s" in claim["reason"]
    assert gone(int((tmp_path / "child").read_text()))
    assert not list((tmp_path / "evidence").rglob("scratch"))


def test_one_claim_s_crash_leaves_the_others_alone_and_no_folder_behind(tmp_path: Path) -> None:
    spec = program(tmp_path, RELU)
    either = ["-k", "FALSIFY-RELU-001 or FALSIFY-TANH-001", "--json"]
    done = harness(tmp_path, *options(tmp_path, spec), *either)
    found = claims_of(done)
    assert done.returncode == 1
    assert found["FALSIFY-TANH-001"]["verdict"] == "ERROR"
    assert "killed by signal 6 (SIGABRT) on `tanh`" in found["FALSIFY-TANH-001"]["reason"]
    assert found["FALSIFY-RELU-001"]["verdict"] == "PARTIAL", found["FALSIFY-RELU-001"]
    assert not list((tmp_path / "evidence").rglob("scratch"))


FORGES = """
import json
from pathlib import Path
for path in Path.cwd().rglob("claims/*/result.json"):
    held = json.loads(path.read_text())
    path.write_text(json.dumps({**held, "verdict": "DISCHARGED"}))
"""


def test_a_program_that_rewrites_a_finished_verdict_leaves_the_run_unsealed(tmp_path: Path) -> None:
    """Two claims, one at a time: while the second runs, the program changes what the first found."""
    done = _forging(tmp_path, HARNESS_ISOLATION="none")
    assert done.returncode == 1
    assert re.search(
        r"changed after the claim ended \(.*\); something that ran here writes into the evidence", done.stderr
    )
    assert not list((tmp_path / "evidence").glob("*/manifest.json"))


@pytest.mark.skipif(not landlock.version(), reason="this system offers no Landlock")
def test_a_confined_program_cannot_rewrite_a_verdict(tmp_path: Path) -> None:
    _forging(tmp_path, HARNESS_ISOLATION="auto")
    (run,) = (each.parent for each in (tmp_path / "evidence").glob("*/manifest.json"))
    assert "PermissionError" in (run / "claims" / "FALSIFY-TANH-001" / "log.txt").read_text()
    assert json.loads((run / "claims" / "FALSIFY-RELU-001" / "result.json").read_text())["verdict"] != "DISCHARGED"


def _forging(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    spec = program(folder, FORGES + RELU)
    return harness(folder, *options(folder, spec), "-k", "FALSIFY-RELU-001 or FALSIFY-TANH-001", "-j", "1", **settings)


def test_requests_lie_outside_of_the_evidence(tmp_path: Path) -> None:
    spec = program(tmp_path, "import sys; open('where', 'w').write(sys.argv[-1])\n" + RELU)
    harness(tmp_path, *options(tmp_path, spec))
    where = Path((tmp_path / "where").read_text())
    assert not where.is_relative_to(tmp_path / "evidence")
    assert "harness-run-" in str(where)
    assert not where.exists()
    assert not where.parent.parent.exists()
