"""ci/gpu_table.py: rows from a sealed run, from an unfinished one and from a command; what is worst; the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gpu_table

MUTANTS = [
    {"name": "eps_x10", "status": "ran", "killed": True},
    {"name": "tf32", "status": "not_run", "killed": False},
    {"name": "survivor", "status": "ran", "killed": False},
    {"name": "no_bias", "status": "inapplicable", "killed": False},
]


def claim(name: str, verdict: str, measurements: dict[str, Any], selected: bool = True) -> dict[str, Any]:
    """One row of run.json, as far as the table reads it."""
    found = {"id": f"FALSIFY-{name}-001", "verdict": verdict, "measurements": measurements, "selected": selected}
    return {**found, "mutants": MUTANTS if name == "A" else [], "reason": f"why {name}", "seconds": 1.0}


CLAIMS = [
    claim("A", "DISCHARGED", {"err_ratio": {"float32": 1.2, "bfloat16": 0.5}, "rel_l2_err": {"float64": 1e-15}}),
    claim("B", "FALSIFIED", {"err_ratio": {"float32": 7.0}, "decode_of_bandwidth": {"float32": 0.3}}),
    claim("C", "DISCHARGED", {"err_ratio": {"float32": "nan"}, "decode_of_bandwidth": {"float32": 0.1}}),
    claim("D", "UNVERIFIED", {}, selected=False),
]


def put(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def sealed(folder: Path, claims: list[dict[str, Any]], name: str = "20260101T000000Z-aaaaaa") -> Path:
    """A run as `harness run` leaves it, as far as the table reads it."""
    put(folder / name / "run.json", {"claims": claims, "device": "cuda:0", "host": {"device": {"name": "H100"}}})
    put(folder / name / "manifest.json", {})
    return folder / name


def test_a_sealed_run_gives_the_selected_claims(tmp_path: Path) -> None:
    sealed(tmp_path, CLAIMS)
    put(tmp_path / "attempts.json", [{"code": None, "state": "cut", "seconds": 2, "line": ""}] * 2)
    row = gpu_table.row("D", "decoder", tmp_path)
    assert (row["state"], row["claims"], row["seconds"]) == ("sealed", 3, 4)
    assert row["verdicts"] == {"DISCHARGED": 2, "FALSIFIED": 1}
    assert row["alive"] == ["FALSIFY-A-001: survivor"]
    assert row["not_run"] == ["FALSIFY-A-001: tf32"]
    assert row["red"] == {"FALSIFY-B-001": "why B"}
    assert (row["device"], row["facts"]) == ("cuda:0", {"name": "H100"})


def test_the_worst_ratio_is_the_largest_the_worst_share_the_smallest_and_nan_is_worst_of_all() -> None:
    found = gpu_table.ratios(CLAIMS)
    assert found["err_ratio"]["float32"] == {"value": "nan", "claim": "FALSIFY-C-001"}
    assert found["err_ratio"]["bfloat16"]["claim"] == "FALSIFY-A-001"
    assert found["decode_of_bandwidth"]["float32"] == {"value": 0.1, "claim": "FALSIFY-C-001"}
    assert "rel_l2_err" not in found
    assert gpu_table.ratios(CLAIMS[:2])["err_ratio"]["float32"]["value"] == 7.0


def test_an_unfinished_run_gives_the_claims_that_ended(tmp_path: Path) -> None:
    run = tmp_path / "20260101T000000Z-bbbbbb.partial"
    put(run / "run.json", {"status": "running", "device": "cuda:0"})
    put(run / "claims" / "FALSIFY-A-001" / "result.json", CLAIMS[0])
    (run / "claims" / "FALSIFY-B-001").mkdir()
    (run / "claims" / "FALSIFY-B-001" / "result.json").write_text("{half")
    put(tmp_path / "attempts.json", [{"code": None, "state": "cut", "seconds": 60, "line": ""}])
    row = gpu_table.row("D", "decoder", tmp_path)
    assert (row["state"], row["claims"], row["verdicts"]) == ("cut", 1, {"DISCHARGED": 1})
    sealed(tmp_path, CLAIMS[:2])
    assert gpu_table.row("D", "decoder", tmp_path)["state"] == "sealed"


def test_nothing_yet_and_a_command_that_ended(tmp_path: Path) -> None:
    assert gpu_table.row("D", "decoder", tmp_path / "none")["state"] == "not begun"
    put(tmp_path / "attempts.json", [{"code": 1, "state": "failed", "seconds": 3, "line": "1 alarms"}])
    row = gpu_table.row("false_alarms", "alarms", tmp_path)
    assert (row["state"], row["line"], row["claims"]) == ("failed", "1 alarms", 0)


def test_the_page_has_a_line_per_part_and_names_what_is_red(tmp_path: Path) -> None:
    sealed(tmp_path / "D", CLAIMS)
    rows = [gpu_table.row(name, "x", tmp_path / name) for name in ("D", "ops")]
    page = gpu_table.write(tmp_path, rows, {"device": "H100"})
    assert page == (tmp_path / "summary.md").read_text()
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 2
    assert {line.count(" |") for line in table[:1] + table[2:]} == {9}
    assert table[1].count("|") == 10
    assert "err_ratio 0.5 (bfloat16, A-001)" in page
    assert "- D: FALSIFY-B-001: why B" in page
    assert json.loads((tmp_path / "summary.json").read_text())["parts"][0]["claims"] == 3
