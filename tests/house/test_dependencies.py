"""What is imported is declared in pyproject.toml, and what is declared is imported, or listed here with its reason."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = ("tests", "benchmarks", "examples", "docs", "setup.py")
"""Where a package of an extra may be imported, besides harness/."""
NOT_IMPORTED = {
    "check-jsonschema": "a command: tests/house/test_ci_folder.py holds the CI files to their schemas with it",
    "mkdocs-material": "the site's theme, named in mkdocs.yml",
    "mutmut": "a command: `make mutate`",
    "mypy": "a command: `make test`",
    "pytest-xdist": "a plugin of pytest: its `-n`",
    "ruff": "a command: `make test`",
    "types-psutil": "read by mypy",
    "types-pyyaml": "read by mypy",
}


@cache
def origins():
    """{module: the installed distributions that it may come from}."""
    return packages_distributions()


def distribution(name):
    """The name of a distribution as every spelling of it is compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared():
    """(the distributions that every installation has, those of the extras)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def names(requirements):
        return {distribution(re.match(r"[\w.-]+", each)[0]) for each in requirements}

    return names(project["dependencies"]), names(
        r for extra in project["optional-dependencies"].values() for r in extra
    )


def imported(paths):
    """{third-party module: a file that imports it}; late imports, literal import_module() and find_spec() count."""
    found = {}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name in _names(node):
                top = name.split(".")[0]
                if top and top not in sys.stdlib_module_names and not (ROOT / top).exists():
                    found.setdefault(top, path)
    return found


def _names(node):
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield node.module
    elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "find_spec"):
        yield from (a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str))


def undeclared(modules, known):
    """One line for each module of which no distribution is known by pyproject.toml."""
    held = origins()
    for module, path in sorted(modules.items()):
        if not {distribution(name) for name in held.get(module, [module])} & known:
            yield f"{path}: imports {module}, which no dependency and no extra of pyproject.toml declares"


def unused(names, modules):
    """The declared distributions that none of the modules comes from."""
    held = origins()
    return sorted(names - {distribution(name) for module in modules for name in held.get(module, [module])})


def python_files(*folders):
    for folder in folders:
        path = ROOT / folder
        yield from [path] if path.is_file() else sorted(path.rglob("*.py"))


def test_every_import_of_harness_is_declared():
    everywhere, extras = declared()
    assert not list(undeclared(imported(python_files("harness")), everywhere | extras))


def test_every_dependency_is_imported_by_harness():
    everywhere, _ = declared()
    assert not unused(everywhere, imported(python_files("harness")))


def test_every_package_of_an_extra_is_imported_or_has_its_reason():
    _, extras = declared()
    without = unused(extras, imported(python_files("harness", *ELSEWHERE)))
    assert without == sorted(NOT_IMPORTED)


def test_every_declared_package_is_pinned():
    everywhere, extras = declared()
    pinned = {distribution(line.split("==")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert not (everywhere | extras) - pinned


@pytest.mark.parametrize(
    "text",
    [
        "import zstandard",
        "def late():\n    from zstandard.backend import thing",
        "import_module('zstandard')",
        "importlib.util.find_spec('zstandard.x')",
        "try:\n    import zstandard as z\nexcept ImportError:\n    z = None",
    ],
)
def test_a_planted_import_is_seen(text, tmp_path):
    (tmp_path / "planted.py").write_text(f"import os\nimport numpy\nfrom . import near\nimport harness.case\n{text}\n")
    found = imported([tmp_path / "planted.py"])
    assert set(found) == {"numpy", "zstandard"}
    (line,) = undeclared(found, {"numpy"})
    assert "planted.py: imports zstandard, which no dependency" in line


def test_a_module_is_known_by_its_distribution(tmp_path):
    (tmp_path / "planted.py").write_text("import yaml\n")
    assert not list(undeclared(imported([tmp_path / "planted.py"]), {"pyyaml"}))
    assert list(undeclared(imported([tmp_path / "planted.py"]), {"yaml"}))


def test_a_package_that_nobody_imports_is_seen():
    assert unused({"numpy", "leftover"}, {"numpy": ROOT}) == ["leftover"]
