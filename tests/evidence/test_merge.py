"""Runs of several hosts as one answer, and what must not be merged."""

import itertools
import json
import shutil

import pytest
import yaml

from harness import checkpoint
from harness.commands import main
from harness.errors import UserError
from harness.evidence import merge, provenance, store, summary, verify
from harness.falsifiers.itself.edits import dies, forge, reseal, rewrite_contract
from harness.falsifiers.itself.shop import DOUBLES, SHIP, SLOWLY
from harness.judging.verdict import ORDER, Verdict


@pytest.fixture(autouse=True)
def at_hand(cpu, monkeypatch):
    """The folder with what is to ship: contracts, ship.yaml, harness.toml, the candidate."""
    monkeypatch.chdir(cpu.parents[1])


def merged(*folders):
    runs = [(folder, store.read_json(folder / "run.json")) for folder in folders]
    return merge.merge(runs, merge.plan(folders))


def verdicts(found):
    return {row["id"]: row["verdict"] for row in found["claims"]}


def test_a_gpu_box_and_a_cpu_runner_give_one_answer(cpu, tmp_path, capsys):
    gpu = forge(cpu, tmp_path, "gpu")
    assert verify.check(gpu) == []
    assert verdicts(merged(cpu)) == {DOUBLES: "PARTIAL", SLOWLY: "DISCHARGED"}
    assert main.main(["gate", str(cpu), "--target", "doubling"]) == 3
    for pair in ([cpu, gpu], [gpu, cpu], [cpu, gpu, cpu]):
        found = merged(*pair)
        assert verdicts(found) == {DOUBLES: "DISCHARGED", SLOWLY: "DISCHARGED"}
        assert found["targets"][0]["ship_percent"] == 100
        assert next(row["run"] for row in found["claims"] if row["id"] == DOUBLES) == "gpu"
        assert main.main(["gate", *map(str, pair), "--target", "doubling"]) == 0
    assert "gate doubling: OPEN, 100 % (2 discharged, 0 partial, 0 red, 0 open)" in capsys.readouterr().out


def test_any_red_wins_and_blocks_what_survived_elsewhere(cpu, tmp_path, capsys):
    red = forge(cpu, tmp_path, "red", record=dies, keep=lambda claim: claim == DOUBLES)
    assert verify.check(red) == []
    for pair in ([cpu, red], [red, cpu]):
        found = {row["id"]: (row["verdict"], row["reason"]) for row in merged(*pair)["claims"]}
        assert found[DOUBLES] == ("ERROR", "the driver died")
        assert found[SLOWLY] == ("BLOCKED", "survived, but doubling is red")
        assert main.main(["gate", *map(str, pair), "--target", "doubling"]) == 1
    assert f"X1 ERROR: {DOUBLES}: ERROR (the driver died)" in capsys.readouterr().out


def test_a_claim_blocked_in_one_run_and_not_selected_in_the_other_stays_blocked(cpu, tmp_path):
    red = forge(cpu, tmp_path, "red", record=dies)
    other = forge(cpu, tmp_path, "other", keep=lambda claim: claim == DOUBLES)
    assert verdicts(store.read_json(red / "run.json"))[SLOWLY] == "BLOCKED"
    assert verdicts(store.read_json(other / "run.json"))[SLOWLY] == "UNVERIFIED"
    for pair in ([red, other], [other, red]):
        assert verdicts(merged(*pair)) == {DOUBLES: "ERROR", SLOWLY: "BLOCKED"}


def test_runs_of_different_claims_fill_each_others_gaps(cpu, tmp_path):
    one = forge(cpu, tmp_path, "one", keep=lambda claim: claim == DOUBLES)
    two = forge(cpu, tmp_path, "two", keep=lambda claim: claim == SLOWLY)
    for pair in ([one, two], [two, one]):
        found = merged(*pair)
        assert verdicts(found) == {DOUBLES: "DISCHARGED", SLOWLY: "DISCHARGED"}
        assert found["counts"] == {"DISCHARGED": 2}


def test_runs_of_different_contracts_merge_and_one_without_ship_yaml_may_join(cpu, tmp_path):
    def only(name):
        return lambda body: body.update(contracts=[c for c in body["contracts"] if c["id"] == name])

    doubling = forge(cpu, tmp_path, "d", keep=lambda claim: claim == DOUBLES, body=only("doubling"))
    slow = forge(cpu, tmp_path, "s", keep=lambda claim: claim == SLOWLY, body=only("slow"))
    (slow / "ship.yaml").unlink()
    body = store.read_json(slow / "run.json")
    reseal(slow, {**body, "targets": []})
    assert verify.check(doubling) == verify.check(slow) == []
    found = merged(slow, doubling)
    assert verdicts(found) == {DOUBLES: "DISCHARGED", SLOWLY: "DISCHARGED"}
    assert found["targets"][0]["ship_percent"] == 100


