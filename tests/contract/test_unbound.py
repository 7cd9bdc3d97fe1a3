"""A claim that binds nothing: UNVERIFIED in its own words, whatever else is said, and worth nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.commands.main import main
from harness.contract.claim import Claim
from harness.contract.text.reader import load_yaml
from harness.contract.text.writer import Plain, as_read, dump
from harness.contract.validate import check
from harness.evidence.result import entry_yaml
from harness.judging.judge import judge
from harness.judging.verdict import Verdict

CONTRACT = """\
metadata: {id: words, version: 1.0.0}
falsification_tests:
- {id: WORDS-001, rule: rows sum to one, unbound: "add up a row,\\nlook at it"}
imported: {from: there, tolerance: "1e-5"}
"""
SHIP = """\
targets:
  model:
    title: A model
    criteria:
    - {id: M1, title: rows, weight: 1, effort_hours: 1, claims: [WORDS-001]}
"""


def lay(folder: Path, text: str = CONTRACT) -> Path:
    folder.joinpath("words.yaml").write_text(text)
    folder.joinpath("ship.yaml").write_text(SHIP)
    return folder


def test_validate_counts_it_and_binds_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(lay(tmp_path))]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1].split() == ["WORDS-001", "unbound", "-", "-"]
    assert out[-1] == "1 contracts, 1 claims (1 unbound): 0 errors, 0 warnings"
    assert main(["validate", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unbound"] == ["WORDS-001"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("unbound:", "falsifier: 'a:b', unbound:", "'falsifier' beside unbound: an unbound claim runs nothing"),
        ("unbound:", "mutants: [x], unbound:", "'mutants' beside unbound"),
        ("unbound:", "unbond:", "did you mean 'unbound'?"),
        ("unbound:", "tests: x, unbound:", "unknown key 'tests'"),
        ('"add up a row,\\nlook at it"', '" "', "unbound: found ' ', expected text that is not blank"),
        ("rule: rows sum to one, ", "", "missing 'rule'; add it"),
        ("imported: {from: there, tolerance: ", "imported: [x, ", "imported: found"),
        ('"1e-5"', ".nan", "expected a finite number"),
    ],
)
def test_a_mistake_in_it_is_told(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in CONTRACT
    text = CONTRACT.replace(old, new).replace('[x, "1e-5"}', "[x]")
    problems = [str(each) for each in check([lay(tmp_path, text)]).problems]
    assert any(message in each for each in problems), problems


def test_it_is_unverified_whatever_the_record_says() -> None:
    words = {"id": "A", "rule": "r", "unbound": "word " * 100}
    ran: dict[str, Any] = {"status": "ran", "reason": "", "rows": [], "scalars": [], "faults": []}
    record = {"platform": "cpu", "cases": [], "subjects": {"candidate": ran}, "mutants": {}}
    for each in (record, {**record, "error": "crash"}, {**record, "subjects": {}}):
        found = judge(words, each)
        assert found.verdict is Verdict.UNVERIFIED
        assert found.reason.startswith("no falsifier is bound: word word")
        assert len(found.reason) < 330


def test_a_run_of_it_gives_no_credit_and_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", str(lay(tmp_path)), "--evidence", str(tmp_path / "evidence"), "-j", "1", "--json"]
    assert main(command) == 3
    found = json.loads(capsys.readouterr().out)
    assert found["counts"] == {"UNVERIFIED": 1}
    assert found["claims"][0]["reason"] == "no falsifier is bound: add up a row, look at it"
    target = found["targets"][0]
    assert (target["ship_percent"], target["criteria"][0]["credit"]) == (0, 0)
    assert target["criteria"][0]["verdict"] == "UNVERIFIED"
    evidence = found["evidence"]
    assert main(["verify", evidence]) == 0
    assert main(["gate", evidence, "--target", "model", "--contracts", str(tmp_path)]) == 3
    assert main(["mutants", evidence]) == 3
    assert main(["report", evidence, "--out", str(tmp_path / "report")]) == 0


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALAR = TEXT | st.sampled_from(
    ["1e-5", "0o7", "no", "1:30", "~", "<<", "=", "\x85", "a\u2028b", " a\n b\n", "a\n\n", "#", "- a"]
)
DATA = st.recursive(
    SCALAR
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.none()
    | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SCALAR, inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(data=st.dictionaries(TEXT, DATA, min_size=1, max_size=4), width=st.sampled_from([20, 110]))
def test_what_is_written_reads_back_the_same(data: dict[str, Any], width: int, tmp_path_factory: Any) -> None:
    file = tmp_path_factory.mktemp("yaml") / "x.yaml"
    file.write_text(dump(data, width=width), encoding="utf-8", newline="")
    assert load_yaml(file)[::2] == (data, [])


def test_numbers_keep_their_spelling(tmp_path: Path) -> None:
    data = {"a": Plain("1.10"), "b": Plain("1e-5"), "c": Plain(""), "d": "1e-5", "e": Plain("0x1F"), "f": Plain("True")}
    assert dump(data) == "a: 1.10\nb: 1e-5\nc: null\nd: '1e-5'\ne: 0x1F\nf: True\n"
    assert as_read(data) == {"a": 1.1, "b": 1e-5, "c": None, "d": "1e-5", "e": 31, "f": True}


def test_the_claim_in_the_evidence_is_the_claim(tmp_path: Path) -> None:
    claim = Claim("c", "p.yaml", 3, {"id": "A", "rule": "1e-5", "unbound": "0o7", "imported": {"x": ["a\x85b", 1e-5]}})
    (tmp_path / "claim.yaml").write_text(entry_yaml(claim), encoding="utf-8")
    entry = load_yaml(tmp_path / "claim.yaml")[0]
    assert Claim(entry["contract"], entry["path"], entry["line"], entry["claim"]).digest == claim.digest
