"""The wheel: packages and contracts as data, and a run from it in an empty folder."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_contract_and_template_is_in_the_wheel(installed):
    for source, inside in ((ROOT / "harness", "harness"), (ROOT / "contracts", "harness/builtin")):
        files = [p for p in source.rglob("*") if p.suffix in (".py", ".yaml", ".json", ".css", ".js", ".j2", ".toml")]
        assert files
        for path in files:
            assert (installed / inside / path.relative_to(source)).is_file(), path


def test_the_wheel_installs_one_package_and_no_other_name(installed):
    names = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert names - {"bin"} == {"harness"}


def test_the_installed_harness_runs_its_built_in_contracts(installed, tmp_path):
    env = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "harness", "run", "builtin:ops", "-k", "softmax-state"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "FALSIFY-SOFTMAX-STATE-001  PARTIAL" in done.stdout
    (run,) = (tmp_path / "evidence").iterdir()
    assert str(installed) in (run / "run.json").read_text()


def test_a_run_leaves_its_evidence_in_the_working_folder_and_nothing_else(installed, tmp_path):
    """Draws and shrinking too: Hypothesis would leave a folder `.hypothesis` beside it."""
    (tmp_path / "wrong.py").write_text("def softmax(x, axis=-1):\n    return x\n", encoding="utf-8")
    before = {path.name for path in tmp_path.iterdir()}
    env = {**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "harness", "run", "builtin:ops", "-k", "softmax-001", "--candidate", "wrong.py"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FALSIFIED" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} - before == {"evidence"}


def test_the_installed_harness_reads_model_files(installed, tmp_path):
    (tmp_path / "w.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    env = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "harness", "inspect", "w.safetensors", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"format": "safetensors"' in done.stdout
