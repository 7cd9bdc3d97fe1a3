"""Put something wrong into one of Harness's own modules or classes for the length of a call."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from harness.mutant import replace


def patched(baseline: Any, name: str, owner: Any, **wrong: Any) -> Any:
    """The baseline, whose function `name` runs while attributes of `owner` (a module or class) are wrong."""
    right: Callable[..., Any] = getattr(baseline, name)

    def call(*args: Any) -> Any:
        with contextlib.ExitStack() as held:
            for attribute, value in wrong.items():
                held.enter_context(patch.object(owner, attribute, value))
            return right(*args)

    return replace(baseline, **{name: call})
