"""Where text meets a terminal: progress while running, the final table. The only user of rich."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.evidence import summary
from harness.judging import ship
from harness.judging.verdict import Verdict
from harness.words import narrative

COLOURS = {"PARTIAL": "yellow", "DISCHARGED": "green", "UNVERIFIED": "dim", "BLOCKED": "magenta", "STALE": "magenta"}
WIDTH = 110
WIDE = 150


def console(stderr: bool = False, width: int = WIDTH) -> Console:
    """A console that is plain text, at a fixed width, when it is not a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, highlight=False, width=None if stream.isatty() else width, soft_wrap=False)


def styled(verdict: str) -> Text:
    """A verdict in its colour."""
    return Text(verdict, style="bold red" if Verdict(verdict).red else COLOURS.get(verdict, ""))


class Progress:
    """Live progress on stderr: a bar on a terminal, one line per claim elsewhere."""

    def __init__(self, claims: list[str], *, quiet: bool) -> None:
        self._total = len(claims)
        self._done = 0
        self._quiet = quiet
        self._console = console(stderr=True)
        self._stages: dict[str, str] = {}
        self._live: Any = None
        self._task: Any = None
        self._began = time.monotonic()
        self.seconds = 0.0

    def __enter__(self) -> Progress:
        if self._console.is_terminal and not self._quiet:
            from rich import progress

            columns = ("[progress.description]{task.description}", progress.BarColumn(), progress.MofNCompleteColumn())
            self._live = progress.Progress(
                *columns, progress.TimeElapsedColumn(), console=self._console, transient=True
            )
            self._task = self._live.add_task("claims", total=self._total)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.monotonic() - self._began
        if self._live:
            self._live.stop()

    def stage(self, claim: str, stage: str) -> None:
        """A claim has reached its next subject."""
        self._stages[claim] = stage
        if self._live:
            text = "  ".join(f"{c}: {s}" for c, s in self._stages.items())
            self._live.update(self._task, description=text[:70])

    def ended(self, claim: str, verdict: str, reason: str) -> None:
        """A claim has its verdict."""
        self._done += 1
        self._stages.pop(claim, None)
        if self._quiet:
            return
        if self._live:
            self._live.update(self._task, completed=self._done)
        line = Text.assemble(f"[{self._done}/{self._total}] ", styled(verdict), f" {claim}")
        self._console.print(line, Text(reason if Verdict(verdict) is not Verdict.PARTIAL else "", style="dim"))


def print_json(value: Any) -> None:
    """One object on stdout, strict JSON."""
    pieces = json.JSONEncoder(indent=1, allow_nan=False, ensure_ascii=False).iterencode(value)
    sys.stdout.writelines(pieces)  # a text of the whole would be one more copy of what a file holds
    print()


def print_run(
    shown: Mapping[str, Any], found: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]], seconds: float
) -> None:
    """Failures as stories, then the table of claims, then the targets."""
    out = console()
    rows = found["claims"]
    for row in rows:
        if Verdict(row["verdict"]).red and row["id"] in results:
            lines = narrative.story(row["id"], row["contract"], dict(results[row["id"]]), shown["evidence"])
            out.print("\n" + "\n".join(lines), markup=False, soft_wrap=True)
    out.print()
    out.print(claims_table(rows))
    ran = [row for row in rows if row["reason"] != summary.NOT_SELECTED]
    targets = [target for target in found["targets"] if len(ran) == len(rows) or _touched(target, ran)]
    if targets:
        out.print(targets_table(targets))
    counts = ", ".join(f"{n} {verdict}" for verdict, n in summary.count(ran).items())
    hidden = f", {len(rows) - len(ran)} not selected by -k and so UNVERIFIED" if len(ran) < len(rows) else ""
    killed = [m["killed"] for row in rows for m in row["mutants"] if m["killed"] or alive(m)]
    out.print(f"{counts}{hidden}; mutants killed {sum(killed)} of {len(killed)}", markup=False, soft_wrap=True)
    about = f"candidate {shown['candidate']}, device {shown['device']}, {seconds:.0f} s; evidence {shown['evidence']}"
    out.print(about, markup=False, soft_wrap=True)


def _touched(target: Mapping[str, Any], ran: Sequence[Mapping[str, Any]]) -> bool:
    """Whether any claim that was selected belongs to the target."""
    selected = {row["id"] for row in ran}
    return any(selected & set(criterion["claims"]) for criterion in target["criteria"])


