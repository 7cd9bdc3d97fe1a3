"""`harness run` as its users start it: own processes, limits, evidence, resume, exit codes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from harness.evidence import manifest, store, verify

FALSIFIERS = '''
import ctypes, os, time
import numpy as np
from harness.observation import Observation

def doubles(subject, case, *, rows):
    x = case.normal("x", (rows, 8))
    return Observation(y=(subject.double(x), 2 * x.astype(np.float64)))

def slowly(subject, case, *, rows):
    time.sleep(0.4)
    return doubles(subject, case, rows=rows)

def segfaults(subject, case, *, rows):
    ctypes.string_at(0)

def hangs(subject, case, *, rows):
    time.sleep(600)

def eats_memory(subject, case, *, rows):
    held = []
    while True:
        held.append(np.ones(1 << 22))

def exits(subject, case, *, rows):
    os._exit(0)

def raises(subject, case, *, rows):
    raise RuntimeError("no such kernel")

def triples(baseline):
    """Three for two."""
    from types import SimpleNamespace
    return SimpleNamespace(double=lambda x: 3 * x)

MUTANTS = {"triples": triples}
'''
CANDIDATE = "def double(x):\n    return x + x\n"
HEAD = """metadata: {{id: {id}, version: 1.0.0, title: t, description: d, references: [], depends_on: [{after}]}}
equations: {{double: y = 2 x}}
falsification_tests:
"""
CLAIM = """- id: {id}
  rule: y is twice x
  prediction: it is
  falsifier: own.py:{falsifier}
  baseline: base.py
  explore: {{rows: {{boundary: [1, 5]}}}}
  examples: 4
  accept:
    rel_l2_err: {{le: 1.0e-6, why: doubling is exact}}
  mutants: [triples]
  discharges_on: [{on}]
  budget_s: 1
  if_fails: look at double
"""
SHIP = """targets:
  doubling:
    title: Doubling ships
    criteria:
    - {id: X1, title: doubles, weight: 3, effort_hours: 1, claims: [FALSIFY-DOUBLES-001]}
    - {id: X2, title: nothing yet, weight: 1, effort_hours: 2, claims: [], open: [all of it]}
"""


def contract(folder, name, claims, after="", on="cpu"):
    folder.mkdir(exist_ok=True)
    (folder / "own.py").write_text(FALSIFIERS, encoding="utf-8")
    (folder / "base.py").write_text(CANDIDATE, encoding="utf-8")
    text = HEAD.format(id=name, after=after)
    text += "".join(CLAIM.format(id=f"FALSIFY-{c.upper()}-001".replace("_", "-"), falsifier=c, on=on) for c in claims)
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def harness(folder, *arguments, **kw):
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False, **kw)


def as_json(done):
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A folder with one contract, a candidate, ship.yaml and one sealed run."""
    folder = tmp_path_factory.mktemp("lab")
    contract(folder / "contracts", "doubling", ["doubles"])
    (folder / "contracts" / "ship.yaml").write_text(SHIP, encoding="utf-8")
    (folder / "good.py").write_text(CANDIDATE, encoding="utf-8")
    (folder / "bad.py").write_text("def double(x):\n    return x * 2.001\n", encoding="utf-8")
    (folder / "none.py").write_text("def triple(x):\n    return x * 3\n", encoding="utf-8")
    done = harness(folder, "run", "contracts", "--candidate", "good.py", "--json")
    assert done.returncode == 0, done.stderr
    return folder, as_json(done)


