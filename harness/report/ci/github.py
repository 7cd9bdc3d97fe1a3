"""Report a run or a gate to GitHub Actions: annotations at the contract's line, and the step's summary.

The runner reads annotations from both streams; Harness prints them to stdout, or to stderr if stdout is one JSON
object. The runner shows ten of a level for each step, so the tenth says how many more there are.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.judging import ship
from harness.judging.gate import Decision
from harness.judging.ship import TargetRow
from harness.judging.verdict import Verdict
from harness.report.claim import Reported
from harness.words import plain

SHOWN = 10
SUMMARY_BYTES = 1 << 20
ROWS = 1000
CELL = 300
CUT = "\n\nThe rest does not fit into a step's summary; the evidence has all of it.\n"


def enabled() -> bool:
    """Whether this process is a step of GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def print_lines(lines: Sequence[str], json_output: bool) -> None:
    """Print annotations to stdout, or to stderr if stdout carries JSON."""
    for line in lines:
        print(line, file=sys.stderr if json_output else sys.stdout, flush=True)  # made by `plain.command`


def annotation(level: str, message: str, *, title: str, file: str | None = None, line: int | None = None) -> str:
    """One workflow command: `::error file=...,line=...,title=...::message`."""
    return plain.command(level, message, {"file": file, "line": line if file else None, "title": title})


def of_claims(claims: Sequence[Reported]) -> list[str]:
    """An error for each red claim, a warning for each selected claim that is neither red nor survived."""
    red = [claim for claim in claims if claim.verdict.red]
    unknown = [c for c in claims if not c.verdict.red and not c.verdict.survived and c.selected]
    return _first_ten("error", [_of_claim("error", c) for c in red]) + _first_ten(
        "warning", [_of_claim("warning", c) for c in unknown]
    )


def of_decisions(decisions: Sequence[Decision], claims: Sequence[Reported]) -> list[str]:
    """An error for each red claim of a target, a warning for each short criterion of a closed target."""
    named = {claim for d in decisions for criterion in d.red for claim in criterion["claims"]}
    red = [_of_claim("error", c) for c in claims if c.id in named and c.verdict.red]
    short = [
        annotation("warning", "\n".join(criterion["why"]), title=f"{d.target['id']} {criterion['id']} is short")
        for d in decisions
        if d.code
        for criterion in d.short
    ]
    return _first_ten("error", red) + _first_ten("warning", short)


def run_page(counts: Mapping[str, int], targets: Sequence[TargetRow], claims: Sequence[Reported]) -> list[str]:
    """The blocks of a run's summary, red claims first."""
    verdicts = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    rows = [["target", "ship-%"], *([target["id"], ship.line(target)] for target in targets)]
    return [
        f"## Harness: {plain.markdown(verdicts)}",
        *([_table(rows)] if targets else []),
        *_red_claims(claims),
        *_undischarged(claims),
    ]


def gate_page(decisions: Sequence[Decision], claims: Sequence[Reported]) -> list[str]:
    """The blocks of a gate's summary: each target's decision, then the criteria that keep it closed."""
    parts = []
    for decision in decisions:
        parts.append(f"## Gate {plain.markdown(decision.target['id'])}: {plain.markdown(decision.line)}")
        rows = [[c["id"], c["title"], c["verdict"], "; ".join(c["why"])] for c in decision.red + decision.short]
        if rows:
            parts.append(_table([["criterion", "", "verdict", "why"], *rows]))
    named = {claim for d in decisions for criterion in d.red for claim in criterion["claims"]}
    return parts + _red_claims([claim for claim in claims if claim.id in named])


def append_summary(blocks: Sequence[str]) -> None:
    """Append whole blocks to the step's summary while it stays within GitHub's limit of 1 MiB for each step."""
    name = os.environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        return
    path = Path(name)
    try:
        left = SUMMARY_BYTES - (path.stat().st_size if path.exists() else 0)
        with path.open("ab") as stream:
            stream.write(_fitted(blocks, left))
    except OSError as problem:
        plain.say(f"harness: GITHUB_STEP_SUMMARY {name}: not written: {problem.strerror}", stderr=True)


def _fitted(blocks: Sequence[str], left: int) -> bytes:
    whole = "".join(f"{block}\n\n" for block in blocks).encode()
    if len(whole) <= left:
        return whole
    out, cut = b"", CUT.encode()
    for block in blocks:
        more = f"{block}\n\n".encode()
        if len(out) + len(more) + len(cut) > left:
            break
        out += more
    return out + cut if len(out) + len(cut) <= left else b""


def _of_claim(level: str, claim: Reported) -> str:
    file = None if Path(claim.path).is_absolute() else claim.path
    return annotation(level, claim.text, title=f"{claim.verdict.value} {claim.id}", file=file, line=claim.line)


def _first_ten(level: str, lines: list[str]) -> list[str]:
    if len(lines) <= SHOWN:
        return lines
    more = len(lines) - SHOWN + 1
    return [*lines[: SHOWN - 1], annotation(level, "The step's summary has them all.", title=f"{more} more")]


def _red_claims(claims: Sequence[Reported]) -> list[str]:
    return [plain.fenced([claim.text]) for claim in claims if claim.verdict.red]


def _undischarged(claims: Sequence[Reported]) -> list[str]:
    """Selected claims that are neither red nor DISCHARGED, as a folded table."""
    short = [c for c in claims if not c.verdict.red and c.verdict is not Verdict.DISCHARGED and c.selected]
    if not short:
        return []
    rows = [[claim.id, claim.verdict.value, claim.row["reason"]] for claim in short[:ROWS]]
    table = _table([["claim", "verdict", "why"], *rows])
    more = f"\n\nand {len(short) - ROWS} more" if len(short) > ROWS else ""
    return [f"<details><summary>{len(short)} claims are not discharged</summary>\n\n{table}{more}\n\n</details>"]


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *rest = [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *rest])


def _cell(text: str) -> str:
    """Text of one cell, at most CELL characters of it."""
    return plain.markdown(text if len(text) <= CELL else text[: CELL - 1] + "…")
