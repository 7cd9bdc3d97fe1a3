"""`harness gate`: ship-% asked for, age, several targets, one JSON object, exit codes."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from harness.commands import main
from harness.evidence import store
from harness.evidence.release import stale
from harness.falsifiers.itself.edits import dies, forge, reseal
from harness.falsifiers.itself.shop import DOUBLES, SLOWLY
from harness.judging.gate import decide
from harness.judging.verdict import Verdict


@pytest.fixture(autouse=True)
def at_hand(cpu, monkeypatch):
    """The folder with what is to ship: contracts, ship.yaml, harness.toml, the candidate."""
    monkeypatch.chdir(cpu.parents[1])
    return cpu.parents[1]


def gate(*arguments):
    return main.main(["gate", *map(str, arguments), "--target", "doubling"])


def aged(run, root, name, **ago):
    """The run as if it had begun so long ago; negative: in the future."""
    began = (datetime.now(UTC) - timedelta(**ago)).isoformat(timespec="seconds")
    return forge(run, root, name, body=lambda body: body.update(began=began))


def test_min_ship_opens_a_gate_that_is_short_but_never_a_red_one(cpu, tmp_path, capsys):
    # X1 (weight 3) is PARTIAL on a CPU, X2 (weight 1) DISCHARGED: 62.5 %.
    assert gate(cpu) == 3
    assert gate(cpu, "--min-ship", "62.5") == 0
    assert "gate doubling: OPEN, 62.5 % (1 discharged, 1 partial, 0 red, 0 open); at least 62.5 % required" in (
        capsys.readouterr().out
    )
    assert gate(cpu, "--min-ship", "62.501") == 3
    assert "CLOSED, 62.5 %" in capsys.readouterr().out
    red = forge(cpu, tmp_path, "red", record=dies)
    assert gate(red, "--min-ship", "0.1") == 1


def test_min_ship_is_not_reached_by_rounding():
    rows = [
        {"id": f"C{i}", "verdict": v, "reason": "r", "survived_on": []}
        for i, v in enumerate(("DISCHARGED", "UNVERIFIED"))
    ]
    criteria = [
        {"id": "A", "title": "", "weight": 49996, "credit": 1.0, "verdict": "DISCHARGED", "claims": ["C0"]},
        {"id": "B", "title": "", "weight": 50004, "credit": 0.0, "verdict": "UNVERIFIED", "claims": ["C1"]},
    ]
    criteria = [{**c, "open": [], "ship_blocking": True} for c in criteria]
    parts = {"discharged": 1, "partial": 0, "red": 0, "open": 1}
    target = {"id": "t", "platform": None, "ship_percent": 50.0, "criteria": criteria, "parts": parts}
    assert decide(target, rows, Fraction(50)).code == 3
    assert decide(target, rows, Fraction("49.996")).code == 0


@pytest.mark.parametrize("text", ["0", "0.0", "101", "-1", "nan", "inf", "1e2", "half", ""])
def test_min_ship_must_be_a_percentage_above_0(text, capsys):
    assert main.main(["gate", "x", "--target", "t", f"--min-ship={text}"]) == 2
    assert "expected a number above 0 and at most 100" in capsys.readouterr().err


def test_evidence_older_than_max_age_is_stale_unless_red(cpu, tmp_path, capsys):
    old = aged(cpu, tmp_path, "old", hours=25)
    assert gate(old) == 0
    assert gate(old, "--max-age", "26h") == 0
    assert gate(old, "--max-age", "24h") == 3
    assert f"{DOUBLES}: STALE (old began 25 h ago, --max-age is 24 h)" in capsys.readouterr().out
    assert gate(old, "--max-age", "1d", "--min-ship", "1") == 3
    red = forge(old, tmp_path, "red", record=dies)
    assert gate(red, "--max-age", "1h") == 1


def test_fresh_evidence_makes_up_for_old(cpu, tmp_path):
    old, fresh = aged(cpu, tmp_path, "old", days=8), forge(cpu, tmp_path, "fresh", keep=lambda c: c == DOUBLES)
    assert gate(old, fresh) == 0
    assert gate(old, fresh, "--max-age", "7d") == 3
    assert gate(old, forge(cpu, tmp_path, "all"), "--max-age", "7d") == 0


@pytest.mark.parametrize("began", ["2999-01-01T00:00:00+00:00", "2026-01-01T00:00:00", "yesterday"])
def test_a_time_in_the_future_or_none_closes_the_gate(cpu, tmp_path, capsys, began):
    odd = forge(cpu, tmp_path, "odd", body=lambda body: body.update(began=began))
    assert gate(odd) == 0
    assert gate(odd, "--max-age", "99999w") == 1
    out = capsys.readouterr().out
    assert "in the future" in out or "expected a date and time with its zone" in out


@pytest.mark.parametrize("began", [None, 5, "missing"])
def test_a_time_that_is_no_text_does_not_verify(cpu, tmp_path, capsys, began):
    odd = forge(cpu, tmp_path, "odd", body=lambda body: body.update(began=began))
    if began == "missing":
        body = store.read_json(odd / "run.json")
        del body["began"]
        reseal(odd, body)
    assert gate(odd) == 1
    assert "expected the date and time at which the run began, with the time zone" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "seconds"), [("45s", 45), ("90m", 5400), ("24h", 86400), ("7d", 604800), ("2w", 1209600)]
)
def test_durations(text, seconds):
    assert stale.duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["0h", "7", "d", "-1d", "1.5h", "7 d", "7D", "9999999w"])
def test_a_duration_that_is_none_is_one_line(text, capsys):
    assert main.main(["gate", "x", "--target", "t", f"--max-age={text}"]) == 2
    assert "expected a whole number and s, m, h, d or w, like 24h or 7d" in capsys.readouterr().err


def with_ship(at_hand, tmp_path, criteria):
    """A copy of the contracts at hand with other targets: {target: its one criterion's claim}."""
    contracts, targets = tmp_path / "contracts", {}
    shutil.copytree(at_hand / "contracts", contracts)
    for name, claim in criteria.items():
        criterion = {"id": "A", "title": "t", "weight": 1, "effort_hours": 1, "claims": [claim]}
        targets[name] = {"title": name, "criteria": [criterion]}
    (contracts / "ship.yaml").write_text(json.dumps({"targets": targets}))
    return ["--contracts", str(contracts), "--candidate", "good.py"]


def test_several_targets_are_as_open_as_the_least_of_them(cpu, at_hand, tmp_path, capsys):
    here = with_ship(at_hand, tmp_path, {"first": SLOWLY, "second": DOUBLES})

    def codes(run):
        both = ["--target", "first", "--target", "second", "--target", "first"]
        one = [main.main(["gate", str(run), "--target", name, *here]) for name in ("first", "second")]
        return [*one, main.main(["gate", str(run), *both, *here])]

    run = forge(cpu, tmp_path, "run", device="cpu")
    assert codes(run) == [0, 3, 3]
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("gate ")]
    assert [line.split(",")[0] for line in lines[-2:]] == ["gate first: OPEN", "gate second: CLOSED"]
    red = forge(run, tmp_path, "red", device="cpu", record=dies)
    assert codes(red) == [3, 1, 1]  # slowly is BLOCKED by it


