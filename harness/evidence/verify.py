"""Is a sealed run what it says? Every file hashed again, every claim judged again, every number computed again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.evidence import manifest, store, summary
from harness.judging.judge import judge

JUDGED = ("reason", "measurements", "violated", "mutants")


def check(folder: Path) -> list[str]:
    """Every fault of a sealed run, one line each."""
    faults = manifest.check(folder)
    if faults:
        return faults  # files that were tampered with cannot be judged again
    try:
        for claim, path in store.claims(folder):
            faults += _judge_again(claim, path)
        body = store.read_json(folder / "run.json")
        now = summary.again(folder, body)
    except (UserError, KeyError, TypeError, ValueError) as problem:
        return [*faults, f"{folder}: cannot be judged again: {type(problem).__name__}: {problem}"]
    return faults + [
        f"{folder / 'run.json'}: {key} differ from what the claims give" for key in now if now[key] != body[key]
    ]


def _judge_again(claim: str, folder: Path) -> list[str]:
    result: dict[str, Any] = store.read_json(folder / "result.json")
    if not store.whole(folder):
        return [f"{folder}: its files differ from its own {store.SEAL}"]
    read = store.entry(folder)
    if read.digest != result["claim_digest"] or read.id != claim:
        return [f"{folder / 'claim.yaml'}: is not the claim that result.json was judged by"]
    judgement = judge(read.source, result["record"])
    now = {"verdict": judgement.verdict.value} | {key: getattr(judgement, key) for key in JUDGED}
    return [
        f"{folder / 'result.json'}: {key} is {result[key]!r}, judged again {now[key]!r}"
        for key in now
        if now[key] != result[key]
    ]


def verified(paths: Sequence[str]) -> list[Path]:
    """The sealed runs that the paths mean.

    Raises: UserError with the first fault if any of them does not verify.
    """
    folders = store.sealed_runs(map(Path, paths))
    for folder in folders:
        faults = check(folder)
        if faults:
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            raise UserError(f"{faults[0]}{more}; only verified evidence is reported", code=1)
    return folders
