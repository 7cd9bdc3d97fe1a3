"""A stand-in for torch on machines with devices that this one lacks: what `find` and `facts` ask, and nothing else."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

GPU = SimpleNamespace(
    name="H100", total_memory=80 << 30, multi_processor_count=132, major=9, minor=0, uuid="ab-12", gcnArchName="gfx942"
)
XPU = SimpleNamespace(
    name="Max 1550", total_memory=64 << 30, max_compute_units=512, version="12.60.7", driver_version="1.6.33"
)


def install(monkeypatch: pytest.MonkeyPatch, *, hip: str | None = None, **counts: int) -> Any:
    """Put a torch with so many devices of each kind in place of the real one; the first kind is the accelerator."""
    fake: Any = ModuleType("torch")
    for kind in ("cuda", "xpu", "mps"):  # torch.hpu is there only with Habana's plug-in
        setattr(fake, kind, _kind(counts.get(kind, 0)))
    for kind, count in counts.items():
        setattr(fake, kind, _kind(count))
    fake.cuda.get_device_properties = lambda index: GPU
    fake.xpu.get_device_properties = lambda index: XPU
    fake.mps.recommended_max_memory = lambda: 12 << 30
    kind = next((kind for kind, count in counts.items() if count), None)
    fake.accelerator = SimpleNamespace(
        is_available=lambda: kind is not None, current_accelerator=lambda: SimpleNamespace(type=kind)
    )
    fake.version = SimpleNamespace(cuda=None if hip else "12.8", hip=hip, xpu="20250101")
    fake.backends = _backends()
    fake.__config__ = SimpleNamespace(show=lambda: "  - Build settings: BLAS_INFO=mkl, BUILD_TYPE=Release")
    fake.get_num_threads = lambda: 1
    fake.get_deterministic_debug_mode = lambda: 1
    monkeypatch.setitem(sys.modules, "torch", fake)
    return fake


def _kind(count: int) -> Any:
    return SimpleNamespace(
        is_available=lambda: count > 0, device_count=lambda: count, get_device_name=lambda index: f"device {index}"
    )


def _backends() -> Any:
    matmul = {"allow_fp16_reduced_precision_reduction": True, "allow_bf16_reduced_precision_reduction": True}
    return SimpleNamespace(
        cuda=SimpleNamespace(matmul=SimpleNamespace(fp32_precision="ieee", **matmul)),
        cudnn=SimpleNamespace(
            conv=SimpleNamespace(fp32_precision="none"), deterministic=True, benchmark=False, version=lambda: 91002
        ),
        mkldnn=SimpleNamespace(matmul=SimpleNamespace(fp32_precision="none")),
        mps=SimpleNamespace(get_name=lambda: "Apple M3", get_core_count=lambda: 10),
        cpu=SimpleNamespace(get_cpu_capability=lambda: "AVX2"),
    )
