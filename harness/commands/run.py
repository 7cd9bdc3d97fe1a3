"""`harness run PATH...`: run contracts, seal the evidence and print a table."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands.arguments import EXIT, JSON, PATHS, duration, natural, positive
from harness.errors import UserError
from harness.platforms import device_form

if TYPE_CHECKING:
    from harness.run.session import Finished

NAME = "run"
HELP = "try to break a candidate; write evidence"
EPILOG = EXIT


def arguments(parser: argparse.ArgumentParser) -> None:
    """PATH..., and options for the candidate, the device and the number of claims at once."""
    add = parser.add_argument
    candidate = "torch, file.py[:NAME], package.module:NAME ... (default: harness.toml's, else torch)"
    add("paths", nargs="*", metavar="PATH", help=PATHS)
    add("--candidate", metavar="C", help=candidate)
    add("--weights", metavar="HF_DIR", help="a Hugging Face folder used instead of the built-in model")
    add("--device", default="auto", metavar="D", help=device_form())
    add("--evidence", default="evidence", metavar="DIR", help="the parent of the run's folder")
    add("--seed", type=natural, default=0, metavar="N", help="seed of the cases; the same seed gives the same bytes")
    add(
        "-j",
        dest="workers",
        type=positive,
        metavar="N",
        help="number of claims to run at once (default: one per core, on CUDA one)",
    )
    add(
        "-k", dest="select", default="", metavar="EXPR", help="select claims by words with and, or, not and parentheses"
    )
    add(
        "--no-mutants",
        action="store_true",
        help="run candidate and baseline alone, for a quick look: what is not red is UNVERIFIED",
    )
    add(
        "--search",
        dest="search_s",
        type=duration,
        metavar="TIME",
        help="after the fixed cases, spend this long (90s, 10m, 2h) on further ones: other sizes, options and values",
    )
    add("--memory-mb", type=positive, metavar="MB", help="memory limit per claim (default: 80 %% of RAM / N)")
    add(
        "--isolate",
        action=argparse.BooleanOptionalAction,
        help="run a candidate in Python in a process that knows nothing of the claim and changes no file of others "
        "(default with --sign)",
    )
    add("--resume", metavar="RUN.partial", help="finish a run that was killed")
    add(
        "--sign",
        metavar="KEY|sigstore",
        help="sign the sealed run with this key, or keyless in CI (sigstore:FILE: with the trust config of your own)",
    )
    add("--junitxml", metavar="FILE", help="also write the outcome as JUnit XML")
    add("--json", action="store_true", help=JSON)


def run(args: argparse.Namespace) -> int:
    """Run the claims; returns the exit code.

    Raises: UserError for a bad contract, candidate, device or selection.
    """
    from harness.evidence.summary import exit_code
    from harness.report.progress import TerminalProgress
    from harness.report.terminal import print_run
    from harness.run import session
    from harness.run.progress import Silent
    from harness.subject.isolation.kernel import hide_memory
    from harness.words.plain import say_json

    hide_memory()  # the results of all claims pass through this process
    _refuse_inside_a_run(args.junitxml)
    sign = _signing(args.sign) if args.sign else None  # a mistake is told before anything runs
    finished = session.run_session(_options(args), Silent() if args.json else TerminalProgress())
    sealed = finished.sealed
    shown = {
        "run": sealed.id,
        "evidence": str(sealed.folder),
        "candidate": finished.options.candidate,
        "device": finished.device,
    }
    if args.json:
        say_json({**shown, **sealed.outcome})
    else:
        print_run(shown, sealed.outcome, sealed.results, finished.seconds, finished.options.replay)
    _tell_ci(finished, args)
    if sign:
        sign(sealed.folder)  # last: a service that refuses costs nothing of what the run found
    return exit_code(sealed.outcome["counts"])


def _signing(name: str) -> Callable[[Path], Any]:
    """What signs a sealed run: a key's file, or `sigstore`, with `:FILE` one of one's own."""
    from harness.evidence import keyless, signature

    word, colon, file = name.partition(":")
    if word == keyless.WORD:
        trust, requests = keyless.services(file) if colon else None, keyless.Requests()
        return lambda run: keyless.sign(run, signature.statement(run), requests, trust)
    key = signature.private_key(name)
    return lambda run: signature.sign(run, key)


def _options(args: argparse.Namespace) -> Any:
    """Combine the project's settings with the command line, which overrides them."""
    from harness.run import settings
    from harness.run.options import Options

    if not args.paths and not args.resume:
        raise UserError("run: no PATH given; try `harness run contracts/` or `harness run builtin:ops`")
    apart = ("command", "execute", "json", "junitxml", "sign")
    given = {name: value for name, value in vars(args).items() if value is not None and name not in apart}
    if args.sign and not args.resume:  # a resumed run goes on as it began
        given = {"isolate": True} | given
    return Options(**(settings.find(args.paths) | given))


def _refuse_inside_a_run(file: str | None) -> None:
    from harness.evidence import manifest

    if file and (inside := manifest.enclosing(file)):
        raise UserError(f"--junitxml {file}: lies inside the sealed run {inside}; give a file outside it")


def _tell_ci(finished: Finished, args: argparse.Namespace) -> None:
    """Write JUnit XML if requested, and annotations and a summary on GitHub."""
    from harness.evidence import store
    from harness.evidence.merge import merge, plan
    from harness.report.ci import github, junit
    from harness.report.claim import reported

    if not args.junitxml and not github.enabled():
        return
    folder = finished.sealed.folder
    runs = [(folder, store.read_json(folder / "run.json"))]
    merged = merge(runs, plan([folder]))
    if args.junitxml:
        file = Path(args.junitxml)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(junit.document(merged, runs))
    if github.enabled():
        claims = reported(merged, runs)
        github.print_lines(github.of_claims(claims), args.json)
        github.append_summary(github.run_page(merged["counts"], merged["targets"], claims))
