"""`harness run`: contracts in, evidence and a table out."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from harness import evidence, schedule, summary, worker
from harness.contract.claim import Claim
from harness.contract.validate import Checked, check
from harness.errors import UserError
from harness.probe import build, probe
from harness.provenance import code_digests, started
from harness.result import write
from harness.selection import selector
from harness.terminal import Progress, print_json, print_run


@dataclass(frozen=True)
class Options:
    """The command line of one run."""

    paths: list[str]
    candidate: str = "torch"
    weights: str | None = None
    device: str = "auto"
    evidence: str = "evidence"
    seed: int = 0
    workers: int | None = None
    select: str = ""
    json: bool = False
    resume: str | None = None
    memory_mb: int | None = None

    def as_json(self) -> dict[str, Any]:
        """What a resumed run needs to go on as it began."""
        keys = ("paths", "candidate", "weights", "device", "seed", "select")
        return {key: getattr(self, key) for key in keys}


def run(options: Options) -> int:
    """Run the claims; returns the exit code.

    Raises: UserError for a bad contract, candidate, device or selection.
    """
    options, held = _resumed(options) if options.resume else (options, None)
    checked = _contracts(options)
    wanted = selector(options.select)
    selected = [claim for contract in checked.contracts for claim in contract.claims if wanted(claim)]
    if not selected:
        raise UserError(f"-k {options.select!r} selects none of {_count(checked)} claims; see `harness validate`")
    workers = options.workers or max(1, os.cpu_count() or 1)
    context = schedule.server(threads=1)
    host = schedule.call(context, probe, options.device, options.candidate, os.getcwd())
    if "problem" in host:
        raise UserError(host["problem"])
    if worker.platform(host["device"]) == "cuda":
        workers = 1  # one worker per device
    begun = started(options.as_json(), checked, host)
    run_ = held or evidence.begin(Path(options.evidence))
    done = _keep(run_, begun) if held else set()
    evidence.write_json(run_.folder / "run.json", {"status": "running", "id": run_.id, **begun})
    todo = [claim for claim in selected if claim.id not in done]
    seconds = _experiments(context, run_, todo, checked, options, host, workers)
    return _finish(run_, begun, checked, selected, options, seconds)


def _contracts(options: Options) -> Checked:
    checked = check([Path(path) for path in options.paths])
    for problem in checked.problems:
        print(problem, file=sys.stderr)
    errors = sum(problem.severity == "error" for problem in checked.problems)
    if errors:
        raise UserError(f"{errors} error{'s' if errors > 1 else ''} in the contracts; nothing was run")
    if not checked.contracts:
        raise UserError(
            f"{', '.join(options.paths)}: found no contract; expected *.yaml files with falsification_tests"
        )
    return checked


def _count(checked: Checked) -> int:
    return sum(len(contract.claims) for contract in checked.contracts)


def _experiments(
    context: Any,
    run_: evidence.Run,
    todo: list[Claim],
    checked: Checked,
    options: Options,
    host: dict[str, Any],
    workers: int,
) -> float:
    """Run what is left to run, claim by claim into the evidence; returns the wall time."""
    clock = Progress([claim.id for claim in todo], quiet=options.json)
    with clock:
        folders = _weights(context, todo, options)
        ready, refused = [], {}
        for claim in todo:
            where = folders.get(claim.given.get("weights", ""), {})
            absent = host["device_missing"] or where.get("absent")
            if absent:
                refused[claim.id] = absent
            else:
                ready.append(_job(run_, claim, checked, options, host["device"], where.get("folder")))
        by_id = {claim.id: claim for claim in todo}
        for claim_id, reason in refused.items():
            _write_unrun(run_, by_id[claim_id], {"subjects": {"candidate": _unsupported(reason)}}, host["device"])
            clock.ended(claim_id, "UNVERIFIED", reason)
        memory = (options.memory_mb or int(psutil.virtual_memory().total * 0.8 / workers) >> 20) << 20
        # The long ones first, so that no worker idles at the end; results are listed in contract order.
        ready.sort(key=lambda job: (-job.claim.budget_s, job.claim.id))
        for outcome in schedule.run(context, worker.work, ready, workers=workers, memory=memory, watch=clock.stage):
            if outcome.problem:
                _write_unrun(run_, by_id[outcome.claim], {"error": outcome.problem}, host["device"])
            else:
                run_.deposit(outcome.claim)
            result = evidence.read_json(run_.folder / "claims" / outcome.claim / "result.json")
            clock.ended(outcome.claim, result["verdict"], result["reason"])
    return clock.seconds


def _weights(context: Any, todo: list[Claim], options: Options) -> dict[str, dict[str, str]]:
    """Model builder -> its folder, built on first use; `--weights` stands in for all of them."""
    builders = sorted({claim.given["weights"] for claim in todo if "weights" in claim.given})
    if options.weights is None:
        return {builder: schedule.call(context, build, builder) for builder in builders}
    folder = Path(options.weights).resolve()
    if not (folder / "config.json").is_file():
        raise UserError(f"--weights {options.weights}: no config.json there; expected a Hugging Face checkpoint folder")
    return {builder: {"folder": str(folder)} for builder in builders}


def _job(
    run_: evidence.Run, claim: Claim, checked: Checked, options: Options, device: str, weights: str | None
) -> worker.Job:
    return worker.Job(
        claim=claim,
        staging=run_.staging(claim.id).resolve(),
        seed=options.seed,
        device=device,
        candidate=options.candidate,
        candidate_folder=os.getcwd(),
        mutants=dict(checked.bindings[claim.id].mutants),
        weights=weights,
    )


def _unsupported(reason: str) -> dict[str, Any]:
    return {"status": "unsupported", "reason": reason, "rows": [], "scalars": [], "faults": []}


def _write_unrun(run_: evidence.Run, claim: Claim, found: dict[str, Any], device: str) -> None:
    """A claim that could not run or was stopped still has its page; its log is kept."""
    from harness.judge import judge

    staging = run_.folder / "staging" / claim.id
    log = staging / "log.txt"
    text = log.read_bytes() if log.is_file() else b""
    staging = run_.staging(claim.id)
    (staging / "log.txt").write_bytes(text)
    record = {"platform": worker.platform(device), "cases": [], "subjects": {}, "mutants": {}, **found}
    judgement = judge(claim.source, record)
    write(staging, claim, {"record": record, "judgement": judgement}, device=device, seconds=0.0)
    run_.deposit(claim.id)


def _resumed(options: Options) -> tuple[Options, evidence.Run]:
    """The options a killed run began with; only where and how it runs may differ."""
    run_ = evidence.resume(Path(options.resume or ""))
    begun = evidence.read_json(run_.folder / "run.json")
    if begun.get("status") != "running":
        raise UserError(f"--resume {options.resume}: run.json has status {begun.get('status')!r}, expected 'running'")
    kept = Options(
        **begun["options"],
        workers=options.workers,
        json=options.json,
        memory_mb=options.memory_mb,
        evidence=str(run_.folder.parent),
    )
    return kept, run_


def _keep(run_: evidence.Run, begun: dict[str, Any]) -> set[str]:
    """Claims of the killed run that still stand: same contract, code, candidate and device, bytes whole."""
    old = evidence.read_json(run_.folder / "run.json")
    differing = [key for key in ("code", "candidate", "device", "seed") if old.get(key) != begun[key]]
    if differing:
        raise UserError(
            f"--resume {run_.folder}: {', '.join(differing)} changed since the run began; start a new run instead"
        )
    same = {c["id"] for c in begun["contracts"] if c in old["contracts"]}
    kept = set()
    for claim in run_.finished():
        if evidence.read_json(run_.folder / "claims" / claim / "result.json")["contract"] in same:
            kept.add(claim)
    return kept


def _finish(
    run_: evidence.Run,
    begun: dict[str, Any],
    checked: Checked,
    selected: list[Claim],
    options: Options,
    seconds: float,
) -> int:
    """Settle, compute ship-%, seal, print."""
    ship: dict[str, Any] = {}
    if checked.ship is not None:
        (run_.folder / "ship.yaml").write_bytes(Path(checked.ship.path).read_bytes())
        ship = checked.ship.source
    results = summary.read_results(run_.folder)
    found = summary.outcome(
        [(claim.id, claim.contract) for contract in checked.contracts for claim in contract.claims],
        results,
        {contract.id: list(contract.depends_on) for contract in checked.contracts},
        {claim.id for claim in selected},
        ship,
    )
    body = {
        "status": "sealed",
        "id": run_.id,
        **begun,
        "selected": [claim.id for claim in selected],
        "seconds": round(seconds, 3),
        **found,
    }
    if begun["code"] != code_digests():
        raise UserError(f"{run_.folder}: the code changed while it ran; the evidence is not sealed, run again")
    folder = run_.seal(body)
    shown = {"run": body["id"], "evidence": str(folder), "candidate": options.candidate, "device": begun["device"]}
    if options.json:
        print_json({**shown, **found})
    else:
        print_run(shown, found, results, seconds)
    return summary.exit_code(found["counts"])
