"""Contracts as pytest items: `pytest contracts/` runs each claim in its own process and seals the evidence.

A session without contracts only imports this module and reads each YAML file once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.judging.verdict import Verdict
from harness.platforms import device_form
from harness.pytest_plugin.session_end import CONTRACTS, VERDICT, SessionEnd

if TYPE_CHECKING:
    from harness.contract.validate import Checked
    from harness.judging.result import Result
    from harness.run.shared_session import SharedSession

KEY = re.compile(rb"^[\"']?falsification_tests[\"']?[ \t]*:", re.MULTILINE)
PIECE = 1 << 20
BROKEN_CHECKS = (Verdict.ERROR, Verdict.UNSOUND, Verdict.VACUOUS)
OPTIONS = {
    "candidate": ("C", "the candidate: torch, file.py[:NAME], hf:DIR, gguf:FILE ... (default: as `harness run`)"),
    "weights": ("HF_DIR", "a checkpoint folder used instead of the built-in model"),
    "device": ("D", device_form()),
    "seed": ("N", "seed of the cases (default: 0)"),
    "evidence": ("DIR", "the folder for the run's evidence (default: evidence)"),
}
FILES = pytest.StashKey[list[Path]]()
FOLDER = pytest.StashKey[Path]()
CHECKED = pytest.StashKey["Checked"]()
SESSION = pytest.StashKey["SharedSession"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `harness run` that apply to pytest, also as ini options with _ for -."""
    group = parser.getgroup("harness", "contracts and falsifiers")
    for name, (metavar, text) in OPTIONS.items():
        group.addoption(f"--harness-{name}", metavar=metavar, default=None, help=text)
        parser.addini(f"harness_{name}", default="", help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Count verdicts and seal evidence in the process that receives the reports; with xdist, in its controller."""
    config.stash[FILES] = []
    if not hasattr(config, "workerinput"):
        end = SessionEnd(lambda: _folder(config), lambda: FOLDER in config.stash)
        config.pluginmanager.register(end, "harness_session_end")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a YAML file with falsification tests as a contract."""
    if file_path.suffix not in CONTRACTS or file_path.name.startswith(".") or not holds_claims(file_path):
        return None
    return ContractFile.from_parent(parent, path=file_path)


def holds_claims(path: Path) -> bool:
    """Whether a line begins with the key `falsification_tests`; reads in pieces, because the file may be large."""
    rest = b""
    try:
        with path.open("rb") as stream:
            while piece := stream.read(PIECE):
                if KEY.search(rest + piece):
                    return True
                rest = piece[piece.rfind(b"\n") :][-100:] if b"\n" in piece else b" "
    except OSError:
        pass  # a file that cannot be read is not collected as a contract
    return False


class ContractFile(pytest.File):
    """A contract, collected as one item for each claim."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield the contract's claims.

        Raises: CollectError with a line for each mistake in the contract.
        """
        from harness.contract.names.packages import import_from
        from harness.contract.validate import check

        import_from(Path.cwd())
        self.config.stash[FILES].append(self.path)
        checked = check([self.path], apart=True)
        if checked.errors:
            raise self.CollectError("\n".join(_errors(checked)))
        for contract in checked.contracts:
            for claim in contract.claims:
                yield ClaimItem.from_parent(self, name=claim.id, claim=claim)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Run cross-contract checks after collection, and order items so that dependencies run first."""
    files = session.config.stash[FILES]
    if not files or session.testsfailed:
        return
    from harness.contract.validate import check
    from harness.evidence.summary import all_dependencies

    checked = session.config.stash[CHECKED] = check(dict.fromkeys(files))
    if checked.errors:
        for line in _errors(checked):
            report = pytest.CollectReport(line.partition(":")[0], "failed", line, [])
            session.config.hook.pytest_collectreport(report=report)
        items[:] = [item for item in items if not isinstance(item, ClaimItem)]
        return
    depends_on = {contract.id: list(contract.depends_on) for contract in checked.contracts}
    claims = [item for item in items if isinstance(item, ClaimItem)]
    in_order = iter(sorted(claims, key=lambda item: len(all_dependencies(item.claim.contract, depends_on))))
    items[:] = [next(in_order) if isinstance(item, ClaimItem) else item for item in items]


def _errors(checked: Checked) -> list[str]:
    return [_printed(str(problem)) for problem in checked.problems if problem.severity == "error"]


def _printed(text: str) -> str:
    from harness.words.plain import printed

    return printed(text)


class ClaimItem(pytest.Item):
    """A claim. FALSIFIED is a failure, a broken check an error, DISCHARGED a pass, another verdict a skip naming it."""

    def __init__(self, *, claim: Any, **given: Any) -> None:
        super().__init__(**given)
        self.claim = claim
        self.result: Result
        """Assigned in setup()."""
        self.user_properties.append((VERDICT, Verdict.UNVERIFIED.value))  # until the claim has run

    def setup(self) -> None:
        """Run the claim here, so that pytest reports a broken check as an error and not as the candidate's failure."""
        self.result = self._examined()
        verdict = Verdict(self.result["verdict"])
        self.user_properties[:] = [(VERDICT, verdict.value)]
        if verdict in BROKEN_CHECKS:
            pytest.fail(self._story(), pytrace=False)
        if verdict not in (Verdict.FALSIFIED, Verdict.DISCHARGED):
            raise pytest.skip.Exception(_printed(f"{verdict}: {self.result['reason']}"), _use_item_location=True)

    def runtest(self) -> None:
        """Fail without a traceback if the candidate violated a limit."""
        if self.result["verdict"] != Verdict.DISCHARGED.value:
            pytest.fail(self._story(), pytrace=False)

    def reportinfo(self) -> tuple[Path, int, str]:
        """The contract's line."""
        return self.path, self.claim.line - 1, self.name

    def _examined(self) -> Result:
        """Run the claim; stop the session on a user's mistake, because every other claim would report the same."""
        from harness.errors import UserError

        try:
            if SESSION not in self.config.stash:
                with _uncaptured(self.config):  # so that the forkserver's output about model training is visible
                    self.config.stash[SESSION] = _begin(self.session)
            return self.config.stash[SESSION].examine(self.claim)
        except UserError as problem:
            mistake = _printed(str(problem))
        self.session.shouldstop = f"harness: {mistake}"
        pytest.fail(mistake, pytrace=False)

    def _story(self) -> str:
        """The failure in the lines of `harness run`: what was violated, where, and how to replay it."""
        from harness.words.narrative import failure_lines

        session = self.config.stash[SESSION]
        folder = session.run.folder.with_suffix("")  # its name once it is sealed
        lines = failure_lines(self.claim.id, self.claim.contract, self.result, str(folder), session.replay)
        if self.result["verdict"] == Verdict.ERROR.value:
            lines.append(f"  log       {folder}/claims/{self.claim.id}/log.txt")
        return "\n".join(map(_printed, lines))


def _uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    capture = config.pluginmanager.getplugin("capturemanager")
    uncaptured: AbstractContextManager[None] = capture.global_and_fixture_disabled() if capture else nullcontext()
    return uncaptured


def _begin(session: pytest.Session) -> SharedSession:
    """Open the run that this process writes to: the session's own run, or the run that the xdist workers share."""
    from harness.contract.names.reference import short
    from harness.run.options import Options
    from harness.run.settings import find
    from harness.run.shared_session import SharedSession

    config, checked = session.config, session.config.stash[CHECKED]
    shared = getattr(config, "workerinput", {})
    found = find(contract.path for contract in checked.contracts)
    options = Options(
        paths=[short(contract.path) for contract in checked.contracts],
        candidate=asked(config, "candidate") or found.get("candidate", "torch"),
        weights=asked(config, "weights") or found.get("weights"),
        device=asked(config, "device") or "auto",
        seed=_seed(asked(config, "seed") or "0"),
        workers=shared.get("workercount", 1),
    )
    folder = Path(shared["harness_folder"]) if shared else _folder(config)
    selected = [item.claim for item in session.items if isinstance(item, ClaimItem)]
    return SharedSession(folder, checked, selected, options)


def asked(config: pytest.Config, name: str) -> str | None:
    """An option from the command line, else from the ini file, whose paths are relative to that file."""
    from harness.run.settings import relative, seen

    given: str | None = config.getoption(f"harness_{name}")
    written: str = config.getini(f"harness_{name}")
    if given is not None or not written or not config.inipath:
        return given
    if name in ("candidate", "weights"):
        return relative(written, config.inipath.parent)
    return seen(written, config.inipath.parent) if name == "evidence" else written


def _seed(text: str) -> int:
    from harness.errors import UserError

    if not text.isdigit():
        raise UserError(f"--harness-seed: found {text!r}, expected a whole number")
    return int(text)


def _folder(config: pytest.Config) -> Path:
    """The folder of this session's run, which may not exist yet."""
    from harness.evidence.store import PARTIAL, new_id

    if FOLDER not in config.stash:
        config.stash[FOLDER] = Path(asked(config, "evidence") or "evidence") / (new_id() + PARTIAL)
    return config.stash[FOLDER]
