"""Every command, its arguments and what each may be."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta
from fractions import Fraction

from harness import __version__
from harness.commands.completer import SHELLS
from harness.errors import UserError

PATHS = "contracts: files, folders or builtin:NAME"
JSON = "one JSON object on stdout"
EXIT = """exit codes: 0 survived, 1 red, 2 bad contract or usage, 3 nothing survived"""


class Parser(argparse.ArgumentParser):
    """argparse, with one line for a mistake and the nearest name for a typing error."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UserError(f"{message} (see `{self.prog} --help`)")


def parser() -> Parser:
    """The whole command line."""
    top = Parser(prog="harness", description="Falsification harness for language-model implementations.", epilog=EXIT)
    top.add_argument("--version", action="version", version=f"harness {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    _validate(commands)
    _run(commands)
    _gate(commands)
    _report(commands)
    _compare(commands)
    _export(commands)
    _import(commands)
    verify = commands.add_parser("verify", help="hash every file again and judge every claim again")
    verify.add_argument("evidence", nargs="+", metavar="EVIDENCE", help="sealed runs, or folders of them")
    replay = commands.add_parser("replay", help="run one saved counterexample again, same bytes")
    replay.add_argument("counterexample", metavar="COUNTEREXAMPLE", help="counterexample.json of a claim")
    replay.add_argument("--candidate", metavar="C", help="try another candidate on the same bytes")
    mutants = commands.add_parser("mutants", help="which mutant dies by which claim and limit, by what margin")
    mutants.add_argument("paths", nargs="*", metavar="PATH", help="evidence or contracts; default: the newest evidence")
    mutants.add_argument("-j", dest="workers", type=_positive, metavar="N", help="claims at once")
    mutants.add_argument("--json", action="store_true", help=JSON)
    inspect = commands.add_parser("inspect", help="what a GGUF or safetensors file, or a checkpoint folder, holds")
    inspect.add_argument("path", metavar="FILE", help="a .gguf or .safetensors file, or a folder")
    inspect.add_argument("--model", metavar="HF_DIR", help="hold a PEFT adapter folder to this checkpoint's config")
    inspect.add_argument("--json", action="store_true", help=JSON)
    _explain(commands)
    completion = commands.add_parser(
        "completion",
        help="shell completion",
        epilog='bash and zsh: eval "$(harness completion bash)"; fish: ... | source',
    )
    completion.add_argument("shell", choices=SHELLS, help="whose code to print")
    init = commands.add_parser("init", help="a contract, a falsifier and a kernel with one bug, in an empty folder")
    init.add_argument("folder", nargs="?", default=".", metavar="DIR", help="where; nothing in it is overwritten")
    return top


def _validate(commands: argparse._SubParsersAction[Parser]) -> None:
    sub = commands.add_parser("validate", help="check contracts without running them")
    sub.add_argument("paths", nargs="+", metavar="PATH", help=PATHS)
    sub.add_argument("--json", action="store_true", help=JSON)


def _run(commands: argparse._SubParsersAction[Parser]) -> None:
    sub = commands.add_parser("run", help="try to break a candidate; write evidence", epilog=EXIT)
    sub.add_argument("paths", nargs="*", metavar="PATH", help=PATHS)
    candidate = "torch, file.py[:NAME], package.module:NAME ... (default: harness.toml's, else torch)"
    sub.add_argument("--candidate", metavar="C", help=candidate)
    sub.add_argument("--weights", metavar="HF_DIR", help="a Hugging Face folder in place of the built-in model")
    sub.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or cuda:N")
    sub.add_argument("--evidence", default="evidence", metavar="DIR", help="where the run's folder goes")
    sub.add_argument(
        "--seed", type=_natural, default=0, metavar="N", help="of the cases; the same seed gives the same bytes"
    )
    sub.add_argument("-j", dest="workers", type=_positive, metavar="N", help="claims at once (default: one per core)")
    sub.add_argument("-k", dest="select", default="", metavar="EXPR", help="words with and, or, not and parentheses")
    sub.add_argument("--memory-mb", type=_positive, metavar="MB", help="limit per claim (default: 80 %% of RAM / N)")
    sub.add_argument("--resume", metavar="RUN.partial", help="complete a run that was killed")
    sub.add_argument("--junitxml", metavar="FILE", help="write the outcome as JUnit XML, too")
    sub.add_argument("--json", action="store_true", help=JSON)


def _gate(commands: argparse._SubParsersAction[Parser]) -> None:
    sub = commands.add_parser(
        "gate",
        help="the ship gate of CI",
        epilog="exit codes: 0 open, 1 red or not verified, 2 usage or runs that do not merge, 3 short",
    )
    sub.add_argument("evidence", nargs="+", metavar="EVIDENCE", help="runs of one candidate, merged; of any hosts")
    sub.add_argument("--target", required=True, action="append", metavar="T", help="may be given more than once")
    sub.add_argument("--contracts", metavar="DIR", help="contracts at hand: evidence of others is STALE")
    sub.add_argument(
        "--min-ship", type=_percent, metavar="PERCENT", help="open at this ship-%% with nothing red (default: all)"
    )
    sub.add_argument("--max-age", type=_duration, metavar="DURATION", help="older evidence is STALE: 90m, 24h, 7d")
    sub.add_argument("--json", action="store_true", help=JSON)


def _export(commands: argparse._SubParsersAction[Parser]) -> None:
    sub = commands.add_parser("export", help="a checkpoint folder to a GGUF file")
    sub.add_argument("folder", metavar="HF_DIR", help="a Hugging Face checkpoint folder")
    sub.add_argument("out", metavar="OUT.gguf", help="the file to write")
    kinds = ("f32", "f16", "bf16", "q8_0", "q4_0")
    sub.add_argument("--type", choices=kinds, default="f32", type=str.lower, help="of the matrices; vectors stay f32")
    sub.add_argument("--no-tokenizer", dest="tokenizer", action="store_false", help="a file that gives logits alone")


def _import(commands: argparse._SubParsersAction[Parser]) -> None:
    sub = commands.add_parser(
        "import", help="contracts of the provable-contracts kind as ours, unbound", epilog="exit codes: 0, 2"
    )
    sub.add_argument("paths", nargs="+", metavar="FILE", help="YAML files, or folders of them")
    sub.add_argument("--out", default="imported", metavar="DIR", help="where the contracts go")
    sub.add_argument("--force", action="store_true", help="replace contracts that are in DIR already")
    sub.add_argument("--json", action="store_true", help=JSON)


def _report(commands: argparse._SubParsersAction[Parser]) -> None:
    sub = commands.add_parser(
        "report",
        help="an HTML page and a Markdown one over one or several runs",
        epilog="Runs of the same candidate, code and contracts are one answer; the newest answer is shown, "
        "older ones are the history that movement is measured against.",
    )
    sub.add_argument("evidence", nargs="+", metavar="EVIDENCE", help="runs; a folder of runs means its newest")
    sub.add_argument("--out", default="report", metavar="DIR", help="where the pages go; not inside a run")


def _percent(text: str) -> Fraction:
    number = Fraction(text) if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,9})?", text) else Fraction(0)
    if not 0 < number <= 100:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number above 0 and at most 100")
    return number


def _duration(text: str) -> timedelta:
    from harness.evidence.stale import duration

    try:
        return duration(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _compare(commands: argparse._SubParsersAction[Parser]) -> None:
    sub = commands.add_parser(
        "compare",
        help="what moved between two runs, and why",
        epilog="exit codes: 0 nothing got worse, 1 something did or a run does not verify. Worse: a claim red that was "
        "not, a survivor that is none now (one that did not run included), less ship-%%, a mutant alive that was not.",
    )
    sub.add_argument("before", metavar="BEFORE", help="a sealed run")
    sub.add_argument("after", metavar="AFTER", help="a later one")
    sub.add_argument("--json", action="store_true", help=JSON)


def _explain(commands: argparse._SubParsersAction[Parser]) -> None:
    sub = commands.add_parser(
        "explain", help="a claim, a verdict, a measurement, a criterion or a target in plain words"
    )
    sub.add_argument("word", metavar="CLAIM_OR_VERDICT", help="an id or a word; the nearest one is named")
    sub.add_argument("--contracts", metavar="PATH", help="where to look (default: the built-in contracts)")
    sub.add_argument("--evidence", default="evidence", metavar="DIR", help="runs, of which the newest is told")


def _positive(text: str) -> int:
    number = _natural(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {text}, expected 1 or more")
    return number


def _natural(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number")
    return int(text)
