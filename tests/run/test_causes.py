"""Each cause arises where it is said to, and is carried to result.json, run.json and what --json prints.

Claims that crash or hang cost themselves alone.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.evidence import store, verify
from harness.evidence.release import stale
from harness.evidence.release.at_hand import Named, at_hand
from harness.falsifiers.itself.shop import CANDIDATE
from harness.judging.cause import MEANING, Cause, root_cause_class
from harness.judging.judge import judge
from harness.judging.record import lacking, without_result
from harness.run.campaign import NO_SOURCE
from harness.run.probe import Weights, send_weights
from harness.trial.ending import ended
from tests.judging.test_judge import CLAIM, U32, record, row, subject
from tests.support.command import as_json, harness
from tests.support.doubling import contract

KINDS = ("doubles", "segfaults", "hangs", "eats_memory", "exits", "raises", "speaks", "halves")
MORE = """

def speaks(subject, case, *, rows):
    raise RuntimeError("KV memory bank has 3 rows, not selected by -k")

def halves(subject, case, *, rows):
    x = case.normal("x", (rows, 8))
    return Observation(y=(subject.halve(x), x / 2))
"""
NOTHING_SHIPS = """targets:
  none:
    title: t
    criteria: [{id: X1, title: t, weight: 1, effort_hours: 1, claims: [FALSIFY-DOUBLES-001]}]
