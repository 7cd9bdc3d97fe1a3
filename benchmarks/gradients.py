"""What gradients cost, as ratios measured in one run: the reference's backward over its forward, and the checker.

    python benchmarks/gradients.py

A 6-layer, 256-wide decoder, T = 256, B = 4. Exit 1 if backward costs more than 3 forwards.
"""

import argparse
import sys
import time
from typing import Any

import numpy as np

from reference.decoder import decoder_forward
from reference.decoder_backward import decoder_backward
from reference.losses import cross_entropy_backward, cross_entropy_forward
from reference.random_weights import random_weights

LIMIT = 3.0
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    tokens, targets = np.random.default_rng(0).integers(0, CONFIG["vocab_size"], (2, 4, 256))
    weights = random_weights(CONFIG, 0)
    forward, backward = [], []
    for _ in range(repeats):
        (logits, stages), took = seconds(lambda: decoder_forward(CONFIG, weights, tokens))
        forward.append(took)
        dlogits = cross_entropy_backward(np.ones(()), cross_entropy_forward(logits, targets)[1])
        kept = (CONFIG, weights, tokens, stages, dlogits)
        backward.append(seconds(lambda kept=kept: decoder_backward(*kept))[1])
    # The fastest of each: what else the machine does only adds.
    ratio = min(backward) / min(forward)
    print(f"forward {min(forward):.2f} s, backward {min(backward):.2f} s: {ratio:.2f} forwards, at most {LIMIT:g}")
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
