"""`harness report`: what it writes, from what, and what it must refuse; the numbers are those of run.json."""

import gzip
import json
import re
import shutil
from base64 import b64decode

import pytest
from markdown_it import MarkdownIt

from harness.evidence import store
from harness.judging import ship
from harness.judging.limits import flat, parse
from harness.report import work
from harness.report.curve import CASES, POINTS, curves
from harness.report.dossier import dossier
from harness.report.markdown import LIMIT, ROOM, cell, fenced, folded, markdown
from harness.report.movement import direction
from harness.report.outline import earlier, outline
from harness.report.payload import exact
from harness.report.spread import spread
from harness.report.state import states
from tests.support import report_lab as lab


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """(folder, a run of the right kernel, one of the wrong kernel that followed it)."""
    folder = tmp_path_factory.mktemp("report")
    return folder, *lab.right_then_wrong(folder)


@pytest.fixture(scope="module")
def written(runs):
    folder, before, after = runs
    done = lab.harness(folder, "report", str(after), str(before), "--out", "out")
    assert done.returncode == 0, done.stderr
    return folder / "out"


def unpacked(page, name):
    text = re.search(rf'<script type="text/plain" id="{name}">([^<]*)</script>', page).group(1)
    return json.loads(gzip.decompress(b64decode(text)))


def test_the_laboratory_has_every_verdict_that_the_page_must_tell(runs):
    _, before, after = runs
    counts = [store.read_json(run / "run.json")["counts"] for run in (before, after)]
    assert counts[0] == {
        "ERROR": 1,
        "UNSOUND": 1,
        "VACUOUS": 1,
        "BLOCKED": 1,
        "UNVERIFIED": 1,
        "PARTIAL": 1,
        "DISCHARGED": 1,
    }
    assert counts[1] == {"ERROR": 1, "UNSOUND": 1, "FALSIFIED": 4, "UNVERIFIED": 1}


def test_one_file_and_a_markdown_page_and_the_run_stays_sealed(runs, written):
    folder, before, after = runs
    assert sorted(path.name for path in written.iterdir()) == ["harness.sarif", "index.html", "junit.xml", "report.md"]
    assert lab.harness(folder, "verify", str(before), str(after)).returncode == 0


def test_every_number_in_the_data_is_that_of_run_json(runs, written):
    _, _, after = runs
    body = store.read_json(after / "run.json")
    index = unpacked((written / "index.html").read_text(), "index")
    assert {c["id"] for c in index["claims"]} == {row["id"] for row in body["claims"]}
    for row in body["claims"]:
        line = next(c for c in index["claims"] if c["id"] == row["id"])
        assert {key: line[key] for key in ("verdict", "reason", "measurements", "seconds")} == {
            key: row[key] for key in ("verdict", "reason", "measurements", "seconds")
        }
        assert line["killed"] == sum(m["killed"] for m in row["mutants"])


def test_the_dossier_measures_what_the_judge_measured(runs):
    _, before, after = runs
    for state in states([before, after]):
        for claim, row in state.rows.items():
            found = dossier(state, claim)
            limits = [x for x in found.get("limits", []) if x["value"] is not None]
            told = {(x["measure"], x["dtype"]): x["value"] for x in limits}
            assert told == {(m, d): v for m, by in row["measurements"].items() for d, v in by.items()}
            assert [x["limit"] for x in found.get("limits", []) if not x["holds"]] == [
                v["limit"] for v in row["violated"]
            ]


def test_the_spread_of_the_cases_reaches_what_the_judge_calls_the_worst(runs):
    _, _, after = runs
    claim = store.entry(after / "claims/FALSIFY-DOUBLES-001").source
    record = store.read_json(after / "claims/FALSIFY-DOUBLES-001/result.json")["record"]
    (found,) = spread(claim, record, record["subjects"]["candidate"])
    worst = next(iter(states([after])[0].rows["FALSIFY-DOUBLES-001"]["measurements"]["rel_l2_err"].values()))
    (limit,) = flat(parse(claim["accept"]))
    assert 10 ** max(found["at"]) == pytest.approx(worst / limit.bound, rel=2e-3)
    assert len(found["at"]) == len(record["cases"])
    (right,) = spread(claim, record, record["subjects"]["baseline"])
    assert right["zero"] == len(record["cases"])


def test_the_chain_of_whys_names_limit_place_stage_and_the_known_bug(runs):
    _, _, after = runs
    found = dossier(states([after])[0], "FALSIFY-DOUBLES-001")
    chain = " ".join(found["whys"])
    assert "rel_l2_err le 1e-06" in chain
    assert re.search(r"y\[\d+, \d+\] = ", chain)
    assert "First divergent stage: first" in chain
    assert "1 later stages only pass the error on" in chain
    assert "errs as the known-wrong version slightly does" in chain
    assert found["next"].startswith("Predict: mending stage `first` alone")
    assert found["root_cause"] is None


def test_a_candidate_that_errs_otherwise_is_likened_to_no_mutant(runs, tmp_path):
    folder, *_ = runs
    shutil.copytree(folder / "contracts", tmp_path / "contracts")
    (tmp_path / "kernel<b>.py").write_text("def double(x):\n    return x * 2.5\n", encoding="utf-8")
    found = dossier(states([lab.run(tmp_path, "-k", "doubles")])[0], "FALSIFY-DOUBLES-001")
    assert "known-wrong version" not in " ".join(found["whys"])


