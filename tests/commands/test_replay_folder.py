"""`harness replay` of a failure of `hf:DIR`: the folder brings the weights that the claim was judged on."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from harness.checkpoint import INDEX
from harness.dtypes import round_to
from harness.evidence import store
from harness.falsifiers.model.decoder import synthetic_config
from harness.reference.random_weights import random_weights
from tests.support.command import as_json, harness
from tests.support.model.small_decoder import MODEL

CONFIG = synthetic_config(**MODEL) | {"architectures": ["Qwen2ForCausalLM"]}
CONTRACT = """metadata: {id: folder, version: 1.0.0, title: t, description: d}
falsification_tests:
- id: FALSIFY-FOLDER-001
  rule: The folder's logits are those of the tensors that its index names
  prediction: p
  if_fails: f
  falsifier: harness.falsifiers.model.checkpoint:parity
  baseline: harness.falsifiers.baselines.transformers.decoder
  given: {weights: "harness.models.stdlib_qwen2:build", length: 5, dtype: float32}
  accept: {rel_l2_err: {le: 1.0e-4, why: round-off is 1e-6}}
  mutants: [key_bias_dropped]
  ship_blocking: false
"""


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """(folder, counterexample) of a checkpoint whose index names a shard, with an older model.safetensors beside it.

    Everything that keeps to the index reads the shard; transformers takes the older file.
    """
    home = tmp_path_factory.mktemp("home")
    (home / "contracts").mkdir()
    (home / "contracts" / "folder.yaml").write_text(CONTRACT)
    model = home / "model"
    model.mkdir()
    weights = {name: round_to(w, "float32") for name, w in random_weights(CONFIG, 5).items()}
    (model / "config.json").write_text(json.dumps(CONFIG))
    save_file(weights, model / "model-00001-of-00001.safetensors", metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights, "model-00001-of-00001.safetensors")}
    (model / INDEX).write_text(json.dumps(index))
    older = weights | {"model.norm.weight": np.full_like(weights["model.norm.weight"], 1.5)}
    save_file(older, model / "model.safetensors", metadata={"format": "pt"})
    done = harness(home, "run", "contracts", "--candidate", "hf:model", "--device", "cpu", "--json")
    assert done.returncode == 1, done.stderr
    assert as_json(done)["counts"] == {"FALSIFIED": 1}, done.stdout
    claim = store.sealed(home / "evidence") / "claims" / "FALSIFY-FOLDER-001"
    return home, str(claim / "counterexample.json")


def test_it_is_replayed_on_the_folder_s_own_weights(failed):
    home, saved = failed
    again = harness(home, "replay", saved, "--candidate", "hf:model")
    assert again.returncode == 1, again.stdout + again.stderr
    assert "the same bytes as recorded" in again.stdout
    assert "violates  rel_l2_err le 0.0001" in again.stdout


def test_another_folder_is_refused_by_its_weights_and_a_mended_one_passes_on_the_recorded(failed, tmp_path):
    home, saved = failed
    other = tmp_path / "other"
    other.mkdir()
    for name in ("config.json", "model.safetensors"):
        (other / name).write_bytes((home / "model" / name).read_bytes())
    refused = harness(home, "replay", saved, "--candidate", f"hf:{other}")
    assert refused.returncode == 2
    assert "not the weights that the counterexample was found on" in refused.stderr
    mended = load_file(home / "model" / "model-00001-of-00001.safetensors")
    save_file(mended, other / "model.safetensors", metadata={"format": "pt"})
    done = harness(home, "replay", saved, "--candidate", f"hf:{other}", "--weights", "model")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "violates  nothing" in done.stdout
