"""Contracts as pytest items: `pytest contracts/` runs every claim, in a process of its own, into sealed evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.verdict import Verdict

MARK = b"falsification_tests:"
VERDICT = "harness verdict"
SURVIVED_ELSEWHERE = (Verdict.PARTIAL.value, Verdict.UNVERIFIED.value, Verdict.BLOCKED.value, Verdict.STALE.value)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of `harness run` that make sense here."""
    group = parser.getgroup("harness", "contracts and falsifiers")
    group.addoption("--candidate", default="torch", help="what is tried: torch, file.py, hf:DIR, gguf:FILE ...")
    group.addoption("--weights", default=None, help="a checkpoint folder that stands in for the built-in model")
    group.addoption("--harness-device", default="auto", help="auto, cpu, cuda or cuda:N")
    group.addoption("--harness-seed", type=int, default=0, help="of the cases")
    group.addoption("--evidence", default="evidence", help="where the run's evidence goes")


def pytest_configure(config: pytest.Config) -> None:
    """Verdicts are counted where reports arrive: with xdist, in the process that hands out the work."""
    config.pluginmanager.register(_Tally(), "harness_tally")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A YAML file with falsification tests is a contract."""
    if file_path.suffix not in (".yaml", ".yml") or MARK not in file_path.read_bytes():
        return None
    return ContractFile.from_parent(parent, path=file_path)


class ContractFile(pytest.File):
    """A contract: one item for each claim."""

    def collect(self) -> Iterator[pytest.Item]:
        """Raises: CollectError with a line for each mistake in the contract."""
        from harness.contract.validate import check

        checked = check([self.path])
        errors = [str(problem) for problem in checked.problems if problem.severity == "error"]
        if errors:
            raise self.CollectError("\n".join(errors))
        for contract in checked.contracts:
            for claim in contract.claims:
                yield ClaimItem.from_parent(self, name=claim.id, claim=claim)


class ClaimItem(pytest.Item):
    """A claim: FALSIFIED fails, ERROR, UNSOUND and VACUOUS are errors, PARTIAL and UNVERIFIED skips that say so."""

    def __init__(self, *, claim: Any, **given: Any) -> None:
        super().__init__(**given)
        self.claim = claim
        self.result: dict[str, Any] = {}

    def setup(self) -> None:
        """The claim runs here: what is wrong with the check itself is an error, no failure of the candidate."""
        self.result = _sitting(self.config).examine(self.claim)
        verdict = self.result["verdict"]
        self.user_properties.append((VERDICT, verdict))
        if verdict in (Verdict.ERROR.value, Verdict.UNSOUND.value, Verdict.VACUOUS.value):
            raise ClaimProblem(self.result, _sitting(self.config).folder)
        if verdict in SURVIVED_ELSEWHERE:
            raise pytest.skip.Exception(f"{verdict}: {self.result['reason']}", _use_item_location=True)

    def runtest(self) -> None:
        """Raises: ClaimProblem if the candidate violated a limit."""
        if self.result["verdict"] == Verdict.FALSIFIED.value:
            raise ClaimProblem(self.result, _sitting(self.config).folder)

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        """What was violated, where, and how to see it again; a traceback only for a fault of ours."""
        if isinstance(excinfo.value, ClaimProblem):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """The contract's line."""
        return self.path, self.claim.line - 1, self.name


class ClaimProblem(Exception):
    """A claim that is red, told as `harness run` tells it."""

    def __init__(self, result: dict[str, Any], folder: Path) -> None:
        lines = [f"{result['verdict']} {result['id']} ({result['contract']})", f"  because   {result['reason']}"]
        broken = (result.get("violated") or [{}])[0]
        if broken.get("pair"):
            lines.append(
                f"  found     {broken['pair']}{broken.get('at')} = {broken.get('got')}, reference {broken.get('want')}"
            )
        if result.get("if_fails"):
            lines.append(f"  look      {result['if_fails']}")
        if "counterexample" in result:
            lines.append(f"  again     harness replay {folder / 'claims' / result['id'] / 'counterexample.json'}")
        super().__init__("\n".join(lines))


class _Sitting:
    """One run behind a pytest session: its evidence, and the claims that have been examined."""

    def __init__(self, config: pytest.Config) -> None:
        from harness import evidence, schedule
        from harness.commands.run import Options
        from harness.probe import probe

        self.options = Options(
            paths=[str(path) for path in config.args],
            candidate=config.getoption("candidate"),
            weights=config.getoption("weights"),
            device=config.getoption("harness_device"),
            evidence=config.getoption("evidence"),
            seed=config.getoption("harness_seed"),
            workers=1,
            json=True,
        )
        self.context = schedule.server(threads=1)
        self.host = schedule.call(self.context, probe, self.options.device, self.options.candidate, str(Path.cwd()))
        if "problem" in self.host:
            pytest.exit(f"harness: {self.host['problem']}", returncode=2)
        self.run = evidence.begin(Path(self.options.evidence))
        self.claims: list[Any] = []
        self.seconds = 0.0

    @property
    def folder(self) -> Path:
        """Where the evidence is now; sealing takes `.partial` off its name."""
        return self.run.folder.with_suffix("")

    def examine(self, claim: Any) -> dict[str, Any]:
        """Run one claim; its result as the evidence has it."""
        from harness import campaign, evidence
        from harness.commands.run import campaign_of
        from harness.contract.validate import check

        checked = check([Path(claim.path)])
        self.claims.append(claim)
        self.seconds += campaign.run(self.context, campaign_of(self.run, checked, self.options, self.host), [claim])
        found: dict[str, Any] = evidence.read_json(self.run.folder / "claims" / claim.id / "result.json")
        return found

    def close(self) -> None:
        """Seal the evidence of what was run."""
        from harness.commands.run import seal_of
        from harness.contract.validate import check

        checked = check([Path(path) for path in sorted({str(claim.path) for claim in self.claims})])
        seal_of(self.run, checked, self.claims, self.options, self.host, self.seconds)


_SITTING = pytest.StashKey[_Sitting]()


def _sitting(config: pytest.Config) -> _Sitting:
    if _SITTING not in config.stash:
        config.stash[_SITTING] = _Sitting(config)
    return config.stash[_SITTING]


class _Tally:
    """The verdicts of a session, and the exit code that `harness run` would give."""

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Each claim once, when its setup is reported."""
        if report.when == "setup":
            self.verdicts.update(str(value) for name, value in report.user_properties if name == VERDICT)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Seal, and let survival elsewhere, or none at all, be no success."""
        from harness.summary import exit_code

        if _SITTING in session.config.stash:
            session.config.stash[_SITTING].close()
        if self.verdicts and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            code = exit_code(self.verdicts)
            other = session.exitstatus == pytest.ExitCode.TESTS_FAILED and code in (0, 3)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED if other else code

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Counts by verdict, since a skip alone does not say which."""
        if self.verdicts:
            counts = ", ".join(f"{count} {name}" for name, count in sorted(self.verdicts.items()))
            terminalreporter.write_line(f"harness: {counts}")
