"""A user's kernel file under the shipped contracts: right ones live, each kind of wrong one dies by name."""

import re

import pytest

from harness.contract.cases import plan
from harness.evidence.counterexample import digest
from harness.evidence.result import files
from harness.judging.verdict import Verdict
from tests.support.laboratory import changed, examine, judged, shipped

EPS = "FALSIFY-RMSNORM-EPS-001"
STATE = "FALSIFY-RMSNORM-STATE-001"

RIGHT = """
import numpy as np
def rmsnorm(x, weight, eps):
    wide = x.astype(np.float64)
    y = wide / np.sqrt((wide * wide).mean(-1, keepdims=True) + {eps}) * weight.astype(np.float64)
    return y.astype(x.dtype)
"""
RIGHT_TORCH = """
import torch
ARRAYS = "torch"
def rmsnorm(x, weight, eps, *, dtype, device):
    assert str(x.device) == device
    assert str(x.dtype) == "torch." + dtype
    y = x.double() * torch.rsqrt(x.double().square().mean(-1, keepdim=True) + eps) * weight.double()
    return y.to(x.dtype)
"""


def kernel(body):
    return f"import numpy as np\nbuffer = {{}}\ndef rmsnorm(x, weight, eps):\n{body}\n"


@pytest.mark.parametrize("claim", [EPS, STATE])
@pytest.mark.parametrize("source", [RIGHT.format(eps="eps"), RIGHT_TORCH], ids=["numpy", "torch"])
def test_a_right_kernel_survives(claim, source, tmp_path):
    found = judged(claim, tmp_path, source)
    assert (found.verdict, found.violated) == (Verdict.PARTIAL, [])


@pytest.mark.parametrize("eps", ["0.0", "1e-5", "eps * 10"], ids=["ignored", "hard-coded", "tenfold"])
def test_a_wrong_eps_is_falsified(eps, tmp_path):
    found = judged(EPS, tmp_path, RIGHT.format(eps=eps))
    assert found.verdict is Verdict.FALSIFIED
    assert {"err_ratio", "worst_ratio"} <= {v["measure"] for v in found.violated}


def test_eps_outside_the_root_is_falsified(tmp_path):
    source = RIGHT.format(eps="0.0").replace("+ 0.0) *", ") + eps) *").replace("/ np.sqrt(", "/ (np.sqrt(")
    assert "np.sqrt((wide * wide).mean(-1, keepdims=True) ) + eps)" in source
    assert judged(EPS, tmp_path, source).verdict is Verdict.FALSIFIED