def test_a_red_contract_of_one_run_blocks_the_survivors_of_another_that_never_had_it(cpu, tmp_path):
    def only(name):
        return lambda body: body.update(contracts=[c for c in body["contracts"] if c["id"] == name])

    red = forge(cpu, tmp_path, "d", keep=lambda claim: claim == DOUBLES, body=only("doubling"), record=dies)
    slow = forge(cpu, tmp_path, "s", keep=lambda claim: claim == SLOWLY, body=only("slow"))
    assert verdicts(merged(slow)) == {SLOWLY: "DISCHARGED"}
    assert verdicts(merged(slow, red)) == {DOUBLES: "ERROR", SLOWLY: "BLOCKED"}


def _bound_file(body):
    body["contracts"][0]["files"]["own.py"] = "0" * 64


def _code(body):
    body["code"]["falsifiers"] = "0" * 64


def _candidate(body):
    body["candidate"]["sha256"] = "0" * 64


def _name(body):
    body["candidate"]["spec"] = "good.py:Other"


def _weights(body):
    body["weights"] = {"folder": "w", "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_bound_file, "not of the same contract doubling as"),
        (_code, "not of the same code as"),
        (_code, "(falsifiers); only runs of the same code merge"),
        (_candidate, "not of the same candidate as"),
        (_name, "(spec); only runs of the same candidate merge"),
        (_weights, "not of the same weights as"),
    ],
)
def test_what_differs_is_named_and_not_merged(cpu, tmp_path, capsys, change, words):
    refused(cpu, forge(cpu, tmp_path, "other", body=change), words, capsys)


def refused(cpu, other, words, capsys):
    assert main.main(["gate", str(cpu), str(other), "--target", "doubling"]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.out == ""  # nothing at hand is printed for a question that has no answer
    assert len(said.err.splitlines()) == 1


def test_another_contract_of_the_same_name_is_not_merged(cpu, tmp_path, capsys):
    other = forge(cpu, tmp_path, "other")
    rewrite_contract(other, "doubling", lambda source: source["metadata"].update(title="another"))
    refused(cpu, other, "not of the same contract doubling as", capsys)


def test_a_claim_of_another_contract_is_not_merged(cpu, tmp_path, capsys):
    other = forge(cpu, tmp_path, "other", keep=lambda claim: False)
    (other / "contracts" / "slow.json").unlink()
    (other / "contracts" / "doubling.json").rename(other / "contracts" / "third.json")
    body = store.read_json(other / "run.json")
    body["contracts"] = [{**contract, "id": "third"} for contract in body["contracts"] if contract["id"] == "doubling"]
    body["claims"] = [{**row, "contract": "third"} for row in body["claims"] if row["id"] == DOUBLES]
    reseal(other, {**body, **summary.recomputed(other, body)})
    rewrite_contract(other, "third", lambda source: source["metadata"].update(id="third"))
    refused(cpu, other, f"{DOUBLES} is a claim of third, elsewhere of doubling", capsys)


def test_run_json_knows_weights_by_what_they_hold(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    before = provenance.weights_digest(str(tmp_path))
    assert before["sha256"] == checkpoint.digest(tmp_path)
    (tmp_path / "config.json").write_text("{ }")
    assert provenance.weights_digest(str(tmp_path))["sha256"] != before["sha256"]


def test_the_same_candidate_in_another_folder_is_the_same(cpu, tmp_path):
    other = forge(cpu, tmp_path, "other", body=lambda body: body["candidate"].update(spec="elsewhere/good.py"))
    assert verdicts(merged(cpu, other))[DOUBLES] == "DISCHARGED"


def test_a_target_that_two_runs_define_differently_is_refused_and_others_are_joined(cpu, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(cpu, other)
    ship = yaml.safe_load(SHIP)
    ship["targets"]["more"] = {"title": "m", "criteria": ship["targets"]["doubling"]["criteria"]}
    (other / "ship.yaml").write_text(json.dumps(ship))
    assert set(merge.plan([cpu, other])["targets"]) == {"doubling", "more"}
    ship["targets"]["doubling"]["criteria"].pop()
    (other / "ship.yaml").write_text(json.dumps(ship))
    with pytest.raises(UserError, match="target doubling is not as in"):
        merge.plan([cpu, other])


@pytest.mark.parametrize(("a", "b"), list(itertools.combinations_with_replacement(ORDER, 2)))
def test_of_two_verdicts_the_same_one_wins_in_either_order(a, b):
    def of(x, y):
        rows = [{"id": "C", "contract": "c", "verdict": v.value, "reason": "r", "selected": True} for v in (x, y)]
        return merge._stronger(*rows)["verdict"]

    won = Verdict(of(a, b))
    assert won == of(b, a)
    assert won.red == (a.red or b.red)
    if not won.red:
        assert won.credit == max(a.credit, b.credit)


def test_why_it_did_not_run_is_told_rather_than_that_it_was_not_selected():
    # The reason of the first is that of a claim left out, word for word: the field decides.
    rows = [
        {"id": "C", "verdict": "UNVERIFIED", "reason": "not selected by -k", "selected": selected}
        for selected in (True, False)
    ]
    assert merge._stronger(*rows) is merge._stronger(*reversed(rows)) is rows[0]
