"""The random folders of every family: transformers reads them whole, in float64 throughout, and every option shows."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors.torch import load_file

from harness.errors import UserError
from harness.models.families import FAMILIES
from harness.models.families.folder import config_of, write
from tests.support.model import in_float64
from tests.support.model.low_precision import LowPrecision, rounded_buffers
from tests.support.model.turned import options, turned

TOKENS = torch.randint(3, 83, (1, 40), generator=torch.Generator().manual_seed(1))
"""Longer than every window, original context and chunk, but for the variants named short."""
SEEN, UNSEEN = 1e-5, 1e-12
"""Relative L2: an option shows above the first; what is inert stays below the second."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(family, variant) -> its folder, written once."""

    @functools.cache
    def written(family: str, variant: str) -> Path:
        path = tmp_path_factory.mktemp(f"{family}-{variant}")
        write(family, path, variant)
        return path

    return written


@functools.cache
def loaded(path: Path) -> Any:
    return in_float64.load(path)


def variants() -> list[tuple[str, str]]:
    """(family, variant), every family's first one first: those are the sample."""
    found = [(place, family, name) for family, known in FAMILIES.items() for place, name in enumerate(known.variants)]
    return [(family, name) for _, family, name in sorted(found, key=lambda each: each[0])]


@pytest.mark.sample(28)
@pytest.mark.parametrize(("family", "variant"), variants())
def test_transformers_reads_the_folder_whole(folder: Any, family: str, variant: str) -> None:
    path = folder(family, variant)
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    assert (config["model_type"], config["architectures"]) == (family, [FAMILIES[family].architecture])
    model = loaded(path)
    assert type(model).__name__ == FAMILIES[family].architecture
    stored = load_file(path / "model.safetensors")
    if stored.keys() != in_float64.untied(model).keys():
        assert FAMILIES[family].disk
    for name, tensor in stored.items():
        assert tensor.isfinite().all(), name
        assert not (tensor == 1).any(), name
        # transformers starts with equal numbers, or with a spread of 0.02; a layer_scalar is one number.
        assert tensor.numel() == 1 or tensor.std() > 0.05, name
    with LowPrecision() as low:
        out = in_float64.forward(model, TOKENS)
    assert out.isfinite().all()
    assert low.seen == {}
    assert rounded_buffers(model) == []
    assert {str(each.dtype) for each in [*model.parameters(), *model.buffers()]} == {"torch.float64"}


@pytest.mark.sample(4)
@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_by_itself_rounds_to_float32(folder: Any, family: str) -> None:
    """What the two checks above look for is there when nothing is widened."""
    from transformers import AutoModelForCausalLM

    path = folder(family, next(iter(FAMILIES[family].variants)))
    model = AutoModelForCausalLM.from_pretrained(
        path, dtype=torch.float64, attn_implementation="eager", experts_implementation="eager"
    )
    with torch.no_grad(), LowPrecision() as low:
        narrow = model(input_ids=TOKENS, use_cache=False).logits
    wide = in_float64.forward(loaded(path), TOKENS)
    assert low.seen
    assert any("inv_freq" in name for name in rounded_buffers(model)) or family in ("mamba2", "nemotron_h")
    assert 1e-9 < distance(narrow.double(), wide) < 1e-3


@pytest.mark.sample(4)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_option_shows_in_the_logits(folder: Any, family: str) -> None:
    """Turned one at a time, each key moves the logits or asks for other tensors, but for those named inert."""
    wrong = []
    for variant, key, value in options(family):
        model = loaded(folder(family, variant))
        moved = movement(model, family, turned(family, variant, key))
        inert = {key, f"{variant}:{key}"} & FAMILIES[family].inert.keys()
        if not (moved < UNSEEN if inert else moved > SEEN):
            wrong.append(f"{variant}: {key} {value!r}: {moved:.1e}{', named inert' if inert else ''}")
    assert wrong == []


def movement(model: Any, family: str, keys: dict[str, Any]) -> float:
    """Relative L2 between a model and its tensors under another config; infinite if that needs other tensors."""
    try:
        other = in_float64.of_config(family, keys, in_float64.untied(model))
        return distance(in_float64.forward(other, TOKENS), reference(model))
    except (ValueError, RuntimeError, StrictDataclassError):
        return float("inf")


@functools.cache
def reference(model: Any) -> Any:
    return in_float64.forward(model, TOKENS)


def distance(got: Any, want: Any) -> float:
    return float((got - want).norm() / want.norm())


def test_the_same_tensors_under_the_same_config_do_not_move(folder: Any) -> None:
    for family, variant in [("qwen3", "tied"), ("mixtral", "plain"), ("mamba2", "clamped")]:
        assert movement(loaded(folder(family, variant)), family, config_of(family, variant)) == 0


def test_shards_and_their_index(tmp_path: Path, folder: Any) -> None:
    write("mixtral", tmp_path, "plain", shards=3)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text(encoding="utf-8"))
    names = set(index["weight_map"].values())
    assert len(names) >= 3
    parts = {name: tensor for file in names for name, tensor in load_file(tmp_path / file).items()}
    whole = load_file(folder("mixtral", "plain") / "model.safetensors")
    assert parts.keys() == whole.keys() == index["weight_map"].keys()
    assert all(torch.equal(parts[name], whole[name]) for name in whole)
    assert torch.equal(
        in_float64.forward(in_float64.load(tmp_path), TOKENS), reference(loaded(folder("mixtral", "plain")))
    )


def test_another_seed_is_another_model(tmp_path: Path, folder: Any) -> None:
    write("qwen3", tmp_path, "plain", seed=1)
    assert (
        distance(in_float64.forward(in_float64.load(tmp_path), TOKENS), reference(loaded(folder("qwen3", "plain")))) > 1
    )


def test_only_a_family_whose_names_differ_says_so(folder: Any) -> None:
    for family, known in FAMILIES.items():
        path = folder(family, next(iter(known.variants)))
        names = load_file(path / "model.safetensors").keys()
        assert bool(known.disk) == (names != in_float64.untied(loaded(path)).keys())


def test_every_family_has_three_configs() -> None:
    assert {family: len(known.variants) for family, known in FAMILIES.items() if len(known.variants) < 3} == {}


@pytest.mark.parametrize(
    ("family", "variant", "message"),
    [("lama", "", "found family 'lama', expected one of llama, "), ("llama", "yam", "found variant 'yam' of llama, ")],
)
def test_an_unknown_name_is_one_line(tmp_path: Path, family: str, variant: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        write(family, tmp_path, variant)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []
