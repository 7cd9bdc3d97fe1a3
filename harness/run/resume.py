"""Complete a killed run: read its options, and find its claims that need not run again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from harness.errors import UserError
from harness.evidence import store
from harness.evidence.body import Begun, Running
from harness.judging.cause import AGAIN
from harness.judging.verdict import Verdict
from harness.run.options import Options


def resumed(options: Options) -> tuple[Options, store.Run]:
    """The options with which the killed run began, and that run; only `workers` and `memory_mb` may differ.

    Raises: UserError if the folder is not an unfinished run, or a given option contradicts the run's option.
    """
    run = store.resume(Path(options.resume or ""))
    begun: Running = store.read_json(run.folder / "run.json")
    if begun.get("status") != "running":
        raise UserError(f"--resume {options.resume}: run.json has status {begun.get('status')!r}, expected 'running'")
    fresh: Mapping[str, object] = Options(paths=[]).as_json()
    held: Mapping[str, object] = begun["options"]
    for key, requested in options.as_json().items():
        if requested not in (fresh[key], held.get(key)):
            raise UserError(
                f"--resume {options.resume}: found {key} {requested!r}, but the run began with "
                f"{held.get(key)!r} and goes on so; leave it out, or start a new run"
            )
    return replace(options, **begun["options"], evidence=str(run.folder.parent)), run


def kept(run: store.Run, begun: Begun) -> set[str]:
    """Claims of the killed run that need not run again: unchanged contract, and files that match their digests.

    An ERROR that the machine caused (out of memory, killed) is none of them.

    Raises: UserError if code, candidate, device, seed or weights changed since the run began.
    """
    old = store.read_json(run.folder / "run.json")
    differing = [key for key in ("code", "candidate", "device", "seed", "weights") if old.get(key) != begun[key]]
    if differing:
        raise UserError(
            f"--resume {run.folder}: {', '.join(differing)} changed since the run began; start a new run instead"
        )
    same = {contract["id"] for contract in begun["contracts"] if contract in old["contracts"]}
    results = {claim: store.read_json(run.folder / "claims" / claim / "result.json") for claim in run.held}
    return {
        claim
        for claim, result in results.items()
        if result["contract"] in same and not (result["verdict"] == Verdict.ERROR and result["cause"] in AGAIN)
    }
