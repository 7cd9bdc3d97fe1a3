"""report.md, for a pull request's comment: red claims first, and no longer than GitHub's limit for a comment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.judging.verdict import Verdict
from harness.report.outline import Outline
from harness.report.state import State
from harness.report.work import Item, Obstacle
from harness.words.narrative import failure_lines
from harness.words.plain import code, fenced
from harness.words.plain import markdown as cell

LIMIT = 65_536
"""The most characters that GitHub accepts in one comment."""
ROOM = 60_000
"""Characters available up to the end of the folded tables; the rest is kept for lines that count left-out rows."""
STORIES = 10
OPEN = 8


def markdown(state: State, outline: Outline) -> str:
    """The whole page, at most LIMIT characters; a line counts the rows that do not fit."""
    parts = [f"# Harness report\n\n**{cell(outline['headline'])}**", _about(outline), _targets(outline)]
    parts += [*_red(state, outline), *_moved(outline), *_work(outline["work"])]
    text = "\n\n".join(parts)
    for title, heads, rows in _folded(state, outline):
        text += "\n\n" + folded(title, heads, rows, ROOM - len(text))
    return text + "\n"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def folded(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> str:
    """A collapsed table with the rows that fit into `room` characters."""
    kept, used = 0, 300 + len(title)
    for row in rows:
        used += sum(map(len, row)) + 3 * len(row) + 2
        if used > room:
            break
        kept += 1
    left = f"\n\n{len(rows) - kept} more rows are in index.html." if kept < len(rows) else ""
    inside = f"{table(heads, rows[:kept])}{left}" if kept else f"{len(rows)} rows are in index.html."
    return f"<details><summary>{title}</summary>\n\n{inside}\n\n</details>"


def _about(outline: Outline) -> str:
    now, before = outline["state"], outline["before"]
    counts = ", ".join(f"{n} {verdict}" for verdict, n in outline["counts"].items())
    text = f"Candidate {code(now['candidate'])} on {cell(', '.join(now['devices']))}, {cell(now['day'])}: {counts}."
    if now["narrowed"]:
        text += f" {now['narrowed']} claims were left out by `-k`."
    if before:
        text += f" Compared with candidate {code(before['candidate'])} of {cell(before['day'])} {cell(before['time'])}."
    return text


def _targets(outline: Outline) -> str:
    if not outline["targets"]:
        return "No targets are named."
    moved = bool(outline["before"])
    rows = [[cell(t["id"]), cell(t["line"]), *([_delta(t["moved"])] if moved else [])] for t in outline["targets"]]
    return table(["target", "ship-%", *(["moved"] if moved else [])], rows)


def _delta(value: float | None) -> str:
    if value is None:
        return "new"
    return f"▲ {value:g}" if value > 0 else f"▼ {-value:g}" if value < 0 else "="


def _red(state: State, outline: Outline) -> Iterator[str]:
    """Yield the red claims as a table, then their failure lines, folded."""
    red = outline["red"]
    if not red:
        return
    rows = [[cell(row["id"]), row["verdict"], cell(_cut(row["reason"]))] for row in red[:STORIES]]
    more = f"\n\nand {len(red) - STORIES} more red claims, listed below." if len(red) > STORIES else ""
    yield "## Red\n\n" + table(["claim", "verdict", "why"], rows) + more
    stories = []
    for row in red[:STORIES]:
        result = state.result(row["id"])
        if result is not None:
            lines = failure_lines(row["id"], row["contract"], result, state.sources[row["id"]][0].as_posix())
            stories.append(fenced([_cut(line, 400) for line in lines]))
    yield "<details><summary>Found, and how to see it again</summary>\n\n" + "\n\n".join(stories) + "\n\n</details>"


def _moved(outline: Outline) -> Iterator[str]:
    if outline["movement"] is None:
        return
    changed = [c for c in outline["movement"]["verdicts"] if c["selected"]]
    causes = [cell(cause["text"]) for cause in outline["movement"]["causes"][:10]]
    yield "## Moved\n\n" + (f"What differs: {'; '.join(causes)}." if causes else "Nothing that is recorded differs.")
    lost = [m for m in outline["movement"]["mutants"] if m["direction"] == "worse"]
    if lost:
        yield "Known-wrong versions that now survive: " + ", ".join(
            cell(f"{m['claim']} {m['mutant']}") for m in lost[:10]
        )
    if changed:
        rows = [
            [cell(each) for each in (c["id"], c["before"] or "new", c["after"] or "gone", c["direction"])]
            for c in changed
        ]
        yield folded(f"{len(changed)} verdicts changed", ["claim", "was", "is", ""], rows, 12_000)
    else:
        yield "No verdict changed."


def _work(items: Sequence[Item]) -> Iterator[str]:
    if items:
        text = "## Open work\n\n" + table(_WORK_HEADS, [_work_row(item) for item in items[:OPEN]])
        yield text + (f"\n\nand {len(items) - OPEN} more, listed below." if len(items) > OPEN else "")


_WORK_HEADS = ("criterion", "target", "ship-% to gain", "hours", "in the way")


def _work_row(item: Item) -> list[str]:
    why: Obstacle = item["why"][0] if item["why"] else {"verdict": "", "reason": "", "claims": []}
    more = f" (and {len(item['why']) - 1} more reasons)" if len(item["why"]) > 1 else ""
    way = f"{why['verdict']}: {cell(_cut(why['reason'], 120))}{more}"
    return [
        cell(f"{item['id']} {item['title']}"),
        cell(item["target"]),
        f"{item['gain']:.1f}",
        f"{item['effort_hours']:g}",
        way,
    ]


def _folded(state: State, outline: Outline) -> Iterator[tuple[str, Sequence[str], list[list[str]]]]:
    """Yield (title, heads, rows) of the long tables, the most important first."""
    if len(outline["work"]) > OPEN:
        rest = outline["work"][OPEN:]
        yield f"{len(rest)} more open criteria", _WORK_HEADS, [_work_row(item) for item in rest]
    claims = state.merged["claims"]
    order = [v.value for v in Verdict]
    rows = [
        [
            cell(r["id"]),
            r["verdict"],
            cell(_cut(r["reason"], 120)),
            f"{sum(m['killed'] for m in r['mutants'])} of {len(r['mutants'])}",
        ]
        for r in sorted(claims, key=lambda row: order.index(row["verdict"]))
    ]
    yield f"All {len(rows)} claims", ["claim", "verdict", "why", "mutants killed"], rows


def _cut(text: str, length: int = 200) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
