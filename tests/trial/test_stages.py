"""Localisation: the shared rule, planted faults, and a user's wrong decoder named in the story."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from harness.candidates.torch.model import decoder as candidate
from harness.case import Case
from harness.contract.cases import CaseSpec
from harness.falsifiers.model.localisation import planted_fault
from harness.localisation import BAD_U, convicted, error_u
from harness.subject.boundary import Boundary
from harness.subject.trace import Trace
from harness.trial.experiment import Experiment
from harness.trial.stages import localise
from tests.support.command import harness
from tests.support.laboratory import changed, examine, shipped
from tests.support.repository import CONTRACTS, ROOT

HEAD = "import torch\nfrom harness.candidates.torch.model import decoder as right\nARRAYS = 'torch'\n"
BUGS = {
    "k_bias_dropped": (
        "def load(config, weights, *, dtype, device):\n"
        "    lost = {n: torch.zeros_like(w) if n.endswith('k_proj.bias') else w for n, w in weights.items()}\n"
        "    return right.load(config, lost, dtype=dtype, device=device)\n",
        [f"layers.{i}.k_proj" for i in range(2)],
    ),
    "eps": (
        "def load(config, weights, *, dtype, device):\n"
        "    return right.load({**config, 'rms_norm_eps': 1e-4}, weights, dtype=dtype, device=device)\n",
        ["layers.0.input_norm", "layers.0.post_norm", "layers.1.input_norm", "layers.1.post_norm", "final_norm"],
    ),
    "theta": (
        "def load(config, weights, *, dtype, device):\n"
        "    rope = {'rope_type': 'default', 'rope_theta': 10000.0}\n"
        "    wrong = {**config, 'rope_theta': 10000.0, 'rope_parameters': rope}\n"
        "    return right.load(wrong, weights, dtype=dtype, device=device)\n",
        [f"layers.{i}.{name}" for i in range(2) for name in ("rope_q", "rope_k")],
    ),
    "scale": (
        "class Scores:\n"
        "    def __init__(self, model): self.model = model\n"
        "    def logits(self, tokens): return self.stages(tokens)['logits']\n"
        "    def stages(self, tokens, replace=None):\n"
        "        given, wrong = dict(replace or {}), {}\n"
        "        for i in range(self.model.layers):\n"
        "            at = f'layers.{i}.scores'\n"
        "            wrong[at] = self.model.stages(tokens, given)[at] * self.model.head_dim ** -0.5\n"
        "            given.setdefault(at, wrong[at])\n"
        "        return {**self.model.stages(tokens, given), **wrong}\n"
        "def load(config, weights, *, dtype, device):\n"
        "    return Scores(right.load(config, weights, dtype=dtype, device=device))\n",
        [f"layers.{i}.scores" for i in range(2)],
    ),
    "gqa_map": (
        "def load(config, weights, *, dtype, device):\n"
        "    kv = config['num_key_value_heads']\n"
        "    def swap(w): return w.unflatten(0, (kv, -1)).flip(0).flatten(0, 1)\n"
        "    wrong = {n: swap(w) if '.v_proj.' in n else w for n, w in weights.items()}\n"
        "    return right.load(config, wrong, dtype=dtype, device=device)\n",
        [f"layers.{i}.v_proj" for i in range(2)],
    ),
}


def small(**fields):
    """FALSIFY-DECODER-LOGITS-001 cut to what a test needs."""
    entry = {
        "explore": {"dtype": {"choices": ["float32"]}, "length": {"choices": [9]}},
        "examples": 1,
        "accept": {"err_ratio": {"le": 2.0, "why": "as shipped"}},
        "mutants": ["k_bias_dropped"],
        "budget_s": 5,
    }
    fixed = {"model_type": "qwen2", "tied": False, "biases": True, "rope_theta": 1e6, "eps": 1e-6}
    sizes = {"layers": 2, "hidden": 32, "intermediate": 48, "heads": 4, "kv_heads": 2, "head_dim": 12, "vocab": 67}
    return {**entry, "given": {**sizes, **fixed}, **fields}


def test_a_stage_bad_on_its_own_outranks_an_inherited_error():
    alone, through = {"a": 1.0, "b": 2.0, "c": 100.0}, {"a": 1.0, "b": 90.0, "c": 500.0}
    assert convicted(alone, through) == {"first_divergent": "c", "independently_bad": ["c"]}
    assert convicted({"a": 1.0, "b": 2.0}, through) == {"first_divergent": "b", "independently_bad": []}
    assert convicted({"a": 1.0}, {"a": 1.0}) == {"first_divergent": None, "independently_bad": []}


def test_nan_and_a_wrong_shape_are_bad():
    want = np.ones((2, 3), np.float32)
    assert math.isnan(error_u(np.full_like(want, np.nan), want, "float32"))
    assert math.isnan(error_u(want[:1], want, "float32"))
    assert convicted({"a": math.nan}, {})["independently_bad"] == ["a"]
    assert error_u(want * (1 + 2 * BAD_U * 2.0**-24), want, "float32") > BAD_U > error_u(want, want, "float32")


@pytest.mark.parametrize(("dtype", "stage", "also"), [("float32", "rope_k", ""), ("bfloat16", "scores", "down_proj")])
def test_a_planted_fault_is_named_and_one_inside_round_off_is_not(dtype, stage, also):
    def seen(fault_u):
        subject = Boundary(candidate, role="candidate", dtype=dtype, device="cpu", trace=Trace())
        case = Case(dtype=dtype)
        found = planted_fault(subject, case, stage=stage, also=also, fault_u=fault_u, model_type="qwen2", tied=False)
        return {name: np.array_equal(got, want) for name, (got, want) in found.pairs.items()}

    assert all(seen(4 * BAD_U).values())
    faint = seen(BAD_U / 4)
    assert not faint["first"]
    assert not faint["bad"]


@pytest.mark.parametrize("bug", BUGS)
def test_a_wrong_decoder_is_convicted_of_the_right_stages(bug, tmp_path):
    source, stages = BUGS[bug]
    (tmp_path / "kernel.py").write_text(HEAD + source, encoding="utf-8")
    claim, mutants = shipped("FALSIFY-DECODER-LOGITS-001")
    found = examine(changed(claim, **small()), {"k_bias_dropped": mutants["k_bias_dropped"]}, tmp_path, "kernel.py")
    assert found.judgement.verdict.name == "FALSIFIED"
    assert found.follow_up.stages["independently_bad"] == stages
    assert found.follow_up.stages["first_divergent"] == stages[0]


ONE_NORM = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import torch
from examples.torch_decoder import Port

ARRAYS = "torch"

def load(config, weights, *, dtype, device):
    model = Port().load(config, weights, dtype=dtype, device=device)
    model.model.layers[1].post_attention_layernorm.eps = 2e-6
    return model
"""


