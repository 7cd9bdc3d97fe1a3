"""`--candidate exec:COMMAND`: what the program is handed and what it hands back, as docs/exec.md has it."""

from __future__ import annotations

import inspect
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

from harness.candidates.process import calls
from harness.contract.validate import check
from harness.definitions import defining
from harness.dtypes import round_to
from harness.subject import candidate
from tests.support.cpu_boundary import boundary
from tests.support.exec_program import WRITE, packed, program
from tests.support.repository import ROOT

RECORDER = """
import json, shutil, sys
from pathlib import Path
folder = Path(sys.argv[-1])
shutil.copytree(folder, "seen", dirs_exist_ok=True)
shutil.copy("answer", folder / "outputs.safetensors")
"""


@pytest.fixture(autouse=True)
def _unconfined(monkeypatch: Any) -> None:
    """Programs here leave marks in the working folder, as a program may where the system confines none."""
    monkeypatch.setenv("HARNESS_ISOLATION", "none")


def test_request_is_what_the_document_says_to_the_byte(tmp_path: Path) -> None:
    spec = program(tmp_path, RECORDER)
    x, weight = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(3, np.float32)
    (tmp_path / "answer").write_bytes(
        packed('{"out":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}} ', x.tobytes())
    )
    subject = boundary(candidate.load(spec, tmp_path))
    assert np.array_equal(subject.rmsnorm(x, weight, 1e-6), x)
    page = (ROOT / "docs" / "exec.md").read_text()
    assert (tmp_path / "seen" / "request.json").read_text() in page
    assert sorted(p.name for p in (tmp_path / "seen").iterdir()) == ["inputs.safetensors", "request.json"]
    raw = (tmp_path / "seen" / "inputs.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    assert header == {
        "weight": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]},
        "x": {"dtype": "F32", "shape": [2, 3], "data_offsets": [12, 36]},
    }
    assert raw[8 + size :] == weight.tobytes() + x.tobytes()
    assert b'"x":{"dtype":"F32","shape":[2,3],"data_offsets":[12,36]}' in raw


@pytest.mark.parametrize(
    ("dtype", "kind"), [("float64", "F64"), ("float32", "F32"), ("float16", "F16"), ("bfloat16", "BF16")]
)
def test_values_of_every_dtype_arrive_and_come_back_unchanged(tmp_path: Path, dtype: str, kind: str) -> None:
    spec = program(tmp_path, WRITE + 'write({"out": right}, x)\nPath("kind").write_text(entry["dtype"])\n')
    x = round_to(np.random.default_rng(3).standard_normal((5, 7)), dtype)
    got = boundary(candidate.load(spec, tmp_path), dtype).relu(x)
    assert (tmp_path / "kind").read_text() == kind
    assert got.dtype == x.dtype
    assert np.array_equal(got, x)


def test_a_model_s_request_is_a_checkpoint_folder(tmp_path: Path) -> None:
    (tmp_path / "answer").write_bytes(packed('{"out":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}', b"\7"))
    subject = boundary(candidate.load(program(tmp_path, RECORDER), tmp_path), "bfloat16")
    config, weight = {"model_type": "qwen2", "rms_norm_eps": 1e-6}, round_to(np.linspace(0, 1, 6), "bfloat16")
    assert subject.load(config, {"model.norm.weight": weight}).logits(np.arange(4)[None]).tolist() == [7]
    assert json.loads((tmp_path / "seen" / "config.json").read_text()) == config
    stored = load_file(tmp_path / "seen" / "model.safetensors")["model.norm.weight"]
    assert stored.dtype == ml_dtypes.bfloat16
    assert np.array_equal(stored.astype(np.float32), weight)
    request = json.loads((tmp_path / "seen" / "request.json").read_text())
    assert (request["call"], request["arguments"]) == ("logits", {"tokens": {"tensor": "tokens"}})


def test_gradients_come_back_by_name_in_the_order_of_the_inputs(tmp_path: Path) -> None:
    source = WRITE + "n = len(x)\nwrite({'dweight': {**right, 'data_offsets': [n, 2 * n]}, 'dx': right}, x + bytes(n))"
    x = np.ones((2, 2), np.float32)
    got = boundary(candidate.load(program(tmp_path, source), tmp_path)).linear_backward(x, 3 * x, x)
    assert [g.tolist() for g in got] == [(3 * x).tolist(), (0 * x).tolist()]


def test_the_calls_are_the_ops_of_the_contracts_with_the_reference_s_own_names() -> None:
    claims = [claim for contract in check([ROOT / "contracts"]).contracts for claim in contract.claims]
    forward = {claim.op for claim in claims if claim.falsifier.startswith("harness.falsifiers.ops:")}
    backward = {claim.op for claim in claims if claim.falsifier == "harness.falsifiers.ops.gradients:op_backward"}
    assert set(calls.ops()) == forward | backward
    assert {op for op in calls.ops() if calls.gradients(op)} == backward
    for op in calls.ops():
        (file,) = defining(calls.REFERENCE, f"{op}_forward")
        reference = getattr(import_module(f"harness.reference.ops.{file.stem}"), f"{op}_forward")
        assert calls.arguments(op) == list(inspect.signature(reference).parameters), op
    assert calls.ops()["rmsnorm"] == "x* weight* eps"
    assert calls.ops()["embedding"] == "tokens weight*"
    assert calls.ops()["weighted_bce"] == "logits* labels weights"
    assert calls.arguments("rmsnorm_backward") == ["dout", "x", "weight", "eps"]
    assert [calls.arguments(name) for name in ("top_k_backward", "own_kind", "train")] == [None] * 3
