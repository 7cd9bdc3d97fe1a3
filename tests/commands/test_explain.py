"""`harness explain`: every claim, verdict and measurement has its words, from sources alone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.commands.main import main
from harness.contract.limits import OPERATORS
from harness.contract.names.modules import Modules
from harness.contract.validate import check
from harness.judging.cause import MEANING, Cause
from harness.judging.findings import IMPLICIT
from harness.judging.verdict import Verdict
from harness.report import word_pages
from harness.trial.experiment import FREE
from harness.words import explanation, glossary
from tests.support.command import harness
from tests.support.laboratory import shipped
from tests.support.repository import CONTRACTS

RMSNORM = "FALSIFY-RMSNORM-EPS-001"
CLAIM = "FALSIFY-MY-RMSNORM-EPS-001"


def said(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """What the command prints, in one line: wrapping is another test's matter."""
    assert main(["explain", *args]) == 0
    return " ".join(capsys.readouterr().out.split())


def refused(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(["explain", *args]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_the_glossary_has_a_word_for_all_that_the_engine_knows() -> None:
    assert set(glossary.VERDICTS) == {verdict.value for verdict in Verdict}
    assert set(glossary.OPERATORS) == set(OPERATORS)
    assert set(glossary.IMPLICIT) == set(IMPLICIT)
    assert set(glossary.FREE) == {*FREE, "lower_precision"}


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_its_words(cause: Cause, capsys: pytest.CaptureFixture[str]) -> None:
    assert MEANING[cause] in " ".join(said(capsys, cause.value).split())


def test_every_shipped_claim_mutant_and_measurement_is_told() -> None:
    checked, modules = check([CONTRACTS]), Modules()
    claims = [claim for contract in checked.contracts for claim in contract.claims]
    assert claims
    silent = []
    for claim in claims:
        binding = checked.bindings[claim.id]
        pages = (explanation.attacked, explanation.known_wrong, explanation.limited)
        text = " ".join(line for page in pages for _, line in page(claim, binding, modules))
        gaps = ("its source", "no docstring", "of the falsifier's own")
        silent += [(claim.id, gap) for gap in gaps if gap in text]
    assert not silent


def test_a_claim_is_told_from_rule_to_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = said(capsys, RMSNORM.lower(), "--evidence", str(tmp_path / "none"))
    claim, _ = shipped(RMSNORM)
    for part in (
        claim.rule,
        claim.prediction,
        "One call of `op` equals the reference",
        "std: one of 0.02, 0.04, 1, 300",
        "48 cases",
        "25 corners",
        "eps_hardcoded_1e-5: The kernel is built without the model's eps",
        "paiml/aprender#1606",
        "err_ratio: at most 8 in float32, 2 in float16, 2 in bfloat16.",
        f"Why: {claim.accept['err_ratio']['why']}",
        "max_abs_err: at most 0.0001, where dtype is float32.",
        "A survival on cuda is DISCHARGED; anywhere else it is PARTIAL",
        "Criterion D1 of decoder-forward",
        claim.if_fails,
        f"$ harness run builtin:ops/rmsnorm.yaml -k {RMSNORM}",
        f"None in {tmp_path / 'none'}/.",
    ):
        assert part in text, part


def test_a_limit_on_another_measurement_tells_both(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "FALSIFY-VAL-LOSS-001")
    assert "val_loss: below ln_vocab and above 0.5." in text
    assert "It is mean cross-entropy on held-out text" in text
    assert "ln_vocab is natural logarithm" in text


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_verdict_in_any_case_tells_exit_code_and_credit(verdict: Verdict, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, verdict.value.title())
    code = "gives 1" if verdict.red else "gives 0" if verdict.survived else "gives 3"
    assert code in text
    assert f"Credit: {verdict.credit:g} of" in text


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("worst_ratio", "the worst single case"),
        ("ULP", "units in the last place"),
        ("le", "at most 2"),
        ("ln_vocab", "natural logarithm of the vocabulary"),
        ("inputs_unchanged", "does not change the arrays"),
        ("zeros", "an output of zeros"),
        ("rmsnorm", RMSNORM),
        ("D5", "FALSIFY-KV-SPLIT-001: no evidence"),
        ("decoder-forward", "D8: The device that computed"),
        ("rmsnorm-eps-threading", "y = x / sqrt(mean(x^2) + eps) * w"),
        ("eps_outside_sqrt", "allenai/OLMo#281"),
    ],
)
def test_other_words_have_pages_too(
    word: str, part: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert part in said(capsys, word)


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("FALSIFY-RMSNROM-EPS-001", f"did you mean '{RMSNORM}'?"),
        ("partail", "did you mean 'PARTIAL'?"),
        ("erratio", "did you mean 'err_ratio'?"),
        ("qqqq", "expected a claim, a verdict"),
        ("NORM-EPS", "with 'NORM-EPS' in it"),
    ],
)
def test_an_unknown_word_is_one_line_with_the_nearest(word: str, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert part in refused(capsys, word)


def test_ones_own_contracts_and_the_newest_evidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["init", str(tmp_path)])
    assert harness(tmp_path, "run", ".", "--device", "cpu").returncode == 1
    capsys.readouterr()
    asked = ["--contracts", str(tmp_path), "--evidence", str(tmp_path / "evidence")]
    text = said(capsys, CLAIM, *asked)
    assert "FALSIFIED in " in text
    assert re.search(r"broken: err_ratio le 2, err_ratio = \d\S* in float32", text)
    assert "(limit: at most 2)" in text
    assert "mutants killed: 7 of 7" in text
    assert "$ harness replay " in text
    assert f"$ harness run {tmp_path} -k {CLAIM}" in text
    assert "eps is always 1e-5, whatever the model's config has (ggml-org/llama.cpp#2373)" in text
    assert "STALE" not in text.partition("Newest evidence")[2]
    contract = tmp_path / "contract.yaml"
    contract.write_text(contract.read_text(encoding="utf-8").replace("le: 4.0", "le: 5.0"), encoding="utf-8")
    assert "the claim has changed: STALE" in said(capsys, CLAIM, *asked)
    contract.write_text(contract.read_text(encoding="utf-8").replace("accept:", "acept:"), encoding="utf-8")
    assert "unknown key 'acept'" in refused(capsys, CLAIM, *asked)
    assert "no such file or folder" in refused(capsys, CLAIM, "--contracts", str(tmp_path / "nowhere"))


def test_eighty_columns_hold_everything_but_a_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for word in (RMSNORM, "FALSIFY-VAL-LOSS-001", "partial", "decoder-forward"):
        assert main(["explain", word]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert not [line for line in lines if len(line) > 80 and not line.lstrip().startswith("$ ")]
        assert max(map(len, lines)) > 60


def test_nothing_heavy_is_loaded() -> None:
    code = (
        "import sys; from harness.commands.main import main; main(['explain', 'FALSIFY-RMSNORM-EPS-001']); "
        "print(sorted({'numpy', 'torch', 'hypothesis', 'harness.falsifiers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_names_are_what_completion_offers() -> None:
    known = word_pages.names("builtin:")
    assert {RMSNORM, "PARTIAL", "err_ratio", "D5", "decoder-forward", "rmsnorm-eps-threading"} <= set(known)
    assert len(known) == len(set(known))