def test_one_norm_whose_eps_is_faint_in_float32_is_convicted_in_float64(tmp_path):
    (tmp_path / "kernel.py").write_text(ONE_NORM, encoding="utf-8")
    claim, mutants = shipped("FALSIFY-DECODER-LOGITS-001")
    entry = small(
        explore={"dtype": {"choices": ["float64"]}, "length": {"choices": [9]}},
        accept={"rel_l2_err": {"le": 1e-12, "why": "as shipped"}},
    )
    found = examine(changed(claim, **entry), {"k_bias_dropped": mutants["k_bias_dropped"]}, tmp_path, "kernel.py")
    assert found.judgement.verdict.name == "FALSIFIED"
    told = found.follow_up.stages
    assert (told["dtype"], told["independently_bad"]) == ("float64", ["layers.1.post_norm"])


@pytest.mark.parametrize(("off_in_float64", "told"), [("abcd", ("float32", [])), ("c", ("float64", ["c"]))])
def test_a_decoder_that_is_float32_inside_is_not_blamed_stage_by_stage(off_in_float64, told):
    """In float64 every stage of it is off by float32's round-off, which convicts none; one alone is a fault."""
    want = np.ones((2, 3))

    def stages(subject, case, *, replaced):
        off = {"a": 0, "b": 0, "c": 0, "d": 0 if replaced else 1e-5}
        if case.dtype == "float64":
            off = {name: 1e-7 if name in off_in_float64 else 0 for name in off}
        kind = np.dtype(case.dtype)
        return [(name, (want * (1 + error)).astype(kind), want.astype(kind)) for name, error in off.items()]

    claim = Experiment(lambda: None, {}, [], frozenset(), "cpu", SimpleNamespace())
    found = localise(claim, stages, CaseSpec(index=0, seed=0, dtype="float32", params={}))
    assert (found["dtype"], found["independently_bad"]) == told


def test_the_printed_story_names_the_stage(tmp_path):
    contract = yaml.safe_load((CONTRACTS / "model" / "decoder.yaml").read_text(encoding="utf-8"))
    contract["falsification_tests"] = [{**contract["falsification_tests"][0], **small(discharges_on=["cpu"])}]
    (tmp_path / "decoder.yaml").write_text(yaml.safe_dump(contract), encoding="utf-8")
    (tmp_path / "kernel.py").write_text(HEAD + BUGS["k_bias_dropped"][0], encoding="utf-8")
    done = harness(tmp_path, "run", "decoder.yaml", "--candidate", "kernel.py", "--device", "cpu")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "layers.0.k_proj" in done.stdout
    (page,) = Path(tmp_path / "evidence").glob("*/claims/*/stages.json")
    assert json.loads(page.read_text())["independently_bad"] == [f"layers.{i}.k_proj" for i in range(2)]
