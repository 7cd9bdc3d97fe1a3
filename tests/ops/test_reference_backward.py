"""Every reference backward: torch.autograd's gradients in float64, and central differences of its own forward."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.falsifiers.baselines import torch_ops
from harness.reference.ops import activations, linear, losses, norm, rope, softmax
from harness.reference.ops.attention import attention_backward, attention_forward
from tests.support.distance import rel_l2
from tests.support.draws import normal

ROUND_OFF = 1e-12
STEP = 1e-5
DIFFERENCES = 1e-8
"""Central differences of step 1e-5 in float64: 1e-10 of truncation, 1e-11 / 1e-5 * 1e-16 of round-off."""


def gains(seed, size):
    """Random gains, every third one 0."""
    return np.where(np.arange(size) % 3 == 1, 0.0, normal(seed, size, mean=1.0, std=0.3))


def turned(x, positions, *, theta, interleaved=False, rotary_dim=None):
    """Rotary embedding as a product of complex numbers."""
    size = rotary_dim or x.shape[-1]
    angles = positions[:, None] * theta ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    kept = x[..., :size]
    pairs = kept.unflatten(-1, (-1, 2)) if interleaved else kept.unflatten(-1, (2, -1)).transpose(-1, -2)
    out = torch.view_as_real(torch.view_as_complex(pairs.contiguous()) * torch.polar(torch.ones_like(angles), angles))
    out = out.flatten(-2) if interleaved else out.transpose(-1, -2).flatten(-2)
    return torch.cat([out, x[..., size:]], dim=-1)


def weighted_bce(logits, targets, weights):
    return F.binary_cross_entropy_with_logits(logits, targets.clamp(0, 1), weight=weights)


TOKENS = np.array([[0, 6, 6, 6], [2, 0, 5, 6]])
TARGETS = np.array([[0, 4, -100, 2], [-100, -100, 3, 0]])
POSITIONS = np.arange(1000, 1005)
Q, K, V = normal(1, 2, 6, 5, 8), normal(2, 2, 2, 7, 8), normal(3, 2, 2, 7, 4)
SQUARE = [normal(1, 2, 4, 5, 8), normal(2, 2, 2, 5, 8), normal(3, 2, 2, 5, 8)]
X = np.concatenate([normal(4, 3, 7), normal(5, 1, 7, std=1e-3), normal(6, 1, 7, std=12.0)])
HEADS = normal(7, 2, 3, 5, 8)
LOGITS, LABELS = normal(8, 2, 4, 5, std=3.0), np.array([-1.0, -0.5, 0.0, 0.3, 1.0, 1.5])


def of(module, op, args, torchs=None, given=None, **options):
    """One case: forward, backward, arguments, torch's function, options, and those that backward takes."""
    forward, backward = getattr(module, f"{op}_forward"), getattr(module, f"{op}_backward")
    return forward, backward, args, torchs or getattr(torch_ops, op), options, given or {}


