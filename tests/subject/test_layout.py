"""Memory layouts: the same numbers with other strides, seen by the subject of a claim."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from harness.case import Case
from harness.contract.domain import LAYOUTS
from harness.subject.boundary import Boundary
from harness.subject.layout import laid_out
from harness.subject.trace import Trace

STRIDES = {
    "contiguous": (12, 4, 1),
    "strided": (24, 8, 2),
    "transposed": (12, 1, 3),
    "offset": (15, 5, 1),
    "expanded": (0, 4, 1),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["float32", "int64"])
def test_the_numbers_stay_and_the_strides_differ(layout, kind):
    array = np.arange(24).reshape(2, 3, 4).astype(kind)
    if layout == "expanded":
        array[1] = array[0]
    ours, theirs = laid_out(array.copy(), layout), laid_out(torch.from_numpy(array.copy()), layout)
    assert np.array_equal(ours, array)
    assert np.array_equal(theirs.numpy(), array)
    assert ours.dtype == array.dtype
    assert tuple(each // array.itemsize for each in ours.strides) == theirs.stride() == STRIDES[layout]


def test_between_the_elements_stands_nan_or_a_wrong_id():
    strided = laid_out(np.arange(3.0), "strided")
    assert np.isnan(strided.base[1::2]).all()
    assert (laid_out(np.arange(3), "strided").base[1::2] == 2).all()
    assert np.isnan(laid_out(np.ones((2, 3)), "offset").base[:, 0]).all()


@pytest.mark.parametrize("shape", [(), (1,), (0, 4), (1, 1)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_of_one_number_or_none_stay(shape, layout):
    assert laid_out(np.ones(shape), layout).shape == shape
    assert tuple(laid_out(torch.ones(shape), layout).shape) == shape


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_subject_that_reads_memory_as_it_lies_gets_other_numbers(layout):
    """vllm-project/vllm#3324: silu_and_mul took any tensor for a contiguous one."""

    def as_it_lies(x):
        memory = x.as_strided((x.untyped_storage().nbytes() // 4 - x.storage_offset(),), (1,), x.storage_offset())
        return torch.cat([memory, torch.zeros(6)])[:6].reshape(2, 3)

    x = Case(layout=layout).array("x", np.arange(1, 7, dtype=np.float32).reshape(2, 3))
    target = SimpleNamespace(ARRAYS="torch", copy=as_it_lies)
    subject = Boundary(target, role="candidate", dtype="float32", device="cpu", trace=Trace(), layout=layout)
    assert np.array_equal(subject.copy(x), x) == (layout == "contiguous")


def test_only_slices_that_are_the_same_are_expanded():
    x = np.arange(6.0).reshape(2, 3)
    assert laid_out(x, "expanded") is x
    assert np.array_equal(Case(layout="expanded").array("x", x), x[[0, 0]])
    assert np.array_equal(Case(layout="strided").array("x", x), x)
    assert np.array_equal(Case(layout="expanded").array("weight", x[0]), x[0])


def test_a_case_has_one_layout():
    assert Case().layout == "contiguous"
