"""The record of a forward, what is read from it, and the two ways to the same logits."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from harness.candidates import torch as candidate
from harness.case import Case
from harness.dtypes import round_mantissa
from harness.falsifiers.baselines.transformers import placed_decoder, traced_decoder
from harness.falsifiers.model import device_trace, devices
from harness.falsifiers.model.device_trace import no_fallback
from harness.falsifiers.model.devices import host_and_device
from harness.falsifiers.model.mutants import device_trace as device_trace_mutants
from harness.falsifiers.model.mutants import devices as devices_mutants
from harness.falsifiers.model.mutants.devices import _ten_bits
from harness.mutant import NotRun, mutants_of
from harness.subject.boundary import Boundary
from harness.subject.trace import Trace
from tests.support.cpu_boundary import boundary
from tests.support.laboratory import judged

MUTANTS = mutants_of(device_trace_mutants)
DEVICE_MUTANTS = mutants_of(devices_mutants)

KILLED_BY = {
    "one_op_relabelled": "ops_elsewhere",
    "all_ops_relabelled": "ops_elsewhere",
    "one_op_in_float64": "ops_in_other_dtype",
    "products_in_float16": "ops_in_other_dtype",
    "tf32_flag_planted": "products_reduced",
    "empty_trace": "products_missing",
    "products_unseen": "products_missing",
    "products_without_a_place": "ops_elsewhere",
    "trace_of_other_weights": "other_forward",
    "head_on_meta": "ops_elsewhere",
    "tf32_allowed": "products_reduced",
    "autocast_left_on": "ops_in_other_dtype",
}


def traced(target: Any, dtype: str = "float32", device: str = "cpu") -> dict[str, float]:
    return no_fallback(boundary(target, dtype), Case(seed=5, dtype=dtype, device=device), length=7).scalars


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_candidate_runs_where_and_as_asked(dtype: str) -> None:
    assert traced(candidate, dtype) == dict.fromkeys(device_trace.MEASURES, 0)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_baseline_runs_where_and_as_asked(dtype: str) -> None:
    assert traced(traced_decoder, dtype) == dict.fromkeys(device_trace.MEASURES, 0)


def test_a_cpu_run_is_no_cuda_run() -> None:
    seen = traced(candidate, device="cuda:0")
    assert seen["ops_elsewhere"] > 100


@pytest.mark.parametrize(("name", "measure"), KILLED_BY.items())
def test_every_mutant_shows_in_its_own_measure(name: str, measure: str) -> None:
    assert traced(MUTANTS[name](traced_decoder))[measure] > 0


def test_a_product_that_says_nothing_of_itself_fails_three_times() -> None:
    seen = traced(MUTANTS["products_without_a_place"](traced_decoder))
    assert seen["products_missing"] == 0
    assert seen["ops_elsewhere"] == seen["ops_in_other_dtype"] == seen["products_reduced"] == 19


def test_mutants_restore_torchs_precision() -> None:
    before = torch.get_float32_matmul_precision()
    traced(MUTANTS["tf32_allowed"](traced_decoder))
    assert torch.get_float32_matmul_precision() == before


@pytest.mark.parametrize("name", sorted(set(MUTANTS) - set(KILLED_BY)))
def test_mutants_that_need_a_device_say_so(name: str) -> None:
    with pytest.raises(NotRun, match="needs a device that is not the CPU, the run is on cpu"):
        traced(MUTANTS[name](traced_decoder))


def test_a_device_asked_for_without_index_is_met_by_any_index() -> None:
    assert device_trace._same("cuda:1", "cuda")
    assert device_trace._same("cuda:0", "cuda:0")
    assert not device_trace._same("cuda:1", "cuda:0")
    assert not device_trace._same("cpu", "cuda")
    assert not device_trace._same("cuda:0", "cpu")


def op(name: str, *shapes: list[int], dtypes: tuple[str, ...] = ("float32",)) -> dict[str, Any]:
    return {"op": name, "shapes": list(shapes), "dtypes": list(dtypes), "devices": ["cpu"], "precision": ["none"]}


def test_products_are_counted_by_what_they_add_up() -> None:
    assert device_trace._products(op("aten.mm.default", [4, 8], [8, 2])) == 1
    assert device_trace._products(op("aten.addmm.default", [2], [4, 8], [8, 2])) == 1
    assert device_trace._products(op("aten.bmm.default", [3, 4, 1], [3, 1, 5])) == 0
    assert device_trace._products(op("aten._scaled_dot_product_flash_attention_for_cpu.default", [1, 2, 3, 4])) == 2
    assert device_trace._products(op("aten.mul.Tensor", [4], [4])) == 0


def test_a_16_bit_run_may_widen_norms_but_no_product() -> None:
    wide = ("bfloat16", "float32", "int64")
    assert device_trace._within(op("aten._to_copy.default", [4], dtypes=wide), "bfloat16")
    assert not device_trace._within(op("aten.mm.default", [4, 4], [4, 4], dtypes=wide), "bfloat16")
    assert not device_trace._within(op("aten.mul.Tensor", [4], dtypes=("float64",)), "float32")
    assert not device_trace._within(op("aten.mul.Tensor", [4], dtypes=("bfloat16",)), "float32")


WIDENED = """
from harness.candidates import torch as right
from harness.candidates.torch.model import decoder
ARRAYS = "torch"
load = right.load
def norm(x, weight, eps):
    return right.rmsnorm(x.double(), weight.double(), eps).to(x.dtype)
