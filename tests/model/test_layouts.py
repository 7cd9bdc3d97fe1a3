"""A square tensor that a port reads in the other layout is named: by value, as its shape cannot tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.evidence.result import files
from harness.evidence.shape import of_body
from harness.models.families.folder import write
from harness.report.why import whys
from harness.words.narrative import claim_page, failure_lines
from tests.model.ports.port import Mistake
from tests.support.laboratory import changed, examine, shipped

CLAIM = "FALSIFY-DECODER-TRAINED-001"
TURN = "model.model.layers[1].self_attn.{}.weight.copy_(model.model.layers[1].self_attn.{}.weight.T.clone())"


def found(tmp_path: Path, statement: str) -> tuple[Any, Any, Any]:
    """The claim, its result and its stages for a port of a Granite whose projections are square."""
    write("granite", tmp_path / "granite")
    Mistake("granite", "", then=statement).write(tmp_path / "model.py", tmp_path / "granite")
    claim = changed(shipped(CLAIM)[0], budget_s=2)
    examined = examine(claim, {}, tmp_path, "model.py", weights=str(tmp_path / "granite"))
    return claim, files(claim, examined, device="cpu", seconds=0.0)[0], examined.follow_up.stages


@pytest.mark.parametrize("name", ["q_proj", "o_proj"])
def test_it_is_named_wherever_the_failure_is_told(tmp_path: Path, name: str) -> None:
    claim, result, stages = found(tmp_path, TURN.format(name, name))
    tensor = f"model.layers.1.self_attn.{name}.weight"
    assert not [*of_body(result, "result"), *of_body(stages, "stages")]
    assert stages["transposed"] == result["transposed"] == [tensor]
    told = f"layers.1.{name}; its values are those of {tensor} transposed"
    assert f"  stage     {told}" in failure_lines(claim.id, claim.contract, result, "run")
    assert f"{tensor} transposed" in claim_page(claim, result, stages).replace("\\", "").replace("`", "")
    assert f"Its values are those of {tensor} in the other layout, transposed." in whys(result, stages)


def test_nothing_is_named_where_the_stage_has_other_faults(tmp_path: Path) -> None:
    _, result, stages = found(tmp_path, "model.model.layers[1].self_attn.q_proj.weight.mul_(1.5)")
    assert result["first_divergent_stage"] == "layers.1.q_proj"
    assert "transposed" not in stages
    assert "transposed" not in result
