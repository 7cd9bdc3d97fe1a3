"""Adds the pages that are made when the site is built: the references, CONTRIBUTING.md and CHANGELOG.md."""

from __future__ import annotations

import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]  # this checkout's harness, also if another one is installed

import command_line  # noqa: E402
import contract_reference  # noqa: E402
import evidence_reference  # noqa: E402
import measurements  # noqa: E402
import ops  # noqa: E402


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the generated pages to the files of docs/."""
    pages = {
        "reference/contract.md": contract_reference.page(),
        "reference/evidence.md": evidence_reference.page(),
        "reference/measurements.md": measurements.page(),
        "reference/ops.md": ops.page(),
        "reference/command-line.md": command_line.page(),
        "contributing.md": _from_root("CONTRIBUTING.md"),
        "changelog.md": _from_root("CHANGELOG.md"),
    }
    for uri, text in pages.items():
        files.append(File.generated(config, uri, content=text))
    return files


def _from_root(name: str) -> str:
    """A page from the repository's root, with its links to docs/ changed to links within the site."""
    return (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
