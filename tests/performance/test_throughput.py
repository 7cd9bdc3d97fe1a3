"""The falsifier of throughput: what is measured on a device, tried here with the processor in the device's place."""

from __future__ import annotations

from typing import Any

import pytest

from harness.case import Case
from harness.falsifiers.baselines import torch_copy
from harness.falsifiers.baselines.transformers import throughput as baseline
from harness.falsifiers.performance import throughput
from harness.falsifiers.performance.mutants import throughput as mutants
from tests.support.cpu_boundary import boundary

SIZES = {"prompt": 192, "layers": 2, "hidden": 256, "intermediate": 512, "heads": 4, "kv_heads": 2, "head_dim": 64}
WIDE = "batch_taken_for_one"
ON_DEVICE = {**SIZES, "vocab": 512}
GIVEN: dict[str, Any] = {"weights": "nowhere", "prompt": 8, "new_tokens": 24, "repeats": 3, "on_device": ON_DEVICE}


@pytest.fixture(scope="module")
def case() -> Case:
    """One case: what is measured for all subjects is measured once."""
    return Case()


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor counts as a device."""
    monkeypatch.setattr(throughput, "ON_HOST", ())
    small = torch_copy.device_bandwidth
    monkeypatch.setattr(torch_copy, "device_bandwidth", lambda device: small(device, 1 << 24))


def measured(subject: Any, case: Case) -> dict[str, float]:
    seen = throughput.throughput(boundary(subject, "float32"), case, **GIVEN)
    return {name: float(seen.scalars[name]) for name in throughput.MEASURES}


@pytest.mark.usefixtures("on_device")
def test_on_a_device_the_peer_is_transformers_and_the_bandwidth_is_the_device_s(case: Case) -> None:
    found = measured(baseline, case)
    # Medians: on a busy machine the lower bound of three repeats may be anywhere.
    assert 0.1 < found["decode_per_s"] / found["peer_decode_per_s"] < 10
    assert 0.1 < found["prefill_per_s"] / found["peer_prefill_per_s"] < 10
    assert found["tokens_not_made"] == 0
    whole = 2 * (2 * 256 * 256 + 2 * 256 * 128 + 3 * 256 * 512) + 512 * 256  # products; gains and biases are few
    assert 1 <= found["bytes_per_token"] / (4 * whole) < 1.02
    assert found["decode_of_bandwidth"] < 10 * found["decode_per_s"] * found["bytes_per_token"] / (
        found["bandwidth_gb_per_s"] * 1e9
    )


@pytest.mark.usefixtures("on_device")
def test_on_a_device_mutants_are_far_from_the_baseline(case: Case) -> None:
    warm_up, batch = (measured(getattr(mutants, name)(baseline), case) for name in ("warm_up_counted", WIDE))
    assert warm_up["decode_per_s"] < GIVEN["new_tokens"] / mutants.WARM_UP
    assert batch["prefill_per_s"] / batch["peer_prefill_per_s"] > 10


def test_a_copy_takes_longer_if_there_is_more_to_copy() -> None:
    rates = [torch_copy.device_bandwidth("cpu", size) for size in (1 << 24, 1 << 26)]
    assert all(1e8 < rate < 1e13 for rate in rates)
    assert 1e8 < throughput.host_bandwidth() < 1e13
