"""Names resolve through files and syntax trees; nothing is imported on the way."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.contract.names.modules import Missing, Modules
from harness.contract.names.reference import find
from harness.contract.validate import check
from tests.support.example_contract import BUILDERS, CONTRACT, FALSIFIER, lay, told


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package on the path that raises when it is imported."""
    root = tmp_path / "grenade"
    root.mkdir()
    (root / "__init__.py").write_text("from .inner import parity as renamed\nraise SystemExit('imported')\n")
    (root / "inner.py").write_text("from .deep import *\nimport torch\nalias = parity\n")
    (root / "deep.py").write_text("if True:\n    def parity(subject, case, *, hidden): ...\nexec('boom')\n")
    (root / "bad.py").write_text("def f(:\n")
    (root / "mutants").mkdir()
    (root / "mutants" / "__init__.py").write_text("")
    (root / "mutants" / "inner.py").write_text("MUTANTS: dict = {'eps_outside_sqrt': 1}\n")
    (root / "mutants" / "rmsnorm.py").write_text("MUTANTS = {'cache_key_ignores_eps': 1}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return root


@pytest.mark.parametrize(
    ("reference", "file", "line"),
    [
        ("grenade:renamed", "__init__.py", 2),
        ("grenade.inner:parity", "inner.py", 2),
        ("grenade.inner:alias", "inner.py", 3),
        ("grenade.deep:parity", "deep.py", 2),
        ("grenade.inner:torch", "inner.py", 2),
    ],
)
def test_re_exports_lead_to_the_definition(package: Path, reference: str, file: str, line: int) -> None:
    found = find(reference, package, Modules()).definition
    assert (Path(found.file).name, found.line) == (file, line)
    assert "grenade" not in sys.modules


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("grenade.iner:parity", "no module 'iner' in grenade; did you mean 'inner'?"),
        ("grenade.inner:nothing", "has no 'nothing'"),
        ("grenade.bad:f", "bad.py:1 is not Python"),
        ("grenade.mutants.nope.x:f", "no module 'nope' in grenade.mutants"),
        ("builtins:len", "no module|no package|has no __init__|cannot be read"),
        ("grenade..inner:f", "no module ''"),
    ],
)
def test_what_leads_nowhere(package: Path, reference: str, words: str) -> None:
    with pytest.raises(Missing, match=words.replace("?", r"\?").replace("(", r"\(") if "|" not in words else words):
        find(reference, package, Modules())


def test_mutants_are_looked_up_in_three_places(tmp_path: Path, package: Path) -> None:
    (package / "inner.py").write_text(
        FALSIFIER.replace('"eps_outside_sqrt": None, "cache_key_ignores_eps": None', "").replace(
            "builders.py", "grenade.build"
        )
    )
    (package / "build.py").write_text(BUILDERS)
    path = lay(tmp_path, CONTRACT.replace("stub.py:parity", "grenade.inner:parity"))
    checked = check([path])
    assert told(checked) == []
    assert checked.bindings["FALSIFY-RMSNORM-EPS-001"].mutants == {
        "eps_hardcoded_1e-5": "grenade.inner:eps_hardcoded_1e-5",
        "eps_outside_sqrt": "grenade.mutants.inner:eps_outside_sqrt",
        "cache_key_ignores_eps": "grenade.mutants.rmsnorm:cache_key_ignores_eps",
    }
    assert "grenade" not in sys.modules


def test_open_parameters_need_a_table_of_inputs(tmp_path: Path) -> None:
    stub = FALSIFIER.replace("INPUTS", "INPUT")
    assert "has no literal INPUTS" in "".join(told(check([lay(tmp_path, stub=stub)])))


def test_a_table_entry_that_leads_nowhere_is_told_at_the_op(tmp_path: Path) -> None:
    lines = told(check([lay(tmp_path, builders="")]))
    assert len(lines) == 1
    assert lines[0].startswith("rmsnorm.yaml:16:15: error: given.op 'rmsnorm': ")


def test_mutants_that_are_no_literal_are_not_found(tmp_path: Path) -> None:
    lines = told(check([lay(tmp_path, stub=FALSIFIER.replace("MUTANTS = {", "MUTANTS = {**OTHERS, "))]))
    assert len(lines) == 3
    assert all("no key of a literal MUTANTS = {...} in" in line for line in lines)


def test_parameters_without_default_after_subject_and_case_are_required(tmp_path: Path) -> None:
    stub = FALSIFIER + "def by_place(subject, case, hidden, extra, rows=1, *, eps, std, dtype): ...\n"
    text = CONTRACT.replace("stub.py:parity", "stub.py:by_place").replace("op: rmsnorm, ", "")
    lines = told(check([lay(tmp_path, text, stub=stub)]))
    assert len(lines) == 1
    assert "requires the parameter 'extra'" in lines[0]


def test_weights_may_name_a_builder(tmp_path: Path) -> None:
    builders = BUILDERS.replace("std=1.0", "std=1.0, weights=None") + "def build(): ...\n"
    text = CONTRACT.replace("hidden: 896", "hidden: 896, weights: 'builders.py:build'")
    assert told(check([lay(tmp_path, text, builders=builders)])) == []
