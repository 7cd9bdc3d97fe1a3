"""How a run differs from what is at hand: one line each, with both digests and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion

from harness.errors import UserError
from harness.evidence import store
from harness.evidence.body import Checkpoint, ContractEntry
from harness.evidence.merge import candidate_parts
from harness.evidence.release.at_hand import AtHand
from harness.judging.result import FilesRead
from harness.subject.identity import Identity
from harness.subject.sources import file_digest

SHOWN = 3
"""Files that one line names; the rest are counted."""


class Differences:
    """Collects lines about one run: what makes it STALE, and what was `trusted` though its source is not here."""

    def __init__(self, run: str, hand: AtHand) -> None:
        self.trusted: list[str] = []
        self._run, self._hand = run, hand
        self._found: list[str] = []

    def take(self) -> list[str]:
        """The lines found since the last call."""
        found, self._found = self._found, []
        return found

    def candidate(self, then: Identity) -> None:
        """Another candidate, other source of it, other code that opens it, or none here."""
        hand, spec = self._hand, self._hand.named.candidate
        asked: Identity = {"spec": spec, "sha256": None}
        if candidate_parts(then)["spec"] != candidate_parts(asked)["spec"]:
            self._found.append(
                f"{self._run} is of candidate {then['spec']} ({_short(then['sha256'])}), at hand is {spec} "
                f"({_short(hand.candidate and hand.candidate['sha256'])}): run that, or name what you ship with "
                "--candidate"
            )
        elif hand.candidate is None:
            self._missing(f"candidate {spec} ({_short(then['sha256'])} in {self._run}): {hand.lack}")
        else:
            self._digest(f"candidate {spec}", then["sha256"], hand.candidate["sha256"])
            self._digest(f"the code that opens {spec}", then.get("reader"), hand.candidate.get("reader"))

    def weights(self, then: Checkpoint | None) -> None:
        """Other weights than those of --weights, or none."""
        now = self._hand.weights
        if now is not None and now["sha256"] is None:
            self._missing(f"weights {now['folder']}: no config.json there")
        elif then is not None and now is None:
            self._missing(f"weights {then['folder']} ({_short(then['sha256'])} in {self._run}): give --weights DIR")
        elif now is not None:
            self._digest(f"weights {now['folder']}", then and then["sha256"], now["sha256"])

    def code(self, then: Mapping[str, str]) -> None:
        """Another engine, or another package on which a verdict depends."""
        now = self._hand.code
        for name in sorted({*now, *then}):
            self._digest(f"package {name}", then.get(name), now.get(name))

    def versions(self, then: Mapping[str, str], python: str) -> None:
        """A version outside the range that this Harness asks for."""
        for name, asked in _ranges():
            held = python if name == "python" else then.get(name)
            if held is not None and not _within(held, asked):
                self._found.append(
                    f"{self._run} was made with {name} {held}, this Harness asks for {asked}: run again with that"
                )

    def contract(self, then: ContractEntry) -> None:
        """Another contract of the same id, other files that it binds, or none of that id at hand."""
        now, name = self._hand.contracts.get(then["id"]), f"contract {then['id']}"
        if now is None:
            where = ", ".join(self._hand.places)
            self._found.append(
                f"{name} ({_short(then['sha256'])} in {self._run}) is not among those of {where}: "
                "name its place with --contracts PATH"
            )
            return
        self._digest(name, then["sha256"], now["sha256"])
        for file in sorted({*now["files"], *then["files"]}):
            self._digest(f"{name}, {file}", then["files"].get(file), now["files"].get(file))

    def files_read(self, claim: Path) -> None:
        """Another content of a file that the claim's process read, or none here."""
        read: FilesRead | None = store.read_json(claim / "result.json").get("read")
        if read is None:
            self._found.append(f"{self._run} does not say which files {claim.name} read: run again")
            return
        changed, missing = list[str](), list[str]()
        for name, place, then in _places(read, self._hand.folders):
            if place is None or not place.is_file():
                missing.append(f"{name} ({_short(then)} in {self._run})")
            elif (now := file_digest(place)) != then:
                changed.append(f"{name} ({_short(then)} in {self._run}, {_short(now)} at hand)")
        if changed:
            self._found.append(f"read {_listed(changed)}: run again, or check out what was run")
        if missing:
            self._missing(f"files that were read: {_listed(missing)}: gate in the folder of the run")
        if read["left_out"]:
            self._missing(f"{read['left_out']} files that {claim.name} read, too many or too large to digest")

    def _digest(self, name: str, then: str | None, now: str | None) -> None:
        if then != now:
            self._found.append(
                f"{name}: {_short(then)} in {self._run}, {_short(now)} at hand: run again, or check out what was run"
            )

    def _missing(self, what: str) -> None:
        if self._hand.named.trust_missing:
            self.trusted.append(f"not here, taken as recorded: {what}")
        else:
            self._found.append(f"not here: {what}; bring it, or accept that with --trust-missing")


def _places(read: FilesRead, folders: Mapping[str, Path | None]) -> Iterator[tuple[str, Path | None, str]]:
    """(name, where it lies at hand, SHA-256 then); a name that leads out of its folder lies nowhere."""
    for root, names in (("candidate", read["candidate"]), ("working", read["working"])):
        folder = folders[root]
        for name, then in names.items():
            inside = not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
            yield name, folder / name if folder is not None and inside else None, then


def _ranges() -> Iterator[tuple[str, SpecifierSet]]:
    """Every package, `python` among them, of which this Harness asks for a range, in its extras too."""
    try:
        about = metadata.metadata("harness")
    except metadata.PackageNotFoundError:
        raise UserError(
            "the versions that this Harness asks for are not known: it is not installed as a package; pip install it"
        ) from None
    yield "python", SpecifierSet(about["Requires-Python"])
    for text in about.get_all("Requires-Dist") or []:
        asked = Requirement(text)
        yield asked.name, asked.specifier


def _within(version: str, asked: SpecifierSet) -> bool:
    try:
        return asked.contains(version, prereleases=True)
    except InvalidVersion:
        return False


def _short(sha256: str | None) -> str:
    return "no SHA-256" if sha256 is None else f"SHA-256 {sha256[:12]}…"


def _listed(texts: list[str]) -> str:
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return ", ".join(texts[:SHOWN]) + more
