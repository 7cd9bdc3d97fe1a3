"""NF4's reference pinned, the norm audit read back, and the loaders' refusals."""

from __future__ import annotations

import json
from statistics import NormalDist

import numpy as np
import pytest
import torch

from harness.candidates.torch.model import nf4
from harness.case import Case
from harness.falsifiers.baselines.transformers import stages
from harness.falsifiers.inputs.synthetic_model import case_weights, small_config
from harness.falsifiers.model import norm_audit
from harness.falsifiers.model.mutants.norm_audit import norms as norm_audit_mutants
from harness.judging.limits import Sample, evaluate, parse
from harness.mutant import mutants_of
from harness.observation import Observation
from harness.reference.model.decoder import decoder_forward
from harness.reference.ops.nf4 import CODE, nf4_absmax, nf4_dequantise, nf4_quantise
from harness.subject.boundary import Boundary
from harness.subject.trace import Trace
from harness.trial.experiment import Experiment, run_subject

MUTANTS = mutants_of(norm_audit_mutants)


def subject(target, dtype="float32"):
    return Boundary(target, role="subject", dtype=dtype, device="cpu", trace=Trace())


def quantiles():
    """bitsandbytes' create_normal_map: 8 positive and 7 negative quantiles, offset 0.9677083, zero between."""
    inverse = NormalDist().inv_cdf
    positive = [inverse(p) for p in np.linspace(0.9677083, 0.5, 9)[:-1]]
    negative = [-inverse(p) for p in np.linspace(0.9677083, 0.5, 8)[:-1]]
    return np.sort(np.array([*negative, 0.0, *positive])) / max(positive)


@pytest.mark.parametrize("code", [CODE, nf4.CODE, stages.NF4_CODE], ids=["reference", "candidate", "baseline"])
def test_the_sixteen_values_are_the_published_quantiles(code):
    assert np.abs(np.array(code) - quantiles()).max() <= 1e-6
    assert np.abs(np.array(code)[::-1] - quantiles()).max() > 0.01  # the order counts


def test_nf4_is_within_half_a_step_and_exact_on_its_own_values():
    weight = np.random.default_rng(0).standard_normal((12, 48))
    absmax = nf4_absmax(weight)
    back = nf4_dequantise(nf4_quantise(weight, absmax), absmax, weight.shape)
    scale = np.repeat(absmax, 64)[: weight.size].reshape(weight.shape)
    assert np.all(np.abs(back - weight) / scale <= np.diff(CODE).max() / 2)
    assert np.array_equal(nf4_dequantise(nf4_quantise(back, absmax), absmax, back.shape), back)
    assert np.abs(nf4_dequantise(nf4_quantise(weight, absmax)[::-1], absmax, back.shape) - back).max() > 0.1


def test_nf4_packs_the_first_element_in_the_high_bits_and_a_short_last_block():
    weight = np.zeros((1, 66))
    weight[0, 0], weight[0, 65] = 2.0, -3.0
    absmax = nf4_absmax(weight)
    assert absmax.tolist() == [2.0, 3.0]
    packed = nf4_quantise(weight, absmax)
    assert packed[0] == 0xF7
    assert packed[-1] == 0x70
    with pytest.raises(ValueError, match="absmax"):
        nf4_quantise(weight, absmax[:1])


@pytest.mark.parametrize("name", ["load", "load_nf4"])
def test_the_audit_reads_the_eps_of_each_norm(name):
    def seen(target):
        settings = {"layers": 3, "eps": 1e-6, "model_type": "qwen2", "nf4": name == "load_nf4"}
        return norm_audit.norm_eps(subject(target), Case(), **settings)

    right = seen(stages)
    assert right.scalars["eps_error"] <= 1e-5
    assert right.pairs["norms"][0] == 7
    wrong = seen(MUTANTS["one_call_site_on_default"](stages))
    used = np.array(wrong.series["eps_used"])
    assert np.flatnonzero(np.abs(used / 1e-6 - 1) > 0.1).tolist() == [5]
    assert used[5] == pytest.approx(1e-5, rel=1e-3)
    skipped = seen(MUTANTS["one_norm_skipped"](stages))
    assert skipped.pairs["norms"][0] == 6
    assert np.isnan(skipped.scalars["eps_error"])


def test_the_staged_baseline_equals_the_reference_stage_by_stage():
    config = small_config()
    case = Case(dtype="float64")
    weights, tokens = case_weights(case, config), np.arange(14).reshape(2, 7)
    _, want = decoder_forward(config, weights, tokens)
    model = subject(stages, "float64").load(config, weights)
    got = model.stages(tokens)
    assert set(got) == set(want)
    for name, value in want.items():
        assert np.linalg.norm(got[name] - value) <= 1e-13 * np.linalg.norm(value), name
    swap = {"layers.0.attn_residual": want["layers.0.attn_residual"] + 1}
    _, moved = decoder_forward(config, weights, tokens, replace=swap)
    again = model.stages(tokens, replace=swap)
    for name in ("layers.0.attn_residual", "layers.0.mlp_residual", "logits"):
        assert np.linalg.norm(again[name] - moved[name]) <= 1e-13 * np.linalg.norm(moved[name]), name


def test_the_nf4_loader_refuses_by_name():
    config = small_config()
    case = Case()
    held = norm_audit.packed(case, case_weights(case, config))
    name = "model.layers.1.mlp.up_proj.weight"
    broken = {
        "NF4 codes packed in uint8": {**held, name: np.ones((48, 32), np.float32)},
        "up_proj.weight.absmax has": {**held, f"{name}.absmax": np.ones(3, np.float32)},
        "up_proj.bias": {**held, "model.layers.1.mlp.up_proj.bias": np.ones(48, np.float32)},
        "k_proj.bias": {n: w for n, w in held.items() if n != "model.layers.0.self_attn.k_proj.bias"},
        "stranger": {**held, "stranger": np.ones(2, np.float32)},
    }
    for said, weights in broken.items():
        with pytest.raises(ValueError, match=said):
            nf4.load_nf4(
                config, {n: torch.tensor(np.array(w)) for n, w in weights.items()}, dtype="float32", device="cpu"
            )


def test_an_eq_limit_minds_the_pair_farthest_from_its_bound():
    rows = [
        {"case": 0, "pair": pair, "dtype": "float32", "n": 3, "exact": True, "mismatches": count}
        for pair, count in (("a", 2), ("b", 0))
    ]
    sample = Sample(cases={0: {"dtype": "float32"}}, rows=rows, scalars=[], baseline=[], scale=None, judged=None)
    (limit,) = parse({"mismatches": {"eq": 0, "why": "w"}})
    (finding,) = evaluate(limit, sample)
    assert not finding.holds
    assert finding.pair == "a"
    assert finding.value == 2


def test_a_curve_with_a_gap_can_be_kept():
    experiment = Experiment(
        falsifier=lambda subject, case: Observation(series={"loss": [1.0, float("nan")]}),
        given={},
        cases=[],
        extras=frozenset(),
        device="cpu",
        candidate=object(),
    )
    kept = run_subject(experiment, object(), [Case()], "candidate")["series"]
    assert json.loads(json.dumps(kept, allow_nan=False)) == {"0": {"loss": [1.0, "nan"]}}
