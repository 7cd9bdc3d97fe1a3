"""`harness validate`: its words, its exit code, its speed, and what it never loads."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.commands.main import main
from harness.contract.names.packages import CONTENT
from tests.support.example_contract import CONTRACT, lay
from tests.support.repository import ROOT, environment

HEAVY = (
    *("numpy", "torch", "transformers", "hypothesis", "rich", "jinja2"),
    *("harness.falsifiers", "harness.reference", "harness.candidates"),
)


def test_a_table_of_what_is_bound_and_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(lay(tmp_path))]) == 0
    head, row, blank, summary = capsys.readouterr().out.splitlines()
    assert head.split() == ["claim", "falsifier", "baseline", "mutants"]
    assert row.split()[0] == "FALSIFY-RMSNORM-EPS-001"
    assert row.split()[1].endswith("stub.py:parity")
    assert row.split()[2].endswith("torch_ops.py")
    assert row.split()[3] == "3"
    assert (blank, summary) == ("", "1 contracts, 1 claims: 0 errors, 0 warnings")


def test_an_error_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(lay(tmp_path, CONTRACT.replace("examples: 40", "examples: x")))]) == 2
    out = capsys.readouterr().out
    assert "rmsnorm.yaml:18:13: error: examples: found 'x', expected a whole number of at least 1" in out
    assert out.endswith("1 contracts, 1 claims: 1 errors, 0 warnings\n")


def test_json_is_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(lay(tmp_path)), str(tmp_path / "none.yaml"), "--json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert (report["contracts"], report["claims"], report["errors"], report["warnings"]) == (1, 1, 1, 0)
    assert report["problems"][0]["severity"] == "error"
    assert report["bindings"]["FALSIFY-RMSNORM-EPS-001"]["mutants"]["eps_outside_sqrt"] == "stub.py:eps_outside_sqrt"


def in_a_fresh_python(path: Path) -> dict[str, object]:
    """How `check` reads a path where nothing is loaded yet: seconds, counts, problems, and what of HEAVY it loads."""
    assert all(find_spec(name) for name in HEAVY)  # a name that nothing bears would never be loaded
    code = (
        "import json, sys, time; start = time.perf_counter()\n"
        "from harness.contract.validate import check\n"
        "checked = check([sys.argv[1]])\n"
        "print(json.dumps({'seconds': time.perf_counter() - start, 'files': checked.files,\n"
        "    'claims': len(checked.bindings), 'problems': list(map(str, checked.problems))[:3],\n"
        "    'loaded': sorted(set(sys.argv[2:]) & set(sys.modules))}))\n"
    )
    run_ = subprocess.run(
        [sys.executable, "-c", code, str(path), *HEAVY, *(f"harness.{name}" for name in CONTENT)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=environment(),
    )
    return dict(json.loads(run_.stdout))


def test_two_thousand_contracts_without_numpy_or_torch(tmp_path: Path) -> None:
    lay(tmp_path)
    for i in range(1999):
        text = CONTRACT.replace("rmsnorm-eps-threading", f"c-{i}").replace("EPS-001", f"EPS-{i}X")
        need = f"[c-{i - 1}]" if i else "[]"
        (tmp_path / f"c{i}.yaml").write_text(text.replace("depends_on: []", f"depends_on: {need}"))
    found = in_a_fresh_python(tmp_path)
    print(f"2,000 contracts in {found['seconds']:.2f} s")
    assert (found["files"], found["claims"], found["problems"], found["loaded"]) == (2000, 2000, [], [])


def test_the_shipped_contracts_load_nothing_heavy_either() -> None:
    found = in_a_fresh_python(ROOT / "contracts")
    assert found["loaded"] == []
    assert found["files"]
