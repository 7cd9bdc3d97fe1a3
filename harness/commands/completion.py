"""`harness completion SHELL`: print code that a shell evaluates to complete commands, options, files and claims."""

from __future__ import annotations

import argparse

from harness.commands.completer import SHELLS
from harness.errors import UserError

NAME = "completion"
HELP = "shell completion"
EPILOG = 'bash and zsh: eval "$(harness completion bash)"; fish: ... | source'


def arguments(parser: argparse.ArgumentParser) -> None:
    """SHELL"""
    parser.add_argument("shell", choices=SHELLS, help="the shell to print code for")


def run(args: argparse.Namespace) -> int:
    """Print the code for one shell.

    Raises: UserError if argcomplete is not installed.
    """
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError:
        raise UserError(
            "completion needs argcomplete, which is not installed: pip install 'harness[completion]'"
        ) from None
    print(shellcode(["harness"], shell=args.shell))
    return 0
