"""Forwards that ran elsewhere, or otherwise, than asked: planted in the record, and real ones."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from harness.mutant import NotRun, mutant, replace

Op = dict[str, Any]
Ops = list[Op]
PRODUCTS = ("aten.mm.", "aten.bmm.", "aten.addmm.")


@mutant
def one_op_relabelled(baseline: Any) -> Any:
    """Planted: one op in the middle says it wrote to another device (system D8)."""

    def edit(ops: Ops, device: str) -> Ops:
        middle = len(ops) // 2
        return [*ops[:middle], {**ops[middle], "devices": [_other(device), device]}, *ops[middle + 1 :]]

    return _planted(baseline, edit)


@mutant
def all_ops_relabelled(baseline: Any) -> Any:
    """Planted: every op says it ran on another device (system E7, silent CPU fallback)."""
    return _planted(baseline, lambda ops, device: [{**op, "devices": [_other(device)]} for op in ops])


@mutant
def one_op_in_float64(baseline: Any) -> Any:
    """Planted: one op is computed in float64, as where a NumPy scalar widens a tensor (system D8)."""
    return _planted(baseline, lambda ops, _: [{**ops[0], "dtypes": ["float64"]}, *ops[1:]])


@mutant
def products_in_float16(baseline: Any) -> Any:
    """Planted: every matrix product in float16, as under a forgotten autocast (system D8)."""

    def edit(ops: Ops, device: str) -> Ops:
        return [{**op, "dtypes": ["float16"]} if op["op"].startswith(PRODUCTS) else op for op in ops]

    return _planted(baseline, edit)


@mutant
def tf32_flag_planted(baseline: Any) -> Any:
    """Planted: torch says that float32 products may use TF32 (system D8)."""
    return _planted(baseline, lambda ops, _: [{**op, "precision": ["tf32", "none"]} for op in ops])


@mutant
def empty_trace(baseline: Any) -> Any:
    """Nothing was recorded, as when the kernels are launched past the dispatcher: that is no pass (system D8)."""
    return _planted(baseline, lambda ops, _: [])


@mutant
def products_unseen(baseline: Any) -> Any:
    """A third of the products leave no record: they run in a library nobody watches (system D8)."""

    def edit(ops: Ops, device: str) -> Ops:
        hidden = {i for n, i in enumerate(_product_places(ops)) if n % 3 == 0}
        return [op for i, op in enumerate(ops) if i not in hidden]

    return _planted(baseline, edit)


@mutant
def products_without_a_place(baseline: Any) -> Any:
    """Planted: the record counts every product and says neither where nor in what it ran (system D8)."""

    def edit(ops: Ops, device: str) -> Ops:
        blank: Op = {"devices": [], "dtypes": [], "precision": []}
        return [{**op, **blank} if op["op"].startswith(PRODUCTS) else op for op in ops]

    return _planted(baseline, edit)


@mutant
def trace_of_other_weights(baseline: Any) -> Any:
    """The record is of another forward than the one whose logits are used (system D8)."""

    def trace(config: Any, weights: Any, tokens: Tensor, *, dtype: str, device: str) -> Any:
        other = {name: tensor.flip(0) for name, tensor in weights.items()}
        return baseline.trace(config, other, tokens, dtype=dtype, device=device)

    return replace(baseline, trace=trace)


@mutant
def head_on_meta(baseline: Any) -> Any:
    """Real, on any machine: the head's product also runs on torch's `meta` device, the nearest other one to hand
    (system D8)."""

    def trace(config: Any, weights: Any, tokens: Tensor, *, dtype: str, device: str) -> Any:
        model = baseline.load(config, weights, dtype=dtype, device=device)
        head, linear = model.model.lm_head, torch.nn.functional.linear
        elsewhere = head.weight.detach().to("meta")

        def forward(x: Tensor) -> Tensor:
            linear(x.to("meta"), elsewhere)
            out: Tensor = linear(x, head.weight)
            return out

        # An instance's own forward stands before the class's.
        head.forward = forward
        return baseline.witnessed(model, tokens)

    return replace(baseline, trace=trace)


@mutant
def tf32_allowed(baseline: Any) -> Any:
    """Real: float32 products are allowed to use TF32, ten mantissa bits (pytorch/pytorch#67384)."""

    def trace(config: Any, weights: Any, tokens: Tensor, *, dtype: str, device: str) -> Any:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high")
        try:
            return baseline.trace(config, weights, tokens, dtype=dtype, device=device)
        finally:
            torch.set_float32_matmul_precision(before)

    return replace(baseline, trace=trace)


@mutant
def autocast_left_on(baseline: Any) -> Any:
    """Real: the forward runs under an autocast to another dtype (system D8)."""

    def trace(config: Any, weights: Any, tokens: Tensor, *, dtype: str, device: str) -> Any:
        other = torch.float16 if dtype == "bfloat16" else torch.bfloat16
        with torch.autocast(torch.device(device).type, dtype=other):
            return baseline.trace(config, weights, tokens, dtype=dtype, device=device)

    return replace(baseline, trace=trace)


@mutant
def head_on_cpu(baseline: Any) -> Any:
    """Real: the head's product is taken on the CPU and its result copied back (system D8)."""

    def trace(config: Any, weights: Any, tokens: Tensor, *, dtype: str, device: str) -> Any:
        _ask_for_a_device(device)
        model = baseline.load(config, weights, dtype=dtype, device=device)
        head = model.model.lm_head.to("cpu")
        head.forward = lambda x: torch.nn.functional.linear(x.cpu(), head.weight).to(x.device)
        return baseline.witnessed(model, tokens)

    return replace(baseline, trace=trace)


@mutant
def model_on_cpu(baseline: Any) -> Any:
    """Real: the whole model runs on the CPU, and only its logits are on the device (system E7)."""

    def trace(config: Any, weights: Any, tokens: Tensor, *, dtype: str, device: str) -> Any:
        _ask_for_a_device(device)
        host = {name: tensor.cpu() for name, tensor in weights.items()}
        seen = baseline.trace(config, host, tokens.cpu(), dtype=dtype, device="cpu")
        return {**seen, "logits": seen["logits"].to(device)}

    def load(config: Any, weights: Any, *, dtype: str, device: str) -> Any:
        host = {name: tensor.cpu() for name, tensor in weights.items()}
        model = baseline.load(config, host, dtype=dtype, device="cpu")
        return SimpleNamespace(logits=lambda tokens: model.logits(tokens.cpu()).to(device))

    return replace(baseline, trace=trace, load=load)


@mutant
def buffer_left_on_cpu(baseline: Any) -> Any:
    """Real: the rotary table is a plain attribute, so moving the model leaves it on the CPU, and each call uploads it
    (system D8)."""

    def trace(config: Any, weights: Any, tokens: Tensor, *, dtype: str, device: str) -> Any:
        _ask_for_a_device(device)
        model = baseline.load(config, weights, dtype=dtype, device=device)
        rotary = model.model.model.rotary_emb
        table = rotary.inv_freq.cpu()

        def upload(module: Any, inputs: Any) -> None:
            module.inv_freq = table.to(inputs[0].device)

        rotary.register_forward_pre_hook(upload)
        return baseline.witnessed(model, tokens)

    return replace(baseline, trace=trace)


def _planted(baseline: Any, edit: Callable[[Ops, str], Ops]) -> Any:
    """The baseline whose record is edited after the fact."""

    def trace(config: Any, weights: Any, tokens: Tensor, *, dtype: str, device: str) -> Any:
        seen = baseline.trace(config, weights, tokens, dtype=dtype, device=device)
        return {**seen, "ops": edit(seen["ops"], device)}

    return replace(baseline, trace=trace)


def _other(device: str) -> str:
    return "cuda:0" if torch.device(device).type == "cpu" else "cpu"


def _product_places(ops: Ops) -> list[int]:
    return [i for i, op in enumerate(ops) if op["op"].startswith(PRODUCTS)]


def _ask_for_a_device(device: str) -> None:
    if torch.device(device).type == "cpu":
        raise NotRun(f"needs a device that is not the CPU, the run is on {device}")
