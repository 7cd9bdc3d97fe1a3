"""The emulations of GPU arithmetic do what they say, and a claim can still call one of them wrong."""

import pytest
import torch
from gpu_arithmetic import judged
from reordered import gpu, gpu_functions, gpu_sums

import harness.candidates.torch as eager
from tests.support import laboratory

SEED = torch.Generator().manual_seed(7)
X = torch.randn(6, 300, generator=SEED)
WEIGHT = torch.randn(40, 300, generator=SEED)
PRODUCTS = {
    "tree": gpu_sums.tree_product,
    "split-K": gpu_sums.split_product(8),
    "fused": gpu_sums.fused_product,
    "tensor cores": gpu_sums.tensor_core_product,
}


def brain(x):
    return x.bfloat16().float()


def half(x):
    return x.half().float()


def answers(candidate):
    """What a candidate makes of a few ops that between them hold every replaced operation."""
    return {
        "linear": candidate.linear(brain(X), brain(WEIGHT)),
        "softmax": candidate.softmax(3 * X),
        "rmsnorm": candidate.rmsnorm(X, WEIGHT[0], 1e-6),
        "silu": candidate.silu(X),
        "rope": candidate.rope(X[None, None, :, :64], torch.arange(6) * 31, theta=1e4),
    }


@pytest.mark.parametrize("kind", gpu.KINDS)
def test_each_kind_computes_otherwise_and_still_right(kind):
    plain, own = answers(eager), answers(gpu.KINDS[kind])
    assert any(not torch.equal(plain[op], own[op]) for op in plain)
    for op in plain:
        assert (plain[op] - own[op]).norm() <= 2e-4 * plain[op].norm(), op


@pytest.mark.parametrize("name", PRODUCTS)
def test_every_product_is_near_the_exact_one_in_any_shape(name):
    for rows, inner, columns in ((1, 1, 1), (3, 31, 5), (2, 33, 1), (600, 65, 40)):
        a, b = brain(torch.randn(2, rows, inner)), brain(torch.randn(2, inner, columns))
        exact = a.double() @ b.double()
        assert (PRODUCTS[name](a, b) - exact).norm() <= 2e-4 * exact.norm()


def test_a_tree_adds_rows_of_any_length_along_any_axes():
    for shape, axes in (((5, 1), (1,)), ((2, 33), (-1,)), ((3, 4, 1500), (0, 2)), ((7, 3), ())):
        x = torch.randn(shape)
        for keepdim in (False, True):
            wanted = x.double().sum(dim=axes or None, keepdim=keepdim)
            found = gpu_sums.tree_sum(x, axes, keepdim)
            assert found.shape == wanted.shape
            assert torch.allclose(found.double(), wanted, atol=1e-4)


def test_tensor_cores_cut_towards_zero_below_the_largest_addend():
    a, b = torch.tensor([[[1.0, 2**-14, 2**-15, 2**-15]]]), torch.ones(1, 4, 1)
    assert gpu_sums.cut_product(14, promoted=True)(a, b).item() == 1 + 2**-14
    assert gpu_sums.cut_product(15, promoted=True)(a, b).item() == 1 + 2**-13
    assert gpu_sums.cut_product(14, promoted=True)(-a, b).item() == -(1 + 2**-14)


def test_fused_multiply_add_rounds_once():
    a, b = torch.tensor([[[1.0, 1 + 2**-12]]]), torch.tensor([[[-1.0], [1 + 2**-12]]])
    assert gpu_sums.fused_product(a, b).item() == 2**-11 + 2**-24  # the product alone would lose its last digit


def test_intrinsics_stay_within_their_documented_errors():
    x = torch.linspace(-80, 80, 20_001)
    exact = torch.exp(x.double())
    ulp = 2.0 ** (torch.frexp(exact)[1] - 24).double()
    off = (gpu_functions.fast_exp(x).double() - exact).abs() / ulp
    assert (off <= 2 + (1.173 * x.abs()).floor() + 1).all()  # torch's own exp is within 1 ulp
    assert off.max() > 10
    turned = gpu_functions.fast_turn(torch.sin)(x / 26)
    assert 2**-23 < (turned.double() - torch.sin((x / 26).double())).abs().max() <= gpu_functions.SINE_ERROR + 2**-24


def test_an_accumulator_of_14_bits_is_called_wrong_in_long_sums():
    """Half of a long sum's terms are lost in it: this is the fault that promotion to float32 mends."""
    claim, _ = laboratory.shipped("FALSIFY-LINEAR-LONG-001")
    running = gpu.products(gpu_sums.cut_product(14, promoted=False))
    kinds = {"running": gpu.Under(eager, lambda: [gpu.Arithmetic(running)]), "shipped": gpu.KINDS["tensor cores"]}
    found = dict(judged(claim, 0, kinds))
    assert {"err_ratio le 2 [bfloat16]", "err_ratio le 2 [float16]"} <= {v["limit"] for v in found["running"].violated}
    assert not found["shipped"].violated