CASES = {
    "linear": of(linear, "linear", [normal(1, 2, 3, 7), normal(2, 5, 7), normal(3, 5)]),
    "linear without bias": of(linear, "linear", [normal(1, 2, 3, 7), normal(2, 5, 7)]),
    "matmul": of(linear, "matmul", [normal(1, 3, 4, 7), normal(2, 3, 7, 5)]),
    "embedding": of(linear, "embedding", [TOKENS, normal(3, 8, 4)]),
    "softmax": of(softmax, "softmax", [X]),
    "rmsnorm": of(norm, "rmsnorm", [X, gains(2, 7), 1e-6]),
    "layernorm": of(norm, "layernorm", [X, gains(2, 7), normal(3, 7), 1e-5]),
    "l2norm": of(norm, "l2norm", [X, 1e-6]),
    "gelu": of(activations, "gelu", [X]),
    "gelu_tanh": of(activations, "gelu_tanh", [X]),
    "silu": of(activations, "silu", [X]),
    "relu": of(activations, "relu", [X]),
    "leaky_relu": of(activations, "leaky_relu", [X, 0.2]),
    "elu": of(activations, "elu", [X, 0.5]),
    "sigmoid": of(activations, "sigmoid", [X]),
    "tanh": of(activations, "tanh", [X]),
    "swiglu": of(activations, "swiglu", [X, normal(9, 5, 7)]),
    "rope": of(rope, "rope", [HEADS, POSITIONS], turned, theta=1e4),
    "rope in part": of(rope, "rope", [HEADS, POSITIONS], turned, theta=1e4, rotary_dim=6),
    "rope interleaved": of(
        rope, "rope", [HEADS, POSITIONS], turned, {"interleaved": True}, theta=1e4, interleaved=True, rotary_dim=6
    ),
    "cross_entropy": of(losses, "cross_entropy", [LOGITS, TARGETS]),
    "weighted_bce": of(losses, "weighted_bce", [normal(1, 6, std=9.0), LABELS, normal(2, 6) ** 2], weighted_bce),
}
ATTENTION = {
    "causal": (SQUARE, {}),
    "cached keys": ([Q, K, V], {"offset": 2}),
    "not causal, scaled": ([Q, K, V], {"causal": False, "scale": 0.3}),
    "windowed": (SQUARE, {"window": 2}),
    "padded": (SQUARE, {"padding": np.array([0, 3])}),
    "packed": (SQUARE, {"segments": np.array([[0, 0, 1, 1, 1], [0, 1, 1, 2, 2]])}),
}
CASES |= {
    f"attention {name}": (attention_forward, attention_backward, args, torch_ops.attention, options, {})
    for name, (args, options) in ATTENTION.items()
}
CONSTANT = {"weighted_bce": 1}
"""How many floating arguments have a gradient, where not all have: labels and weights are constants."""


def floating(value):
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def tensor(value):
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


def differentiate(name):
    """The reference's gradients by position of the argument, and the upstream gradient."""
    forward, backward, args, _, options, given = CASES[name]
    out, cache = forward(*args, **options)
    dout = np.asarray(normal(42, *out.shape))
    found = backward(dout, cache, **given)
    found = [g for g in (found if isinstance(found, tuple) else (found,)) if g is not None]
    places = [i for i, value in enumerate(args) if floating(value)][: CONSTANT.get(name)]
    return dict(zip(places, found, strict=True)), dout


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_autograds(name):
    found, dout = differentiate(name)
    _, _, args, torchs, options, _ = CASES[name]
    tensors = [tensor(value) for value in args]
    leaves = [tensors[i].clone().requires_grad_() for i in found]
    for place, leaf in zip(found, leaves, strict=True):
        tensors[place] = leaf
    out = torchs(*tensors, **{key: tensor(value) for key, value in options.items()})
    for got, want in zip(found.values(), torch.autograd.grad(out, leaves, torch.from_numpy(dout)), strict=True):
        assert got.shape == want.shape
        assert rel_l2(got, want.numpy()) <= ROUND_OFF


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_central_differences_of_the_forward(name):
    found, dout = differentiate(name)
    forward, _, args, _, options, _ = CASES[name]
    for place, got in found.items():
        direction = normal(place, *args[place].shape)
        # A step beside the small rows of X: their curvature is 1 / 1e-3.
        step = STEP * np.minimum(1.0, np.abs(args[place]).max(axis=-1, keepdims=True))

        def loss(sign, place=place, moved=step * direction):
            changed = [value + sign * moved if i == place else value for i, value in enumerate(args)]
            return np.sum(dout * forward(*changed, **options)[0])

        want = np.sum(got * step * direction)
        error = abs((loss(1) - loss(-1)) / 2 - want)
        assert error <= DIFFERENCES * np.linalg.norm(got * step * direction) + 1e-13, (place, error, want)


