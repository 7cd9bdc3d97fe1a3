"""The run behind a pytest session: one or several pytest processes request its claims one by one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from harness.contract.claim import Claim
from harness.contract.validate import Checked, check
from harness.errors import UserError
from harness.evidence import store, summary
from harness.evidence.body import Begun, Running
from harness.evidence.provenance import begun_part, describe, started
from harness.evidence.seal import Sealed
from harness.evidence.seal import seal as seal_run
from harness.judging.result import Result
from harness.judging.verdict import Verdict
from harness.run import campaign, schedule
from harness.run.options import Options
from harness.run.progress import Silent
from harness.run.session import campaign_of, found_host

RESULT = "result.json"
FIXED = (*schedule.THREADS, "CUBLAS_WORKSPACE_CONFIG")


class SharedSession:
    """A run that is written claim by claim; processes that use the same folder write the same run."""

    def __init__(self, folder: Path, checked: Checked, selected: list[Claim], options: Options) -> None:
        """Start the forkserver, find device and candidate, and begin the run unless another process has begun it.

        Raises: UserError for an unknown candidate or device.
        """
        self.home, self.replay = Path.cwd(), options.replay
        self.checked = checked
        with _environment_kept():
            self.context = schedule.server(threads=1)
            # Each claim's process imports pytest's main module again; preloading it saves that time.
            self.context.set_forkserver_preload([*schedule.PRELOAD, "pytest"])
            host = found_host(self.context, options, str(self.home))
        self.run = store.Run(folder)
        self._lock = contextlib.ExitStack()
        """Held until this process ends."""
        self._lock.enter_context(store.writing(folder, together=True))
        self.campaign = campaign_of(self.run, checked, options, host)
        if self._first():
            self._begin(started(options.as_json(), checked, host), selected)

    def examine(self, claim: Claim) -> Result:
        """Run one claim; returns its result, with the verdict BLOCKED if a red result so far blocks it."""
        with contextlib.chdir(self.home):
            campaign.run_claims(self.context, self.campaign, [claim], Silent())
            found = self._result(claim)
            settled = self._settled(claim, found)
        return {**found, **summary.fields(settled)}

    def _begin(self, begun: Begun, selected: list[Claim]) -> None:
        chosen = [claim.id for claim in selected]
        running: Running = {"status": "running", "id": self.run.id, "selected": chosen, **begun}
        store.write_json(self.run.folder / "run.json", running)

    def _first(self) -> bool:
        """Whether this process begins the run: the first process to create the folder `.begun` does."""
        with contextlib.suppress(FileExistsError):
            (self.run.folder / "staging" / ".begun").mkdir(parents=True)
            return True
        return False

    def _result(self, claim: Claim) -> Result:
        return store.read_json(self.run.folder / "claims" / claim.id / RESULT)

    def _settled(self, claim: Claim, found: Result) -> summary.Settled:
        """The claim's verdict, or BLOCKED if a contract on which it rests is red so far; sealing decides it again."""
        depends_on = {contract.id: list(contract.depends_on) for contract in self.checked.contracts}
        below = summary.all_dependencies(claim.contract, depends_on)
        if not below or not Verdict(found["verdict"]).survived:
            return summary.settled(found)
        results = {claim.id: found}
        for other in (each for contract in self.checked.contracts if contract.id in below for each in contract.claims):
            if (self.run.folder / "claims" / other.id / RESULT).is_file():
                results[other.id] = self._result(other)
        return summary.with_blocked(results, depends_on)[claim.id]


def seal(folder: Path, seconds: float) -> Sealed:
    """Seal the run that a session wrote into `folder`.

    Selected claims that did not run are UNVERIFIED.
    Raises: UserError if contracts or code changed since the run began; the folder then stays as it is.
    """
    running: Running = store.read_json(folder / "run.json")
    chosen = set(running["selected"])
    begun = begun_part(running)
    checked = check([contract["path"] for contract in begun["contracts"]])
    if [describe(contract, checked) for contract in checked.contracts] != begun["contracts"]:
        raise UserError(f"{folder}: the contracts changed while they ran; the evidence is not sealed, run again")
    selected = [claim for contract in checked.contracts for claim in contract.claims if claim.id in chosen]
    with store.writing(folder, together=True):
        return seal_run(store.Run(folder), begun, checked, selected, seconds)


@contextlib.contextmanager
def _environment_kept() -> Iterator[None]:
    """Restore the variables that fix the claims' threads, so that they do not affect other tests of the session."""
    before = {name: os.environ.get(name) for name in FIXED}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
