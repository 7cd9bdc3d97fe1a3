"""`harness replay`: a saved counterexample is run again on its stored bytes."""

from harness.evidence import store
from tests.support.command import light


def test_replay_shows_the_same_bytes_and_a_mended_candidate_passes(lab, tmp_path):
    folder, _ = lab
    assert light(folder, "run", "contracts", "--candidate", "bad.py", "--evidence", str(tmp_path)).returncode == 1
    saved = str(store.sealed(tmp_path) / "claims/FALSIFY-DOUBLES-001/counterexample.json")
    again = light(folder, "replay", saved)
    assert again.returncode == 1
    assert "the stored bytes" in again.stdout
    assert "the same bytes as recorded" in again.stdout
    mended = light(folder, "replay", saved, "--candidate", "good.py")
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert "violates  nothing" in mended.stdout
