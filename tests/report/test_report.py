"""`harness report`: the files it writes, from what, and what it must refuse; the numbers are those of run.json."""

import gzip
import json
import re
import shutil
from base64 import b64decode

import pytest

from harness.evidence import store
from harness.report.payload import exact
from tests.support.command import harness
from tests.support.repository import ROOT


def unpacked(page, name):
    text = re.search(rf'<script type="text/plain" id="{name}">([^<]*)</script>', page).group(1)
    return json.loads(gzip.decompress(b64decode(text)))


def test_the_laboratory_has_every_verdict_that_the_page_must_tell(runs):
    _, before, after = runs
    counts = [store.read_json(run / "run.json")["counts"] for run in (before, after)]
    assert counts[0] == {
        "ERROR": 1,
        "UNSOUND": 1,
        "VACUOUS": 1,
        "BLOCKED": 1,
        "UNVERIFIED": 1,
        "PARTIAL": 1,
        "DISCHARGED": 1,
    }
    assert counts[1] == {"ERROR": 1, "UNSOUND": 1, "FALSIFIED": 4, "UNVERIFIED": 1}


def test_one_file_and_a_markdown_page_and_the_run_stays_sealed(runs, written):
    folder, before, after = runs
    assert sorted(path.name for path in written.iterdir()) == ["harness.sarif", "index.html", "junit.xml", "report.md"]
    assert harness(folder, "verify", str(before), str(after)).returncode == 0


def test_every_number_in_the_data_is_that_of_run_json(runs, written):
    _, _, after = runs
    body = store.read_json(after / "run.json")
    index = unpacked((written / "index.html").read_text(), "index")
    assert {c["id"] for c in index["claims"]} == {row["id"] for row in body["claims"]}
    for row in body["claims"]:
        line = next(c for c in index["claims"] if c["id"] == row["id"])
        assert {key: line[key] for key in ("verdict", "reason", "measurements", "seconds")} == {
            key: row[key] for key in ("verdict", "reason", "measurements", "seconds")
        }
        assert line["killed"] == sum(m["killed"] for m in row["mutants"])


def test_a_seed_that_a_browser_would_round_travels_as_text():
    assert exact({"seed": 2**53 + 1, "n": [2**53, -(2**60)], "f": 1e300}) == {
        "seed": "9007199254740993",
        "n": [2**53, str(-(2**60))],
        "f": 1e300,
    }


def test_edited_and_unsealed_evidence_is_refused(runs, tmp_path):
    folder, before, _ = runs
    edited = tmp_path / before.name
    shutil.copytree(before, edited)
    path = edited / "claims/FALSIFY-DRIFTS-001/result.json"
    path.write_text(path.read_text().replace('"PARTIAL"', '"DISCHARGED"', 1))
    done = harness(folder, "report", str(edited), "--out", str(tmp_path / "out"))
    assert (done.returncode, (tmp_path / "out").exists()) == (1, False)
    assert "changed after sealing" in done.stderr
    assert done.stderr.count("\n") == 1
    (edited / "manifest.json").unlink()
    assert harness(folder, "report", str(edited), "--out", str(tmp_path / "out")).returncode == 2


@pytest.mark.parametrize("inside", ["{run}/r", "{run}", "half.partial/r", "afile"])
def test_a_report_is_never_written_into_a_run_or_over_a_file(runs, inside):
    folder, before, _ = runs
    (folder / "half.partial").mkdir(exist_ok=True)
    (folder / "afile").touch()
    done = harness(folder, "report", str(before), "--out", inside.format(run=before))
    assert done.returncode == 2
    assert "give a folder" in done.stderr
    assert harness(folder, "verify", str(before)).returncode == 0


def test_without_the_extra_the_markdown_page_is_still_written(runs, tmp_path):
    folder, before, _ = runs
    (tmp_path / "vl_convert.py").write_text("raise ModuleNotFoundError(\"No module\", name='vl_convert')\n")
    done = harness(folder, "report", str(before), "--out", str(tmp_path / "out"), PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert done.returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["harness.sarif", "junit.xml", "report.md"]
    assert "vl_convert is not installed, so index.html is not written; pip install 'harness[report]'" in done.stderr
