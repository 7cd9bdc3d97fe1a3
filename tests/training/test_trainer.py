"""The whole trainer, and calls in another process: what they promise, and what happens when they fail."""

from __future__ import annotations

import os
import textwrap

import numpy as np
import pytest
import torch

from harness.candidates.torch import train
from harness.falsifiers.baselines.transformers import training
from harness.falsifiers.inputs.synthetic_model import small_config
from harness.reference.random_weights import random_weights
from harness.reference.training.trainer import train as reference_train
from harness.subject import binding
from harness.subject.boundary import Unsupported
from tests.support.cpu_boundary import boundary

CONFIG = small_config(layers=1, hidden=16, intermediate=24, heads=2, kv_heads=1, head_dim=8)


@pytest.fixture
def data():
    rng = np.random.default_rng(5)
    tokens = rng.integers(0, CONFIG["vocab_size"], (4, 4, 6))
    targets = np.where(
        np.arange(6) < np.array([[6], [4], [2], [1]]), rng.integers(0, CONFIG["vocab_size"], tokens.shape), -100
    )
    return [(t, u) for t, u in zip(tokens, targets, strict=True)]


def tensors(weights):
    return {name: torch.from_numpy(w) for name, w in weights.items()}


def test_the_reference_trains_as_transformers_and_torch_optim_do(data):
    weights = random_weights(CONFIG, 2)
    options = {"lr": 1e-2, "eps": 1e-4, "weight_decay": 0.1, "max_norm": 0.5, "micro_batches": 2}
    want = reference_train(CONFIG, weights, data, **options)
    batches = [(torch.from_numpy(t), torch.from_numpy(u)) for t, u in data]
    got = training.train(CONFIG, tensors(weights), batches, dtype="float64", device="cpu", **options)
    assert np.allclose(got["losses"], want["losses"], rtol=1e-12, atol=0)
    assert np.allclose(got["grad_norms"], want["grad_norms"], rtol=1e-12, atol=0)
    for name, w in want["weights"].items():
        assert np.abs(got["weights"][name].numpy() - w).max() <= 1e-11, name


def test_training_leaves_what_it_was_given(data):
    weights = tensors(random_weights(CONFIG, 2))
    kept = {name: w.clone() for name, w in weights.items()}
    batches = [(torch.from_numpy(t), torch.from_numpy(u)) for t, u in data]
    train(CONFIG, weights, batches, lr=0.1, dtype="float64", device="cpu")
    assert all(torch.equal(weights[name], kept[name]) for name in kept)
    with pytest.raises(ValueError, match="neither weights nor a seed"):
        train(CONFIG, None, batches, lr=0.1, dtype="float32", device="cpu")


@pytest.mark.parametrize("run", ["reference", "torch"])
@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda t, y: (t, np.where(y == y[0, 0], 67, y)), "batch 2: .*67"),
        (lambda t, y: (t, y[:, :-1]), r"batch 2: .*\(4, 5\)"),
        (lambda t, y: (t, np.full_like(y, -100)), "batch 2: found no target that counts"),
    ],
)
def test_a_bad_batch_is_refused_by_its_number_and_changes_nothing(data, run, spoil, told):
    weights = random_weights(CONFIG, 2)
    given = tensors(weights)
    batches = [*data[:2], spoil(*data[2])]
    as_tensors = [(torch.from_numpy(t), torch.from_numpy(u)) for t, u in batches]
    trainers = {
        "reference": lambda: reference_train(CONFIG, weights, batches, lr=0.1),
        "torch": lambda: train(CONFIG, given, as_tensors, lr=0.1, dtype="float64", device="cpu"),
    }
    with pytest.raises(ValueError, match=told) as problem:
        trainers[run]()
    assert "\n" not in str(problem.value)
    assert all(np.array_equal(given[name].numpy(), w) for name, w in weights.items())


@pytest.mark.parametrize(
    ("rates", "told"), [({"lr": 0.0}, "found lr 0.0"), ({"lr": 0.1, "eps": -1e-8}, "found eps -1e-08")]
)
def test_rates_out_of_range_are_refused_before_the_first_step(data, rates, told):
    weights = random_weights(CONFIG, 2)
    with pytest.raises(ValueError, match=told):
        reference_train(CONFIG, weights, data, **rates)
    batches = [(torch.from_numpy(t), torch.from_numpy(u)) for t, u in data]
    with pytest.raises(ValueError, match=told):
        train(CONFIG, tensors(weights), batches, dtype="float64", device="cpu", **rates)


def user_file(folder, body):
    (folder / "user.py").write_text(textwrap.dedent(body), encoding="utf-8")
    return binding.module("user.py", folder)


def test_a_call_elsewhere_runs_in_another_process_with_the_environment_asked_for(tmp_path):
    subject = boundary(
        user_file(
            tmp_path,
            """
            import os
            seen = []
            def told(x):
                seen.append(1)
                return {"hash": float(os.environ["PYTHONHASHSEED"]), "twice": 2 * x, "calls": len(seen)}
            """,
        )
    )
    x = np.arange(3, dtype=np.float32)
    for hash_seed in ("3", "4", "3"):
        found, settings = subject.in_other_process("told", x, environment={"PYTHONHASHSEED": hash_seed})
        assert found["hash"] == settings["hash_seed"] == float(hash_seed)
        assert settings["process"] != os.getpid()
        assert np.array_equal(found["twice"], 2 * x)
        assert found["calls"] == 1, "a call must not see what the one before it left"


def test_what_goes_wrong_elsewhere_is_one_line_here(tmp_path):
    subject = boundary(
        user_file(
            tmp_path,
            """
            import os
            def raises(x): raise ValueError("found 3, expected 4")
            def dies(x): os._exit(7)
            def fine(x): return x
            """,
        )
    )
    x = np.ones(2, dtype=np.float32)
    with pytest.raises(RuntimeError, match="in another process: ValueError: found 3, expected 4"):
        subject.in_other_process("raises", x)
    with pytest.raises(RuntimeError, match="ended with code 7"):
        subject.in_other_process("dies", x)
    assert np.array_equal(subject.in_other_process("fine", x)[0], x), "the interpreter outlives a call that died"
    with pytest.raises(Unsupported, match="has no `absent`"):
        subject.in_other_process("absent", x)
