"""ship.yaml: found upwards, checked, and its claims known."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.contract.ship import find_ship, load_ship
from harness.contract.validate import check
from tests.support.example_contract import CONTRACT, lay, told
from tests.support.repository import ROOT

SHIP = """\
targets:
  decoder:
    title: A decoder
    criteria:
    - id: D1
      title: the norm
      weight: 2
      effort_hours: 0.5
      claims: [FALSIFY-RMSNORM-EPS-001]
      open: [cuda]
"""


def test_the_plan_is_read_as_written(tmp_path: Path) -> None:
    lay(tmp_path)
    (tmp_path / "ship.yaml").write_text(SHIP)
    checked = check([tmp_path])
    assert told(checked) == []
    assert checked.files == 1
    assert checked.ship is not None
    criterion = checked.ship.targets[0].criteria[0]
    assert (criterion.id, criterion.weight, criterion.effort_hours) == ("D1", 2.0, 0.5)
    assert (criterion.claims, criterion.open) == (("FALSIFY-RMSNORM-EPS-001",), ("cuda",))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("weight: 2", "wieght: 2", "ship.yaml:7:7: error: unknown key 'wieght'; did you mean 'weight'?"),
        ("weight: 2", "weight: 0", "ship.yaml:7:15: error: criteria[0].weight: found 0, expected a number above 0"),
        ("weight: 2", "weight: .inf", "ship.yaml:7:15: error: criteria[0].weight: found .inf, expected a finite"),
        ("0.5", "-1", "ship.yaml:8:21: error: criteria[0].effort_hours: found -1, expected a number of hours"),
        (
            "EPS-001",
            "EPS-002",
            "ship.yaml:9:16: error: criterion D1: no claim 'FALSIFY-RMSNORM-EPS-002' in any contract",
        ),
        (
            "  decoder:",
            "  De coder:",
            "ship.yaml:2:3: error: found the key 'De coder', expected a kebab-case target id",
        ),
        ("targets:\n", "x: 1\ntargets:\n", "ship.yaml:1:1: error: unknown key 'x'"),
        (SHIP, "targets: {}\n", "ship.yaml:1:10: error: targets: found an empty map, expected a map of at least one"),
    ],
)
def test_mistakes_in_the_plan(tmp_path: Path, old: str, new: str, expected: str) -> None:
    lay(tmp_path)
    (tmp_path / "ship.yaml").write_text(SHIP.replace(old, new))
    checked = check([tmp_path])
    assert [line for line in told(checked) if line.startswith(expected)], told(checked)
    assert checked.ship is None


def test_a_criterion_appears_once_in_a_target(tmp_path: Path) -> None:
    (tmp_path / "ship.yaml").write_text(SHIP + SHIP[SHIP.index("    - id") :])
    ship, draft = load_ship(tmp_path / "ship.yaml")
    assert ship is None
    assert "criterion 'D1' appears twice in target 'decoder'" in str(draft.problems[0])


def test_a_blocking_claim_that_no_criterion_names_is_a_warning(tmp_path: Path) -> None:
    lay(tmp_path)
    other = CONTRACT.replace("rmsnorm-eps-threading", "other").replace("EPS-001", "EPS-002")
    lay(tmp_path, other, name="z.yaml")
    (tmp_path / "ship.yaml").write_text(SHIP)
    checked = check([tmp_path])
    assert (checked.errors, checked.warnings) == (0, 1)
    assert told(checked)[0].startswith(
        "z.yaml:11:7: warning: FALSIFY-RMSNORM-EPS-002 blocks shipping, but no criterion"
    )
    lay(tmp_path, other.replace("ship_blocking: true", "ship_blocking: false"), name="z.yaml")
    assert told(check([tmp_path])) == []


def test_claims_and_dependencies_may_lie_beside_what_was_asked_for(tmp_path: Path) -> None:
    root = tmp_path / "contracts"
    for name in ("ops", "model"):
        (root / name).mkdir(parents=True)
    lay(root / "ops")
    other = CONTRACT.replace("rmsnorm-eps-threading", "other").replace("EPS-001", "EPS-002")
    asked = lay(root / "model", other.replace("depends_on: []", "depends_on: [rmsnorm-eps-threading]"))
    (root / "ship.yaml").write_text(SHIP.replace("EPS-001]", "EPS-001, FALSIFY-RMSNORM-EPS-002]"))
    checked = check([asked])
    assert told(checked) == []
    assert checked.files == 1
    (root / "ops" / "rmsnorm.yaml").unlink()
    lines = told(check([asked]))
    assert len(lines) == 2
    assert any("no contract 'rmsnorm-eps-threading'" in line for line in lines)
    assert any("no claim 'FALSIFY-RMSNORM-EPS-001'" in line for line in lines)


def test_the_search_upwards_ends_at_contracts(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "contracts" / "ops"
    inner.mkdir(parents=True)
    (tmp_path / "a" / "ship.yaml").write_text(SHIP)
    assert find_ship(inner) is None
    (tmp_path / "a" / "contracts" / "ship.yaml").write_text(SHIP)
    assert find_ship(inner) == tmp_path / "a" / "contracts" / "ship.yaml"
    assert find_ship(tmp_path / "a") == tmp_path / "a" / "ship.yaml"
    (tmp_path / "a" / "free").mkdir()
    assert find_ship(tmp_path / "a" / "free") is None


def test_a_second_plan_is_told(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        lay(tmp_path / name, CONTRACT.replace("rmsnorm-eps-threading", name).replace("EPS-001", f"EPS-{name.upper()}"))
        (tmp_path / name / "ship.yaml").write_text(SHIP.replace("EPS-001", f"EPS-{name.upper()}"))
    lines = told(check([tmp_path / "a", tmp_path / "b"]))
    assert any(line.startswith("ship.yaml:1:1: warning: not used: ") for line in lines)


def test_the_shipped_plan_holds_the_five_systems() -> None:
    ship, draft = load_ship(ROOT / "contracts" / "ship.yaml")
    assert draft.problems == []
    assert ship is not None
    rows = {target.id: "".join(each.id[0] for each in target.criteria) for target in ship.targets}
    assert rows == {
        "decoder-forward": "D" * 8,
        "endpoint-trainer": "A" * 8,
        "training-engine": "C" * 9,
        "gdn-lora": "B" * 7,
        "packaging": "E" * 8,
    }
    for target in ship.targets:
        for number, criterion in enumerate(target.criteria, start=1):
            assert criterion.id[1:] == str(number)
            assert criterion.claims or criterion.open, f"{criterion.id} has neither a claim nor an open part"
