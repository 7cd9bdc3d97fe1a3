"""What a run's digests cover: no package that a verdict rests on may change without a word."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.contract.names.packages import HARNESS
from harness.evidence import provenance
from harness.subject import identity


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The package, to be edited."""
    return Path(shutil.copytree(HARNESS, tmp_path / "harness", ignore=shutil.ignore_patterns("__pycache__")))


def test_a_copy_has_the_same_digests_and_each_part_its_own(copied: Path) -> None:
    found = provenance.code_digests(copied)
    assert found == provenance.code_digests()
    assert len(set(found.values())) == len(found)


def test_an_edit_of_any_file_but_a_candidates_changes_the_digest_of_its_part_alone(copied: Path) -> None:
    before = provenance.code_digests(copied)
    folders = {path.parent for path in copied.rglob("*.py")}
    assert len(folders) > 30
    for folder in sorted(folders):
        part = folder.relative_to(copied).parts[:1]
        path = next(iter(sorted(folder.glob("*.py"))))
        text = path.read_bytes()
        path.write_bytes(text + b"# edited\n")
        after = provenance.code_digests(copied)
        changed = {name for name in before if after[name] != before[name]}
        path.write_bytes(text)
        expected = part[0] if part and part[0] in provenance.PARTS else provenance.ENGINE
        assert changed == (set() if part == ("candidates",) else {expected}), folder


def test_a_built_in_candidate_that_builds_on_another_has_its_bytes_in_its_identity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = identity.identity("torch_sdpa")
    digest = identity.file_digest
    monkeypatch.setattr(
        identity,
        "file_digest",
        lambda path: "edited" if path.match("torch/model/decoder.py") else digest(path),
    )
    assert identity.identity("torch_sdpa") != before
