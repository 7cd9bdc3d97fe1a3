"""A small repository ships on a CPU: ship.yaml says `platform: cpu`, and its claims on CUDA count in full there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.commands import main
from harness.contract.validate import check
from harness.evidence import manifest, merge, store, verify
from harness.falsifiers.itself.edits import dies, forge, reseal
from harness.falsifiers.itself.shop import DOUBLES, SLOWLY
from tests.support.command import as_json, harness
from tests.support.second_host import laboratory

CRITERIA = """    criteria:
    - {id: X1, title: doubles, weight: 3, effort_hours: 1, claims: [FALSIFY-DOUBLES-001]}
    - {id: X2, title: slowly, weight: 1, effort_hours: 1, claims: [FALSIFY-SLOWLY-001]}
"""
TARGETS = {"anywhere": None, "on-cpu": "cpu", "on-cuda": "cuda"}


def plan(platforms: dict[str, str | None]) -> str:
    """A ship.yaml of targets with the same criteria and these platforms."""
    heads = {name: f"    platform: {where}\n" if where else "" for name, where in platforms.items()}
    return "targets:\n" + "".join(f"  {name}:\n    title: t\n{head}{CRITERIA}" for name, head in heads.items())


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """(folder, sealed run on the CPU, what --json printed): DOUBLES discharges on CUDA alone, SLOWLY on both."""
    folder = laboratory(tmp_path_factory.mktemp("shop"))
    (folder / "contracts" / "ship.yaml").write_text(plan(TARGETS), encoding="utf-8")
    done = harness(folder, "run", "contracts", "--candidate", "good.py", "--device", "cpu", "--json")
    assert done.returncode == 0, done.stderr
    found = as_json(done)
    return folder, folder / found["evidence"], found


@pytest.fixture(autouse=True)
def at_hand(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder with what is to ship: contracts, ship.yaml, harness.toml, the candidate."""
    monkeypatch.chdir(shop[0])


def gate(target: str, *evidence: Path, more: tuple[str, ...] = ()) -> int:
    return main.main(["gate", *map(str, evidence), "--target", target, *more])


def percents(*runs: Path) -> dict[str, float]:
    """ship-% of each target over merged runs."""
    found = merge.merge([(run, store.read_json(run / "run.json")) for run in runs], merge.plan(runs))
    return {target["id"]: target["ship_percent"] for target in found["targets"]}


def test_a_target_for_the_cpu_is_open_after_a_run_on_the_cpu(shop: Any, capsys: pytest.CaptureFixture[str]) -> None:
    _, run, found = shop
    rows = {row["id"]: row for row in found["claims"]}
    assert {name: (row["verdict"], row["cause"]) for name, row in rows.items()} == {
        DOUBLES: ("PARTIAL", "other_platform"),
        SLOWLY: ("DISCHARGED", None),
    }
    assert all(row["survived_on"] == ["cpu"] for row in rows.values())
    assert {each["id"]: (each["platform"], each["ship_percent"]) for each in found["targets"]} == {
        "anywhere": (None, 62.5),
        "on-cpu": ("cpu", 100),
        "on-cuda": ("cuda", 50),
    }
    assert [gate(name, run) for name in TARGETS] == [3, 0, 3]
    said = capsys.readouterr().out
    assert "gate on-cpu: OPEN, 100 % on cpu (2 discharged, 0 partial, 0 red, 0 open)" in said
    assert "gate on-cuda: CLOSED, 50 % on cuda (0 discharged, 2 partial, 0 red, 0 open)" in said
    assert f"X2 PARTIAL: {SLOWLY}: PARTIAL (survived on cpu; the target ships on cuda)" in said
    assert gate("on-cuda", run, more=("--min-ship", "50")) == 0
    capsys.readouterr()
    assert gate("on-cpu", run, more=("--json",)) == 0
    assert json.loads(capsys.readouterr().out)["targets"][0]["platform"] == "cpu"


def test_runs_of_two_hosts_discharge_each_targets_own_platform(shop: Any, tmp_path: Path) -> None:
    _, cpu, _ = shop
    gpu = forge(cpu, tmp_path, "gpu")
    assert verify.check(gpu) == []
    assert percents(gpu) == {"anywhere": 100, "on-cpu": 50, "on-cuda": 100}
    for pair in ([cpu, gpu], [gpu, cpu]):
        assert percents(*pair) == {"anywhere": 100, "on-cpu": 100, "on-cuda": 100}
    part = forge(cpu, tmp_path, "part", keep=lambda claim: claim == DOUBLES)
    assert percents(part, cpu) == {"anywhere": 100, "on-cpu": 100, "on-cuda": 87.5}


