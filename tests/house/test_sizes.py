"""Files, functions and folders stay small enough to be read at once."""

from __future__ import annotations

import ast
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.support.repository import ROOT

FILE, FUNCTION, FOLDER, TOP = 300, 50, 20, 12
"""At most: lines of a file, lines of a function, Python files of a folder, Python files of `harness/` itself."""
HOUSES = ("harness", "tests", "benchmarks", "docs", "examples")


def python_files(root: Path) -> list[Path]:
    """Paths from `root`: what git tracks in a checkout, else every file below the repository's own folders."""
    if (root / ".git").exists():
        command = ["git", "ls-files", "-z", "*.py"]
        listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split("\0")
        found = [Path(name) for name in listed if name and (root / name).is_file()]
    else:
        found = [path.relative_to(root) for house in HOUSES for path in (root / house).rglob("*.py")]
    return sorted(found)


def long_files(root: Path, files: Iterable[Path]) -> list[str]:
    """`path: lines` of every file that is over the limit."""
    counts = {path: len((root / path).read_text(encoding="utf-8").splitlines()) for path in files}
    return [f"{path}: {count} lines, expected at most {FILE}" for path, count in counts.items() if count > FILE]


def long_functions(root: Path, files: Iterable[Path]) -> list[str]:
    """`path:line: name` of every function that is over the limit from its `def` to its end, decorators not counted."""
    found = []
    for path in files:
        for node in ast.walk(ast.parse((root / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or node.lineno) - node.lineno + 1
                if count > FUNCTION:
                    found.append(f"{path}:{node.lineno}: {node.name}, {count} lines, expected at most {FUNCTION}")
    return found


def full_folders(files: Iterable[Path]) -> list[str]:
    """`folder: files` of every folder that holds more Python files than it may."""
    counts = Counter(path.parent for path in files)
    limits = {folder: TOP if folder == Path("harness") else FOLDER for folder in counts}
    return [
        f"{folder}: {count} Python files, expected at most {limits[folder]}"
        for folder, count in sorted(counts.items())
        if count > limits[folder]
    ]


def test_no_file_is_too_long() -> None:
    assert long_files(ROOT, python_files(ROOT)) == []


def test_no_function_is_too_long() -> None:
    assert long_functions(ROOT, python_files(ROOT)) == []


def test_no_folder_is_too_full() -> None:
    assert full_folders(python_files(ROOT)) == []


def test_the_whole_repository_is_looked_at() -> None:
    found = python_files(ROOT)
    assert {path.parts[0] for path in found} >= set(HOUSES)
    assert Path(__file__).relative_to(ROOT) in found
    assert len(found) > 400


def written(root: Path, name: str, text: str) -> None:
    """One file below `root`, with the folders above it."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")


def test_a_file_of_one_line_too_many_is_named(tmp_path: Path) -> None:
    written(tmp_path, "harness/right.py", "x = 1\n" * FILE)
    written(tmp_path, "tests/wrong.py", "x = 1\n" * (FILE + 1))
    files = python_files(tmp_path)
    assert len(files) == 2
    assert long_files(tmp_path, files) == ["tests/wrong.py: 301 lines, expected at most 300"]


def test_a_function_of_one_line_too_many_is_named_inside_a_class_too_and_decorators_do_not_count(
    tmp_path: Path,
) -> None:
    line = "        x = 1\n"
    right = "class Kind:\n    @staticmethod\n    def right():\n" + line * (FUNCTION - 1)
    wrong = "    async def wrong(\n        self,\n    ):\n" + line * (FUNCTION - 2)
    written(tmp_path, "examples/kinds.py", right + wrong)
    expected = [f"examples/kinds.py:{3 + FUNCTION}: wrong, 51 lines, expected at most 50"]
    assert long_functions(tmp_path, python_files(tmp_path)) == expected


def test_a_folder_of_one_file_too_many_is_named_and_the_top_of_harness_holds_fewer(tmp_path: Path) -> None:
    for number in range(FOLDER):
        written(tmp_path, f"tests/right/{number}.py", "")
        written(tmp_path, f"tests/wrong/{number}.py", "")
    written(tmp_path, "tests/wrong/one_more.py", "")
    for number in range(TOP + 1):
        written(tmp_path, f"harness/{number}.py", "")
    assert full_folders(python_files(tmp_path)) == [
        "harness: 13 Python files, expected at most 12",
        "tests/wrong: 21 Python files, expected at most 20",
    ]


def test_a_checkout_is_asked_what_it_tracks(tmp_path: Path) -> None:
    written(tmp_path, "tests/tracked.py", "")
    written(tmp_path, "tests/left_lying.py", "")
    for words in (["init", "-q"], ["add", "tests/tracked.py"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)
    assert python_files(tmp_path) == [Path("tests/tracked.py")]
