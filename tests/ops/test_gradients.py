"""The claims on backward passes, losses and targets: survivors, mutants, and what a user's own mistake is told."""

import inspect
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import harness.candidates.torch as eager
from harness.case import Case
from harness.errors import UserError
from harness.falsifiers.baselines import autograd_ops
from harness.falsifiers.baselines.autograd_ops import _backward
from harness.falsifiers.ops import gradients
from harness.falsifiers.ops.inputs import gradients as inputs
from harness.falsifiers.ops.inputs import losses as loss_inputs
from harness.falsifiers.ops.mutants import weighted_bce
from harness.falsifiers.ops.mutants.gradients import attention, elementwise, losses, norms, products
from harness.falsifiers.training.mutants import refusals, targets
from harness.judging.verdict import Verdict
from harness.mutant import mutants_of
from harness.reference.training.targets import example_weight, gate_targets, next_token_targets
from tests.sample import kinds_first
from tests.support.cpu_boundary import boundary
from tests.support.judgement import stays_within_the_limits
from tests.support.laboratory import changed, examine, shipped_in, shows_its_power

OPS, OP_MUTANTS = shipped_in("ops", "op_gradients")
TRAINING, TRAINING_MUTANTS = shipped_in("training", "losses", "targets")
CLAIMS, MUTANTS = OPS | TRAINING, OP_MUTANTS | TRAINING_MUTANTS
BACKWARD = {
    name: claim for name, claim in CLAIMS.items() if claim.falsifier == "harness.falsifiers.ops.gradients:op_backward"
}


@pytest.mark.sample(4)
@pytest.mark.parametrize("name", kinds_first(CLAIMS, lambda name: CLAIMS[name].falsifier)[0])
def test_the_default_candidate_survives_and_every_mutant_dies_by_a_wide_margin(name, tmp_path):
    shows_its_power(CLAIMS[name], MUTANTS[name], tmp_path)


def test_every_mutant_belongs_to_a_claim():
    named = {mutant for claim in CLAIMS.values() for mutant in claim.mutants}
    modules = (attention, elementwise, losses, norms, products, weighted_bce, targets, refusals)
    assert named == {name for module in modules for name in mutants_of(module)}


def test_autograd_of_our_own_forward_stays_within_the_limits():
    """A second correct implementation: other formulas, other roundings, no alarm."""
    ours = {op: getattr(eager, op) for op in {claim.op for claim in BACKWARD.values()}}
    leaves = {"weighted_bce": 1}
    subject = SimpleNamespace(
        ARRAYS="torch", **{f"{op}_backward": _backward(forward, leaves.get(op)) for op, forward in ours.items()}
    )
    for name, claim in BACKWARD.items():
        stays_within_the_limits(claim, subject, name)


def test_the_mutants_five_steps_are_right_when_none_is_exchanged():
    sound = attention._steps(autograd_ops)
    case = {"q_len": 7, "past": 5, "causal": True, "group": 3, "kv_heads": 2, "head_dim": 8, "spread": 3.0, "batch": 2}
    seen = gradients.op_backward(
        boundary(sound, "float64", arrays="torch"), Case(dtype="float64"), op="attention", **case
    )
    for name, (got, want) in seen.pairs.items():
        assert np.linalg.norm(got - want) <= 1e-13 * np.linalg.norm(want), name


def test_a_missing_gradient_and_one_too_many_are_named():
    def attention_backward(dout, q, k, v, *, causal=True):
        return autograd_ops.attention_backward(dout, q, k, v, causal=causal)[:2]

    def relu_backward(dout, x):
        return dout * (x > 0), dout

    case = {"q_len": 3, "past": 0, "causal": True, "group": 2, "kv_heads": 1, "head_dim": 4, "spread": 1.0, "batch": 2}
    seen = gradients.op_backward(
        boundary(SimpleNamespace(attention_backward=attention_backward), arrays="torch"), Case(), op="attention", **case
    )
    assert list(seen.pairs) == ["dq", "dk", "dv"]
    assert seen.pairs["dv"][0].shape == (0,)
    seen = gradients.op_backward(
        boundary(SimpleNamespace(relu_backward=relu_backward), arrays="torch"),
        Case(),
        op="relu",
        rows=2,
        length=3,
        std=1.0,
    )
    assert list(seen.pairs) == ["dx", "surplus1"]


