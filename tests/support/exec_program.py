"""Programs for `--candidate exec:COMMAND`, as text that a test completes, and a call of one."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from harness.subject import candidate
from tests.support.cpu_boundary import boundary

WRITE = """
import sys, os, struct, json
from pathlib import Path
folder = Path(sys.argv[-1])
out = folder / "outputs.safetensors"
request = json.loads((folder / "request.json").read_text())
source = (folder / "inputs.safetensors").read_bytes()
length, = struct.unpack("<Q", source[:8])
entry = json.loads(source[8:8 + length])["x"]
def write(tensors, data, size=None):
    header = json.dumps(tensors).encode()
    out.write_bytes(struct.pack("<Q", len(header) if size is None else size) + header + data)
begin, end = entry["data_offsets"]
x = source[8 + length + begin:8 + length + end]
right = {"dtype": entry["dtype"], "shape": entry["shape"], "data_offsets": [0, len(x)]}
"""


def program(folder: Path, source: str, name: str = "program.py") -> str:
    """A Python program as a user would name it on the command line."""
    (folder / name).write_text(source)
    return f"exec:{sys.executable} {name}"


def packed(header: str, data: bytes) -> bytes:
    """A safetensors file, by hand."""
    return len(header).to_bytes(8, "little") + header.encode() + data


def relu(spec: str, folder: Path, dtype: str = "float32") -> np.ndarray:
    """The program's answer to a call of relu with ones of shape (2, 3)."""
    out: np.ndarray = boundary(candidate.load(spec, folder), dtype).relu(np.ones((2, 3), np.float32))
    return out


SPAWNS = """
import subprocess, sys, time
from pathlib import Path
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
Path("child").write_text(str(child.pid))
"""
