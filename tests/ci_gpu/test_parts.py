"""ci/gpu_parts.py: the order, what `--quick` leaves out, the time of each part, and that the claims exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gpu_parts
import pytest

from harness.commands.main import parser
from harness.contract.claim import Claim
from harness.contract.selection import selector
from harness.contract.validate import check
from tests.support.repository import CONTRACTS, ROOT

ORDER = ["D", "ops", "B", "A", "C", "triton", "E6", "cuda_graph", "torch_compile", "sixteen_bit", "false_alarms"]


def test_the_order_is_that_of_the_plan_and_quick_leaves_out_the_slow_ones() -> None:
    assert [part.name for part in gpu_parts.parts("cuda")] == ["model", *ORDER]
    quick = [part.name for part in gpu_parts.parts("cuda", quick=True)]
    assert quick == ["model", *(name for name in ORDER if name not in gpu_parts.SLOW)]


GOALS = [("cuda", False, 480), ("cuda", True, 180), ("cpu", False, 900), ("rehearsal", False, 900)]


@pytest.mark.parametrize(("platform", "quick", "goal"), GOALS)
def test_the_limits_keep_the_sum_whatever_each_part_takes(platform: str, quick: bool, goal: float) -> None:
    parts = gpu_parts.parts(platform, quick=quick)
    seconds = gpu_parts.whole_seconds(platform, quick=quick)
    assert seconds < goal
    for taken in (1.0, 0.3):  # every part runs into its limit, or uses a third of it
        left = seconds
        for at, part in enumerate(parts):
            given = gpu_parts.limit(part, parts[at + 1 :], left)
            assert given > 0
            left -= taken * given
        assert left >= -1e-6
    assert gpu_parts.limit(parts[-1], [], 7.0) == 7.0  # what was not used is left to the last
    assert gpu_parts.limit(parts[0], parts[1:], -1.0) == 0.0


@pytest.fixture(scope="module")
def claims() -> list[Claim]:
    """Every shipped claim."""
    return [claim for contract in check([CONTRACTS]).contracts for claim in contract.claims]


def selected(part: Any, claims: list[Claim]) -> set[str]:
    """The claims that a part runs."""
    wanted, places = selector(part.select), [ROOT / path for path in part.paths]
    paths = {claim.path: Path(claim.path).resolve() for claim in claims}
    inside = [c for c in claims if any(place in (paths[c.path], *paths[c.path].parents) for place in places)]
    return {claim.id for claim in inside if wanted(claim)}


def test_every_part_runs_claims_that_exist_and_every_system_is_run(claims: list[Claim]) -> None:
    for quick in (False, True):
        run: set[str] = set()
        for part in gpu_parts.parts("cuda", quick=quick):
            if part.command:
                assert (ROOT / part.command[0]).is_file()
                continue
            found = selected(part, claims)
            assert len(found) >= (1 if part.name == "E6" else 2), part.name
            run |= found if part.candidate == "torch" else set()
        folders = ("model", "ops", "adapters", "training", "performance")
        every = {c.id for c in claims if Path(c.path).parent.name in folders}
        assert (run >= every) is not quick


def test_each_word_of_a_selection_selects_a_claim(claims: list[Claim]) -> None:
    for part in gpu_parts.parts("cuda", quick=True) + gpu_parts.parts("cuda") + gpu_parts.parts("cpu"):
        for word in filter(None, part.select.split(" or ")):
            assert any(selector(word)(claim) for claim in claims), (part.name, word)


def test_the_claims_of_a_file_are_read_as_the_checker_reads_them(claims: list[Claim]) -> None:
    for path in {claim.path for claim in claims}:
        assert gpu_parts.claims_in(Path(path)) == [claim.id for claim in claims if claim.path == path]


def test_parts_of_your_own_are_read_from_a_file_and_an_unknown_key_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "parts.yaml"
    file.write_text("- {name: mine, paths: [c], candidate: kernels.py, select: rmsnorm}\n")
    (part,) = gpu_parts.own(file)
    assert (part.name, part.title, part.share) == ("mine", "mine", 1.0)
    assert "kernels.py" in part.words("cpu", tmp_path)
    file.write_text("- {name: mine, path: [c]}\n")
    with pytest.raises(ValueError, match=r"parts\.yaml: part 1: found 'path', expected name, "):
        gpu_parts.own(file)


def test_a_and_c_split_the_training_contracts() -> None:
    a, c = gpu_parts.training("endpoint"), gpu_parts.training("engine")
    assert not set(a) & set(c)
    assert {ROOT / path for path in (*a, *c)} == set((CONTRACTS / "training").glob("*.yaml"))
    assert "contracts/training/endpoint.yaml" in a
    assert {"contracts/training/adamw.yaml", "contracts/training/seq2seq.yaml"} <= set(c)


def test_the_command_line_is_one_that_harness_takes(tmp_path: Path) -> None:
    for part in gpu_parts.parts("cuda"):
        for resume in (None, tmp_path / "x.partial"):
            words = part.words("cuda", tmp_path, resume)
            if not part.command:
                asked = parser().parse_args(words[words.index("harness") + 1 :])
                assert asked.resume == (str(resume) if resume else None)
                assert resume or asked.device == "cuda"


def test_triton_is_interpreted_where_there_is_no_cuda() -> None:
    by_platform = {p: next(x for x in gpu_parts.parts(p) if x.name == "triton") for p in ("cuda", "cpu", "rehearsal")}
    assert (by_platform["cuda"].environment, by_platform["cuda"].device) == ({}, "")
    assert by_platform["rehearsal"].device == "cpu"
    assert "torch_compile" not in [part.name for part in gpu_parts.parts("rehearsal")]
    assert by_platform["cpu"].environment == by_platform["rehearsal"].environment == {"TRITON_INTERPRET": "1"}
