"""Write and read the evidence folder of a run: claims are added one by one, then the run is sealed and only read."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

from harness.contract.claim import Claim
from harness.contract.text.reader import load_yaml
from harness.errors import UserError
from harness.evidence import manifest
from harness.evidence.body import RunBody
from harness.words.plain import say

PARTIAL = ".partial"
SEAL = "digest.json"
LOCK = "writer.lock"
"""In an unsealed run: locked by the process that writes it, whose number it holds."""
LARGEST = 1 << 28
"""Bytes of the largest JSON file that is read; the largest of a whole run of 238 claims has some megabytes."""

SURROGATE = re.compile(r"\\ud[89a-f]", re.IGNORECASE)
"""The escape of half a character."""


class ClaimSeal(TypedDict):
    """The content of digest.json."""

    files: dict[str, str]


class Run:
    """An unsealed run; its folder is `<run-id>.partial` until the run is sealed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._deposited: dict[str, dict[str, str]] = {}
        """Claim -> the digests of its files when it ended, kept where nothing that is tested can write."""
        (folder / "claims").mkdir(parents=True, exist_ok=True)

    def hold(self) -> None:
        """Keep the digests of the claims that a killed run finished and whose files match them, before anything runs.

        `seal` compares them as it does those of `deposit`.
        """
        for path in sorted((self.folder / "claims").iterdir()):
            found = manifest.digests(path)
            if whole(path):
                self._deposited[path.name] = found

    @property
    def id(self) -> str:
        return self.folder.name.removesuffix(PARTIAL)

    def deposit(self, claim: str, files: Mapping[str, bytes]) -> Path:
        """Write a claim's files and their digests beside the evidence, then move them into it by one rename.

        The digests are those of the bytes given, whatever else may write there meanwhile.
        """
        source, target = self.folder / "staging" / claim, self.folder / "claims" / claim
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
        seal: ClaimSeal = {"files": digests}
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir(parents=True)
        for name, data in {**files, SEAL: as_json(seal)}.items():
            (source / name).write_bytes(data)
        if target.exists():
            shutil.rmtree(target)
        os.replace(source, target)
        self._deposited[claim] = {**digests, SEAL: hashlib.sha256(as_json(seal)).hexdigest()}
        return target

    @property
    def held(self) -> frozenset[str]:
        """Ids of the claims whose digests this process holds."""
        return frozenset(self._deposited)

    def seal(self, body: RunBody) -> Path:
        """Write run.json and the manifest, then remove `.partial` from the folder's name.

        Raises: UserError if a claim's files are not what they were when the claim ended.
        """
        for claim, digests in self._deposited.items():
            path = self.folder / "claims" / claim
            found = manifest.digests(path) if path.is_dir() else {}
            for name in sorted(each for each in {*found, *digests} if found.get(each) != digests.get(each)):
                then, now = (f"{each.get(name, 'none')[:12]}" for each in (digests, found))
                raise UserError(
                    f"{path / name}: changed after the claim ended (SHA-256 {then}, now {now}); something that ran "
                    "here writes into the evidence. It is not sealed: find what wrote there, and run again",
                    code=1,
                )
        shutil.rmtree(self.folder / "staging", ignore_errors=True)
        (self.folder / LOCK).unlink(missing_ok=True)
        write_json(self.folder / "run.json", body)
        manifest.write(self.folder)
        target = self.folder.with_name(self.id)
        os.replace(self.folder, target)
        return target


