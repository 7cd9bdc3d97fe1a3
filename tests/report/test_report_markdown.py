"""The Markdown page of a report: short, red first, inert, and within the length of a comment."""

import re

from markdown_it import MarkdownIt

from harness.evidence import store
from harness.judging import ship
from harness.report.markdown import LIMIT, ROOM, cell, fenced, folded, markdown
from harness.report.outline import outline
from harness.report.state import states
from tests.support import report_lab as lab


def test_the_markdown_page_is_short_red_first_and_inert(runs, written):
    _, _, after = runs
    text = (written / "report.md").read_text(encoding="utf-8")
    body = store.read_json(after / "run.json")
    for target in body["targets"]:
        assert f"| {target['id']} | {ship.line(target)} | ▼" in text
    assert text.index("## Red") < text.index("## Moved") < text.index("## Open work")
    assert "harness replay" in text
    tokens = [
        t for each in MarkdownIt("gfm-like", {"linkify": False}).parse(text) for t in [each, *(each.children or [])]
    ]
    html = {t.content.strip() for t in tokens if t.type in ("html_block", "html_inline")}
    assert all(re.fullmatch(r"</details>|<details><summary>[^<]*</summary>", block) for block in html), html
    assert not [t for t in tokens if t.type in ("link_open", "image")]


def test_a_cell_stays_one_cell_of_text():
    page = MarkdownIt("gfm-like", {"linkify": False}).render(f"| a | b |\n|---|---|\n| {cell(lab.HOSTILE)} | end |\n")
    cells = re.findall(r"<td>(.*?)</td>", page, re.DOTALL)
    assert len(cells) == 2
    assert cells[1] == "end"
    assert "<" not in cells[0]
    assert (
        MarkdownIt("gfm-like", {"linkify": False}).parse(fenced(["```", "<b>", "````"]))[0].content
        == "```\n<b>\n````\n"
    )


def test_a_page_of_many_claims_fits_a_comment(runs, tmp_path):
    _, _, after = runs
    big = lab.multiplied(after, tmp_path / "big", 600)
    found = outline(states([big]))
    text = markdown(states([big])[0], found)
    assert 20_000 < len(text) < LIMIT
    rows = [["x" * 100]] * 2000
    cut = folded("t", ["h"], rows, ROOM)
    assert len(cut) <= ROOM
    kept = cut.count("| " + "x" * 100)
    assert f"{2000 - kept} more rows are in index.html" in cut
    assert "2000 rows are in index.html" in folded("t", ["h"], rows, 10)
