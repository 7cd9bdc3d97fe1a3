"""An op's parts are found by name: its inputs by `validate` and at run time, its functions in the candidates."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from harness.contract.names.inputs import find_inputs
from harness.contract.names.modules import Modules
from harness.contract.names.reference import Definition
from harness.contract.problem import Mistake
from harness.contract.validate import check
from harness.definitions import defined
from harness.errors import UserError
from harness.falsifiers.ops import builder
from tests.support.repository import CONTRACTS

FALSIFIER = "rows/falls.py:falls"


def inputs(folder: Path, files: dict[str, str], op: str = "mish", falsifier: str = FALSIFIER) -> str:
    """Where validate finds the inputs of an op: `file:function:line`, or what it says."""
    for name, text in {"rows/falls.py": "", "rows/__init__.py": "", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    written, _, name = falsifier.rpartition(":")
    findings: list[Mistake] = []
    definition = Definition("", str(folder / written), name, 1)
    found = find_inputs({"given": {"op": op}, "falsifier": falsifier}, definition, Modules(), findings)
    if found is None:
        return findings[0].message
    return f"{Path(found.definition.file).name}:{found.definition.name}:{found.definition.line}"


def test_the_inputs_of_an_op_are_the_function_of_its_name_beside_the_falsifier(tmp_path: Path) -> None:
    files = {"rows/inputs/a.py": "def other(case): ...\n", "rows/inputs/deep/b.py": "X = 1\ndef mish(case): ...\n"}
    assert inputs(tmp_path, files) == "b.py:mish:2"


def test_the_variant_for_the_falsifiers_module_comes_first_but_not_for_a_package_s_own(tmp_path: Path) -> None:
    files = {"rows/inputs/a.py": "def mish(case): ...\ndef mish_falls(case): ...\ndef mish_rows(case): ...\n"}
    assert inputs(tmp_path, files) == "a.py:mish_falls:2"
    assert inputs(tmp_path, files, falsifier="rows/__init__.py:falls") == "a.py:mish:1"


def test_a_literal_table_comes_before_the_folder(tmp_path: Path) -> None:
    files = {
        "rows/inputs/a.py": "def mish(case): ...\n",
        "rows/own.py": "def built(case): ...\n",
        "rows/falls.py": 'INPUTS = {"mish": "own.py:built"}\n',
    }
    assert inputs(tmp_path, files) == "own.py:built:1"


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"rows/inputs/a.py": "def mich(case): ...\n"}, "expected a function of its name in"),
        ({"rows/inputs/a.py": "def mich(case): ...\n"}, "did you mean 'mich'?"),
        ({"rows/inputs/a.py": "def _mish(case): ...\n", "rows/inputs/_b.py": "def mish(case): ...\n"}, "it has: none"),
        ({"rows/inputs/a.py": "class mish: ...\n"}, "it has: none"),
        ({"rows/inputs/a.py": "def mish(): ...\n", "rows/inputs/b.py": "def mish(): ...\n"}, "one of them; rename"),
        ({"rows/inputs/a.py": "def mish(:\n"}, "is not Python"),
        ({}, "no literal INPUTS = {op: 'module:function'} and no folder `inputs` beside it"),
    ],
)
def test_inputs_that_are_not_found_are_one_line(tmp_path: Path, files: dict[str, str], told: str) -> None:
    found = inputs(tmp_path, files)
    assert found.startswith("given.op 'mish': ")
    assert told in found
    assert "\n" not in found


def test_validate_and_the_run_find_the_same_inputs_for_every_claim() -> None:
    checked = check([CONTRACTS / "ops"])
    kinds = {"harness.falsifiers.ops": "", "harness.falsifiers.ops.gradients": "gradients"}
    count = 0
    for claim in (claim for contract in checked.contracts for claim in contract.claims):
        module = claim.falsifier.partition(":")[0]
        found = checked.bindings[claim.id].inputs
        if module in kinds and found is not None:
            names = (f"{claim.op}_{kinds[module]}", claim.op) if kinds[module] else (claim.op,)
            built = builder._found(names)
            assert (built.__module__, built.__name__) == (found.module, found.name)
            count += 1
    assert count > 60


def test_two_inputs_of_one_name_stop_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        (tmp_path / f"{name}.py").write_text("def mish(case): ...\n")
    monkeypatch.setattr(builder, "FOLDER", tmp_path)
    with pytest.raises(UserError, match=r"found 'mish' in a\.py and b\.py, expected it in one of them"):
        builder._found(("mish",))


@pytest.mark.parametrize("candidate", ["torch", "torch_sdpa", "torch_compile", "torch_compile_static"])
def test_every_name_that_a_candidate_offers_is_defined_once_and_can_be_had(candidate: str) -> None:
    package = import_module(f"harness.candidates.{candidate}")
    places = defined(Path(package.__path__[0]))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}
    assert set(places) <= set(dir(package))
    assert all(hasattr(package, name) for name in dir(package))
    assert {"rmsnorm", "load", "ARRAYS", "elu_backward"} <= set(dir(package))
    assert not hasattr(package, "fitting")
    assert not hasattr(package, "nothing")
    assert package.ARRAYS == "torch"
    loaded: dict[str, object] = {}
    exec(f"from harness.candidates.{candidate} import *", loaded)
    assert set(dir(package)) <= set(loaded)


def test_a_candidate_with_two_modules_for_one_name_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "twice_offered"
    (package / "ops").mkdir(parents=True)
    text = "from harness.candidates.offered import offered\n__getattr__, __dir__ = offered(__name__)\n"
    (package / "__init__.py").write_text(text)
    for name in ("a", "b"):
        (package / "ops" / f"{name}.py").write_text("def mish(x): ...\n" + f"def {name}lone(x): return {name!r}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    loaded = import_module("twice_offered")
    assert loaded.alone(0) == "a"
    assert dir(loaded) == ["ARRAYS", "alone", "blone", "mish"]
    with pytest.raises(ImportError, match=r"found 'mish' in ops/a\.py and ops/b\.py, expected it in one of them"):
        hasattr(loaded, "mish")


def test_a_look_up_imports_the_module_that_defines_the_name_and_no_other() -> None:
    code = (
        "import sys, harness.candidates.torch as eager\n"
        "eager.relu\n"
        "print(sorted(m for m in sys.modules if m.startswith('harness.candidates.torch.ops.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "['harness.candidates.torch.ops.activations']", done.stderr
