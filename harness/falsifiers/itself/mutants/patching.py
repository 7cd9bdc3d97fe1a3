"""Put something wrong into one of Harness's own modules for the length of a call."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any
from unittest.mock import patch

from harness.mutant import replace


def patched(baseline: Any, name: str, module: ModuleType, **wrong: Any) -> Any:
    """The baseline, whose function `name` runs while attributes of `module` are wrong."""
    right: Callable[..., Any] = getattr(baseline, name)

    def call(*args: Any) -> Any:
        with patch.multiple(module, **wrong):
            return right(*args)

    return replace(baseline, **{name: call})
