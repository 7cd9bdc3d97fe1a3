"""Makes the command-line page from the argument parser."""

from __future__ import annotations

import argparse

from harness.commands.main import parser


def page() -> str:
    """Markdown for every command, its arguments and its exit codes."""
    top = parser()
    commands = next(action for action in top._actions if isinstance(action, argparse._SubParsersAction))
    help_of = {choice.dest: choice.help or "" for choice in commands._choices_actions}
    parts = ["# Command line", "Made from the parser; `harness COMMAND --help` prints the same.", top.epilog or ""]
    for name, command in commands.choices.items():
        parts += [f"## harness {name}", f"{help_of.get(name, '')}.", f"```text\n{command.format_usage().strip()}\n```"]
        rows = [_row(action, command) for action in command._actions if action.dest != "help"]
        if rows:
            parts.append("\n".join(["| argument | meaning | default |", "|---|---|---|", *rows]))
        if command.epilog:
            parts.append(command.epilog)
    return "\n\n".join(part for part in parts if part) + "\n"


def _row(action: argparse.Action, command: argparse.ArgumentParser) -> str:
    formatter = command._get_formatter()
    name = ", ".join(action.option_strings) or formatter._format_args(action, str(action.metavar or action.dest))
    value = "" if action.nargs == 0 or not action.option_strings else f" {action.metavar or action.dest.upper()}"
    default = action.default if action.default not in (None, "", False, [], argparse.SUPPRESS) else ""
    meaning = (action.help or "").replace("%%", "%")
    return f"| `{name}{value}` | {meaning} | {f'`{default}`' if default != '' else ''} |".replace("`|", "`")
