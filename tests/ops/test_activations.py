"""Activations, LayerNorm, L2 norm and special values: references pinned by others' code, claims end to end."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reordered import KERNELS

import harness.candidates.torch as eager
import harness.falsifiers.baselines.torch_ops as baseline
from harness.case import Case
from harness.definitions import defined
from harness.errors import UserError
from harness.falsifiers.ops.builder import FOLDER, build
from harness.falsifiers.ops.inputs import norm
from harness.falsifiers.ops.mutants import special as special_mutants
from harness.judging.verdict import Verdict
from harness.mutant import mutants_of
from harness.reference.ops import activations as reference
from harness.reference.ops.norm import l2norm_forward, layernorm_forward
from harness.subject.boundary import Boundary
from harness.subject.trace import Trace
from tests.sample import kinds_first
from tests.support.distance import rel_l2
from tests.support.judgement import judged, known_wrong, survives
from tests.support.laboratory import changed, shipped_in

ELEMENTWISE = ("gelu", "gelu_tanh", "silu", "relu", "leaky_relu", "elu", "sigmoid", "tanh")
PARAMETERS = {"leaky_relu": (0.2,), "elu": (0.7,)}
ROUND_OFF = 1e-14
"""Relative L2 between two float64 computations of the same formula; measured: at most 1e-15."""


CLAIMS, MUTANTS = shipped_in("ops", "activations", "layernorm", "l2norm", "special_values")
PARITY = [name for name in CLAIMS if "SPECIAL" not in name]
SPECIAL = [name.removesuffix("_special") for name in defined(FOLDER) if name.endswith("_special")]


def special(case, op, rows, length):
    """The special values of an op's inputs, as its claim builds them."""
    return build(case, (f"{op}_special",), rows=rows, length=length)


@pytest.mark.parametrize("op", ELEMENTWISE)
@pytest.mark.parametrize("std", [1e-3, 1.0, 4.0, 1e3])
def test_the_reference_is_torchs(op, std):
    x = std * np.random.default_rng(1).standard_normal((3, 129))
    want = getattr(baseline, op)(torch.from_numpy(x), *PARAMETERS.get(op, ())).numpy()
    assert rel_l2(getattr(reference, f"{op}_forward")(x, *PARAMETERS.get(op, ()))[0], want) <= ROUND_OFF


def test_swiglu_and_the_norms_are_torchs_and_transformers():
    from transformers.models.qwen3_next.modeling_qwen3_next import l2norm

    x, y = np.random.default_rng(2).standard_normal((2, 5, 129))
    weight, bias = 1 + 0.3 * x[0], y[0]
    a, b, w, c = map(torch.from_numpy, (x, y, weight, bias))
    assert rel_l2(reference.swiglu_forward(x, y)[0], (F.silu(a) * b).numpy()) <= ROUND_OFF
    for eps in (1e-6, 1e-1):
        want = F.layer_norm(a, (129,), w, c, eps).numpy()
        assert rel_l2(layernorm_forward(x, weight, bias, eps)[0], want) <= ROUND_OFF
        assert rel_l2(l2norm_forward(x, eps)[0], l2norm(a, eps=eps).numpy()) <= ROUND_OFF


def test_the_far_negative_tail_is_kept():
    """1 + erf and 1 + tanh are 0 there; the asymptotic series of erfc and exp say what is right."""
    x = np.array([-10.0, -30.0])
    normal = np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    series = 1 - 1 / x**2 + 3 / x**4 - 15 / x**6
    np.testing.assert_allclose(reference.gelu_forward(x)[0], -normal * series, rtol=1e-5)
    np.testing.assert_allclose(reference.sigmoid_forward(x)[0], np.exp(x), rtol=1e-4)
    assert reference.elu_forward(np.array([-1e-12]))[0] == pytest.approx(-1e-12, rel=1e-11, abs=0)


@pytest.mark.parametrize("op", [*ELEMENTWISE, "swiglu"])
def test_the_reference_knows_the_limits_at_infinity_and_keeps_nan(op):
    x = np.array([np.nan, np.inf, -np.inf])
    arguments = (x, np.ones(3)) if op == "swiglu" else (x, *PARAMETERS.get(op, ()))
    with np.errstate(all="ignore"):
        nan, above, below = getattr(reference, f"{op}_forward")(*arguments)[0]
    assert np.isnan(nan)
    assert above == (1 if op in ("sigmoid", "tanh") else np.inf)
    assert below == {"leaky_relu": -np.inf, "elu": -0.7, "tanh": -1}.get(op, 0)


def test_wrong_shapes_get_one_clear_line():
    with pytest.raises(ValueError, match=r"layernorm: found weight \(3,\) and bias \(4,\) for x \(2, 4\)"):
        layernorm_forward(np.ones((2, 4)), np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="l2norm: found a scalar"):
        l2norm_forward(np.array(1.0))
    with pytest.raises(ValueError, match="expected equal shapes"):
        reference.swiglu_forward(np.ones(2), np.ones(3))


