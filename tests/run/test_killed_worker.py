"""A claim's process that is killed from outside, what it leaves behind, and a forkserver that dies."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.evidence import store, verify
from tests.support.command import claims_of, light, started
from tests.support.doubling import mixed
from tests.support.process import gone
from tests.support.repository import NUMPY_ALONE

MORE = """
import signal
from pathlib import Path

def daemon(name):
    \"\"\"Leave a process behind that has its own session and no living parent; its number is in the file `name`.\"\"\"
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            Path(name).write_text(str(os.getpid()))
            os.write(writing, b"!")
            time.sleep(8)
            Path("survived").touch()
        os._exit(0)
    os.read(reading, 1)
    os.wait()

def is_killed(subject, case, *, rows):
    if not Path("spared").exists():
        Path("spared").touch()
        daemon("left")
        os.kill(os.getpid(), signal.SIGKILL)
    return doubles(subject, case, rows=rows)

def is_always_killed(subject, case, *, rows):
    if Path("peace").exists():
        return doubles(subject, case, rows=rows)
    os.kill(os.getpid(), signal.SIGKILL)

def leaves_a_daemon(subject, case, *, rows):
    if not Path("left").exists():
        daemon("left")
    return doubles(subject, case, rows=rows)

def kills_the_server(subject, case, *, rows):
    server = os.getppid()
    if b"forkserver" in Path(f"/proc/{server}/cmdline").read_bytes():  # its second one as well
        Path("server").write_text(str(server))
        os.kill(server, signal.SIGKILL)
        time.sleep(0.5)
    return doubles(subject, case, rows=rows)

def opens_files(subject, case, *, rows):
    held = []
    while True:
        held.append(open(os.devnull))

def fills_a_disk(subject, case, *, rows):
    raise OSError(28, "No space left on device", "x")

def passes_a_lock(subject, case, *, rows):
    import threading
    return subject.in_other_process("double", threading.Lock())

def asks_for_a_lock(subject, case, *, rows):
    return subject.in_other_process("lock")

def sees_the_lock(subject, case, *, rows):
    import fcntl
    (lock,) = Path("evidence").glob("*.partial/writer.lock")
    try:
        fcntl.flock(lock.open("r+"), fcntl.LOCK_EX | fcntl.LOCK_NB)
        Path("held").write_text("by nobody")
    except BlockingIOError:
        Path("held").write_text("by another")
    return doubles(subject, case, rows=rows)

def speaks_in_halves(subject, case, *, rows):
    found = doubles(subject, case, rows=rows)
    found.scalars["odd"] = 1.0
    found.where["odd"] = "\\ud800"
    return found

def measures_an_object(subject, case, *, rows):
    found = doubles(subject, case, rows=rows)
    found.scalars["odd"] = 1.0
    found.where["odd"] = object()
    return found
"""
LOCK = "\ndef lock():\n    import threading\n    return [threading.Lock()]\n"


def lay(folder: Path, *claims: str) -> None:
    mixed(folder, *claims)
    for name, more in (("c/own.py", MORE), ("c/base.py", LOCK), ("good.py", LOCK)):
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write(more)
    path = folder / "c" / "mixed.yaml"  # no test here is about time, and a busy machine needs some
    path.write_text(path.read_text(encoding="utf-8").replace("budget_s: 1\n", "budget_s: 9\n"), encoding="utf-8")


def run(folder: Path, *options: str) -> dict[str, dict[str, Any]]:
    return claims_of(light(folder, "run", "c", "--candidate", "good.py", "--json", *options))


def left_nothing(folder: Path) -> bool:
    """Whether the daemon was killed; one that lives holds the run's pipes open until it ends by itself."""
    return gone(int((folder / "left").read_text())) and not (folder / "survived").exists()


def test_a_worker_that_is_killed_from_outside_is_tried_once_again(tmp_path: Path) -> None:
    lay(tmp_path, "is_killed", "is_always_killed")
    found = run(tmp_path)
    assert found["FALSIFY-IS-KILLED-001"]["verdict"] == "DISCHARGED"
    always = found["FALSIFY-IS-ALWAYS-KILLED-001"]
    assert (always["verdict"], always["cause"]) == ("ERROR", "killed")
    assert always["reason"] == "its process was killed with signal 9 (SIGKILL), twice"
    assert left_nothing(tmp_path), "the process that the killed worker had left behind"