def test_red_outside_the_targets_asked_for_is_told(cpu, at_hand, tmp_path, capsys):
    run = forge(cpu, tmp_path, "run", record=dies)
    assert gate(run, *with_ship(at_hand, tmp_path, {"doubling": SLOWLY})) == 3
    assert f"red, though no criterion of these targets names it: {DOUBLES}" in capsys.readouterr().out


def test_json_is_one_object_whatever_comes_of_it(cpu, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert gate(cpu, "--json") == 3
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (found["open"], found["exit_code"], found["evidence"]) == (False, 3, [str(cpu)])
    (target,) = found["targets"]
    assert (target["id"], target["ship_percent"], target["min_ship"], target["red"]) == ("doubling", 62.5, None, [])
    assert [(c["id"], c["verdict"]) for c in target["short"]] == [("X1", Verdict.PARTIAL.value)]
    assert said.err.startswith("::warning title=doubling X1 is short::")
    broken = forge(cpu, tmp_path, "broken")
    (broken / "ship.yaml").write_text("targets: {}\n")
    assert gate(broken, "--json") == 1
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (found["open"], found["exit_code"], len(found["faults"])) == (False, 1, 1)
    assert said.err.startswith("::error title=harness gate::")
    pages = (tmp_path / "summary.md").read_text()
    assert "## Gate doubling: CLOSED, 62.5 %" in pages
    assert "## Gate: CLOSED" in pages
