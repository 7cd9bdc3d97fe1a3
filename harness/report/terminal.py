"""Print results to a terminal with rich: failures, and tables of claims, targets and mutants."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from harness.evidence import summary
from harness.evidence.body import Outcome
from harness.judging import ship
from harness.judging.mutant_kills import alive
from harness.judging.result import ClaimRow, MutantRow, Result
from harness.judging.ship import TargetRow
from harness.judging.verdict import Verdict
from harness.words import narrative, plain

COLOURS = {"PARTIAL": "yellow", "DISCHARGED": "green", "UNVERIFIED": "dim", "BLOCKED": "magenta", "STALE": "magenta"}
WIDTH = 110
WIDE = 150


class _Plain(Console):
    """A console whose text is data: no markup, and nothing that a terminal obeys but rich's own styles."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else plain.block(text), style, control)


class _Unheeded:
    """A stream from which the runner of a CI takes no command; it gets each text whole, when its lines are laid out."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(plain.unheeded(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def console(stderr: bool = False, width: int = WIDTH) -> Console:
    """A console; it writes plain text at a fixed width if the stream is not a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return _Plain(
        file=_Unheeded(stream),  # type: ignore[arg-type]
        highlight=False,
        markup=False,
        emoji=False,
        width=None if stream.isatty() else width,
        soft_wrap=False,
    )


def styled(verdict: str) -> Text:
    """Colour a verdict."""
    return Text(verdict, style="bold red" if Verdict(verdict).red else COLOURS.get(verdict, ""))


def print_run(
    shown: Mapping[str, str], found: Outcome, results: Mapping[str, Result], seconds: float, replay: str
) -> None:
    """Print the failures, then the table of claims, then the targets; `replay` is what a replay must be told."""
    out = console()
    rows = found["claims"]
    for row in rows:
        if Verdict(row["verdict"]).red and row["id"] in results:
            lines = narrative.failure_lines(row["id"], row["contract"], results[row["id"]], shown["evidence"], replay)
            out.print("\n" + "\n".join(lines), markup=False, soft_wrap=True)
    out.print()
    out.print(claims_table(rows))
    ran = [row for row in rows if row["selected"]]
    targets = [target for target in found["targets"] if len(ran) == len(rows) or _has_selected_claim(target, ran)]
    if targets:
        out.print(targets_table(targets))
    counts = ", ".join(f"{n} {verdict}" for verdict, n in summary.count(ran).items())
    hidden = f", {len(rows) - len(ran)} not selected by -k and so UNVERIFIED" if len(ran) < len(rows) else ""
    killed = [m["killed"] for row in rows for m in row["mutants"] if m["killed"] or alive(m)]
    out.print(f"{counts}{hidden}; mutants killed {sum(killed)} of {len(killed)}", markup=False, soft_wrap=True)
    about = f"candidate {shown['candidate']}, device {shown['device']}, {seconds:.0f} s; evidence {shown['evidence']}"
    out.print(about, markup=False, soft_wrap=True)


def _has_selected_claim(target: TargetRow, ran: Sequence[ClaimRow]) -> bool:
    """Whether any claim that was selected belongs to the target."""
    selected = {row["id"] for row in ran}
    return any(selected & set(criterion["claims"]) for criterion in target["criteria"])


def claims_table(rows: Sequence[ClaimRow]) -> Table:
    """A table with one line for each selected claim."""
    table = Table(box=None, pad_edge=False, show_edge=False, expand=True)
    table.add_column("claim", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("found", no_wrap=True, overflow="ellipsis", ratio=1)  # the evidence has the whole text
    table.add_column("mutants", justify="right", no_wrap=True)
    table.add_column("s", justify="right", no_wrap=True)
    for row in rows:
        if not row["selected"]:
            continue
        killed = sum(m["killed"] for m in row["mutants"])
        tried = sum(m["killed"] or alive(m) for m in row["mutants"])
        table.add_row(
            row["id"],
            styled(row["verdict"]),
            Text(_found(row)),
            f"{killed}/{tried}" if tried else "-",
            f"{row['seconds']:.1f}",
        )
    return table


def targets_table(targets: Sequence[TargetRow]) -> Table:
    """A table of every target's ship-% and its parts."""
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("target")
    table.add_column("ship-%")
    for target in targets:
        table.add_row(target["id"], ship.line(target))
    return table


def _found(row: ClaimRow) -> str:
    """The reason of a claim that did not survive; else its first two measurements, each the largest over its dtypes."""
    if not Verdict(row["verdict"]).survived:
        return row["reason"]
    parts = []
    for name, by_dtype in row["measurements"].items():
        numbers = [v for v in by_dtype.values() if isinstance(v, float)]
        if numbers:
            parts.append(f"{name} {max(numbers):.2g}")
    return ", ".join(parts[:2])


def print_mutants(rows: Sequence[MutantRow]) -> None:
    """Print one line for each claim and mutant: the limit that kills the mutant, and by what margin."""
    out = console(width=WIDE)
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("claim", no_wrap=True)
    table.add_column("mutant", no_wrap=True)
    table.add_column("killed by", no_wrap=True, overflow="ellipsis", min_width=40)
    table.add_column("margin", justify="right", no_wrap=True)
    for row in rows:
        fate = "SURVIVED" if alive(row) else row["status"].replace("_", " ")
        by = Text(row["by"]) if row["by"] else Text(f"{fate} {row['reason']}".strip(), style="bold red")
        margin = "" if row["margin"] is None else f"{row['margin']:.3g}x" + (" weak" if row["weak"] else "")
        name = row["name"].rpartition(":")[2] + (" (free)" if row["free"] else "")
        table.add_row(row["claim"], name, by, margin)
    out.print(table)
    living, killed = sum(alive(row) for row in rows), sum(row["killed"] for row in rows)
    idle = len(rows) - killed - living
    out.print(f"{len(rows)} mutants, {killed} killed, {living} alive" + (f", {idle} not run here" if idle else ""))
