"""ci/gpu.sh in a clean environment without a registry, killed at a random second and started again."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import wheelhouse
import yaml

from harness.falsifiers.itself.shop import CANDIDATE
from tests.support.doubling import contract
from tests.support.killing import clean, finished, killed, lost
from tests.support.repository import ROOT

SCRIPT = str(ROOT / "ci" / "gpu.sh")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheelhouse with harness alone: this machine has everything else."""
    folder = tmp_path_factory.mktemp("wheelhouse")
    wheelhouse.build([sys.executable, "-m", "pip", "--disable-pip-version-check"], folder)
    return folder


@pytest.mark.sample(0)
def test_killed_at_a_random_second_it_goes_on_and_loses_no_finished_part(house: Path, tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(CANDIDATE, encoding="utf-8")
    for name, claims in (("one", ["doubles"]), ("two", ["doubles", "slowly"])):
        contract(tmp_path / name, name, claims)
    parts = [{"name": n, "paths": [str(tmp_path / n)], "candidate": str(tmp_path / "good.py")} for n in ("one", "two")]
    (tmp_path / "parts.yaml").write_text(yaml.safe_dump(parts))
    out, log = tmp_path / "out", tmp_path / "log"
    command = [SCRIPT, str(house), str(out), "--device", "cpu", "--parts", str(tmp_path / "parts.yaml")]
    wait, ends = random.uniform(0, 3), float("inf")

    def soon_after_the_first() -> bool:
        nonlocal ends
        if ends == float("inf") and "one" in finished(out):
            ends = time.monotonic() + wait
        return time.monotonic() > ends

    first = killed(command, clean(tmp_path), soon_after_the_first, log)
    before = finished(out)
    assert "one" in before, log.read_text()
    assert json.loads((out / "summary.json").read_text())["parts"][1]["part"] == "two"
    assert killed(command, clean(tmp_path), lambda: False, log) == 0, (wait, first, log.read_text())
    after = finished(out)
    assert lost(before, after) == []
    assert set(after) == {"one", "two"}
    assert "| one | one | sealed | 1 | 1 DISCHARGED |" in log.read_text()
    where = [str(out / "venv" / "bin" / "python"), "-P", "-c", "import harness; print(harness.__file__)"]
    told = subprocess.run(where, env=clean(tmp_path), capture_output=True, text=True, check=True).stdout
    assert Path(told).is_relative_to(out)  # the wheelhouse's harness ran, not this checkout's


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nowhere"], "no harness-*.whl there; run make wheelhouse"),
        (["--fast"], "--fast: unknown option"),
        (["--device"], "--device: expected a device"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], line: str, tmp_path: Path) -> None:
    done = subprocess.run([SCRIPT, *words], env=clean(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_was_lost_is_seen() -> None:
    assert lost({"D": "x", "ops": "y"}, {"D": "x", "ops": "z"}) == ["ops"]
    assert lost({"D": "x"}, {}) == ["D"]
