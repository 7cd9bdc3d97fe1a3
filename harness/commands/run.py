"""`harness run`: contracts in, evidence and a table out."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.contract.claim import Claim
from harness.contract.selection import selector
from harness.contract.validate import Checked, check
from harness.errors import UserError
from harness.evidence import manifest, summary
from harness.evidence import store as evidence
from harness.evidence.merge import merge, plan
from harness.evidence.provenance import code_digests, started
from harness.report import github, junit
from harness.report.claim import reported
from harness.report.terminal import print_json, print_run
from harness.run import campaign, schedule
from harness.run.probe import probe
from harness.trial import worker


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
    junitxml: str | None = None

    def as_json(self) -> dict[str, Any]:
        """What a resumed run needs to go on as it began."""
        keys = ("paths", "candidate", "weights", "device", "seed", "select")
        return {key: getattr(self, key) for key in keys}


def run(options: Options) -> int:
    """Run the claims; returns the exit code.

    Raises: UserError for a bad contract, candidate, device or selection.
    """
    options, held = _resumed(options) if options.resume else (options, None)
    if options.junitxml and (inside := manifest.enclosing(options.junitxml)):
        raise UserError(f"--junitxml {options.junitxml}: lies inside the sealed run {inside}; give a file outside it")
    checked = _contracts(options)
    wanted = selector(options.select)
    selected = [claim for contract in checked.contracts for claim in contract.claims if wanted(claim)]
    if not selected:
        raise UserError(f"-k {options.select!r} selects none of {_count(checked)} claims; see `harness validate`")
    context = schedule.server(threads=1)
    host = schedule.call(context, probe, options.device, options.candidate, os.getcwd())
    if "problem" in host:
        raise UserError(host["problem"])
    begun = started(options.as_json(), checked, host)
    if held:  # what the killed run finished is as old as that run
        begun["began"] = evidence.read_json(held.folder / "run.json")["began"]
    run_ = held or evidence.begin(Path(options.evidence))
    done = _keep(run_, begun) if held else set()
    evidence.write_json(run_.folder / "run.json", {"status": "running", "id": run_.id, **begun})
    todo = [claim for claim in selected if claim.id not in done]
    seconds = campaign.run(context, campaign_of(run_, checked, options, host), todo)
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


def campaign_of(run_: evidence.Run, checked: Checked, options: Options, host: dict[str, Any]) -> campaign.Campaign:
    """What the engine needs to know to run these contracts' claims into this evidence."""
    on_cuda = worker.platform(host["device"]) == "cuda"
    # A Hugging Face folder as candidate is its own source of weights.
    own = options.candidate.removeprefix("hf:") if options.candidate.startswith("hf:") else None
    return campaign.Campaign(
        evidence=run_,
        seed=options.seed,
        candidate=options.candidate,
        device=host["device"],
        device_missing=host["device_missing"],
        weights=options.weights or own,
        workers=1 if on_cuda else options.workers or os.cpu_count() or 1,
        memory_mb=options.memory_mb,
        quiet=options.json,
        mutants={claim: dict(binding.mutants) for claim, binding in checked.bindings.items()},
    )


def _resumed(options: Options) -> tuple[Options, evidence.Run]:
    """The options a killed run began with; only where and how it runs may differ."""
    run_ = evidence.resume(Path(options.resume or ""))
    begun = evidence.read_json(run_.folder / "run.json")
    if begun.get("status") != "running":
        raise UserError(f"--resume {options.resume}: run.json has status {begun.get('status')!r}, expected 'running'")
    fresh = Options(paths=[]).as_json()
    for key, asked in options.as_json().items():
        if asked not in (fresh[key], begun["options"][key]):
            raise UserError(
                f"--resume {options.resume}: found {key} {asked!r}, but the run began with "
                f"{begun['options'][key]!r} and goes on so; leave it out, or start a new run"
            )
    kept = Options(
        **begun["options"],
        workers=options.workers,
        json=options.json,
        memory_mb=options.memory_mb,
        junitxml=options.junitxml,
        evidence=str(run_.folder.parent),
    )
    return kept, run_


def _keep(run_: evidence.Run, begun: dict[str, Any]) -> set[str]:
    """Claims of the killed run that still stand: same contract, code, candidate and device, bytes whole."""
    old = evidence.read_json(run_.folder / "run.json")
    differing = [key for key in ("code", "candidate", "device", "seed", "weights") if old.get(key) != begun[key]]
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


def seal_of(
    run_: evidence.Run, begun: dict[str, Any], checked: Checked, selected: list[Claim], seconds: float
) -> tuple[Path, dict[str, Any]]:
    """Seal a run whose claims were asked for one by one; where it is then, and what came of it."""
    folder, found, _ = _sealed(run_, begun, checked, selected, seconds)
    return folder, found


def _finish(
    run_: evidence.Run,
    begun: dict[str, Any],
    checked: Checked,
    selected: list[Claim],
    options: Options,
    seconds: float,
) -> int:
    """Settle, compute ship-%, seal, print."""
    folder, found, results = _sealed(run_, begun, checked, selected, seconds)
    shown = {"run": run_.id, "evidence": str(folder), "candidate": options.candidate, "device": begun["device"]}
    if options.json:
        print_json({**shown, **found})
    else:
        print_run(shown, found, results, seconds)
    _tell_ci(folder, options)
    return summary.exit_code(found["counts"])


def _tell_ci(folder: Path, options: Options) -> None:
    """What a CI system reads: JUnit XML where it was asked for, annotations and a summary on GitHub."""
    if not options.junitxml and not github.enabled():
        return
    runs = [(folder, evidence.read_json(folder / "run.json"))]
    merged = merge(runs, plan([folder]))
    if options.junitxml:
        file = Path(options.junitxml)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(junit.document(merged, runs))
    if github.enabled():
        claims = reported(merged, runs)
        github.say(github.of_claims(claims), options.json)
        github.append_summary(github.run_page(merged["counts"], merged["targets"], claims))


def _sealed(
    run_: evidence.Run, begun: dict[str, Any], checked: Checked, selected: list[Claim], seconds: float
) -> tuple[Path, dict[str, Any], dict[str, dict[str, Any]]]:
    """(where the sealed run is, counts, claims and targets, each claim's result)."""
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
    return run_.seal(body), found, results