WRONG = {
    "zeros": ("    return np.zeros_like(x)", "err_ratio"),
    "nan": ("    return x * np.nan", "finite"),
    "input": ("    return x.copy()", "err_ratio"),
    "transposed": ("    return np.ascontiguousarray(x.T)", "shape"),
    "float64": ("    return x.astype(np.float64)", "dtype"),
    "one row short": ("    return x[:-1].copy()", "shape"),
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_each_wrong_kernel_dies_by_a_named_limit(name, tmp_path):
    body, limit = WRONG[name]
    found = judged(EPS, tmp_path, kernel(body))
    assert found.verdict is Verdict.FALSIFIED
    assert limit in {v["measure"] for v in found.violated}


def test_a_kernel_that_edits_its_input_dies_by_that_name(tmp_path):
    body = RIGHT.format(eps="eps").split("eps):\n")[1].replace("    return", "    x[...] = 0\n    return")
    found = judged(EPS, tmp_path, kernel(body))
    assert found.verdict is Verdict.FALSIFIED
    assert [v["measure"] for v in found.violated] == ["inputs_unchanged"]
    assert "changed argument 1" in found.reason


def test_a_kernel_that_reuses_its_output_buffer_dies_by_that_name(tmp_path):
    body = (
        RIGHT.format(eps="eps")
        .split("eps):\n")[1]
        .replace(
            "    return y.astype(x.dtype)",
            "    out = buffer.setdefault((x.shape, str(x.dtype)), np.empty_like(x))\n    out[...] = y\n    return out",
        )
    )
    found = judged(STATE, tmp_path, kernel(body))
    assert found.verdict is Verdict.FALSIFIED
    assert [v["measure"] for v in found.violated] == ["outputs_unchanged"]


def test_a_kernel_cached_without_eps_is_found_by_the_state_claim(tmp_path):
    body = RIGHT.format(eps="buffer.setdefault(x.shape[-1], eps)").split("eps):\n")[1]
    assert judged(STATE, tmp_path, kernel(body)).verdict is Verdict.FALSIFIED


def test_a_candidate_without_the_op_is_unverified_by_name(tmp_path):
    found = judged(EPS, tmp_path, "def layernorm(x): return x\n")
    assert (found.verdict, found.reason) == (Verdict.UNVERIFIED, "candidate has no `rmsnorm`")


def test_a_candidate_without_eps_is_unverified_by_name(tmp_path):
    found = judged(EPS, tmp_path, "def rmsnorm(x, weight): return x\n")
    assert found.verdict is Verdict.UNVERIFIED
    assert "rmsnorm(x, weight)" in found.reason


def test_a_candidate_that_raises_is_an_error_with_the_case(tmp_path):
    found = judged(EPS, tmp_path, kernel("    raise ValueError('no kernel image')"))
    assert found.verdict is Verdict.ERROR
    assert re.search(r"ValueError: no kernel image in case 0 \(.*eps=1e-06", found.reason)


def test_the_counterexample_is_the_smallest_and_replays_to_the_same_bytes(tmp_path):
    (tmp_path / "kernel.py").write_text(RIGHT.format(eps="1e-5"), encoding="utf-8")
    claim, mutants = shipped(EPS)
    runs = [examine(claim, mutants, tmp_path, "kernel.py") for _ in range(2)]
    one, two = (run.follow_up.attempt for run in runs)
    assert runs[0].follow_up.reproducible
    assert one.spec == two.spec
    assert one.spec.params["rows"] == 1
    assert one.spec.params["eps"] == 1e-6
    assert one.arrays.keys() == two.arrays.keys()
    assert all(digest(one.arrays[name]) == digest(two.arrays[name]) for name in one.arrays)
    assert digest(one.pairs["out"][0]) == digest(two.pairs["out"][0])
    assert one.broken
    assert all(finding.row["got"] != finding.row["want"] for finding in one.broken)


def test_a_failure_that_needs_earlier_calls_is_marked_not_reproducible(tmp_path):
    body = RIGHT.format(eps="(buffer.update(n=buffer.get('n', 0) + 1) or (0.1 if buffer['n'] == 5 else eps))")
    (tmp_path / "kernel.py").write_text(kernel(body.split("eps):\n", 1)[1]), encoding="utf-8")
    claim, mutants = shipped(EPS)
    found = examine(changed(claim, examples=8), mutants, tmp_path, "kernel.py")
    assert found.judgement.verdict is Verdict.FALSIFIED
    assert found.follow_up.reproducible is False


def accept(claim_id, **limits):
    claim, _ = shipped(claim_id)
    return {**claim.accept, **limits}


def test_a_limit_loosened_absurdly_is_vacuous_by_name(tmp_path):
    found = judged(EPS, tmp_path, accept=accept(EPS, err_ratio={"le": 1e30, "why": "absurd"}))
    assert (found.verdict, found.reason) == (
        Verdict.VACUOUS,
        "limit err_ratio le 1e+30 killed no mutant, so nothing shows that it can fail",
    )


def test_all_limits_loosened_leave_a_mutant_alive_by_name(tmp_path):
    found = judged(EPS, tmp_path, accept={"err_ratio": {"le": 1e30, "why": "absurd"}})
    assert found.verdict is Verdict.VACUOUS
    assert "survived" in found.reason


def test_a_limit_tightened_absurdly_is_unsound_by_name(tmp_path):
    found = judged(EPS, tmp_path, accept=accept(EPS, err_ratio={"le": 1e-9, "why": "absurd"}))
    assert found.verdict is Verdict.UNSOUND
    assert "err_ratio le 1e-09" in found.reason


def test_a_limit_of_one_dtype_loosened_is_vacuous_by_name(tmp_path):
    loose = {"le": {"float32": 8.0, "float16": 2.0, "bfloat16": 1e30}, "why": "absurd in bfloat16"}
    found = judged(EPS, tmp_path, accept=accept(EPS, err_ratio=loose))
    assert found.verdict is Verdict.VACUOUS
    assert "[bfloat16]" in found.reason


def test_platforms_decide_between_partial_and_discharged(tmp_path):
    assert judged(STATE, tmp_path, discharges_on=["cpu"]).verdict is Verdict.DISCHARGED
    assert judged(STATE, tmp_path, discharges_on=["cuda"]).verdict is Verdict.PARTIAL


NARROW = """
import numpy as np
def rmsnorm(x, weight, eps):
    w = x.astype(np.float32)
    y = w / np.sqrt((w * w).mean(-1, keepdims=True) + np.float32({eps})) * weight.astype(np.float32)
    return y.astype(x.dtype)
"""


def test_a_kernel_without_a_float64_path_is_told_so_and_not_called_wrong(tmp_path):
    found = judged("FALSIFY-RMSNORM-F64-001", tmp_path, NARROW.format(eps="eps"))
    assert found.verdict is Verdict.UNVERIFIED
    assert "computes in float32 where float64 is required" in found.reason
    assert judged(EPS, tmp_path, NARROW.format(eps="eps")).verdict is Verdict.PARTIAL


MIXED = """
import numpy as np
def rmsnorm(x, weight, eps):
    w = x.astype(np.float32)
    return (w / np.sqrt(np.mean(w * w, axis=-1, keepdims=True) + {eps}) * weight).astype({dtype})
"""


def test_one_input_taken_in_float32_is_named_and_the_kernel_not_called_wrong(tmp_path):
    """The weight's digits show in the result, so not every value is a float32; the input's do not."""
    found = judged("FALSIFY-RMSNORM-F64-001", tmp_path, MIXED.format(eps="eps", dtype="x.dtype"))
    assert (found.verdict, found.reason) == (
        Verdict.UNVERIFIED,
        "candidate computes in float32 where float64 is required: it rounds `x0` first",
    )


def test_a_result_in_float32_is_no_answer_to_float64_and_no_fault(tmp_path):
    found = judged("FALSIFY-RMSNORM-F64-001", tmp_path, MIXED.format(eps="eps", dtype="np.float32"))
    assert found.verdict is Verdict.UNVERIFIED
    assert judged(EPS, tmp_path, MIXED.format(eps="eps", dtype="np.float64")).verdict is Verdict.FALSIFIED


@pytest.mark.parametrize(
    "step", ["np.float32(1) * np.mean(x * x, axis=-1, keepdims=True).astype(np.float32)", "np.float64(np.mean(x * x))"]
)
def test_a_float64_kernel_that_is_off_somewhere_inside_is_wrong(step, tmp_path):
    """It sees every digit of its inputs; what it does with them is its own fault."""
    source = kernel(f"    return (x / np.sqrt({step} + eps) * weight).astype(x.dtype)")
    assert judged("FALSIFY-RMSNORM-F64-001", tmp_path, source).verdict is Verdict.FALSIFIED


def test_a_wrong_kernel_does_not_hide_behind_float32(tmp_path):
    for source in (NARROW.format(eps="1e-5"), MIXED.format(eps="1e-5", dtype="x.dtype")):
        assert judged("FALSIFY-RMSNORM-F64-001", tmp_path, source).verdict is Verdict.FALSIFIED
    assert judged("FALSIFY-RMSNORM-F64-001", tmp_path, kernel("    return x * 0")).verdict is Verdict.FALSIFIED


def test_a_failure_whose_case_then_raises_stays_falsified(tmp_path):
    """Wrong on every case, and from then on it raises: the violation was seen, and is not turned into an ERROR."""
    claim, mutants = shipped(EPS)
    cases = len(plan(changed(claim, examples=1), 0))
    body = f"""    buffer["n"] = buffer.get("n", 0) + 1
    if buffer["n"] > {cases}:
        raise RuntimeError("out of handles")
    return x * 0"""
    (tmp_path / "kernel.py").write_text(kernel(body), encoding="utf-8")
    found = examine(changed(claim, examples=1), mutants, tmp_path, "kernel.py")
    assert found.judgement.verdict is Verdict.FALSIFIED
    assert found.follow_up is None
    result, kept = files(claim, found, device="cpu", seconds=0.0)
    for name, data in kept.items():
        (tmp_path / name).write_bytes(data)
    assert result["verdict"] == "FALSIFIED"
    assert "could not be run again" in (tmp_path / "README.md").read_text()
