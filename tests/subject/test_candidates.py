"""Candidates beside the default one: fused torch, compiled torch, and a Hugging Face folder."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from harness.candidates import torch as eager
from harness.candidates import torch_compile, torch_compile_static, torch_sdpa
from harness.candidates.torch_compile._compiled import kernels
from harness.case import Case
from harness.checkpoint import read_weights
from harness.commands.main import main
from harness.dtypes import FORMATS, round_to
from harness.errors import UserError
from harness.falsifiers import ops
from harness.falsifiers.inputs.checkpoint import read_checkpoint
from harness.falsifiers.model import kv_cache
from harness.falsifiers.model.checkpoint import parity as checkpoint_parity
from harness.falsifiers.model.decoder import logit_parity, logit_parity_stages, synthetic_config
from harness.reference.model.decoder import decoder_logits
from harness.reference.random_weights import random_weights
from harness.subject import candidate
from harness.subject.identity import identity
from harness.subject.trace import Trace
from tests.support.cpu_boundary import boundary
from tests.support.distance import rel_l2
from tests.support.laboratory import changed, examine, shipped
from tests.support.model.small_decoder import MODEL

CONFIG = synthetic_config(**MODEL) | {"architectures": ["Qwen2ForCausalLM"]}
NORM = {"op": "rmsnorm", "hidden": 96, "rows": 5, "std": 0.02, "eps": 1e-6}
ATTENTION = {"op": "attention", "heads": 4, "kv_heads": 2, "queries": 5, "keys": 9, "head_dim": 12, "value_dim": 12}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    weights = {name: round_to(w, "float32") for name, w in random_weights(CONFIG, 5).items()}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    return tmp_path


def edit(folder: Path, **keys: Any) -> None:
    (folder / "config.json").write_text(json.dumps({**CONFIG, **keys}))


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_fused_decoder_and_its_stages_equal_the_reference(dtype: str) -> None:
    trace = Trace()
    limit = 32 * FORMATS[dtype].unit_roundoff
    seen = logit_parity(boundary(torch_sdpa, dtype, trace), Case(dtype=dtype), **MODEL, length=21)
    assert rel_l2(*seen.pairs["logits"]) <= limit
    assert [trace.dtypes_wrong, trace.inputs_changed, trace.outputs_changed()] == [[], [], []]
    stages = logit_parity_stages(boundary(torch_sdpa, dtype), Case(dtype=dtype), **MODEL, length=21, replaced=True)
    assert len(stages) == 15 * 2 + 3
    assert all(rel_l2(got, want) <= limit for _, got, want in stages)


def test_fused_attention_really_is_another_kernel() -> None:
    answers = [
        target.attention(
            *(torch.randn(1, heads, 33, 16, generator=torch.Generator().manual_seed(1)) for heads in (4, 2, 2))
        )
        for target in (eager, torch_sdpa)
    ]
    assert not torch.equal(*answers)
    assert torch.allclose(*answers, atol=1e-5)


@pytest.mark.sample(1)
@pytest.mark.parametrize("compiled", [torch_compile_static, torch_compile], ids=["static", "dynamic"])
def test_compiled_norm_is_compiled_and_as_near_as_the_eager_one(compiled: ModuleType) -> None:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    errors = {
        target.__name__: rel_l2(*ops.parity(boundary(target, "float32"), Case(dtype="float32"), **NORM).pairs["out"])
        for target in (eager, compiled)
    }
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 1
    assert errors[compiled.__name__] <= 2 * errors[eager.__name__] + FORMATS["float32"].unit_roundoff / 4
    assert errors[eager.__name__] <= 4 * FORMATS["float32"].unit_roundoff


def test_one_kernel_in_dynamic_mode_and_a_kernel_per_shape_in_static_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """More shapes than torch compiles by default; the backend `eager` keeps the graphs and costs less than Inductor."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda op, **options: real(op, **options, backend="eager"))
    graphs = {}
    for dynamic in (True, False):
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        made = kernels(dynamic=dynamic)
        for size in range(2, 12):
            x = torch.randn(2, size, 8)
            assert torch.allclose(made.softmax(x, 1), torch.softmax(x, 1), atol=1e-6)
        graphs[dynamic] = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert graphs == {True: 1, False: 10}


