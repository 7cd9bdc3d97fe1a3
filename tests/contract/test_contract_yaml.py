"""YAML as YAML 1.2 reads it, and hostile or broken files told in one line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from harness.contract.text.reader import load_yaml


def read(tmp_path: Path, text: str | bytes) -> tuple[Any, list[str]]:
    file = tmp_path / "c.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    data, _, problems = load_yaml(file)
    return data, [str(problem).removeprefix(f"{tmp_path}/") for problem in problems]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1e-5", 1e-5),
        ("1.0e-6", 1e-6),
        ("-.5", -0.5),
        ("2.", 2.0),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("+3", 3),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("Off", "Off"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("2024-01-31", "2024-01-31"),
        ("=", "="),
        ("'1e-5'", "1e-5"),
        ('"~"', "~"),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("-", None),
    ],
)
def test_scalars_follow_yaml_1_2(tmp_path: Path, written: str, meant: Any) -> None:
    data, problems = read(tmp_path, f"a: {written}\n" if written != "-" else "a:\n")
    assert problems == []
    assert (data["a"], type(data["a"])) == (meant, type(meant))


def test_nan_is_a_float(tmp_path: Path) -> None:
    assert math.isnan(read(tmp_path, "a: .nan")[0]["a"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", "c.yaml:3:1: error: duplicate key 'a', first at line 1, column 1"),
        ("x:\n  - {k: 1, k: 2}\n", "c.yaml:2:12: error: duplicate key 'k', first at line 2, column 6"),
        ("1: x\n", "c.yaml:1:1: error: key 1 is not text"),
        ("true: x\n", "c.yaml:1:1: error: key true is not text"),
        ("? [a]\n: x\n", "c.yaml:1:3: error: found a list or map as a key"),
        ("a: &x 1\n", "c.yaml:1:4: error: found the anchor &x"),
        ("a: 1\nb: *x\n", "c.yaml:2:4: error: found the alias *x"),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            "c.yaml:1:4: error: found the tag 'tag:yaml.org,2002:python/object/apply:os.system'",
        ),
        ("a: !!float 1\n", "c.yaml:1:4: error: found the tag"),
        ("a: ! 1\n", "c.yaml:1:4: error: found the tag '!'"),
        ("a:\n  <<: {b: 1}\n", "c.yaml:2:3: error: found the merge key <<"),
        ("a: 1\n---\nb: 2\n", "c.yaml:2:1: error: a second document begins here"),
        ("", "c.yaml:1:1: error: the file is empty"),
        ("# only a comment\n", "c.yaml:1:1: error: the file is empty"),
        ("a:\n\tb: 1\n", "c.yaml:2:1: error: not YAML: a tab"),
        ("a: [1, 2\nb: 3\n", "c.yaml:2:2: error: not YAML: did not find expected ',' or ']'"),
        ('a: "x\n', "c.yaml:2:1: error: not YAML: found unexpected end of stream while scanning a quoted scalar"),
        (b"a: 1\nbc: \xff\n", "c.yaml:2:5: error: byte 0xff is not UTF-8"),
        ("a: 1\nb: \0\n", "c.yaml:2:4: error: not text"),
        ("a: " + "9" * 5000 + "\n", "c.yaml:1:4: error: found the integer"),
    ],
)
def test_what_is_refused_is_told_in_one_line(tmp_path: Path, text: str | bytes, expected: str) -> None:
    _, problems = read(tmp_path, text)
    assert len(problems) == 1
    assert problems[0].startswith(expected)
    assert "\n" not in problems[0]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "- " * 100_000, "{a: " * 100_000, "".join(f"{' ' * i}a:\n" for i in range(500))]
)
def test_deep_nesting_is_one_line(tmp_path: Path, text: str) -> None:
    data, problems = read(tmp_path, text)
    assert data is None
    assert len(problems) == 1
    assert "nested deeper than 40 levels" in problems[0]


def test_billion_laughs_stops_at_the_first_anchor(tmp_path: Path) -> None:
    lines = ["a0: &a0 [lol, lol]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 64)]
    assert "anchor &a0" in read(tmp_path, "\n".join(lines))[1][0]


def test_positions_of_keys_and_values(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("a:\n  - b: [1, {c: 2}]\n")
    _, positions, _ = load_yaml(tmp_path / "c.yaml")
    assert positions.keys["a", 0, "b"] == (2, 5)
    assert positions.values["a", 0, "b", 1, "c"] == (2, 16)
    assert positions.at(("a", 0, "b", 1, "missing"), key=True) == (2, 12)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in str(load_yaml(tmp_path / "none.yaml")[2][0])


def test_a_byte_order_mark_is_no_part_of_a_key(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeffa: 1\n".encode()) == ({"a": 1}, [])
