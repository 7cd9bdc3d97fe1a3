"""A user's mistakes in a pytest session: one line and exit 2, on the command line and in a contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.plugin_project import claim, contract, run


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["--harness-candidate", "nowhere.py"], "nowhere.py"),
        (["--harness-candidate", "nowhere.py", "-n", "2"], "nowhere.py"),
        (["--harness-device", "tpu"], "--device tpu: expected auto, cpu, cuda[:i], mps"),
        (["--harness-seed", "often"], "--harness-seed: found 'often', expected a whole number"),
        (["--harness-weights", "nowhere"], "--weights nowhere: no config.json there"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_exit_2(project: Path, asked: list[str], words: str) -> None:
    given = "given: {weights: 'own.py:build'}"
    claims = [claim(f"A-{n}", "on_weights", given=given) for n in ("ONE", "TWO", "THREE")]
    (project / "a.yaml").write_text(contract("a", *claims), encoding="utf-8")
    code, said = run(project, ".", *asked)
    assert code == 2, said
    assert words in said
    assert "pytest_plugin.py" not in said, "a traceback of ours"
    assert not list(project.glob("evidence/*"))


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
    project: Path, texts: list[str], words: list[str], how: list[str]
) -> None:
    for i, text in enumerate(texts):
        (project / f"{i}.yaml").write_text(text, encoding="utf-8")
    code, said = run(project, ".", "-q", *how)
    assert code == 2, said
    assert "passed" not in said
    assert all(word in said for word in words), said
    assert "Traceback" not in said
