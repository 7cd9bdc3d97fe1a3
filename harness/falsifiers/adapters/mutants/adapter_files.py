"""Known-wrong adapter files and readers: slots, modules, shapes, scale (systems B6; L2, L3)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from harness.mutant import Inapplicable, mutant, replace

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
Lora = dict[str, tuple[Tensor, Tensor]]
Tensors = dict[str, Tensor]


@mutant
def empty_attention_slots(baseline: Any) -> Any:
    """q_proj and v_proj are declared and written, empty, for layers that have none (system B6)."""

    def edit(tensors: Tensors, about: dict[str, Any]) -> None:
        for name in [n for n in tensors if n.endswith("linear_attn.in_proj_qkv.lora_A.weight")]:
            for slot in ("q_proj", "v_proj"):
                for part in "AB":
                    key = name.replace("linear_attn.in_proj_qkv", f"self_attn.{slot}").replace("lora_A", f"lora_{part}")
                    tensors[key] = torch.zeros(0, 0)
        about["target_modules"] = sorted({*about["target_modules"], "q_proj", "v_proj"})

    return _writing(baseline, edit)


@mutant
def targets_of_attention_alone(baseline: Any) -> Any:
    """target_modules says q_proj, v_proj, whatever is in the file (system B6)."""
    return _writing(baseline, lambda tensors, about: about.update(target_modules=["q_proj", "v_proj"]))


@mutant
def prefix_lost(baseline: Any) -> Any:
    """Names without base_model.model: they match no module, and the base model is served
    (L3: vllm-project/vllm#34186)."""

    def edit(tensors: Tensors, about: dict[str, Any]) -> None:
        for name in list(tensors):
            tensors[name.removeprefix("base_model.model.")] = tensors.pop(name)

    return _writing(baseline, edit)


@mutant
def matrices_transposed(baseline: Any) -> Any:
    """A and B are written as (in, r) and (r, out) (system B6)."""

    def edit(tensors: Tensors, about: dict[str, Any]) -> None:
        tensors.update({name: tensor.T.contiguous() for name, tensor in tensors.items()})

    return _writing(baseline, edit)


@mutant
def alpha_folded_into_B(baseline: Any) -> Any:
    """B carries the scale, and lora_alpha carries it again.
    Synthetic: an exporter that folds alpha / r into B still copies the training config beside the file."""

    def edit(tensors: Tensors, about: dict[str, Any]) -> None:
        scale = about["lora_alpha"] / about["r"]
        tensors.update({name: tensor * scale for name, tensor in tensors.items() if ".lora_B." in name})

    return _writing(baseline, edit)


@mutant
def stabilisation_not_written(baseline: Any) -> Any:
    """use_rslora is true in training and absent from the file (L2: NVIDIA/TensorRT-LLM#1668)."""
    return _writing(baseline, lambda tensors, about: about.update(use_rslora=False))


@mutant
def gates_not_written(baseline: Any) -> Any:
    """in_proj_a and in_proj_b are trained and left out of the file: three of five (system B6)."""

    def edit(tensors: Tensors, about: dict[str, Any]) -> None:
        for name in [n for n in tensors if "in_proj_a" in n or "in_proj_b" in n]:
            del tensors[name]
        about["target_modules"] = [t for t in about["target_modules"] if t not in ("in_proj_a", "in_proj_b")]

    return _writing(baseline, edit)


@mutant
def untrained_layers_written(baseline: Any) -> Any:
    """Adapters of zeros for layers that were never adapted, which a later reader trains on (system B6)."""

    def save_adapter(folder: str, config: Any, lora: Lora, *, r: int, lora_alpha: float, use_rslora: bool) -> None:
        if any("down_proj" in name for name in lora):
            raise Inapplicable("the feed-forward layers are adapted already")
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        zeros = (torch.zeros(r, inner), torch.zeros(hidden, r))
        more = {f"model.layers.{i}.mlp.down_proj": zeros for i in range(config["num_hidden_layers"])}
        baseline.save_adapter(folder, config, {**lora, **more}, r=r, lora_alpha=lora_alpha, use_rslora=use_rslora)

    return replace(baseline, save_adapter=save_adapter)


@mutant
def saved_in_bfloat16(baseline: Any) -> Any:
    """The matrices are rounded to bfloat16 on their way (system B6)."""

    def edit(tensors: Tensors, about: dict[str, Any]) -> None:
        tensors.update({name: tensor.bfloat16().float() for name, tensor in tensors.items()})

    return _writing(baseline, edit)


@mutant
def three_of_five_known(baseline: Any) -> Any:
    """The reader knows in_proj_qkv, in_proj_z and out_proj, and drops the gates (system B6)."""
    return _reading(baseline, lambda found: {n: p for n, p in found.items() if not n.endswith(("proj_a", "proj_b"))})


@mutant
def attention_alone_read(baseline: Any) -> Any:
    """The reader looks for q, k, v and o and takes nothing else (system B6)."""
    return _reading(baseline, lambda found: {n: p for n, p in found.items() if "self_attn" in n})


@mutant
def layers_matched_by_their_beginning(baseline: Any) -> Any:
    """The adapter of layers.1 is given to layers.10 and layers.11 too, whose names begin as its own does.

    Synthetic: a module is looked up with `in` or startswith, right for ten layers.
    """

    def spread(found: dict[str, Any]) -> dict[str, Any]:
        more = {name.replace("layers.1.", f"layers.{n}."): found[name] for n in (10, 11) for name in found}
        return {**more, **found}

    return _reading(baseline, spread)


@mutant
def layers_in_the_order_of_names(baseline: Any) -> Any:
    """Layers are numbered in the order of their names, where layers.10 comes before layers.2.

    Synthetic: sorted(names) in a converter; the eleventh layer is the first to be out of place.
    """

    def renumbered(found: dict[str, Any]) -> dict[str, Any]:
        numbers = {int(name.split(".")[2]) for name in found}
        if sorted(numbers) == sorted(numbers, key=str):
            raise Inapplicable("the layers' names are in the order of their numbers")
        right = dict(zip(sorted(numbers, key=str), sorted(numbers), strict=True))
        parts = {name: name.split(".") for name in found}
        return {".".join([*p[:2], str(right[int(p[2])]), *p[3:]]): found[name] for name, p in parts.items()}

    return _reading(baseline, renumbered)


@mutant
def stabilisation_not_read(baseline: Any) -> Any:
    """use_rslora is not looked at (L2: NVIDIA/TensorRT-LLM#1668)."""

    def load_adapter(folder: str, config: Any) -> Any:
        found = baseline.load_adapter(folder, config)
        about = json.loads((Path(folder) / CONFIG).read_text(encoding="utf-8"))
        return {name: (A, B, about["lora_alpha"] / A.shape[0]) for name, (A, B, _) in found.items()}

    return replace(baseline, load_adapter=load_adapter)


@mutant
def shapes_not_checked(baseline: Any) -> Any:
    """Whatever is in the file is taken (system B6)."""

    def load_adapter(folder: str, config: Any) -> Any:
        about = json.loads((Path(folder) / CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(str(Path(folder) / TENSORS))
        names = {n.removeprefix("base_model.model.").rsplit(".lora_", 1)[0] for n in tensors}
        empty, scale = torch.zeros(0), (about["lora_alpha"] or 0) / about["r"]
        return {n: (_of(tensors, n, "A", empty), _of(tensors, n, "B", empty), scale) for n in names}

    return replace(baseline, load_adapter=load_adapter)


@mutant
def refusal_without_a_name(baseline: Any) -> Any:
    """What does not fit is refused as "invalid adapter", and nobody learns which module (system B6)."""

    def load_adapter(folder: str, config: Any) -> Any:
        try:
            return baseline.load_adapter(folder, config)
        except (ValueError, RuntimeError, OSError):
            raise ValueError("invalid adapter") from None

    return replace(baseline, load_adapter=load_adapter)


@mutant
def everything_refused(baseline: Any) -> Any:
    """A validator that was never run on a right folder refuses that too (system B6)."""

    def load_adapter(folder: str, config: Any) -> Any:
        raise ValueError(f"{folder}: target_modules must be q_proj, v_proj; found others")

    return replace(baseline, load_adapter=load_adapter)


def _of(tensors: Tensors, name: str, part: str, empty: Tensor) -> Tensor:
    return tensors.get(f"base_model.model.{name}.lora_{part}.weight", empty)


def _writing(baseline: Any, edit: Callable[[Tensors, dict[str, Any]], None]) -> Any:
    def save_adapter(folder: str, config: Any, lora: Lora, *, r: int, lora_alpha: float, use_rslora: bool) -> None:
        baseline.save_adapter(folder, config, lora, r=r, lora_alpha=lora_alpha, use_rslora=use_rslora)
        path = Path(folder) / CONFIG
        tensors, about = load_file(str(Path(folder) / TENSORS)), json.loads(path.read_text(encoding="utf-8"))
        edit(tensors, about)
        save_file(tensors, str(Path(folder) / TENSORS), metadata={"format": "pt"})
        path.write_text(json.dumps(about), encoding="utf-8")

    return replace(baseline, save_adapter=save_adapter)


def _reading(baseline: Any, edit: Callable[[Any], Any]) -> Any:
    return replace(baseline, load_adapter=lambda folder, config: edit(baseline.load_adapter(folder, config)))
