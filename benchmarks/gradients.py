"""What gradients cost, as ratios measured in one run: the reference's backward over its forward, and the checker.

    python benchmarks/gradients.py

A 6-layer, 256-wide decoder, T = 256, B = 4; 32 probes of each of its 75 tensors. Exit 1 if backward costs more than
3 forwards, or the check of all tensors takes a minute or more.
"""

import argparse
import sys
import time
from statistics import median
from typing import Any

import numpy as np

from harness.falsifiers.gradient_probes import errors
from harness.falsifiers.training.gradient_tangents import prepare, probe_rows
from harness.reference.model.decoder import decoder_forward
from harness.reference.model.decoder_backward import decoder_backward, loss_and_grads
from harness.reference.ops.losses import cross_entropy_backward, cross_entropy_forward
from harness.reference.random_weights import random_weights

BACKWARD_LIMIT = 3.0
CHECK_SECONDS = 60.0
ERROR_LIMIT = 1e-9
PROBES = {"top": 12, "entries": 12, "directions": 8}
CONFIG: dict[str, Any] = {
    "model_type": "qwen2",
    "num_hidden_layers": 6,
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 2048,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
}


def seconds(work):
    """The result of `work()` and how long it took."""
    begun = time.perf_counter()
    out = work()
    return out, time.perf_counter() - begun


def backward_over_forward(weights, tokens, targets, repeats):
    """Median seconds of a forward, and the median ratio of the backward that followed it."""
    forwards, ratios = [], []
    for _ in range(repeats):
        (logits, stages), forward = seconds(lambda: decoder_forward(CONFIG, weights, tokens))
        dlogits = cross_entropy_backward(np.ones(()), cross_entropy_forward(logits, targets)[1])
        kept = (CONFIG, weights, tokens, stages, dlogits)
        forwards.append(forward)
        ratios.append(seconds(lambda kept=kept: decoder_backward(*kept))[1] / forward)
    return median(forwards), median(ratios)


def check(weights, tokens, targets):
    """All tensors' probes, every tensor on one of the sequences, each sequence with gradients of its own."""
    rows = [loss_and_grads(CONFIG, weights, tokens[i : i + 1], targets[i : i + 1])[1] for i in range(len(tokens))]
    sequences = [prepare(CONFIG, weights, tokens[i], targets[i]) for i in range(len(tokens))]
    return probe_rows(sequences, weights, rows, **PROBES)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    tokens, targets = np.random.default_rng(0).integers(0, CONFIG["vocab_size"], (2, 4, 256))
    weights = random_weights(CONFIG, 0)
    forward, ratio = backward_over_forward(weights, tokens, targets, repeats)
    print(f"forward {forward:.2f} s, backward {ratio:.2f} forwards, at most {BACKWARD_LIMIT:g}")
    found, took = seconds(lambda: check(weights, tokens, targets))
    count, worst = sum(p.claimed.size for p in found), max(errors(found).values())
    # Two losses a probe, each from the embedding up: what differences without any re-use would take.
    plain = 2 * count * forward
    print(
        f"check of {len(weights)} tensors by {count} probes: {took:.0f} s, at most {CHECK_SECONDS:g}; "
        f"{took / forward:.0f} forwards, 1/{plain / took:.0f} of plain central differences; "
        f"largest error {worst:.1e} of a tensor's slopes, at most {ERROR_LIMIT:g}"
    )
    return 0 if ratio <= BACKWARD_LIMIT and took < CHECK_SECONDS and worst <= ERROR_LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
