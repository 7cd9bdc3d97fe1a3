"""`harness import` of a hundred contracts of others: nothing lost, nothing green, the same bytes each time."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness.commands.main import main
from harness.contract.validate import check
from harness.provable.kind import Kind
from tests.support.provable.foreign_contracts import write
from tests.support.provable.importing import as_text, imported, nothing_lost


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("hundred")
    write(folder / "theirs", 125)
    return folder, *imported(folder, folder / "theirs")


def test_a_hundred_contracts_are_imported_and_valid(hundred: tuple[Path, int, dict[str, Any]]) -> None:
    folder, code, report = hundred
    assert code == 0, report["failed"]
    assert len(report["imported"]) == 125
    checked = check([folder / "out"])
    assert [str(problem) for problem in checked.problems] == []
    assert (checked.files, checked.claims) == (125, report["counts"]["tests"])
    assert len(checked.unbound) == checked.claims > 600
    assert not checked.bindings


def test_every_value_and_key_of_every_source_is_in_its_contract(hundred: tuple[Path, int, dict[str, Any]]) -> None:
    folder, _, report = hundred
    lost = {each["source"]: nothing_lost(Path(each["source"]), Path(each["contract"])) for each in report["imported"]}
    assert not {file: values for file, values in lost.items() if values}
    # and the measure can fail:
    file = folder / "short.yaml"
    text = Path(report["imported"][0]["contract"]).read_text(encoding="utf-8")
    file.write_text(text.replace("stub_float", "float").replace("drop the last row", "drop"), encoding="utf-8")
    assert nothing_lost(Path(report["imported"][0]["source"]), file)


def test_every_comment_is_kept(hundred: tuple[Path, int, dict[str, Any]]) -> None:
    _, _, report = hundred
    kept = 0
    for each in report["imported"]:
        lines = Path(each["source"]).read_text(encoding="utf-8-sig").splitlines()
        own = [f"{i}: {line}" for i, line in enumerate(lines, 1) if line in ("# a head ─── line", "# a tail")]
        assert as_text(Path(each["contract"]))["imported"].get("comments", "").splitlines() == own
        kept += len(own)
    assert kept > 50


def test_the_same_bytes_whatever_the_order_and_the_folder(hundred: tuple[Path, int, dict[str, Any]]) -> None:
    folder, _, report = hundred
    files = [Path(each["source"]) for each in report["imported"]]
    random.Random(1).shuffle(files)
    imported(folder, *files, out="again")
    for each in report["imported"]:
        assert (folder / "again" / Path(each["contract"]).name).read_bytes() == Path(each["contract"]).read_bytes()


def test_the_share_that_could_run_is_counted_by_test(hundred: tuple[Path, int, dict[str, Any]]) -> None:
    _, _, report = hundred
    kinds = Counter(test["kind"] for each in report["imported"] for test in each["tests"])
    counts = report["counts"]
    assert counts == {"tests": sum(kinds.values()), "bound": 0, **{kind.value: kinds[kind] for kind in Kind}}
    assert report["executable_share"] == round(kinds["command"] / counts["tests"], 4)
    assert min(kinds.values()) > 20


def test_a_folder_of_them_runs_end_to_end_and_nothing_survives(
    hundred: tuple[Path, int, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _, report = hundred
    few = folder / "few"
    few.mkdir()
    for each in report["imported"][:20]:
        (few / Path(each["contract"]).name).write_bytes(Path(each["contract"]).read_bytes())
    assert main(["run", str(few), "--evidence", str(folder / "evidence"), "--json", "-j", "1"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert set(found["counts"]) == {"UNVERIFIED"}
    assert found["counts"]["UNVERIFIED"] == len(found["claims"]) > 90
    assert all(row["reason"].startswith("no falsifier is bound: ") for row in found["claims"])
    assert main(["verify", found["evidence"]]) == 0
