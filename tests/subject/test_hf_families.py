"""`hf:DIR` for every declared family: logits, stages, faults named where they are planted, caches, in float64."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.candidates.huggingface import open
from harness.candidates.huggingface.decoder import CannotCache
from harness.candidates.huggingface.places import Place
from harness.checkpoint import read_weights
from harness.models.families import FAMILIES as WRITTEN
from harness.models.families.folder import config_of, write
from harness.reference.model.decoder import decoder_forward, decoder_logits
from harness.reference.model.decoder_cache import decode, prefill
from harness.reference.model.families import FAMILIES, declare
from tests.support.distance import rel_l2

TOKENS = np.random.default_rng(7).integers(3, 83, (3, 37))
"""Longer than every window, original context and chunk."""
SHORT = TOKENS[:2, :19]
EXACT, SAME = 1e-12, 1e-10
INSIDE = {"rope_q", "rope_k", "scores", "probs", "temperature"}
"""Stages that are computed between modules."""
HIDDEN = {
    "gemma4_text": {"mlp_residual"},  # multiplied by layer_scalar before the layer gives it
    "qwen3_5_text": {"attn"},  # multiplied by the gate before a module reads it
    "qwen3_5_moe_text": {"attn", "shared_expert"},
    "qwen3_next": {"attn", "shared_expert"},
}
STEPS, BIAS, ROTARY = "limits its time steps", "masks padding before in_proj", "changes its rotary frequencies"
CANNOT = {
    **dict.fromkeys([("falcon_h1", "normed"), ("granitemoehybrid", "nope"), ("mamba2", "clamped")], STEPS),
    **{("nemotron_h", v): STEPS for v in ("plain", "whole", "latent")},
    **dict.fromkeys([("llama", "dynamic"), ("llama", "longrope"), ("mistral", "tied"), ("phi3", "long")], ROTARY),
}
"""(family, variant) -> why transformers' cached pass is not its uncached one."""
LEAKS = {("falcon_h1", "normed"), ("granitemoehybrid", "nope"), ("mamba2", "clamped"), ("nemotron_h", "latent")}
"""Whose padding is not masked."""
GROWS = {("llama", "dynamic"), ("mistral", "tied")}
"""Whose frequencies change with every token past the original context."""


class Model:
    """A folder with its reference: config and weights; `load` gives the candidate in float64, anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config: dict[str, Any] = json.loads((path / "config.json").read_text(encoding="utf-8"))
        self.weights = read_weights(path)
        self.loaded = self.load()

    def load(self) -> Any:
        return open(str(self.path)).load(self.config, {}, dtype="float64", device="cpu")

    @functools.cached_property
    def want(self) -> dict[str, np.ndarray]:
        return decoder_forward(self.config, self.weights, SHORT)[1]

    @functools.cached_property
    def given(self) -> dict[str, torch.Tensor]:
        return {name: torch.as_tensor(value) for name, value in self.want.items()}

    def bad(self, loaded: Any) -> list[str]:
        """Stages that differ when each reads the reference's values, in the order of computation."""
        got = loaded.stages(torch.as_tensor(SHORT), replace=self.given)
        return [name for name in self.want if name in got and not rel_l2(got[name].numpy(), self.want[name]) <= SAME]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Model]:
    """(family, variant) -> its model, written once; the first variant if none is named."""

    @functools.cache
    def made(family: str, variant: str = "") -> Model:
        path = tmp_path_factory.mktemp(f"{family}-{variant}")
        write(family, path, variant)
        return Model(path)

    return made


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_every_stage_that_a_module_shows_equal_the_reference(model: Any, family: str) -> None:
    own = model(family)
    loaded = own.load()
    got = {name: value.numpy() for name, value in loaded.stages(torch.as_tensor(SHORT)).items()}
    assert {name: got[name].shape for name in got} == {name: own.want[name].shape for name in got}
    assert {name.split(".")[-1] for name in own.want.keys() - got} <= INSIDE | HIDDEN.get(family, set())
    assert max(rel_l2(got[name], own.want[name]) for name in got) <= SAME
    want = decoder_logits(own.config, own.weights, TOKENS)
    assert rel_l2(loaded.logits(torch.as_tensor(TOKENS)).numpy(), want) <= EXACT


@pytest.mark.parametrize("family", ["llama", "mamba2", "nemotron_h"])
def test_logits_have_the_run_s_dtype_where_the_model_widens_them(model: Any, family: str) -> None:
    own = model(family)
    got = open(str(own.path)).load(own.config, {}, dtype="bfloat16", device="cpu").logits(torch.as_tensor(SHORT))
    assert got.dtype == torch.bfloat16
    assert 1e-4 < rel_l2(got.float().numpy(), own.want["logits"]) < 0.3


