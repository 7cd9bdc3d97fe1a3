"""CONTRIBUTING's steps for a family, carried out on a scratch copy: StarCoder 2, in one file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.models.families.folder import write
from tests.support.scratch import edited, harness_in, scratch_copy, section

FILE = "harness/reference/model/families/<family>.py"
STARCODER2 = '''"""StarCoder 2: LayerNorm, a plain feed-forward, biases."""

from __future__ import annotations

from dataclasses import replace

from harness.reference.model.declaration import Norm
from harness.reference.model.families.keys import Keys
from harness.reference.model.families.layout import family, stored
from harness.reference.model.families.llama import ALL, attention_of, decoder_of, feed_of, pre_norm
from harness.reference.model.tensors import Stored


@family()
def starcoder2(keys: Keys) -> Stored:
    """Source: transformers' Starcoder2ForCausalLM; arXiv:2402.19173."""
    bias, norm = keys.flag("use_bias", True), Norm(keys.positive("norm_epsilon", 1e-5), kind="layer")
    attention = replace(attention_of(keys, ALL if bias else frozenset()), window=keys.get("sliding_window", None))
    feed = replace(feed_of(keys, bias=bias), gated=False)
    blocks = (pre_norm(attention, feed, norm),) * keys.count("num_hidden_layers")
    names = {"up": "mlp.c_fc", "down": "mlp.c_proj"}
    return stored("starcoder2", keys, decoder_of(keys, blocks, norm, tied=True), names)
'''


def trained(here: Path, folder: Path) -> dict[str, str]:
    """The claim on the logits of a checkpoint folder, without its mutants."""
    words = ["run", "contracts/model/checkpoint.yaml", "-k", "DECODER-TRAINED", "--device", "cpu", "--json"]
    done = harness_in(here, *words, "--candidate", f"hf:{folder}", "--no-mutants")
    (claim,) = [claim for claim in json.loads(done.stdout)["claims"] if claim["id"] == "FALSIFY-DECODER-TRAINED-001"]
    return claim


def reference(here: Path, folder: Path) -> str:
    """Which reference `harness inspect` gives the folder."""
    found: str = json.loads(harness_in(here, "inspect", str(folder), "--json").stdout)["keys"]["reference"]
    return found


@pytest.mark.parametrize("variant", ["plain", "window"])
def test_a_family_is_one_file(tmp_path: Path, variant: str) -> None:
    folder = tmp_path / "starcoder2"
    write("starcoder2", folder, variant)
    here = scratch_copy(tmp_path)
    assert f"`{FILE}`" in section("An architecture")
    # One case per dtype: whether the family is read is asked here, not how exact the logits are.
    lengths = "    length: {choices: [%s]}\n  examples: %d\n"
    edited(here / "contracts/model/checkpoint.yaml", lengths % ("17, 1, 128", 9), lengths % ("17", 3))
    assert "transformers in float64 (config: found model_type 'starcoder2'" in reference(here, folder)
    (here / FILE.replace("<family>", "starcoder2")).write_text(STARCODER2)
    assert len(STARCODER2.splitlines()) <= 60
    assert reference(here, folder) == "declared: starcoder2"
    after = trained(here, folder)
    assert after["cause"] == "mutants_left_out", after
