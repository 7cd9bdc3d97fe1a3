"""The gradient checker: on a model of one's own, on lists, and on trainers with one mistake each."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.candidates import torch as eager
from harness.case import Case
from harness.falsifiers.gradient_probes import by_name, errors, misaligned, probe
from harness.falsifiers.inputs.synthetic_model import small_config
from harness.falsifiers.training import gradient_check
from harness.reference.model.decoder_backward import loss_and_grads
from harness.reference.random_weights import random_weights
from tests.support.cpu_boundary import boundary
from tests.support.laboratory import judged_alone
from tests.support.repository import ROOT

TRAINER = """
from harness.candidates import torch as right
ARRAYS = "torch"

class Wrong:
    def __init__(self, model):
        self.model, self.loss = model, model.loss

    def loss_and_grads(self, tokens, targets):
        loss, g = self.model.loss_and_grads(tokens, targets)
        {mistake}
        return loss, g

def load(config, weights, *, dtype, device):
    return Wrong(right.load(config, weights, dtype=dtype, device=device))
"""
LAYER = "model.layers.0."
MISTAKES = {
    "none": ("pass", None, None),
    "swapped": (
        f"a, b = '{LAYER}mlp.gate_proj.weight', '{LAYER}mlp.up_proj.weight'; g[a], g[b] = g[b], g[a]",
        "ALIGNMENT",
        f"swapped: {LAYER}mlp.gate_proj.weight",
    ),
    "shorter": ("g.popitem()", "ALIGNMENT", "missing: lm_head.weight"),
    "moved to the end": ("g['model.norm.weight'] = g.pop('model.norm.weight')", "ALIGNMENT", "out of order: "),
    "zero": (f"g['{LAYER}mlp.up_proj.weight'].zero_()", "ALIGNMENT", f"all zero: {LAYER}mlp.up_proj.weight"),
    "transposed": ("g['lm_head.weight'] = g['lm_head.weight'].T", "ALIGNMENT", "misshaped: lm_head.weight"),
    "extra": ("g['lm_head.bias'] = g['model.norm.weight']", "ALIGNMENT", "extra: lm_head.bias"),
    "sign": (f"g['{LAYER}self_attn.k_proj.bias'].neg_()", "PROBES", f"{LAYER}self_attn.k_proj.bias"),
    "scale": (f"g['{LAYER}input_layernorm.weight'].mul_(1.001)", "PROBES", f"{LAYER}input_layernorm.weight"),
}


def test_a_gradient_that_should_be_zero_is_falsified_in_float64_too(tmp_path: Path) -> None:
    """Scalars alone are no sign of a candidate that computes in float32."""
    trainer = TRAINER.format(mistake=f"g['{LAYER}self_attn.q_proj.bias'] += 1e-6")
    explore = {"dtype": {"choices": ["float64"]}, "model_type": {"choices": ["qwen2"]}}
    found = judged_alone("FALSIFY-DECODER-GRADIENTS-ZERO-001", tmp_path, trainer, explore=explore, examples=1)
    assert found.verdict.name == "FALSIFIED", found.reason
    assert found.violated[0]["measure"] == "zero_gradient_share"


@pytest.mark.sample(3)
@pytest.mark.parametrize("name", MISTAKES)
def test_a_trainer_with_one_mistake_is_falsified_by_the_name_of_the_tensor(name: str, tmp_path: Path) -> None:
    mistake, claim, tensor = MISTAKES[name]
    claims = [f"FALSIFY-DECODER-GRADIENT-{c}-001" for c in ([claim] if claim else ["ALIGNMENT", "PROBES"])]
    for claim_id in claims:
        untied = {"dtype": {"choices": ["float64"]}, "tied": {"choices": [False]}, "model_type": {"choices": ["qwen2"]}}
        given = {"layers": 1, "length": 5}
        trainer = TRAINER.format(mistake=mistake)
        found = judged_alone(claim_id, tmp_path, trainer, explore=untied, given=given, examples=1)
        if tensor is None:
            assert not found.violated, found.reason
        else:
            assert found.verdict.name == "FALSIFIED", found.reason
            assert tensor in found.violated[0]["pair"]


@pytest.mark.parametrize("name", ["README.md", "docs/gradients.md"])
def test_the_ten_lines_print_what_the_page_says(name: str) -> None:
    page = (ROOT / name).read_text(encoding="utf-8").split("in ten lines" if name == "README.md" else "## Ten lines")[1]
    code, said = (page.split(f"```{kind}\n")[1].split("```")[0] for kind in ("python", "text"))
    assert len(code.splitlines()) == 10
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(code, name, "exec"), {})
    assert out.getvalue() == said


def quadratic() -> tuple[dict[str, np.ndarray], Any, dict[str, np.ndarray]]:
    """Weights, loss and right gradients of sum(a * b**2) + 1e-6 sum(c) with a tensor of zeros, and one of zero rows."""
    rng = np.random.default_rng(0)
    weights = {"a": rng.standard_normal((3, 4)), "b": rng.standard_normal((3, 4)), "c": np.zeros(5)}
    weights["b"][1] = 0

    def loss(moved: dict[str, np.ndarray]) -> float:
        w = weights | moved
        return float(np.sum(w["a"] * w["b"] ** 2) + 1e-6 * np.sum(w["c"]))

    gradients = {"a": weights["b"] ** 2, "b": 2 * weights["a"] * weights["b"], "c": np.full(5, 1e-6)}
    return weights, loss, gradients


def test_right_gradients_are_right_also_of_zeros_and_of_the_faint() -> None:
    weights, loss, gradients = quadratic()
    assert np.max([*errors(probe(loss, weights, gradients)).values()]) < 1e-6
    faint = errors(probe(loss, weights, gradients | {"c": 2 * gradients["c"]}))
    assert faint["c"] < 1e-2 < 1 < errors(probe(loss, weights, gradients | {"a": 2 * gradients["a"]}))["a"] * 2


WRONG = {"zero": 0.0, "sign": -1.0, "scale": 1.001, "nan": np.nan}


@pytest.mark.parametrize("factor", WRONG.values(), ids=list(WRONG))
def test_each_wrong_gradient_is_seen_in_its_tensor_alone(factor: float) -> None:
    weights, loss, gradients = quadratic()
    found = errors(probe(loss, weights, gradients | {"b": factor * gradients["b"]}))
    assert not found["b"] < 1e-4
    assert found["a"] < 1e-6


def test_a_loss_that_nothing_moves_shows_nothing() -> None:
    weights, _, gradients = quadratic()
    assert all(np.isnan(e) for e in errors(probe(lambda moved: 1.0, weights, gradients)).values())


def test_lists_are_taken_in_the_order_of_the_weights() -> None:
    weights, _, gradients = quadratic()
    given = list(gradients.values())
    nothing: dict[str, list[str]] = {k: [] for k in ("missing", "extra", "out of order", "misshaped", "all zero")}
    assert misaligned(weights, given) == misaligned(weights, gradients) == nothing
    assert misaligned(weights, given[:2]) == nothing | {"missing": ["c"]}
    assert misaligned(weights, [*given, given[0]]) == nothing | {"extra": ["#3"]}
    assert misaligned(weights, given[::-1])["misshaped"] == ["a", "c"]
    assert misaligned(weights, dict(reversed(gradients.items())))["out of order"] == ["c", "a"]
    assert misaligned(weights, gradients | {"b": np.zeros((3, 4))})["all zero"] == ["b"]
    assert list(by_name(weights, given)) == ["a", "b", "c"]


def test_what_cannot_be_probed_is_refused_by_name() -> None:
    weights, loss, gradients = quadratic()
    with pytest.raises(ValueError, match=r"gradients: b has \(4, 3\) for a float64 tensor \(3, 4\)"):
        probe(loss, weights, gradients | {"b": gradients["b"].T})
    with pytest.raises(ValueError, match=r"gradients: a has \(3, 4\) for a float32 tensor"):
        probe(loss, weights | {"a": weights["a"].astype(np.float32)}, gradients)


def test_a_model_without_a_loss_of_its_own_is_loaded_for_every_probe() -> None:
    class Plain:
        """Only what the contract asks for."""

        def __init__(self, config: Any, weights: Any) -> None:
            self.given = (config, weights)

        def loss_and_grads(self, tokens: np.ndarray, targets: np.ndarray) -> Any:
            return loss_and_grads(*self.given, tokens, targets)

    class Loader:
        loads = 0

        def load(self, config: Any, weights: Any) -> Plain:
            self.loads += 1
            return Plain(config, weights)

    loader = Loader()
    subject = boundary(loader, "float64")
    seen = gradient_check.finite_differences(
        subject, Case(dtype="float64"), model_type="llama", tied=False, length=3, top=1, entries=1, directions=1
    )
    assert loader.loads == 1 + 2 * 3 * len(seen.pairs)
    assert max(seen.scalars.values()) < 1e-4


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ([[1, 2]], r"targets: found \(1, 2\), expected \(1, 3\)"),
        ([[1, 67, 2]], "targets: found ids from 1 to 67, expected 0 to 66"),
        ([[1, -1, 2]], "targets: found ids from -1 to 2"),
        ([[-100, -100, -100]], "targets: found 3 of them, all -100"),
    ],
)
def test_targets_that_do_not_fit_are_refused_in_one_line(targets: list[list[int]], words: str) -> None:
    config, tokens = small_config(layers=1), np.array([[3, 4, 3]])
    weights = random_weights(config, 0)
    tensors = {name: torch.from_numpy(w) for name, w in weights.items()}
    model = eager.load(config, tensors, dtype="float64", device="cpu")
    with pytest.raises(ValueError, match=words):
        model.loss_and_grads(torch.from_numpy(tokens), torch.tensor(targets))
    with pytest.raises(ValueError, match="found"):
        loss_and_grads(config, weights, tokens, np.array(targets))


def test_the_weights_are_left_as_they_were() -> None:
    config = small_config(layers=1)
    tensors = {name: torch.from_numpy(w) for name, w in random_weights(config, 0).items()}
    model = eager.load(config, tensors, dtype="float64", device="cpu")
    before = {name: tensor.clone() for name, tensor in model.weights.items()}
    tokens = torch.tensor([[3, 4, 3]])
    model.loss_and_grads(tokens, tokens)
    for name, tensor in model.weights.items():
        assert torch.equal(tensor, before[name])
        assert not tensor.requires_grad
    moved = {"lm_head.weight": torch.zeros_like(before["lm_head.weight"])}
    assert model.loss(tokens, tokens, moved) == pytest.approx(np.log(67))
    with pytest.raises(ValueError, match=r"replace: found lm_head\.bias \(67,\), expected a tensor of the model"):
        model.loss(tokens, tokens, {"lm_head.bias": torch.zeros(67)})