def test_a_users_kernel_with_a_scale_that_is_missing_is_told_which_gradient(tmp_path):
    (tmp_path / "kernel.py").write_text(
        "import numpy as np\n"
        "def softmax_backward(dout, x):\n"
        "    p = np.exp(x - x.max(-1, keepdims=True))\n"
        "    p /= p.sum(-1, keepdims=True)\n"
        "    return p * dout\n",
        encoding="utf-8",
    )
    claim = changed(CLAIMS["FALSIFY-SOFTMAX-BACKWARD-001"], examples=1)
    found = examine(claim, {}, tmp_path, candidate="kernel.py").judgement
    assert found.verdict is Verdict.FALSIFIED
    assert found.violated[0]["pair"] == "dx"


def test_inputs_are_sharp():
    """Gains of 0, every kind of weight, labels on both sides of [0, 1], and weights that go with the losses."""
    _, gains, _ = inputs.rmsnorm_gradients(Case(seed=1), rows=3, hidden=16, eps=1e-6, std=1.0).args
    assert (gains == 0).sum() == 3
    logits, labels, weights = loss_inputs.weighted_bce(Case(seed=1), count=64).args
    assert set(weights.tolist()) == {1.0, 2.0, 4.0, 6.0, 7.0, 8.0}
    assert labels.min() < 0 < 1 < labels.max()
    assert np.corrcoef(np.abs(logits), weights)[0, 1] > 0.8


def test_weights_by_outcome_and_repeats():
    assert [example_weight(kind) for kind in ("right", "missed", "false_positive")] == [1, 2, 4]
    assert [example_weight("false_positive", n) for n in range(6)] == [4, 6, 7, 8, 8, 8]
    assert example_weight("missed", 5) == 2
    assert next_token_targets(np.array([[3, 1, 4]])).tolist() == [[1, 4, -100]]
    assert gate_targets(np.array([-1.0, -0.5, 0.25, 1.5])).tolist() == [0.0, 0.0, 0.25, 1.0]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: example_weight("wrong"), "found outcome 'wrong', expected one of right, missed, false_positive"),
        (lambda: example_weight("right", -1), "found repeats -1, expected >= 0"),
        (lambda: gate_targets(np.array([0.0, 1.6])), "found decision 1.6 at 1, expected -1 to 1.5"),
        (lambda: gate_targets(np.array([np.nan])), "found decision nan at 0"),
        (lambda: next_token_targets(np.array([0.5])), "found float64 .*, expected integers"),
        (lambda: eager.cross_entropy(torch.ones(2, 3), torch.tensor([0])), r"found targets \(1,\), expected \(2,\)"),
        (lambda: eager.cross_entropy(torch.ones(2, 3), torch.tensor([0, 3])), "found target 3, expected 0 to 2"),
        (lambda: eager.weighted_bce(*map(torch.ones, (2, 1, 2))), r"found labels \(1,\) and weights \(2,\), expected"),
        (
            lambda: eager.weighted_bce(torch.ones(2), torch.tensor([1.0, torch.nan]), torch.ones(2)),
            "found label nan at 1",
        ),
        (lambda: eager.weighted_bce(torch.ones(2), torch.ones(2), torch.tensor([1.0, -1.0])), "found weight -1.0 at 1"),
        (lambda: eager.gate_targets(torch.tensor([2.0])), "found decision 2.0, expected -1 to 1.5"),
        (lambda: eager.example_weight("right", -1), "found 'right', repeats -1, expected one of"),
    ],
)
def test_bad_input_gets_one_clear_line(call, told):
    with pytest.raises(ValueError, match=told) as problem:
        call()
    assert "\n" not in str(problem.value)


def test_bad_parameters_get_one_clear_line():
    with pytest.raises(UserError, match=r"found no function 'rmsnrom' among the inputs, expected one of .*rmsnorm"):
        gradients.op_backward(boundary(eager, arrays="torch"), Case(), op="rmsnrom")
    with pytest.raises(UserError, match="op softmax: missing a required argument: 'length'"):
        gradients.op_backward(boundary(eager, arrays="torch"), Case(), op="softmax", rows=2)


def test_every_reference_forward_of_a_claim_has_a_backward_in_input_order():
    for claim in BACKWARD.values():
        assert f"{claim.op}_backward" in dir(eager)
        assert next(iter(inspect.signature(getattr(eager, f"{claim.op}_backward")).parameters)) == "dout"
