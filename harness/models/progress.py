"""Progress of a training run on standard error: a bar on a terminal, else a line every ten seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY_S = 10.0


@contextmanager
def progress(title: str, steps: int) -> Iterator[Callable[[int, float], None]]:
    """Yield `report(step, loss)`, to be called after each step, from 1."""
    if sys.stderr.isatty():
        yield from _bar(title, steps)
    else:
        yield _lines(title, steps)


def _bar(title: str, steps: int) -> Iterator[Callable[[int, float], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(title, total=steps)
        yield lambda step, loss: shown.update(task, completed=step, description=f"{title}  loss {loss:.2f}")


def _lines(title: str, steps: int) -> Callable[[int, float], None]:
    last = time.monotonic()

    def report(step: int, loss: float) -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY_S:
            last = time.monotonic()
            print(f"{title}: step {step} of {steps}, loss {loss:.2f}", file=sys.stderr, flush=True)

    return report
