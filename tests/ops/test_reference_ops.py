"""The float64 reference of rmsnorm, softmax and attention, pinned by torch and transformers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.reference.ops.attention import attention_forward, causal_mask
from harness.reference.ops.norm import rmsnorm_forward
from harness.reference.ops.softmax import softmax_forward
from tests.support.distance import rel_l2
from tests.support.draws import normal

ROUND_OFF = 1e-14
"""Relative L2 between two float64 computations of the same formula; measured: at most 1e-15."""


@pytest.mark.parametrize("shape", [(1,), (3, 7), (2, 5, 896)])
@pytest.mark.parametrize("eps", [1e-6, 1e-5, 1e-1])
@pytest.mark.parametrize("std", [1e-3, 0.02, 300.0])
def test_rmsnorm_is_torchs(shape, eps, std):
    x, weight = std * normal(1, *shape), 1 + 0.3 * normal(2, shape[-1])
    want = F.rms_norm(torch.from_numpy(x), shape[-1:], torch.from_numpy(weight), eps).numpy()
    assert rel_l2(rmsnorm_forward(x, weight, eps)[0], want) <= ROUND_OFF


def test_rmsnorm_of_a_row_has_the_mean_square_that_eps_leaves():
    x, eps = 1e-3 * normal(3, 4, 64), 1e-6
    before = np.mean(x**2, axis=-1)
    after = np.mean(rmsnorm_forward(x, np.ones(64), eps)[0] ** 2, axis=-1)
    np.testing.assert_allclose(after, before / (before + eps), rtol=1e-13)


@pytest.mark.parametrize(("shape", "axis"), [((7,), -1), ((5, 129), -1), ((4, 3, 6), 1), ((2, 1), -1)])
@pytest.mark.parametrize("level", [-800.0, 0.0, 800.0])
def test_softmax_is_torchs(shape, axis, level):
    x = 8 * normal(4, *shape) + level
    want = F.softmax(torch.from_numpy(x), dim=axis).numpy()
    assert rel_l2(softmax_forward(x, axis)[0], want) <= ROUND_OFF


def test_softmax_sums_to_one_and_gives_minus_infinity_no_weight():
    x = np.array([[0.0, -np.inf, 3.0], [1e4, 1e4, -1e4]])
    out, _ = softmax_forward(x)
    np.testing.assert_allclose(out.sum(axis=-1), 1, rtol=1e-15)
    assert out[0, 1] == 0
    assert np.array_equal(out[1], [0.5, 0.5, 0.0])


def test_softmax_of_minus_infinity_alone_is_nan_as_torchs():
    x = np.full((1, 3), -np.inf)
    assert np.isnan(softmax_forward(x)[0]).all()
    assert torch.isnan(F.softmax(torch.from_numpy(x), dim=-1)).all()


ATTENTION_SHAPES = [
    # heads, kv_heads, queries, keys, head_dim, value_dim
    (4, 4, 5, 5, 8, 8),
    (6, 2, 7, 40, 40, 40),
    (6, 3, 1, 129, 33, 33),
    (8, 1, 9, 9, 16, 24),
]


def qkv(heads, kv_heads, queries, keys, head_dim, value_dim):
    q, k = normal(5, 2, heads, queries, head_dim), normal(6, 2, kv_heads, keys, head_dim)
    return q, k, normal(7, 2, kv_heads, keys, value_dim)


@pytest.mark.parametrize("shape", ATTENTION_SHAPES)
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("scale", [None, 0.7])
def test_attention_is_torchs(shape, causal, scale):
    q, k, v = qkv(*shape)
    offset = k.shape[2] - q.shape[2]
    mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril(offset) if causal else None
    want = F.scaled_dot_product_attention(
        *map(torch.from_numpy, (q, k, v)), attn_mask=mask, scale=scale, enable_gqa=True
    ).numpy()
    got, _ = attention_forward(q, k, v, causal=causal, scale=scale, offset=offset)
    assert got.shape == want.shape
    assert rel_l2(got, want) <= ROUND_OFF


def test_causal_mask_is_torchs_lower_right():
    from torch.nn.attention.bias import causal_lower_right

    want = causal_lower_right(5, 12)._materialize("cpu").numpy()
    assert np.array_equal(causal_mask(5, 12, offset=7), want)


def test_square_attention_is_torchs_own_is_causal():
    q, k, v = qkv(4, 4, 6, 6, 8, 8)
    want = F.scaled_dot_product_attention(*map(torch.from_numpy, (q, k, v)), is_causal=True).numpy()
    assert rel_l2(attention_forward(q, k, v)[0], want) <= ROUND_OFF


def test_grouped_heads_are_transformers_own():
    from types import SimpleNamespace

    from transformers.models.llama.modeling_llama import eager_attention_forward

    q, k, v = qkv(6, 2, 7, 20, 40, 40)
    module = SimpleNamespace(num_key_value_groups=3, training=False)
    hidden = np.where(causal_mask(7, 20, 13), 0.0, -np.inf)[None, None]
    want, _ = eager_attention_forward(
        module, *map(torch.from_numpy, (q, k, v)), attention_mask=torch.from_numpy(hidden), scaling=40**-0.5
    )
    # Its softmax is float32 even for float64 inputs; a wrong head map is off by 1.
    assert rel_l2(attention_forward(q, k, v, offset=13)[0], want.numpy().swapaxes(1, 2)) <= 1e-6


def test_a_future_key_has_no_influence_and_the_last_visible_one_has():
    q, k, v = qkv(6, 2, 3, 10, 8, 8)
    out, _ = attention_forward(q, k, v, offset=4)
    k[:, :, 5:], v[:, :, 5:] = 9.0, 9.0
    changed, _ = attention_forward(q, k, v, offset=4)
    assert np.array_equal(out[:, :, 0], changed[:, :, 0])
    assert not np.allclose(out[:, :, 1], changed[:, :, 1], rtol=1e-2)


def test_wrong_shapes_are_named():
    q, k, v = qkv(6, 2, 3, 10, 8, 8)
    for call, told in [
        (lambda: rmsnorm_forward(np.ones((2, 4)), np.ones(3)), r"found weight \(3,\).*expected weight \(4,\)"),
        (lambda: softmax_forward(np.ones((2, 0))), "expected an axis of length >= 1"),
        (lambda: softmax_forward(np.ones(3), axis=1), "found x .* axis 1"),
        (lambda: attention_forward(q[0], k, v), "expected 4 axes"),
        (lambda: attention_forward(q, k[..., :4], v), r"expected k \(2, KV, Tk, 8\)"),
        (lambda: attention_forward(q, k, v[:, :, :5]), r"v \(2, 2, 10, Dv\)"),
        (lambda: attention_forward(q[:, :5], k, v), "found 5 query heads, expected a multiple of the 2"),
        (lambda: attention_forward(q, k, v, offset=-1), "found offset -1, expected >= 0"),
    ]:
        with pytest.raises(ValueError, match=told):
            call()
