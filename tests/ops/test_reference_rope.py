"""The float64 reference of rope, pinned by transformers in float64, and the claims that rest on it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from harness.falsifiers.baselines.transformers import rope as transformers_rope
from harness.falsifiers.ops.inputs.rope import SCALINGS
from harness.mutant import mutants_of
from harness.reference.ops.rope import rope_forward, rope_frequencies
from tests.support.distance import rel_l2
from tests.support.draws import normal
from tests.support.judgement import judged, stays_within_the_limits
from tests.support.laboratory import changed, shipped_in, shows_its_power

CLAIMS, MUTANTS = shipped_in("ops", "rope")
ROUND_OFF = 1e-13
"""Relative L2 between two float64 rotations; angles in the thousands leave 1e-13 of a turn. Measured: 4e-14."""


class Float64:
    """torch, in which every float32 that a table asks for is float64."""

    float = float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


@pytest.fixture
def wide(monkeypatch):
    from transformers import modeling_rope_utils
    from transformers.models.llama import modeling_llama

    for module in (modeling_rope_utils, modeling_llama):
        monkeypatch.setattr(module, "torch", Float64())


OTHERS = {
    "explicit": {**SCALINGS["yarn"], "attention_factor": 1.3, "beta_fast": 20},
    "narrow": {**SCALINGS["yarn"], "beta_fast": 2.0, "beta_slow": 2.0, "truncate": False},
    "shrunk": {**SCALINGS["yarn"], "factor": 0.5},
}


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("name", [*SCALINGS, *OTHERS])
@pytest.mark.parametrize("dim", [10, 64, 128])
@pytest.mark.parametrize("theta", [10000.0, 500000.0])
def test_frequencies_are_transformers(name, dim, theta):
    scaling = {**SCALINGS, **OTHERS}[name]
    want, want_factor = transformers_rope.frequencies(dim, theta, scaling)
    assert want.dtype == torch.float64
    got, factor = rope_frequencies(dim, theta, scaling)
    np.testing.assert_allclose(got, want.numpy(), rtol=1e-13)
    assert factor == pytest.approx(want_factor, rel=1e-15)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("rotary_dim", [None, 16, 24])
@pytest.mark.parametrize("name", SCALINGS)
def test_rotations_are_transformers(interleaved, rotary_dim, name):
    x, positions = normal(1, 2, 3, 9, 40), np.arange(5000, 5009)
    inv_freq, factor = transformers_rope.frequencies(rotary_dim or 40, 5e5, SCALINGS[name])
    angles = torch.from_numpy(positions)[:, None].double() * inv_freq
    want = transformers_rope.rotate(torch.from_numpy(x), angles, factor, interleaved)
    options = {"theta": 5e5, "interleaved": interleaved, "rotary_dim": rotary_dim, "scaling": SCALINGS[name]}
    got, (cos, sin) = rope_forward(x, positions, **options)
    assert rel_l2(got, want.numpy()) <= ROUND_OFF
    np.testing.assert_allclose(cos**2 + sin**2, factor**2, rtol=1e-14)


@pytest.mark.usefixtures("wide")
def test_whole_llama_rotations_are_llamas_own():
    from transformers.models.llama.modeling_llama import LlamaConfig, LlamaRotaryEmbedding, apply_rotary_pos_emb

    parameters = {**SCALINGS["llama3"], "rope_theta": 5e5}
    config = LlamaConfig(head_dim=64, max_position_embeddings=8192, rope_parameters=parameters)
    x, positions = torch.from_numpy(normal(1, 2, 3, 9, 64)), torch.arange(2000, 2009)
    module = LlamaRotaryEmbedding(config)
    angles = positions[:, None].double() * module.inv_freq
    both = torch.cat((angles, angles), dim=-1)[None]
    want, _ = apply_rotary_pos_emb(x, x, both.cos(), both.sin())
    got, _ = rope_forward(x.numpy(), positions.numpy(), theta=5e5, scaling=SCALINGS["llama3"])
    assert rel_l2(got, want.numpy()) <= ROUND_OFF


def test_interleaved_is_gptjs():
    from transformers.models.gptj.modeling_gptj import apply_rotary_pos_emb

    x, positions = normal(1, 2, 3, 9, 16), np.arange(1003, 1012)
    angles = torch.from_numpy(positions)[None, :, None] * 10000.0 ** (-torch.arange(0, 16, 2).double() / 16)
    want = apply_rotary_pos_emb(torch.from_numpy(x).transpose(1, 2), angles.sin(), angles.cos()).transpose(1, 2)
    got, _ = rope_forward(x, positions, theta=10000.0, interleaved=True)
    assert rel_l2(got, want.numpy()) <= ROUND_OFF


def test_the_tail_passes_through_untouched():
    x = normal(1, 1, 2, 5, 12)
    out, _ = rope_forward(x, np.arange(1000, 1005), theta=1e4, rotary_dim=8, scaling=SCALINGS["yarn"])
    assert np.array_equal(out[..., 8:], x[..., 8:])
    assert not np.isclose(out[..., :8], x[..., :8]).any()


def test_a_score_depends_on_the_distance_alone():
    q, k = normal(1, 2, 1, 1, 1, 16)

    def turned(x, position):
        return rope_forward(x, np.array([position]), theta=1e6)[0].ravel()

    scores = [turned(q, p + 5) @ turned(k, p) for p in (0, 700, 4000)]
    assert np.ptp(scores) < 1e-11


def test_mistakes_are_named():
    x, at = normal(1, 1, 1, 2, 8), np.arange(2)
    llama3 = {key: value for key, value in SCALINGS["llama3"].items() if key != "high_freq_factor"}
    for call, told in [
        (lambda: rope_forward(x, at, theta=1e4, rotary_dim=5), "found rotary_dim 5, expected an even number up to"),
        (lambda: rope_forward(x, at, theta=1e4, rotary_dim=10), "found rotary_dim 10"),
        (lambda: rope_forward(x, at, theta=1e4, scaling={"rope_type": "ntk"}), "found rope_type 'ntk', expected"),
        (lambda: rope_frequencies(8, 1e4, llama3), "scaling llama3 lacks 'high_freq_factor'; found factor"),
        (lambda: rope_frequencies(8, 1e4, {"rope_type": "linear", "factor": 2, "rope_theta": 5e5}), "beside theta"),
        (lambda: rope_frequencies(7, 1e4), "found dimension 7, expected an even"),
    ]:
        with pytest.raises(ValueError, match=told):
            call()


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", CLAIMS)
def test_the_default_candidate_survives_and_every_mutant_dies_by_a_wide_margin(name, tmp_path):
    shows_its_power(CLAIMS[name], MUTANTS[name], tmp_path)


@pytest.mark.parametrize("name", CLAIMS)
def test_correct_rotations_written_otherwise_stay_within_the_limits(name):
    from reordered import KERNELS

    for kernel, subject in KERNELS["rope"].items():
        stays_within_the_limits(CLAIMS[name], subject, kernel)


def test_a_kernel_without_the_option_is_unverified_there_alone():

    def rope(x, positions, *, theta):
        return transformers_rope.rope(x, positions, theta=theta)

    subject = SimpleNamespace(ARRAYS="torch", rope=rope)
    assert judged(changed(CLAIMS["FALSIFY-ROPE-001"], examples=1), subject, seed=1).measurements
    found = judged(changed(CLAIMS["FALSIFY-ROPE-SCALED-001"], examples=1), subject, seed=1)
    assert "does not take `scaling`" in found.reason


def test_every_mutant_belongs_to_a_claim():
    from harness.falsifiers.ops.mutants import ops as shared
    from harness.falsifiers.ops.mutants import rope as rope_mutants

    named = {name for claim in CLAIMS.values() for name in claim.mutants}
    assert named - set(mutants_of(shared)) == set(mutants_of(rope_mutants))
