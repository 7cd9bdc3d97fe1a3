"""Falsifier of throughput: tokens per second over memory bandwidth and over a peer's, measured in one run.

On the host the model is the small trained one and the peer llama.cpp. On a device its time would be that of starting
kernels, and llama.cpp runs on the host: there the weights are larger than any cache, and the peer is transformers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from math import sqrt
from typing import Any

import numpy as np

from harness.case import Case
from harness.consumers.llama_cpp import Request, ask
from harness.falsifiers.inputs.checkpoint import read_checkpoint
from harness.falsifiers.inputs.exported import exported
from harness.falsifiers.inputs.synthetic_model import small_config
from harness.observation import Observation
from harness.platforms import ON_HOST
from harness.reference.random_weights import random_weights

MEASURES = {
    "decode_of_bandwidth": "lower 95 % bound of decoded tokens/s times the weights' bytes, over measured bandwidth",
    "decode_of_peer": "lower 95 % bound of decoded tokens/s over the peer's median on the same model",
    "prefill_of_peer": "lower 95 % bound of prefilled tokens/s over the peer's median on the same model",
    "reported_of_timed": "median reported tokens/s of decoding over tokens/s by this falsifier's own clock",
    "tokens_not_made": "absolute differences of requested and generated numbers of tokens, summed over repeats",
    "decode_per_s": "median decoded tokens/s",
    "prefill_per_s": "median prefilled tokens/s",
    "peer_decode_per_s": "median decoded tokens/s of the peer on the same weights",
    "peer_prefill_per_s": "median prefilled tokens/s of the peer on the same weights",
    "bytes_per_token": "bytes of the weights that one decoded token reads",
    "bandwidth_gb_per_s": "median of copies, bytes read and written: 64 MiB on the host, 512 MiB on a device",
}
T95 = {3: 2.92, 4: 2.35, 5: 2.13, 6: 2.02}
"""Number of repeats -> one-sided 95 % quantile of Student's t."""


@dataclass(frozen=True)
class Setting:
    """What all subjects of a case are measured on and against.

    Shapes: tokens (1, T). Units: peer in tokens per second by `decode` and `prefill`, bandwidth in bytes per second.
    """

    config: Any
    tensors: dict[str, np.ndarray]
    tokens: np.ndarray
    peer: dict[str, float]
    bandwidth: float


def throughput(
    subject: Any,
    case: Case,
    *,
    weights: str,
    prompt: int,
    new_tokens: int,
    repeats: int,
    on_device: dict[str, Any],
) -> Observation:
    """Compare the subject's reported speeds with memory bandwidth, with a peer's, and with this falsifier's own clock.

    `on_device` holds the prompt's length and the sizes of the model for a device (arguments of `small_config`).
    Shapes: tokens (1, prompt). Units: bytes of the float32 weights, each read once per token.
    """
    if case.device.partition(":")[0] in ON_HOST:
        given = _on_host(case, str(weights), prompt, new_tokens, repeats)  # anew: what else runs on the host changes
    else:
        given = case.once(_on_device, case, on_device, new_tokens, repeats)
    config, tensors, tokens, peer, bandwidth = (getattr(given, field.name) for field in fields(Setting))
    runs = subject.throughput(config, tensors, tokens, new_tokens, repeats=repeats)
    if len(runs) != repeats:
        raise ValueError(f"throughput: found {len(runs)} repeats, expected {repeats}")
    decode, prefill = (np.array([run[name] for run in runs], np.float64) for name in ("decode", "prefill"))
    size = sum(w.nbytes for name, w in tensors.items() if name != "model.embed_tokens.weight")
    return Observation(
        decode_of_bandwidth=_lower(decode) * size / bandwidth,
        decode_of_peer=_lower(decode) / peer["decode"],
        prefill_of_peer=_lower(prefill) / peer["prefill"],
        reported_of_timed=float(np.median(decode)) / _timed(subject, config, tensors, tokens, new_tokens),
        tokens_not_made=float(sum(abs(run["made"] - new_tokens) for run in runs)),
        decode_per_s=float(np.median(decode)),
        prefill_per_s=float(np.median(prefill)),
        peer_decode_per_s=peer["decode"],
        peer_prefill_per_s=peer["prefill"],
        bytes_per_token=size,
        bandwidth_gb_per_s=bandwidth / 1e9,
        series={"decode": decode, "prefill": prefill},
    )


def _on_host(case: Case, weights: str, prompt: int, new_tokens: int, repeats: int) -> Setting:
    config, tensors = read_checkpoint(weights, case.dtype)
    tokens = case.integers("tokens", (1, prompt), 0, 1997)
    peer = _llama_cpp(case, weights, prompt, new_tokens, repeats)
    return Setting(config, tensors, tokens, peer, host_bandwidth())


def _on_device(case: Case, given: dict[str, Any], new_tokens: int, repeats: int) -> Setting:
    from harness.falsifiers.baselines.torch_copy import device_bandwidth
    from harness.falsifiers.baselines.transformers.throughput import medians

    config = small_config(**{name: value for name, value in given.items() if name != "prompt"})
    tensors = {name: w.astype(np.float32) for name, w in random_weights(config, case.seed).items()}
    tokens = case.integers("tokens", (1, int(given["prompt"])), 0, int(config["vocab_size"]))
    peer = medians(config, tensors, tokens, new_tokens, repeats, case.device)
    return Setting(config, tensors, tokens, peer, device_bandwidth(case.device))


def _lower(rates: np.ndarray) -> float:
    """Lower 95 % bound of the mean."""
    return float(rates.mean() - T95[len(rates)] * rates.std(ddof=1) / sqrt(len(rates)))


def _timed(subject: Any, config: Any, tensors: Any, tokens: np.ndarray, new_tokens: int) -> float:
    """Decoded tokens per second by this clock, in the second of two runs."""
    model = subject.load(config, tensors)
    for _ in range(2):
        logits, cache = model.prefill(tokens)
        began = time.perf_counter()
        for _ in range(new_tokens):
            logits, cache = model.decode(logits[:, -1:].argmax(axis=-1), cache)
        rate = new_tokens / (time.perf_counter() - began)
    return rate


def _llama_cpp(case: Case, weights: str, prompt: int, new_tokens: int, repeats: int) -> dict[str, float]:
    """llama.cpp's medians on the same weights in F32, without its first run."""
    from harness.falsifiers.baselines.gguf import package

    with exported(package, case, "trained", "F32", weights) as (path, _, _, _):
        request = Request(speed_runs=repeats + 1, speed_prompt=prompt, new_tokens=new_tokens)
        speeds = ask(path, request).speeds[1:]
    return {name: float(np.median([run[name] for run in speeds])) for name in ("prefill", "decode")}


def host_bandwidth() -> float:
    """Bytes per second, read and written, of copying 64 MiB in NumPy; the median of nine copies."""
    source, target = np.ones(8 << 20), np.empty(8 << 20)
    taken = []
    for _ in range(9):
        began = time.perf_counter()
        np.copyto(target, source)
        taken.append(time.perf_counter() - began)
    return 2 * source.nbytes / float(np.median(taken))
