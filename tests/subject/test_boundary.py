"""What the boundary must notice, and what it must not touch."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from harness.case import Case
from harness.dtypes import round_to
from harness.subject.boundary import Boundary, Unsupported
from harness.subject.trace import Trace


def bound(target, dtype="float32", **kw):
    trace = Trace()
    return Boundary(target, role="candidate", dtype=dtype, device="cpu", trace=trace, **kw), trace


def subject(**functions):
    return SimpleNamespace(**functions)


X = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_a_missing_function_is_unsupported_by_name():
    found, _ = bound(subject())
    with pytest.raises(Unsupported, match="candidate has no `rope`"):
        found.rope(X)


def test_an_argument_that_is_not_taken_is_unsupported_by_name():
    found, _ = bound(subject(rope=lambda x, theta: x))
    with pytest.raises(Unsupported, match="does not take `scaling`"):
        found.rope(X, 1e4, scaling="yarn")
    with pytest.raises(Unsupported, match="cannot be called with 1 positional"):
        found.rope(X)


def test_dtype_and_device_go_only_to_functions_that_take_them():
    seen = {}
    found, _ = bound(
        subject(a=lambda x, *, dtype, device: (seen.update(dtype=dtype, device=device), x)[1], b=lambda x: x), "float16"
    )
    found.a(X.astype(np.float16))
    found.b(X.astype(np.float16))
    assert seen == {"dtype": "float16", "device": "cpu"}


@pytest.mark.parametrize("arrays", ["numpy", "torch"])
def test_an_edited_input_is_noticed_and_does_not_reach_the_caller(arrays):
    def edit(x):
        x[0, 0] = 99
        return x * 1

    original = X.copy()
    found, trace = bound(subject(op=edit, ARRAYS=arrays))
    found.op(X)
    assert trace.inputs_changed == ["`op` changed argument 1"]
    assert np.array_equal(original, X)


def test_an_edited_weight_in_a_dictionary_is_named():
    def load(config, weights):
        weights["k_proj.bias"] += 1
        return 0

    found, trace = bound(subject(load=load))
    found.load({"eps": 1e-6}, {"k_proj.bias": X})
    assert trace.inputs_changed == ["`load` changed argument 2['k_proj.bias']"]


@pytest.mark.parametrize("arrays", ["numpy", "torch"])
def test_a_reused_buffer_is_noticed(arrays):
    buffer = np.zeros_like(X) if arrays == "numpy" else torch.zeros(2, 3)

    def reuse(x):
        buffer[...] = x * 2
        return buffer

    found, trace = bound(subject(op=reuse, ARRAYS=arrays))
    first = found.op(X)
    found.op(X + 1)
    assert np.array_equal(first, X * 2)
    assert trace.outputs_changed() == ["op"]


def test_fresh_results_are_not_accused():
    found, trace = bound(subject(op=lambda x: x * 2))
    found.op(X)
    found.op(X + 1)
    assert trace.outputs_changed() == []


def test_a_result_of_another_dtype_is_noticed():
    found, trace = bound(subject(op=lambda x: x.astype(np.float64)))
    found.op(X)
    assert trace.dtypes_wrong == ["`op` returned float64, expected float32"]


def test_bfloat16_travels_as_float32_and_is_rounded_on_return():
    found, trace = bound(subject(op=lambda x: x + np.float32(1e-3)), "bfloat16")
    out = found.op(np.ones((2, 2), np.float32))
    assert np.array_equal(out, round_to(out, "bfloat16"))
    assert trace.dtypes_wrong == []


def test_a_torch_candidate_gets_tensors_of_the_runs_dtype():
    seen = []
    found, _ = bound(subject(op=lambda x: (seen.append(x.dtype), x)[1], ARRAYS="torch"), "bfloat16")
    out = found.op(np.ones((2, 2), np.float32))
    assert seen == [torch.bfloat16]
    assert out.dtype == np.float32


def test_objects_keep_the_boundary():
    model = SimpleNamespace(logits=lambda tokens: np.zeros((1, 2), np.float64))
    found, trace = bound(subject(load=lambda config: model))
    found.load({}).logits(np.array([[1]]))
    assert trace.dtypes_wrong


def test_the_cases_arrays_cannot_be_written_to():
    array = Case(seed=1).normal("x", (2, 2))
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1


def test_arrays_depend_on_the_seed_and_name_only_not_on_the_order():
    one, two = Case(seed=3), Case(seed=3)
    a = one.normal("x", (4,)), one.normal("w", (4,))
    b = two.normal("w", (4,)), two.normal("x", (4,))
    assert np.array_equal(a[0], b[1])
    assert not np.array_equal(a[0], a[1])
    assert not np.array_equal(a[0], Case(seed=4).normal("x", (4,)))


def test_stored_arrays_win_whatever_is_asked_for():
    stored = np.array([1.5, 2.5], np.float32)
    assert np.array_equal(Case(seed=3, stored={"x": stored}).normal("x", (2,)), stored)


def test_once_runs_once_per_argument_bytes():
    calls = []

    def work(x):
        calls.append(1)
        return x.sum()

    case = Case()
    assert case.once(work, X) == case.once(work, X.copy())
    case.once(work, X + 1)
    assert len(calls) == 2
