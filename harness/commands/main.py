"""The command line: it calls a command by its name. Commands import their needs when they run, so `--help` is fast."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

from harness import __version__
from harness.commands import (
    compare,
    completion,
    explain,
    export,
    gate,
    import_contracts,
    init,
    inspect,
    keygen,
    mutants,
    replay,
    report,
    run,
    validate,
    verify,
)
from harness.commands.arguments import EXIT, Parser
from harness.commands.completer import answer
from harness.contract.names.packages import import_from, in_the_way
from harness.contract.problem import nearest
from harness.errors import UserError
from harness.words.plain import say

COMMANDS = (
    validate,
    run,
    gate,
    report,
    compare,
    export,
    import_contracts,
    verify,
    replay,
    mutants,
    inspect,
    explain,
    keygen,
    completion,
    init,
)
"""In the order in which `--help` lists them. A command is a module with NAME, HELP, arguments(parser) and run(args),
and optionally EPILOG, the last paragraph of its help."""
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
REFUSED = (errno.EACCES, errno.EPERM)
"""Told by exit code 4 too where a run's own folder was refused, whose mode was changed meanwhile."""
KEPT = "finished claims are kept in the .partial folder; make room, then `harness run --resume` it"
READERS = {command.NAME for command in (verify, report, compare, inspect)}
"""Commands that read evidence or files and run nothing: they import nothing from the working folder."""
LOOKING_UP = {command.NAME for command in (gate, explain)}
"""Commands that also look up what the contracts at hand name."""


def parser() -> Parser:
    """Build the parser with all commands."""
    top = Parser(prog="harness", description="Falsification harness for language-model implementations.", epilog=EXIT)
    top.add_argument("--version", action="version", version=f"harness {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for command in COMMANDS:
        sub = commands.add_parser(command.NAME, help=command.HELP, epilog=getattr(command, "EPILOG", None))
        command.arguments(sub)
        sub.set_defaults(execute=command.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; report a user's mistake as one line on stderr."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        top = parser()
        if "_ARGCOMPLETE" in os.environ:
            answer(top)
        known = [command.NAME for command in COMMANDS]
        if arguments and not arguments[0].startswith("-") and arguments[0] not in known:
            raise UserError(f"{arguments[0]}: no such command{nearest(arguments[0], known)} ({', '.join(known)})")
        args = top.parse_args(arguments)
        if args.command is None:
            top.print_help()
            return 2
        if argv is None:
            _settle_path(args.command)
        return int(args.execute(args))
    except UserError as problem:
        say(f"harness: {problem}", stderr=True)
        return problem.code
    except (ImportError, AttributeError):
        hidden = in_the_way(os.getcwd())
        if hidden is None:
            raise
        name, file = hidden
        say(f"harness: {file} hides the module `{name}` that Harness needs; rename it", stderr=True)
        return 2
    except KeyboardInterrupt:
        say("harness: interrupted; finished claims are kept in the .partial folder (--resume)", stderr=True)
        return 130
    except BrokenPipeError:
        return 141
    except OSError as problem:
        if not _unwritable(problem):
            raise
        say(f"harness: {problem.strerror}: {problem.filename or 'the evidence'}; {KEPT}", stderr=True)
        return 4


def _unwritable(problem: OSError) -> bool:
    """Whether evidence could not be written."""
    from harness.evidence.store import PARTIAL

    return problem.errno in UNWRITABLE or (problem.errno in REFUSED and PARTIAL in str(problem.filename))


def _settle_path(command: str) -> None:
    """The working folder first on the path for commands that run the user's code; not at all for readers of evidence.

    A command that reads contracts too has it last: nothing in the folder can then answer for a module of ours.
    """
    if command not in READERS:
        import_from(os.getcwd(), last=command in LOOKING_UP)


if __name__ == "__main__":
    sys.exit(main())
