"""An implementation that skips part of its output must not find the right answer in the memory it is given."""

import numpy as np
import pytest
import torch

from harness.judging.verdict import Verdict
from harness.subject import boundary, poison
from harness.subject.torch_settings import settle
from tests.support import laboratory

SKIPS_A_ROW = """
def rmsnorm(x, weight, eps):
    right = {right}
    earlier = {empty}(right.shape, dtype=right.dtype)
    earlier[...] = right
    del earlier  # the memory of an earlier call, which gave the right answer
    out = {empty}(right.shape, dtype=right.dtype)
    out[:-1] = right[:-1]
    return out
"""
NUMPY = "(x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.asarray(eps, x.dtype)) * weight).astype(x.dtype)"
TORCH = "torch.nn.functional.rms_norm(x, (x.shape[-1],), weight, eps)"
KERNELS = {
    "numpy": "import numpy as np\n" + SKIPS_A_ROW.format(right=NUMPY, empty="np.empty"),
    "torch": "import torch\nARRAYS = 'torch'\n" + SKIPS_A_ROW.format(right=TORCH, empty="torch.empty"),
}


@pytest.fixture
def settled():
    threads = torch.get_num_threads()
    settle(threads)
    yield
    torch.set_deterministic_debug_mode("default")


@pytest.mark.parametrize("arrays", KERNELS)
def test_a_row_left_to_the_memory_of_an_earlier_call_is_falsified(arrays, tmp_path, settled):
    found = laboratory.judged_alone("FALSIFY-RMSNORM-STATE-001", tmp_path, KERNELS[arrays])
    assert found.verdict is Verdict.FALSIFIED, found.reason


@pytest.mark.parametrize("size", [1, 12, 255, 300, 5_000, 200_000])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_numpy_empty_never_holds_what_was_freed(size, dtype):
    right = np.full(size, 2.5, dtype)
    poison.remember(right.nbytes)
    del right
    with poison.poisoned():
        found = np.empty(size, dtype)
        with np.errstate(invalid="ignore"):
            assert not (np.abs(found) < 6e4).any()


def test_after_many_sizes_the_latest_are_filled(monkeypatch):
    monkeypatch.setattr(poison, "_small", {})
    for size in range(8, 8 * 100, 8):
        poison.remember(size)
    poison.remember(8 * 50)
    assert list(poison._small)[-2:] == [8 * 99, 8 * 50]
    assert len(poison._small) == poison.SIZES


def test_nothing_is_filled_outside_a_call(monkeypatch):
    bytes_set = []
    monkeypatch.setattr(poison, "_mallopt", lambda: lambda option, byte: bytes_set.append(byte))
    with poison.poisoned(), poison.poisoned():
        assert bytes_set == [0x80]
    assert bytes_set == [0x80, 0]


def test_the_boundary_fills_during_the_call_alone():
    during = []
    target = boundary.SimpleNamespace(op=lambda x: (during.append(poison._inside), x * 2)[1])
    found = boundary.Boundary(target, role="candidate", dtype="float32", device="cpu", trace=boundary.Trace())
    found.op(np.ones(3, np.float32))
    assert (during, poison._inside) == ([1], 0)


def test_the_run_settings_make_torch_fill_what_it_hands_out(settled):
    ones = torch.ones(7)
    for handed_out in (torch.empty(7), ones.new_empty(7), torch.empty_like(ones), torch.empty_strided((7,), (1,))):
        assert torch.isnan(handed_out).all()
    assert (torch.empty(7, dtype=torch.int64) == torch.iinfo(torch.int64).max).all()
