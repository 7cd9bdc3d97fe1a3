"""`harness verify`: hash every file again, judge every claim again, compute every number again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.evidence import manifest, store, summary
from harness.judging.judge import judge

JUDGED = ("reason", "measurements", "violated", "mutants")


def run(paths: list[str]) -> int:
    """Check runs; prints one line per fault and one per run; returns the exit code."""
    faulty = False
    for folder in store.sealed_runs(map(Path, paths)):
        faults = check(folder)
        for fault in faults:
            print(fault)
        if faults:
            print(f"{folder}: NOT verified, {len(faults)} fault{'s' if len(faults) > 1 else ''}")
        else:
            body = store.read_json(folder / "run.json")
            counts = ", ".join(f"{n} {verdict}" for verdict, n in body["counts"].items())
            files = len(store.read_json(folder / manifest.NAME)["files"])
            print(f"{folder}: verified, {files} files, {len(body['claims'])} claims judged again: {counts}")
        faulty |= bool(faults)
    return 1 if faulty else 0


def check(folder: Path) -> list[str]:
    """Every fault of a sealed run, one line each."""
    faults = manifest.check(folder)
    if faults:
        return faults  # what the bytes no longer say cannot be judged
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
