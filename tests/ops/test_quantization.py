"""Block quantisation: the reference's bytes are the gguf package's, and what is no matrix of blocks is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

from harness.candidates import torch as eager
from harness.formats.ggml_types import GGML_TYPES
from harness.reference.ops.quantization import (
    BLOCK,
    BLOCK_BYTES,
    dequantize,
    open_bytes,
    quantize,
    round_activations,
    steps,
)

KINDS = ("F16", "BF16", "Q8_0", "Q4_0")


def matrices() -> dict[str, np.ndarray]:
    """Rows of every size, rows that are all ties, and blocks that have no scale or two largest numbers."""
    normal = np.random.default_rng(0).standard_normal((50, 96)).astype(np.float32)
    found = {f"normal {scale:g}": normal * np.float32(scale) for scale in (1, 1e-3, 1e4, 1e-9, 1e-30)}
    found["ties"] = np.round(normal * 8)
    odd = normal.copy()
    odd[3:5], odd[6, :32], odd[7, :32] = 0, 2, -2
    odd[8, ::2], odd[8, 1::2] = 2, -2
    return {**found, "odd blocks": odd}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", matrices())
def test_bytes_are_those_of_the_gguf_package(kind: str, name: str) -> None:
    x = matrices()[name]
    with np.errstate(all="ignore"):
        want = quants.quantize(x, GGMLQuantizationType[kind]).view(np.uint8).reshape(50, -1)
    assert np.array_equal(quantize(x, kind), want)
    assert np.array_equal(eager.quantize(torch.from_numpy(x), kind).numpy(), want)
    numbers = quants.dequantize(want, GGMLQuantizationType[kind])
    assert dequantize(want, kind).tobytes() == numbers.tobytes()
    assert eager.dequantize(torch.from_numpy(want), kind).numpy().tobytes() == numbers.tobytes()


def test_any_bytes_are_read_as_the_gguf_package_reads_them() -> None:
    data = np.random.default_rng(1).integers(0, 256, (20, 3 * 34), dtype=np.uint8)
    for kind, width in (("Q8_0", 34), ("Q4_0", 18)):
        cut = data[:, : 3 * width].copy()
        cut.reshape(-1, width)[:, 1] &= 0x3F  # no infinite scales
        assert dequantize(cut, kind).tobytes() == quants.dequantize(cut, GGMLQuantizationType[kind]).tobytes()


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_no_number_is_further_than_its_steps_say(kind: str) -> None:
    x = np.random.default_rng(2).standard_normal((40, 64)).astype(np.float32)
    off = np.abs(dequantize(quantize(x, kind), kind) - x) / steps(x, kind)
    assert 0.4 < np.quantile(off, 0.9) < 0.5
    assert off.max() < (0.57 if kind == "Q8_0" else 1.01)


def test_activations_are_rounded_row_by_row() -> None:
    x = np.random.default_rng(3).standard_normal((2, 3, 64))
    rounded = round_activations(x)
    assert rounded.shape == x.shape
    assert rounded.dtype == np.float64
    assert 0.001 < np.linalg.norm(rounded - x) / np.linalg.norm(x) < 0.01
    assert np.array_equal(round_activations(rounded), rounded)


@pytest.mark.parametrize("module", ["reference", "candidate"])
@pytest.mark.parametrize(
    ("x", "kind", "words"),
    [
        (np.ones((2, 33)), "Q4_0", "found rows of 33, expected a multiple of 32 for Q4_0"),
        (np.ones((2, 0)), "Q8_0", "found rows of 0"),
        (np.full((1, 32), np.nan), "Q4_0", "found a number that is not finite"),
        (np.full((1, 32), np.inf), "F16", "found a number that is not finite"),
        (np.ones((1, 32)), "Q5_9", "found kind 'Q5_9', expected one of F32, F16, BF16, Q8_0, Q4_0"),
    ],
)
def test_what_cannot_be_packed_is_refused_in_one_line(module: str, x: np.ndarray, kind: str, words: str) -> None:
    x = x.astype(np.float32)
    with pytest.raises(ValueError, match=words):
        quantize(x, kind) if module == "reference" else eager.quantize(torch.from_numpy(x), kind)


def test_block_sizes_are_those_of_the_gguf_package() -> None:
    assert {GGMLQuantizationType(number).name: sizes[1:] for number, sizes in GGML_TYPES.items()} == {
        kind.name: sizes for kind, sizes in GGML_QUANT_SIZES.items()
    }
    assert all(GGMLQuantizationType(number).name == name for number, (name, *_) in GGML_TYPES.items())
    for kind, size in BLOCK_BYTES.items():
        block, width = GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
        assert size == width * BLOCK // block


def test_our_bytes_differ_from_gguf_s_only_where_the_format_leaves_them_open() -> None:
    x = np.random.default_rng(0).standard_normal((4000, 320)).astype(np.float32)
    theirs = quants.quantize(x, GGMLQuantizationType.Q4_0)
    ours, undecided = quantize(x, "Q4_0"), open_bytes(x, "Q4_0")
    assert not ((ours != theirs) & ~undecided).any()
    assert 0 < undecided.sum() < 1e-4 * undecided.size
    assert not open_bytes(x, "Q8_0").any()


def test_a_number_where_two_codes_meet_leaves_its_byte_open() -> None:
    x = np.zeros((1, 32), np.float32)
    x[0, 0], x[0, 21] = -8, np.nextafter(np.float32(0.5), np.float32(0))
    undecided = open_bytes(x, "Q4_0")
    assert np.flatnonzero(undecided).tolist() == [2 + 21 - 16]
