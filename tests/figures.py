"""Figures that tests measured, and the page on which `make trust` keeps them.

A test says `figure("runs that were lost", 0)`; figures of one name are added up over the parameters of a test, or their
largest counts. `pytest --whole --figures docs/reliability.md` writes them, if every test passed; figures of tests that
did not run stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest

How = Literal["sum", "most"]
Figures = dict[str, tuple[float, str]]
"""Name -> the figure, and the file of the test that measured it."""
KEY = "figure"
BEGIN, END = "<!-- figures: written by make trust -->", "<!-- end of figures -->"
HEAD = ("| what | figure | again, alone |", "|---|---|---|")
ROW = re.compile(r"\| (?P<name>.+?) \| (?P<value>.+?) \| `pytest --whole (?P<file>\S+)` \|")


def written(page: str, found: Mapping[str, tuple[float, str]]) -> str:
    """The page with these figures in its table, beside those that it had.

    Raises: ValueError if the page has no place for figures.
    """
    before, begin, rest = page.partition(BEGIN)
    table, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"found no `{BEGIN}` and `{END}` on the page")
    rows = {row["name"]: (row["value"], row["file"]) for row in ROW.finditer(table)}
    rows |= {name: (f"{value:,.6g}" if value < 1e6 else f"{value:,.0f}", file) for name, (value, file) in found.items()}
    lines = [f"| {name} | {value} | `pytest --whole {file}` |" for name, (value, file) in rows.items()]
    return "\n".join(
        [before + begin, "", *HEAD, *sorted(lines, key=lambda line: line.rsplit("|", 2)[1]), "", end + after]
    )


class Collector:
    """Collects figures from the reports of tests, also of other processes, and writes the page at the end."""

    def __init__(self, page: Path) -> None:
        self._page = page
        self._found: Figures = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the figures of a test that passed."""
        if report.when != "call" or not report.passed:
            return
        file = report.nodeid.partition("::")[0]
        for key, entry in report.user_properties:
            if key == KEY:
                self.add(*entry, file)

    def add(self, name: str, value: float, how: How, file: str) -> None:
        """Add a figure to those of its name."""
        held = self._found.get(name)
        if held is not None:
            value = held[0] + value if how == "sum" else max(held[0], value)
        self._found[name] = (value, file)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write the page, if no test failed."""
        if exitstatus == 0 and self._found:
            self._page.write_text(written(self._page.read_text(encoding="utf-8"), self._found), encoding="utf-8")
