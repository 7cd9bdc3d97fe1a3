"""Pages made from their source when the site is built: the references (contract, evidence, ops ...), the changelog."""

from __future__ import annotations

import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]  # this checkout's harness, whatever else is installed

import command_line  # noqa: E402
import contract_reference  # noqa: E402
import evidence_reference  # noqa: E402
import measurements  # noqa: E402
import ops  # noqa: E402


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the generated pages to those on the disk."""
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
    """A page of the repository's root, its links to the documents seen from the site."""
    return (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