def claims_table(rows: list[Mapping[str, Any]]) -> Table:
    """One line per claim that was selected."""
    table = Table(box=None, pad_edge=False, show_edge=False, expand=True)
    table.add_column("claim", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("seen", no_wrap=True, overflow="ellipsis", ratio=1)  # whole in the evidence
    table.add_column("mutants", justify="right", no_wrap=True)
    table.add_column("s", justify="right", no_wrap=True)
    for row in rows:
        if row["reason"] == summary.NOT_SELECTED:
            continue
        killed = sum(m["killed"] for m in row["mutants"])
        tried = sum(m["killed"] or alive(m) for m in row["mutants"])
        table.add_row(
            row["id"],
            styled(row["verdict"]),
            Text(_worst(row)),
            f"{killed}/{tried}" if tried else "-",
            f"{row['seconds']:.1f}",
        )
    return table


def targets_table(targets: list[Mapping[str, Any]]) -> Table:
    """ship-% of every target, with its parts."""
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("target")
    table.add_column("ship-%")
    for target in targets:
        table.add_row(target["id"], ship.line(target))
    return table


def _worst(row: Mapping[str, Any]) -> str:
    """The violated limit, or why it did not run, or the measurements in brief."""
    if not Verdict(row["verdict"]).survived:
        return str(row["reason"])
    parts = []
    for name, by_dtype in row["measurements"].items():
        numbers = [v for v in by_dtype.values() if isinstance(v, float)]
        if numbers:
            parts.append(f"{name} {max(numbers):.2g}")
    return ", ".join(parts[:2])


def print_mutants(rows: Sequence[Mapping[str, Any]]) -> None:
    """One line per mutant and claim: by which limit it dies, and by what margin."""
    out = console(width=WIDE)
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("claim", no_wrap=True)
    table.add_column("mutant", no_wrap=True)
    table.add_column("killed by", no_wrap=True, overflow="ellipsis", min_width=40)
    table.add_column("margin", justify="right", no_wrap=True)
    for row in rows:
        fate = "SURVIVED" if alive(row) else row["status"].replace("_", " ")
        by = Text(row["by"]) if row["killed"] else Text(f"{fate} {row['reason']}".strip(), style="bold red")
        margin = "" if row["margin"] is None else f"{row['margin']:.3g}x" + (" weak" if row["weak"] else "")
        name = row["name"].rpartition(":")[2] + (" (free)" if row["free"] else "")
        table.add_row(row["claim"], name, by, margin)
    out.print(table)
    living, killed = sum(alive(row) for row in rows), sum(row["killed"] for row in rows)
    idle = len(rows) - killed - living
    out.print(f"{len(rows)} mutants, {killed} killed, {living} alive" + (f", {idle} not run here" if idle else ""))


ROWS, SHOWN = 2_048, 200
"""Keys and tensors, and letters of each, that a person is shown of a file."""


def print_inspection(found: Mapping[str, Any]) -> None:
    """A model file for a person: keys, tokenizer, tensors, totals."""
    out = console(width=WIDE)
    totals = found["totals"]
    out.print(f"{found['file']}: {found['format']}", markup=False, soft_wrap=True)
    keys = Table(box=None, pad_edge=False, show_edge=False, show_header=False)
    keys.add_column(no_wrap=True)
    keys.add_column(no_wrap=True, overflow="ellipsis", max_width=100)
    first = dict(list(found["keys"].items())[:ROWS])
    for name, value in {**first, **_tokenizer_rows(found["tokenizer"])}.items():
        keys.add_row(Text(_printable(name[:SHOWN])), Text(_printable(_brief(value)[:SHOWN])))
    tensors = Table(box=None, pad_edge=False, show_edge=False)
    for title in ("tensor", "type", "shape", "bytes"):
        tensors.add_column(title, no_wrap=True, justify="right" if title == "bytes" else "left")
    for tensor in found["tensors"][:ROWS]:
        shape = " x ".join(map(str, tensor["shape"]))
        tensors.add_row(Text(_printable(tensor["name"][:SHOWN])), tensor["type"], shape, f"{tensor['bytes']:,}")
    out.print(keys)
    out.print()
    out.print(tensors)
    left = max(0, len(found["keys"]) - ROWS) + max(0, len(found["tensors"]) - ROWS)
    if left:
        out.print(f"and {left:,} more keys and tensors; --json has them all", style="yellow")
    out.print(f"\n{totals['tensors']} tensors, {totals['parameters']:,} parameters, {totals['bytes']:,} bytes")
    for kind, part in totals["by_type"].items():
        out.print(f"  {kind}: {part['tensors']} tensors, {part['parameters']:,} parameters, {part['bytes']:,} bytes")
    if totals.get("trailing_bytes"):
        out.print(f"{totals['trailing_bytes']:,} bytes after the last tensor belong to nothing", style="yellow")


def _tokenizer_rows(tokenizer: Mapping[str, Any] | None) -> dict[str, Any]:
    return {f"(tokenizer) {name}": value for name, value in (tokenizer or {"": "none in this file"}).items()}


def _brief(value: Any) -> str:
    if isinstance(value, Mapping) and set(value) == {"length", "first"}:
        return f"{value['length']} x " + json.dumps(value["first"], ensure_ascii=False)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _printable(text: str) -> str:
    """A file's text must not move the cursor or paint the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def alive(mutant: Mapping[str, Any]) -> bool:
    """Whether a mutant was tried and not killed."""
    return not mutant["killed"] and mutant["status"] not in ("inapplicable", "not_run")
