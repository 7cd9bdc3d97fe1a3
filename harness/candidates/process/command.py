"""A command line as a candidate for ops and language models; each call runs one process on a new request folder."""

from __future__ import annotations

import functools
import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.candidates.process.answer import BadAnswer, read
from harness.candidates.process.calls import BACKWARD, arguments, gradients
from harness.candidates.process.program import run
from harness.candidates.process.request import NotInProtocol, write, write_tensors
from harness.confinement import isolation
from harness.errors import UserError

SECONDS = "HARNESS_EXEC_SECONDS"
"""Environment variable: time limit of one call."""
SCRATCH = "HARNESS_SCRATCH"
"""Environment variable: the folder for temporary files, which the engine clears after each claim."""
DEFAULT_SECONDS = 60.0


def words(command: str) -> list[str]:
    """Split a command line into words as a POSIX shell does, without running a shell.

    Raises: UserError for an empty line or an unclosed quote.
    """
    try:
        found = shlex.split(command)
    except ValueError as problem:
        raise UserError(f"--candidate exec:{command}: {problem}; expected a command line as in a shell") from None
    if not found:
        raise UserError("--candidate exec: found no command; expected exec:PROGRAM or 'exec:PROGRAM ARGUMENT...'")
    return found


def open(command: str, folder: str | Path) -> Command:
    """The candidate for a command line; its paths are relative to `folder`.

    Raises: UserError if no program has the first word's name, or the environment's time limit is not a number.
    """
    split = words(command)
    name, where = split[0], Path(folder)
    found = shutil.which(str(where / name) if "/" in name else name)
    if found is None:
        raise UserError(f"--candidate exec:{command}: found no program {name}; expected an executable file")
    text = os.environ.get(SECONDS, str(DEFAULT_SECONDS))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UserError(f"{SECONDS}: found {text!r}, expected a positive number of seconds")
    isolation()  # a mistake in its setting is told now
    return Command(split, where.resolve(), seconds)


class Command:
    """A program's ops, by the names in `calls.ops()`, and `load` for a language model."""

    def __init__(self, words: Sequence[str], folder: Path, seconds: float) -> None:
        self._words = list(words)
        self._folder = folder
        self._seconds = seconds

    def __getattr__(self, name: str) -> Callable[..., Any]:
        names = None if name.startswith("_") else arguments(name)
        if names is None:
            raise AttributeError(name)
        return functools.partial(_op, self, name, names)

    @functools.cached_property
    def _room(self) -> Path:
        """The folder of the requests and of the program's own temporary files; where it can be confined, to this."""
        self._kept = tempfile.TemporaryDirectory(prefix="harness-exec-", dir=os.environ.get(SCRATCH))
        return Path(self._kept.name)

    def load(self, config: Mapping[str, Any], weights: Mapping[str, Any], *, dtype: str, device: str) -> Model:
        """A language model; each later call passes config and weights to the program. Does not run it."""
        return Model(self, config, weights, dtype, device)

    def ask(
        self,
        call: str,
        given: Mapping[str, Any],
        expected: Sequence[str],
        *,
        dtype: str,
        device: str,
        files: Sequence[Path] = (),
    ) -> list[np.ndarray]:
        """Write a request, run the program, read its answer. `files` are linked into the request folder.

        Raises: as `program.run` and `answer.read`.
        """
        with tempfile.TemporaryDirectory(prefix="request-", dir=self._room) as name:
            folder = Path(name)
            write(folder, call, given, dtype=dtype, device=device)
            for path in files:
                _link(path, folder / path.name)
            run(self._words, folder, room=self._room, folder=self._folder, seconds=self._seconds, call=call)
            try:
                return read(folder, expected)
            except BadAnswer as problem:
                shown = " ".join(self._words)
                raise BadAnswer(f"`{shown}` exited with 0 on `{call}`, but {problem}") from None


def _op(command: Command, call: str, names: list[str], *args: Any, dtype: str, device: str, **options: Any) -> Any:
    unknown = sorted(set(options) - set(names))
    if unknown or len(args) > len(names):
        extra = f"argument {unknown[0]!r}" if unknown else f"{len(args)} positional arguments"
        raise NotInProtocol(f"the exec protocol has no `{call}` with {extra}; see docs/exec.md")
    given = dict(zip(names, args, strict=False)) | options
    if not call.endswith(BACKWARD):
        return command.ask(call, given, ["out"], dtype=dtype, device=device)[0]
    wanted = [name for name in gradients(call.removesuffix(BACKWARD)) if given.get(name) is not None]
    return tuple(command.ask(call, given, [f"d{name}" for name in wanted], dtype=dtype, device=device))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


class Model:
    """A language model with `logits`; each request folder is also a Hugging Face checkpoint folder."""

    def __init__(
        self, command: Command, config: Mapping[str, Any], weights: Mapping[str, Any], dtype: str, device: str
    ) -> None:
        self._command = command
        self._dtype, self._device = dtype, device
        self._kept = tempfile.TemporaryDirectory(prefix="harness-exec-", dir=os.environ.get(SCRATCH))
        folder = Path(self._kept.name)
        self._files = [folder / "config.json", folder / "model.safetensors"]
        self._files[0].write_text(json.dumps(dict(config)), encoding="utf-8")
        write_tensors(self._files[1], weights, dtype)

    def logits(self, tokens: np.ndarray) -> np.ndarray:
        """Shapes: tokens (B, T) -> (B, T, V)."""
        context = {"dtype": self._dtype, "device": self._device}
        return self._command.ask("logits", {"tokens": tokens}, ["out"], files=self._files, **context)[0]