def test_the_options_of_compiled_attention_are_no_new_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda op, **options: real(op, **options, backend="eager"))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    made = kernels(dynamic=True)
    padding = torch.tensor([0, 2])
    for options in ({}, {"causal": False}, {"window": 3}, {"offset": 2}, {"scale": 0.3}, {"padding": padding}):
        q, k = torch.randn(2, 4, 5, 8), torch.randn(2, 2, 7, 8)
        want = eager.attention(q, k, k, **options)
        assert torch.allclose(made.attention(q, k, k, **options), want, atol=1e-6), options
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 2  # a batch of masks is one more kind


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_folder_equals_the_reference_with_and_without_a_cache(folder: Path, dtype: str) -> None:
    target, limit = candidate.load(f"hf:{folder}"), 64 * FORMATS[dtype].unit_roundoff
    seen = checkpoint_parity(boundary(target, dtype), Case(dtype=dtype), weights=str(folder), length=9)
    assert rel_l2(*seen.pairs["logits"]) <= limit
    given = {"length": 6, "pad": 2, "steps": 2, "weights": str(folder)}
    seen = kv_cache.left_padded(boundary(target, dtype), Case(dtype=dtype), **given)
    assert rel_l2(*seen.pairs["logits"]) <= limit


def test_folder_is_compared_with_the_weights_that_the_claim_gives(folder: Path, tmp_path_factory: Any) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "config.json").write_bytes((folder / "config.json").read_bytes())
    save_file(
        load_file(folder / "model.safetensors") | {"model.norm.weight": np.ones(32, np.float32)},
        other / "model.safetensors",
    )
    target = candidate.load(f"hf:{folder}")
    seen = checkpoint_parity(boundary(target, "float32"), Case(), weights=str(other), length=5)
    assert rel_l2(*seen.pairs["logits"]) >= 1e-1


def test_folder_refuses_another_model_as_unsupported(folder: Path) -> None:
    with pytest.raises(Exception, match=r"the folder's own weights.*hidden_size differ") as found:
        logit_parity(boundary(candidate.load(f"hf:{folder}"), "float32"), Case(), **{**MODEL, "hidden": 48}, length=3)
    assert getattr(found.value, "unsupported", False)


def test_folder_without_a_tensor_is_no_random_model(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.self_attn.k_proj.bias"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"missing_keys \['model.layers.1.self_attn.k_proj.bias'\]"):
        candidate.load(f"hf:{folder}").load(CONFIG, {}, dtype="float32", device="cpu")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            {"model_type": "qwn2"},
            r"found model_type 'qwn2', expected one of the \d+ causal language models of .*: qwen2",
        ),
        (
            {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]},
            "found model_type 't5', expected one of",
        ),
        ({"model_type": None, "architectures": None}, "found model_type None"),
        ({"architectures": ["LlamaForCausalLM"]}, r"found LlamaForCausalLM \(qwen2\), expected Qwen2ForCausalLM"),
    ],
)
def test_unknown_architecture_is_one_line_with_the_nearest(folder: Path, keys: dict[str, Any], words: str) -> None:
    edit(folder, **keys)
    with pytest.raises(UserError, match=words) as found:
        candidate.load(f"hf:{folder}")
    assert "\n" not in str(found.value)


def test_a_changed_config_is_loaded_with_the_folder_s_own_weights(folder: Path) -> None:
    own = read_weights(folder)
    target, tokens = candidate.load(f"hf:{folder}"), np.arange(18).reshape(2, 9)
    answers = []
    for eps in (CONFIG["rms_norm_eps"], 0.5):
        changed = {**CONFIG, "rms_norm_eps": eps}
        got = boundary(target, "float64").load(changed, own).logits(tokens)
        assert rel_l2(got, decoder_logits(changed, own, tokens)) <= 1e-12
        answers.append(got)
    assert rel_l2(*answers) > 1e-3


def test_a_changed_config_with_another_model_s_weights_is_unverified(folder: Path) -> None:
    """One number of one tensor is enough, and the names and shapes may all be the same."""
    target, own = candidate.load(f"hf:{folder}"), read_weights(folder)
    changed = {**CONFIG, "rms_norm_eps": 0.5}
    other = {**own, "model.layers.1.mlp.down_proj.weight": own["model.layers.1.mlp.down_proj.weight"] + 1}
    fewer = {name: tensor for name, tensor in own.items() if "norm" not in name}
    for weights in (other, fewer, {**own, "one.more": np.ones(1, np.float32)}):
        with pytest.raises(Exception, match=r"the folder's own weights.*rms_norm_eps differ") as found:
            boundary(target, "float32").load(changed, weights)
        assert getattr(found.value, "unsupported", False)
    boundary(target, "bfloat16").load(changed, {name: round_to(tensor, "bfloat16") for name, tensor in own.items()})


