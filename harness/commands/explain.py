"""`harness explain WORD`: a claim, a verdict, a measurement, a criterion or a target in plain words."""

from __future__ import annotations

import argparse
import re
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path

NAME = "explain"
HELP = "a claim, a verdict, a measurement, a criterion or a target in plain words"
ENTRY = re.compile(r"\S+: ")


def arguments(parser: argparse.ArgumentParser) -> None:
    """CLAIM_OR_VERDICT [--contracts PATH] [--evidence DIR]"""
    parser.add_argument("word", metavar="CLAIM_OR_VERDICT", help="an id or a word; an unknown word gives the nearest")
    parser.add_argument("--contracts", metavar="PATH", help="where to look (default: the built-in contracts)")
    parser.add_argument(
        "--evidence", default="evidence", metavar="DIR", help="a folder of runs; the newest is described"
    )


def run(args: argparse.Namespace) -> int:
    """Print what a word means, one page for each meaning.

    Raises: UserError that names the nearest word if the word is unknown.
    """
    from harness.report.word_pages import pages
    from harness.words.plain import say

    found = pages(args.word, args.contracts, Path(args.evidence))
    for i, (title, lines) in enumerate(found):
        say(*([""] if i else []), title, *_wrapped(lines))
    return 0


def _wrapped(lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    """Wrap a page to the terminal, at most 100 columns; a command stays on one line, so that it can be copied."""
    width = max(40, min(shutil.get_terminal_size().columns, 100))
    for indent, text in lines:
        lead = " " * max(indent, 0)
        if indent < 0 or text.startswith("$ "):
            yield from ["", text] if indent < 0 else [lead + text]
        else:
            under = lead + ("  " if ENTRY.match(text) else "")
            words = " ".join(text.split())
            yield from textwrap.wrap(
                words,
                width,
                initial_indent=lead,
                subsequent_indent=under,
                break_on_hyphens=False,
                break_long_words=False,
            )
