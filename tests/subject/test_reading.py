"""Which files a process is seen to read: those of the candidate and the working folder, by any way of Python's."""

import json
import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

from harness.subject import reading
from harness.subject.sources import file_digest
from tests.support.repository import environment

PROGRAM = """
import ctypes, json, os, sys
from pathlib import Path
import numpy as np
from harness.subject import reading
reading.MOST_FILES, reading.MOST_BYTES = int(sys.argv[3]), int(sys.argv[4])
here = Path.cwd()
found = reading.Reading({{"candidate": Path(sys.argv[1]), "working": here}}, [Path(sys.argv[2])])
sys.path.insert(0, str(here))
found.begin()
{code}
print(json.dumps(found.found()))
"""


def read(folder: Path, code: str, *, candidate: str = "kernels", files: int = 100, size: int = 1 << 20):
    """What `Reading` saw of `code`, run in `folder`; what lies in its folder `apart` is left out."""
    words = [sys.executable, "-c", PROGRAM.format(code=code), candidate, "apart", str(files), str(size)]
    done = subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for root, place in (("candidate", folder / candidate), ("working", folder)):
        assert found[root] == {name: file_digest(place / name) for name in found[root]}
    return set(found["candidate"]), set(found["working"]), found["left_out"]


@pytest.fixture
def project(tmp_path):
    """A working folder with a candidate's folder, data, and what is left out."""
    for name in ("kernels/data", "apart", ".cache", "data"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("kernels/data/a.bin", "data/b.bin", "apart/c.bin", ".cache/d.bin", "e.bin"):
        (tmp_path / name).write_bytes(name.encode() * 4)
    (tmp_path / "module.py").write_text("x = 1\n")
    return tmp_path


WAYS = {
    "open": ("open('data/b.bin').read()", "data/b.bin"),
    "open of bytes": ("open(b'data/b.bin').read()", "data/b.bin"),
    "os.open": ("os.open('data/b.bin', os.O_RDONLY)", "data/b.bin"),
    "an absolute path": ("open(here / 'data' / 'b.bin')", "data/b.bin"),
    "another working folder": ("os.chdir('data'); open('b.bin')", "data/b.bin"),
    "fromfile": ("np.fromfile('data/b.bin', np.uint8)", "data/b.bin"),
    "a memory map": ("np.memmap('data/b.bin', np.uint8)", "data/b.bin"),
    "an import": ("import module", "module.py"),
    "a link to a folder": ("os.symlink('data', 'link'); open('link/b.bin')", "link/b.bin"),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_python_s_is_seen(project, way):
    code, name = WAYS[way]
    assert read(project, code) == (set(), {name}, 0)


def test_a_module_that_was_compiled_before_is_its_source(project):
    assert Path(py_compile.compile(str(project / "module.py"))).parent == project / "__pycache__"
    assert read(project, "import module") == (set(), {"module.py"}, 0)


def test_the_candidate_s_folder_counts_first(project):
    code = "open('kernels/data/a.bin'); open('e.bin')"
    assert read(project, code) == ({"data/a.bin"}, {"e.bin"}, 0)


@pytest.mark.parametrize(
    "code",
    [
        "open('apart/c.bin')",
        "open('.cache/d.bin')",
        "open('made.bin', 'w').write('x'); open('made.bin').read()",
        "os.path.exists('e.bin'); os.stat('e.bin')",
        "open('/etc/hostname')",
        "import numpy.linalg",
        "\ntry:\n    open('none.bin')\nexcept OSError:\n    pass",
        "os.mkfifo('pipe'); os.open('pipe', os.O_RDONLY | os.O_NONBLOCK)",
    ],
)
def test_what_is_elsewhere_hidden_made_or_not_there_is_left_out(project, code):
    assert read(project, code) == (set(), set(), 0)


def test_what_was_read_and_then_written_counts(project):
    assert read(project, "open('e.bin').read(); open('e.bin', 'w').write('y')") == (set(), {"e.bin"}, 0)


def test_too_many_and_too_large_files_are_counted(project):
    code = "[open(name) for name in ('data/b.bin', 'e.bin', 'module.py')]"
    assert read(project, code, files=2) == (set(), {"data/b.bin", "e.bin"}, 1)
    assert read(project, code, size=46) == (set(), {"data/b.bin", "module.py"}, 1)


def test_a_name_that_is_no_text_breaks_nothing(project):
    path = os.fsencode(project) + b"/\xff.bin"
    Path(os.fsdecode(path)).write_bytes(b"x")
    words = [sys.executable, "-c", PROGRAM.format(code=f"open({path!r})"), "kernels", "apart", "9", "99"]
    done = subprocess.run(words, cwd=project, env=environment(), capture_output=True, text=True, check=False)
    assert list(json.loads(done.stdout)["working"]) == ["\\xff.bin"], done.stderr


def test_a_project_below_python_s_own_folder_is_seen(project, monkeypatch):
    monkeypatch.setattr(reading.sys, "base_prefix", str(project.parent))
    found = reading.Reading({"candidate": None, "working": project}, [])
    found._heard("open", (str(project / "e.bin"), "r", 0))
    assert set(found.found()["working"]) == {"e.bin"}
    found._heard("open", (None, None, None))
    found._heard("open", ())