"""
INFRASTRUCTURE = "infrastructure masking"
TOLD = {
    "DOUBLES": ("DISCHARGED", None, None),
    "SEGFAULTS": ("ERROR", "process_died", INFRASTRUCTURE),
    "HANGS": ("ERROR", "out_of_time", INFRASTRUCTURE),
    "EATS-MEMORY": ("ERROR", "out_of_memory", INFRASTRUCTURE),
    "EXITS": ("ERROR", "process_died", INFRASTRUCTURE),
    "RAISES": ("ERROR", "raised", None),
    "SPEAKS": ("ERROR", "raised", None),
    "HALVES": ("UNVERIFIED", "capability_missing", None),
    "RESTS": ("BLOCKED", "depends_on_red", None),
    "WAITS": ("PARTIAL", "other_platform", None),
    "NEEDS": ("UNVERIFIED", "dependency_missing", INFRASTRUCTURE),
    "BREAKS": ("ERROR", "could_not_start", None),
    "WORDS": ("UNVERIFIED", "unbound", None),
}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], Path]:
    """A run in which most causes arise: (folder, what --json printed, the sealed run)."""
    folder = tmp_path_factory.mktemp("causes")
    contract(folder / "c", "mixed", list(KINDS))
    contract(folder / "c", "resting", ["rests"], after="mixed")
    contract(folder / "c", "waiting", ["waits"], on="cuda")
    contract(folder / "c", "odd", ["needs", "breaks"])
    for name, falsifier in (("resting", "rests"), ("waiting", "waits")):
        _edit(folder / "c" / f"{name}.yaml", f"own.py:{falsifier}", "own.py:doubles")
    # A machine under load may need more than ten times budget_s before the process has allocated anything.
    path = folder / "c" / "mixed.yaml"
    head, eats, rest = path.read_text(encoding="utf-8").partition("own.py:eats_memory")
    path.write_text(head + eats + rest.replace("budget_s: 1\n", "budget_s: 9\n", 1), encoding="utf-8")
    _edit(folder / "c" / "odd.yaml", "own.py:needs", "needs.py:doubles")
    _edit(folder / "c" / "odd.yaml", "own.py:breaks", "breaks.py:doubles")
    own = (folder / "c" / "own.py").read_text(encoding="utf-8") + MORE
    (folder / "c" / "own.py").write_text(own, encoding="utf-8")
    (folder / "c" / "needs.py").write_text("import no_such_package\n" + own, encoding="utf-8")
    (folder / "c" / "breaks.py").write_text(own + "\nraise ValueError('broken at import')\n", encoding="utf-8")
    words = "- {id: FALSIFY-WORDS-001, rule: r, prediction: p, if_fails: i, unbound: nobody has bound it}\n"
    with (folder / "c" / "odd.yaml").open("a", encoding="utf-8") as file:
        file.write(words)
    (folder / "good.py").write_text(CANDIDATE, encoding="utf-8")
    done = harness(folder, "run", "c", "--candidate", "good.py", "--json", "-j", "3", "--memory-mb", "1000")
    assert done.returncode == 1
    return folder, as_json(done), store.sealed(folder / "evidence")


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def _kind(claim: str) -> str:
    return claim.removeprefix("FALSIFY-").removesuffix("-001")


def test_each_claim_says_its_cause_and_the_class_that_follows(mixed: tuple[Path, dict[str, Any], Path]) -> None:
    _, found, run = mixed
    told = {_kind(r["id"]): (r["verdict"], r["cause"], r["root_cause_class"]) for r in found["claims"]}
    assert told == TOLD
    assert all(r["selected"] for r in found["claims"])
    assert store.read_json(run / "run.json")["claims"] == found["claims"]
    assert verify.check(run) == []


def test_crashes_cost_only_their_own_claim(mixed: tuple[Path, dict[str, Any], Path]) -> None:
    _, found, run = mixed
    reasons = {_kind(r["id"]): r["reason"] for r in found["claims"]}
    for kind, words in {
        "SEGFAULTS": "SIGSEGV",
        "HANGS": "stopped after 10 s, its time limit",
        "EATS-MEMORY": "of memory; the limit is 1000 MiB",
        "EXITS": "exit code 0",
        "RAISES": "RuntimeError: no such kernel in case 0",
    }.items():
        assert words in reasons[kind]
    assert "no such kernel" in (run / "claims/FALSIFY-RAISES-001/log.txt").read_text(encoding="utf-8")


def test_a_result_says_its_own_cause(mixed: tuple[Path, dict[str, Any], Path]) -> None:
    """Of a BLOCKED claim the result has none: that another contract is red is no matter of its own."""
    _, _, run = mixed
    for claim, folder in store.claims(run):
        result = store.read_json(folder / "result.json")
        _, cause, of_class = TOLD[_kind(claim)]
        blocked = cause == "depends_on_red"
        assert (result["cause"], result["root_cause_class"]) == (None if blocked else cause, of_class), claim


def test_words_of_a_reason_do_not_make_a_claim_unselected(mixed: tuple[Path, dict[str, Any], Path]) -> None:
    folder, found, run = mixed
    speaks = next(r for r in found["claims"] if _kind(r["id"]) == "SPEAKS")
    assert "KV memory bank has 3 rows, not selected by -k" in speaks["reason"]
    assert harness(folder, "report", str(run), "--out", "out").returncode == 0
    text = (folder / "out" / "report.md").read_text(encoding="utf-8")
    assert "were left out by" not in text
    assert "FALSIFY-SPEAKS-001" in text


def test_what_k_leaves_out_is_not_selected_and_a_missing_device_is_named(tmp_path: Path) -> None:
    contract(tmp_path / "c", "mixed", ["doubles", "raises"])
    (tmp_path / "good.py").write_text(CANDIDATE, encoding="utf-8")
    absent = f"cuda:{torch.cuda.device_count()}"
    options = ("--candidate", "good.py", "--json", "-k", "doubles", "--device", absent)
    rows = as_json(harness(tmp_path, "run", "c", *options))["claims"]
    assert [(r["selected"], r["cause"], r["root_cause_class"]) for r in rows] == [
        (True, "device_missing", INFRASTRUCTURE),
        (False, "not_selected", None),
    ]


def test_a_claim_whose_turn_never_came_did_not_run() -> None:
    from harness.evidence.summary import outcome

    found = outcome([("A", "c"), ("B", "c")], {}, {"c": []}, {"A"}, {})["claims"]
    assert [(r["selected"], r["cause"]) for r in found] == [(True, "did_not_run"), (False, "not_selected")]


class _Line:
    """The end of a pipe that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send_bytes(self, value: bytes) -> None:
        self.sent.append(value)


