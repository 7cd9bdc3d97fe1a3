"""Contracts as pytest items: `pytest contracts/` runs every claim, in a process of its own, into sealed evidence.

A session without contracts pays for this module and for one look at each YAML file, nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.judging.verdict import Verdict
from harness.pytest_plugin.session_end import CONTRACTS, VERDICT, SessionEnd

if TYPE_CHECKING:
    from harness.contract.validate import Checked
    from harness.judging.result import Result
    from harness.run.shared_session import SharedSession

KEY = re.compile(rb"^[\"']?falsification_tests[\"']?[ \t]*:", re.MULTILINE)
PIECE = 1 << 20
BROKEN_CHECKS = (Verdict.ERROR, Verdict.UNSOUND, Verdict.VACUOUS)
OPTIONS = {
    "candidate": ("C", "what is tried: torch, file.py[:NAME], hf:DIR, gguf:FILE ... (default: as `harness run`)"),
    "weights": ("HF_DIR", "a checkpoint folder that stands in for the built-in model"),
    "device": ("D", "auto, cpu, cuda or cuda:N"),
    "seed": ("N", "seed of the cases (default: 0)"),
    "evidence": ("DIR", "where the run's evidence goes (default: evidence)"),
}
FILES = pytest.StashKey[list[Path]]()
FOLDER = pytest.StashKey[Path]()
CHECKED = pytest.StashKey["Checked"]()
SESSION = pytest.StashKey["SharedSession"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of `harness run` that make sense here, also as ini options with _ for -."""
    group = parser.getgroup("harness", "contracts and falsifiers")
    for name, (metavar, text) in OPTIONS.items():
        group.addoption(f"--harness-{name}", metavar=metavar, default=None, help=text)
        parser.addini(f"harness_{name}", default="", help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Verdicts are counted and evidence is sealed where reports arrive: with xdist, where the work is handed out."""
    config.stash[FILES] = []
    if not hasattr(config, "workerinput"):
        end = SessionEnd(lambda: _folder(config), lambda: FOLDER in config.stash)
        config.pluginmanager.register(end, "harness_session_end")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A YAML file with falsification tests is a contract."""
    if file_path.suffix not in CONTRACTS or file_path.name.startswith(".") or not holds_claims(file_path):
        return None
    return ContractFile.from_parent(parent, path=file_path)


def holds_claims(path: Path) -> bool:
    """Whether a line begins with the key of claims; read piece by piece, for there are YAML files of any size."""
    rest = b""
    try:
        with path.open("rb") as stream:
            while piece := stream.read(PIECE):
                if KEY.search(rest + piece):
                    return True
                rest = piece[piece.rfind(b"\n") :][-100:] if b"\n" in piece else b" "
    except OSError:
        pass  # a file that cannot be read is no contract, and no business of ours
    return False


class ContractFile(pytest.File):
    """A contract: one item for each claim."""

    def collect(self) -> Iterator[pytest.Item]:
        """Raises: CollectError with a line for each mistake in the contract."""
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
    """What contracts are to each other is checked once all are there; those that others rest on come first."""
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
    return [str(problem) for problem in checked.problems if problem.severity == "error"]


class ClaimItem(pytest.Item):
    """A claim: FALSIFIED fails, a broken check is an error, what is not DISCHARGED is a skip that says so."""

    def __init__(self, *, claim: Any, **given: Any) -> None:
        super().__init__(**given)
        self.claim = claim
        self.result: Result
        """Set when the item is set up."""
        self.user_properties.append((VERDICT, Verdict.UNVERIFIED.value))  # until something is known

    def setup(self) -> None:
        """The claim runs here: what is wrong with the check itself is an error, no failure of the candidate."""
        self.result = self._examined()
        verdict = Verdict(self.result["verdict"])
        self.user_properties[:] = [(VERDICT, verdict.value)]
        if verdict in BROKEN_CHECKS:
            pytest.fail(self._story(), pytrace=False)
        if verdict not in (Verdict.FALSIFIED, Verdict.DISCHARGED):
            raise pytest.skip.Exception(f"{verdict}: {self.result['reason']}", _use_item_location=True)

    def runtest(self) -> None:
        """Fails, without a traceback, if the candidate violated a limit."""
        if self.result["verdict"] != Verdict.DISCHARGED.value:
            pytest.fail(self._story(), pytrace=False)

    def reportinfo(self) -> tuple[Path, int, str]:
        """The contract's line."""
        return self.path, self.claim.line - 1, self.name

    def _examined(self) -> Result:
        """The result; a mistake on the command line stops the session, for every claim would say the same."""
        from harness.errors import UserError

        try:
            if SESSION not in self.config.stash:
                with _uncaptured(self.config):  # so that the forkserver shows the training of a model
                    self.config.stash[SESSION] = _begin(self.session)
            return self.config.stash[SESSION].examine(self.claim)
        except UserError as problem:
            mistake = str(problem)
        self.session.shouldstop = f"harness: {mistake}"
        pytest.fail(mistake, pytrace=False)

    def _story(self) -> str:
        """The claim as `harness run` tells it: what was violated, where, and how to see it again."""
        from harness.words.narrative import failure_lines

        folder = self.config.stash[SESSION].run.folder.with_suffix("")  # its name once it is sealed
        lines = failure_lines(self.claim.id, self.claim.contract, self.result, str(folder))
        if self.result["verdict"] == Verdict.ERROR.value:
            lines.append(f"  log       {folder}/claims/{self.claim.id}/log.txt")
        return "\n".join(lines)


def _uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    capture = config.pluginmanager.getplugin("capturemanager")
    uncaptured: AbstractContextManager[None] = capture.global_and_fixture_disabled() if capture else nullcontext()
    return uncaptured


def _begin(session: pytest.Session) -> SharedSession:
    """The run that this process writes to: the session's own, or the one that the workers of xdist share."""
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
    """An option of the command line, else of the ini file, whose paths are relative to that file."""
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
    """Where this session's run is written, made or not."""
    from harness.evidence.store import PARTIAL, new_id

    if FOLDER not in config.stash:
        config.stash[FOLDER] = Path(asked(config, "evidence") or "evidence") / (new_id() + PARTIAL)
    return config.stash[FOLDER]
