"""CONTRIBUTING's steps for an architecture, carried out on a scratch copy: Mistral, a Llama under another name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.support.scratch import edited, harness_in, scratch_copy, section

STEPS = {
    "harness/reference/model/decoder_config.py": ('("llama", "qwen2")', '("llama", "qwen2", "mistral")'),
    "harness/candidates/torch/model/decoder.py": ('("llama", "qwen2")', '("llama", "qwen2", "mistral")'),
    "harness/formats/architecture.py": ('KNOWN = ("llama", ', 'KNOWN = ("mistral", "llama", '),
    "harness/formats/gguf_plan.py": ('ARCHITECTURES = {"llama"', 'ARCHITECTURES = {"mistral": "llama", "llama"'),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Mistral of two layers, as transformers saves it."""
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    config = MistralConfig(
        hidden_size=48,
        intermediate_size=80,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=16,
        vocab_size=96,
        max_position_embeddings=256,
        sliding_window=None,
    )
    path = tmp_path_factory.mktemp("mistral")
    MistralForCausalLM(config).save_pretrained(path)
    return path


def trained(here: Path, *candidate: str) -> tuple[int, dict[str, str]]:
    """Exit code and the claim on the logits of a checkpoint folder."""
    words = ["run", "contracts/model/decoder.yaml", "-k", "DECODER-TRAINED", "--device", "cpu", "--json"]
    done = harness_in(here, *words, *candidate)
    claims = json.loads(done.stdout)["claims"] if done.stdout else []
    (claim,) = [claim for claim in claims if claim["id"] == "FALSIFY-DECODER-TRAINED-001"] or [{"reason": done.stderr}]
    return done.returncode, claim


def test_an_architecture_is_named_where_the_steps_say_and_nowhere_else(tmp_path: Path, folder: Path) -> None:
    steps = section("An architecture")
    here = scratch_copy(tmp_path)
    # One case per dtype: whether the folder is read and opened is asked here, not how exact the logits are.
    contract, lengths = here / "contracts" / "model" / "decoder.yaml", "    length: {choices: [%s]}\n  examples: %d\n"
    edited(contract, lengths % ("17, 1, 128", 9), lengths % ("17", 3))
    code, before = trained(here, "--weights", str(folder))
    assert code == 1
    assert "found model_type 'mistral', expected one of llama, qwen2" in before["reason"]
    for file, (old, new) in STEPS.items():
        assert f"`{file}`" in steps, file
        edited(here / file, old, new)
    for candidate in (["--weights", str(folder)], ["--candidate", f"hf:{folder}"]):
        code, after = trained(here, *candidate)
        assert (code, after.get("verdict")) == (0, "PARTIAL"), after
    exported = harness_in(here, "export", str(folder), str(here / "m.gguf"), "--no-tokenizer")
    assert exported.stdout.startswith(f"{here / 'm.gguf'}: llama, ")
