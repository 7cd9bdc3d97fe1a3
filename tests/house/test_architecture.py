"""The house holds: rooms in order, arrows one way, no circle. Late imports and names in strings count as arrows."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.house.arrows import Arrow, arrows_of, circles, inside, module_name

ROOT = Path(__file__).resolve().parents[2]
STANDARD = set(sys.stdlib_module_names) | {"__future__"}

ROOMS = (
    ("__init__", "errors", "dtypes", "mutant", "definitions", "platforms"),
    ("confinement",),
    ("observation", "case", "checkpoint"),
    ("measurements",),
    ("contract",),
    ("judging",),
    ("localisation",),
    ("subject", "words"),
    ("evidence",),
    ("trial", "provable"),
    ("run",),
    ("report",),
    ("commands", "pytest_plugin"),
    ("__main__",),
)
"""The engine from the ground up. A room may import what stands on a lower line, and itself; nothing else."""
APART = {("run", "report"), ("report", "run"), ("report", "trial"), ("judging", "contract"), ("trial", "provable")}
"""Rooms that the order would let import each other and that must not."""

CONTENT = {
    "reference": {"reference"},
    "formats": {"formats", "errors", "checkpoint"},
    "consumers": {"consumers"},
    "models": {"models", "errors"},
    "candidates": {"candidates", "formats", "consumers", "errors", "definitions", "platforms", "confinement"},
    "falsifiers": {"falsifiers", "falsifiers/baselines", "reference", "consumers"}
    | {"observation", "case", "dtypes", "checkpoint", "errors", "localisation", "mutant", "definitions", "platforms"},
    "falsifiers/baselines": {"falsifiers/baselines"},
    "falsifiers/itself": {"falsifiers/itself", "__init__", "observation", "case", "mutant"}
    | {"contract", "measurements", "judging", "subject", "evidence", "trial"},
    "falsifiers/mutants": {"falsifiers/mutants", "falsifiers/baselines", "mutant", "dtypes", "reference"},
    "template": {"observation", "mutant"},
}
"""What implementations, checks and files may import of the house. The engine reaches them by names in YAML."""
LOADED = {("subject", "candidates"), ("run", "consumers"), ("commands", "formats"), ("commands", "reference")}
"""Where the engine loads content by a name in a string: the candidate, llama.cpp's version, `inspect`, `export`."""

WITH_TORCH = ("harness.run.warm", "harness.subject.watch", "harness.subject.rehearsal")
"""Engine modules that load torch: the forkserver, and what is imported late for a device that is not the CPU."""

THIRD_PARTY = {
    "reference": {"numpy"},
    "measurements": {"numpy"},
    "judging": {"numpy"},
    "localisation": {"numpy"},
    "dtypes": {"numpy"},
    "observation": {"numpy"},
    "case": {"numpy"},
    "mutant": set(),
    "errors": set(),
    "definitions": set(),
    "platforms": set(),
    "confinement": set(),
    "checkpoint": {"numpy", "ml_dtypes", "safetensors"},
    "contract": {"yaml", "jsonschema_rs", "hypothesis"},
    "provable": {"yaml"},
    "words": set(),
    "subject": {"numpy", "torch", "cloudpickle"},
    "evidence": {"numpy", "safetensors", "jsonschema_rs", "cryptography", "packaging", "sigstore"},
    "trial": {"numpy", "psutil", "hypothesis"},
    "run": {"numpy", "psutil", "torch", "hypothesis"},
    "report": {"rich", "jinja2", "vl_convert"},
    "commands": {"argcomplete", "transformers"},
    "pytest_plugin": {"pytest"},
    "formats": {"numpy", "safetensors", "ml_dtypes", "gguf", "tokenizers"},
    "consumers": {"numpy", "cyllama", "xllamacpp"},
    "models": {"numpy", "torch", "transformers", "tokenizers", "safetensors", "filelock", "rich"},
    "candidates": {"numpy", "torch", "transformers", "tokenizers", "safetensors", "ml_dtypes"},
    "falsifiers": {"numpy"},
    "falsifiers/baselines": {"numpy", "torch", "transformers", "tokenizers", "safetensors", "gguf", "peft"}
    | {"huggingface_hub", "ml_dtypes"},
    "falsifiers/itself": {"numpy"},
    "falsifiers/mutants": {"numpy", "torch", "safetensors"},
    "template": {"numpy"},
}
LATE_ONLY = {
    "torch",
    "transformers",
    "jinja2",
    "vl_convert",
    "argcomplete",
    "cloudpickle",
    "cryptography",
    "sigstore",
}
"""Heavy or optional: the engine asks for them inside the function that needs them. `run/warm.py` loads torch early,
in the server from which claims are forked; that is its purpose."""


def files(root: Path) -> dict[str, Path]:
    return {module_name(path, root): path for path in sorted((root / "harness").rglob("*.py"))}


def room(module: str, root: Path) -> str:
    """The room of a module below harness: its folder or its file; baselines and mutants are rooms of their own."""
    _, first, *rest = [*module.split("."), *(["__init__"] if module == "harness" else [])]
    if first == "falsifiers" and rest[:1] == ["itself"]:
        return "falsifiers/itself"  # its subject is the engine, its mutants included
    if first == "falsifiers" and {"baselines", "mutants"} & set(rest):
        return "falsifiers/baselines" if "baselines" in rest else "falsifiers/mutants"
    known = (root / "harness" / first).is_dir() or (root / "harness" / f"{first}.py").is_file()
    return first if known else "__init__"


def floor(name: str) -> int | None:
    return next((i for i, rooms in enumerate(ROOMS) if name in rooms), None)


