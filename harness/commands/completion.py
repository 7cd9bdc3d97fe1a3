"""`harness completion SHELL`: the few lines a shell evaluates to complete commands, options, files and claims."""

from __future__ import annotations

from harness.errors import UserError


def run(shell: str) -> int:
    """Print the code for one shell.

    Raises: UserError if argcomplete is not installed.
    """
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError:
        raise UserError(
            "completion needs argcomplete, which is not installed: pip install 'harness[completion]'"
        ) from None
    print(shellcode(["harness"], shell=shell))
    return 0