def test_json_has_the_promised_keys(lab):
    _, found = lab
    assert list(found) == ["run", "evidence", "candidate", "device", "counts", "claims", "targets"]
    assert found["counts"] == {"DISCHARGED": 1}
    claim = found["claims"][0]
    keys = "id contract verdict reason measurements violated mutants first_divergent_stage seconds"
    assert set(claim) == {*keys.split(), "selected", "cause", "root_cause_class"}
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
    bad = harness(folder, "run", "contracts", "--candidate", "bad.py")
    assert bad.returncode == 1
    assert "harness replay evidence/" in bad.stdout
    none = harness(folder, "run", "contracts", "--candidate", "none.py")
    assert none.returncode == 3
    assert "candidate has no `double`" in none.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "contract"], "contracts"),
        (["run", "contracts", "--candidate", "god.py"], "god.py"),
        (["run", "contracts", "--candidate", "torhc"], "did you mean 'torch'?"),
        (["run", "contracts", "--candidate", "good.py:nothing"], "has no `nothing`; it offers double"),
        (["run", "contracts", "--device", "gpu"], "expected auto, cpu, cuda or cuda:N"),
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
    done = harness(folder, *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_candidate_that_cannot_be_imported_is_one_line(lab):
    folder, _ = lab
    (folder / "broken.py").write_text("def double(x:\n", encoding="utf-8")
    done = harness(folder, "run", "contracts", "--candidate", "broken.py")
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


def test_crashes_cost_only_their_own_claim(tmp_path):
    kinds = ["doubles", "segfaults", "hangs", "eats_memory", "exits", "raises"]
    contract(tmp_path / "c", "mixed", kinds)
    (tmp_path / "good.py").write_text(CANDIDATE, encoding="utf-8")
    done = harness(tmp_path, "run", "c", "--candidate", "good.py", "--json", "-j", "3", "--memory-mb", "1000")
    assert done.returncode == 1
    found = {row["id"]: row for row in as_json(done)["claims"]}
    reasons = {
        "SEGFAULTS": "SIGSEGV",
        "HANGS": "stopped after 10 s, its time limit",
        "EATS-MEMORY": "of memory; the limit is 1000 MiB",
        "EXITS": "exit code 0",
        "RAISES": "RuntimeError: no such kernel in case 0",
    }
    for kind, words in reasons.items():
        row = found[f"FALSIFY-{kind}-001"]
        assert (row["verdict"], words in row["reason"]) == ("ERROR", True), row["reason"]
    assert found["FALSIFY-DOUBLES-001"]["verdict"] == "DISCHARGED"
    run = store.sealed(tmp_path / "evidence")
    assert "no such kernel" in (run / "claims/FALSIFY-RAISES-001/log.txt").read_text()
    assert verify.check(run) == []


def test_a_survivor_whose_foundation_is_red_is_blocked(tmp_path):
    contract(tmp_path / "c", "below", ["raises"])
    contract(tmp_path / "c", "above", ["doubles"], after="below")
    (tmp_path / "good.py").write_text(CANDIDATE, encoding="utf-8")
    found = as_json(harness(tmp_path, "run", "c", "--candidate", "good.py", "--json"))
    verdicts = {row["id"]: (row["verdict"], row["reason"]) for row in found["claims"]}
    assert verdicts["FALSIFY-DOUBLES-001"] == ("BLOCKED", "survived, but below is red")
    assert verify.check(store.sealed(tmp_path / "evidence")) == []


def test_what_is_not_selected_is_unverified_and_counted(tmp_path):
    contract(tmp_path / "c", "mixed", ["doubles", "raises"])
    (tmp_path / "good.py").write_text(CANDIDATE, encoding="utf-8")
    done = harness(tmp_path, "run", "c", "--candidate", "good.py", "--json", "-k", "Doubles and not raises")
    assert done.returncode == 0
    assert as_json(done)["counts"] == {"UNVERIFIED": 1, "DISCHARGED": 1}


def test_flipping_any_byte_makes_verify_name_the_file(lab, tmp_path):
    folder, found = lab
    run = tmp_path / "run"
    shutil.copytree(folder / found["evidence"], run)
    assert verify.check(run) == []
    for path in sorted(p for p in run.rglob("*") if p.is_file()):
        whole = path.read_bytes()
        for place in {0, len(whole) // 2, len(whole) - 1} if whole else set():
            broken = bytearray(whole)
            broken[place] ^= 1
            path.write_bytes(bytes(broken))
            faults = verify.check(run)
            assert faults, path
            assert all(str(path) in fault for fault in faults), (path, faults)
        path.write_bytes(whole)
        path.rename(path.with_suffix(".moved"))
        assert any(str(path) in fault for fault in verify.check(run)), path
        path.with_suffix(".moved").rename(path)
    assert verify.check(run) == []


def test_a_verdict_written_by_hand_is_found_even_under_a_fresh_seal(lab, tmp_path):
    folder, _ = lab
    assert harness(folder, "run", "contracts", "--candidate", "bad.py", "--evidence", str(tmp_path)).returncode == 1
    run = store.sealed(tmp_path)
    result = run / "claims/FALSIFY-DOUBLES-001/result.json"
    text = json.loads(result.read_text())
    text["verdict"] = "DISCHARGED"
    store.write_json(result, text)
    seal = result.parent / store.SEAL
    store.write_json(seal, {"files": manifest.digests(result.parent, skip=(store.SEAL,))})
    manifest.write(run)
    assert any("verdict is 'DISCHARGED', judged again 'FALSIFIED'" in fault for fault in verify.check(run))


def test_a_ship_percent_written_by_hand_is_found(lab, tmp_path):
    folder, found = lab
    run = tmp_path / "run"
    shutil.copytree(folder / found["evidence"], run)
    text = json.loads((run / "run.json").read_text())
    text["targets"][0]["ship_percent"] = 100.0
    store.write_json(run / "run.json", text)
    manifest.write(run)
    assert any("targets differ" in fault for fault in verify.check(run))


def test_kill_minus_nine_loses_no_finished_claim_and_resume_completes(tmp_path):
    contract(tmp_path / "c", "mixed", ["doubles", "slowly"])
    (tmp_path / "good.py").write_text(CANDIDATE, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-m", "harness", "run", "c", "--candidate", "good.py", "-j", "2"]
    process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    root = tmp_path / "evidence"
    ends = time.monotonic() + 60
    while not list(root.glob("*/claims/FALSIFY-DOUBLES-001")) and time.monotonic() < ends:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (partial,) = root.iterdir()
    assert partial.name.endswith(".partial")
    kept = (partial / "claims/FALSIFY-DOUBLES-001/result.json").stat().st_mtime_ns
    assert not (partial / "claims/FALSIFY-SLOWLY-001").exists()
    assert harness(tmp_path, "verify", str(partial)).returncode == 2
    began = json.loads((partial / "run.json").read_text())["began"]
    done = harness(tmp_path, "run", "--resume", str(partial), "--json")
    assert done.returncode == 0, done.stderr
    assert as_json(done)["counts"] == {"DISCHARGED": 2}
    run = store.sealed(root)
    assert (run / "claims/FALSIFY-DOUBLES-001/result.json").stat().st_mtime_ns == kept
    assert json.loads((run / "run.json").read_text())["began"] == began  # as old as its first claim
    assert verify.check(run) == []


def test_resume_refuses_when_the_candidate_changed(tmp_path):
    contract(tmp_path / "c", "mixed", ["doubles"])
    (tmp_path / "good.py").write_text(CANDIDATE, encoding="utf-8")
    assert harness(tmp_path, "run", "c", "--candidate", "good.py").returncode == 0
    run = store.sealed(tmp_path / "evidence")
    partial = run.with_name(run.name + ".partial")
    run.rename(partial)
    body = json.loads((partial / "run.json").read_text())
    store.write_json(partial / "run.json", {**body, "status": "running"})
    other = harness(tmp_path, "run", "--resume", str(partial), "--seed", "5")
    assert other.returncode == 2
    assert "found seed 5, but the run began with 0" in other.stderr
    (tmp_path / "good.py").write_text(CANDIDATE + "# edited\n", encoding="utf-8")
    done = harness(tmp_path, "run", "--resume", str(partial))
    assert done.returncode == 2
    assert "candidate changed since the run began" in done.stderr


def test_the_same_seed_gives_the_same_record(lab):
    folder, found = lab
    again = as_json(harness(folder, "run", "contracts", "--candidate", "good.py", "--json"))
    other = as_json(harness(folder, "run", "contracts", "--candidate", "good.py", "--json", "--seed", "1"))

    def record(run):
        return json.loads((folder / run["evidence"] / "claims/FALSIFY-DOUBLES-001/result.json").read_text())["record"]

    assert record(found) == record(again)
    assert record(found) != record(other)


def test_gate_report_and_mutants(lab, tmp_path):
    folder, found = lab
    gate = harness(folder, "gate", found["evidence"], "--target", "doubling")
    assert gate.returncode == 3
    assert "X2 UNVERIFIED: open: all of it" in gate.stdout
    assert "CLOSED, 75 % (1 discharged, 0 partial, 0 red, 1 open)" in gate.stdout
    report = harness(folder, "report", found["evidence"], "--out", str(tmp_path / "r"))
    assert report.returncode == 0, report.stderr
    text = (tmp_path / "r/report.md").read_text()
    assert "| doubling | 75 % (1 discharged, 0 partial, 0 red, 1 open) |" in text
    inside = harness(folder, "report", found["evidence"], "--out", found["evidence"] + "/r")
    assert inside.returncode == 2
    assert "inside the sealed run" in inside.stderr
    mutants = harness(folder, "mutants", found["evidence"], "--json")
    assert mutants.returncode == 0
    rows = {m["name"]: m for m in as_json(mutants)["mutants"]}
    assert rows["triples"]["by"] == "rel_l2_err le 1e-06"
    assert rows["triples"]["margin"] == pytest.approx(5e5, rel=0.01)
    assert "6 mutants, 6 killed, 0 alive" in harness(folder, "mutants", "contracts").stdout


def test_gate_marks_evidence_of_another_contract_stale(lab, tmp_path):
    folder, found = lab
    changed = tmp_path / "contracts"
    shutil.copytree(folder / "contracts", changed)
    text = (changed / "doubling.yaml").read_text()
    (changed / "doubling.yaml").write_text(text.replace("1.0e-6", "1.0e-7"))
    gate = harness(folder, "gate", found["evidence"], "--target", "doubling", "--contracts", str(changed))
    assert gate.returncode == 3
    assert "STALE (contract doubling" in gate.stdout


def test_gate_marks_evidence_of_another_falsifier_stale(lab, tmp_path):
    folder, found = lab
    changed = tmp_path / "contracts"
    shutil.copytree(folder / "contracts", changed)
    (changed / "own.py").write_text(FALSIFIERS + "# edited\n")
    gate = harness(folder, "gate", found["evidence"], "--target", "doubling", "--contracts", str(changed))
    assert "STALE (contract doubling" in gate.stdout


def test_gate_marks_evidence_of_another_candidate_stale_and_believes_one_that_is_elsewhere(lab, tmp_path):
    folder, found = lab
    whole = (folder / "good.py").read_text()
    asked = (folder, "gate", found["evidence"], "--target", "doubling", "--contracts", "contracts")
    try:
        assert "STALE" not in harness(*asked).stdout
        (folder / "good.py").write_text(whole + "# edited\n")
        assert "STALE (candidate good.py changed since" in harness(*asked).stdout
        (folder / "good.py").unlink()
        assert "STALE" not in harness(*asked).stdout
    finally:
        (folder / "good.py").write_text(whole)


def test_replay_shows_the_same_bytes_and_a_mended_candidate_passes(lab, tmp_path):
    folder, _ = lab
    assert harness(folder, "run", "contracts", "--candidate", "bad.py", "--evidence", str(tmp_path)).returncode == 1
    saved = str(store.sealed(tmp_path) / "claims/FALSIFY-DOUBLES-001/counterexample.json")
    again = harness(folder, "replay", saved)
    assert again.returncode == 1
    assert "the stored bytes" in again.stdout
    assert "the same bytes as recorded" in again.stdout
    mended = harness(folder, "replay", saved, "--candidate", "good.py")
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert "violates  nothing" in mended.stdout
