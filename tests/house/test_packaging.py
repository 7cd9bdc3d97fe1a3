"""The wheel: packages and contracts as data, and a run from it in an empty folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("harness", "contracts")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel, built from a copy of the sources and installed into a folder of its own."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in SOURCES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(source / "dist"), str(source)]
    subprocess.run([*pip, *wheel], check=True, capture_output=True)
    (built,) = (source / "dist").glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(built)], check=True, capture_output=True)
    return target


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


def test_the_installed_harness_reads_model_files(installed, tmp_path):
    (tmp_path / "w.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    env = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "harness", "inspect", "w.safetensors", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"format": "safetensors"' in done.stdout