@contextlib.contextmanager
def writing(run: Path, *, together: bool = False) -> Iterator[None]:
    """Hold the run against a second writer; the lock ends with this process, however it ends.

    `together`: the processes of one pytest session write one run; they hold it against others alone.

    Raises: UserError naming the process that writes the run already.
    """
    lock = os.open(run / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if together else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(lock, 20).decode("ascii", "replace") or "another"
            raise UserError(f"{run}: process {pid} is writing this run; wait until it ends, or stop it") from None
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        yield
    finally:
        os.close(lock)


def whole(claim: Path) -> bool:
    """Whether a deposited claim's files match its digest.json."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return bool(read_json(claim / SEAL)["files"] == manifest.digests(claim, skip=(SEAL,)))
    return False


def begin(root: Path) -> Run:
    """Begin a new run below `root`.

    Raises: UserError with code 4 if there can be no folder.
    """
    try:
        return Run(root / (new_id() + PARTIAL))
    except OSError as problem:
        raise UserError(
            f"--evidence {root}: {problem.strerror}; expected a folder that can be written; nothing was run", code=4
        ) from None


def new_id() -> str:
    """A name for a run: the time and a few random digits."""
    return f"{datetime.now(UTC).strftime('%Y%m%dT%H%M%SZ')}-{secrets.token_hex(3)}"


def resume(folder: Path) -> Run:
    """Open a killed run in order to complete it; what its finished claims hold now is what may be sealed.

    Raises: UserError if the folder is not an unfinished run.
    """
    if not folder.name.endswith(PARTIAL) or not (folder / "run.json").is_file():
        raise UserError(
            f"--resume {folder}: expected an unfinished run, a folder named <run-id>{PARTIAL} with run.json"
        )
    run = Run(folder)
    run.hold()
    return run


def sealed(path: Path) -> Path:
    """The sealed run at a path: the path itself, or the one below it that began last, whatever its name.

    Raises: UserError if there is none.
    """
    if (path / manifest.NAME).is_file():
        return path
    if not path.is_dir():
        raise UserError(f"{path}: not found; give an evidence folder, as `harness run` printed it")
    if path.name.endswith(PARTIAL):
        raise UserError(f"{path}: an unfinished run; complete it with `harness run --resume {path}`")
    if (path / "run.json").is_file():
        raise UserError(f"{path / manifest.NAME}: not found; this run was never sealed, or its manifest was removed")
    found = [p for p in path.iterdir() if (p / manifest.NAME).is_file()]
    if not found:
        raise UserError(f"{path}: holds no sealed run; make one with `harness run contracts/`")
    return max(found, key=began)


def began(run: Path) -> tuple[str, str]:
    """When a run began, then its name; a run that cannot be read comes last, so that it is told and not passed over."""
    with contextlib.suppress(UserError, ValueError, TypeError, KeyError):
        when = datetime.fromisoformat(read_json(run / "run.json")["began"])
        return when.astimezone(UTC).isoformat(), run.name
    return "~", run.name


def sealed_runs(paths: Iterable[Path]) -> list[Path]:
    """The sealed runs at several paths, each once, in the order of the paths.

    A plain file is skipped with a line on stderr, because `evidence/*` also matches evidence/README.md.
    Raises: UserError for a path that does not exist, a folder without a sealed run, or if only files were given.
    """
    paths = list(paths)
    files = [path for path in paths if path.is_file()]
    found = [sealed(path) for path in paths if path not in files]
    if not found:
        raise UserError(f"{', '.join(map(str, files))}: no run; give an evidence folder, as `harness run` printed it")
    for path in files:
        say(f"harness: {path}: a file and no run; skipped", stderr=True)
    return list(dict.fromkeys(found))


def claims(run: Path) -> Iterator[tuple[str, Path]]:
    """Claim id and folder of every claim in a run, sorted."""
    for path in sorted((run / "claims").iterdir()):
        yield path.name, path


def entry(claim: Path) -> Claim:
    """A claim's contract entry, read from the `claim.yaml` in its folder.

    Raises: UserError if it is missing or no entry.
    """
    path = claim / "claim.yaml"
    try:
        held = load_yaml(path)[0]
        return Claim(held["contract"], held["path"], held["line"], {**held["claim"]})
    except (OSError, KeyError, TypeError):
        raise UserError(f"{path}: not found or not the entry of a claim, which a run writes there") from None


def as_json(value: Any) -> bytes:
    """Strict JSON (no NaN), as every file of evidence has it."""
    return (json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode("utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON; the file is replaced by a rename, so it is never half written."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(as_json(value))
    os.replace(temporary, path)


def read_json(path: Path) -> Any:
    """Read the JSON of an evidence file.

    Raises: UserError with one line if it is missing or damaged.
    """
    try:
        size = path.lstat().st_size
        if size > LARGEST:
            raise UserError(f"{path}: {size} bytes, expected at most {LARGEST}; no run writes a file of that size")
        text = path.read_text(encoding="utf-8")
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
        if SURROGATE.search(text):
            json.dumps(found, ensure_ascii=False).encode()  # a lone one is no text, and no schema can be asked about it
        return found
    except FileNotFoundError:
        raise UserError(f"{path}: not found in the evidence") from None
    except RecursionError:
        raise UserError(f"{path}: damaged (nested too deep)") from None
    except ValueError as damaged:
        raise UserError(f"{path}: damaged ({damaged})") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises: ValueError for a key that stands twice, of which other readers may take the first."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in one object")
    return found


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")
