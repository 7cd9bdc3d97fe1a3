"""Verify a sealed run: hash every file again, check it against its schema, and judge every claim again."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from harness.errors import UserError
from harness.evidence import manifest, reconcile, shape, store, summary, tree
from harness.evidence.body import SCHEMA, RunBody
from harness.judging.cause import root_cause_class
from harness.judging.judge import judge
from harness.judging.result import Result


def check(folder: Path) -> list[str]:
    """Every fault of a sealed run, one line each."""
    faults = [*tree.faults(folder), *manifest.check(folder)]
    if faults:
        return faults  # files that were tampered with cannot be judged again
    try:
        body: RunBody = store.read_json(folder / "run.json")
        if body["schema"] != SCHEMA:
            wrong = f"found schema {body['schema']!r}, expected {SCHEMA}; another version of Harness made it, run again"
            return [f"{folder / 'run.json'}: {wrong}"]
        faults = shape.faults(folder)
        if faults:
            return faults  # files that violate their schema cannot be judged again
        faults = reconcile.faults(folder, body)
        if faults:
            return faults  # parts that contradict each other say nothing together
        for claim, path in store.claims(folder):
            faults += _judge_again(claim, path)
        now = summary.recomputed(folder, body)
    except (UserError, KeyError, TypeError, ValueError, AttributeError, OSError, RecursionError) as problem:
        return [*faults, f"{folder}: cannot be judged again: {type(problem).__name__}: {problem}"]
    pairs = {
        "counts": (body["counts"], now["counts"]),
        "claims": (body["claims"], now["claims"]),
        "targets": (body["targets"], now["targets"]),
    }
    return faults + [
        f"{folder / 'run.json'}: {key} differ from what the claims give"
        for key, (held, again) in pairs.items()
        if held != again
    ]


def _judge_again(claim: str, folder: Path) -> list[str]:
    result: Result = store.read_json(folder / "result.json")
    if not store.whole(folder):
        return [f"{folder}: its files differ from its own {store.SEAL}"]
    read = store.entry(folder)
    if read.digest != result["claim_digest"] or read.id != claim:
        return [f"{folder / 'claim.yaml'}: is not the claim that result.json was judged by"]
    again = judge(read.source, result["record"])
    pairs: dict[str, tuple[object, object]] = {
        "verdict": (result["verdict"], again.verdict),
        "reason": (result["reason"], again.reason),
        "cause": (result["cause"], again.cause),
        "root_cause_class": (result["root_cause_class"], root_cause_class(again.cause)),
        "measurements": (result["measurements"], again.measurements),
        "violated": (result["violated"], again.violated),
        "mutants": (result["mutants"], again.mutants),
    }
    return [
        f"{folder / 'result.json'}: {key} is {_shown(held)}, judged again {_shown(now)}"
        for key, (held, now) in pairs.items()
        if held != now
    ]


def _shown(value: object) -> str:
    return repr(value.value if isinstance(value, StrEnum) else value)


def verified(paths: Sequence[str]) -> list[Path]:
    """Find and verify the sealed runs at the paths.

    Raises: UserError with the first fault of the first run that fails verification.
    """
    folders = store.sealed_runs(map(Path, paths))
    for folder in folders:
        faults = check(folder)
        if faults:
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            raise UserError(f"{faults[0]}{more}; only verified evidence is reported", code=1)
    return folders
