"""Bring the small trained model into $HARNESS_CACHE, from $WHEELHOUSE or the user's cache; else train it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from harness.models import cache, corpus, stdlib_qwen2
from harness.models.recipe import Recipe

FOLDER = "stdlib-qwen2"


def fits(folder: Path) -> str:
    """Why a model that was trained elsewhere cannot be used with this Python; '' if it can.

    Claims on held-out text read files of this machine's standard library, so the model must not have seen them.
    """
    if wrong := cache.damage(folder):
        return wrong
    facts = json.loads((folder / stdlib_qwen2.PROVENANCE).read_text(encoding="utf-8"))
    if facts["recipe"] != Recipe().as_dict():
        return "another recipe trained it"
    if facts["held_out_files"] != list(corpus.split().held_out):
        return f"the standard library of Python {facts['python']} holds out other files"
    return ""


def main() -> int:
    """Print where the model came from."""
    name = f"{FOLDER}-{stdlib_qwen2.key(Recipe())}"
    target = cache.root() / name
    own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harness" / name
    for source in (target, Path(os.environ.get("WHEELHOUSE", ".")) / FOLDER, own):
        why = fits(source) if source.is_dir() else "not there"
        if not why:
            cache.get(target, lambda empty, source=source: bring(source, empty))
            print(f"brought from {source}")
            return 0
        print(f"{source}: not used: {why}")
    print(f"trained at {stdlib_qwen2.build()}")
    return 0


def bring(source: Path, empty: Path) -> None:
    """Copy the files of a model that its list of digests names; the cache writes the list itself."""
    for name in json.loads((source / cache.DIGESTS).read_text(encoding="utf-8")):
        shutil.copy2(source / name, empty / name)


if __name__ == "__main__":
    sys.exit(main())
