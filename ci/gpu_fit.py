"""Does this machine fit `ci/gpu.sh`? One line for what is missing.

python ci/gpu_fit.py                      Python, torch and NumPy
python ci/gpu_fit.py --share VENV_PYTHON  let a virtual environment see every package of this Python
python ci/gpu_fit.py --installed          the installed harness is this checkout's
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST = {"torch": (2, 11), "numpy": (2, 2)}
WANTED = {"transformers": (5, 17)}


def numbers(text: str) -> tuple[int, ...]:
    """`2.11.0+cu130` -> (2, 11)."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def lacks(python: tuple[int, ...], versions: dict[str, str | None]) -> list[str]:
    """One line for each thing without which nothing can run."""
    found = []
    if python < (3, 11):
        found.append(f"found Python {'.'.join(map(str, python[:2]))}, expected 3.11 or newer; set PYTHON")
    for name, oldest in OLDEST.items():
        held = versions.get(name)
        if held is None or numbers(held) < oldest:
            wanted = ".".join(map(str, oldest))
            found.append(f"found {name} {held}, expected {wanted} or newer in the Python that PYTHON names")
    return found


def remarks(versions: dict[str, str | None]) -> list[str]:
    """One line for each thing without which some claims cannot run."""
    return [
        f"found {name} {versions.get(name)}, expected {'.'.join(map(str, oldest))} or newer: claims whose baseline "
        "it is are UNVERIFIED"
        for name, oldest in WANTED.items()
        if versions.get(name) is None or numbers(str(versions[name])) < oldest
    ]


def differing(ours: Path, theirs: Path) -> list[str]:
    """Python files of a package that are not the same in two folders."""
    names = {path.relative_to(root) for root in (ours, theirs) for path in root.rglob("*.py")}

    def text(path: Path) -> bytes | None:
        return path.read_bytes() if path.is_file() else None

    return sorted(str(name) for name in names if text(ours / name) != text(theirs / name))


def held(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def share(python: str, folders: Iterable[str]) -> None:
    """Let a virtual environment import from folders, after its own: a venv inside a venv sees the outer one too."""
    where = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    Path(where, "machine.pth").write_text("".join(f"{folder}\n" for folder in folders), encoding="utf-8")


def main(words: list[str]) -> int:
    """Print what is missing; 2 if nothing can run."""
    if words[:1] == ["--share"]:
        share(words[1], [folder for folder in sys.path if folder.endswith(("site-packages", "dist-packages"))])
        return 0
    if words[:1] == ["--installed"]:
        import harness

        wrong = differing(ROOT / "harness", Path(str(harness.__file__)).parent)
        for name in wrong[:1]:
            print(f"gpu.sh: {name} differs in the wheelhouse's harness; run make wheelhouse again, remove OUT/venv")
        return 2 if wrong else 0
    versions = {name: held(name) for name in (*OLDEST, *WANTED)}
    missing = lacks(sys.version_info[:2], versions)
    for line in [*missing, *([] if missing else remarks(versions))]:
        print(f"gpu.sh: {line}", file=sys.stderr)
    return 2 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
