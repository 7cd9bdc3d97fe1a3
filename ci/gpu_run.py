"""Run the parts of `ci/gpu.sh` in their order; what was finished before is kept, what was cut goes on.

    python ci/gpu_run.py OUT [--wheelhouse DIR] [--device D] [--quick] [--parts FILE] [--only NAMES]

Exit codes: 0 every part is finished and nothing is red, 1 a claim is red, 2 a mistake, 3 a part is unfinished, or none
of its claims survived.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gpu_parts
import gpu_table
import psutil
from gpu_parts import ROOT, Part

PLAN, LOCK, PARTS = "plan.json", "lock", "parts"


class Mistake(Exception):
    """One line for the user."""


def main(words: list[str] | None = None) -> int:
    """Run what is not finished yet, keep the table up to date, print it; returns the exit code."""
    asked = _asked(words)
    out = asked.out.resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        out.mkdir(parents=True, exist_ok=True)
        device = found_device(asked.device)
        agree(out, {"device": device, "quick": asked.quick})
        with held(out / LOCK) as lock:
            os.environ["HARNESS_CACHE"] = str(out / "cache")
            os.environ["WHEELHOUSE"] = str(asked.wheelhouse.resolve())
            kind = device.partition(":")[0]
            seconds = gpu_parts.whole_seconds(kind, quick=asked.quick)
            return run(out, chosen(_parts(asked, kind), asked.only), device, seconds, lock)
    except Mistake as mistake:
        print(f"gpu.sh: {mistake}", file=sys.stderr)
        return 2


def _asked(words: list[str] | None) -> argparse.Namespace:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("out", type=Path)
    ask.add_argument("--wheelhouse", type=Path, default=ROOT / "wheelhouse")
    ask.add_argument("--device", default="auto")
    ask.add_argument("--quick", action="store_true")
    ask.add_argument("--parts", type=Path, help="a YAML list of parts of your own instead of the built-in ones")
    ask.add_argument("--only", default="", help="names of parts, separated by commas")
    return ask.parse_args(words)


def _parts(asked: argparse.Namespace, kind: str) -> list[Part]:
    """The built-in parts, or those of the file that was named."""
    if asked.parts is None:
        return gpu_parts.parts(kind, quick=asked.quick)
    try:
        return gpu_parts.own(asked.parts)
    except (ValueError, OSError) as problem:
        raise Mistake(str(problem)) from None


def chosen(parts: list[Part], only: str) -> list[Part]:
    """The parts named in `only`, or all of them."""
    names = [part.name for part in parts]
    wanted = only.split(",") if only else names
    if unknown := sorted(set(wanted) - set(names)):
        raise Mistake(f"--only {only}: found no part {unknown[0]!r}, expected some of {', '.join(names)}")
    return [part for part in parts if part.name in wanted]


def found_device(asked: str) -> str:
    """`auto` becomes the accelerator that torch sees, else `cpu`."""
    if asked != "auto":
        return asked
    import torch

    return torch.accelerator.current_accelerator().type if torch.accelerator.is_available() else "cpu"


def agree(out: Path, plan: dict[str, Any]) -> None:
    """Refuse a folder in which another plan was begun: its finished parts would be taken for this plan's."""
    before = gpu_table.read(out / PLAN)
    if before not in (None, plan):
        raise Mistake(f"{out}: found parts run with {before}, expected {plan}; name another folder OUT")
    gpu_table.replace(out / PLAN, json.dumps(plan) + "\n")


@contextlib.contextmanager
def held(path: Path) -> Any:
    """A lock that this process and the `harness run` it starts hold, so that two never write to one folder."""
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Mistake(f"{path.parent}: another run is at work there; wait until it has ended") from None
        yield stream.fileno()


def run(out: Path, parts: list[Part], device: str, seconds: float, lock: int) -> int:
    """Run each part that is not finished, in its share of the seconds; returns the exit code."""
    ends = time.monotonic() + seconds
    facts = {"began": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), **facts_of(device)}
    rows: list[dict[str, Any]] = []

    def tell() -> str:
        nonlocal rows
        rows = [gpu_table.row(part.name, part.title, out / PARTS / part.name) for part in parts]
        return gpu_table.write(out, rows, facts)

    try:
        for at, part in enumerate(parts):
            tell()
            folder = out / PARTS / part.name
            if finished(part, folder):
                print(f"{part.name}: finished before, kept", flush=True)
                continue
            given = gpu_parts.limit(part, parts[at + 1 :], ends - time.monotonic())
            run_part(part, folder, device, given, lock)
            tell()
            print(f"{part.name}: {said(rows[at])}", flush=True)
    finally:
        print(tell(), flush=True)
    return outcome(rows)


