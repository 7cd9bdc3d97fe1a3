"""The house holds: import arrows, file sizes, no judgement outside the judge."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOUSE = ("harness", "falsifiers", "reference", "candidates", "models", "formats", "consumers")
STANDARD = set(sys.stdlib_module_names)
LATE = {"torch", "transformers", "jinja2", "vl_convert"}
"""Heavy: the engine may ask for them only inside the function that needs them."""

ARROWS = {
    "reference": {"numpy", "reference"},
    "harness/judging/judge.py": {"numpy", "harness"},
    "harness/judging/measure.py": {"numpy", "harness"},
    "harness/judging/pool.py": {"numpy", "harness"},
    "harness/judging/limits.py": {"numpy", "harness"},
    "harness/judging/findings.py": {"harness"},
    "harness/judging/mutant_kills.py": {"harness"},
    "harness/judging/verdict.py": {"harness"},
    "harness/dtypes.py": {"numpy", "harness"},
    "harness/contract": {"yaml", "jsonschema_rs", "harness"},
    "harness/provable": {"yaml", "harness"},
    "falsifiers": {
        "numpy",
        "reference",
        "falsifiers",
        "consumers",
        "harness.observation",
        "harness.case",
        "harness.dtypes",
        "harness.checkpoint",
        "harness.errors",
        "harness.localisation",
    },
    "harness/localisation.py": {"numpy", "harness"},
    "harness/pytest_plugin/items.py": {"pytest", "harness"},
    "harness/pytest_plugin/session_end.py": {"pytest", "harness"},
    "falsifiers/baselines": {
        "numpy",
        "torch",
        "transformers",
        "tokenizers",
        "safetensors",
        "gguf",
        "peft",
        "huggingface_hub",
        "harness.falsifiers.baselines",
    },
    "falsifiers/mutants": {"numpy", "torch", "safetensors", "harness.mutant", "harness.falsifiers.baselines"},
    "formats": {"numpy", "safetensors", "ml_dtypes", "gguf", "tokenizers", "formats"},
    "consumers": {"numpy", "cyllama", "xllamacpp", "consumers"},
    "candidates": {
        "numpy",
        "torch",
        "transformers",
        "tokenizers",
        "safetensors",
        "ml_dtypes",
        "candidates",
        "formats",
        "consumers",
        "harness.errors",
    },
    "harness/report/page.py": {"jinja2", "vl_convert", "harness"},
    "harness": {
        "numpy",
        "yaml",
        "psutil",
        "hypothesis",
        "safetensors",
        "ml_dtypes",
        "cloudpickle",
        "torch",
        "rich",
        "jsonschema_rs",
        "harness",
    },
    "harness/commands/completer.py": {"argcomplete", "harness"},
    "harness/commands/completion.py": {"argcomplete", "harness"},
}


def modules():
    return sorted(p for package in HOUSE for p in (ROOT / package).rglob("*.py"))


def imports(path, *, top_only=False):
    """Names imported by a file; relative ones made absolute."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = path.relative_to(ROOT).parent.parts
    nodes = tree.body if top_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            yield ".".join([*base, *([node.module] if node.module else [])])


def allowed(path):
    """The narrowest rule for a file."""
    name = path.relative_to(ROOT).as_posix()
    rules = [rule for rule in ARROWS if name == rule or name.startswith(rule + "/")]
    return ARROWS[max(rules, key=len)] if rules else None


def within(name, allow):
    return any(name == a or name.startswith(a + ".") for a in allow) or name.split(".")[0] in STANDARD | {"__future__"}


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_follow_the_arrows(path):
    allow = allowed(path)
    if allow is None:
        assert path.is_relative_to(ROOT / "models")
        return
    wrong = [name for name in imports(path) if not within(name, allow)]
    assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}, allowed are {sorted(allow)}"


def test_the_arrow_test_can_fail(tmp_path):
    planted = ROOT / "reference" / "planted_for_a_test.py"
    assert not within("torch", allowed(planted))
    assert not within("harness.case", allowed(planted))
    assert not within("harness.candidates.torch", allowed(ROOT / "falsifiers" / "ops.py"))
    assert not within("harness.judging.judge", allowed(ROOT / "falsifiers" / "ops.py"))
    assert not within("harness.reference.ops.norm", allowed(ROOT / "candidates" / "torch" / "ops.py"))
    assert not within("harness.falsifiers.ops", allowed(ROOT / "harness" / "worker.py"))
    assert not within("harness.candidates.torch", allowed(ROOT / "falsifiers" / "mutants" / "rmsnorm.py"))


def test_the_engine_imports_heavy_packages_late():
    for path in modules():
        if path.is_relative_to(ROOT / "harness") and path.name != "warm.py":
            early = {name.split(".")[0] for name in imports(path, top_only=True)} & LATE
            assert not early, f"{path.relative_to(ROOT)} imports {early} at import time"


def test_rich_is_used_only_where_text_meets_a_terminal():
    users = {
        p.relative_to(ROOT).as_posix()
        for p in modules()
        if p.is_relative_to(ROOT / "harness") and any(n.split(".")[0] == "rich" for n in imports(p))
    }
    assert users == {"harness/report/terminal.py"}


def test_no_import_cycle_inside_the_engine():
    graph = {}
    for path in modules():
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        graph[name] = {n for n in imports(path, top_only=True) if n.split(".")[0] in HOUSE}
    done, under_way = set(), []

    def visit(name):
        assert name not in under_way, f"import cycle: {' -> '.join([*under_way, name])}"
        if name in done or name not in graph:
            return
        under_way.append(name)
        for other in sorted(graph[name]):
            visit(other)
        under_way.pop()
        done.add(name)

    for name in sorted(graph):
        visit(name)
