"""The verdicts of a pytest session: counted as they are reported, sealed at its end, told in one line."""

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
"""The user property of a test report that carries its claim's verdict."""
CONTRACTS = (".yaml", ".yml")


class SessionEnd:
    """Lives where all reports arrive: with xdist in the process that hands out the work."""

    def __init__(self, folder: Callable[[], Path], named: Callable[[], bool]) -> None:
        self._folder = folder
        self._named = named
        """Whether anyone has asked for the folder; until then there is no run."""
        self._reported: dict[str, str] = {}
        """Claim -> verdict when its item was reported."""
        self._times: list[float] = []
        self._said: list[str] = []
        self._mistaken = False
        """Whether a contract has a mistake: `run` exits with 2 then, and nothing else counts."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """The workers of xdist write one run together."""
        node.workerinput["harness_folder"] = str(self._folder())

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """pytest alone gives 2 for an error of collection; with xdist it gives 1."""
        if report.failed and report.nodeid.endswith(CONTRACTS) and ": error: " in str(report.longrepr):
            self._mistaken = True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Each claim once, when its setup is reported."""
        for name, value in report.user_properties if report.when == "setup" else ():
            if name == VERDICT:
                self._reported[report.nodeid.rpartition("::")[2]] = str(value)
                self._times += [report.start, report.stop]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Seal what was run, interrupted or not, and let the exit code be that of `harness run`."""
        if not self._reported and not self._left_behind():
            session.exitstatus = 2 if self._mistaken else session.exitstatus
            return
        from harness.errors import UserError

        try:
            verdicts = self._sealed()
        except UserError as problem:
            self._said = [f"harness: {problem}"]
            session.exitstatus = 2
        else:
            session.exitstatus = 2 if self._mistaken else _exit_code(session, verdicts)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Counts by verdict, since a skip alone does not say which, and where the evidence is."""
        for line in self._said:
            terminalreporter.write_line(line)

    def _left_behind(self) -> bool:
        """Whether a claim has its result though no report of it arrived: an interruption came between."""
        return self._named() and any(self._folder().glob("claims/*"))

    def _sealed(self) -> dict[str, str]:
        """Each reported claim's verdict after sealing: UNVERIFIED where it did not run."""
        from harness.contract.names.packages import import_from
        from harness.run.shared_session import seal

        import_from(Path.cwd())  # with xdist this process has collected nothing
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
                self._said.append(f"harness: {claim} is {verdict} (reported {reported}): {reason}")
        counts = Counter(verdicts.values())
        parts = ", ".join(f"{counts[each.value]} {each.value}" for each in ORDER if counts[each.value])
        self._said.append(f"harness: {parts}; evidence {where}")
        return verdicts


def _exit_code(session: pytest.Session, verdicts: dict[str, str]) -> int:
    from harness.evidence.summary import exit_code

    status = session.exitstatus
    if status == pytest.ExitCode.INTERRUPTED and _stopped_by_failures(session):
        status = pytest.ExitCode.TESTS_FAILED
    # Where something failed, a claim or an ordinary test, pytest's 1 is `run`'s too.
    return exit_code(Counter(verdicts.values())) if status == pytest.ExitCode.OK else int(status)


def _stopped_by_failures(session: pytest.Session) -> bool:
    """xdist reports -x and --maxfail as an interruption."""
    distributed = session.config.pluginmanager.getplugin("dsession")
    return str(getattr(distributed, "shouldstop", "")).startswith("stopping after")
