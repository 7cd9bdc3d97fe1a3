"""The command line. Commands import what they need when they run, so `--help` and `validate` stay light."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from harness.commands.arguments import parser
from harness.commands.completer import answer
from harness.contract.names.packages import import_from, in_the_way
from harness.contract.problem import nearest
from harness.errors import UserError


def dispatch(args: argparse.Namespace) -> int:
    """Call the command's module."""
    if args.command == "validate":
        from harness.commands import validate

        return validate.run(args.paths, json_output=args.json)
    if args.command == "run":
        from harness.commands import run
        from harness.run import settings

        if not args.paths and not args.resume:
            raise UserError("run: no PATH given; try `harness run contracts/` or `harness run builtin:ops`")
        fields = settings.find(args.paths) | {k: v for k, v in vars(args).items() if v is not None}
        return run.run(run.Options(**{k: v for k, v in fields.items() if k != "command"}))
    if args.command == "verify":
        from harness.commands import verify

        return verify.run(args.evidence)
    if args.command == "gate":
        from harness.commands import gate

        return gate.run(gate.Options(**{k: v for k, v in vars(args).items() if k != "command"}))
    if args.command == "report":
        from harness.commands import report

        return report.run(args.evidence, out=args.out)
    if args.command == "compare":
        from harness.commands import compare

        return compare.run(args.before, args.after, as_json=args.json)
    if args.command == "replay":
        from harness.commands import replay

        return replay.run(args.counterexample, spec=args.candidate)
    if args.command == "mutants":
        from harness.commands import mutants

        return mutants.run(args.paths, as_json=args.json, workers=args.workers)
    if args.command == "inspect":
        from harness.commands import inspect

        return inspect.run(args.path, model=args.model, as_json=args.json)
    if args.command == "export":
        from harness.commands import export

        return export.run(args.folder, args.out, kind=args.type, tokenizer=args.tokenizer)
    if args.command == "import":
        from harness.commands import import_contracts

        return import_contracts.run(args.paths, out=args.out, force=args.force, as_json=args.json)
    if args.command == "completion":
        from harness.commands import completion

        return completion.run(args.shell)
    if args.command == "explain":
        from harness.commands import explain

        return explain.run(args.word, contracts=args.contracts, folder=args.evidence)
    from harness.commands import init

    return init.run(args.folder)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; a user's mistake is one line on stderr, and a code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if argv is None:  # the console script has its own folder there instead
        import_from(os.getcwd())
    try:
        top = parser()
        if "_ARGCOMPLETE" in os.environ:
            answer(top)
        if arguments and not arguments[0].startswith("-"):
            known = list(top._subparsers._group_actions[0].choices)  # type: ignore[union-attr, arg-type]
            if arguments[0] not in known:
                raise UserError(f"{arguments[0]}: no such command{nearest(arguments[0], known)} ({', '.join(known)})")
        args = top.parse_args(arguments)
        if args.command is None:
            top.print_help()
            return 2
        return dispatch(args)
    except UserError as problem:
        print(f"harness: {problem}", file=sys.stderr)
        return problem.code
    except (ImportError, AttributeError):
        hidden = in_the_way(os.getcwd())
        if hidden is None:
            raise
        name, file = hidden
        print(f"harness: {file} hides the module `{name}` that Harness needs; rename it", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("harness: interrupted; finished claims are kept in the .partial folder (--resume)", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 141


if __name__ == "__main__":
    sys.exit(main())
