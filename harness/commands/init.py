"""`harness init`: a working contract, falsifier and candidate in an empty folder."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from harness.errors import UserError

NAMES = ("contract.yaml", "falsifier.py", "kernel.py")


def run(folder: str) -> int:
    """Write the three files and say what to do with them; nothing that is there is overwritten.

    Raises: UserError if a file of that name is there already.
    """
    target = Path(folder)
    there = [name for name in NAMES if (target / name).exists()]
    if there:
        raise UserError(f"{target / there[0]}: is there already; choose an empty folder: `harness init DIR`")
    target.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        text = (files("harness") / "template" / name).read_text(encoding="utf-8")
        (target / name).write_text(text, encoding="utf-8")
        print(target / name)
    where = "" if folder == "." else f"cd {folder} && "
    print(f"\nNow: {where}harness run . --candidate kernel.py")
    return 0
