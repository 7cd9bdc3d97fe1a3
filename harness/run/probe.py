"""Find the device, the versions and the candidate's identity, once per run in a child process; build weights."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import tempfile
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from harness.confinement import isolation
from harness.errors import UserError
from harness.evidence.body import Host
from harness.judging.cause import Cause
from harness.judging.record import shortened
from harness.run.schedule import THREADS, answer
from harness.subject import candidate
from harness.subject.device import find
from harness.subject.device_facts import facts
from harness.subject.identity import identity
from harness.subject.isolation.link import Link
from harness.subject.isolation.server import Setting
from harness.subject.torch_settings import settle
from harness.trial.overheard import overheard

PACKAGES = (
    *("numpy", "torch", "transformers", "tokenizers", "safetensors", "hypothesis"),
    *("gguf", "peft", "cyllama", "xllamacpp", "triton"),
)


@dataclass(frozen=True)
class Lack:
    """What is missing, as a sentence and as a cause."""

    reason: str
    cause: Cause


@dataclass(frozen=True)
class Weights:
    """The folder of a model's weights, or why there is none."""

    folder: str | None = None
    lack: Lack | None = None

    @classmethod
    def answered(cls, sent: dict[str, Any]) -> Weights:
        """What `send_weights` sent.

        Raises: KeyError, TypeError or ValueError for anything else.
        """
        if sent["folder"] is not None:
            return cls(folder=str(sent["folder"]))
        return cls(lack=Lack(str(sent["reason"]), Cause(sent["cause"])))


def send_host(device: str, spec: str, folder: str, isolate: bool, line: Connection) -> None:
    """Send `host` for the requested device and the candidate, or the user's `mistake` in one line."""
    try:
        answer(line, {"host": found(device, spec, folder, isolate=isolate)})
    except UserError as problem:
        answer(line, {"mistake": str(problem)})
    except Exception as problem:  # noqa: BLE001  (a candidate that cannot be imported is the user's mistake)
        answer(line, {"mistake": f"--candidate {spec}: cannot be imported: {_where(problem)}"})


def send_weights(reference: str, line: Connection) -> None:
    """Build a small model with its builder `module:function`; send its folder, or reason and cause of a lack."""
    from harness.subject import binding

    os.dup2(2, 1)  # send progress text to stderr
    for name in THREADS:
        os.environ.pop(name, None)  # claims use one thread each, training uses all cores
    try:
        answer(line, {"folder": str(binding.attribute(reference)())})
    except ModuleNotFoundError as missing:
        reason = f"weights {reference}: dependency `{missing.name}` is not installed"
        answer(line, {"folder": None, "reason": reason, "cause": Cause.DEPENDENCY_MISSING})
    except Exception as problem:  # noqa: BLE001  (claims on these weights are then UNVERIFIED, the others run)
        reason = shortened(f"weights {reference}: {type(problem).__name__}: {problem}")
        answer(line, {"folder": None, "reason": reason, "cause": Cause.WEIGHTS_MISSING})


def found(device: str, spec: str, folder: str, *, isolate: bool = False) -> Host:
    """The device that was found (or why it is missing), the environment, the identity of the candidate.

    Raises: UserError for an unknown device or candidate.
    """
    there = find(device)
    settle(1)  # as every claim begins
    about = None if there.missing else facts(there.device)
    apart = isolate and candidate.may_isolate(spec)
    with overheard():
        _load_apart(spec, folder, there.device) if apart else candidate.load(spec, folder)
    return {
        "device_asked": device,
        "device": there.device,
        "device_missing": there.missing,
        "candidate": identity(spec, folder),
        "host": {
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "cores": os.cpu_count(),
            "blas": _blas(),
            "device": about,
        },
        "versions": {name: version for name in PACKAGES if (version := _version(name))} | _llama_cpp(),
        "isolation": isolation() if apart or candidate.is_program(spec) else "none",
    }


def _load_apart(spec: str, folder: str, device: str) -> None:
    """Load an isolated candidate where a claim would: what its import does must not touch this process either."""
    with tempfile.TemporaryDirectory(prefix="harness-") as room:
        link = Link()
        link.begin(Setting(1, device, room, {}, []), log=2)
        link.ask("load", spec, folder)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _llama_cpp() -> dict[str, str]:
    """The installed packages of llama.cpp, each with its llama.cpp build if the package reports one."""
    builds = [
        str(importlib.import_module("harness.consumers.llama_cpp").build(engine))
        for engine in ("cyllama", "xllamacpp")
        if _version(engine) is not None
    ]
    return {"llama.cpp": ", ".join(builds)} if builds else {}


def _blas() -> str:
    import numpy as np

    config: Any = np.show_config(mode="dicts")
    blas = config.get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', '?')} {blas.get('version', '?')}"


def _where(problem: BaseException) -> str:
    """The exception's type and message and the file and line that raised it, as one line."""
    trace = problem.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    if isinstance(problem, SyntaxError):
        return f"SyntaxError: {problem.msg} ({problem.filename}:{problem.lineno})"
    place = f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})" if trace else ""
    return shortened(f"{type(problem).__name__}: {problem}".replace("\n", " ")) + place
