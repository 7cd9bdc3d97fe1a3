"""Documents of any structure, and damaged ones: imported whole, or refused in one line."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.contract.validate import check
from tests.support.provable.foreign_contracts import contract
from tests.support.provable.importing import as_text, imported, nothing_lost

WILD = """\
metadata: &m   # where it comes from
  version: 1.10
  author: A
  author: B
  yes: no
  1: one
  ? [a, b]
  : pair
falsification_tests:
- &t
  id: FALSIFY-W-001
  rule: small
  test: |   # words
    proptest
    # of rows
  tolerance: 1e-5
- <<: *t
  id: FALSIFY-W-001
more: {big: 123456789012345678901234567890, inf: .inf, tagged: !mine x, same: *m}
falsification_tests:
- id: FALSIFY-W-002
"""


def test_what_yaml_can_say_and_our_contracts_may_not(tmp_path: Path) -> None:
    (tmp_path / "wild.yaml").write_text(WILD)
    code, report = imported(tmp_path, tmp_path / "wild.yaml")
    assert code == 0, report["failed"]
    data = as_text(tmp_path / "out" / "wild.yaml")
    assert [claim["id"] for claim in data["falsification_tests"]] == [
        "FALSIFY-W-001",
        "FALSIFY-W-001-2",
        "FALSIFY-W-002",
    ]
    assert data["falsification_tests"][1]["imported"] == {"tolerance": "1e-5", "id": "FALSIFY-W-001"}
    assert data["falsification_tests"][1]["unbound"] == "proptest\n# of rows\n"
    theirs = data["imported"]["source"]["metadata"]
    assert (theirs["version"], data["metadata"]["version"]) == ("1.10", "1.10.0")
    assert (theirs["author"], theirs["author (again, line 4)"]) == ("A", "B")
    assert (theirs["yes"], theirs["1"], theirs['["a", "b"]']) == ("no", "one", "pair")
    assert data["imported"]["source"]["more"]["same"] == theirs
    assert data["imported"]["comments"] == "1: # where it comes from\n13: # words\n"
    notes = " / ".join(report["imported"][0]["notes"])
    for word in (
        "'author' is given twice",
        "merge key",
        "alias *m",
        "'!mine'",
        "not a 64-bit integer",
        "'.inf'",
        "1.10.0",
    ):
        assert word in notes
    assert not check([tmp_path / "out"]).problems


# Any structure at all, under the keys that mean something and under others.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXT
    | st.sampled_from(["1e-5", "no", "0o7", "cargo test", "<<", "*a"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
SECTIONS = ("metadata", "equations", "falsification_tests", "gates", "invariants", "proof_obligations")
KNOWN = st.sampled_from([*SECTIONS, "version", "contract", "imported", "qa_gate"])
FIELDS = (
    "id",
    "rule",
    "test",
    "prediction",
    "if_fails",
    "ship_blocking",
    "key",
    "unbound",
    "falsifier",
    "accept",
    "harness",
)
ENTRY = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, VALUES))
ABOUT = ("id", "version", "title", "description", "references", "depends_on", "equations")
META = st.fixed_dictionaries({}, optional=dict.fromkeys(ABOUT, VALUES))
ANY = VALUES | META | st.lists(ENTRY, max_size=4) | st.dictionaries(TEXT, ENTRY, max_size=3)
DOCUMENT = st.dictionaries(KNOWN | TEXT, ANY, max_size=6)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=DOCUMENT, flow=st.sampled_from([False, None, True]), wide=st.booleans())
@example(document={"metadata": {}, "falsification_tests": {"\r": None}}, flow=False, wide=False)
def test_any_structure_is_imported_whole_or_named(document: Any, flow: bool | None, wide: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "any.yaml"
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=wide, default_flow_style=flow)
        source.write_text(text, encoding="utf-8", newline="")
        code, report = imported(folder, source)
        if code:
            assert len(report["failed"]) == 1
            assert "\n" not in report["failed"][0]
            assert any(
                why in report["failed"][0] for why in ("found no test", "is empty", "already is a harness contract")
            )
        else:
            contract_ = Path(report["imported"][0]["contract"])
            assert not check([contract_]).problems
            assert not nothing_lost(source, contract_)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), at=st.floats(0, 1), junk=st.text(max_size=6), cut=st.integers(0, 40))
def test_a_damaged_file_is_a_line_or_a_contract_never_a_traceback(seed: int, at: float, junk: str, cut: int) -> None:
    text = yaml.safe_dump(contract(random.Random(seed), 0), allow_unicode=True, sort_keys=False)
    where = int(at * len(text))
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "damaged.yaml"
        source.write_bytes((text[:where] + junk + text[where + cut :]).encode("utf-8", "surrogatepass"))
        code, report = imported(Path(name), source)
        if code:
            assert len(report["failed"]) == 1
            assert report["failed"][0].startswith(str(source))
        else:
            assert not check([Path(report["imported"][0]["contract"])]).problems
