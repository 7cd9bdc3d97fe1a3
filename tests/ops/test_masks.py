"""Which keys attention sees: window, padding and packing, pinned by transformers' masks and torch's attention."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reordered import KERNELS
from transformers import masking_utils

from harness.falsifiers.ops.mutants import attention_masks as attention_masks_mutants
from harness.mutant import mutants_of
from harness.reference.ops.attention import attention_forward, visible_keys
from tests.support.distance import rel_l2
from tests.support.judgement import judged, stays_within_the_limits
from tests.support.laboratory import changed, shipped_in, shows_its_power

MUTANTS = mutants_of(attention_masks_mutants)
CLAIMS, PLACES = shipped_in("ops", "attention_masks")
ROUND_OFF = 1e-14
PADDING = np.array([0, 7])
SEGMENTS = np.array([[0] * 3 + [1] * 9 + [2] * 8, [0] * 11 + [1] * 9])
MASKS = [
    {"window": 1},
    {"window": 4, "offset": 8},
    {"window": 30},
    {"padding": PADDING},
    {"padding": PADDING, "causal": False},
    {"padding": PADDING, "window": 3, "offset": 8},
    {"segments": SEGMENTS},
    {"segments": SEGMENTS, "causal": False},
    {"segments": SEGMENTS, "window": 2},
]


def transformers_mask(queries, keys, *, causal=True, offset=0, window=None, padding=None, segments=None):
    """The mask functions of transformers, asked at every (row, query, key)."""
    functions = [masking_utils.causal_mask_function if causal else masking_utils.bidirectional_mask_function]
    if window is not None:
        functions.append(masking_utils.sliding_window_overlay(window))
    if padding is not None:
        real = torch.arange(keys) >= torch.from_numpy(padding)[:, None]
        functions.append(masking_utils.padding_mask_function(real))
    if segments is not None:
        functions.append(masking_utils.packed_sequence_mask_function(torch.from_numpy(segments)))
    ask = masking_utils.and_masks(*functions)
    row, query = torch.arange(2)[:, None, None], torch.arange(queries)[None, :, None] + offset
    return ask(row, torch.zeros(1, dtype=torch.long), query, torch.arange(keys)).expand(2, queries, keys)


@pytest.mark.parametrize("masks", MASKS, ids=lambda masks: "-".join(masks))
def test_visible_keys_are_transformers(masks):
    queries = 20 - masks.get("offset", 0)
    want = transformers_mask(queries, 20, **masks).numpy()
    assert np.array_equal(np.broadcast_to(visible_keys(queries, 20, **masks), want.shape), want)


@pytest.mark.parametrize("masks", MASKS, ids=lambda masks: "-".join(masks))
def test_attention_is_torchs_under_transformers_mask(masks):
    stream, queries = np.random.default_rng(1), 20 - masks.get("offset", 0)
    q = stream.standard_normal((2, 6, queries, 8))
    k, v = stream.standard_normal((2, 2, 2, 20, 8))
    mask = transformers_mask(queries, 20, **masks)[:, None]
    tensors = (torch.from_numpy(a) for a in (q, k, v))
    want = F.scaled_dot_product_attention(*tensors, attn_mask=mask, enable_gqa=True).numpy()
    got, _ = attention_forward(q, k, v, **masks)
    assert rel_l2(got, want) <= ROUND_OFF


def test_sliding_windows_count_window_keys_and_the_query_is_one_of_them():
    visible = visible_keys(4, 10, offset=6, window=3)[0]
    assert visible.sum(axis=1).tolist() == [3, 3, 3, 3]
    assert visible[np.arange(4), np.arange(4) + 6].all()
    assert visible_keys(4, 4, window=3)[0].sum(axis=1).tolist() == [1, 2, 3, 3]


def test_a_padded_query_gives_zero_and_padding_has_no_influence():
    stream = np.random.default_rng(2)
    q, k, v = stream.standard_normal((3, 2, 2, 9, 8))
    out, (_, _, _, probabilities, _) = attention_forward(q, k, v, padding=np.array([0, 4]))
    assert not out[1, :, :4].any()
    assert not probabilities[1, :, :4].any()
    k[1, :, :4], v[1, :, :4] = 9.0, np.nan_to_num(np.inf)
    assert np.array_equal(attention_forward(q, k, v, padding=np.array([0, 4]))[0], out)
    alone, _ = attention_forward(*(a[1:, :, 4:] for a in (q, k, v)))
    np.testing.assert_allclose(out[1:, :, 4:], alone, rtol=1e-12, atol=1e-15)


def test_packed_documents_are_what_each_is_alone():
    stream = np.random.default_rng(3)
    q, k, v = stream.standard_normal((3, 1, 2, 20, 8))
    out, _ = attention_forward(q, k, v, segments=SEGMENTS[:1])
    for part in (slice(0, 3), slice(3, 12), slice(12, 20)):
        alone, _ = attention_forward(*(a[:, :, part] for a in (q, k, v)))
        np.testing.assert_allclose(out[:, :, part], alone, rtol=1e-12, atol=1e-15)


def test_mistakes_are_named():
    q = k = v = np.ones((2, 2, 5, 4))
    for masks, told in [
        ({"window": 0}, "found window 0, expected >= 1"),
        ({"padding": np.zeros(3)}, r"found padding \(3,\), expected \(2,\)"),
        ({"segments": np.zeros((2, 4))}, r"found segments \(2, 4\), expected \(2, 5\)"),
    ]:
        with pytest.raises(ValueError, match=told):
            attention_forward(q, k, v, **masks)


@pytest.mark.parametrize("name", CLAIMS)
def test_the_default_candidate_survives_and_every_mutant_dies_by_a_wide_margin(name, tmp_path):
    shows_its_power(CLAIMS[name], PLACES[name], tmp_path)


@pytest.mark.parametrize("kernel", ["online, in blocks", "sdpa"])
@pytest.mark.parametrize("name", CLAIMS)
def test_correct_attention_written_otherwise_stays_within_the_limits(name, kernel):
    stays_within_the_limits(CLAIMS[name], KERNELS["attention"][kernel], kernel)


def test_a_kernel_without_masks_is_unverified():
    from types import SimpleNamespace

    subject = SimpleNamespace(attention=lambda q, k, v, causal=True, offset=0: q)
    asks = {"WINDOW": "window", "PADDING": "padding", "PACKED": "segments"}
    for claim, option in asks.items():
        name = f"FALSIFY-ATTENTION-{claim}-001"
        found = judged(changed(CLAIMS[name], examples=1), subject, seed=1)
        assert f"does not take `{option}`" in found.reason


def test_every_mutant_belongs_to_a_claim():
    assert {name.rpartition(":")[2] for claim in CLAIMS.values() for name in claim.mutants} == set(MUTANTS)
