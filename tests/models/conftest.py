"""The tiny model that the tests of this folder look at, built once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.models import stdlib_qwen2
from tests.support.model.tiny_recipe import TINY


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model, as `harness` builds it into its cache; no test may write into it."""
    return stdlib_qwen2.build(tmp_path_factory.mktemp("cache"), recipe=TINY)


@pytest.fixture(scope="session")
def words(folder: Path) -> Any:
    """Its tokenizer, read by transformers."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)
