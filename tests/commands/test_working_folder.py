"""Commands that read evidence import nothing from the working folder, however they are started."""

import sys
from pathlib import Path

import pytest

from harness.evidence import store
from tests.support.command import started

NAMES = (
    "numpy",
    "yaml",
    "json",
    "argparse",
    "jsonschema_rs",
    "hypothesis",
    "rich",
    "dataclasses",
    "contracts",
    "jinja2",
)
PLANTED = "open({!r}, 'a').write(__name__ + ' ')\n"
CONSOLE = [str(Path(sys.executable).with_name("harness"))]
MODULE = [sys.executable, "-m", "harness"]


@pytest.mark.parametrize("way", [CONSOLE, MODULE], ids=["console", "module"])
@pytest.mark.parametrize(
    "words",
    [
        ["verify", "{run}"],
        ["gate", "{run}", "--target", "doubling", "--contracts", "{lab}/contracts", "--candidate", "{lab}/good.py"],
        ["compare", "{run}", "{run}"],
        ["report", "{run}"],
    ],
    ids=lambda w: w[0],
)
def test_a_file_in_the_working_folder_is_not_run(lab, tmp_path: Path, way: list[str], words: list[str]) -> None:
    folder, found = lab
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(PLANTED.format(str(tmp_path / "was_run")))
    run = str(store.sealed(folder / found["evidence"]).resolve())
    done = started([*way, *(word.format(run=run, lab=folder) for word in words)], tmp_path)
    assert done.returncode in (0, 3), done.stderr
    assert not (tmp_path / "was_run").exists(), (tmp_path / "was_run").read_text()
