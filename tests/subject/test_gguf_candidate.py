"""`--candidate gguf:FILE`: a right file survives, a wrong one is FALSIFIED by what is wrong, no source no verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.candidates.llama_cpp import open as open_file
from harness.commands.main import main
from harness.errors import UserError
from harness.falsifiers.baselines.gguf.rewrite import rewrite
from harness.formats.gguf_export import export
from harness.models.stdlib_qwen2 import build
from tests.support.repository import CONTRACTS

CONTRACT = str(CONTRACTS / "packaging" / "file.yaml")


def run(path: Path, folder: Path, capsys: Any, *more: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the JSON of a run on a file."""
    options = ["--candidate", f"gguf:{path}", "--evidence", str(folder), "-j", "2", "--device", "cpu", "--json"]
    code = main(["run", CONTRACT, *options, *more])
    told = json.loads(capsys.readouterr().out)
    return code, {claim["id"]: claim for claim in told["claims"]}


@pytest.mark.sample(1)
@pytest.mark.parametrize("kind", ["f32", "q4_0", "f16"])
def test_a_file_that_is_right_survives(kind: str, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "model.gguf"
    export(build(), path, type=kind)
    code, claims = run(path, tmp_path / "evidence", capsys, "--weights", str(build()))
    assert code == 0
    other = claims.pop("FALSIFY-FILE-LOGITS-001" if kind == "f16" else "FALSIFY-FILE-LOGITS-F16-001")
    assert other["verdict"] == "UNVERIFIED"
    assert f"the file is {kind.upper()}" in other["reason"]
    assert len(claims) == 3
    assert {claim["verdict"] for claim in claims.values()} == {"DISCHARGED"}


def test_an_eps_of_another_model_is_falsified_by_key_and_by_logits(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "model.gguf"
    export(build(), path)
    rewrite(str(path), lambda keys, tensors: keys.update({"qwen2.attention.layer_norm_rms_epsilon": 1e-5}))
    code, claims = run(path, tmp_path / "evidence", capsys, "--weights", str(build()))
    assert code == 1
    assert claims["FALSIFY-FILE-INSPECTED-001"]["verdict"] == "DISCHARGED"
    assert claims["FALSIFY-FILE-HEADER-001"]["violated"][0]["measure"] == "keys_wrong"
    assert claims["FALSIFY-FILE-LOGITS-001"]["violated"][0]["measure"] == "median_row"


def test_without_its_checkpoint_a_file_is_inspected_and_no_more(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "model.gguf"
    export(build(), path, type="q8_0")
    code, claims = run(path, tmp_path / "evidence", capsys)
    assert code == 0
    assert claims["FALSIFY-FILE-INSPECTED-001"]["verdict"] == "DISCHARGED"
    for name in ("HEADER", "LOGITS"):
        claim = claims[f"FALSIFY-FILE-{name}-001"]
        assert claim["verdict"] == "UNVERIFIED"
        assert "--weights HF_DIR" in claim["reason"]


def test_what_is_no_gguf_is_one_line(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match="expected"):
        open_file(str(path))
    assert main(["run", CONTRACT, "--candidate", f"gguf:{path}", "--evidence", str(tmp_path / "e")]) == 2
    assert capsys.readouterr().err.strip().count("\n") == 0
    assert main(["run", CONTRACT, "--candidate", "gguf:none.gguf", "--evidence", str(tmp_path / "e")]) == 2
    assert "none.gguf not found" in capsys.readouterr().err
