"""Ids of imported contracts: made ours, kept apart from each other, and followed in `depends_on`."""

from __future__ import annotations

from pathlib import Path

from harness.contract.validate import check
from harness.provable.batch import Batch
from harness.provable.names import MOST, apart, claim_id, contract_id
from tests.support.provable.importing import ONE, as_text, imported


def test_an_id_that_another_file_there_has_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ONE)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "other.yaml").write_text("metadata: {id: a, version: 1.0.0}\nfalsification_tests: []\n")
    code, report = imported(tmp_path, tmp_path / "a.yaml", more=("--force",))
    assert code == 2
    assert "its contract id 'a' is already that of" in report["failed"][0]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["other.yaml"]


def test_files_of_one_id_are_told_apart_by_their_folder_or_named(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.yaml").write_text(ONE)
    code, report = imported(tmp_path, tmp_path / "x", tmp_path / "y")
    assert code == 0
    assert [each["id"] for each in report["imported"]] == ["x-a", "y-a"]
    assert [each["renamed"] for each in report["imported"]] == [
        {"FALSIFY-A-001": "X-A-FALSIFY-A-001"},
        {"FALSIFY-A-001": "Y-A-FALSIFY-A-001"},
    ]
    assert not check([tmp_path / "out"]).problems
    for name in ("b", "c"):
        (tmp_path / "x" / f"{name}.yaml").write_text("contract: same\n" + ONE)
    code, report = imported(tmp_path, tmp_path / "x" / "b.yaml", tmp_path / "x" / "c.yaml", out="two")
    assert code == 2
    assert report["failed"] == [
        f"{tmp_path / 'x' / 'c.yaml'}: its contract id 'x-same' is that of {tmp_path / 'x' / 'b.yaml'} too; "
        "import it alone, with --out"
    ]


def test_a_second_import_keeps_clear_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ONE)
    (tmp_path / "b.yaml").write_text(ONE.replace("{version", "{depends_on: [a, nowhere], version"))
    imported(tmp_path, tmp_path / "a.yaml")
    code, report = imported(tmp_path, tmp_path / "b.yaml")
    assert code == 0
    assert report["imported"][0]["renamed"] == {"FALSIFY-A-001": "B-FALSIFY-A-001"}
    assert "depends_on 'nowhere': no such contract is imported or in the folder; kept" in report["imported"][0]["notes"]
    checked = check([tmp_path / "out"])
    assert not checked.problems
    assert [each.depends_on for each in checked.contracts] == [(), ("a",)]
    # Alone too, as pytest collects it: what it depends on lies beside it.
    assert not check([tmp_path / "out" / "b.yaml"]).problems
    (tmp_path / "out" / "a.yaml").unlink()
    assert "no contract 'a'" in str(check([tmp_path / "out" / "b.yaml"]).problems[0])


def test_dependencies_that_go_in_a_circle_are_kept_and_said(tmp_path: Path) -> None:
    for name, need in (("a", "b"), ("b", "a"), ("c", "c")):
        (tmp_path / f"{name}.yaml").write_text(ONE.replace("{version", f"{{depends_on: [{need}], version"))
    code, report = imported(tmp_path, *(tmp_path / f"{name}.yaml" for name in "abc"))
    assert code == 0
    assert not check([tmp_path / "out"]).problems
    assert sum("makes a cycle" in note for each in report["imported"] for note in each["notes"]) == 2
    assert as_text(tmp_path / "out" / "c.yaml")["imported"]["source"]["metadata"]["depends_on"] == ["c"]


def test_ids_are_ours_and_apart() -> None:
    assert contract_id("C-GPU_train v2.yaml") == "c-gpu-train-v2-yaml"
    assert claim_id("7 rows, é") == "T-7-ROWS-E"
    assert claim_id("行") == ""
    assert len(claim_id("x" * 5000)) == len(contract_id("x" * 5000)) == MOST
    assert claim_id("x" * 5000) != claim_id("x" * 5001)
    wanted, owners = ["A", "A", "A-2", "B", "B", "C"], ["p", "p", "p", "p", "q", "q"]
    assert apart(wanted, owners, {"C"}) == ["A", "A-3", "A-2", "P-B", "Q-B", "Q-C"]


def test_gather_takes_no_files() -> None:
    assert Batch.gather([]).contracts(contracts=(), claims=()) == []
