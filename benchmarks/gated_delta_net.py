"""The reference's gated delta rule: chunked against step by step, against plain matrix products, and backward in T.

    python benchmarks/gated_delta_net.py

Four heads of 64 x 64. Every figure is a ratio of times or of bytes seen in this run. Times are the least CPU seconds of
interleaved rounds, on one thread: what the work takes when nobody else has the core. Bytes are those that tracemalloc
counts. Exit 1 if a figure is outside the limit printed beside it.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np

from harness.reference.model.delta_rule import delta_rule_backward, delta_rule_forward

HEADS, WIDTH, LENGTH, CHUNK = 4, 64, 2048, 16
LENGTHS = (512, 1024, 2048, 4096)
SIZE, ROUNDS, BACKWARD_ROUNDS = 768, 12, 2
FASTER, SLOWER = 5.0, 3.0
GROWTH = (1.6, 2.5)
"""Twice the tokens take twice the time; half as much again, or a quarter less, is noise, and 4 is quadratic."""
KEPT_GROWTH = (1.9, 2.1)
PEAK_GROWTH = 1.1


def problem(length: int) -> tuple[np.ndarray, ...]:
    """q, k, v, g, beta of one sequence with unit keys, decays from 0.9 to 1, and betas in (0, 1)."""
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((1, length, HEADS, WIDTH)) for _ in range(3))
    k /= np.linalg.norm(k, axis=-1, keepdims=True)
    g, beta = -0.1 * rng.random((1, length, HEADS)), rng.random((1, length, HEADS))
    return q / 8, k, v, g, beta


def least_seconds(work: Mapping[object, Callable[[], object]], rounds: int) -> dict[object, float]:
    """The least CPU time of each; in a round each is run three times, so that its data are where it left them."""
    least = dict.fromkeys(work, float("inf"))
    for _ in range(rounds):
        for name, run in [item for item in work.items() for _ in range(3)]:
            began = time.process_time()
            run()
            least[name] = min(least[name], time.process_time() - began)
    return least


def chunked_flops(length: int, chunk: int) -> float:
    """Operations: products of keys with keys and with queries, the inverse, and six products with what is held."""
    square, wide = chunk * chunk * WIDTH, chunk * WIDTH * WIDTH
    return HEADS * (length / chunk) * 2 * (2 * square + chunk**3 / 6 + 2 * square + 3 * wide)


def forward_ratios() -> tuple[float, float, float]:
    """(step by step over chunked, chunked over one large product of as many operations, how far the two are apart)."""
    # glibc then keeps what is freed, as in any process that has held a large array; else page faults are measured.
    np.ones(3 << 20)
    inputs = problem(LENGTH)
    a = np.random.default_rng(1).standard_normal((SIZE, SIZE))
    apart = np.abs(delta_rule_forward(*inputs)[0] - delta_rule_forward(*inputs, chunk=CHUNK)[0]).max()
    taken = least_seconds(
        {
            "steps": lambda: delta_rule_forward(*inputs),
            "chunks": lambda: delta_rule_forward(*inputs, chunk=CHUNK),
            "product": lambda: a @ a,
        },
        ROUNDS,
    )
    product = taken["product"] * chunked_flops(LENGTH, CHUNK) / (2 * SIZE**3)
    return taken["steps"] / taken["chunks"], taken["chunks"] / product, float(apart)


def backward_seconds() -> dict[object, float]:
    """The least CPU time of a backward, by length."""
    caches = {length: delta_rule_forward(*problem(length), chunk=CHUNK) for length in LENGTHS}
    work = {
        length: lambda out=out, cache=cache: delta_rule_backward(np.ones_like(out), None, cache)
        for length, (out, _, cache) in caches.items()
    }
    return least_seconds(work, BACKWARD_ROUNDS)


def memory(length: int, chunk: int) -> tuple[int, int]:
    """(bytes a forward keeps beside its inputs and output, most bytes its backward holds beside gradients)."""
    inputs = problem(length)
    tracemalloc.start()
    out, state, cache = delta_rule_forward(*inputs, chunk=chunk)
    kept = tracemalloc.get_traced_memory()[0] - out.nbytes - state.nbytes
    tracemalloc.stop()
    dout = np.ones_like(out)
    tracemalloc.start()
    grads = delta_rule_backward(dout, None, cache)
    peak = tracemalloc.get_traced_memory()[1] - sum(grad.nbytes for grad in grads)
    tracemalloc.stop()
    return kept, peak


def main() -> int:
    """Print the figures beside their limits; 1 if one of them is outside."""
    faster, slower, apart = forward_ratios()
    print(f"T = {LENGTH}, {HEADS} heads of {WIDTH} x {WIDTH}, chunks of {CHUNK}; largest difference {apart:.0e}")
    print(f"step by step / chunked: {faster:.2f}, at least {FASTER:g}")
    print(f"chunked / one matrix product of as many operations: {slower:.2f}, at most {SLOWER:g}")
    good = [faster >= FASTER, slower <= SLOWER, apart < 1e-13]
    taken = list(backward_seconds().values())
    held = [memory(length, CHUNK) for length in LENGTHS]
    for i, length in enumerate(LENGTHS):
        kept, peak = held[i]
        print(f"backward T = {length}: {taken[i]:.2f} s, kept {kept / 1024:.0f} KiB, peak {peak / 1024:.0f} KiB")
        if i:
            growth, more, higher = taken[i] / taken[i - 1], kept / held[i - 1][0], peak / held[i - 1][1]
            print(
                f"  of the one before: time {growth:.2f} ({GROWTH[0]:g} to {GROWTH[1]:g}), kept {more:.2f} "
                f"({KEPT_GROWTH[0]:g} to {KEPT_GROWTH[1]:g}), peak {higher:.2f} (at most {PEAK_GROWTH:g})"
            )
            good += [GROWTH[0] <= growth <= GROWTH[1], KEPT_GROWTH[0] <= more <= KEPT_GROWTH[1], higher <= PEAK_GROWTH]
    fewer = [memory(LENGTH, chunk)[0] for chunk in (64, 128, 256)]
    shares = [before / after for before, after in pairwise(fewer)]
    print(
        f"kept at T = {LENGTH} in chunks of 64 over 128, and 128 over 256: {shares[0]:.2f}, {shares[1]:.2f} "
        f"({KEPT_GROWTH[0]:g} to {KEPT_GROWTH[1]:g})"
    )
    good += [KEPT_GROWTH[0] <= share <= KEPT_GROWTH[1] for share in shares]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
