"""Kill `ci/gpu.sh` at random seconds, and look whether a finished part was lost.

    python -m tests.support.killing WHEELHOUSE OUT --times 10 --most 90 --device cpu

Each time the same command is started and killed with everything it started; the last start runs to its end.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.repository import ROOT


def clean(folder: Path) -> dict[str, str]:
    """An environment without PYTHONPATH or pip settings, in which pip may ask no registry."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**kept, "HOME": str(folder), "PYTHON": sys.executable, "PIP_NO_INDEX": "1", "OMP_NUM_THREADS": "1"}


def killed(command: list[str], environment: dict[str, str], when: Callable[[], bool], log: Path) -> int | None:
    """Start a command and kill its whole session once `when()` holds; its exit code, None if it was killed."""
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=stream, stderr=stream, start_new_session=True
        )
        try:
            while process.poll() is None and not when():
                time.sleep(0.02)
            return process.poll()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def finished(out: Path) -> dict[str, str]:
    """Part -> what identifies its finished work: its sealed runs' manifests, or the end of its command."""
    found = {}
    for folder in sorted((out / "parts").glob("*")):
        manifests = [path for path in sorted(folder.glob("*/manifest.json")) if ".partial" not in path.parent.name]
        if manifests:
            found[folder.name] = hashlib.sha256(b"".join(path.read_bytes() for path in manifests)).hexdigest()
        elif (folder / "attempts.json").is_file():
            last = json.loads((folder / "attempts.json").read_text())[-1]
            if last["state"] == "finished":
                found[folder.name] = json.dumps(last)
    return found


def lost(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Parts that were finished and are no longer, or were run again."""
    return [part for part, what in before.items() if after.get(part) != what]


def main() -> int:
    """Kill, look, start again; 1 if a finished part was lost."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("wheelhouse", type=Path)
    ask.add_argument("out", type=Path)
    ask.add_argument("--times", type=int, default=10)
    ask.add_argument("--most", type=float, default=90.0, help="seconds after which it is killed at the latest")
    ask.add_argument("--device", default="cpu")
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--only", default="", help="names of parts, separated by commas")
    asked = ask.parse_args()
    draw = random.Random(asked.seed)
    command = [str(ROOT / "ci" / "gpu.sh"), str(asked.wheelhouse), str(asked.out), "--device", asked.device]
    command += ["--only", asked.only] if asked.only else []
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    log = asked.out.with_name(asked.out.name + ".log")
    environment, gone, before = clean(asked.out.parent), [], {}
    for number in range(asked.times + 1):
        ends = time.monotonic() + (draw.uniform(0.5, asked.most) if number < asked.times else float("inf"))
        began = time.monotonic()
        code = killed(command, environment, lambda ends=ends: time.monotonic() > ends, log)
        after = finished(asked.out)
        gone += lost(before, after)
        seconds = time.monotonic() - began
        how = f"exit code {code}" if code is not None else "killed"
        print(f"{number + 1}: {how} after {seconds:.0f} s; finished: {', '.join(after) or 'none'}", flush=True)
        before = after
    print(f"lost: {', '.join(gone) or 'none'}")
    return 1 if gone else 0


if __name__ == "__main__":
    sys.exit(main())
