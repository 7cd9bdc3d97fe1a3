"""Count the verdicts of a pytest session, seal its evidence at the end, and print one line of counts."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.judging.result import ClaimRow
from harness.judging.verdict import ORDER, Verdict

VERDICT = "harness verdict"
"""The name of the user property that carries a claim's verdict in a test report."""
CONTRACTS = (".yaml", ".yml")


class SessionEnd:
    """A plugin of the process that receives all reports; with xdist, of its controller."""

    def __init__(self, folder: Callable[[], Path], named: Callable[[], bool]) -> None:
        self._folder = folder
        self._named = named
        """Whether the run's folder has been named; until then there is no run."""
        self._reported: dict[str, str] = {}
        """Claim -> verdict in the report of its item."""
        self._times: list[float] = []
        self._lines: list[str] = []
        self._contract_mistake = False
        """Whether a contract has a mistake; the exit code is then 2, as for `harness run`, whatever the verdicts."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give every xdist worker the same run folder."""
        node.workerinput["harness_folder"] = str(self._folder())

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note mistakes in contracts, because pytest exits with 2 for a collection error but with 1 under xdist."""
        if report.failed and report.nodeid.endswith(CONTRACTS) and ": error: " in str(report.longrepr):
            self._contract_mistake = True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record each claim once, from the report of its setup."""
        for name, value in report.user_properties if report.when == "setup" else ():
            if name == VERDICT:
                self._reported[report.nodeid.rpartition("::")[2]] = str(value)
                self._times += [report.start, report.stop]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Seal the run, interrupted or not, and set the exit code that `harness run` would give."""
        if not self._reported and not self._unreported_results():
            session.exitstatus = 2 if self._contract_mistake else session.exitstatus
            return
        from harness.errors import UserError

        try:
            verdicts = self._sealed()
        except UserError as problem:
            self._lines = [f"harness: {problem}"]
            session.exitstatus = 2
        else:
            session.exitstatus = 2 if self._contract_mistake else _exit_code(session, verdicts)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the counts by verdict, because pytest counts only skips, and the evidence folder."""
        from harness.words.plain import printed

        for line in self._lines:
            terminalreporter.write_line(printed(line))

    def _unreported_results(self) -> bool:
        """Whether a claim has a result but no report, because the session was interrupted in between."""
        return self._named() and any(self._folder().glob("claims/*"))

    def _sealed(self) -> dict[str, str]:
        """Seal the run; returns each reported claim's verdict after sealing, UNVERIFIED if it did not run."""
        from harness.contract.names.packages import import_from
        from harness.run.shared_session import seal

        import_from(Path.cwd())  # under xdist this process collected no contracts, so it has not imported from here yet
        folder = self._folder()
        where, rows = "none", dict[str, ClaimRow]()
        if any(folder.glob("claims/*")):
            sealed = seal(folder, max(self._times, default=0.0) - min(self._times, default=0.0))
            where, rows = str(sealed.folder), {row["id"]: row for row in sealed.outcome["claims"]}
        elif folder.is_dir():
            shutil.rmtree(folder)
        verdicts = {}
        for claim, reported in self._reported.items():
            row = rows.get(claim)
            verdict, reason = (row["verdict"], row["reason"]) if row else (Verdict.UNVERIFIED.value, "it did not run")
            verdicts[claim] = verdict
            if verdict != reported:
                self._lines.append(f"harness: {claim} is {verdict} (reported {reported}): {reason}")
        counts = Counter(verdicts.values())
        parts = ", ".join(f"{counts[each.value]} {each.value}" for each in ORDER if counts[each.value])
        self._lines.append(f"harness: {parts}; evidence {where}")
        return verdicts


def _exit_code(session: pytest.Session, verdicts: dict[str, str]) -> int:
    from harness.evidence.summary import exit_code

    status = session.exitstatus
    if status == pytest.ExitCode.INTERRUPTED and _stopped_by_failures(session):
        status = pytest.ExitCode.TESTS_FAILED
    # If a claim or an ordinary test failed, pytest's exit code 1 is also that of `harness run`.
    return exit_code(Counter(verdicts.values())) if status == pytest.ExitCode.OK else int(status)


def _stopped_by_failures(session: pytest.Session) -> bool:
    """Whether -x or --maxfail stopped the session, which xdist reports as an interruption."""
    distributed = session.config.pluginmanager.getplugin("dsession")
    return str(getattr(distributed, "shouldstop", "")).startswith("stopping after")
