"""The documents name what exists: mutants, claims, files and commands."""

import json
import re
import sys

from harness.commands.main import parser
from harness.contract.validate import check
from harness.judging.verdict import ORDER
from tests.support.command import started
from tests.support.repository import CONTRACTS, ROOT

NAMED_PATH = re.compile(
    r"`((?:harness|contracts|tests|benchmarks|docs|examples"
    r"|falsifiers|reference|candidates|models|formats|consumers)/[\w./]*)`"
)
"""A path in a document; the folders of the second line stood beside `harness/` once and no longer do."""


def test_every_mutant_in_the_table_of_public_bugs_exists_in_the_claim_it_is_said_to_be_in():
    checked = check([CONTRACTS])
    claims = {c.id: {m.rpartition(":")[2] for m in c.mutants} for k in checked.contracts for c in k.claims}
    words = {"err_ratio", "worst_ratio_max"}
    known = {name.rpartition(":")[2] for bound in checked.bindings.values() for name in bound.mutants}
    looked_up = 0
    for line in (ROOT / "docs" / "mutants.md").read_text().splitlines():
        if not re.match(r"\| [A-Z]\d+", line):
            continue
        for names, where in re.findall(r"((?:`[\w.+-]+`(?:,| and)? ?)+)\(([A-Z0-9, -]+)\)", line):
            for name in set(re.findall(r"`([\w.+-]+)`", names)) - words:
                for claim in where.split(","):
                    assert name in claims[f"FALSIFY-{claim.strip()}-001"], (name, claim)
                    looked_up += 1
        loose = {n for n in re.findall(r"`([\w.+-]+)`", line) if n not in words and not n.startswith("torch_")}
        assert loose <= known, loose - known
    assert looked_up > 50


def test_every_path_that_a_document_names_exists():
    looked_up = 0
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for name in NAMED_PATH.findall(page.read_text()):
            assert (ROOT / name).exists(), (page.name, name)
            looked_up += 1
    assert looked_up > 30


def test_every_command_in_the_readme_exists():
    known = set(parser()._subparsers._group_actions[0].choices)
    named = set(re.findall(r"^harness (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert named == known


def test_the_site_builds_without_a_warning(tmp_path):
    """`make docs`, into a temporary folder: every link and anchor resolves, every page is in the navigation."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = started(command, ROOT, NO_MKDOCS_2_WARNING="1")
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    contract = (tmp_path / "site" / "reference" / "contract.html").read_text(encoding="utf-8")
    fields = json.loads((ROOT / "harness" / "contract" / "contract.schema.json").read_text())["$defs"]["claim"]
    assert [name for name in fields["properties"] if f"<code>{name}</code>" not in contract] == []
    pages = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "site").rglob("*.html"))
    assert re.findall(r'(?:src|href)="(https?://[^"]*\.(?:js|css|woff2?))"', pages) == []


def test_every_field_of_a_contract_has_a_meaning():
    schema = json.loads((ROOT / "harness" / "contract" / "contract.schema.json").read_text())
    parts = {"claim", "domain", "accept", "limit"}
    fields = {(part, name): field for part in parts for name, field in schema["$defs"][part]["properties"].items()}
    fields |= {("metadata", name): field for name, field in schema["properties"]["metadata"]["properties"].items()}
    assert [key for key, field in fields.items() if not field.get("$comment")] == []


def test_every_verdict_has_its_row():
    page = (ROOT / "docs" / "guide" / "verdicts.md").read_text(encoding="utf-8")
    for verdict in ORDER:
        credit = {0.0: "0", 0.5: "½", 1.0: "1"}[verdict.credit]
        assert re.search(rf"^\| {verdict} \|.*\| {credit} \| {'yes' if verdict.red else 'no'} \|$", page, re.MULTILINE)


def test_every_argument_says_what_it_is():
    commands = parser()._subparsers._group_actions[0].choices
    mute = [(name, a.dest) for name, command in commands.items() for a in command._actions if not a.help]
    assert mute == []
