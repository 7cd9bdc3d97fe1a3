"""transformers' Qwen2 and Llama, with every stage readable and replaceable, also from NF4 weights."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import lru_cache
from typing import Any
from unittest.mock import patch

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from harness.falsifiers.baselines.transformers import decoder
from harness.falsifiers.baselines.transformers.decoder import Decoder

ARRAYS = "torch"
Stage = Callable[[str, torch.Tensor], torch.Tensor]
OUTPUTS = {
    "input_norm": "input_layernorm",
    "q_proj": "self_attn.q_proj",
    "k_proj": "self_attn.k_proj",
    "v_proj": "self_attn.v_proj",
    "o_proj": "self_attn.o_proj",
    "post_norm": "post_attention_layernorm",
    "gate_proj": "mlp.gate_proj",
    "up_proj": "mlp.up_proj",
    "down_proj": "mlp.down_proj",
}
"""Stage of a layer -> the transformers module that computes it."""
NF4_CODE = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
    *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
    *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)


def load(config: Mapping[str, Any], weights: Mapping[str, torch.Tensor], *, dtype: str, device: str) -> StagedDecoder:
    """Load as `decoder.load` does; the result also has `stages`.

    Raises: RuntimeError naming the tensors if `weights` does not hold exactly the model's tensors.
    """
    return StagedDecoder(decoder.load(config, weights, dtype=dtype, device=device).model)


def load_nf4(
    config: Mapping[str, Any], weights: Mapping[str, torch.Tensor], *, dtype: str, device: str
) -> StagedDecoder:
    """The transformers model with the dequantised weights; packed tensors have bitsandbytes' names.

    bitsandbytes is not a dependency: NF4_CODE copies its table, and a test derives the table from its quantiles.
    """
    plain = {name: tensor for name, tensor in weights.items() if not name.endswith(".absmax")}
    columns = {"o_proj": config["num_attention_heads"] * config["head_dim"], "down_proj": config["intermediate_size"]}
    for name in [name for name in plain if f"{name}.absmax" in weights]:
        width = columns.get(name.split(".")[-2], config["hidden_size"])
        plain[name] = _dequantised(weights[name], weights[f"{name}.absmax"]).view(-1, width).to(getattr(torch, dtype))
    return load(config, plain, dtype=dtype, device=device)


def skeleton(config: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Every tensor of the config's checkpoint, on the meta device: shapes without values."""
    return dict(_skeleton(json.dumps(dict(config), sort_keys=True)))


@lru_cache(maxsize=8)
def _skeleton(config: str) -> dict[str, torch.Tensor]:
    known = AutoConfig.for_model(**json.loads(config))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(known)
    state: dict[str, torch.Tensor] = model.state_dict()
    return {
        name: tensor for name, tensor in state.items() if not (known.tie_word_embeddings and name == "lm_head.weight")
    }


def _dequantised(packed: torch.Tensor, absmax: torch.Tensor) -> torch.Tensor:
    """packed (N / 2,) uint8, absmax (ceil(N / 64),) -> (N,) float64."""
    table = torch.tensor(NF4_CODE, dtype=torch.float64, device=packed.device)
    pairs = torch.stack([table[(packed // 16).int()], table[(packed % 16).int()]], dim=1).reshape(-1)
    blocks = torch.arange(pairs.numel(), device=packed.device) // 64
    return pairs * absmax.double()[blocks]


class StagedDecoder(Decoder):
    """A transformers model with `logits` and `stages`."""

    @torch.no_grad()
    def stages(
        self, tokens: torch.Tensor, replace: Mapping[str, torch.Tensor] | None = None
    ) -> dict[str, torch.Tensor]:
        """Every stage as transformers' own modules compute it; later stages read the replacement, if given.

        Shapes: tokens (B, T) -> by stage name, as in `harness.reference.model.decoder.stage_names`.
        """
        given, seen = dict(replace or {}), {}

        def stage(name: str, value: torch.Tensor) -> torch.Tensor:
            seen[name] = value.clone()
            return given[name].to(value) if name in given else value

        code = sys.modules[type(self.model).__module__]
        with ExitStack() as held:
            held.enter_context(patch.object(code, "eager_attention_forward", _attention(stage)))
            held.enter_context(patch.object(self.model.config, "_attn_implementation_internal", "eager"))
            for handle in self._listen(stage):
                held.callback(handle.remove)
            self.model(input_ids=tokens, use_cache=False)
        return seen

    def _listen(self, stage: Stage) -> list[Any]:
        model = self.model.model
        handles = [_after(model.embed_tokens, stage, "embed"), _after(self.model.lm_head, stage, "logits")]
        for i, layer in enumerate(model.layers):
            for name, path in OUTPUTS.items():
                handles.append(_after(layer.get_submodule(path), stage, f"layers.{i}.{name}"))
            handles.append(_before(layer.post_attention_layernorm, stage, f"layers.{i}.attn_residual"))
            handles.append(_before(layer.mlp.down_proj, stage, f"layers.{i}.mlp_act"))
            handles.append(_after(layer, stage, f"layers.{i}.mlp_residual"))
        return [*handles, _after(model.norm, stage, "final_norm")]


def _after(module: Any, stage: Stage, name: str) -> Any:
    if name.endswith("_norm") and not type(module).__name__.endswith("RMSNorm"):
        name = f"{name}_absent"  # a module that replaced the norm is not counted as a norm call
    return module.register_forward_hook(lambda _, given, out: stage(name, out))


def _before(module: Any, stage: Stage, name: str) -> Any:
    def hook(_: Any, given: tuple[torch.Tensor, ...]) -> None:
        # In place, because the residual branch reads the same tensor and needs the replacement too.
        given[0].copy_(stage(name, given[0]))

    return module.register_forward_pre_hook(hook)


def _attention(stage: Stage) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """transformers' eager attention with stages; its softmax runs in float32 (float64 for a float64 model)."""

    def forward(
        module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, scaling: float, **_: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        at = f"layers.{module.layer_idx}."
        query, key = stage(at + "rope_q", query), stage(at + "rope_k", key)
        shared = module.num_key_value_groups
        keys, values = key.repeat_interleave(shared, dim=1), value.repeat_interleave(shared, dim=1)
        future = torch.ones(query.shape[2], keys.shape[2], dtype=torch.bool, device=query.device).triu(1)
        scores = stage(at + "scores", (torch.matmul(query, keys.mT) * scaling).masked_fill(future, 0.0))
        wide = torch.float64 if query.dtype == torch.float64 else torch.float32
        visible = scores.masked_fill(future, float("-inf"))
        probs = stage(at + "probs", torch.softmax(visible, dim=-1, dtype=wide).to(query.dtype))
        out = torch.matmul(probs, values).transpose(1, 2).flatten(2)
        return stage(at + "attn", out), probs

    return forward
