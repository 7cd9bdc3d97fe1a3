"""`pytest contracts/`: claims as items, verdicts as outcomes, the exit code of `harness run`, sealed evidence."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import tracemalloc
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from harness.evidence import store, verify
from harness.pytest_plugin.items import holds_claims
from tests.support.laboratory import CONTRACTS, ROOT

WRONG = """
import numpy as np

def rmsnorm(x, weight, eps):
    wide = x.astype(np.float32)
    return (wide / np.sqrt(np.mean(wide * wide, axis=-1, keepdims=True) + 1e-5) * weight).astype(x.dtype)
"""
RMSNORM = str(CONTRACTS / "ops" / "rmsnorm.yaml")
FALSIFIERS = '''
import os, sys, time
from types import SimpleNamespace
import numpy as np
from harness.observation import Observation

def doubles(subject, case):
    x = case.normal("x", (3, 8))
    return Observation(y=(subject.double(x), 2 * x.astype(np.float64)))

def halves(subject, case):
    x = case.normal("x", (3, 8))
    return Observation(y=(subject.halve(x), x.astype(np.float64) / 2))

def asks_much(subject, case):
    return Observation(y=(subject.triple(np.ones(3)), np.full(3, 3.0)))

def expects_another(subject, case):
    x = case.normal("x", (3, 8))
    return Observation(y=(subject.double(x), 5 * x.astype(np.float64)))

def raises(subject, case):
    raise RuntimeError("no such kernel")

def slowly(subject, case):
    time.sleep(0.7)  # over the candidate and five others: long enough to be interrupted
    return doubles(subject, case)

def on_weights(subject, case, *, weights):
    return doubles(subject, case)

def build():
    print("training: step 1 of 2, loss 5.00", file=sys.stderr, flush=True)
    return os.getcwd()

def triples(baseline):
    """Three for two."""
    return SimpleNamespace(double=lambda x: 3 * x, halve=lambda x: 3 * x)

def as_it_is(baseline):
    """Not wrong at all."""
    return baseline

MUTANTS = {"triples": triples, "as_it_is": as_it_is}
'''
BASE = "def double(x):\n    return x + x\n\ndef halve(x):\n    return x / 2\n"
MINE = "def double(x):\n    return x + x\n\ndef halve(x):\n    return x * 0.4\n"
HEAD = """metadata: {{id: {id}, version: 1.0.0, depends_on: [{after}]}}
falsification_tests:
"""
CLAIM = """- id: {id}
  rule: y is what it is called
  prediction: it is
  falsifier: own.py:{falsifier}
  baseline: base.py
  {given}
  accept:
    rel_l2_err: {{le: {bound}, why: one multiplication}}
  mutants: [{mutant}]
  discharges_on: [{on}]
  budget_s: 1
  if_fails: look at {falsifier}
"""


def claim(id_: str, falsifier: str = "doubles", **changed: str) -> str:
    """One claim's YAML; it is DISCHARGED on a CPU unless something is changed."""
    fields = {"bound": "1.0e-6", "mutant": "triples", "on": "cpu", "given": "examples: 1"}
    return CLAIM.format(id=id_, falsifier=falsifier, **{**fields, **changed})


