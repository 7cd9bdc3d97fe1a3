"""Change a run of what ships, or what ships, and ask the gate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.commands import main
from harness.evidence import manifest, store
from tests.support.second_host import reseal


def run_of(home: Path) -> Path:
    return next((home / "evidence").iterdir())


def gate(*words: str) -> int:
    return main.main(["gate", "evidence", "--target", "doubling", *words])


def body(home: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the run's run.json and seal it again."""
    found = store.read_json(run_of(home) / "run.json")
    change(found)
    reseal(run_of(home), found)


def read(home: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what the run's claims say that they read, and seal them again."""
    for _, claim in store.claims(run_of(home)):
        found = store.read_json(claim / "result.json")
        change(found)
        store.write_json(claim / "result.json", found)
        store.write_json(claim / store.SEAL, {"files": manifest.digests(claim, skip=(store.SEAL,))})
    manifest.write(run_of(home))


def edit(path: Path, more: str = "# edited\n") -> None:
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
