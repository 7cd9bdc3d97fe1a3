"""The laboratory's runs, and the report that `harness report` writes of them; made once for the folder's tests."""

import pytest

from tests.support import report_lab as lab
from tests.support.command import harness


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """(folder, a run of the right kernel, one of the wrong kernel that followed it)."""
    folder = tmp_path_factory.mktemp("report")
    return folder, *lab.right_then_wrong(folder)


@pytest.fixture(scope="session")
def written(runs):
    """The folder of the report on both runs."""
    folder, before, after = runs
    done = harness(folder, "report", str(after), str(before), "--out", "out")
    assert done.returncode == 0, done.stderr
    return folder / "out"
