"""The optimiser claims on trainers written otherwise, right and wrong: correct ones survive, wrong ones are named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from harness.contract.names.modules import Modules
from harness.judging.verdict import Verdict
from tests.support.laboratory import judged_alone
from tests.support.repository import CONTRACTS

FILES = ("adamw", "accumulation", "metrics", "train_copy", "optimizer_refusals")
MODULES = ("optim", "accumulation", "training_metrics", "train_copy", "optim_refusals")

NUMPY = """
import copy
import numpy as np

def adamw_step(w, g, m, v, *, step, lr, beta1, beta2, eps, weight_decay):
    f = w.dtype.type
    m = f(beta1) * m + f(1 - beta1) * g
    v = f(beta2) * v + f(1 - beta2) * g ** 2
    rate = f(lr * np.sqrt(1 - beta2 ** step) / (1 - beta1 ** step))
    return w - f(lr * weight_decay) * w - rate * m / (np.sqrt(v) + f(eps * np.sqrt(1 - beta2 ** step))), m, v

class accumulator:
    def __init__(self):
        self.reset()
    def reset(self):
        self.total, self.n = {}, 0
    def add(self, grads, tokens):
        self.n += tokens
        self.total = {k: self.total.get(k, 0) + g * np.float32(tokens) for k, g in grads.items()}
    def mean(self):
        return {k: g / np.float32(self.n) for k, g in self.total.items()}

def norm_of(grads):
    return np.sqrt(sum(np.sum(g * g) for g in grads.values()))

def clip_gradients(grads, max_norm):
    norm = norm_of(grads)
    return {k: g * norm.dtype.type(min(1, max_norm / norm)) for k, g in grads.items()}, norm

class optimizer:
    def __init__(self, weights, *, no_decay=(), max_norm=np.inf, loss_scale=1.0, growth_interval=None, **rates):
        self.w, self.no_decay, self.max_norm, self.rates = dict(weights), no_decay, max_norm, rates
        self.loss_scale, self.interval, self.t = loss_scale, growth_interval, 0
        self.m = {k: np.zeros_like(w) for k, w in weights.items()}
        self.v = {k: np.zeros_like(w) for k, w in weights.items()}
    def step(self, grads, tokens):
        total = accumulator()
        for part, n in zip(grads, tokens):
            total.add(part, n)
        mean = {k: (g / g.dtype.type(self.loss_scale)) for k, g in total.mean().items()}
        mean, norm = clip_gradients(mean, self.max_norm)
        self.t += 1
        for k, g in mean.items():
            rates = dict(self.rates)
            if k in self.no_decay:
                rates["weight_decay"] = 0.0
            self.w[k], self.m[k], self.v[k] = adamw_step(self.w[k], g, self.m[k], self.v[k], step=self.t, **rates)
        if self.interval and self.t % self.interval == 0:
            self.loss_scale *= 2
        return float(norm)
    def weights(self):
        return {k: w.copy() for k, w in self.w.items()}
    def state(self):
        return copy.deepcopy({"step": self.t, "m": self.m, "v": self.v})
    def load_state(self, state):
        self.t, self.m, self.v = state["step"], dict(state["m"]), dict(state["v"])

class training_metrics:
    def __init__(self):
        self.average_loss, self.all, self.gates = np.float32(0), [], []
    def record_loss(self, loss):
        loss = np.float32(loss)
        self.average_loss = self.average_loss * np.float32(0.99) + loss * np.float32(0.01) if self.all else loss
        self.all.append(loss)
    def record_gate(self, aligned):
        self.gates.append(aligned)
    history = property(lambda self: [float(x) for x in self.all[-100:]])
    gate_alignment = property(lambda self: sum(self.gates) / max(len(self.gates), 1))
    converged = property(lambda self: len(self.gates) >= 1000 and self.gate_alignment >= 0.95)
    @property
    def loss_trend(self):
        if len(self.all) < 20:
            return None
        return float(np.mean(self.all[-10:]) - np.mean(self.all[-20:-10]))

