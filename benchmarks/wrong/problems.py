"""One conventional problem of each op: the size and the normal inputs that a unit test or a kernel benchmark takes."""

from __future__ import annotations

import numpy as np

from wrong.version import normal


def _attention(f, r):
    return f.attention(normal(r, 2, 8, 128, 64), normal(r, 2, 8, 128, 64), normal(r, 2, 8, 128, 64))


PROBLEMS = {
    "rmsnorm": lambda f, r: f.rmsnorm(normal(r, 128, 1024), normal(r, 1024), 1e-6),
    "layernorm": lambda f, r: f.layernorm(normal(r, 128, 1024), normal(r, 1024), normal(r, 1024), 1e-5),
    "l2norm": lambda f, r: f.l2norm(normal(r, 128, 128), 1e-6),
    "softmax": lambda f, r: f.softmax(normal(r, 128, 1024)),
    "attention": _attention,
    "rope": lambda f, r: f.rope(normal(r, 2, 8, 128, 64), np.arange(128), theta=10000.0),
}
"""Op -> call on inputs drawn from a normal distribution, float32."""
