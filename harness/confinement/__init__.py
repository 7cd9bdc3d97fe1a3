"""Keep code of the subject from files that are not its own, where the system can do that."""

from __future__ import annotations

import os

from harness.confinement import landlock
from harness.errors import UserError

SETTING = "HARNESS_ISOLATION"
"""Environment variable: `auto` confines the subject's processes where the system can, `none` does not."""
CACHES = ("TMPDIR", "XDG_CACHE_HOME", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "CUDA_CACHE_PATH")
"""Environment variables by which programs find a place for files that they need for a while."""


def isolation() -> str:
    """How the subject's processes are kept from files here: `landlock` or `none`.

    Raises: UserError for another value of HARNESS_ISOLATION than `auto` or `none`.
    """
    asked = os.environ.get(SETTING, "auto")
    if asked not in ("auto", "none"):
        raise UserError(f"{SETTING}: found {asked!r}, expected auto or none")
    return "landlock" if asked == "auto" and landlock.version() else "none"
