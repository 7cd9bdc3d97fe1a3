"""Where a mutant is found, as docs/guide/mutant.md says it: by `validate` from the source, and at run time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.contract.names.modules import Modules
from harness.contract.validate import check
from harness.mutant import mutants_of
from harness.subject import binding
from harness.words.explanation import mutant as explained

FALSIFIER = "def shifted(subject, case, *, op='softmax'): ...\n"
LITERAL = 'def {0}(baseline):\n    """Literal {1}."""\n    return "{1}"\n\nMUTANTS = {{"{0}": {0}}}\n'
DECORATED = (
    "from harness.mutant import mutant\n\n@mutant\ndef {0}(baseline):\n    "
    + '"""Decorated {1}."""\n    return "{1}"\n'
)
OURS = "rows/shift.py:shifted"
CONTRACT = """\
metadata: {{id: rule, version: 1.0.0, title: rule}}
falsification_tests:
- id: FALSIFY-RULE-001
  rule: r
  prediction: p
  if_fails: look
  falsifier: {falsifier}
  baseline: {baseline}
  given: {{op: softmax}}
  accept: {{max_abs_err: {{le: 1.0, why: w}}}}
  mutants: [{mutants}]
"""


def lay(
    folder: Path, files: dict[str, str], *, mutants: str = "tail", falsifier: str = "rows/shift.py:shifted"
) -> Path:
    """A project: its contract, a falsifier `rows/shift.py` and the files of the case."""
    baseline = falsifier.rpartition(":")[0]
    text = CONTRACT.format(falsifier=falsifier, mutants=mutants, baseline=baseline)
    for name, content in {"rows/shift.py": FALSIFIER, "rule.yaml": text, **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder / "rule.yaml"


def bound(contract: Path, name: str = "tail") -> tuple[str, str]:
    """Where validate finds the mutant, and what it returns when it is bound at run time as a trial binds it."""
    checked = check([contract])
    assert [str(problem) for problem in checked.problems] == []
    where = checked.bindings["FALSIFY-RULE-001"].mutants[name]
    module, _, key = where.rpartition(":")
    made = mutants_of(binding.module(module, contract.parent))[key](None)
    assert explained(where, contract.parent, Modules()).endswith(f" {made}.")
    return where, made


def problems(contract: Path) -> list[str]:
    return [str(problem).rpartition("error: ")[2] for problem in check([contract]).problems]


@pytest.mark.parametrize("form", [LITERAL, DECORATED], ids=["literal", "decorated"])
@pytest.mark.parametrize(
    "place",
    [
        "rows/mutants/shift.py",  # the falsifier's module, as a file
        "rows/mutants/shift/tails.py",  # as a folder
        "rows/mutants/shift/deep/tails.py",
        "rows/mutants/softmax.py",  # given.op, as a file
        "rows/mutants/softmax/tails.py",  # as a folder
        "rows/mutants/activations/softmax.py",
    ],
)
def test_a_mutant_stands_in_the_folder_mutants_beside_the_falsifiers_file(
    tmp_path: Path, place: str, form: str
) -> None:
    assert bound(lay(tmp_path, {place: form.format("tail", place)})) == (f"{place}:tail", place)


@pytest.mark.parametrize("form", [LITERAL, DECORATED], ids=["literal", "decorated"])
def test_the_falsifiers_own_module_is_looked_in_first(tmp_path: Path, form: str) -> None:
    files = {
        "rows/shift.py": FALSIFIER + form.format("tail", "own"),
        "rows/mutants/shift.py": form.format("tail", "beside"),
    }
    assert bound(lay(tmp_path, files)) == ("rows/shift.py:tail", "own")


def test_the_op_comes_before_the_falsifiers_name(tmp_path: Path) -> None:
    files = {
        "rows/mutants/softmax.py": LITERAL.format("tail", "op"),
        "rows/mutants/shift.py": LITERAL.format("tail", "module"),
    }
    assert bound(lay(tmp_path, files))[1] == "op"


@pytest.mark.parametrize(
    "place", ["mutants/shift.py", "rows/mutants/other.py", "rows/mutants/shifts.py", "rows/tail.py"]
)
def test_a_mutant_elsewhere_is_not_found(tmp_path: Path, place: str) -> None:
    (found,) = problems(lay(tmp_path, {place: DECORATED.format("tail", place)}))
    assert found.startswith("mutant 'tail': no function of this name under @mutant and no key of a literal MUTANTS")


def test_a_claim_may_name_the_module(tmp_path: Path) -> None:
    files = {
        "rows/mutants/other.py": DECORATED.format("tail", "other"),
        "rows/mutants/shift.py": LITERAL.format("tail", ""),
    }
    named = "rows/mutants/other.py:tail"
    assert bound(lay(tmp_path, files, mutants=named), named)[1] == "other"


@pytest.mark.parametrize("package", [True, False])
def test_dotted_falsifiers_of_a_package_and_of_a_single_file(
    tmp_path: Path, package: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = "rule_rows.shift" if package else "rule_rows_alone"
    folder, stem = ("rule_rows", "shift") if package else (".", "rule_rows_alone")
    files = {f"{folder}/{stem}.py": FALSIFIER, f"{folder}/mutants/{stem}.py": DECORATED.format("tail", "dotted")}
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "mutants"]:
        monkeypatch.delitem(sys.modules, name)
    where, made = bound(lay(tmp_path, files, falsifier=f"{top}:shifted"))
    assert (where, made) == (f"{'rule_rows.' if package else ''}mutants.{stem}:tail", "dotted")


@pytest.mark.parametrize(
    ("imports", "decorator"),
    [
        ("from harness.mutant import mutant as wrong", "wrong"),
        ("from harness import mutant", "mutant.mutant"),
        ("import harness.mutant", "harness.mutant.mutant"),
    ],
)
def test_the_decorator_by_other_imports(tmp_path: Path, imports: str, decorator: str) -> None:
    text = f'{imports}\n\n@{decorator}\ndef tail(baseline):\n    """Is this."""\n    return "this"\n'
    assert bound(lay(tmp_path, {"rows/mutants/shift.py": text}))[1] == "this"


@pytest.mark.parametrize(
    "text",
    [
        "def mutant(f):\n    return f\n\n@mutant\ndef tail(baseline): ...\n",  # somebody else's decorator
        "from functools import cache\n\n@cache\ndef tail(baseline): ...\n",
        "def tail(baseline): ...\n",
        "from harness.mutant import mutant\n\ndef outer():\n    @mutant\n    def tail(baseline): ...\n",
        "MUTANTS = dict(tail=1)\n",
        "from rows.mutants.shift import tail\n",
    ],
)
def test_what_declares_no_mutant(tmp_path: Path, text: str) -> None:
    (found,) = problems(lay(tmp_path, {"rows/mutants/shift.py": text}))
    assert "no function of this name under @mutant" in found


def test_an_imported_mutant_counts_only_where_the_literal_says_so(tmp_path: Path) -> None:
    source = DECORATED.format("tail", "first") + "\n@mutant\ndef head(baseline): ...\n"
    (tmp_path / "declared_elsewhere.py").write_text(source)
    text = 'from declared_elsewhere import head, tail\n\nMUTANTS = {"tail": tail}\n'
    contract = lay(tmp_path, {"rows/mutants/shift.py": text})
    sys.path.insert(0, str(tmp_path))
    try:
        assert bound(contract)[1] == "first"
        loaded = binding.module("rows/mutants/shift.py", tmp_path)
    finally:
        sys.path.remove(str(tmp_path))
    assert set(mutants_of(loaded)) == {"tail"} == set(Modules().source(tmp_path / "rows/mutants/shift.py").mutants())


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (DECORATED.format("tail", "a") + "\n@mutant\ndef tail(baseline): ...\n", "4 and 9"),
        (DECORATED.format("tail", "a") + '\nMUTANTS = {"tail": print}\n', "8 and 4"),
        ('MUTANTS = {"tail": print,\n"tail": len}\n', "1 and 2"),
    ],
)
def test_two_of_one_name_in_a_module_is_one_line(tmp_path: Path, text: str, lines: str) -> None:
    place = tmp_path / "rows" / "mutants" / "shift.py"
    (found,) = problems(lay(tmp_path, {"rows/mutants/shift.py": text}))
    assert found.partition(" in ")[0] == "mutant 'tail': found 2 of this name"
    assert found.endswith(f"{place}, lines {lines}, expected one; rename one"), found


def test_source_and_run_time_agree_on_every_module_of_mutants_that_is_shipped() -> None:
    modules = Modules()
    folder = Path(binding.module("harness.falsifiers").__path__[0])
    count = 0
    for file in folder.rglob("mutants/**/*.py"):
        inside = [part for part in file.relative_to(folder).with_suffix("").parts if part != "__init__"]
        declared = modules.source(file).mutants()
        assert set(mutants_of(binding.module(".".join(["harness.falsifiers", *inside])))) == set(declared), file
        assert all(len(places) == 1 for places in declared.values()), file
        count += len(declared)
    assert count > 600