def wrong(arrow: Arrow, root: Path) -> str:
    """Why an arrow may not be; empty if it may."""
    here = room(arrow.module, root)
    top = arrow.target.partition(".")[0]
    if top != "harness":
        allowed = THIRD_PARTY.get(here, set())
        if top not in STANDARD | allowed and not (arrow.how == "string" and "." not in arrow.target):
            return f"{here} imports {top}, allowed are {sorted(allowed)}"
        return ""
    there = room(arrow.target, root)
    if here == there:
        return ""
    if here in CONTENT:
        return "" if there in CONTENT[here] else f"{here} imports {there}"
    if there in CONTENT:
        return "" if (here, there) in LOADED and arrow.how == "string" else f"the engine's {here} imports {there}"
    if floor(here) is None or floor(there) is None:
        return f"{here} or {there} has no place in ROOMS"
    upward = floor(there) >= floor(here)  # type: ignore[operator]
    return f"{here} imports {there}" if upward or (here, there) in APART else ""


def faults(root: Path) -> list[str]:
    """Every arrow of the house that may not be, and every circle."""
    modules = files(root)
    arrows = [arrow for path in modules.values() for arrow in arrows_of(path, root)]
    found = [f"{a.module} ({a.how}): {why}" for a in arrows if (why := wrong(a, root))]
    found += [
        f"{a.module} loads {a.target} at import time"
        for a in arrows
        if a.how == "top"
        and a.target.partition(".")[0] in LATE_ONLY
        and floor(room(a.module, root)) is not None
        and not a.module.startswith(WITH_TORCH)
        and not _guarded(a, modules)
    ]
    return found + [f"circle: {' -> '.join(each)}" for each in circles(inside(arrows, modules))]


def _guarded(arrow: Arrow, modules: dict[str, Path]) -> bool:
    """Whether only type checkers see the import."""
    return "TYPE_CHECKING" in modules[arrow.module].read_text(encoding="utf-8") and arrow.how != "top"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "harness", root / "harness", ignore=shutil.ignore_patterns("__pycache__"))
    return root


def test_every_arrow_runs_down_and_there_is_no_circle() -> None:
    assert faults(ROOT) == []


def test_every_room_has_its_place() -> None:
    rooms = {room(module, ROOT) for module in files(ROOT)}
    placed = {name for each in ROOMS for name in each} | set(CONTENT)
    assert rooms - {"harness"} == placed, "a room without a place, or a place without a room"
    assert set(THIRD_PARTY) | {"__init__", "__main__"} == placed


@pytest.mark.parametrize(
    ("file", "line", "told"),
    [
        ("judging/judge.py", "from harness.evidence import store", "judging imports evidence"),
        ("judging/judge.py", "def late() -> None:\n    from harness.trial import job", "judging imports trial"),
        ("judging/pool.py", 'LATER = "harness.report.page"', "judging imports report"),
        ("judging/pool.py", "import torch", "judging imports torch"),
        ("evidence/store.py", 'def late():\n    import_module("harness.run.session")', "evidence imports run"),
        ("evidence/store.py", "from ..run import session", "evidence imports run"),
        ("contract/claim.py", "import numpy", "contract imports numpy"),
        ("report/work.py", "from harness.trial import job", "report imports trial"),
        ("reference/ops/norm.py", "import torch", "reference imports torch"),
        ("reference/ops/norm.py", "from harness import case", "reference imports case"),
        ("falsifiers/ops/__init__.py", "from harness.candidates import torch", "falsifiers imports candidates"),
        ("falsifiers/ops/__init__.py", "from harness.judging import judge", "falsifiers imports judging"),
        ("falsifiers/ops/mutants/rmsnorm.py", "import harness.candidates.torch", "falsifiers/mutants imports cand"),
        ("falsifiers/itself/reading.py", "from harness.commands import gate", "falsifiers/itself imports commands"),
        ("falsifiers/ops/__init__.py", "from harness.falsifiers.itself import shop", "imports falsifiers/itself"),
        ("candidates/torch/ops/norms.py", "from harness.reference.ops import norm", "candidates imports reference"),
        ("trial/job.py", "from harness.falsifiers import ops", "the engine's trial imports falsifiers"),
        ("trial/job.py", "from harness.candidates import torch", "the engine's trial imports candidates"),
        ("subject/boundary.py", "import torch", "loads torch at import time"),
        ("subject/device.py", "from torch import nn", "loads torch.nn at import time"),
        ("words/narrative.py", "import rich", "words imports rich"),
        ("judging/limits.py", "def late():\n    from harness.judging import judge", "circle: "),
        ("judging/limits.py", 'JUDGE = "harness.judging.judge"', "circle: "),
        ("surprise/room.py", "import os", "surprise"),
    ],
)
def test_a_planted_arrow_is_seen(copy: Path, file: str, line: str, told: str) -> None:
    path = copy / "harness" / file
    before = path.read_text(encoding="utf-8") if path.is_file() else None
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{before or ''}\n{line}\n", encoding="utf-8")
    try:
        found = faults(copy) if "surprise" not in file else sorted({room(m, copy) for m in files(copy)})
        assert any(told in each for each in found), found
    finally:
        if before is None:
            shutil.rmtree(path.parent)
        else:
            path.write_text(before, encoding="utf-8")


def test_rich_is_used_only_where_text_meets_a_terminal() -> None:
    users = {a.module for path in files(ROOT).values() for a in arrows_of(path, ROOT) if a.target.startswith("rich")}
    shown = ("report.terminal", "report.progress", "report.inspection", "models.progress")
    assert users == {f"harness.{module}" for module in shown}


def test_packages_of_the_report_are_asked_for_by_the_page_alone() -> None:
    users = {
        a.module
        for path in files(ROOT).values()
        for a in arrows_of(path, ROOT)
        if a.target.partition(".")[0] in ("jinja2", "vl_convert")
    }
    assert users == {"harness.report.page"}
