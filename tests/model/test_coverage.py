"""Loading and biases from outside: what the falsifiers see of the candidate and of planted bugs."""

from __future__ import annotations

import numpy as np
import pytest

from harness.candidates.torch.model import decoder as candidate
from harness.case import Case
from harness.falsifiers.baselines.transformers import stages
from harness.falsifiers.model import bias_path, coverage
from harness.falsifiers.model.mutants import bias_path as bias_path_mutants
from harness.falsifiers.model.mutants import coverage as coverage_mutants
from harness.mutant import mutants_of
from harness.subject.boundary import Boundary
from harness.subject.trace import Trace

BIAS = mutants_of(bias_path_mutants)
LOADING = mutants_of(coverage_mutants)

MODEL = {"model_type": "qwen2", "tied": False, "layers": 2}


def subject(target, dtype="float64"):
    return Boundary(target, role="subject", dtype=dtype, device="cpu", trace=Trace())


def errors(seen):
    """Pair -> relative L2 error."""
    return {n: float(np.linalg.norm(got - want) / np.linalg.norm(want)) for n, (got, want) in seen.pairs.items()}


def test_every_tensor_is_a_pair_and_moves_the_logits():
    found = errors(coverage.every_tensor(subject(candidate), Case(dtype="float64"), **MODEL))
    assert len(found) == 1 + 2 * 12 + 3
    assert max(found.values()) <= 1e-11


@pytest.mark.parametrize(
    ("mutant", "bad"),
    [
        ("layer_loaded_twice", {"model.layers.1.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.weight"}),
        ("linear_left_at_its_initial_value", {"model.layers.1.self_attn.o_proj.weight"}),
        ("head_overwritten_by_embedding", {"lm_head.weight", "model.embed_tokens.weight"}),
    ],
)
def test_a_tensor_that_is_not_used_as_it_should_is_the_one_that_shows(mutant, bad):
    seen = coverage.every_tensor(subject(LOADING[mutant](stages)), Case(dtype="float64"), **MODEL)
    found = errors(seen)
    assert found["logits"] > 1e-3
    assert all(found[name] > 0.3 for name in bad)


@pytest.mark.parametrize(
    ("mutant", "blind"),
    [
        ("extra_tensor_ignored", {"unexpected"}),
        ("missing_tensor_ignored", {"missing"}),
        ("subset_instead_of_equality", {"missing", "unexpected", "renamed", "misshaped"}),
    ],
)
def test_each_kind_of_planted_defect_is_counted_by_itself(mutant, blind):
    case = Case()
    seen = coverage.exact_set(subject(LOADING[mutant](stages), "float32"), case, **MODEL)
    assert {name for name, (got, want) in seen.pairs.items() if not np.array_equal(got, want)} == blind
    right = coverage.exact_set(subject(candidate, "float32"), case, **MODEL)
    assert all(np.array_equal(*pair) for pair in right.pairs.values())


def test_a_skipped_bias_shows_in_its_own_pairs_only_at_full_size():
    settings = {"model_type": "qwen2", "layers": 2, "length": 9}
    found = errors(bias_path.each_bias(subject(BIAS["k_bias_skipped"](stages)), Case(dtype="float64"), **settings))
    full = {name for name, error in found.items() if error == pytest.approx(1.0)}
    assert full == {f"model.layers.{i}.self_attn.k_proj.bias" for i in range(2)}
    seen = errors(bias_path.each_bias(subject(candidate), Case(dtype="float64"), **settings))
    assert np.max([*seen.values()]) <= 1e-11


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_zero_biases_change_no_byte_and_another_order_changes_some(dtype):
    def changed(target):
        got, want = bias_path.zero_biases(subject(target, dtype), Case(dtype=dtype), length=17).pairs["bytes"]
        return int((got != want).sum())

    assert changed(candidate) == 0
    assert all(changed(BIAS[name](stages)) > 0 for name in BIAS if name.startswith("bias_path_in_"))
