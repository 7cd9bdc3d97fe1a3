"""One thread per test process: pytest-xdist fills the cores, and threads that wait for each other slow them tenfold."""

import os

import pytest

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"


@pytest.fixture(scope="session")
def cpu(tmp_path_factory):
    """A real run on a CPU, to be merged with others: DOUBLES is PARTIAL, SLOWLY DISCHARGED."""
    from tests.run.test_run import as_json, harness
    from tests.support.second_host import laboratory

    folder = laboratory(tmp_path_factory.mktemp("cpu"))
    done = harness(folder, "run", "contracts", "--candidate", "good.py", "--device", "cpu", "--json")
    assert done.returncode == 0, done.stderr
    return folder / as_json(done)["evidence"]