def test_red_on_one_platform_is_red_for_every_target(shop: Any, tmp_path: Path) -> None:
    _, cpu, _ = shop
    red = forge(cpu, tmp_path, "red", record=dies)
    assert [gate(name, cpu, red) for name in TARGETS] == [1, 1, 1]


def test_a_stale_survival_discharges_no_platform(shop: Any, tmp_path: Path) -> None:
    _, cpu, _ = shop
    old = forge(cpu, tmp_path, "old", device="cpu", body=lambda b: b.update(began="2026-01-01T00:00:00+00:00"))
    gpu = forge(cpu, tmp_path, "gpu")
    assert gate("on-cpu", old, gpu) == 0
    assert gate("on-cpu", old, gpu, more=("--max-age", "1d")) == 3
    assert gate("on-cuda", old, gpu, more=("--max-age", "1d")) == 0


def test_a_blocked_survival_keeps_its_platform_and_earns_nothing(shop: Any, tmp_path: Path) -> None:
    """BLOCKED is decided again over merged runs, so a row says where the claim survived whatever blocks it."""
    _, cpu, _ = shop
    red = forge(cpu, tmp_path, "red", device="cpu", record=dies)
    (blocked,) = (row for row in store.read_json(red / "run.json")["claims"] if row["id"] == SLOWLY)
    assert (blocked["verdict"], blocked["survived_on"]) == ("BLOCKED", ["cpu"])
    assert percents(red)["on-cpu"] == 0


def test_a_mutant_that_did_not_run_keeps_the_credit_at_half(shop: Any, tmp_path: Path) -> None:
    def idle(claim: str, record: dict[str, Any]) -> None:
        record["mutants"]["triples"] |= {"status": "not_run", "reason": "needs two devices", "rows": [], "scalars": []}

    _, cpu, _ = shop
    run = forge(cpu, tmp_path, "idle", device="cpu", record=idle)
    rows = store.read_json(run / "run.json")["claims"]
    assert [row["survived_on"] for row in rows] == [[], []]
    assert all(row["verdict"] == "PARTIAL" for row in rows)
    assert percents(run)["on-cpu"] == 50


def test_verify_computes_the_credit_of_a_platform_again(shop: Any, tmp_path: Path) -> None:
    _, cpu, _ = shop
    edited = tmp_path / cpu.name
    shutil.copytree(cpu, edited)
    text = (edited / "ship.yaml").read_text(encoding="utf-8").replace("platform: cuda", "platform: cpu")
    (edited / "ship.yaml").write_text(text, encoding="utf-8")
    manifest.write(edited)
    assert verify.check(edited) == [f"{edited / 'run.json'}: targets differ from what the claims give"]
    for key, value in (("survived_on", ["cuda"]), ("survived_on", [])):
        body = store.read_json(cpu / "run.json")
        body["claims"][0][key] = value
        forged = tmp_path / str(len(value)) / cpu.name
        shutil.copytree(cpu, forged)
        reseal(forged, body)
        assert verify.check(forged) == [f"{forged / 'run.json'}: claims differ from what the claims give"]


def test_report_and_explain_name_the_platform(shop: Any, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    folder, cpu, _ = shop
    monkeypatch.chdir(folder)
    assert main.main(["report", str(cpu), "--out", "out"]) == 0
    text = (folder / "out" / "report.md").read_text(encoding="utf-8")
    assert "| on-cpu | 100 % on cpu (2 discharged, 0 partial, 0 red, 0 open) |" in text
    assert "survived on cpu; the target ships on cuda" in text
    page = (folder / "out" / "index.html").read_text(encoding="utf-8")
    assert "100 % on cpu" in page
    capsys.readouterr()
    for word in ("on-cpu", DOUBLES):
        assert main.main(["explain", word, "--contracts", "contracts"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "on-cpu ships on cpu: a survival there counts as DISCHARGED, one elsewhere as PARTIAL." in said, word


@pytest.mark.parametrize("wrong", ["rehearsal", "gpu", "cuda:0", "[cpu]"])
def test_a_platform_that_cannot_be_shipped_on_is_one_line(wrong: str, tmp_path: Path) -> None:
    folder = laboratory(tmp_path)
    (folder / "contracts" / "ship.yaml").write_text(plan({"on-it": wrong}), encoding="utf-8")
    (problem,) = check([folder / "contracts"]).problems
    assert "expected cpu, cuda, mps, xpu or hpu, never rehearsal" in str(problem)
    assert "ship.yaml:4:" in str(problem)
