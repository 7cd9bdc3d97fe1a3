"""`benchmarks/mutate.py` reads what mutmut says, and lets no surviving edit pass without a reason."""

from __future__ import annotations

import mutate
import pytest

NAME = "harness.judging.ship.x_line__mutmut_7"
SAID = f"    {NAME}: survived\n    harness.judging.ship.x_line__mutmut_8: killed\n"
SHOWN = f"# {NAME}: survived\n--- a.py\n+++ a.py\n@@ -1,3 +1,3 @@\n     x = 1\n-    return x\n+    return None\n"
ENTRY = {
    "function": "harness.judging.ship.x_line",
    "was": "return x",
    "now": "return None",
    "why": "nobody reads what it returns",
}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    answers = {"results": SAID, "show": SHOWN, "run": ""}
    monkeypatch.setattr(mutate, "_mutmut", lambda *words, shown=False: answers[words[0]])


@pytest.mark.usefixtures("said")
@pytest.mark.parametrize(
    ("entries", "patterns", "code"),
    [
        ([ENTRY], [], 0),
        ([], [], 1),
        ([{**ENTRY, "now": "return 0"}], [], 1),
        ([], ["*_8"], 0),
        ([ENTRY], ["harness.judging.gate*"], 1),
    ],
)
def test_a_survivor_needs_a_reason(
    monkeypatch: pytest.MonkeyPatch, entries: list[dict[str, str]], patterns: list[str], code: int
) -> None:
    monkeypatch.setattr(mutate.yaml, "safe_load", lambda text: entries)
    monkeypatch.setattr("sys.argv", ["mutate.py", *patterns])
    assert mutate.main() == code


def test_a_reason_of_one_word_is_none() -> None:
    with pytest.raises(ValueError, match="expected a reason"):
        mutate.explained([{**ENTRY, "why": "equivalent"}])


def test_every_reason_on_file_is_one() -> None:
    entries = mutate.yaml.safe_load(mutate.SURVIVORS.read_text(encoding="utf-8"))
    assert len(mutate.explained(entries)) == len(entries)
