"""The parts of `ci/gpu.sh`: what runs, in which order, and for how long."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

from harness.platforms import ON_HOST, REHEARSAL

ROOT = Path(__file__).resolve().parents[1]
SECONDS = {"device": 450.0, "cpu": 840.0, "quick": 165.0}
"""The time of all parts together; the goals are 8 minutes, 15 minutes and 3 minutes with the installation."""
TRITON = "rmsnorm or softmax or swiglu or attention"
TRITON_INTERPRETED = "softmax-001 or swiglu-001"
"""Triton's interpreter takes minutes for all of them."""
COMPILED = "rmsnorm-eps-001 or softmax-001 or attention-001 or attention-state-001 or decoder-logits-001"
GRAPHED = "decoder-logits-001 or decoder-trained-001 or kv-split-001 or kv-tenant-001 or logits-shape-001"
FUSED = "attention-001 or attention-state-001 or rmsnorm-eps-001 or softmax-001 or decoder-logits-001 or kv-split-001"


@dataclass(frozen=True)
class Part:
    """One part: a `harness run` on `paths`, or else `command`, run with this Python."""

    name: str
    title: str
    share: float
    """Of the time that is left, relative to the shares of the parts after it."""
    paths: tuple[str, ...] = ()
    select: str = ""
    candidate: str = "torch"
    workers: int | None = None
    environment: dict[str, str] = field(default_factory=dict)
    device: str = ""
    """Instead of the device of all parts."""
    command: tuple[str, ...] = ()

    def words(self, device: str, evidence: Path, resume: Path | None = None) -> list[str]:
        """The command line of this part; with `resume`, the one that completes that unfinished run."""
        if self.command:
            return [sys.executable, *self.command, *(["--device", device] if self.name == "false_alarms" else [])]
        workers = ["-j", str(self.workers or _workers())]
        run = [sys.executable, "-P", "-m", "harness", "run", *workers]
        if resume is not None:
            return [*run, "--resume", str(resume)]
        select = ["-k", self.select] if self.select else []
        where = ["--candidate", self.candidate, "--device", self.device or device, "--evidence", str(evidence)]
        return [*run, *self.paths, *where, *select]


def _workers() -> int:
    """How many claims at once: on a device they share it, so more than eight do not pay."""
    return max(1, min(8, os.cpu_count() or 1))


def limit(part: Part, after: Sequence[Part], seconds: float) -> float:
    """Seconds that a part may take of those that are left; what it does not use is left to the parts after it."""
    return max(0.0, seconds) * part.share / (part.share + sum(other.share for other in after))


def parts(platform: str, *, quick: bool = False) -> list[Part]:
    """Every part in its order, for a device's platform (`cpu`, `cuda`, ...).

    With `quick`, D, B, A and C run the first claim of each criterion of contracts/ship.yaml, and SLOW is left out.
    The eager candidate's claims explore bfloat16 and float16 too; `sixteen_bit` adds the fused kernels.
    """
    model = ("ci/gpu_model.py",)
    whole = [
        Part("model", "the small trained model", 40, command=model),
        Part("D", "decoder", 24, ("contracts/model",), _first("contracts/model", quick)),
        Part("ops", "ops and their gradients", 10, ("contracts/ops",)),
        Part("B", "gated delta net, adapters, generation", 14, B, _first(B, quick)),
        Part("A", "endpoint trainer", 10, training("endpoint"), _first(training("endpoint"), quick)),
        Part("C", "training engine", 14, training("engine"), _first(training("engine"), quick)),
        _triton(platform),
        Part("E6", "throughput against measured bandwidth", 24, ("contracts/performance",), workers=1),
        Part("cuda_graph", "decoder as CUDA graphs", 6, ("contracts/model",), GRAPHED, "cuda_graph"),
        Part("torch_compile", "torch.compile", 9, ("contracts/ops", "contracts/model"), COMPILED, "torch_compile"),
        Part("sixteen_bit", "fused kernels in 16 bits", 6, ("contracts/ops", "contracts/model"), FUSED, SDPA),
        _false_alarms(platform, quick),
    ]
    left_out = (*(SLOW if quick else ()), *(NOT_COMPILED if platform == REHEARSAL else ()))
    return [part for part in whole if part.name not in left_out]


