"""A pytest session around claims: what it loads, what it keeps when it is stopped, what it leaves alone."""

from __future__ import annotations

import os
import signal
import subprocess
import tracemalloc
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.evidence import store
from harness.pytest_plugin.items import holds_claims
from tests.support.command import light, started
from tests.support.plugin_project import BASE, claim, command, contract, run, sealed, verdicts
from tests.support.process import wait_for
from tests.support.repository import CONTRACTS, NUMPY_ALONE, ROOT, environment


def test_a_session_without_contracts_loads_nothing_and_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("a: {falsification_tests: no key of the document}\n", encoding="utf-8")
    (tmp_path / "conftest.py").write_text(
        "def pytest_addoption(parser):\n"
        "    for name in ('--candidate', '--weights', '--device', '--seed', '--evidence'):\n"
        "        parser.addoption(name)\n",
        encoding="utf-8",
    )
    heavy = ("yaml", "numpy", "torch", "rich", "jsonschema_rs", "harness.contract.claim", "harness.run.shared_session")
    assert all(find_spec(name) for name in heavy)  # a name that nothing bears would never be loaded
    loaded = f"assert not set({heavy}) & set(sys.modules) and 'harness.pytest_plugin.session_end' in sys.modules"
    text = f"import sys\ndef test_it():\n    {loaded}\n"
    (tmp_path / "test_own.py").write_text(text, encoding="utf-8")
    code, said = run(tmp_path, ".", "-p", "no:hypothesispytest", "--candidate", "theirs")
    assert code == 0, said
    assert "harness:" not in said
    assert not (tmp_path / "evidence").exists()


def test_yaml_is_looked_at_piece_by_piece(tmp_path: Path) -> None:
    big, late = tmp_path / "big.yaml", tmp_path / "late.yaml"
    big.write_bytes(b"- a: 1\n" * 3_000_000)
    with late.open("wb") as stream:
        stream.write(b"# " + b"x" * ((1 << 20) - 10) + b"\n")  # the key lies across two pieces
        stream.write(b"falsification_tests:\n")
    one_line = tmp_path / "line.yaml"
    one_line.write_bytes(b'a: "' + b"x" * ((1 << 20) - 4) + b'falsification_tests: "\n')
    tracemalloc.start()
    assert not holds_claims(big)
    assert holds_claims(late)
    assert not holds_claims(one_line)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    assert not holds_claims(tmp_path / "gone.yaml")
    assert all(holds_claims(path) for path in CONTRACTS.rglob("*.yaml") if path.name != "ship.yaml")


@pytest.mark.parametrize("how", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_an_interrupted_session_keeps_what_was_finished(project: Path, how: list[str]) -> None:
    slow = [claim(f"A-{n}", "slowly") for n in ("ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX")]
    (project / "a.yaml").write_text(contract("a", *slow), encoding="utf-8")
    args = command("--rootdir", str(project), "-c", "/dev/null", ".", *how)
    with subprocess.Popen(
        args,
        cwd=project,
        env=environment(**NUMPY_ALONE),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell that started these tests in the background has SIGINT ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        wait_for(lambda: list(project.glob("evidence/*/claims/*/result.json")))
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=180)
    assert process.returncode == 2, said
    assert "; evidence evidence/" in said
    seen = verdicts(sealed(project))
    assert "DISCHARGED" in seen.values()
    assert "UNVERIFIED" in seen.values()


def test_a_killed_session_can_be_completed(project: Path) -> None:
    slow = [claim(f"A-{n}", "slowly") for n in ("ONE", "TWO", "THREE")]
    (project / "a.yaml").write_text(contract("a", *slow), encoding="utf-8")
    args = command("--rootdir", str(project), "-c", "/dev/null", ".")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(args, cwd=project, env=environment(**NUMPY_ALONE), **quiet) as process:
        wait_for(lambda: list(project.glob("evidence/*/claims/*/result.json")))
        process.kill()
    [partial] = project.glob("evidence/*.partial")
    done = light(project, "run", "--resume", str(partial))
    assert done.returncode == 0, done.stderr
    assert set(verdicts(sealed(project)).values()) == {"DISCHARGED"}


def test_options_in_an_ini_file_are_relative_to_it_and_training_is_seen(project: Path) -> None:
    (project / "harness.toml").unlink()
    (project / "ini").mkdir()
    (project / "ini" / "better.py").write_text(BASE, encoding="utf-8")
    ini = "[pytest]\nharness_candidate = better.py\nharness_evidence = ../evidence\nharness_seed = 7\n"
    (project / "ini" / "pytest.ini").write_text(ini, encoding="utf-8")
    given = "given: {weights: 'own.py:build'}"
    text = contract("a", claim("A-ONE", "on_weights", given=given), claim("A-TWO", "halves"))
    (project / "a.yaml").write_text(text, encoding="utf-8")
    (project / "config.json").write_text("{}", encoding="utf-8")
    code, said = run(project, "a.yaml", ini="ini/pytest.ini")
    assert code == 0, said
    body = store.read_json(sealed(project) / "run.json")
    assert (body["seed"], body["candidate"]["spec"]) == (7, "ini/better.py")
    assert "training: step 1 of 2" in said


def test_code_of_the_claims_does_not_leak_into_other_tests(project: Path) -> None:
    (project / "a.yaml").write_text(contract("a", claim("A-ONE")), encoding="utf-8")
    kept = "assert os.environ['OMP_NUM_THREADS'] == '5' and 'CUBLAS_WORKSPACE_CONFIG' not in os.environ"
    text = f"import os\ndef test_it():\n    {kept}\n"
    (project / "test_z.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        command("--rootdir", str(project), "-c", "/dev/null", "a.yaml", "test_z.py"),
        cwd=project,
        # A run in this process, by another test, may have left the claims' own settings behind.
        env={name: v for name, v in os.environ.items() if name != "CUBLAS_WORKSPACE_CONFIG"} | {"OMP_NUM_THREADS": "5"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_this_repository_with_its_own_testpaths(tmp_path: Path) -> None:
    done = started(command("contracts/ops/softmax.yaml", "--co"), ROOT)
    assert done.returncode == 0, done.stdout
    assert "contracts/ops/softmax.yaml::FALSIFY-SOFTMAX" in done.stdout
