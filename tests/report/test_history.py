"""What the report says of several runs: states, movement and its causes, and the work that is open."""

import pytest

from harness.report import work
from harness.report.movement import direction
from harness.report.outline import earlier, outline
from harness.report.state import states
from tests.support import report_lab as lab


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
