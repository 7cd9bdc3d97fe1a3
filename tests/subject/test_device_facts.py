"""The facts of a device: what torch and nvidia-smi say, and null for the rest."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.subject import device_facts, torch_settings
from harness.subject.device_facts import DeviceFacts, facts
from tests.support.command import started
from tests.support.devices import fake_torch

SETTLED = {
    "threads": 1,
    "deterministic": "warn",
    "cublas_workspace": ":4096:8",
    "cublas_fp32": "ieee",
    "cublas_fp16_reduced": False,
    "cublas_bf16_reduced": False,
    "cudnn_fp32": "none",
    "cudnn_deterministic": True,
    "cudnn_benchmark": False,
    "mkldnn_fp32": "none",
}
"""What `settle(1)` leaves; `none` for cuDNN is what `allow_tf32 = False` sets."""


def told(found: DeviceFacts) -> dict[str, Any]:
    """The facts that are not null, without the settings."""
    return {name: value for name, value in found.items() if value is not None and name != "settings"}


def smi(folder: Path, answer: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A nvidia-smi on PATH that writes down its arguments and gives this answer."""
    script = folder / "nvidia-smi"
    script.write_text(f"#!/bin/sh\necho \"$@\" > '{folder}/asked'\n{answer}\n", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder / "asked"


def test_cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_torch.install(monkeypatch, cuda=2)
    asked = smi(tmp_path, "echo '570.86.15, 345, 2619, 1980, [N/A]'", monkeypatch)
    monkeypatch.setattr(device_facts.importlib.metadata, "version", {"nvidia-cublas-cu12": "12.8.4.1"}.__getitem__)
    monkeypatch.setattr(device_facts.importlib.metadata, "PackageNotFoundError", KeyError)
    assert told(facts("cuda:1")) == {
        "name": "H100",
        "capability": "9.0",
        "memory_bytes": 80 << 30,
        "multiprocessors": 132,
        "driver": "570.86.15",
        "runtime": "CUDA 12.8",
        "blas": "mkl",
        "cublas": "12.8.4.1",
        "cudnn": 91002,
        "clocks_mhz": {"sm": 345, "memory": 2619, "sm_max": 1980, "memory_max": None},
    }
    assert asked.read_text().split()[-2:] == ["-i", "GPU-ab-12"]


@pytest.mark.parametrize("answer", ["echo 'No devices were found'; exit 6", "echo 'what is this'", ":"])
def test_a_silent_nvidia_smi_leaves_driver_and_clocks_unknown(
    answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_torch.install(monkeypatch, cuda=1)
    smi(tmp_path, answer, monkeypatch)
    found = facts("cuda:0")
    assert (found["name"], found["driver"], found["clocks_mhz"]) == ("H100", None, None)


def test_without_nvidia_smi_and_cublas(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_torch.install(monkeypatch, cuda=1)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(device_facts, "CUBLAS", ("no-such-package",))
    found = facts("cuda:0")
    assert (found["capability"], found["driver"], found["cublas"]) == ("9.0", None, None)


def test_rocm_is_recorded_as_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_torch.install(monkeypatch, hip="6.4.43482", cuda=1)
    asked = smi(tmp_path, "echo '570, 1, 2, 3, 4'", monkeypatch)
    found = facts("cuda:0")
    assert (found["capability"], found["runtime"], found["cublas"]) == ("gfx942", "HIP 6.4.43482", None)
    assert found["driver"] is None
    assert not asked.exists()


def test_xpu_mps_and_hpu(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_torch.install(monkeypatch, xpu=2, mps=1, hpu=1)
    monkeypatch.setattr(device_facts.machine, "mac_ver", lambda: ("15.5", ("", "", ""), "arm64"))
    xpu, mps, hpu = (told(facts(device)) for device in ("xpu:1", "mps", "hpu:0"))
    assert (xpu["name"], xpu["multiprocessors"], xpu["driver"]) == ("Max 1550", 512, "1.6.33")
    assert (xpu["capability"], xpu["runtime"]) == ("12.60.7", "XPU 20250101")
    assert mps == {
        "name": "Apple M3",
        "multiprocessors": 10,
        "memory_bytes": 12 << 30,
        "runtime": "macOS 15.5",
        "blas": "mkl",
    }
    assert hpu == {"name": "device 0", "blas": "mkl"}


def test_this_cpu() -> None:
    found = facts("cpu")
    assert found["capability"] == torch.backends.cpu.get_cpu_capability()
    assert found["blas"]
    assert found["memory_bytes"] is not None
    assert found["memory_bytes"] > 1 << 28
    unknown = ("driver", "runtime", "cublas", "cudnn", "clocks_mhz", "multiprocessors")
    assert [found[name] for name in unknown] == [None] * len(unknown)  # type: ignore[literal-required]
    assert facts("rehearsal") == found


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    found = facts("cpu")
    assert (found["settings"], found["blas"], found["capability"]) == (None, None, None)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """torch settled in this process for one test."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = (torch.get_num_threads(), torch.get_deterministic_debug_mode())
    flags = (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic)
    torch_settings.settle(1)
    yield
    torch.set_num_threads(before[0])
    torch.set_deterministic_debug_mode(before[1])
    cudnn = torch.backends.cudnn
    cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic = flags


def test_the_settings_that_settle_makes(settled: None) -> None:
    assert torch_settings.current() == SETTLED
    assert facts("cpu")["settings"] == SETTLED


CHANGES = {
    "backends.cuda.matmul.allow_tf32 = True": "cublas_fp32",
    "backends.cuda.matmul.fp32_precision = 'tf32'": "cublas_fp32",
    "set_float32_matmul_precision('high')": "cublas_fp32",
    "backends.cudnn.allow_tf32 = True": "cudnn_fp32",
    "backends.cudnn.deterministic = False": "cudnn_deterministic",
    "backends.cudnn.benchmark = True": "cudnn_benchmark",
    "set_deterministic_debug_mode(0)": "deterministic",
    "backends.cuda.matmul.allow_fp16_reduced_precision_reduction = True": "cublas_fp16_reduced",
    "backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True": "cublas_bf16_reduced",
    "backends.mkldnn.matmul.fp32_precision = 'bf16'": "mkldnn_fp32",
    "set_num_threads(2)": "threads",
}
FORKS = """import json, os, sys, torch
from harness.subject.torch_settings import current, settle
settle(1)
for change in json.loads(sys.argv[1]):
    if os.fork() == 0:
        exec("torch." + change)
        print(json.dumps([change, current()]), flush=True)
        os._exit(0)
    os.wait()
"""
"""Each change in a process of its own, because torch keeps some of them for good."""


def test_each_setting_that_differs_is_seen() -> None:
    done = started([sys.executable, "-c", FORKS, json.dumps(list(CHANGES))], Path.cwd())
    found = dict(json.loads(line) for line in done.stdout.splitlines())
    assert found.keys() == CHANGES.keys(), done.stderr
    for change, settings in found.items():
        assert CHANGES[change] in {key for key, value in settings.items() if value != SETTLED[key]}, change
