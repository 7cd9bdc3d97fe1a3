"""What a run's digests cover: no package that a verdict rests on may change without a word."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_architecture import HOUSE

from harness import candidate, provenance


def test_every_package_of_the_house_is_in_the_digests_or_is_the_candidate() -> None:
    assert set(provenance.PACKAGES) | {"candidates"} == set(HOUSE)
    digests = provenance.code_digests()
    assert set(digests) == set(provenance.PACKAGES)
    assert len(set(digests.values())) == len(digests)


@pytest.mark.parametrize("package", ["formats", "consumers", "falsifiers"])
def test_a_changed_byte_changes_the_packages_digest(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = provenance.tree_digest(package)
    root = Path(__file__).resolve().parent.parent / package
    copy = tmp_path / f"{package}_copied"
    for path in root.rglob("*.py"):
        target = copy / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    monkeypatch.syspath_prepend(str(tmp_path))
    assert provenance.tree_digest(copy.name) == before
    next(iter(sorted(copy.rglob("*.py")))).write_text("# edited\n")
    assert provenance.tree_digest(copy.name) != before


def test_a_built_in_candidate_that_builds_on_another_has_its_bytes_in_its_identity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = candidate.identity("torch_sdpa")
    digest = candidate.file_digest
    monkeypatch.setattr(
        candidate, "file_digest", lambda path: "edited" if path.match("candidates/torch/decoder.py") else digest(path)
    )
    assert candidate.identity("torch_sdpa") != before
