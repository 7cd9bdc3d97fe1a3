"""Every mutant cites the bug that it reproduces, or says that it is synthetic and why a person would err so."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "harness" / "falsifiers"
SYSTEM_ROW = r"(?:A[1-8]|B[1-7]|C[1-9]|D[1-8]|E[1-8]|W[1-5]|[A-E])\b"
"""Rows of the list of the five systems whose bugs the harness brings under contract, or a whole system's letter."""
CITATION = re.compile(
    r"(?<![\w./-])[A-Za-z0-9][\w-]*/[\w.-]+(?:#\d+|@[0-9a-f]{7,40})\b"  # owner/repo#number, owner/repo@commit
    r"|\bhttps?://[\w-]+(?:\.[\w-]+)+/\S+"
    r"|\barXiv:\d{4}\.\d{4,5}\b"
    r"|\bCVE-\d{4}-\d{4,}\b"
    rf"|\bsystems?(?:\.md)?[ :]{SYSTEM_ROW}"
    rf"|\bthe story of (?:system )?{SYSTEM_ROW}"
)
SYNTHETIC = re.compile(r"\bSynthetic:\s+(\S+(?:\s+\S+){3,})")
"""The reason follows the word, in four words or more."""
Found = Iterator[tuple[str, str | None]]


def test_every_shipped_mutant_says_where_it_comes_from() -> None:
    found = dict(mutants(SHIPPED, ROOT))
    assert len(found) > 600, f"only {len(found)} mutants were found below {SHIPPED.name}"
    wrong = [f"{where}: {fault(text)}" for where, text in found.items() if fault(text)]
    assert not wrong, f"{len(wrong)} of {len(found)} mutants:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("eps 1e-5 whatever the model says (N1: ggml-org/llama.cpp#2373).", ""),
        ("eps 1e-5 whatever the model says (ggml-org/llama.cpp@0123abc).", ""),
        ("Read wrong (https://example.org/a-postmortem).", ""),
        ("Read wrong (arXiv:1805.02867, line 5).", ""),
        ("Read past the end (CVE-2024-12345).", ""),
        ("One of three: the query bias (system D3).", ""),
        ("Every loss is kept (systems.md C8).", ""),
        ("The device falls back (systems D8 and E7).", ""),
        ("Names, order and count are right (systems:C4).", ""),
        ("The block has the fields (the story of system D).", ""),
        ("The sum for the mean. Synthetic: the division is a line of its own and easily forgotten.", ""),
        (None, "it has no docstring"),
        ("", "it has no docstring"),
        ("The sum for the mean.", "no citation"),
        ("The sum for the mean (D3).", "no citation"),
        ("The sum for the mean (system D9).", "no citation"),
        ("The sum for the mean (system Z1).", "no citation"),
        ("The sum for the mean (transformers#29285).", "no citation"),
        ("The sum for the mean (huggingface/transformers rotary layout).", "no citation"),
        ("The sum for the mean (owner/repo/pull#12x).", "no citation"),
        ("The sum for the mean (https://).", "no citation"),
        ("The sum for the mean (arXiv:18.1).", "no citation"),
        ("The sum for the mean. Synthetic:", "no citation"),
        ("The sum for the mean. Synthetic: easily forgotten.", "no citation"),
        ("The sum for the mean (system D3). Synthetic: it is easily forgotten here.", "a citation and Synthetic"),
    ],
)
def test_a_docstring_cites_or_explains(docstring: str | None, expected: str) -> None:
    assert fault(docstring).startswith(expected)
    assert bool(fault(docstring)) == bool(expected)


def test_mutants_are_found_in_tables_by_import_and_by_decorator(tmp_path: Path) -> None:
    folder = tmp_path / "checks" / "mutants"
    folder.mkdir(parents=True)
    (folder / "other.py").write_text("def imported(b):\n    '''Imported.'''\ndef dotted(b): ...\n")
    (folder / "norm.py").write_text(
        "from harness.mutant import mutant\n"
        "from checks.mutants import other\nfrom checks.mutants.other import imported\n"
        "@mutant\ndef decorated(b):\n    '''Decorated.'''\n"
        "def listed(b):\n    '''Listed.'''\n"
        "def helper(b): ...\n"
        "MUTANTS = {'listed': listed, 'again': imported, 'dotted': other.dotted, 'gone': absent, 'made': listed(0)}\n"
    )
    (tmp_path / "checks" / "norm.py").write_text("MUTANTS = {'elsewhere': elsewhere}\n")
    assert dict(mutants(tmp_path, tmp_path)) == {
        "checks/mutants/norm.py:decorated": "Decorated.",
        "checks/mutants/norm.py:listed": "Listed.",
        "checks/mutants/other.py:imported": "Imported.",
        "checks/mutants/other.py:dotted": None,
        "checks/mutants/norm.py:absent": None,
        "checks/mutants/norm.py:listed(0)": None,
    }


def fault(docstring: str | None) -> str:
    """What a mutant's docstring lacks; '' where it cites a bug or gives the reason of a synthetic one, but not both."""
    if not docstring:
        return "it has no docstring"
    cited, synthetic = CITATION.search(docstring), "Synthetic:" in docstring
    if cited and synthetic:
        return f"a citation and Synthetic, where one of them belongs: {docstring!r}"
    if cited or SYNTHETIC.search(docstring):
        return ""
    return f"no citation (owner/repo#number, URL, arXiv, CVE, 'system D3') and no 'Synthetic: reason' in {docstring!r}"


def mutants(folder: Path, root: Path) -> Found:
    """('file:function', its docstring) of each mutant below `folder`; None: there is no docstring or no function."""
    for file in sorted(folder.rglob("*.py")):
        if "mutants" not in file.relative_to(folder).parts:
            continue
        tree = _parsed(file)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and any(map(_means_mutant, node.decorator_list)):
                yield f"{file.relative_to(root)}:{node.name}", ast.get_docstring(node)
        for value in _table(tree):
            yield _named(value, file, tree, root)


def _means_mutant(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")) == "mutant"


def _table(tree: ast.Module) -> list[ast.expr]:
    """The values of the module's literal MUTANTS, if it has one."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if isinstance(value, ast.Dict) and any(isinstance(t, ast.Name) and t.id == "MUTANTS" for t in targets):
            return value.values
    return []


def _named(value: ast.expr, file: Path, tree: ast.Module, root: Path) -> tuple[str, str | None]:
    """The function that a table's value names: in the module itself, imported from another, or another module's."""
    name = ast.unparse(value)
    imported = {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    if isinstance(value, ast.Attribute) and (owner := ast.unparse(value.value)) in imported:
        file, name = _file(".".join(imported[owner]), root), value.attr
    elif name in imported:
        module, name = imported[name]
        file = _file(module, root)
    found = [node for node in _parsed(file).body if isinstance(node, ast.FunctionDef) and node.name == name]
    return f"{file.relative_to(root)}:{name}", ast.get_docstring(found[0]) if found else None


@functools.cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def _file(module: str, root: Path) -> Path:
    return root / (module.replace(".", "/") + ".py")