def test_a_gradient_that_is_off_is_seen_by_both_checks(monkeypatch):
    forward, backward, *rest = CASES["layernorm"]

    def without_mean(dout, cache):
        dx, dweight, dbias = backward(dout, cache)
        return dx + 1e-7 * cache[2], dweight, dbias

    monkeypatch.setitem(CASES, "layernorm", (forward, without_mean, *rest))
    for check in (test_gradients_are_autograds, test_gradients_are_central_differences_of_the_forward):
        with pytest.raises(AssertionError):
            check("layernorm")


def test_repeated_ids_add_up_and_unused_rows_get_nothing():
    _, cache = linear.embedding_forward(TOKENS, normal(3, 8, 4))
    dweight = linear.embedding_backward(np.ones((2, 4, 4)), cache)
    assert dweight[:, 0].tolist() == [2, 0, 1, 0, 0, 1, 4, 0]


def test_a_gain_of_zero_has_a_gradient():
    _, cache = norm.rmsnorm_forward(X, np.zeros(7), 1e-6)
    dx, dweight = norm.rmsnorm_backward(np.ones_like(X), cache)
    assert not dx.any()
    assert np.isfinite(dweight).all()
    assert dweight.all()


def test_far_tails_have_finite_gradients():
    x = np.array([-1e4, -40.0, 0.0, 40.0, 1e4])
    for op in ("gelu", "gelu_tanh", "silu", "sigmoid", "tanh", "elu"):
        _, cache = getattr(activations, f"{op}_forward")(x)
        slopes = getattr(activations, f"{op}_backward")(np.ones_like(x), cache)
        assert np.isfinite(slopes).all(), op


def test_without_counted_tokens_the_loss_is_nan_and_its_gradient_zero_as_torchs_is():
    logits, targets = torch.randn(2, 3, requires_grad=True), torch.full((2,), -100)
    F.cross_entropy(logits, targets).backward()
    loss, cache = losses.cross_entropy_forward(LOGITS, np.full((2, 4), -100))
    assert np.isnan(loss)
    assert not losses.cross_entropy_backward(np.asarray(1.0), cache).any()
    assert not logits.grad.any()


def test_labels_outside_0_to_1_are_clamped_and_counted():
    logits, weights = normal(1, 6), np.full(6, 2.0)
    out, (_, labels, _, clamped) = losses.weighted_bce_forward(logits, LABELS, weights)
    assert labels.tolist() == [0.0, 0.0, 0.0, 0.3, 1.0, 1.0]
    assert clamped == 3
    assert out == losses.weighted_bce_forward(logits, np.clip(LABELS, 0, 1), weights)[0]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: losses.cross_entropy_forward(LOGITS, TARGETS[0]), r"found logits \(2, 4, 5\) and targets \(4,\), exp"),
        (lambda: losses.cross_entropy_forward(LOGITS, TARGETS[:, :3]), r"found logits \(2, 4, 5\) and targets \(2, 3"),
        (lambda: losses.cross_entropy_forward(LOGITS, TARGETS + 1), "found target 5, expected 0 to 4, or -100"),
        (lambda: losses.cross_entropy_forward(LOGITS, TARGETS * 1.0), "found targets of type float64, expected int"),
        (
            lambda: losses.weighted_bce_forward(LABELS, LABELS[:5], LABELS),
            r"labels \(5,\) and weights \(6,\), expected",
        ),
        (lambda: losses.weighted_bce_forward(LABELS, LABELS, LABELS), r"found weight -1.0 at 0, expected a finite"),
        (lambda: losses.weighted_bce_forward(LABELS, LABELS * np.nan, LABELS), "found label NaN at 0, expected a num"),
        (lambda: losses.weighted_bce_forward(LABELS, LABELS, LABELS / 0.0), r"found weight -inf at 0, expected a fin"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bad_losses_get_one_clear_line(call, told):
    with pytest.raises(ValueError, match=told) as problem:
        call()
    assert "\n" not in str(problem.value)