@pytest.mark.parametrize("family", FAMILIES)
def test_each_stage_reads_what_replaces_the_others(model: Any, family: str) -> None:
    """Replaced by wrong values, stages move what reads them as in the reference; a router's logits are only read."""
    own, random = model(family), np.random.default_rng(3)
    shown = [name for name in own.want if name in own.loaded.places and not name.endswith(".router")]
    given = {name: own.want[name] * (1 + 0.2 * random.standard_normal()) for name in shown}
    _, want = decoder_forward(own.config, own.weights, SHORT, replace=given)
    got = own.loaded.stages(torch.as_tensor(SHORT), {name: torch.as_tensor(value) for name, value in given.items()})
    assert {name for name in got if not rel_l2(got[name].numpy(), want[name]) <= SAME} == set()
    moved = [name for name in got if not rel_l2(want[name], own.want[name]) <= SAME]
    assert len(moved) > len(got) / 2


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fault_in_a_stage_of_each_kind_is_found_there_and_nowhere_else(model: Any, family: str) -> None:
    own = model(family)
    assert own.bad(own.loaded) == []
    kinds = {name.split(".")[-1]: name for name in own.want if name in own.loaded.places}
    found = {}
    for name in kinds.values():
        with fault(own.loaded, name):
            found[name] = own.bad(own.loaded)
    # The router's weights are computed inside of the router, from its own logits.
    twice = {name: [name, f"{name}_weights"] for name in kinds.values() if name.endswith(".router")}
    assert found == {name: [name] for name in kinds.values()} | twice


@contextlib.contextmanager
def fault(loaded: Any, name: str) -> Iterator[None]:
    """Meanwhile one stage is computed 1 % too large: by the module that gives it, or by what calls its reader."""
    place = loaded.places[name]
    module = loaded.module.get_submodule(place.module)
    forward = module.forward
    if place.side == "in":
        # Before the hooks of `stages`; in place, as the residual stream is another name of the same tensor.
        planted = module.register_forward_pre_hook(_enlarge, prepend=True)
        yield
        planted.remove()
    elif name.endswith(".router"):
        with torch.no_grad():
            module.weight *= 1.01
            yield
            module.weight /= 1.01
    else:
        module.forward = lambda *given, **named: _larger(forward(*given, **named), place)
        yield
        module.forward = forward


def _enlarge(_: Any, given: Any) -> None:
    given[0].mul_(1.01)


def _larger(out: Any, place: Place) -> Any:
    if place.side == "routed":
        return out[0], out[1] * 1.01, out[2]
    first = (out[0] if isinstance(out, tuple) else out).clone()
    first[..., slice(None) if place.columns is None else place.columns] *= 1.01
    return (first, *out[1:]) if isinstance(out, tuple) else first


