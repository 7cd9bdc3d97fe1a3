"""Shell completions. argcomplete reads the parser; this module adds the values that the parser does not list."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from harness.platforms import PLATFORMS

SHELLS = ("bash", "zsh", "fish")


def answer(parser: argparse.ArgumentParser) -> None:
    """Print the completions and end the process; the shell has set _ARGCOMPLETE. Do nothing without argcomplete."""
    try:
        import argcomplete
    except ImportError:
        return
    _set_completers(parser)
    argcomplete.autocomplete(parser)


def _set_completers(parser: argparse.ArgumentParser) -> None:
    from argcomplete.completers import DirectoriesCompleter, FilesCompleter, SuppressCompleter

    by_dest: dict[str, Any] = {
        "word": _words,
        "target": _targets,
        "candidate": _with_files(_candidates),
        "device": lambda **_: ("auto", *PLATFORMS),
        "paths": _with_files(_built_in),
        "contracts": _with_files(_built_in),
    }
    folders = dict.fromkeys(("DIR", "HF_DIR", "EVIDENCE", "RUN.partial"), DirectoriesCompleter())
    plain = dict.fromkeys(("N", "MB", "EXPR"), SuppressCompleter())
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                _set_completers(sub)
        elif action.choices is None and (action.nargs is None or action.nargs in ("*", "+", "?")):
            by_metavar = {**folders, **plain}.get(str(action.metavar), FilesCompleter())
            action.completer = by_dest.get(action.dest, by_metavar)  # type: ignore[attr-defined]


def _with_files(offered: Callable[[], list[str]]) -> Callable[..., list[str]]:
    from argcomplete.completers import FilesCompleter

    return lambda prefix, **_: [*offered(), *FilesCompleter()(prefix=prefix)]


def _words(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Words that `explain` knows, with the typed prefix in the letter case in which it was typed."""
    from harness.contract.location import BUILT_IN
    from harness.report.word_pages import names

    known = names(parsed_args.contracts or BUILT_IN)
    return [prefix + name[len(prefix) :] for name in known if name.lower().startswith(prefix.lower())]


def _targets(**_: Any) -> list[str]:
    from pathlib import Path

    from harness.contract.location import BUILT_IN, located
    from harness.contract.ship import find_ship, load_ship

    own = Path("contracts")
    file = find_ship(own if own.is_dir() else located(BUILT_IN))
    ship = load_ship(file)[0] if file else None
    return [target.id for target in ship.targets] if ship else []


def _candidates() -> list[str]:
    from harness.subject.candidate import BASELINE, READERS, built_in

    return [*built_in(), BASELINE, *(f"{scheme}:" for scheme in READERS)]


def _built_in() -> list[str]:
    from harness.contract.location import BUILT_IN, located

    folders = sorted(each.name for each in located(BUILT_IN).iterdir() if each.is_dir() and each.name[0] not in "._")
    return [BUILT_IN + name for name in folders]
