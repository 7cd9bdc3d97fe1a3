"""Three ways to the same slope: backward by hand, a complex step, forward tangents; and each seen to fail."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.falsifiers.baselines.transformers.gradients import load
from harness.falsifiers.inputs.synthetic_model import small_config
from harness.falsifiers.training.gradient_tangents import prepare, probe_rows
from harness.falsifiers.training.seq2seq import seq2seq_config
from harness.reference.complex_step import complex_slopes
from harness.reference.model.decoder import decoder_logits
from harness.reference.model.decoder_backward import loss_and_grads
from harness.reference.model.decoder_tangent import DecoderTangents
from harness.reference.ops.losses import cross_entropy_forward
from harness.reference.random_weights import random_tensor, random_weights
from harness.reference.training.seq2seq import seq2seq_logits
from harness.reference.training.seq2seq_backward import seq2seq_loss_and_grads
from harness.reference.training.seq2seq_weights import parse_config, weight_shapes

SEQ2SEQ = seq2seq_config(
    encoder_layers=1, layers=2, hidden=12, heads=3, intermediate=16, vocab=13, positions=7, eps=1e-5
)


def moves(rng, shape):
    """Single entries of a tensor, then moves of all of it."""
    entries = rng.choice(int(np.prod(shape)), size=3, replace=False)
    single = np.zeros((3, *shape))
    for move, entry in zip(single, entries, strict=True):
        move.flat[entry] = 1
    return np.concatenate([single, rng.standard_normal((2, *shape))])


def along(gradient, directions):
    return np.array([np.sum(gradient * d) for d in directions])


def every_slope_is_complex_step(loss, weights, grads, rng):
    """Assert that each gradient, along some directions, is the slope of the loss by a complex step."""
    whole = np.sqrt(sum(np.sum(g**2) for g in grads.values()))
    for name, tensor in weights.items():
        directions = moves(rng, tensor.shape)
        error = np.abs(complex_slopes(loss, weights, name, directions) - along(grads[name], directions))
        assert np.max(error) <= 1e-13 * whole, name


@pytest.fixture(scope="module", params=["qwen2", "llama", "tied"])
def decoder(request):
    """Config, weights, tokens (1, 9), targets (1, 9)."""
    config = small_config(model_type="llama" if request.param == "llama" else "qwen2", tied=request.param == "tied")
    rng = np.random.default_rng(3)
    tokens, targets = rng.integers(0, config["vocab_size"], (2, 1, 9))
    targets[0, [2, 5]] = -100
    return config, random_weights(config, 7), tokens, targets


def test_the_decoders_backward_is_its_complex_step_at_every_tensor(decoder):
    config, weights, tokens, targets = decoder
    _, grads = loss_and_grads(config, weights, tokens, targets)
    rng = np.random.default_rng(0)

    def loss(w):
        return cross_entropy_forward(decoder_logits(config, w, tokens), targets)[0]

    every_slope_is_complex_step(loss, weights, grads, rng)


def test_the_encoder_decoders_backward_is_its_complex_step_at_every_tensor():
    rng = np.random.default_rng(1)
    weights = {n: random_tensor(n, shape, rng) for n, shape in weight_shapes(parse_config(SEQ2SEQ)).items()}
    tokens, targets = rng.integers(0, 13, (2, 2, 5))
    _, grads = seq2seq_loss_and_grads(SEQ2SEQ, weights, tokens, targets)

    def loss(w):
        return cross_entropy_forward(seq2seq_logits(SEQ2SEQ, w, tokens), targets)[0]

    every_slope_is_complex_step(loss, weights, grads, rng)


def test_a_loss_that_drops_the_imaginary_part_is_an_error_and_no_slope_of_zero():
    weights = {"w": np.ones(3)}
    with pytest.raises(np.exceptions.ComplexWarning):
        complex_slopes(lambda w: np.sum(np.asarray(w["w"]).astype(float)), weights, "w", np.ones((1, 3)))
    assert complex_slopes(lambda w: np.sum(w["w"] ** 3), weights, "w", np.ones((1, 3))) == pytest.approx([9.0])
    assert complex_slopes(lambda w: np.float64(2.0), weights, "w", np.ones((1, 3))) == [0.0]


def test_tangents_are_what_torch_autograd_gives(decoder):
    config, weights, tokens, targets = decoder
    tensors = {name: torch.from_numpy(w) for name, w in weights.items()}
    model = load(config, tensors, dtype="float64", device="cpu")
    _, grads = model.loss_and_grads(torch.from_numpy(tokens), torch.from_numpy(targets))
    seen, rng = DecoderTangents(config, weights, tokens[0], targets[0]), np.random.default_rng(0)
    whole = np.sqrt(sum(float(g.square().sum()) for g in grads.values()))
    sequence = prepare(config, weights, tokens[0], targets[0])
    for name, tensor in weights.items():
        directions = moves(rng, tensor.shape)
        want = along(grads[name].numpy(), directions)
        assert np.max(np.abs(seen.slopes(name, directions) - want)) <= 1e-13 * whole, name
        assert np.max(np.abs(seen.slopes(name, directions, sequence.adjoints) - want)) <= 1e-13 * whole, name


def test_an_adjoint_that_is_wrong_in_one_number_is_noticed(decoder):
    config, weights, tokens, targets = decoder
    sequence = prepare(config, weights, tokens[0], targets[0])
    assert sequence.error <= 1e-12
    for i, adjoint in enumerate(sequence.adjoints):
        spoilt = [a.copy() for a in sequence.adjoints]
        spoilt[i][4, 3] += 0.01 * np.linalg.norm(adjoint)
        errors = sequence.tangents.adjoint_errors(spoilt)
        assert errors[i] > 1e-3, i


def test_probes_of_a_tensor_name_the_gradient_that_is_wrong(decoder):
    config, weights, tokens, targets = decoder
    _, grads = loss_and_grads(config, weights, tokens, targets)
    sequence = prepare(config, weights, tokens[0], targets[0])
    wrong = {**grads, "model.layers.1.mlp.up_proj.weight": 1.001 * grads["model.layers.1.mlp.up_proj.weight"]}
    found = probe_rows([sequence], weights, [wrong], top=2, entries=2, directions=1)
    far = {p.tensor for p in found if np.max(np.abs(p.claimed - p.measured)) > 1e-6 * np.max(np.abs(p.measured))}
    assert "model.layers.1.mlp.up_proj.weight" in far
    assert len(far) == 1
    turned = {**grads, "model.layers.1.mlp.up_proj.weight": grads["model.layers.1.mlp.up_proj.weight"].T}
    with pytest.raises(ValueError, match=r"gradients: model.layers.1.mlp.up_proj.weight has"):
        probe_rows([sequence], weights, [turned], top=1, entries=1, directions=1)


def test_no_target_that_counts_is_one_line(decoder):
    config, weights, tokens, _ = decoder
    with pytest.raises(ValueError, match="all -100"):
        DecoderTangents(config, weights, tokens[0], np.full(9, -100))
