"""Classify a foreign contract's test by its text as a command, code, prose or nothing, without running it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from harness.contract.text.writer import Plain


class Kind(StrEnum):
    """The kinds of tests, the most executable first."""

    COMMAND = "command"
    CODE = "code"
    PROSE = "prose"
    NONE = "none"


KEYS = (
    "test",
    "command",
    "cmd",
    "run",
    "test_command",
    "test_harness",
    "harness",
    "harness_discharged_by",
    "cross_check_command",
    "test_name",
    "tests",
    "verified_by",
    "check",
    "falsifier",
    "evidence_required",
    "condition",
    "method",
    "procedure",
)
"""Keys in which an entry may state its test, the most frequent first."""

_CODE = re.compile(
    r"#\[(tokio::)?test\]|#\[kani::proof\]|^\s*(pub |async )*fn \w+\s*\(|^\s*(async )?def \w+\(", re.MULTILINE
)
_CODE_LINE = re.compile(
    r"^\s*(assert(_eq|_ne)?!\(.+\);?$|proptest! *[{(]|let (mut )?\w+.* = |from \w[\w.]* import |import \w+$)"
)
_NAMED = re.compile(r"[\w./-]+(::[\w{}, *-]+)+|[A-Za-z_][\w.]*:[A-Za-z_]\w*|[\w./-]+\.(py|rs|sh|lean|bats)(:\w+)?")
"""The name of a test: path.rs::tests::name, package.module:function, tests/test_x.py."""
_RUNNERS = {
    "cargo": r"\+?(test|t|run|r|bench|nextest|kani|check|build|clippy|mutants|llvm-cov|fuzz|miri|nightly|stable|-)",
    "pytest": r"$|-|\S*(/|\.py|::)",
    "py.test": r"$|-|\S*(/|\.py|::)",
    "python": r"-|\S*(/|\.py)",
    "python3": r"-|\S*(/|\.py)",
    "bash": r"-|\S*(/|\.sh)",
    "sh": r"-|\S*(/|\.sh)",
    "make": r"(?!sure\b|it\b|the\b|that\b|an?\b)\S+$|-",
    "go": r"(test|run|vet|build|tool)\b",
    "npm": r"(test|run|ci|exec)\b",
    "npx": r"\S",
    "yarn": r"\S+$",
    "uv": r"(run|tool)\b",
    "tox": r"$|-",
    "nox": r"$|-",
    "ctest": r"$|-",
    "bazel": r"(test|run|build)\b",
    "lake": r"(build|env|exe|test)\b",
    "kani": r"\S*(/|\.rs)|-",
    "pv": r"[a-z-]+(\s+(-|\S*/|\S*\.)|$)",
    "apr": r"[a-z-]+(\s+(-|\S*/|\S*\.)|$)|-",
    "nvidia-smi": r"$|-",
    "./": r"",
}
_SHELL = re.compile(r"\|\s*\w|&&|\|\||\$\(|2>&1|>\s*/dev/null|;\s*(test|then|do)\b|^(if|while|until)\b.*;|^for \w+ in ")
_OPTION = re.compile(r"\s--?[A-Za-z][\w-]*")
_PROSE = re.compile(
    r"(?:^|\s)(the|an?|and|or|is|are|that|with|without|all|must|should|shall|verify|exits|succeeds|passes|fails|returns)"
    r"(?=\s|$)",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\s#.*$", re.DOTALL)
_BEFORE = re.compile(r"^(\$ |sudo |time |timeout \S+ |env |[A-Za-z_]\w*=\S* |cd \S+ *(&&|;) *)+")


def kind_of_entry(entry: Mapping[str, Any]) -> Kind:
    """The most executable kind among an entry's tests (`KEYS`)."""
    order = list(Kind)
    return min((kind_of(entry[key]) for key in KEYS if key in entry), key=order.index, default=Kind.NONE)


def kind_of(test: Any) -> Kind:
    """The kind of one `test:`; a list has the least executable kind of its items, a map the kind of its own keys."""
    if isinstance(test, Plain) or test in ("", [], {}):
        return Kind.NONE
    if isinstance(test, Mapping):
        found = kind_of_entry(test)
        return Kind.PROSE if found is Kind.NONE else found
    if isinstance(test, list):
        return max((kind_of(each) for each in test), key=list(Kind).index)
    text = str(test).strip()
    if not text:
        return Kind.NONE
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("# ")]
    if _CODE.search(text) or (lines and _CODE_LINE.match(lines[0])):
        return Kind.CODE
    return Kind.COMMAND if lines and (_NAMED.fullmatch(lines[0]) or _is_command(lines[0])) else Kind.PROSE


def _is_command(line: str) -> bool:
    whole, line = line, _BEFORE.sub("", line)
    head, _, rest = line.partition(" ")
    bare = _QUOTED.sub(" ", line)
    name = "./" if head.startswith(("./", "../")) else head
    if _PROSE.search(bare):
        return False
    if name in _RUNNERS and re.match(_RUNNERS[name], rest.lstrip()):
        return True
    if re.match(r"[a-z_]\w*=(\$\(|\"|'|\d)", whole):
        return True
    if not re.fullmatch(r"\[\[?|!|[a-z][\w.+-]*", head):
        return False
    return bool(_SHELL.search(line) or _OPTION.search(bare))
