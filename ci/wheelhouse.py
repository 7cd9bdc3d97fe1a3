"""Fill a folder with the wheels that `ci/gpu.sh` needs on a machine without a network, and the small trained model.

    python ci/wheelhouse.py [FOLDER] [--pythons 3.11,3.12,3.13] [--with NAME]... [--no-model]

The machine brings torch, NumPy and transformers; `--with numpy --pythons 3.12` adds one that it lacks.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
ROOTS = ("harness", "peft", "gguf")
THE_MACHINE = ("torch", "triton", "transformers", "numpy")
"""A machine with a GPU build of torch and with transformers has these, and what transformers depends on."""
UNCOUNTED = ("torch", "triton", "transformers")
LARGEST = 40.0
"""Megabytes (10**6 bytes), without UNCOUNTED."""
PLATFORMS = ("2_28", "2_27", "2_24", "2_17", "2_12", "2_5")
MODEL = "stdlib-qwen2"


def canonical(name: str) -> str:
    """A distribution's name as every spelling of it is compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def below(names: Iterable[str], python: str, without: Iterable[str] = ()) -> set[str]:
    """Every distribution that some installed ones depend on, themselves included, for a Python on Linux.

    `without` names are left out, and so is what only they depend on.
    """
    marks = {"python_version": python, "python_full_version": f"{python}.0", "platform_machine": "x86_64", "extra": ""}
    marks |= {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    found: set[str] = set()
    todo = [canonical(name) for name in names]
    while todo:
        name = todo.pop()
        if name in found or name in without:
            continue
        found.add(name)
        needed = [Requirement(text) for text in requires(name) or []]
        todo += [canonical(each.name) for each in needed if each.marker is None or each.marker.evaluate(marks)]
    return found


def wanted(python: str, more: Iterable[str] = ()) -> set[str]:
    """The distributions to download for a Python: what harness, peft and gguf need and the machine lacks."""
    named = {canonical(name) for name in more}
    brought = [name for name in THE_MACHINE if name not in named]
    has = below([name for name in brought if name in ("transformers", "torch")], python) - below(["harness"], python)
    return below([*ROOTS, *named], python, {*has, *brought}) - {"harness"}


def pins(text: str) -> dict[str, str]:
    """{name: `name==version`} of constraints.txt."""
    return {canonical(line.split("==")[0]): line.strip() for line in text.splitlines() if "==" in line}


def download(pip: list[str], python: str, requirements: list[str], folder: Path) -> None:
    """Fetch wheels for one Python, without what they depend on, so that nothing fetches torch."""
    platforms = [word for each in PLATFORMS for word in ("--platform", f"manylinux_{each}_x86_64")]
    platforms += [word for each in ("2014", "2010", "1") for word in ("--platform", f"manylinux{each}_x86_64")]
    which = ["--only-binary=:all:", "--no-deps", "--python-version", python, "--implementation", "cp", *platforms]
    subprocess.run([*pip, "download", "--quiet", *which, "--dest", str(folder), *requirements], check=True)


def build(pip: list[str], folder: Path) -> None:
    """The wheel of this checkout, built from a copy, so that no build folder is left here."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("harness", "contracts"):
            shutil.copytree(ROOT / name, Path(scratch, name), ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "setup.py", "README.md"):
            shutil.copy(ROOT / name, scratch)
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
        subprocess.run([*pip, "wheel", *options, scratch], check=True)


def model(folder: Path) -> None:
    """A copy of the small model; it is trained now if this machine has not trained it."""
    from harness.models import stdlib_qwen2

    shutil.copytree(stdlib_qwen2.build(), folder / MODEL, ignore=shutil.ignore_patterns("*.gguf"))


def megabytes(sizes: Mapping[str, int]) -> float:
    """The size of all files that count, in 10**6 bytes."""
    counted = (size for name, size in sizes.items() if canonical(name.split("-")[0]) not in UNCOUNTED)
    return sum(counted) / 1e6


def sizes(folder: Path) -> dict[str, int]:
    """{file: bytes} of a wheelhouse."""
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def main() -> int:
    """Fill the folder anew, and print its size; 1 if it is too large."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("folder", nargs="?", type=Path, default=ROOT / "wheelhouse")
    ask.add_argument("--pythons", default=",".join(PYTHONS))
    ask.add_argument("--with", dest="more", action="append", default=[], metavar="NAME")
    ask.add_argument("--no-model", action="store_true")
    asked = ask.parse_args()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    known = pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    asked.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=asked.folder.parent) as scratch:
        new = Path(scratch, "wheelhouse")
        new.mkdir()
        build(pip, new)
        for python in asked.pythons.split(","):
            download(pip, python, [known[name] for name in sorted(wanted(python, asked.more))], new)
        if not asked.no_model:
            model(new)
        shutil.rmtree(asked.folder)
        new.rename(asked.folder)
    held = sizes(asked.folder)
    size = megabytes(held)
    print(f"{asked.folder}: {len(held)} files, {size:.1f} MB without {', '.join(UNCOUNTED)}; at most {LARGEST:.0f}")
    return 1 if size > LARGEST else 0


if __name__ == "__main__":
    sys.exit(main())