def test_resume_takes_an_error_of_the_machine_again_and_no_other(tmp_path: Path) -> None:
    lay(tmp_path, "is_always_killed", "raises", "doubles")
    assert run(tmp_path)["FALSIFY-IS-ALWAYS-KILLED-001"]["cause"] == "killed"
    sealed = store.sealed(tmp_path / "evidence")
    partial = sealed.with_name(sealed.name + ".partial")
    sealed.rename(partial)
    body = json.loads((partial / "run.json").read_text())
    store.write_json(partial / "run.json", {**body, "status": "running"})
    before = {path.name: (path / "result.json").stat().st_mtime_ns for path in (partial / "claims").iterdir()}
    (tmp_path / "peace").touch()
    found = claims_of(light(tmp_path, "run", "--resume", str(partial), "--json"))
    assert {claim: row["verdict"] for claim, row in found.items()} == {
        "FALSIFY-IS-ALWAYS-KILLED-001": "DISCHARGED",
        "FALSIFY-RAISES-001": "ERROR",
        "FALSIFY-DOUBLES-001": "DISCHARGED",
    }
    after = {path.name: (path / "result.json").stat().st_mtime_ns for path in (sealed / "claims").iterdir()}
    assert {claim for claim in before if before[claim] != after[claim]} == {"FALSIFY-IS-ALWAYS-KILLED-001"}
    assert verify.check(sealed) == []


def test_a_daemon_ends_with_its_claim_although_the_falsifier_returns(tmp_path: Path) -> None:
    lay(tmp_path, "leaves_a_daemon")
    assert run(tmp_path)["FALSIFY-LEAVES-A-DAEMON-001"]["verdict"] == "DISCHARGED"
    assert left_nothing(tmp_path)


def test_a_dead_forkserver_costs_no_claim_its_verdict(tmp_path: Path) -> None:
    """One claim kills it while another runs; a third begins afterwards."""
    lay(tmp_path, "slowly", "kills_the_server", "doubles")
    found = run(tmp_path, "-j", "2")
    assert {row["verdict"] for row in found.values()} == {"DISCHARGED"}, found
    assert gone(int((tmp_path / "server").read_text()))


CAUSES = {
    "opens_files": "out_of_descriptors",
    "fills_a_disk": "disk_full",
    "passes_a_lock": "unpicklable",
    "asks_for_a_lock": "unpicklable",
    "speaks_in_halves": "lone_surrogate",
    "measures_an_object": "unpicklable",
}


def test_causes_are_told_apart(tmp_path: Path) -> None:
    lay(tmp_path, *CAUSES)
    found = run(tmp_path)
    told = {kind: found[f"FALSIFY-{kind.upper().replace('_', '-')}-001"] for kind in CAUSES}
    assert {kind: (row["verdict"], row["cause"]) for kind, row in told.items()} == {
        kind: ("ERROR", cause) for kind, cause in CAUSES.items()
    }
    assert verify.check(store.sealed(tmp_path / "evidence")) == []


@pytest.mark.parametrize(("before", "cause"), [("oom_kill 6", "out_of_memory"), ("oom_kill 7", "killed")])
def test_a_kill_by_the_system_for_memory_is_out_of_memory(
    before: str, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    from harness.run import family, schedule

    counts = tmp_path / "vmstat"
    counts.write_text(f"nr_free_pages 1\n{before}\n", encoding="ascii")
    monkeypatch.setattr(family, "OOM_KILLS", counts)
    monkeypatch.setattr(family.Family, "served", True)
    own: Any = family.Family(0)
    counts.write_text("nr_free_pages 1\noom_kill 7\n", encoding="ascii")
    job = SimpleNamespace(claim=SimpleNamespace(id="A"))
    dead: Any = SimpleNamespace(exitcode=-9)
    problem = schedule._died(schedule.Running(job, dead, dead, own, 0.0, 0.0)).problem
    assert problem is not None
    assert (problem.cause, problem.from_outside) == (cause, True)


def test_a_pytest_session_holds_its_run_against_resume(tmp_path: Path) -> None:
    lay(tmp_path, "sees_the_lock")
    words = [sys.executable, "-m", "pytest", "-q", "c/mixed.yaml", "--harness-candidate", "good.py"]
    done = started([*words, "-p", "no:cacheprovider", "-p", "no:xdist"], tmp_path, **NUMPY_ALONE)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "held").read_text() == "by another"


def test_processes_of_one_session_share_the_lock_and_exclude_a_run(tmp_path: Path) -> None:
    with store.writing(tmp_path, together=True), store.writing(tmp_path, together=True):  # noqa: SIM117
        with pytest.raises(UserError, match="is writing this run"), store.writing(tmp_path):
            pass
    with store.writing(tmp_path), pytest.raises(UserError, match="is writing this run"):
        store.writing(tmp_path, together=True).__enter__()
