"""pyproject.toml states ranges, constraints.txt one version of each; torch's private names in use are listed."""

from __future__ import annotations

import ast
import operator
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import gpu_fit
import torch
import wheelhouse
from packaging.requirements import Requirement

from tests.support.repository import ROOT

PINS = {
    wheelhouse.canonical(name): version
    for name, _, version in (line.strip().partition("==") for line in (ROOT / "constraints.txt").open())
}
OLDEST = {"torch": "2.11", "transformers": "5.17"}
"""A GPU machine brings these; the oldest that it may have."""
PRIVATE = {
    "torch.utils._python_dispatch.TorchDispatchMode": "sees every op: the trace of a device, the rehearsal device",
    "torch.utils._pytree.tree_leaves": "the tensors among an op's results",
    "torch.utils._pytree.tree_flatten": "the tensors among an op's arguments",
    "torch.utils.backend_registration._setup_privateuseone_for_python_backend": "the rehearsal device",
    "torch.utils._python_dispatch.return_and_correct_aliasing": "the rehearsal device's views",
    "torch._C.DispatchKey": "the rehearsal device's autocast",
    "torch._C.DispatchKeySet": "the rehearsal device's autocast",
    "torch._C._ExcludeDispatchKeyGuard": "the rehearsal device's autocast",
    "torch._C._disabled_torch_function_impl": "the rehearsal device's tensors",
    "torch.ops.aten._to_copy": "an op: transfers between the rehearsal device and the host",
}
"""What is private in torch and used -> for what. A GPU run needs the first three, which torch has had for years."""


def requirements() -> Iterator[tuple[str, Requirement]]:
    """Every extra ('' for none) and what it requires."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra, texts in {"": project["dependencies"], **project["optional-dependencies"]}.items():
        yield from ((extra, Requirement(text)) for text in texts)


def test_every_range_contains_the_version_that_ci_runs() -> None:
    outside = [str(each) for _, each in requirements() if not each.specifier.contains(PINS[canonical(each)])]
    assert not outside


def canonical(requirement: Requirement) -> str:
    return wheelhouse.canonical(requirement.name)


def test_torch_and_transformers_may_be_the_machine_s_own() -> None:
    for extra, each in requirements():
        if extra in ("", "torch", "hf", "triton"):
            assert {part.operator for part in each.specifier} == {">="}, str(each)
        if each.name in OLDEST:
            assert str(each.specifier) == f">={OLDEST[each.name]}"
    stated = {**gpu_fit.OLDEST, **gpu_fit.WANTED}
    assert {name: gpu_fit.numbers(version) for name, version in OLDEST.items()}.items() <= stated.items()


def private(text: str) -> set[str]:
    """Names of torch of which a part begins with one underscore, as far as the part after it."""
    tree, known, named = ast.parse(text), {"torch": "torch"}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "torch":
            named |= {f"{node.module}.{alias.name}" for alias in node.names}
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            named.add(f"{known.get(first, '')}.{rest}")
    matches = (re.match(r"torch(\.[a-z]\w*)*\._(?!_)\w+(\.\w+)?", name) for name in named)
    found = {match[0] for match in matches if match}
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)}


def test_of_torch_s_private_names_only_these_are_used_and_torch_has_them() -> None:
    files = [path for folder in ("harness", "ci", "benchmarks", "examples") for path in (ROOT / folder).rglob("*.py")]
    used = set().union(*(private(path.read_text(encoding="utf-8")) for path in files))
    modules = {"torch.utils._python_dispatch", "torch.utils._pytree"}
    assert {name.removesuffix(".default") for name in used} - modules == set(PRIVATE)
    for name in PRIVATE:
        module, _, inside = name.rpartition(".")
        owner = import_module(module) if find_spec(module) else operator.attrgetter(module.partition(".")[2])(torch)
        assert hasattr(owner, inside), name


def test_a_planted_private_name_is_seen() -> None:
    planted = """
import torch
from torch.utils import _foo, registration as r
from torch._dynamo import reset
torch._C._bar()
r._setup()
x._own()
"""
    found = {"torch.utils._foo", "torch._dynamo.reset", "torch._C._bar", "torch.utils.registration._setup"}
    assert private(planted) == found
    assert private("torch.Tensor.__add__\nimport harness.candidates.torch._width\n") == set()


def test_the_wheelhouse_never_holds_what_the_machine_brings() -> None:
    for python in wheelhouse.PYTHONS:
        found = wheelhouse.wanted(python)
        assert not found & {"torch", "triton", "transformers", "numpy", "harness", "nvidia-cudnn-cu13"}
        assert {"jsonschema-rs", "ml-dtypes", "psutil", "peft", "gguf"} <= found
        assert found <= set(PINS)
    more = wheelhouse.wanted("3.12", ["numpy", "transformers"])
    assert {"numpy", "transformers", "tokenizers", "tqdm"} <= more
    assert not more & {"torch", "triton"}


def test_the_size_of_a_wheelhouse_counts_all_but_three(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name in ("torch-2.11.0-x.whl", "transformers-5.17.0-x.whl", "numpy-2-x.whl", "model/weights"):
        (tmp_path / name).write_bytes(b"0" * 1_000_000)
    assert wheelhouse.megabytes(wheelhouse.sizes(tmp_path)) == 2.0


def test_what_a_machine_lacks_is_one_line_each() -> None:
    fits = {"torch": "2.11.0+cu130", "numpy": "2.2.0", "transformers": "5.17.0"}
    assert gpu_fit.lacks((3, 11), fits) == gpu_fit.remarks(fits) == []
    old = {"torch": "2.9.1", "numpy": None, "transformers": "4.57.0"}
    assert gpu_fit.lacks((3, 10), old) == [
        "found Python 3.10, expected 3.11 or newer; set PYTHON",
        "found torch 2.9.1, expected 2.11 or newer in the Python that PYTHON names",
        "found numpy None, expected 2.2 or newer in the Python that PYTHON names",
    ]
    (line,) = gpu_fit.remarks(old)
    assert line.startswith("found transformers 4.57.0, expected 5.17 or newer")


def test_a_wheel_of_other_code_is_seen(tmp_path: Path) -> None:
    for folder, text in (("ours", "x = 1\n"), ("theirs", "x = 2\n")):
        (tmp_path / folder / "room").mkdir(parents=True)
        (tmp_path / folder / "same.py").write_text("")
        (tmp_path / folder / "room" / "other.py").write_text(text)
    (tmp_path / "ours" / "new.py").write_text("")
    assert gpu_fit.differing(tmp_path / "ours", tmp_path / "theirs") == ["new.py", "room/other.py"]
