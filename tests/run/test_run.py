"""`harness run` as its users start it: what it prints, its exit codes, and a user's mistakes."""

import json

import pytest
import torch

from harness.evidence import store, verify
from harness.falsifiers.itself.shop import CANDIDATE
from tests.support.command import as_json, harness, light
from tests.support.doubling import contract, mixed


def test_json_has_the_promised_keys(lab):
    _, found = lab
    assert list(found) == ["run", "evidence", "candidate", "device", "counts", "claims", "targets"]
    assert found["counts"] == {"DISCHARGED": 1}
    claim = found["claims"][0]
    keys = "id contract verdict reason measurements violated mutants first_divergent_stage seconds"
    assert set(claim) == {*keys.split(), "selected", "cause", "root_cause_class", "survived_on"}
    assert {m["name"] for m in claim["mutants"]} == {"zeros", "nan", "mean", "input", "lower_precision", "triples"}
    assert all(set(m) == {"name", "status", "killed", "by", "margin"} and m["killed"] for m in claim["mutants"])
    target = found["targets"][0]
    assert (target["id"], target["ship_percent"]) == ("doubling", 75.0)
    assert [(c["id"], c["credit"], c["verdict"]) for c in target["criteria"]] == [
        ("X1", 1.0, "DISCHARGED"),
        ("X2", 0.0, "UNVERIFIED"),
    ]


def test_exit_codes_of_run(lab):
    folder, _ = lab
    bad = light(folder, "run", "contracts", "--candidate", "bad.py")
    assert bad.returncode == 1
    assert "harness replay evidence/" in bad.stdout
    none = light(folder, "run", "contracts", "--candidate", "none.py")
    assert none.returncode == 3
    assert "candidate has no `double`" in none.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "contract"], "contracts"),
        (["run", "contracts", "--candidate", "god.py"], "god.py"),
        (["run", "contracts", "--candidate", "torhc"], "did you mean 'torch'?"),
        (["run", "contracts", "--candidate", "good.py:nothing"], "has no `nothing`; it offers double"),
        (
            ["run", "contracts", "--device", "gpu"],
            "expected auto, cpu, cuda[:i], mps, xpu[:i], hpu[:i] or rehearsal",
        ),
        (["run", "contracts", "-k", "softmax"], "selects none of 1 claims"),
        (["run", "contracts", "-k", "a and or"], "where a word was expected"),
        (["run", "contracts", "--seed", "-1"], "--seed"),
        (["run", "contracts", "--candidate", "good.py", "--weights", "nowhere"], "no config.json there"),
        (["run"], "no PATH given"),
        (["rnu", "contracts"], "did you mean 'run'?"),
        (["verify", "nowhere"], "not found"),
        (["gate", "evidence", "--target", "doublign"], "did you mean 'doubling'?"),
        (["replay", "evidence"], "counterexample"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_2(lab, arguments, words):
    folder, _ = lab
    done = light(folder, *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_candidate_that_cannot_be_imported_is_one_line(lab):
    folder, _ = lab
    (folder / "broken.py").write_text("def double(x:\n", encoding="utf-8")
    done = light(folder, "run", "contracts", "--candidate", "broken.py")
    assert done.returncode == 2
    assert "SyntaxError" in done.stderr
    assert "broken.py:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_device_that_is_not_there_is_unverified(lab):
    folder, _ = lab
    absent = f"cuda:{torch.cuda.device_count()}"
    done = harness(folder, "run", "contracts", "--candidate", "good.py", "--device", absent, "--json")
    assert done.returncode == 3
    found = as_json(done)
    assert found["claims"][0]["verdict"] == "UNVERIFIED"
    assert f"{absent} is not there" in found["claims"][0]["reason"]


def test_a_survivor_whose_foundation_is_red_is_blocked(tmp_path):
    contract(tmp_path / "c", "below", ["raises"])
    contract(tmp_path / "c", "above", ["doubles"], after="below")
    (tmp_path / "good.py").write_text(CANDIDATE, encoding="utf-8")
    found = as_json(light(tmp_path, "run", "c", "--candidate", "good.py", "--json"))
    verdicts = {row["id"]: (row["verdict"], row["reason"]) for row in found["claims"]}
    assert verdicts["FALSIFY-DOUBLES-001"] == ("BLOCKED", "survived, but below is red")
    assert verify.check(store.sealed(tmp_path / "evidence")) == []


def test_what_is_not_selected_is_unverified_and_counted(tmp_path):
    mixed(tmp_path, "doubles", "raises")
    done = light(tmp_path, "run", "c", "--candidate", "good.py", "--json", "-k", "Doubles and not raises")
    assert done.returncode == 0
    assert as_json(done)["counts"] == {"UNVERIFIED": 1, "DISCHARGED": 1}


def test_the_same_seed_gives_the_same_record(lab):
    folder, found = lab
    again = as_json(light(folder, "run", "contracts", "--candidate", "good.py", "--json"))
    other = as_json(light(folder, "run", "contracts", "--candidate", "good.py", "--json", "--seed", "1"))

    def record(run):
        return json.loads((folder / run["evidence"] / "claims/FALSIFY-DOUBLES-001/result.json").read_text())["record"]

    assert record(found) == record(again)
    assert record(found) != record(other)


def test_without_mutants_a_survivor_is_unverified_and_a_mistake_stays_red(lab):
    folder, _ = lab
    done = light(folder, "run", "contracts", "--candidate", "good.py", "--no-mutants", "--json")
    assert done.returncode == 3
    (claim,) = as_json(done)["claims"]
    assert (claim["verdict"], claim["cause"], claim["mutants"]) == ("UNVERIFIED", "mutants_left_out", [])
    assert "no mutant was run (--no-mutants)" in claim["reason"]
    assert as_json(done)["targets"][0]["ship_percent"] == 0.0
    assert light(folder, "verify", as_json(done)["evidence"]).returncode == 0
    bad = light(folder, "run", "contracts", "--candidate", "bad.py", "--no-mutants", "--json")
    assert bad.returncode == 1
    assert as_json(bad)["claims"][0]["verdict"] == "FALSIFIED"
