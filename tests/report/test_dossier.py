"""What the report says of one claim: its limits, the spread of its cases, its chain of whys, its curves."""

import re
import shutil

import pytest

from harness.evidence import store
from harness.judging.limits import flat, parse
from harness.report.curve import CASES, POINTS, curves
from harness.report.dossier import dossier
from harness.report.spread import spread
from harness.report.state import states
from tests.support import report_lab as lab


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
