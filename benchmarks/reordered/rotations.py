"""Correct rotary embeddings from other tables of frequencies."""

from types import SimpleNamespace

import numpy as np

from harness.reference.ops.rope import rope_frequencies
from reordered.width import wide


def rope_by(table):
    """Rotation in the input's width, or float32 for 16 bits, with angles from float32 frequencies of `table`."""

    def rope(x, positions, *, theta, interleaved=False, rotary_dim=None, scaling=None):
        size = rotary_dim or x.shape[-1]
        frequencies, factor = table(size, theta, scaling)
        turn = factor * np.exp(1j * (positions.astype(np.float32)[:, None] * frequencies)).astype(np.complex64)
        w = wide(x[..., :size])
        first, second = (w[..., 0::2], w[..., 1::2]) if interleaved else np.split(w, 2, axis=-1)
        turned = (first + 1j * second) * turn
        stack = np.stack if interleaved else np.concatenate
        rotated = stack([turned.real, turned.imag], axis=-1).reshape(w.shape)
        return np.concatenate([rotated.astype(x.dtype), x[..., size:]], axis=-1)

    return rope


def rounded_table(size, theta, scaling):
    frequencies, factor = rope_frequencies(size, theta, scaling)
    return frequencies.astype(np.float32), np.float32(factor)


def multiplied_table(size, theta, scaling):
    """Each frequency the one before times theta**(-2/R), all in float32, then scaled."""
    step = np.float32(theta ** (-2 / size))
    chain = np.multiply.accumulate(np.concatenate([np.ones(1, np.float32), np.full(size // 2 - 1, step)]))
    scaled, factor = rope_frequencies(size, theta, scaling)
    share = (scaled / rope_frequencies(size, theta)[0]).astype(np.float32)
    return chain * share, np.float32(factor)


KERNELS = {
    "rope": {
        "rounded frequencies": SimpleNamespace(rope=rope_by(rounded_table)),
        "multiplied frequencies": SimpleNamespace(rope=rope_by(multiplied_table)),
    },
}
