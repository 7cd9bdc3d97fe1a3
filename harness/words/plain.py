"""Text from outside (contracts, candidates, evidence, model files) as data, whoever reads it: it cannot move a cursor,
set a colour, reverse the reading order, add a line, start a command of the CI, or become a tag, a link or a mention.

`say` prints; `line` and `block` are for pages, JUnit and SARIF; `markdown`, `prose`, `code` and `fenced` for Markdown;
`command` for GitHub Actions. tests/words holds that the engine prints in no other way.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any


class _Escapes(dict[int, str]):
    """For str.translate: a character that shows as itself stays, any other becomes its Python escape."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        visible = char.isprintable() or unicodedata.category(char) == "Zs"
        self[code] = char if visible else char.encode("unicode_escape").decode("ascii")
        return self[code]


_LINE = _Escapes()
_BLOCK = _Escapes({ord("\n"): "\n", ord("\t"): "\t"})
_COMMAND = re.compile(r"^([^\S\n]*):(?=:)|#(?=#\w*\[)", re.MULTILINE)
"""What a CI's runner takes for a command: `::` at the start of a line, `##[` anywhere, `##vso[`, `##teamcity[`."""
_FIRST = re.compile(r"^(?:[-+](?=\s|$)|[-=#](?=[-=#\s]|$)|\d(?=\d*[.)](?:\s|$)))")
"""A first sign with which a line of Markdown begins a list, a heading or a rule."""


def line(text: object) -> str:
    """Text on one line: line breaks, controls, bidi marks and lone surrogates as escapes such as `\\x1b`."""
    found = str(text)
    return found if found.isprintable() else found.translate(_LINE)


def block(text: object) -> str:
    """The same for text of several lines: line breaks and tabs stay."""
    found = str(text)
    return found if found.isprintable() else found.translate(_BLOCK)


def data(value: Any) -> Any:
    """Every text inside JSON data as `block` gives it, keys included."""
    if isinstance(value, Mapping):
        return {block(key): data(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [data(each) for each in value]
    return block(value) if isinstance(value, str) else value


def printed(text: object) -> str:
    """One line for a terminal or the log of a CI, which takes it for no command."""
    return unheeded(line(text))


def unheeded(text: str) -> str:
    """Text in which the runner of a CI finds no command; a sign of each is written as its escape."""
    return _COMMAND.sub(lambda found: f"{found[1]}\\x3a" if found[1] is not None else "\\x23", text)


def say(*lines: object, stderr: bool = False) -> None:
    """Print each argument as one line."""
    stream = sys.stderr if stderr else sys.stdout
    stream.write("".join(f"{printed(each)}\n" for each in lines))
    stream.flush()


def say_json(value: Any, indent: int = 1) -> None:
    """Print one object on stdout as strict JSON, without NaN; what `printed` escapes, JSON's own escapes spell."""
    # Written in pieces, because one string would hold a second copy of large data.
    pieces = json.JSONEncoder(indent=indent, allow_nan=False, ensure_ascii=False).iterencode(value)
    sys.stdout.writelines(map(_json_piece, pieces))
    say("")


def _json_piece(piece: str) -> str:
    if not piece.isprintable():
        piece = "".join(c if c.isprintable() or c == "\n" else _json_escape(c) for c in piece)
    return piece.replace("##", "#\\u0023")  # these stand only inside texts


def _json_escape(char: str) -> str:
    pair = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{pair[i : i + 4]}" for i in range(0, len(pair), 4))


def markdown(text: object) -> str:
    """Text for a line of Markdown: no break, cell, tag, link, mention, emphasis, list or heading comes of it."""
    return _FIRST.sub(lambda found: f"&#{ord(found[0])};", _inert(_in_one_line(text)))


def _inert(text: str) -> str:
    out = re.sub(r"[\\`*\[|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\\g<0>", text)
    out = re.sub(r"([@#])(?=\w)", "\\1\u200b", out.replace("://", r":\/\/"))
    return out.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("$", "&#36;")


def prose(text: object) -> str:
    """The same, but what stands between two backticks is code."""
    pieces = _in_one_line(text).split("`")
    if len(pieces) % 2 == 0:  # the last backtick has no partner
        pieces[-2:] = ["`".join(pieces[-2:])]
    shown = "".join(code(each) if i % 2 and each.strip() else _inert(each) for i, each in enumerate(pieces))
    return _FIRST.sub(lambda found: f"&#{ord(found[0])};", shown)


def code(text: object) -> str:
    """Text between backticks, its own backticks replaced by apostrophes and its pipes escaped for a table."""
    return f"`{_in_one_line(text).replace('`', chr(39)).replace('|', chr(92) + '|')}`"


def fenced(lines: Sequence[object]) -> str:
    """A fenced block whose fence is longer than any run of backticks in the text."""
    text = "\n".join(block(each) for each in lines)
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{ticks}text\n{text}\n{ticks}"


def _in_one_line(text: object) -> str:
    return line(" ".join(str(text).split()))


def command(level: str, message: str, places: Mapping[str, object]) -> str:
    """A workflow command of GitHub Actions: `::error file=...,line=...,title=...::message`."""
    given = ",".join(f"{name}={_property(value)}" for name, value in places.items() if value is not None)
    return f"::{level} {given}::{_data(unheeded(block(message)))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: object) -> str:
    return _data(printed(value)).replace(":", "%3A").replace(",", "%2C")
