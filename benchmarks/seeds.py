"""The default candidate under every shipped claim, over many seeds: no seed may call it wrong.

    python benchmarks/seeds.py --minutes 60 --done seeds.jsonl

A run is one claim with one seed: all cases and every limit, no mutants. Each run is written to the file of --done as
one line of JSON, and the next job goes on after the last line. A run counts as done only as long as claim, code and
candidate are what they were. An alarm is a verdict of FALSIFIED, UNSOUND or ERROR. Exit 1 on any alarm, of this job or
of an earlier one in the file, or if no claim could be run.
Claims in a folder `performance` measure time and draw nothing from the seed; they are left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from harness.contract.claim import Claim, canonical
from harness.contract.validate import check
from harness.errors import UserError
from harness.evidence.provenance import code_digests
from harness.judging.cause import Cause
from harness.judging.verdict import Verdict
from harness.platforms import HOST
from harness.subject import binding
from harness.subject.device import place, register
from harness.subject.identity import identity
from harness.subject.torch_settings import settle
from harness.trial.examine import examine
from harness.trial.job import Job

CONTRACTS = Path(__file__).resolve().parent.parent / "contracts"
TIMED = "performance"
ALARMS = (Verdict.FALSIFIED, Verdict.UNSOUND, Verdict.ERROR)
Row = dict[str, Any]
Key = tuple[str, int]
"""A claim's digest and a seed."""


def seeds_of(text: str) -> range:
    """`0-99` or `7` as a range. Raises: argparse.ArgumentTypeError for anything else."""
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected FIRST-LAST, for example 0-99")
    first, last = int(found[1]), int(found[2] or found[1])
    return range(first, last + 1)


def claims_in(path: Path, only: str) -> list[Claim]:
    """The bound claims below `path`, without those that measure time, whose id matches the regular expression `only`.

    Raises: UserError if none does, or if a contract has a mistake: its claims would be missing from the job.
    """
    checked = check([path])
    for problem in checked.problems:
        if problem.severity == "error":
            raise UserError(str(problem))
    claims = [claim for contract in checked.contracts for claim in contract.claims if not claim.unbound]
    found = [claim for claim in claims if Path(claim.path).parent.name != TIMED]
    chosen = [claim for claim in found if re.search(only, claim.id)]
    if not chosen:
        raise UserError(f"--only {only}: matches none of the {len(found)} claims below {path}")
    return chosen


def code_of(candidate: str) -> str:
    """SHA-256 of everything but the claim that decides a run: Harness's code and the candidate's."""
    return hashlib.sha256(canonical([code_digests(), identity(candidate)])).hexdigest()


def read(path: Path, code: str) -> list[Row]:
    """The runs in the file that this code did; a last line that a killed job left unfinished is cut off."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return [row for row in map(json.loads, whole.splitlines()) if row["code"] == code]


def still_to_do(claims: list[Claim], seeds: range, done: list[Row]) -> list[tuple[int, Claim]]:
    """Seed after seed, in each the claims that took least first; an unknown claim is thought to take its budget."""
    seconds = {row["digest"]: row["seconds"] for row in done}
    finished: set[Key] = {(row["digest"], row["seed"]) for row in done}
    order = sorted(claims, key=lambda claim: seconds.get(claim.digest, claim.budget_s))
    return [(seed, claim) for seed in seeds for claim in order if (claim.digest, seed) not in finished]


@cache
def _weights(builder: str) -> str:
    return str(binding.attribute(builder)())


def run(claim: Claim, seed: int, candidate: str, scratch: Path) -> Row:
    """One claim with one seed in this process, judged without mutants."""
    os.environ["HARNESS_SCRATCH"] = str(scratch)
    settle(threads=1)
    began = time.monotonic()
    job = Job(
        claim=claim,
        seed=seed,
        device=place(HOST, claim.device),
        candidate=candidate,
        candidate_folder=os.getcwd(),
        weights=_weights(claim.given["weights"]) if "weights" in claim.given else None,
        mutants_left_out=True,
    )
    found = examine(job, lambda stage: None)
    said = found.judgement
    return {
        "claim": claim.id,
        "digest": claim.digest,
        "seed": seed,
        "verdict": said.verdict.value,
        "ran": said.verdict in ALARMS or said.cause is Cause.MUTANTS_LEFT_OUT,
        "reason": said.reason,
        "cases": len(found.record.get("cases", [])),
        "measurements": said.measurements,
        "seconds": round(time.monotonic() - began, 2),
    }


def alarmed(row: Row) -> bool:
    """Whether the claim called the candidate, its baseline or itself wrong."""
    return row["verdict"] in ALARMS


def runs(todo: list[tuple[int, Claim]], candidate: str, minutes: float) -> Iterator[Row]:
    """Run until nothing is left or the time is over; a run that has begun is finished."""
    end = time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory() as folder:
        for number, (seed, claim) in enumerate(todo):
            if time.monotonic() >= end:
                return
            scratch = Path(folder) / str(number)
            scratch.mkdir()
            yield run(claim, seed, candidate, scratch)


def summary(rows: list[Row], left: int) -> str:
    """What the file holds now: its alarms, the claims that could not be run, and the counts."""
    lines = [f"ALARM {r['claim']}, seed {r['seed']}: {r['verdict']}, {r['reason']}" for r in rows if alarmed(r)]
    absent = {row["claim"]: row["reason"] for row in rows if not row["ran"]}
    lines += [f"NOT RUN {claim}: {reason}" for claim, reason in sorted(absent.items())]
    ran = [row for row in rows if row["ran"]]
    names, cases = len({row["claim"] for row in ran}), sum(row["cases"] for row in ran)
    alarms = sum(map(alarmed, ran))
    lines.append(f"{len(ran)} runs of {names} claims, {cases} cases: {alarms} alarms; {left} runs left")
    return "\n".join(lines)


def arguments() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=60.0, help="begin no run after this time (default 60)")
    options.add_argument("--seeds", type=seeds_of, default=range(100), help="FIRST-LAST (default 0-99)")
    options.add_argument("--only", default="", help="only claims whose id matches this regular expression")
    options.add_argument("--done", type=Path, default=Path("seeds.jsonl"), help="file of finished runs")
    options.add_argument("--candidate", default="torch", help="the implementation to run (default torch)")
    options.add_argument("--contracts", type=Path, default=CONTRACTS, help="contract file or folder")
    return options


def main(words: list[str] | None = None) -> int:
    asked = arguments().parse_args(words)
    np.seterr(all="ignore")  # special values are meant
    try:
        claims, code = claims_in(asked.contracts, asked.only), code_of(asked.candidate)
    except UserError as mistake:
        print(mistake, file=sys.stderr)
        return 2
    known = {claim.digest for claim in claims}
    rows = [row for row in read(asked.done, code) if row["digest"] in known and row["seed"] in asked.seeds]
    todo = still_to_do(claims, asked.seeds, rows)
    for device in {place(HOST, claim.device) for _, claim in todo}:
        register(device)  # torch starts a thread per known device at the first gradient, and none afterwards
    print(f"{len(rows)} runs are done, {len(todo)} are left", flush=True)
    ended = 0
    for row in runs(todo, asked.candidate, asked.minutes):
        ended += 1
        rows.append(row)
        with asked.done.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**row, "code": code}) + "\n")
        word = "ALARM" if alarmed(row) else "survived" if row["ran"] else "not run"
        print(f"{ended}/{len(todo)} {word} {row['claim']}, seed {row['seed']}, {row['seconds']:.1f} s", flush=True)
    print(summary(rows, len(todo) - ended))
    return 1 if any(map(alarmed, rows)) or not any(row["ran"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
