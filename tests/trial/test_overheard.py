"""What a candidate prints outside of its claim's log is told as text on stderr, and never on stdout."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.repository import environment
from tests.words import hostile

PRINTING = """
import os, sys
from harness.trial.overheard import overheard
print("before")
try:
    with overheard():
        {inside}
except ZeroDivisionError:
    print("raised")
print("after")
"""


def printed(inside: str) -> tuple[str, str]:
    words = [sys.executable, "-c", PRINTING.format(inside=inside)]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=True, timeout=120)
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    ("inside", "told"),
    [
        ("pass", ""),
        (f"print({hostile.STOP!r}); os.write(1, b'a\\x1b[2J'); print({hostile.RED!r}, file=sys.stderr)", None),
        ("os.system('echo ::error::x; echo y >&2')", "\\x3a:error::x\ny\n"),
        ("print('ended'); 1 / 0", "ended\n"),
        ("os.write(2, b'z' * 100_000)", "... 34464 bytes of output are left out ...\n" + "z" * 65536 + "\n"),
    ],
)
def test_it_is_told_as_text(inside: str, told: str | None) -> None:
    out, err = printed(inside)
    assert out == "before\n" + "raised\n" * ("1 / 0" in inside) + "after\n"
    assert hostile.obeyed(err) == []
    if told is None:
        assert {"\\x3a:stop-commands::x", "[red]"} <= set(err.replace("a\\x1b[2J", "").split("\n"))
    else:
        assert err == told