def test_a_changed_config_that_transformers_refuses_is_one_line(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"transformers refuses the changed config: .*rms_norm_eps") as found:
        boundary(candidate.load(f"hf:{folder}"), "float32").load({**CONFIG, "rms_norm_eps": "x"}, read_weights(folder))
    assert "\n" not in str(found.value)


def test_missing_folder_and_bad_json_are_one_line(folder: Path) -> None:
    with pytest.raises(UserError, match="nowhere not found"):
        candidate.load("hf:nowhere", folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read as JSON"):
        candidate.load(f"hf:{folder}")


def test_identity_of_a_folder_changes_with_its_bytes(folder: Path) -> None:
    before = identity(f"hf:{folder}")
    assert before == identity(f"hf:{folder}")
    edit(folder, rms_norm_eps=1e-5)
    assert identity(f"hf:{folder}")["sha256"] != before["sha256"]


def test_the_reader_of_folders_is_no_candidate_of_its_own() -> None:
    with pytest.raises(
        UserError,
        match=r"no such built-in candidate \(cuda_graph, torch, torch_compile, torch_compile_static, torch_sdpa, "
        r"transformers\)",
    ):
        candidate.load("huggingface")


def test_run_takes_a_folder_as_its_own_weights(
    folder: Path, tmp_path_factory: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    contract = tmp_path_factory.mktemp("contract") / "contract.yaml"
    entry = """
- id: FALSIFY-{id}
  rule: logits
  prediction: p
  if_fails: f
  falsifier: harness.falsifiers.model.{falsifier}
  baseline: harness.falsifiers.baselines.transformers.decoder
  given: {given}
  accept: {{rel_l2_err: {{le: 1.0e-4, why: round-off is 1e-6}}}}
  mutants: [{mutant}]
  ship_blocking: false
"""
    text = "metadata: {id: folder, version: 1.0.0, title: t, description: d}\nfalsification_tests:"
    own = {"weights": "harness.models.stdlib_qwen2:build", "length": 5, "dtype": "float32"}
    text += entry.format(id="OWN-001", falsifier="checkpoint:parity", mutant="key_bias_dropped", given=json.dumps(own))
    made = {**MODEL, "hidden": 48, "length": 5, "dtype": "float32"}
    text += entry.format(
        id="MADE-001", falsifier="decoder:logit_parity", mutant="k_bias_dropped", given=json.dumps(made)
    )
    contract.write_text(text)
    evidence = str(tmp_path_factory.mktemp("evidence"))
    code = main(
        ["run", str(contract), "--candidate", f"hf:{folder}", "--device", "cpu", "--evidence", evidence, "--json"]
    )
    out, err = capfd.readouterr()
    assert code == 0, err
    found = json.loads(out)
    verdicts = {claim["id"]: claim["verdict"] for claim in found["claims"]}
    assert verdicts == {"FALSIFY-OWN-001": "DISCHARGED", "FALSIFY-MADE-001": "UNVERIFIED"}


@pytest.mark.parametrize(("scheme", "package", "extra"), [("hf", "transformers", "hf"), ("gguf", "numpy", "interop")])
def test_a_reader_that_is_not_installed_is_one_line_with_its_extra(
    folder: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, package: str, extra: str
) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    before = identity(f"{scheme}:{folder}")
    monkeypatch.setattr(candidate, "import_module", absent)
    with pytest.raises(UserError, match=f"needs {package}, which is not installed; pip install 'harness.{extra}.'"):
        candidate.load(f"{scheme}:{folder}")
    assert identity(f"{scheme}:{folder}") == before  # a gate has nothing installed that the candidate needs


def test_a_claim_that_knows_fewer_architectures_is_unverified_on_the_others(folder: Path) -> None:
    keys = {key: value for key, value in CONFIG.items() if key != "mlp_bias"}
    (folder / "config.json").write_text(json.dumps({**keys, "model_type": "qwen3", "attention_bias": False}))
    with pytest.raises(Exception, match="the checkpoint is a qwen3; this claim covers llama, qwen2") as found:
        read_checkpoint(str(folder), "float32")
    assert getattr(found.value, "unsupported", False)
    with pytest.raises(UserError, match=r"weights: .*q_norm.*give a checkpoint folder of deepseek_v3, .*qwen3,"):
        read_checkpoint(str(folder), "float32", any_family=True)


def test_a_folder_without_a_tokenizer_leaves_claims_on_text_unverified(folder: Path) -> None:
    claim, mutants = shipped("FALSIFY-DETOKENIZE-001")
    found = examine(changed(claim, given={**claim.given, "weights": str(folder)}), mutants, folder)
    judgement = found.judgement
    assert (judgement.verdict.name, "no tokenizer.json" in judgement.reason) == ("UNVERIFIED", True)