@pytest.mark.sample(14)
@pytest.mark.parametrize("name", kinds_first(CLAIMS, lambda name: CLAIMS[name].op)[0])
def test_the_default_candidate_survives_and_every_mutant_dies_by_a_wide_margin(name):
    found = judged(CLAIMS[name], eager, mutants=known_wrong(MUTANTS[name]))
    assert found.verdict is Verdict.PARTIAL, found.reason
    assert not [mutant["name"] for mutant in found.mutants if mutant["weak"]]


def test_every_mutant_for_special_values_belongs_to_a_claim():
    named = {mutant for claim in CLAIMS.values() for mutant in claim.mutants}
    assert set(mutants_of(special_mutants)) <= named


KERNEL_CASES, KERNEL_KINDS = kinds_first(
    [(name, kernel) for name, claim in CLAIMS.items() for kernel in KERNELS[claim.op]],
    lambda case: (CLAIMS[case[0]].op, case[1]),
)


@pytest.mark.sample(KERNEL_KINDS)
@pytest.mark.parametrize(("name", "kernel"), KERNEL_CASES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_correct_kernels_written_otherwise_stay_within_the_limits(name, kernel):
    found = judged(changed(CLAIMS[name], examples=1), KERNELS[CLAIMS[name].op][kernel], seed=1)
    assert survives(found), found.reason


def test_a_users_gelu_by_tanh_is_falsified_as_gelu_and_survives_as_gelu_tanh():
    def by_tanh(x):
        w = x.astype(np.float64)
        return (0.5 * w * (1 + np.tanh(np.sqrt(2 / np.pi) * (w + 0.044715 * w**3)))).astype(x.dtype)

    assert judged(CLAIMS["FALSIFY-GELU-001"], SimpleNamespace(gelu=by_tanh)).verdict is Verdict.FALSIFIED
    assert survives(judged(CLAIMS["FALSIFY-GELU-TANH-001"], SimpleNamespace(gelu_tanh=by_tanh)))


def test_a_relu_that_swallows_nan_is_right_on_numbers_and_falsified_on_special_values():
    wrong = SimpleNamespace(relu=lambda x: np.where(x > 0, x, np.zeros_like(x)))
    assert survives(judged(CLAIMS["FALSIFY-RELU-001"], wrong))
    found = judged(CLAIMS["FALSIFY-RELU-SPECIAL-001"], wrong)
    assert found.verdict is Verdict.FALSIFIED
    assert found.violated[0]["got"] == 0
    assert found.violated[0]["want"] == "nan"


def test_a_candidate_with_one_activation_is_judged_on_it_alone():
    one = SimpleNamespace(relu=lambda x: np.maximum(x, 0))
    assert survives(judged(CLAIMS["FALSIFY-RELU-SPECIAL-001"], one))
    found = judged(CLAIMS["FALSIFY-TANH-SPECIAL-001"], one)
    assert found.verdict is Verdict.UNVERIFIED
    assert "no `tanh`" in found.reason


def test_inputs_are_sharp():
    """A row whose variance is near eps, a row whose length is near sqrt(eps), and both kinds of special values."""
    x, *_ = norm.layernorm(Case(seed=1), rows=3, hidden=129, eps=1e-6, std=1.0).args
    assert np.var(x[2]) == pytest.approx(1e-6, rel=0.5)
    assert abs(np.mean(x[0])) > 0.5
    x, _ = norm.l2norm(Case(seed=1), rows=3, hidden=129, eps=1e-6, std=1.0).args
    assert np.sum(x[2] ** 2) == pytest.approx(1e-6, rel=1e-3)
    with np.errstate(over="ignore"):
        for op in ("rmsnorm", "silu"):
            x = special(Case(seed=1, dtype="float16"), op, 6, 129).args[0]
            assert (np.isnan(x).sum(axis=-1) <= 1).all()
            assert np.isnan(x).any()
            assert {np.inf, -np.inf} <= set(x[np.isinf(x)].tolist())
            assert np.isinf(x[np.isfinite(x)] ** 2).any()


@pytest.mark.parametrize("op", sorted(SPECIAL))
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_special_inputs_make_both_claims_wherever_both_can_be_made(op, dtype):
    """Rows that reference and torch agree are spoilt, and rows that they agree are finite; else nothing is tried.

    Sigmoid, tanh and the rest have a single spoilt value, NaN; an empty set would make the claim vacuous.
    """
    case = Case(seed=1, dtype=dtype)
    call = special(case, op, 7, 5)
    subject = Boundary(baseline, role="baseline", dtype=dtype, device="cpu", trace=Trace())
    got = getattr(subject, op)(*call.args, **call.options)
    with np.errstate(all="ignore"):
        want = call.reference(*(a.astype(float) if isinstance(a, np.ndarray) else a for a in call.args), **call.options)
    spoilt = ~np.isfinite(want[0]).all(-1) & ~np.isfinite(got).all(-1)
    finite = np.isfinite(want[0]).all(-1) & np.isfinite(got).all(-1)
    assert spoilt.any()
    assert finite.sum() > spoilt.sum() / 4


def test_an_op_without_special_inputs_gets_one_clear_line():
    with pytest.raises(UserError, match=r"given\.op: found no function 'rleu_special' .* elu_special, "):
        special(Case(), "rleu", 2, 3)
