"""Any Hugging Face folder as input: dtypes, shards, damage, and a run on somebody's weights."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from harness.checkpoint import INDEX, digest, read_config, read_weights
from harness.errors import UserError
from harness.judging.verdict import Verdict
from harness.trial.examine import examine
from harness.trial.job import Job
from tests.support.laboratory import shipped

LLAMA = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 256,
    "tie_word_embeddings": False,
}


def saved(folder, dtype=torch.float32, shard="1GB", **changes):
    """A small Llama with sharp weights, written by transformers."""
    torch.manual_seed(0)
    config = AutoConfig.for_model("llama", **{**LLAMA, **changes}, rope_theta=5e5)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("norm.weight"):
                weight.uniform_(0.5, 1.5)
            else:
                weight.normal_(0, weight.shape[-1] ** -0.5)
        model.model.embed_tokens.weight[::3] *= 1e-2
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shard", ["1GB", "20KB"])
def test_every_tensor_comes_back_as_transformers_wrote_it(tmp_path, dtype, shard):
    model = saved(tmp_path, dtype, shard)
    assert (tmp_path / INDEX).is_file() == (shard == "20KB")
    weights = read_weights(tmp_path)
    state = model.state_dict()
    assert set(weights) == set(state)
    for name, tensor in state.items():
        assert np.array_equal(weights[name].astype(np.float64), tensor.double().numpy()), name
    assert read_config(tmp_path)["num_hidden_layers"] == 2


def test_a_digest_changes_with_any_byte(tmp_path):
    saved(tmp_path)
    before = digest(tmp_path)
    file = tmp_path / "model.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(bytes(raw))
    assert digest(tmp_path) != before


def first_shard(folder):
    return sorted(folder.glob("model-*.safetensors"))[0]


def unlisted(folder):
    index = json.loads((folder / INDEX).read_text())
    name = next(n for n, file in index["weight_map"].items() if file == first_shard(folder).name)
    del index["weight_map"][name]
    (folder / INDEX).write_text(json.dumps(index))


def outside(folder):
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"]["lm_head.weight"] = "../secret.safetensors"
    (folder / INDEX).write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: first_shard(f).unlink(), "file not found, although the checkpoint's index lists it"),
        (lambda f: first_shard(f).write_bytes(first_shard(f).read_bytes()[:-9]), "not a complete safetensors file"),
        (lambda f: first_shard(f).write_bytes(b"GGUF" * 100), "not a complete safetensors file"),
        (unlisted, "not listed"),
        (outside, "expected a file in the folder"),
        (lambda f: (f / INDEX).write_text("{}"), "found no weight_map"),
        (lambda f: (f / INDEX).write_text("{"), "not JSON"),
        (lambda f: (f / INDEX).unlink(), "found neither model.safetensors nor"),
    ],
)
def test_a_damaged_folder_is_one_line(tmp_path, damage, words):
    saved(tmp_path, shard="20KB")
    damage(tmp_path)
    with pytest.raises(UserError) as told:
        read_weights(tmp_path)
    assert words in str(told.value)
    assert "\n" not in str(told.value)


def test_a_claim_on_somebody_elses_weights(tmp_path):
    """A Llama without biases: the mutants that drop biases do not apply, the others die."""
    saved(tmp_path / "llama", torch.bfloat16)
    (tmp_path / "work").mkdir()
    claim, mutants = shipped("FALSIFY-DECODER-TRAINED-001")
    job = Job(
        claim=claim,
        seed=0,
        device="cpu",
        candidate="torch",
        candidate_folder=str(tmp_path),
        mutants=mutants,
        weights=str(tmp_path / "llama"),
    )
    found = examine(job, lambda stage: None).judgement
    assert found.verdict is Verdict.PARTIAL, found.reason
    fate = {m["name"]: m["status"] if not m["killed"] else "killed" for m in found.mutants}
    assert fate["k_bias_dropped"] == fate["qkv_bias_dropped"] == "inapplicable"
    assert fate["eps_x10"] == fate["rope_theta_10000"] == fate["gqa_interleaved"] == "killed"
