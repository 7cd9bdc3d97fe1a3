"""`harness verify` finds every byte that changed after sealing, and every verdict that the judge would not give."""

import json
import shutil

from harness.evidence import manifest, store, verify
from tests.support.command import light


def test_flipping_any_byte_makes_verify_name_the_file(lab, tmp_path):
    folder, found = lab
    run = tmp_path / found["run"]
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
    assert light(folder, "run", "contracts", "--candidate", "bad.py", "--evidence", str(tmp_path)).returncode == 1
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
    run = tmp_path / found["run"]
    shutil.copytree(folder / found["evidence"], run)
    text = json.loads((run / "run.json").read_text())
    text["targets"][0]["ship_percent"] = 100.0
    store.write_json(run / "run.json", text)
    manifest.write(run)
    assert any("targets differ" in fault for fault in verify.check(run))
