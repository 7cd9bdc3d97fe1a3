"""Falsifier of the device and dtype of a forward pass: compares its recorded ops with the case's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.inputs.synthetic_model import case_tokens, case_weights, small_config
from harness.observation import Observation

MEASURES = {
    "ops_elsewhere": "ops that read or wrote a tensor on another device than the requested one",
    "ops_in_other_dtype": "ops in a floating-point type that the run's dtype does not allow",
    "products_reduced": "matrix products run while torch allows TF32 or bfloat16 inside float32",
    "products_missing": "matrix products that the decoder's config implies but the record lacks",
    "other_forward": "largest difference between the recorded forward pass's logits and the loaded model's",
}
PRODUCTS = {"mm": 0, "bmm": 0, "matmul": 0, "linear": 0, "addmm": 1, "baddbmm": 1, "addbmm": 1}
"""Matrix products by their aten name, with the position of the left factor among the tensors read."""
FUSED_ATTENTION = "scaled_dot_product"
"""A fused attention kernel contains both products of a layer's attention."""
FULL = {"none", "ieee"}
"""Settings of torch's float32 products that keep all 23 bits; "none" means not set, which is full precision."""
COMPLEX = {"float64": "complex128", "float32": "complex64"}
Op = dict[str, Any]


def no_fallback(subject: Any, case: Case, *, length: int, batch: int = 2) -> Observation:
    """One forward pass of a small Qwen2, with the ops that `trace` records.

    Every tensor of every op is on `case.device`; matrix products are in the run's dtype, other ops in it
    or, for a 16-bit run, in float32. The record has at least the products of 7 linear layers and 2 attention
    products per layer, and of the head, so that an empty record fails.
    Shapes: tokens (batch, length), length > 1.
    """
    config = small_config()
    weights, tokens = case_weights(case, config), case_tokens(case, config, batch, length)
    seen = subject.trace(config, weights, tokens)
    logits = subject.load(config, weights).logits(tokens)
    ops, products = seen["ops"], [op for op in seen["ops"] if _products(op)]
    expected = (7 + 2) * config["num_hidden_layers"] + 1
    return Observation(
        ops_elsewhere=sum(not _here(op, case.device) for op in ops),
        ops_in_other_dtype=sum(not _within(op, case.dtype) for op in ops),
        products_reduced=sum(not _full(op) for op in products),
        products_missing=max(0, expected - sum(map(_products, products))),
        other_forward=_distance(seen["logits"], logits),
    )


def _name(op: Op) -> str:
    """aten.mm.default -> mm"""
    parts = str(op["op"]).split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def _products(op: Op) -> int:
    """Number of matrix products in an op; an outer product (rotary angles) sums nothing and counts 0."""
    name = _name(op)
    if FUSED_ATTENTION in name:
        return 2
    return int(name in PRODUCTS and _left(op)[-1] > 1)


def _left(op: Op) -> list[int]:
    shape: list[int] = op["shapes"][PRODUCTS[_name(op)]]
    return shape


def _same(found: str, requested: str) -> bool:
    """Whether a device is the requested one; `cuda` means any CUDA device."""
    return found == requested or (":" not in requested and found.partition(":")[0] == requested)


def _here(op: Op, requested: str) -> bool:
    """Whether all tensors of an op are on the device; False for a product without a recorded device."""
    return all(_same(found, requested) for found in op["devices"]) and bool(op["devices"] or not _products(op))


def _within(op: Op, dtype: str) -> bool:
    found, product = set(_floating(op["dtypes"])), bool(_products(op))
    return found <= _policy(dtype, product) and bool(found or not product)


def _full(op: Op) -> bool:
    return bool(op["precision"]) and set(op["precision"]) <= FULL


def _floating(dtypes: Iterable[str]) -> list[str]:
    return [name for name in dtypes if name.startswith(("float", "bfloat", "complex"))]


def _policy(dtype: str, product: bool) -> set[str]:
    """The floating-point types that an op may use; a 16-bit run's norms, softmax and rotation use float32."""
    if product:
        return {dtype}
    wide = dtype if dtype in COMPLEX else "float32"
    return {dtype, wide, COMPLEX[wide]}


def _distance(got: np.ndarray, want: np.ndarray) -> float:
    if got.shape != want.shape:
        return float("inf")
    return float(np.abs(got.astype(np.float64) - want.astype(np.float64)).max())
