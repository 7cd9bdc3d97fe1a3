"""Run llama.cpp (two builds) in a child process, so that a crash does not end this one."""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

ENGINES = ("cyllama", "xllamacpp")
SECONDS = 60.0
"""Time limit of one request, loading included."""
KEPT_LINES = 12


class NotInstalled(Exception):
    """The engine's package is absent. `unsupported` makes the claim UNVERIFIED."""

    unsupported = True


@dataclass(frozen=True)
class Answer:
    """The result of a request: whether llama.cpp loaded the file, its error if not, and the requested outputs."""

    ok: bool
    refusal: str
    """The engine's last error lines, or the signal if the process died."""
    log: tuple[str, ...]
    build: str
    logits: tuple[np.ndarray, ...] = ()
    """Per token list (T, V); with xllamacpp log-probabilities (1, V) after the last token."""
    ids: tuple[tuple[int, ...], ...] = ()
    pieces: tuple[str, ...] = ()
    generated: tuple[tuple[int, ...], ...] = ()
    speeds: tuple[dict[str, float], ...] = ()
    """Per speed run: prefill and decode tokens per second, and the number of generated tokens (`made`)."""


@dataclass(frozen=True)
class Request:
    """The outputs to compute after one load."""

    tokens: Sequence[Sequence[int]] = ()
    texts: Sequence[str] = ()
    special: bool = True
    """Whether the spelling of a special token inside a text becomes that token."""
    lists: Sequence[Sequence[int]] = ()
    """Lists of ids to decode to text."""
    prompts: Sequence[Sequence[int]] = ()
    """Lists of ids to continue greedily, by `new_tokens` each, or up to an end token."""
    new_tokens: int = 0
    speed_runs: int = 0
    speed_prompt: int = 0
    flash_attention: bool = False
    kv: str = "f32"
    threads: int = 1
    extra: dict[str, Any] = field(default_factory=dict)


def ask(path: str | Path, request: Request = Request(), *, engine: str = "cyllama") -> Answer:
    """Load a file and answer the request; a file that does not load gives an Answer with ok False, no exception.

    Raises: NotInstalled if the engine's package is absent; ValueError for an unknown engine.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine: found {engine!r}, expected one of {', '.join(ENGINES)}")
    if find_spec(engine) is None:
        raise NotInstalled(f"{engine} is not installed; pip install harness[interop]")
    with tempfile.TemporaryDirectory() as folder:
        job = {"path": str(path), "folder": folder, "request": request.__dict__}
        (Path(folder) / "job.json").write_text(json.dumps(job, default=_plain), encoding="utf-8")
        died = _child(engine).run(folder)
        if engine == "xllamacpp":
            _child(engine).close()  # a server that failed to start leaves threads that block the next one
        found = Path(folder) / "answer.json"
        if died is None and found.is_file():
            return _answer(json.loads(found.read_text(encoding="utf-8")), Path(folder))
        log = _lines(Path(folder) / "log.txt")
        return Answer(False, f"{died or 'no answer'}; {' '.join(log[-2:])}".strip("; "), tuple(log), "")


def build(engine: str = "cyllama") -> str:
    """The package's version and llama.cpp's build in it. Raises: NotInstalled."""
    from importlib.metadata import version

    if find_spec(engine) is None:
        raise NotInstalled(f"{engine} is not installed; pip install harness[interop]")
    spec = find_spec(engine)
    llama_cpp = ""
    if spec is not None and spec.origin is not None:
        about = Path(spec.origin).with_name("build_config.json")
        if about.is_file():
            versions = json.loads(about.read_text(encoding="utf-8")).get("versions", {})
            llama_cpp = versions.get("llama_cpp_version", "")
    return f"{engine} {version(engine)}" + (f" (llama.cpp {llama_cpp})" if llama_cpp else "")


class _Child:
    """A child process that serves requests in order; the next request starts a new one if it has died."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, folder: str) -> str | None:
        """None if the job is done, else one line that says how the process ended."""
        process = self._alive()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(folder.encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            return self._ended()
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if select.select([process.stdout], [], [], 0.5)[0]:
                return None if process.stdout.readline().strip() == b"done" else self._ended()
        process.kill()
        self._ended()
        return f"no answer within {SECONDS:.0f} s"

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _alive(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "harness.consumers.llama_cpp_child", self.engine],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=Path(__file__).resolve().parents[2],
                env={**os.environ, "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "")},
            )
        return self.process

    def _ended(self) -> str:
        assert self.process is not None
        code = self.process.wait()
        self.process = None
        return f"llama.cpp's process ended by signal {-code}" if code < 0 else f"llama.cpp's process ended with {code}"


_CHILDREN: dict[tuple[int, str], _Child] = {}


def _child(engine: str) -> _Child:
    """This process's child, found by pid, because a forked process inherits its parent's children."""
    key = (os.getpid(), engine)
    if key not in _CHILDREN:
        _CHILDREN[key] = _Child(engine)
        atexit.register(_CHILDREN[key].close)
    return _CHILDREN[key]


def _answer(found: dict[str, Any], folder: Path) -> Answer:
    logits = tuple(np.load(folder / f"logits_{i}.npy") for i in range(found["logits"]))
    return Answer(
        ok=found["ok"],
        refusal=found["refusal"],
        log=tuple(found["log"]),
        build=found["build"],
        logits=logits,
        ids=tuple(tuple(ids) for ids in found["ids"]),
        pieces=tuple(found["pieces"]),
        generated=tuple(tuple(ids) for ids in found["generated"]),
        speeds=tuple(found["speeds"]),
    )


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    return path.read_text(encoding="utf-8", errors="replace").splitlines()[-KEPT_LINES:]


def _plain(value: Any) -> Any:
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"request: found {type(value).__name__}, expected numbers, strings and lists")