def test_an_earlier_state_is_the_history(runs):
    _, before, after = runs
    found = outline(states([after, before, before]))
    assert [state["runs"] for state in found["history"]] == [[before.name], [after.name]]
    doubling = next(t for t in found["targets"] if t["id"] == "doubling")
    assert (doubling["percents"], doubling["moved"]) == ([66.67, 0.0], -66.67)
    assert found["headline"] == "0 of 2 targets can ship. 6 claims are red."
    assert outline(states([before]))["headline"] == "1 of 2 targets can ship. 3 claims are red."
    changes = {c["id"]: (c["before"], c["after"], c["direction"]) for c in found["movement"]["verdicts"]}
    assert changes["FALSIFY-DRIFTS-001"] == ("PARTIAL", "FALSIFIED", "worse")
    assert changes["FALSIFY-VACUOUS-001"] == ("VACUOUS", "FALSIFIED", "other")
    assert {c["because"] for c in found["movement"]["verdicts"]} == {"candidate kernel<b>.py was edited"}


def test_runs_of_the_same_digests_are_one_state_and_another_candidate_is_not_its_history(runs, tmp_path):
    folder, before, after = runs
    other = lab.run(folder, "--seed", "7")
    assert [len(state.runs) for state in states([before, after, other])] == [1, 2]
    (folder / "else.py").write_text(lab.GOOD, encoding="utf-8")
    elsewhere = lab.run(folder, "--candidate", "else.py")
    history = states([elsewhere, before, after])
    assert earlier([history[0], history[2], history[1]]) is history[0]
    assert earlier(history) is history[1]
    assert earlier(history[:1]) is None


def test_open_work_is_ranked_by_gain_over_effort_and_says_what_is_in_the_way(runs):
    _, before, _ = runs
    state = states([before])[0]
    items = work.ranked(state.merged["targets"], state.rows)
    assert [(i["id"], round(i["gain"], 2)) for i in items] == [("X3", 16.67), ("X2", 16.67)]
    assert [w["verdict"] for w in items[1]["why"]] == ["PARTIAL"]
    assert items[0]["why"][0]["reason"].startswith("open: ")
    assert [c["id"] for c in work.closed(state.merged["targets"][0])] == ["X2", "X3"]


@pytest.mark.parametrize(
    ("before", "after", "way"),
    [
        ("PARTIAL", "DISCHARGED", "better"),
        ("DISCHARGED", "PARTIAL", "worse"),
        ("PARTIAL", "UNVERIFIED", "worse"),
        ("UNVERIFIED", "FALSIFIED", "worse"),
        ("FALSIFIED", "PARTIAL", "better"),
        ("FALSIFIED", "UNVERIFIED", "other"),
        ("FALSIFIED", "ERROR", "other"),
        ("PARTIAL", None, "worse"),
        (None, "PARTIAL", "better"),
        (None, "ERROR", "worse"),
        ("UNVERIFIED", "STALE", "other"),
        ("PARTIAL", "PARTIAL", "same"),
    ],
)
def test_which_way_a_verdict_moved(before, after, way):
    assert direction(before, after) == way


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


def test_long_series_are_thinned_and_many_cases_counted():
    series = {
        str(i): {"loss": [float(k) for k in range(1000)], "one": [1.0], "bad": ["nan", 1.0]} for i in range(CASES + 3)
    }
    found = curves({"subjects": {"candidate": {"series": series}, "baseline": {"series": {"0": {"loss": [1.0]}}}}})
    assert found["left_out"] == 3
    loss = [c for c in found["curves"] if c["name"] == "loss"]
    assert len(loss) == CASES
    assert len(loss[0]["x"]) <= POINTS + 1
    assert (loss[0]["x"][0], loss[0]["x"][-1]) == (0, 999)
    assert loss[0]["baseline"] == []
    assert next(c for c in found["curves"] if c["name"] == "bad")["candidate"] == [None, 1.0]


def test_a_seed_that_a_browser_would_round_travels_as_text():
    assert exact({"seed": 2**53 + 1, "n": [2**53, -(2**60)], "f": 1e300}) == {
        "seed": "9007199254740993",
        "n": [2**53, str(-(2**60))],
        "f": 1e300,
    }


def test_edited_and_unsealed_evidence_is_refused(runs, tmp_path):
    folder, before, _ = runs
    edited = tmp_path / before.name
    shutil.copytree(before, edited)
    path = edited / "claims/FALSIFY-DRIFTS-001/result.json"
    path.write_text(path.read_text().replace('"PARTIAL"', '"DISCHARGED"', 1))
    done = lab.harness(folder, "report", str(edited), "--out", str(tmp_path / "out"))
    assert (done.returncode, (tmp_path / "out").exists()) == (1, False)
    assert "changed after sealing" in done.stderr
    assert done.stderr.count("\n") == 1
    (edited / "manifest.json").unlink()
    assert lab.harness(folder, "report", str(edited), "--out", str(tmp_path / "out")).returncode == 2


@pytest.mark.parametrize("inside", ["{run}/r", "{run}", "half.partial/r", "afile"])
def test_a_report_is_never_written_into_a_run_or_over_a_file(runs, inside):
    folder, before, _ = runs
    (folder / "half.partial").mkdir(exist_ok=True)
    (folder / "afile").touch()
    done = lab.harness(folder, "report", str(before), "--out", inside.format(run=before))
    assert done.returncode == 2
    assert "give a folder" in done.stderr
    assert lab.harness(folder, "verify", str(before)).returncode == 0


def test_without_the_extra_the_markdown_page_is_still_written(runs, tmp_path):
    folder, before, _ = runs
    (tmp_path / "vl_convert.py").write_text("raise ModuleNotFoundError(\"No module\", name='vl_convert')\n")
    env = {"PYTHONPATH": f"{tmp_path}:{lab.ROOT}"}
    done = lab.harness(folder, "report", str(before), "--out", str(tmp_path / "out"), env=env)
    assert done.returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["harness.sarif", "junit.xml", "report.md"]
    assert "vl_convert is not installed, so index.html is not written; pip install 'harness[report]'" in done.stderr
