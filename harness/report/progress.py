"""Print live progress of a run on stderr: a bar on a terminal, and one line for each finished claim."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from harness.judging.verdict import Verdict
from harness.report.terminal import console, styled


class TerminalProgress:
    """An implementation of `harness.run.progress.Progress` that prints to stderr."""

    def __init__(self) -> None:
        self._total = 0
        self._done = 0
        self._console = console(stderr=True)
        self._stages: dict[str, str] = {}
        self._live: Any = None
        self._task: Any = None

    def begin(self, claims: int) -> None:
        """Draw the bar if stderr is a terminal."""
        self._total = claims
        if self._console.is_terminal:
            from rich import progress

            columns = (
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
            )
            self._live = progress.Progress(
                *columns, progress.TimeElapsedColumn(), console=self._console, transient=True
            )
            self._task = self._live.add_task("claims", total=self._total)
            self._live.start()

    def stage(self, claim: str, stage: str) -> None:
        """Show the stage that a claim has reached."""
        self._stages[claim] = stage
        if self._live:
            text = "  ".join(f"{c}: {s}" for c, s in self._stages.items())
            self._live.update(self._task, description=text[:70])

    def ended(self, claim: str, verdict: str, reason: str) -> None:
        """Print a finished claim with its verdict and reason."""
        self._done += 1
        self._stages.pop(claim, None)
        if self._live:
            self._live.update(self._task, completed=self._done)
        line = Text.assemble(f"[{self._done}/{self._total}] ", styled(verdict), f" {claim}")
        self._console.print(line, Text(reason if Verdict(verdict) is not Verdict.PARTIAL else "", style="dim"))

    def end(self) -> None:
        """Remove the bar."""
        if self._live:
            self._live.stop()
