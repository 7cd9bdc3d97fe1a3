"""Settings and laboratories of every test: one thread a process, and two real runs that many tests look at."""

import os
from pathlib import Path

import pytest

# pytest-xdist fills the cores, and threads that wait for each other slow them tenfold. This stands before any import
# of NumPy or torch, which read it once.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """(folder, what `harness run --json` printed): one DISCHARGED claim, three candidates."""
    from tests.support.command import as_json
    from tests.support.doubling import doubling

    folder = tmp_path_factory.mktemp("lab")
    return folder, as_json(doubling(folder))


@pytest.fixture(scope="session")
def cpu(tmp_path_factory):
    """A real run on a CPU, to be merged with others: DOUBLES is PARTIAL, SLOWLY DISCHARGED."""
    from tests.support.command import as_json, light
    from tests.support.second_host import laboratory

    folder = laboratory(tmp_path_factory.mktemp("cpu"))
    done = light(folder, "run", "contracts", "--candidate", "good.py", "--device", "cpu", "--json")
    assert done.returncode == 0, done.stderr
    return folder / as_json(done)["evidence"]


@pytest.fixture
def figure(request):
    """`figure(name, value, how="sum")`: keep what this test measured for `docs/reliability.md` (tests/figures.py)."""
    from tests.figures import KEY

    def keep(name, value, how="sum"):
        request.node.user_properties.append((KEY, [name, value, how]))

    return keep


def pytest_configure(config: pytest.Config) -> None:
    """Collect figures where the reports of all processes arrive."""
    from tests.figures import Collector

    page = config.getoption("--figures")
    if page and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Collector(page))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--figures", type=Path, help="a page on which the figures of the tests are written, if all pass")
    parser.addoption("--whole", action="store_true", help="run all of what is marked sample(n), as `make trust` does")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what only `make trust` runs."""
    from tests.sample import left_out

    if config.getoption("--whole"):
        return
    gone = left_out(items, config.args)
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in gone])
    items[:] = [item for item in items if item.nodeid not in gone]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Make the rehearsal device known before any test: torch starts a thread per known device at the first gradient."""
    if any("rehearsal" in item.nodeid for item in session.items):
        from harness.subject.device import register

        register("rehearsal")
