"""The project that the plugin's tests run pytest in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.plugin_project import write_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with falsifiers, a baseline and a candidate whose `halve` is wrong."""
    return write_project(tmp_path)
