"""The types of run.json: the inputs of a run, the selected claims, and their results."""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict

from harness.judging.result import ClaimRow, MergedRow
from harness.judging.ship import TargetRow

if TYPE_CHECKING:  # these modules import NumPy or know torch, which a reader of run.json does not need
    from harness.subject.device_facts import DeviceFacts
    from harness.subject.identity import Identity

SCHEMA = 4
"""The version of the evidence's layout.

2: claims have `selected`, `cause` and `root_cause_class`. 3: `host` has `device` and no `driver`; result.json has
`settings`; claims have `survived_on`, targets have `platform`. 4: `contracts/` holds the contracts.
"""


class Machine(TypedDict):
    """The computer on which the run was made."""

    python: str
    system: str
    cores: int | None
    blas: str
    device: DeviceFacts | None
    """None if the device that was asked for is missing."""


class Host(TypedDict):
    """What `harness.run.probe` finds once per run: the device, the versions, the candidate's identity."""

    device_asked: str
    device: str
    device_missing: str | None
    candidate: Identity
    host: Machine
    versions: dict[str, str]
    isolation: NotRequired[str]
    """How an external program, or a candidate under --isolate, is kept from others' files: `landlock` or `none`. Absent in older evidence."""


class Options(TypedDict):
    """The options that decide what is computed."""

    paths: list[str]
    candidate: str
    weights: str | None
    device: str
    seed: int
    select: str
    no_mutants: bool
    search_s: NotRequired[float | None]
    """Seconds by which a search was to lengthen the run."""
    isolate: NotRequired[bool]
    """Whether a candidate in Python ran in a process that knew nothing of the claim."""


class Checkpoint(TypedDict):
    """The checkpoint folder that replaced the built-in models, with the digest of its content."""

    folder: str
    sha256: str | None


class ContractEntry(TypedDict):
    """A contract's place and identity."""

    id: str
    path: str
    repository_path: str | None
    lines: dict[str, int]
    sha256: str
    files: dict[str, str]
    depends_on: list[str]


class Begun(Host):
    """What is known before the first claim runs."""

    schema: int
    harness: str
    began: str
    options: Options
    seed: int
    weights: Checkpoint | None
    code: dict[str, str]
    contracts: list[ContractEntry]


class Running(Begun):
    """run.json of a run that is not sealed yet; only a pytest session writes `selected` when the run begins."""

    status: str
    id: str
    selected: NotRequired[list[str]]


class Outcome(TypedDict):
    """The results of a run: counts by verdict, every claim, every target."""

    counts: dict[str, int]
    claims: list[ClaimRow]
    targets: list[TargetRow]


class RunBody(Begun, Outcome):
    """run.json of a sealed run."""

    status: str
    id: str
    selected: list[str]
    seconds: float


class Merged(TypedDict):
    """The merged results of several runs."""

    counts: dict[str, int]
    claims: list[MergedRow]
    targets: list[TargetRow]
