"""Text that wants to be more than text, and what a terminal or a CI's runner would obey in a command's output."""

from __future__ import annotations

import re
import unicodedata

TITLE, RED, TAG, STOP, BIDI = "\x1b]0;owned\x07", "[red]", "<script>owned()</script>", "::stop-commands::x", "\u202e"
COMMANDS = (
    "::error::x",
    "  ::set-output name=a::b",
    "\u3000::add-mask::x",
    "::stop-commands::x",
    "words ##[error]x",
    "##[add-mask]x",
    "##vso[task.setvariable variable=a]b",
    "###[error]x",
    "##teamcity[buildStatus]",
)
HOSTILE = (
    TITLE,
    f"{RED}text[/red] [link=http://owned]x[/link] :boom:",
    TAG,
    f"a\n{STOP}\n::error::owned",
    f"{BIDI}txet\u2066\u200b",
    "lone \ud800 surrogate",
    "nul \x00 del \x7f csi \x9b31m",
    "a\r\n::warning::owned\u2028\u0085::error::owned",
    "[x](javascript:owned) ![y](http://owned/z.png) <http://owned> https://owned @everyone #1",
    "| a | b |\n|---|---|\n# heading\n```\n`tick",
    *COMMANDS,
)


def obeyed(output: str) -> list[str]:
    """What in a command's output a terminal or a runner would take for more than text."""
    found = [repr(c) for c in output if c not in "\n\t" and not c.isprintable() and unicodedata.category(c) != "Zs"]
    for line in re.split(r"\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]", output):
        if line.lstrip().startswith("::") or re.search(r"##\w*\[", line):
            found.append(line)
    return found
