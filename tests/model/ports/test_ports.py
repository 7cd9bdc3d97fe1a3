"""A port with one mistake of each kind is FALSIFIED, and the first line of its failure names the stage or the key."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.evidence.result import files
from harness.falsifiers.model.mutants.checkpoint import MUTANTS, caches
from harness.models.families.folder import write
from harness.reference.model.families import FAMILIES
from harness.words.narrative import failure_lines
from tests.model.ports.keys import KEYS
from tests.model.ports.port import Mistake
from tests.model.ports.stages import MISTAKES
from tests.support.command import harness
from tests.support.laboratory import changed, examine, shipped

LOGITS, FOLLOWED = "FALSIFY-DECODER-TRAINED-001", "FALSIFY-CHECKPOINT-KEYS-001"
NO_MISTAKE = {"changed_keys_refused"}
"""What a port may do; the claim it would make green is what its mutant is about."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Mistake], Path]:
    """The small random model of a mistake's family, written once."""

    @functools.cache
    def made(family: str, variant: str) -> Path:
        path = tmp_path_factory.mktemp(f"{family}-{variant}")
        write(family, path, variant)
        return path

    return lambda mistake: made(mistake.family, mistake.variant)


def first_line(claim_id: str, mistake: Mistake, checkpoint: Path, path: Path) -> str:
    """The first line of the failure of the claim without its mutants."""
    mistake.write(path / "model.py", checkpoint)
    claim = changed(shipped(claim_id)[0], budget_s=2)
    found = examine(claim, {}, path, "model.py", weights=str(checkpoint))
    result, _ = files(claim, found, device="cpu", seconds=0.0)
    assert result["verdict"] == "FALSIFIED", result["reason"]
    return failure_lines(claim.id, claim.contract, result, "run")[0]


def test_every_kind_of_mutant_but_those_of_caches_has_a_port_and_every_family_too() -> None:
    of_caches = {name for name, mutant in MUTANTS.items() if mutant.__module__ == caches.__name__}
    assert MISTAKES.keys() | KEYS.keys() == MUTANTS.keys() - of_caches - NO_MISTAKE
    assert {mistake.family for mistake in (*MISTAKES.values(), *KEYS.values())} == FAMILIES.keys()


@pytest.mark.sample(3)
@pytest.mark.parametrize("kind", MISTAKES)
def test_the_stage_is_named(folder: Callable[[Mistake], Path], tmp_path: Path, kind: str) -> None:
    mistake = MISTAKES[kind]
    told = first_line(LOGITS, mistake, folder(mistake), tmp_path)
    assert told == f"FALSIFIED {LOGITS} (checkpoint): stage {mistake.named}"


@pytest.mark.sample(1)
@pytest.mark.parametrize("kind", KEYS)
def test_the_key_is_named(folder: Callable[[Mistake], Path], tmp_path: Path, kind: str) -> None:
    mistake = KEYS[kind]
    told = first_line(FOLLOWED, mistake, folder(mistake), tmp_path)
    assert told.startswith(f"FALSIFIED {FOLLOWED} (checkpoint): not_followed, {mistake.named}")


def test_a_run_says_it_first(folder: Callable[[Mistake], Path], tmp_path: Path) -> None:
    mistake = MISTAKES["output_bias_dropped"]
    mistake.write(tmp_path / "model.py", folder(mistake))
    words = ["--candidate", "model.py", "--weights", str(folder(mistake)), "--device", "cpu", "--no-mutants"]
    done = harness(tmp_path, "run", "builtin:model", "-k", LOGITS, *words)
    assert f"\nFALSIFIED {LOGITS} (checkpoint): stage {mistake.named}\n" in done.stdout, done.stderr
