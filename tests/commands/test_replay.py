"""`harness replay`: a saved counterexample is run again on its stored bytes."""

import json
import shutil

import pytest

from harness.evidence import store
from harness.falsifiers.itself.shop import DOUBLES
from tests.support.command import light


def test_replay_shows_the_same_bytes_and_a_mended_candidate_passes(lab, tmp_path):
    folder, _ = lab
    assert light(folder, "run", "contracts", "--candidate", "bad.py", "--evidence", str(tmp_path)).returncode == 1
    saved = str(store.sealed(tmp_path) / "claims/FALSIFY-DOUBLES-001/counterexample.json")
    unnamed = light(folder, "replay", saved)
    assert unnamed.returncode == 2
    assert "evidence starts no code by itself, so name what to run: --candidate bad.py" in unnamed.stderr
    again = light(folder, "replay", saved, "--candidate", "bad.py")
    assert again.returncode == 1
    assert "the stored bytes" in again.stdout
    assert "the same bytes as recorded" in again.stdout
    mended = light(folder, "replay", saved, "--candidate", "good.py")
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert "violates  nothing" in mended.stdout
    assert "candidate another source than the recorded one" in mended.stdout
    assert "another source" not in again.stdout


@pytest.fixture(scope="module")
def red(lab, tmp_path_factory):
    """A sealed run whose claim is FALSIFIED."""
    root = tmp_path_factory.mktemp("red")
    light(lab[0], "run", "contracts", "--candidate", "bad.py", "--evidence", str(root))
    return store.sealed(root)


PLANTED = "from pathlib import Path\nPath('{}').write_text('x')\ndef double(x):\n    return x * 2.001\n"


def test_code_that_evidence_names_is_never_run(lab, tmp_path):
    """A counterexample that says where its candidate, its contract and its weights are is data and nothing more."""
    folder, _ = lab
    home = tmp_path / "home"
    shutil.copytree(folder / "contracts", home / "contracts")
    (home / "bad.py").write_text((folder / "bad.py").read_text())
    light(home, "run", "contracts", "--candidate", "bad.py", "--evidence", str(tmp_path / "e"))
    claim = store.sealed(tmp_path / "e") / "claims" / DOUBLES
    for name in ("evil.py", "own.py", "base.py"):
        (claim / name).write_text(PLANTED.format(tmp_path / "was_run"))
    about = json.loads((claim / "counterexample.json").read_text())
    about |= {"candidate": "evil.py", "candidate_folder": str(claim), "contract_path": str(claim / "claim.yaml")}
    (claim / "counterexample.json").write_text(json.dumps(about))
    assert light(home, "replay", str(claim / "counterexample.json")).returncode == 2
    done = light(home, "replay", str(claim / "counterexample.json"), "--candidate", "bad.py")
    assert done.returncode == 1, done.stderr
    assert not (tmp_path / "was_run").exists()


def test_a_claim_that_is_not_the_recorded_one_is_refused(lab, red, tmp_path):
    folder, _ = lab
    saved = str(red / "claims" / DOUBLES / "counterexample.json")
    other = tmp_path / "other"
    shutil.copytree(folder / "contracts", other)
    text = (other / "doubling.yaml").read_text()
    (other / "doubling.yaml").write_text(text.replace("budget_s: 1", "budget_s: 2"))
    refused = light(folder, "replay", saved, "--candidate", "bad.py", "--contracts", str(other))
    assert refused.returncode == 2
    assert f"{DOUBLES} is not the claim that was recorded" in refused.stderr
    lost = light(folder, "replay", saved, "--candidate", "bad.py", "--contracts", "builtin:ops/softmax.yaml")
    assert f"{DOUBLES}: found in none of builtin:ops/softmax.yaml" in lost.stderr


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("counterexample.json", "{}", "found no 'claim'"),
        ("counterexample.json", "[]", "expected"),
        ("counterexample.json", "", "damaged counterexample"),
        ("counterexample.safetensors", "", "damaged counterexample"),
        ("claim.yaml", "x", "not the entry of a claim"),
        ("claim.yaml", None, "not the entry of a claim"),
        ("result.json", "{}", "found no 'id'"),
        ("result.json", None, "not found"),
    ],
)
def test_what_is_damaged_is_one_line(lab, red, tmp_path, file, text, told):
    folder, _ = lab
    claim = shutil.copytree(red / "claims" / DOUBLES, tmp_path / DOUBLES)
    (claim / file).unlink() if text is None else (claim / file).write_text(text)
    done = light(folder, "replay", str(claim), "--candidate", "bad.py")
    assert done.returncode == 2, done.stdout
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
