"""Run contracts and seal the evidence."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.contract.claim import Claim
from harness.contract.selection import selector
from harness.contract.validate import Checked, check
from harness.errors import UserError
from harness.evidence import store
from harness.evidence.body import Host, Running
from harness.evidence.provenance import started
from harness.evidence.seal import Sealed, seal
from harness.platforms import ON_HOST
from harness.run import campaign, schedule
from harness.run.options import Options
from harness.run.probe import send_host
from harness.run.progress import Progress
from harness.run.resume import kept, resumed
from harness.subject.candidate import may_isolate, own_weights
from harness.subject.device import platform
from harness.words.plain import say


@dataclass(frozen=True)
class Finished:
    """A sealed run, its options and device, and the wall time of its claims in seconds."""

    sealed: Sealed
    options: Options
    device: str
    seconds: float


def run_session(options: Options, progress: Progress) -> Finished:
    """Run the claims and seal the evidence.

    Raises: UserError for a bad contract, candidate, device or selection.
    """
    options, held = resumed(options) if options.resume else (options, None)
    checked = _contracts(options)
    selected = _selected(checked, options.select)
    context = schedule.server(threads=1)
    host = found_host(context, options, os.getcwd())
    begun = started(options.as_json(), checked, host)
    if held:  # keep the original start time, so that resuming cannot defeat --max-age
        begun["began"] = store.read_json(held.folder / "run.json")["began"]
    here = held or store.begin(Path(options.evidence))
    with store.writing(here.folder):
        done = kept(here, begun) if held else set()
        running: Running = {"status": "running", "id": here.id, **begun}
        store.write_json(here.folder / "run.json", running)
        todo = [claim for claim in selected if claim.id not in done]
        seconds = campaign.run_claims(context, campaign_of(here, checked, options, host), todo, progress)
        return Finished(seal(here, begun, checked, selected, seconds), options, begun["device"], seconds)


def found_host(context: Any, options: Options, folder: str) -> Host:
    """The device, the versions and the candidate's identity, found in a separate process.

    Raises: UserError for an unknown candidate or device.
    """
    try:
        sent = schedule.call(context, send_host, options.device, options.candidate, folder, options.isolate)
        if "mistake" in sent:
            raise UserError(sent["mistake"])
        host: Host = sent["host"]
    except (RuntimeError, KeyError, TypeError) as strange:
        raise UserError(
            f"--candidate {options.candidate}: the process that imported it did not say what it found ({strange}); "
            "look at what the candidate does when it is imported"
        ) from None
    return host


def campaign_of(here: store.Run, checked: Checked, options: Options, host: Host) -> campaign.Campaign:
    """The settings with which the claims of these contracts run and write to the evidence `here`."""
    on_host = platform(host["device"]) in ON_HOST
    return campaign.Campaign(
        evidence=here,
        seed=options.seed,
        candidate=options.candidate,
        device=host["device"],
        device_missing=host["device_missing"],
        weights=options.weights or own_weights(options.candidate),
        workers=options.workers or (os.cpu_count() or 1 if on_host else 1),
        memory_mb=options.memory_mb,
        mutants={claim: dict(binding.mutants) for claim, binding in checked.bindings.items()},
        mutants_left_out=options.no_mutants,
        search_s=options.search_s,
        isolate=options.isolate and may_isolate(options.candidate),
    )


def _contracts(options: Options) -> Checked:
    checked = check([Path(path) for path in options.paths])
    say(*checked.problems, stderr=True)
    errors = sum(problem.severity == "error" for problem in checked.problems)
    if errors:
        raise UserError(f"{errors} error{'s' if errors > 1 else ''} in the contracts; nothing was run")
    if not checked.contracts:
        raise UserError(
            f"{', '.join(options.paths)}: found no contract; expected *.yaml files with falsification_tests"
        )
    return checked


def _selected(checked: Checked, expression: str) -> list[Claim]:
    wanted = selector(expression)
    claims = [claim for contract in checked.contracts for claim in contract.claims]
    selected = [claim for claim in claims if wanted(claim)]
    if not selected:
        raise UserError(f"-k {expression!r} selects none of {len(claims)} claims; see `harness validate`")
    return selected