SDPA = "torch_sdpa"
SLOW = ("cuda_graph", "torch_compile", "sixteen_bit")
"""Parts that `--quick` leaves out."""
NOT_COMPILED = ("torch_compile",)
"""torch's compiler makes no kernels for the rehearsal device."""
OWN = ("name", "title", "share", "paths", "select", "candidate", "workers", "environment")
B = ("contracts/adapters", "contracts/generation/greedy.yaml")


def own(path: Path) -> list[Part]:
    """Parts of your own from a YAML list: each a name and the fields of a `harness run`, relative to the checkout.

    Raises: ValueError, one line, for another shape.
    """
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ValueError(f"{path}: expected a list of parts such as {{name: mine, paths: [contracts/ops]}}")
    for number, entry in enumerate(found, start=1):
        if unknown := sorted(set(entry) - set(OWN)):
            raise ValueError(f"{path}: part {number}: found {unknown[0]!r}, expected {', '.join(OWN)}")
        if not entry.get("name") or not entry.get("paths"):
            raise ValueError(f"{path}: part {number}: found no name or no paths, expected both")
    return [Part(**{"title": entry["name"], "share": 1.0, **entry, "paths": tuple(entry["paths"])}) for entry in found]


def _triton(platform: str) -> Part:
    """Triton's kernels compiled for CUDA; elsewhere the same kernels in Triton's interpreter."""
    title, path, kernels = "Triton kernels", ("contracts/ops",), "examples/triton_kernels.py"
    if platform == "cuda":
        return Part("triton", title, 6, path, TRITON, kernels)
    interpreted = {"TRITON_INTERPRET": "1"}
    given = {"environment": interpreted, "device": "cpu"}
    return Part("triton", f"{title}, interpreted", 6, path, TRITON_INTERPRETED, kernels, **given)


def _false_alarms(platform: str, quick: bool) -> Part:
    """Correct implementations under every claim: none may be called wrong."""
    runs = "20" if quick else "60" if platform in ON_HOST else "200"
    command = ("benchmarks/false_alarms.py", "--runs", runs)
    return Part("false_alarms", "correct implementations called wrong", 8, command=command)


def training(which: str) -> tuple[str, ...]:
    """The contracts of contracts/training with claims of the endpoint trainer only (`endpoint`), or the others."""
    targets = _ship()
    ours, engine = (_claims_of(targets[name]) for name in ("endpoint-trainer", "training-engine"))
    found = []
    for path in sorted((ROOT / "contracts" / "training").glob("*.yaml")):
        claims = set(claims_in(path))
        if (bool(claims & ours) and not claims & engine) == (which == "endpoint"):
            found.append(path.relative_to(ROOT).as_posix())
    return tuple(found)


def _first(paths: str | tuple[str, ...], quick: bool) -> str:
    """With `quick`, a -k expression of the first claim of each criterion that lies in these contracts; else ''."""
    if not quick:
        return ""
    files = [file for path in ([paths] if isinstance(paths, str) else paths) for file in _files(ROOT / path)]
    here = {claim for file in files for claim in claims_in(file)}
    chosen = [
        next(iter([claim for claim in criterion.get("claims") or [] if claim in here]), None)
        for target in _ship().values()
        for criterion in target["criteria"]
    ]
    return " or ".join(dict.fromkeys(claim for claim in chosen if claim))


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob("*.yaml"))


def claims_in(path: Path) -> list[str]:
    """The claim ids of one contract, in its order."""
    return re.findall(r"^- id: (FALSIFY-\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE)


@cache
def _ship() -> dict:
    """The targets of contracts/ship.yaml."""
    return yaml.safe_load((ROOT / "contracts" / "ship.yaml").read_text(encoding="utf-8"))["targets"]


def _claims_of(target: dict) -> set[str]:
    return {claim for criterion in target["criteria"] for claim in criterion.get("claims") or []}


def whole_seconds(platform: str, *, quick: bool) -> float:
    """Seconds of all parts together."""
    if platform in ON_HOST:
        return SECONDS["cpu"]
    return SECONDS["quick" if quick else "device"]
