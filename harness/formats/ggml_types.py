"""The element types of GGUF tensors: how many elements a block has and how many bytes it takes."""

from __future__ import annotations

QK, QK_K = 32, 256

GGML_TYPES: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", QK, 2 + QK // 2),
    3: ("Q4_1", QK, 2 + 2 + QK // 2),
    6: ("Q5_0", QK, 2 + 4 + QK // 2),
    7: ("Q5_1", QK, 2 + 2 + 4 + QK // 2),
    8: ("Q8_0", QK, 2 + QK),
    9: ("Q8_1", QK, 4 + 4 + QK),
    10: ("Q2_K", QK_K, 2 + 2 + QK_K // 16 + QK_K // 4),
    11: ("Q3_K", QK_K, 2 + QK_K // 4 + QK_K // 8 + 12),
    12: ("Q4_K", QK_K, 2 + 2 + QK_K // 2 + 12),
    13: ("Q5_K", QK_K, 2 + 2 + QK_K // 2 + QK_K // 8 + 12),
    14: ("Q6_K", QK_K, 2 + QK_K // 2 + QK_K // 4 + QK_K // 16),
    15: ("Q8_K", QK_K, 4 + QK_K + QK_K // 8),
    16: ("IQ2_XXS", QK_K, 2 + QK_K // 4),
    17: ("IQ2_XS", QK_K, 2 + QK_K // 4 + QK_K // 32),
    18: ("IQ3_XXS", QK_K, 2 + QK_K // 4 + QK_K // 8),
    19: ("IQ1_S", QK_K, 2 + QK_K // 8 + QK_K // 16),
    20: ("IQ4_NL", QK, 2 + QK // 2),
    21: ("IQ3_S", QK_K, 2 + QK_K // 4 + QK_K // 8 + QK_K // 32 + 4),
    22: ("IQ2_S", QK_K, 2 + QK_K // 4 + QK_K // 16),
    23: ("IQ4_XS", QK_K, 2 + 2 + QK_K // 2 + QK_K // 64),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", QK_K, QK_K // 8 + QK_K // 16 + QK_K // 32),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", QK_K, 2 + 4 * 13),
    35: ("TQ2_0", QK_K, 2 + 64),
    39: ("MXFP4", 32, 1 + 16),
    40: ("NVFP4", 64, 4 + 32),
    41: ("Q1_0", 128, 2 + 16),
}
"""Number in the file -> (name, elements per block, bytes per block).

Source: ggml.h and ggml-common.h of llama.cpp; a test compares the table with gguf.GGML_QUANT_SIZES.
"""


def tensor_bytes(type_number: int, shape: tuple[int, ...]) -> int:
    """Bytes of a tensor; shape in NumPy's order, the contiguous axis (row) last.

    Raises: ValueError if a row is not a whole number of blocks.
    """
    name, block, size = GGML_TYPES[type_number]
    row = shape[-1] if shape else 1
    if row % block:
        raise ValueError(f"row of {row} elements, expected a multiple of {block} for {name}")
    total = 1
    for length in shape:
        total *= length
    return total // block * size