def outcome(rows: list[dict[str, Any]]) -> int:
    """The exit code of all rows."""
    if any(row["red"] or row["state"] == "failed" for row in rows):
        return 1
    whole = all(row["state"] == "finished" or (row["state"] == "sealed" and survived(row)) for row in rows)
    return 0 if whole else 3


def survived(row: dict[str, Any]) -> bool:
    """Whether a claim of a part survived; a part without one shows nothing."""
    return any(verdict in row["verdicts"] for verdict in ("PARTIAL", "DISCHARGED"))


def said(row: dict[str, Any]) -> str:
    counts = ", ".join(f"{count} {verdict}" for verdict, count in row["verdicts"].items())
    return f"{row['state']}, {row['seconds']:.0f} s{': ' if counts else ''}{counts} {row['line']}".rstrip()


def finished(part: Part, folder: Path) -> bool:
    """Whether a part's evidence is sealed and verifies, or its command ended."""
    if part.command:
        attempts = gpu_table.read(folder / gpu_table.ATTEMPTS) or []
        return bool(attempts) and attempts[-1]["state"] == "finished"
    found = gpu_table.newest(folder)
    return found is not None and not found.name.endswith(gpu_table.PARTIAL) and not faults(found)


def faults(run: Path) -> list[str]:
    """What `harness verify` finds wrong with a sealed run."""
    from harness.evidence import verify

    return verify.check(run)


def run_part(part: Part, folder: Path, device: str, seconds: float, lock: int) -> None:
    """Start a part, or go on with its unfinished run; end it at its limit; note how it ended."""
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    partial = unfinished(folder)
    code = started(part.words(device, folder, partial), part, folder, seconds, lock)
    if code == 2 and partial is not None:  # what was begun cannot go on: other code, another candidate
        partial.rename(partial.with_name(f"{partial.name}.refused"))
        left = seconds - (time.monotonic() - began)
        code = started(part.words(device, folder), part, folder, left, lock)
    note(part, folder, code, time.monotonic() - began)


def note(part: Part, folder: Path, code: int | None, seconds: float) -> None:
    """Add one attempt to the part's list: its exit code (None: cut by its limit), state, seconds and last line."""
    line = "" if code in (0, 1, 3) and not part.command else last_line(folder / "output.txt")
    state = "cut" if code is None else "finished" if code == 0 else "failed"
    if not part.command and code in (0, 1, 3):
        run = gpu_table.newest(folder)
        wrong = faults(run) if run is not None else ["no evidence"]
        state, line = ("failed", wrong[0]) if wrong else ("sealed", "")
    attempts = gpu_table.read(folder / gpu_table.ATTEMPTS) or []
    attempts.append({"code": code, "state": state, "seconds": round(seconds, 1), "line": line})
    gpu_table.replace(folder / gpu_table.ATTEMPTS, json.dumps(attempts, indent=1) + "\n")


def unfinished(folder: Path) -> Path | None:
    """The newest unfinished run of a part; one without run.json holds nothing and is removed."""
    found = sorted(folder.glob(f"*{gpu_table.PARTIAL}"))
    for run in found:
        if not (run / "run.json").is_file():
            shutil.rmtree(run)
    return next((run for run in reversed(found) if run.is_dir()), None)


def started(words: list[str], part: Part, folder: Path, seconds: float, lock: int) -> int | None:
    """The exit code of a command after it has ended, None if it was ended at its limit; its output is kept."""
    with (folder / "output.txt").open("ab") as log:
        process = subprocess.Popen(
            words, cwd=ROOT, env={**os.environ, **part.environment}, stdout=log, stderr=log, pass_fds=(lock,)
        )
        try:
            return process.wait(max(seconds, 0.1))
        except subprocess.TimeoutExpired:
            return None
        finally:
            end(process)


def end(process: subprocess.Popen) -> None:
    """Kill a process and its children, if it has not ended."""
    if process.poll() is None:
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    child.kill()
        process.kill()
        process.wait()


def last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip() and not line.startswith("|")), "")[:300]


def facts_of(device: str) -> dict[str, Any]:
    """Device and versions of this machine."""
    import torch

    name = torch.cuda.get_device_name() if device.startswith("cuda") and torch.cuda.is_available() else device
    cuda = torch.version.cuda or torch.version.hip
    return {"device": name, "torch": torch.__version__, "cuda": cuda, "python": platform.python_version()}


if __name__ == "__main__":
    sys.exit(main())
