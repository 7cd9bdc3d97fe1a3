"""Words are data: what each reader gets of hostile text, and that the engine prints in no other way."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt

from harness.words import plain
from tests.words.hostile import COMMANDS, HOSTILE, obeyed

ROOT = Path(__file__).resolve().parents[2]
ENGINE = (
    *("commands", "contract", "evidence", "judging", "measurements", "provable", "pytest_plugin", "report"),
    *("run", "subject", "trial", "words"),
)
BY_THEMSELVES = {
    "words/plain.py": "the sanitiser itself",
    "report/ci/github.py": "prints what `plain.command` made",
    "report/terminal.py": "gives the streams to rich, in a console that `plain` cleans",
    "trial/overheard.py": "flushes the streams that it keeps apart",
    "trial/ending.py": "writes tracebacks into the claim's log",
    "trial/worker.py": "turns a claim's output into its log",
    "subject/isolation/server.py": "turns a candidate's output into its claim's log",
    "commands/completion.py": "prints a shell's script, with no text from outside",
}
"""Files that use a stream without `plain.say`, and why they may."""


def test_a_line_is_one_line_that_no_terminal_obeys() -> None:
    for text in HOSTILE:
        found = plain.line(text)
        assert all(c.isprintable() or unicodedata.category(c) == "Zs" for c in found), found
        assert not obeyed(plain.printed(text)), text
    assert plain.line("é 漢\u3000字 x") == "é 漢\u3000字 x"
    assert plain.line("a\x1b]0;t\x07\u202e\n\ud800\x00") == r"a\x1b]0;t\x07\u202e\n\ud800\x00"
    assert plain.block("a\n\tb\r\x9b") == "a\n\tb\\r\\x9b"


@pytest.mark.parametrize("text", COMMANDS)
def test_no_runner_takes_a_line_for_a_command(text: str) -> None:
    assert obeyed(text), "the test's own runner knows this command"
    assert not obeyed(plain.printed(text))
    assert not obeyed(plain.unheeded(f"before\n{text}\nafter"))


def test_say_prints_each_argument_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    plain.say("a", "b\nevidence/x: verified", "::error::x")
    plain.say("c\ud800", stderr=True)
    out, err = capsys.readouterr()
    assert out == "a\nb\\nevidence/x: verified\n\\x3a:error::x\n"
    assert err == "c\\ud800\n"


def test_json_says_the_same_in_signs_that_nobody_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    found = {"texts": list(HOSTILE), "\x9b##[error]": "\U000e0001 ###[", "n": [1, 2.5, None]}
    plain.say_json(found)
    printed = capsys.readouterr().out
    assert json.loads(printed) == found
    assert all(c.isprintable() or c == "\n" for c in printed)
    assert not obeyed(printed)
    with pytest.raises(ValueError, match="not JSON compliant"):
        plain.say_json(float("nan"))


@pytest.mark.parametrize("text", [*HOSTILE, "# h", "- x", "1. x", "---", "===", "> q", "+ x", "*a* _b_", "a\n\n# b"])
@pytest.mark.parametrize("write", [plain.markdown, plain.prose, plain.code])
def test_markdown_makes_one_paragraph_of_text(text: str, write: object) -> None:
    page = write(text)  # type: ignore[operator]
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    outer = reader.parse(page)
    assert [token.type for token in outer] in (["paragraph_open", "inline", "paragraph_close"], []), page
    inner = {token.type for token in (outer[1].children or [])} if outer else set()
    assert inner <= {"text", "code_inline"}, (page, inner)
    row = reader.parse(f"| a | b |\n|---|---|\n| {page} | end |\n")
    assert sum(token.type == "td_open" for token in row) == 2, page


def test_prose_keeps_code_and_text_keeps_its_words() -> None:
    render = MarkdownIt().render
    assert render(plain.prose("use `a<b` and *c* <i>")) == "<p>use <code>a&lt;b</code> and *c* &lt;i&gt;</p>\n"
    assert render(plain.prose("an odd ` tick")) == "<p>an odd ` tick</p>\n"
    assert render(plain.markdown("1. x_y_z `t` a&amp;b")) == "<p>1. x_y_z `t` a&amp;amp;b</p>\n"


def test_a_fence_holds_whatever_stands_inside() -> None:
    for text in [*HOSTILE, "```\n<b>", "````"]:
        (token,) = MarkdownIt().parse(plain.fenced([text, "last"]))
        assert token.type == "fence"
        assert token.content == f"{plain.block(text)}\nlast\n"


def test_no_text_is_more_than_xml_can_carry() -> None:
    everything = "".join(map(chr, [*range(0x3000), *range(0xD7F0, 0xE010), *range(0xFFF0, 0x10020)]))
    element = ET.Element("e", {"a": plain.block(everything)})
    assert ET.fromstring(ET.tostring(element)).get("a") is not None


def test_a_command_of_the_harness_holds_its_text() -> None:
    for text in HOSTILE:
        made = plain.command("error", text, {"title": f"{text},x=1::"})
        assert "\n" not in made
        assert "\r" not in made
        head, _, _ = made.removeprefix("::").partition("::")
        assert re.fullmatch(r"error title=[^,:]*", head), made


def test_data_is_cleaned_to_its_leaves() -> None:
    assert plain.data({"a\x1b": ["\u202e", ("x\n",), 3, None]}) == {r"a\x1b": [r"\u202e", ["x\n"], 3, None]}


def test_a_table_of_rich_is_text_too(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table

    from harness.report.terminal import console

    table = Table(box=None)
    table.add_column("a", no_wrap=True)
    for text in HOSTILE:
        table.add_row(text)
    out = console(width=400)
    out.print(table)
    out.print(*HOSTILE, soft_wrap=True)
    printed = capsys.readouterr().out
    assert obeyed(printed) == []
    assert printed.count(HOSTILE[1]) == 2, "markup and emoji codes stand as they are written"


def _streams(tree: ast.AST) -> list[int]:
    """Lines that print, or that name standard output or standard error."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print")
        or (isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr") and _is_sys(node.value))
    ]


def _is_sys(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "sys"


def test_the_engine_prints_through_the_sanitiser_alone() -> None:
    found = {
        path.relative_to(ROOT / "harness").as_posix(): lines
        for room in ENGINE
        for path in sorted((ROOT / "harness" / room).rglob("*.py"))
        if (lines := _streams(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert {name: lines for name, lines in found.items() if name not in BY_THEMSELVES} == {}
    assert set(BY_THEMSELVES) <= set(found), "an exception that is none any more"
    assert _streams(ast.parse("print(1)\nimport sys\nsys.stderr.write('x')")) == [1, 3]