def trace(config, weights, tokens, *, dtype, device):
    decoder.Decoder.norm = staticmethod(norm)
    try:
        return right.trace(config, weights, tokens, dtype=dtype, device=device)
    finally:
        decoder.Decoder.norm = staticmethod(right.rmsnorm)
"""


def test_the_trace_claim_survives_on_torch_and_every_mutant_runs_on_the_rehearsal_device(tmp_path: Path) -> None:
    found = judged("FALSIFY-DEVICE-TRACE-001", tmp_path)
    assert found.verdict.value == "PARTIAL", found.reason
    assert {m["name"] for m in found.mutants if m["killed"]} >= {"head_on_cpu", "model_on_cpu", "buffer_left_on_cpu"}
    assert [m["name"] for m in found.mutants if m["status"] != "ran"] == []
    assert "weak" not in found.reason


def test_the_trace_claim_falsifies_a_norm_in_float64(tmp_path: Path) -> None:
    found = judged("FALSIFY-DEVICE-TRACE-001", tmp_path, WIDENED)
    assert found.verdict.value == "FALSIFIED"
    assert any(v["measure"] == "ops_in_other_dtype" for v in found.violated)


PAST_THE_DISPATCHER = """
import torch
from harness.candidates import torch as right
from harness.candidates.torch.model import decoder
ARRAYS = "torch"
load = right.load
plain = decoder.linear
def linear(x, weight, bias=None):
    if weight.shape[0] != 67:
        return plain(x, weight, bias)
    return torch.from_numpy(x.float().cpu().numpy() @ weight.float().cpu().numpy().T).to(x.device, x.dtype)
def trace(config, weights, tokens, *, dtype, device):
    decoder.linear = linear
    try:
        return right.trace(config, weights, tokens, dtype=dtype, device=device)
    finally:
        decoder.linear = plain
"""


def test_the_trace_claim_falsifies_a_head_computed_in_numpy(tmp_path: Path) -> None:
    found = judged("FALSIFY-DEVICE-TRACE-001", tmp_path, PAST_THE_DISPATCHER)
    assert found.verdict.value == "FALSIFIED"
    assert any(v["measure"] == "products_missing" and v["value"] == 1 for v in found.violated)


def test_a_candidate_without_a_trace_is_unverified(tmp_path: Path) -> None:
    found = judged("FALSIFY-DEVICE-TRACE-001", tmp_path, "from harness.candidates.torch import ARRAYS, load\n")
    assert found.verdict.value == "UNVERIFIED"
    assert "has no `trace`" in found.reason


def differences(target: Any, dtype: str) -> dict[str, float]:
    return host_and_device(boundary(target, dtype), Case(seed=5, dtype=dtype), length=9).scalars


def test_channels_backwards_are_the_same_function_and_other_sums() -> None:
    seen = differences(candidate, "float64")
    assert 0 < seen["device_difference"] < 1e-14
    assert 1e-8 < differences(candidate, "float32")["device_difference"] < 5e-6
    assert devices._backwards("x.q_proj.bias", np.arange(3)).tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", DEVICE_MUTANTS)
def test_wrong_on_the_device_shows(name: str) -> None:
    assert differences(DEVICE_MUTANTS[name](placed_decoder), "float32")["worst_row_difference"] > 1e-3


def test_the_host_is_asked_on_the_cpu_and_the_device_as_the_run_says() -> None:
    asked: list[str] = []

    def load(config: Any, weights: Any, *, dtype: str, device: str) -> Any:
        asked.append(device)
        return SimpleNamespace(logits=lambda tokens: np.ones((*tokens.shape, 3), np.float32))

    subject = Boundary(SimpleNamespace(load=load), role="s", dtype="float32", device="cuda:0", trace=Trace())
    host_and_device(subject, Case(seed=5, device="cuda:0"), length=4)
    assert asked == ["cpu", "cuda:0"]


def test_ten_bits_are_tf32s() -> None:
    x = np.random.default_rng(0).standard_normal(500).astype(np.float32)
    np.testing.assert_array_equal(_ten_bits(torch.from_numpy(x)).numpy(), round_mantissa(x, 10).astype(np.float32))


def test_tokens_follow_the_baseline_to_its_device() -> None:
    asked: list[str] = []
    tokens = SimpleNamespace(to=lambda device: asked.append(device) or "fetched")
    decoder = SimpleNamespace(model=SimpleNamespace(device="its own"), logits=lambda tokens: [tokens])
    assert placed_decoder.Placed(decoder).logits(tokens) == ["fetched"]
    assert asked == ["its own"]
