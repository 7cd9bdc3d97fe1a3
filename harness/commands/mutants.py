"""`harness mutants`: which mutant is killed by which claim and limit, and by what margin."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from harness.evidence import manifest, store
from harness.evidence.summary import read_results
from harness.report.terminal import alive, print_json, print_mutants
from harness.subject import candidate


def run(paths: list[str], *, as_json: bool, workers: int | None) -> int:
    """Print the table of an evidence folder, or of contracts (their baselines stand in as candidate).

    Exit 1 if a mutant survived, 3 if there was none to see.
    """
    if not paths or any(_is_evidence(Path(path)) for path in paths):
        folders = store.sealed_runs(map(Path, paths or ["evidence"]))
        results = {name: result for folder in folders for name, result in read_results(folder).items()}
    else:
        results = _fresh(paths, workers)
    rows = [row for claim, result in sorted(results.items()) for row in _rows(claim, result)]
    if as_json:
        print_json({"mutants": rows})
    else:
        print_mutants(rows)
    if not rows:
        return 3
    return 1 if any(alive(row) for row in rows) else 0


def _rows(claim: str, result: dict[str, Any]) -> list[dict[str, Any]]:
    keys = ("name", "free", "status", "killed", "by", "margin", "weak", "kills", "reason")
    return [{"claim": claim, **{key: mutant.get(key) for key in keys}} for mutant in result["mutants"]]


def _is_evidence(path: Path) -> bool:
    if not path.is_dir():
        return False
    return (path / manifest.NAME).is_file() or any((p / "run.json").is_file() for p in path.iterdir())


def _fresh(paths: list[str], workers: int | None) -> dict[str, dict[str, Any]]:
    """Run the contracts with each claim's baseline as its own candidate, in evidence that is not kept."""
    import contextlib
    import io

    from harness.commands.run import Options, run

    with tempfile.TemporaryDirectory(prefix="harness-mutants-") as folder:
        with contextlib.redirect_stdout(io.StringIO()):
            run(Options(paths=paths, candidate=candidate.BASELINE, evidence=folder, workers=workers))
        return read_results(store.sealed(Path(folder)))
