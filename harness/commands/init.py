"""`harness init`: write a contract, a falsifier and a kernel with one bug, which the user runs and mends."""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path

from harness.errors import UserError
from harness.words.plain import say

NAME = "init"
HELP = "a contract, a falsifier and a kernel with one bug, in an empty folder"
FILES = {
    "kernel.py": "your implementation, with one bug in it",
    "contract.yaml": "what must hold",
    "falsifier.py": "how it is attacked; known-wrong versions",
    "harness.toml": "which candidate is tried",
    "README.md": "what to do with them",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """[DIR]"""
    parser.add_argument(
        "folder", nargs="?", default=".", metavar="DIR", help="the folder; no file in it is overwritten"
    )


def run(args: argparse.Namespace) -> int:
    """Write the files and print what to do with them; overwrite no existing file.

    Raises: UserError if a file of one of these names exists, or the folder cannot be written.
    """
    target = Path(args.folder)
    there = [name for name in FILES if (target / name).exists() or (target / name).is_symlink()]
    if there:
        raise UserError(f"{target / there[0]}: is there already; choose an empty folder: `harness init DIR`")
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, what in FILES.items():
            text = (files("harness") / "template" / name).read_text(encoding="utf-8")
            with (target / name).open("x", encoding="utf-8") as stream:
                stream.write(text)
            say(f"{target / name!s:<24} {what}")
    except OSError as problem:
        raise UserError(
            f"{args.folder}: cannot be written ({problem.strerror}); choose another: `harness init DIR`"
        ) from None
    where = "" if target == Path(".") else f"cd {target} && "
    say("", f"Now: {where}harness run .    it says which line of kernel.py to mend; mend it and run again")
    return 0