class trainer_copy:
    def __init__(self, weights, **rates):
        self.read, self.o = dict(weights), optimizer(weights, **rates)
    def inference_weights(self):
        return self.read
    def step(self, grads):
        self.o.step([grads], [1])
    def swap(self):
        self.read = self.o.weights()
"""

MISTAKES = [
    ("FALSIFY-ADAMW-STEP-001", "+ f(eps * np.sqrt(1 - beta2 ** step))", "+ f(eps)", "w"),
    ("FALSIFY-ADAMW-STEP-001", "g ** 2", "np.abs(g)", "v"),
    ("FALSIFY-ADAMW-TRAJECTORY-001", 'rates["weight_decay"] = 0.0', "pass", "w (layers.0.bias|norm.weight|head.bias)"),
    ("FALSIFY-ADAMW-RESUME-001", 'state["step"], dict', "0, dict", "w .*"),
    ("FALSIFY-ACCUMULATION-001", "self.n += tokens", "self.n += 1", "round [01] .*"),
    (
        "FALSIFY-CLIP-001",
        "clip_gradients(grads, max_norm):\n    norm = ",
        "clip_gradients(grads, max_norm):\n    norm = 2 * ",
        "norm|grad .*",
    ),
    ("FALSIFY-UPDATE-ORDER-001", "g / g.dtype.type(self.loss_scale)", "g", "norms|w .*"),
    ("FALSIFY-METRICS-LOSS-001", "if self.all else loss", "", "average_error"),
    ("FALSIFY-TRAIN-COPY-001", "self.read = self.o.weights()", "self.read = self.o.w", "(after|swapped again) .*"),
    # Last: its thousand steps are left to `make trust`; another claim on metrics stays in the sample.
    ("FALSIFY-METRICS-CONVERGED-001", "len(self.gates) >= 1000", "len(self.gates) > 1000", "wrong_verdicts"),
]


@pytest.mark.sample(8)
@pytest.mark.parametrize("claim_id", dict.fromkeys(claim_id for claim_id, *_ in MISTAKES))
def test_a_correct_trainer_in_numpy_written_otherwise_is_not_accused(claim_id, tmp_path: Path) -> None:
    """Another order of operations, no 1e-6 beside the norm, metrics in float32."""
    found = judged_alone(claim_id, tmp_path, NUMPY, mutants=[])
    assert not found.violated, found.reason
    assert found.verdict is not Verdict.UNVERIFIED, found.reason


@pytest.mark.sample(9)
@pytest.mark.parametrize(("claim_id", "right", "wrong", "where"), MISTAKES)
def test_a_mistake_in_it_is_found_and_its_place_named(claim_id, right, wrong, where, tmp_path: Path) -> None:
    assert right in NUMPY
    found = judged_alone(claim_id, tmp_path, NUMPY.replace(right, wrong), mutants=[], budget_s=0)
    assert found.verdict is Verdict.FALSIFIED, found.reason
    places = {v["pair"] for v in found.violated if v["pair"]} | {v["measure"] for v in found.violated}
    assert any(re.fullmatch(where, place) for place in places), places


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_trainer_without_checks_is_told_so_by_the_refusals_alone(tmp_path: Path) -> None:
    found = judged_alone("FALSIFY-OPTIMIZER-REFUSALS-001", tmp_path, NUMPY, mutants=[])
    assert found.verdict is Verdict.FALSIFIED
    assert {violation["pair"] for violation in found.violated} <= {"named", "kept"}


def test_every_mutant_belongs_to_a_claim() -> None:
    contracts = [yaml.safe_load((CONTRACTS / "training" / f"{name}.yaml").read_text()) for name in FILES]
    named = {
        mutant
        for contract in contracts
        for claim in contract["falsification_tests"]
        if claim["id"] != "FALSIFY-LOSS-SCALE-OVERFLOW-001"  # its mutants stand in a module of its own
        for mutant in claim["mutants"]
    }
    assert named == {mutant for module in MODULES for mutant in listed(module)}


def listed(module: str) -> list[str]:
    """A module's mutants, as `validate` reads them."""
    modules = Modules()
    return list(modules.source(modules.file(f"harness.falsifiers.training.mutants.{module}")).mutants())
