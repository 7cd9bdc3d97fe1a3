"""The reference's gated delta rule: chunked against step by step, against plain matrix products, and backward in T.

Run as `python benchmarks/gated_delta_net.py`. Every figure is a ratio of medians measured in this run.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
import tracemalloc
from collections.abc import Callable
from statistics import median

import numpy as np

from reference.delta_rule import delta_rule_backward, delta_rule_forward

HEADS, WIDTH, LENGTH, CHUNK = 4, 64, 2048, 32
ROUNDS = 15


def problem(length: int) -> tuple[np.ndarray, ...]:
    """q, k, v, g, beta of one sequence with unit keys, decays from 0.9 to 1, and betas in (0, 1)."""
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((1, length, HEADS, WIDTH)) for _ in range(3))
    k /= np.linalg.norm(k, axis=-1, keepdims=True)
    g, beta = -0.1 * rng.random((1, length, HEADS)), rng.random((1, length, HEADS))
    return q / 8, k, v, g, beta


def seconds(run: Callable[[], object], repeats: int) -> float:
    """The median time of a call."""
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return median(taken)


def chunked_flops(length: int, chunk: int) -> float:
    """Operations: two products of keys, their inverse, three products with what it gives, three with the state."""
    square, wide = chunk * chunk * WIDTH, chunk * WIDTH * WIDTH
    return HEADS * (length / chunk) * 2 * (2 * square + chunk**3 / 6 + 3 * square + 3 * wide)


def chunked_ratios() -> tuple[float, float]:
    """Step by step over chunked, and chunked over one large product of as many operations; medians of rounds."""
    # glibc then keeps what is freed, as in any process that has held a large array; else page faults are measured.
    np.ones(3 << 20)
    inputs = problem(LENGTH)
    size = 768
    a = np.random.default_rng(1).standard_normal((size, size))
    share = chunked_flops(LENGTH, CHUNK) / (2 * size**3)
    rounds = []
    for _ in range(ROUNDS):
        slow = seconds(lambda: delta_rule_forward(*inputs), 1)
        fast = seconds(lambda: delta_rule_forward(*inputs, chunk=CHUNK), 3)
        rounds.append((slow / fast, fast / (seconds(lambda: a @ a, 3) * share)))
    return median(r[0] for r in rounds), median(r[1] for r in rounds)


def main() -> None:
    """Print the figures and the limits they are held to."""
    faster, slower = chunked_ratios()
    print(f"T = {LENGTH}, {HEADS} heads of {WIDTH} x {WIDTH}, chunks of {CHUNK}")
    print(f"step by step / chunked: {faster:.1f} (asked for: at least 5)")
    print(f"chunked / one matrix product of the same operations: {slower:.2f} (at most 3)")
    previous = None
    for length in (512, 1024, 2048, 4096):
        inputs = problem(length)
        out, _, cache = delta_rule_forward(*inputs, chunk=CHUNK)
        dout = np.ones_like(out)
        taken = seconds(lambda cache=cache, dout=dout: delta_rule_backward(dout, None, cache), 3)
        kept = sum(state.nbytes for state in cache[5])
        tracemalloc.start()
        delta_rule_backward(dout, None, cache)
        peak = tracemalloc.get_traced_memory()[1] - sum(array.nbytes for array in inputs)
        tracemalloc.stop()
        growth = "" if previous is None else f", {taken / previous:.2f} times the one before (linear is 2)"
        print(
            f"backward T = {length}: {taken:.2f} s{growth}; "
            f"states kept {kept >> 10} KiB, peak beside the gradients {peak >> 10} KiB"
        )
        previous = taken


if __name__ == "__main__":
    main()