def contract(id_: str, *claims: str, after: str = "") -> str:
    return HEAD.format(id=id_, after=after) + "".join(claims)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A folder with falsifiers, a baseline and a candidate whose `halve` is wrong."""
    for name, text in {"own.py": FALSIFIERS, "base.py": BASE, "mine.py": MINE}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "harness.toml").write_text('candidate = "mine.py"\n', encoding="utf-8")
    return tmp_path


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--harness-device", "cpu", *args]


def run(folder: Path, *args: str, ini: str = "/dev/null") -> tuple[int, str]:
    """pytest as a user runs it in `folder`; exit code and output."""
    done = subprocess.run(
        command("--rootdir", str(folder), "-c", ini, *args), capture_output=True, text=True, check=False, cwd=folder
    )
    return done.returncode, done.stdout + done.stderr


def outcomes(report: Path) -> dict[str, str]:
    """Claim -> passed, skipped, failure or error, as a JUnit file has it."""
    cases = ElementTree.parse(report).getroot().iter("testcase")
    kinds = ("skipped", "failure", "error")
    return {str(c.get("name")): next((k for k in kinds if c.find(k) is not None), "passed") for c in cases}


def sealed(folder: Path) -> Path:
    """The one run of a folder, which verifies."""
    [found] = (folder / "evidence").iterdir()
    assert verify.check(found) == []
    return found


def verdicts(run_: Path) -> dict[str, str]:
    return {row["id"]: row["verdict"] for row in store.read_json(run_ / "run.json")["claims"]}


def test_partial_is_a_skip_that_says_so_and_never_a_pass(tmp_path: Path) -> None:
    code, said = run(tmp_path, RMSNORM, "-q", "-rs", "-k", "EPS or STATE", "--junitxml", "report.xml")
    assert code == 0, said
    assert "2 skipped, 1 deselected" in said
    assert "passed" not in said
    assert "PARTIAL: survived on cpu; discharges on cuda" in said
    assert outcomes(tmp_path / "report.xml") == {
        "FALSIFY-RMSNORM-EPS-001": "skipped",
        "FALSIFY-RMSNORM-STATE-001": "skipped",
    }
    assert f"harness: 2 PARTIAL; evidence evidence/{sealed(tmp_path).name}\n" in said


VERDICTS = {
    "A-DISCHARGED": ("DISCHARGED", "passed"),
    "A-PARTIAL": ("PARTIAL", "skipped"),
    "A-UNVERIFIED": ("UNVERIFIED", "skipped"),
    "B-FALSIFIED": ("FALSIFIED", "failure"),
    "B-ERROR": ("ERROR", "error"),
    "B-UNSOUND": ("UNSOUND", "error"),
    "B-VACUOUS": ("VACUOUS", "error"),
}


@pytest.mark.parametrize("how", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_every_verdict_has_its_outcome_and_one_run_holds_them_all(lab: Path, how: list[str]) -> None:
    (lab / "a.yaml").write_text(
        contract(
            "alone",
            claim("A-DISCHARGED"),
            claim("A-PARTIAL", on="cuda"),
            claim("A-UNVERIFIED", "asks_much"),
        ),
        encoding="utf-8",
    )
    (lab / "b.yaml").write_text(
        contract(
            "broken",
            claim("B-FALSIFIED", "halves"),
            claim("B-ERROR", "raises"),
            claim("B-UNSOUND", "expects_another"),
            claim("B-VACUOUS", mutant="as_it_is"),
        ),
        encoding="utf-8",
    )
    code, said = run(lab, ".", "-rs", "--junitxml", "report.xml", *how)
    assert code == 1, said
    assert outcomes(lab / "report.xml") == {name: outcome for name, (_, outcome) in VERDICTS.items()}, said
    assert verdicts(sealed(lab)) == {name: verdict for name, (verdict, _) in VERDICTS.items()}
    assert "UNVERIFIED: candidate has no `triple`" in said
    assert ".py:" not in said, "a traceback of ours"
    log = re.search(r"log +(evidence/.*log.txt)", said)
    assert log is not None
    assert "no such kernel" in (lab / log[1]).read_text(encoding="utf-8")
    assert "harness: 1 ERROR, 1 UNSOUND, 1 FALSIFIED, 1 VACUOUS, 1 UNVERIFIED, 1 PARTIAL, 1 DISCHARGED" in said


def test_a_contract_on_top_of_a_red_one_is_blocked_though_its_file_comes_first(lab: Path) -> None:
    (lab / "a.yaml").write_text(contract("above", claim("A-ABOVE"), after="below"), encoding="utf-8")
    (lab / "b.yaml").write_text(contract("below", claim("B-BELOW", "halves")), encoding="utf-8")
    code, said = run(lab, "a.yaml", "b.yaml", "-rs", "--junitxml", "report.xml")
    assert code == 1, said
    assert "BLOCKED: survived, but below is red" in said
    assert outcomes(lab / "report.xml") == {"B-BELOW": "failure", "A-ABOVE": "skipped"}
    assert verdicts(sealed(lab)) == {"A-ABOVE": "BLOCKED", "B-BELOW": "FALSIFIED"}


def test_a_claim_reported_before_the_red_one_below_it_is_blocked_at_sealing(lab: Path) -> None:
    (lab / "a.yaml").write_text(contract("above", claim("A-ABOVE"), after="below"), encoding="utf-8")
    (lab / "b.yaml").write_text(contract("below", claim("B-BELOW", "halves")), encoding="utf-8")
    hook = "@pytest.hookimpl(trylast=True)\ndef pytest_collection_modifyitems(items):\n    items.reverse()\n"
    (lab / "conftest.py").write_text("import pytest\n" + hook, encoding="utf-8")
    code, said = run(lab, ".")
    assert code == 1, said
    assert verdicts(sealed(lab)) == {"A-ABOVE": "BLOCKED", "B-BELOW": "FALSIFIED"}
    assert "harness: A-ABOVE is BLOCKED (reported DISCHARGED): survived, but below is red" in said
    assert "harness: 1 FALSIFIED, 1 BLOCKED; evidence" in said


def test_a_failure_shows_its_counterexample_and_the_way_back_to_it(tmp_path: Path) -> None:
    (tmp_path / "kernels.py").write_text(WRONG, encoding="utf-8")
    code, said = run(tmp_path, RMSNORM, "-q", "-x", "--harness-candidate", "kernels.py")
    assert code == 1, said
    assert "FALSIFIED FALSIFY-RMSNORM-EPS-001" in said
    assert re.search(r"found +out\[", said)
    assert "pytest_plugin.py" not in said, "a traceback of ours"
    again = next(line for line in said.splitlines() if "harness replay" in line).split()[-1]
    replayed = subprocess.run(
        [sys.executable, "-m", "harness", "replay", again], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert replayed.returncode == 1, replayed.stdout + replayed.stderr
    assert "the stored bytes" in replayed.stdout
    assert verdicts(sealed(tmp_path))["FALSIFY-RMSNORM-F64-001"] == "UNVERIFIED"  # -x: it did not run


def test_xdist_stopped_by_the_first_failure_exits_as_run_does(lab: Path) -> None:
    (lab / "a.yaml").write_text(contract("a", claim("A-ONE", "halves"), claim("A-TWO")), encoding="utf-8")
    code, said = run(lab, "a.yaml", "-n", "1", "-x")
    assert code == 1, said
    assert verdicts(sealed(lab))["A-ONE"] == "FALSIFIED"


@pytest.mark.parametrize(
    ("claims", "test", "how", "expected"),
    [
        (claim("A-UNVERIFIED", "asks_much"), "assert True", [], 3),
        (claim("A-UNVERIFIED", "asks_much"), "assert True", ["-n", "1"], 3),
        (claim("A-DISCHARGED"), "assert True", [], 0),
        (claim("A-DISCHARGED"), "assert False", [], 1),
        (claim("A-UNVERIFIED", "asks_much"), "assert False", ["-n", "1"], 1),
    ],
)
def test_beside_ordinary_tests_the_exit_code_is_the_worse_of_both(
    lab: Path, claims: str, test: str, how: list[str], expected: int
) -> None:
    (lab / "a.yaml").write_text(contract("a", claims), encoding="utf-8")
    (lab / "test_ordinary.py").write_text(f"def test_it():\n    {test}\n", encoding="utf-8")
    code, said = run(lab, ".", *how)
    assert code == expected, said


def test_a_claim_that_a_conftest_skips_is_unverified_and_no_success(lab: Path) -> None:
    (lab / "a.yaml").write_text(contract("a", claim("A-ONE")), encoding="utf-8")
    text = "def pytest_collection_modifyitems(items):\n    for i in items: i.add_marker('skip')\n"
    (lab / "conftest.py").write_text(text, encoding="utf-8")
    code, said = run(lab, ".")
    assert code == 3, said
    assert "harness: 1 UNVERIFIED; evidence none" in said


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["--harness-candidate", "nowhere.py"], "nowhere.py"),
        (["--harness-candidate", "nowhere.py", "-n", "2"], "nowhere.py"),
        (["--harness-device", "tpu"], "--device tpu: expected auto, cpu, cuda or cuda:N"),
        (["--harness-seed", "often"], "--harness-seed: found 'often', expected a whole number"),
        (["--harness-weights", "nowhere"], "--weights nowhere: no config.json there"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_exit_2(lab: Path, asked: list[str], words: str) -> None:
    given = "given: {weights: 'own.py:build'}"
    claims = [claim(f"A-{n}", "on_weights", given=given) for n in ("ONE", "TWO", "THREE")]
    (lab / "a.yaml").write_text(contract("a", *claims), encoding="utf-8")
    code, said = run(lab, ".", *asked)
    assert code == 2, said
    assert words in said
    assert "pytest_plugin.py" not in said, "a traceback of ours"
    assert not list(lab.glob("evidence/*"))


TWICE = [contract("a", claim("X")), contract("b", claim("X"))]


@pytest.mark.parametrize(
    ("texts", "words", "how"),
    [
        (["falsification_tests: []\n"], ["0.yaml:1:1: error", "metadata"], []),
        (["falsification_tests: []\n"], ["0.yaml:1:1: error", "metadata"], ["-n", "1"]),
        (["metadata: {id: a}\nfalsification_tests:\n- id: X\n  acept: {}\n"], ["0.yaml:4:3: error", "acept"], []),
        (TWICE, ["1.yaml:3:7: error", "already at 0.yaml:3"], []),
        (TWICE, ["1.yaml:3:7: error", "already at 0.yaml:3"], ["-n", "1"]),
        ([contract("a", claim("X"), after="nobody")], ["0.yaml:1:", "no contract 'nobody'"], []),
    ],
)
def test_a_mistake_in_a_contract_is_an_error_of_collection_with_its_line(
    lab: Path, texts: list[str], words: list[str], how: list[str]
) -> None:
    for i, text in enumerate(texts):
        (lab / f"{i}.yaml").write_text(text, encoding="utf-8")
    code, said = run(lab, ".", "-q", *how)
    assert code == 2, said
    assert "passed" not in said
    assert all(word in said for word in words), said
    assert "Traceback" not in said


def test_a_session_without_contracts_loads_nothing_and_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("a: {falsification_tests: no key of the document}\n", encoding="utf-8")
    (tmp_path / "conftest.py").write_text(
        "def pytest_addoption(parser):\n"
        "    for name in ('--candidate', '--weights', '--device', '--seed', '--evidence'):\n"
        "        parser.addoption(name)\n",
        encoding="utf-8",
    )
    heavy = ("yaml", "numpy", "torch", "rich", "jsonschema_rs", "harness.contract.claim", "harness.run.shared_session")
    loaded = f"assert not set({heavy}) & set(sys.modules) and 'harness.pytest_plugin.session_end' in sys.modules"
    text = f"import sys\ndef test_it():\n    {loaded}\n"
    (tmp_path / "test_own.py").write_text(text, encoding="utf-8")
    code, said = run(tmp_path, ".", "-p", "no:hypothesispytest", "--candidate", "theirs")
    assert code == 0, said
    assert "harness:" not in said
    assert not (tmp_path / "evidence").exists()


def test_yaml_is_looked_at_piece_by_piece(tmp_path: Path) -> None:
    big, late = tmp_path / "big.yaml", tmp_path / "late.yaml"
    big.write_bytes(b"- a: 1\n" * 3_000_000)
    with late.open("wb") as stream:
        stream.write(b"# " + b"x" * ((1 << 20) - 10) + b"\n")  # the key lies across two pieces
        stream.write(b"falsification_tests:\n")
    one_line = tmp_path / "line.yaml"
    one_line.write_bytes(b'a: "' + b"x" * ((1 << 20) - 4) + b'falsification_tests: "\n')
    tracemalloc.start()
    assert not holds_claims(big)
    assert holds_claims(late)
    assert not holds_claims(one_line)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    assert not holds_claims(tmp_path / "gone.yaml")
    assert all(holds_claims(path) for path in CONTRACTS.rglob("*.yaml") if path.name != "ship.yaml")


@pytest.mark.parametrize("how", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_an_interrupted_session_keeps_what_was_finished(lab: Path, how: list[str]) -> None:
    slow = [claim(f"A-{n}", "slowly") for n in ("ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX")]
    (lab / "a.yaml").write_text(contract("a", *slow), encoding="utf-8")
    args = command("--rootdir", str(lab), "-c", "/dev/null", ".", *how)
    with subprocess.Popen(
        args,
        cwd=lab,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell that started these tests in the background has SIGINT ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        wait_for(lambda: list(lab.glob("evidence/*/claims/*/result.json")))
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=180)
    assert process.returncode == 2, said
    assert "; evidence evidence/" in said
    seen = verdicts(sealed(lab))
    assert "DISCHARGED" in seen.values()
    assert "UNVERIFIED" in seen.values()


def test_a_killed_session_can_be_completed(lab: Path) -> None:
    slow = [claim(f"A-{n}", "slowly") for n in ("ONE", "TWO", "THREE")]
    (lab / "a.yaml").write_text(contract("a", *slow), encoding="utf-8")
    args = command("--rootdir", str(lab), "-c", "/dev/null", ".")
    with subprocess.Popen(args, cwd=lab, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: list(lab.glob("evidence/*/claims/*/result.json")))
        process.kill()
    [partial] = lab.glob("evidence/*.partial")
    resumed = [sys.executable, "-m", "harness", "run", "--resume", str(partial)]
    done = subprocess.run(resumed, cwd=lab, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(verdicts(sealed(lab)).values()) == {"DISCHARGED"}


def test_options_in_an_ini_file_are_relative_to_it_and_training_is_seen(lab: Path) -> None:
    (lab / "harness.toml").unlink()
    (lab / "ini").mkdir()
    (lab / "ini" / "better.py").write_text(BASE, encoding="utf-8")
    ini = "[pytest]\nharness_candidate = better.py\nharness_evidence = ../evidence\nharness_seed = 7\n"
    (lab / "ini" / "pytest.ini").write_text(ini, encoding="utf-8")
    given = "given: {weights: 'own.py:build'}"
    text = contract("a", claim("A-ONE", "on_weights", given=given), claim("A-TWO", "halves"))
    (lab / "a.yaml").write_text(text, encoding="utf-8")
    (lab / "config.json").write_text("{}", encoding="utf-8")
    code, said = run(lab, "a.yaml", ini="ini/pytest.ini")
    assert code == 0, said
    body = store.read_json(sealed(lab) / "run.json")
    assert (body["seed"], body["candidate"]["spec"]) == (7, "ini/better.py")
    assert "training: step 1 of 2" in said


def test_code_of_the_claims_does_not_leak_into_other_tests(lab: Path) -> None:
    (lab / "a.yaml").write_text(contract("a", claim("A-ONE")), encoding="utf-8")
    kept = "assert os.environ['OMP_NUM_THREADS'] == '5' and 'CUBLAS_WORKSPACE_CONFIG' not in os.environ"
    text = f"import os\ndef test_it():\n    {kept}\n"
    (lab / "test_z.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        command("--rootdir", str(lab), "-c", "/dev/null", "a.yaml", "test_z.py"),
        cwd=lab,
        # A run in this process, by another test, may have left the claims' own settings behind.
        env={name: v for name, v in os.environ.items() if name != "CUBLAS_WORKSPACE_CONFIG"} | {"OMP_NUM_THREADS": "5"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_this_repository_with_its_own_testpaths(tmp_path: Path) -> None:
    done = subprocess.run(
        command("contracts/ops/softmax.yaml", "--co"), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "contracts/ops/softmax.yaml::FALSIFY-SOFTMAX" in done.stdout


def wait_for(done: object, seconds: float = 180.0) -> None:
    """Until something is there."""
    ends = time.monotonic() + seconds
    while not done():  # type: ignore[operator]
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.05)