REAL: dict[str, tuple[str, str, str, Callable[[Any], Any]]] = {
    "eps of one norm": ("olmo2", "feed_norm", "post_feedforward_layernorm.variance_epsilon", lambda _: 1e-2),
    "post-norm left out": ("gemma2", "feed_norm", "post_feedforward_layernorm.forward", lambda _: lambda x: x),
    "pre-norm left out": ("llama", "input_norm", "input_layernorm.forward", lambda _: lambda x: x),
    "gain without its 1": ("gemma3_text", "q_norm", "self_attn.q_norm.weight", lambda gain: gain - 1),
    "scores not scaled": ("qwen3", "attn", "self_attn.scaling", lambda _: 1.0),
    "sink left out": ("gpt_oss", "attn", "self_attn.sinks", lambda sink: sink - 99),
    "another activation": ("phi3", "mlp_act", "mlp.activation_fn.forward", lambda _: torch.nn.functional.gelu),
    "gate and up exchanged": ("glm4", "gate_proj", "mlp.gate_up_proj.weight", lambda w: w.roll(len(w) // 2, 0)),
    "keys not multiplied": ("falcon_h1", "k_proj", "self_attn.key_multiplier", lambda _: 1.0),
    "residual not multiplied": ("granite", "attn_residual", "residual_multiplier", lambda _: 1.0),
    "layer not multiplied": ("gemma4_text", "scaled", "layer_scalar", torch.ones_like),
    "correction left out": ("deepseek_v3", "router_weights", "mlp.gate.e_score_correction_bias", torch.zeros_like),
    "weights not divided by their sum": ("qwen3_moe", "router_weights", "mlp.gate.norm_topk_prob", lambda was: not was),
    "columns of one expert": ("mixtral", "experts", "mlp.experts.down_proj", lambda w: w.roll(1, 0)),
    "shared expert": (
        "glm4_moe",
        "shared_expert",
        "mlp.shared_experts.up_proj.weight",
        lambda w: w.roll(1, 0),
    ),
    "low-rank norm's eps": ("deepseek_v3", "kv_norm", "self_attn.kv_a_layernorm.variance_epsilon", lambda _: 1e-2),
    "decay": ("qwen3_next", "delta_net", "linear_attn.A_log", lambda rate: rate + 0.1),
    "skip of the scan": ("granitemoehybrid", "mamba", "mamba.D", torch.zeros_like),
}
"""What is wrong -> family, the stage in a layer, what is set in it, and to what."""


@pytest.mark.parametrize("wrong", REAL)
def test_a_real_fault_is_the_first_stage_that_differs(model: Any, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    family, stage, where, change = REAL[wrong]
    own = model(family)
    *path, name = where.split(".")
    i, module = next(
        (i, functools.reduce(getattr, path, layer))
        for i, layer in enumerate(own.loaded.module.model.layers)
        if f"layers.{i}.{stage}" in own.loaded.places
    )
    value = getattr(module, name)
    if isinstance(value, torch.Tensor):
        monkeypatch.setattr(value, "data", change(value.data))
    else:
        monkeypatch.setattr(module, name, change(value))
    assert own.bad(own.loaded)[0] == f"layers.{i}.{stage}"
    monkeypatch.undo()
    assert own.bad(own.loaded) == []


def variants() -> list[tuple[str, str]]:
    """(family, variant), every family's first and those of which transformers has no cache first: the sample."""
    found = [
        (place > 0 and (family, name) not in LEAKS | CANNOT.keys(), family, name)
        for family in FAMILIES
        for place, name in enumerate(WRITTEN[family].variants)
    ]
    return [(family, name) for _, family, name in sorted(found, key=lambda each: each[0]) if _declared(family, name)]


def _declared(family: str, variant: str) -> bool:
    """Whether the reference has the variant, too."""
    try:
        return bool(declare({"model_type": family, **config_of(family, variant)}))
    except ValueError:
        return False


@pytest.mark.sample(34)
@pytest.mark.parametrize(("family", "variant"), variants())
def test_prompt_and_single_tokens_equal_the_reference_at_every_kind_of_split(
    model: Any, family: str, variant: str
) -> None:
    own = model(family, variant)
    length, why = TOKENS.shape[1], set[str]()
    for pieces in ([1, length - 1], [20, 9, length - 29], [20, 1, 1, 1, length - 23], [length - 1, 1]):
        try:
            assert rel_l2(*_cached(own, TOKENS[:2], pieces)) <= EXACT
        except CannotCache as cannot:
            why.add(str(cannot))
    assert {CANNOT.get((family, variant), "") in each for each in why} <= {True}
    assert bool(why) == ((family, variant) in CANNOT)


@pytest.mark.sample(34)
@pytest.mark.parametrize(("family", "variant"), variants())
def test_rows_padded_on_the_left_equal_the_reference(model: Any, family: str, variant: str) -> None:
    own = model(family, variant)
    lengths, T = np.array([37, 30, 5]), TOKENS.shape[1]
    pieces = [T, 2] if CANNOT.get((family, variant)) == STEPS else [T, 1, 2]
    tokens = np.concatenate([TOKENS, TOKENS[:, : sum(pieces) - T]], axis=1)
    if (family, variant) in LEAKS | GROWS:
        with pytest.raises(CannotCache, match=BIAS if (family, variant) in LEAKS else ROTARY):
            _cached(own, tokens, pieces, lengths)
        return
    got, want = _cached(own, tokens, pieces, lengths)
    assert rel_l2(np.where(np.isnan(want), 0, got), np.nan_to_num(want)) <= EXACT


def _cached(own: Model, tokens: np.ndarray, pieces: list[int], lengths: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a prompt and of the pieces behind it: the candidate's and the reference's."""
    # Dynamic RoPE keeps the base of the longest text that the model has met.
    loaded = own.load() if "dynamic" in json.dumps(own.config) else own.loaded
    first, given = tokens[:, : pieces[0]], None if lengths is None else torch.as_tensor(lengths)
    (one, mine), (two, its) = (
        loaded.prefill(torch.as_tensor(first), given),
        prefill(own.config, own.weights, first, lengths),
    )
    got, want, at = [one.numpy()], [two], pieces[0]
    for size in pieces[1:]:
        part = tokens[:, at : at + size]
        one, mine = loaded.decode(torch.as_tensor(part), mine)
        two, its = decode(own.config, own.weights, part, its)
        got, want, at = [*got, one.numpy()], [*want, two], at + size
    return np.concatenate(got, axis=1), np.concatenate(want, axis=1)