@pytest.mark.parametrize(
    ("source", "cause"),
    [("import no_such_package\n", Cause.DEPENDENCY_MISSING), ("def build():\n    1 / 0\n", Cause.WEIGHTS_MISSING)],
)
def test_why_there_are_no_weights(source: str, cause: Cause, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.dup2", lambda *_: None)
    (tmp_path / "weights.py").write_text(source, encoding="utf-8")
    line: Any = _Line()
    send_weights(f"{tmp_path / 'weights.py'}:build", line)
    found = Weights.answered(json.loads(line.sent.pop()))
    assert found.folder is None
    assert found.lack is not None
    assert found.lack.cause is cause


def test_causes_of_the_judge() -> None:
    def cause(rec: Any, **fields: Any) -> Cause | None:
        return judge({**CLAIM, **fields}, rec).cause

    ran = record()
    assert cause(ran) is Cause.OTHER_PLATFORM
    assert cause(record(platform="cuda")) is None
    absent = subject(status="not_run", reason="no tensor cores")
    mutants = {"wrong": subject(row(error=1.0)), "tf32": absent}
    assert cause(record(mutants=mutants, platform="cuda")) is Cause.MUTANT_NOT_RUN
    assert cause(record(baseline=subject(status="crashed", reason="x", cause="raised"))) is Cause.BASELINE_FAILED
    assert cause(without_result("cpu")) is Cause.DID_NOT_RUN
    assert cause(without_result("cpu", candidate=lacking("x", NO_SOURCE.cause))) is Cause.WEIGHTS_NOT_GIVEN
    narrow = {**row(error=U32), "dtype": "float64", "single": True}
    trusted = {**row(), "dtype": "float64"}
    wide = record(candidate=subject(narrow), baseline=subject(trusted))
    wide["cases"][0]["dtype"] = "float64"
    assert cause(wide, accept={"rel_l2_err": {"le": 1e-12, "why": "w"}}) is Cause.FLOAT32_IN_FLOAT64
    for silent in (subject(row(error=1.0)), None):  # FALSIFIED and, with a mutant alive, VACUOUS say it otherwise
        assert cause(record(candidate=silent, mutants={"wrong": subject(row())})) is None


def test_an_allocation_that_fails_is_out_of_memory(capfd: pytest.CaptureFixture[str]) -> None:
    from harness.case import Case

    torchs = type("OutOfMemoryError", (RuntimeError,), {})
    for problem in (MemoryError(), torchs("CUDA out of memory")):
        assert ended(problem, Case(), "candidate").cause is Cause.OUT_OF_MEMORY
    assert ended(RuntimeError("out of memory"), Case(), "candidate").cause is Cause.RAISED


def test_stale_evidence_says_by_what(mixed: tuple[Path, dict[str, Any], Path]) -> None:
    folder, _, run = mixed
    body = store.read_json(run / "run.json")
    now = datetime.now(UTC) + timedelta(hours=2)
    assert stale.by_age(run, body, timedelta(hours=1), now) == []
    assert {r["cause"] for r in body["claims"] if r["verdict"] == "STALE"} == {"too_old"}
    body = json.loads((run / "run.json").read_text(encoding="utf-8"))
    body["code"]["harness"] = "0"
    (folder / "c" / "ship.yaml").write_text(NOTHING_SHIPS, encoding="utf-8")
    hand = at_hand(Named(str(folder / "good.py"), (str(folder / "c"),)))
    assert stale.by_hand(run, body, hand) == []
    held = {r["cause"]: r["reason"] for r in body["claims"] if r["verdict"] == "STALE"}
    assert set(held) == {"changed_since"}
    assert re.fullmatch(r"package harness: SHA-256 0… in .*, SHA-256 [0-9a-f]{12}… at hand: .*", held["changed_since"])


def test_every_cause_has_its_meaning_and_one_that_is_none_is_refused() -> None:
    assert set(MEANING) == set(Cause)
    assert root_cause_class(None) is None
    with pytest.raises(ValueError, match="is not a valid Cause"):
        root_cause_class("bad luck")
