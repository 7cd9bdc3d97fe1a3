"""A candidate in a claim's process that wants another verdict: what it patches, sends, links or opens gains nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.evidence import store, verify
from harness.falsifiers.itself.shop import DOUBLES
from tests.support.command import claims_of, light
from tests.support.doubling import mixed

WRONG = "\ndef double(x):\n    return 3 * x\n"
ATTACKS = {
    "patches the judge": """
import sys
from types import SimpleNamespace

def lenient(real):
    def judge(source, record):
        found = real(source, record)
        object.__setattr__(found, "verdict", type(found.verdict)("DISCHARGED"))
        object.__setattr__(found, "violated", [])
        return found
    return judge

for name in ("harness.trial.examine", "harness.trial.worker", "harness.judging.judge"):
    module = sys.modules.get(name)
    if hasattr(module, "judge"):
        module.judge = lenient(module.judge)
""",
    "writes where its claim's files will lie": """
import json
from pathlib import Path
for run in Path("evidence").glob("*.partial"):
    for name in ("staging", "claims"):
        own = run / name / "FALSIFY-DOUBLES-001"
        own.mkdir(parents=True, exist_ok=True)
        (own / "result.json").write_text(json.dumps({"verdict": "DISCHARGED"}))
        (own / "more.txt").write_text("more")
""",
}
PICKLE = """
import os, pickle, stat, struct
from pathlib import Path

class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("executed").absolute(),))

for name in os.listdir("/proc/self/fd") if ("HARNESS_SCRATCH" in os.environ) is IN_A_CLAIM else []:
    try:
        if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
            data = pickle.dumps(Bomb())
            os.write(int(name), struct.pack("!i", len(data)) + data)
    except OSError:
        pass
"""
MEMORY = """
import os
from pathlib import Path
import psutil
run = psutil.Process().parent().parent()
assert "harness" in " ".join(run.cmdline())
opened = []
for name in ("mem", "environ", "maps"):
    try:
        open(f"/proc/{run.pid}/{name}", "rb").close()
        opened.append(name)
    except PermissionError:
        continue
Path("opened").write_text(" ".join(opened))
"""
LINK = """
import os
log = os.readlink("/proc/self/fd/1")
if log.endswith(".log"):
    os.unlink(log)
    os.symlink(os.path.abspath("secret"), log)
"""


def run(folder: Path, source: str, *claims: str) -> dict[str, dict[str, Any]]:
    mixed(folder, "doubles", *claims)
    (folder / "own_kernel.py").write_text(source, encoding="utf-8")
    found = claims_of(light(folder, "run", "c", "--candidate", "own_kernel.py", "--json", "-j", "1"))
    assert verify.check(store.sealed(folder / "evidence")) == []
    return found


@pytest.mark.parametrize("name", ATTACKS)
def test_a_wrong_candidate_stays_falsified(tmp_path: Path, name: str) -> None:
    assert run(tmp_path, ATTACKS[name] + WRONG)[DOUBLES]["verdict"] == "FALSIFIED"


def test_what_a_candidate_sends_to_the_run_is_not_executed(tmp_path: Path) -> None:
    found = run(tmp_path, "IN_A_CLAIM = True\n" + PICKLE + WRONG)[DOUBLES]
    assert not (tmp_path / "executed").exists()
    assert found["verdict"] == "ERROR", "its bytes stand before the claim's own result"


def test_what_a_candidate_sends_when_it_is_first_imported_is_not_executed(tmp_path: Path) -> None:
    mixed(tmp_path, "doubles")
    (tmp_path / "own_kernel.py").write_text("IN_A_CLAIM = False\n" + PICKLE + WRONG, encoding="utf-8")
    done = light(tmp_path, "run", "c", "--candidate", "own_kernel.py")
    assert not (tmp_path / "executed").exists()
    assert done.returncode == 2
    assert done.stderr.startswith("harness: --candidate own_kernel.py: the process that imported it did not say")


def test_a_candidate_cannot_open_the_memory_of_the_run(tmp_path: Path) -> None:
    run(tmp_path, MEMORY + WRONG)
    assert (tmp_path / "opened").read_text() == ""


def test_a_log_that_became_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the key", encoding="utf-8")
    run(tmp_path, LINK + WRONG)
    assert (store.sealed(tmp_path / "evidence") / "claims" / DOUBLES / "log.txt").read_bytes() == b""


def test_files_changed_while_they_are_written_leave_the_run_unsealed(tmp_path: Path) -> None:
    """The digests are those of what was to be written, not of what lies there."""
    from harness.errors import UserError

    made = store.Run(tmp_path / "r.partial")
    made.deposit("A", {"result.json": b"{}"})
    (made.folder / "claims" / "A" / "result.json").write_bytes(b"[]")
    body: Any = {}
    with pytest.raises(UserError, match="changed after the claim ended"):
        made.seal(body)
