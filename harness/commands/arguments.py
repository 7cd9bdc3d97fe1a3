"""What the commands' arguments have in common: the parser, number types, and help texts that recur."""

from __future__ import annotations

import argparse

PATHS = "contracts: files, folders or builtin:NAME"
JSON = "one JSON object on stdout"
EXIT = """exit codes: 0 survived, 1 red, 2 bad contract or usage, 3 nothing survived"""


class Parser(argparse.ArgumentParser):
    """argparse, with one line for a mistake and the nearest name for a typing error."""

    def error(self, message: str) -> None:  # type: ignore[override]
        from harness.errors import UserError

        raise UserError(f"{message} (see `{self.prog} --help`)")


def positive(text: str) -> int:
    """A whole number from 1 on."""
    number = natural(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {text}, expected 1 or more")
    return number


def natural(text: str) -> int:
    """A whole number from 0 on."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number")
    return int(text)
