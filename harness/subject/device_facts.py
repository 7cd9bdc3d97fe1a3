"""Facts about the device of a run that can change its numbers: model, driver, libraries, clocks, torch's settings."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform as machine
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, TypedDict

from harness.judging.result import TorchSettings
from harness.platforms import ON_HOST
from harness.subject import torch_settings
from harness.subject.device import platform

CUBLAS = ("nvidia-cublas", "nvidia-cublas-cu13", "nvidia-cublas-cu12", "nvidia-cublas-cu11")
"""Packages that bring cuBLAS to torch's wheels; torch itself does not tell its version."""
ASKED = ("driver_version", "clocks.sm", "clocks.mem", "clocks.max.sm", "clocks.max.mem")
"""What nvidia-smi is asked, by the names of `nvidia-smi --help-query-gpu`; clocks in MHz."""


class Clocks(TypedDict):
    """Clocks of the multiprocessors and of the memory in MHz: when the run began, and the highest."""

    sm: int | None
    memory: int | None
    sm_max: int | None
    memory_max: int | None


class DeviceFacts(TypedDict):
    """The device of a run; None where torch or the driver does not tell, or the device has no such thing."""

    name: str | None
    capability: str | None
    """CUDA's compute capability, ROCm's architecture, the vector instructions that torch uses on a CPU."""
    memory_bytes: int | None
    multiprocessors: int | None
    driver: str | None
    runtime: str | None
    blas: str | None
    """The BLAS that torch was built with, for tensors on the CPU."""
    cublas: str | None
    cudnn: int | None
    """The version as torch gives it: 91002 is 9.10.2. On ROCm MIOpen's."""
    clocks_mhz: Clocks | None
    settings: TorchSettings | None
    """torch's settings when each claim begins."""


def facts(device: str) -> DeviceFacts:
    """The facts of a device that is there; call it after `settle`, in a process that is never forked."""
    found = _unknown()
    try:
        import torch
    except ImportError:
        return {**found, "name": _processor()}
    found["settings"] = torch_settings.current()
    found["blas"] = _built_with(torch)
    kind, _, number = device.partition(":")
    if platform(device) in ON_HOST:
        found |= {"name": _processor(), "capability": torch.backends.cpu.get_cpu_capability()}
        found["memory_bytes"] = _host_memory()
    elif kind == "cuda":
        _cuda(torch, int(number or 0), found)
    elif kind == "xpu":
        _xpu(torch, int(number or 0), found)
    elif kind == "mps":
        found |= {"name": torch.backends.mps.get_name(), "multiprocessors": torch.backends.mps.get_core_count()}
        found |= {"memory_bytes": torch.mps.recommended_max_memory(), "runtime": f"macOS {machine.mac_ver()[0]}"}
    elif kind == "hpu":
        found["name"] = getattr(torch, kind).get_device_name(int(number or 0))
    return found


def _unknown() -> DeviceFacts:
    return {
        "name": None,
        "capability": None,
        "memory_bytes": None,
        "multiprocessors": None,
        "driver": None,
        "runtime": None,
        "blas": None,
        "cublas": None,
        "cudnn": None,
        "clocks_mhz": None,
        "settings": None,
    }


def _cuda(torch: Any, index: int, found: DeviceFacts) -> None:
    """Fill in the facts of a device of CUDA or ROCm."""
    about = torch.cuda.get_device_properties(index)
    found |= {"name": about.name, "memory_bytes": about.total_memory, "multiprocessors": about.multi_processor_count}
    found["cudnn"] = torch.backends.cudnn.version()
    if torch.version.hip:
        found |= {"capability": about.gcnArchName, "runtime": f"HIP {torch.version.hip}"}
        return
    found |= {"capability": f"{about.major}.{about.minor}", "runtime": f"CUDA {torch.version.cuda}"}
    found["cublas"] = _installed(CUBLAS)
    found["driver"], found["clocks_mhz"] = _nvidia(str(about.uuid))


def _xpu(torch: Any, index: int, found: DeviceFacts) -> None:
    about = torch.xpu.get_device_properties(index)
    found |= {"name": about.name, "memory_bytes": about.total_memory, "multiprocessors": about.max_compute_units}
    found |= {"capability": about.version, "driver": about.driver_version, "runtime": f"XPU {torch.version.xpu}"}


def _nvidia(uuid: str) -> tuple[str | None, Clocks | None]:
    """(driver version, clocks) of the GPU with this UUID, from nvidia-smi if it is there and knows the GPU."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None, None
    name = uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
    query = [program, f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader,nounits", "-i", name]
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
        driver, *clocks = (each.strip() for each in done.stdout.strip().split(","))
        sm, memory, sm_max, memory_max = (int(each) if each.isdigit() else None for each in clocks)
        return driver, {"sm": sm, "memory": memory, "sm_max": sm_max, "memory_max": memory_max}
    return None, None


def _installed(names: tuple[str, ...]) -> str | None:
    """The version of the first of these packages that is installed."""
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return None


def _built_with(torch: Any) -> str | None:
    found = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    return found[1] if found else None


def _processor() -> str | None:
    """The CPU's model as Linux names it, else as Python does."""
    with contextlib.suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return found[1]
    return machine.processor() or None


def _host_memory() -> int | None:
    """Bytes of memory of the machine; None where the system does not tell."""
    with contextlib.suppress(ValueError, OSError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None
