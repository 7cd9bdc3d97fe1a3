"""What ships and a run of it that opens the gate, to be changed by the forgeries of `harness gate`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.evidence import store
from harness.falsifiers.itself.edits import forge
from harness.falsifiers.itself.shop import with_a_table
from tests.support.command import light
from tests.support.second_host import laboratory


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(folder with what ships, a run of it as if on a GPU, which opens the gate). The candidate reads a table."""
    folder = laboratory(tmp_path_factory.mktemp("shop"))
    own = folder / "contracts" / "own.py"
    own.write_text(own.read_text(encoding="utf-8").replace("time.sleep(0.4)", "pass"), encoding="utf-8")
    with_a_table(folder)
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
