"""Hostile contracts, candidates and evidence: no command's output and no page is more than text, whoever wrote it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from subprocess import CompletedProcess
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt
from safetensors.numpy import save_file

from harness.evidence import manifest, store
from harness.judging.record import MOST
from harness.run.log import HALF
from tests.support.browser import chromium, complaints, require, visit, wait
from tests.support.command import as_json, light, started
from tests.support.repository import NUMPY_ALONE
from tests.words import hostile

OWN = re.compile(r"::(error|warning) (file=[^,:]+,)?(line=\d+,)?title=[^,:]*::(?P<text>.*)")
"""An annotation as the harness writes it."""
DOUBLES, SPEAKS = "FALSIFY-DOUBLES-001", "FALSIFY-SPEAKS-001"
HUGE = ("FALSIFY-PRINTS-001", "FALSIFY-SHOUTS-001", "FALSIFY-SURROGATES-001")


def clean(done: CompletedProcess[str], code: int) -> str:
    """A command's output, in which nothing is obeyed but the harness's own annotations."""
    assert done.returncode == code, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    lines = (done.stdout + done.stderr).split("\n")
    found = [line for line in lines if not OWN.fullmatch(line)]
    assert hostile.obeyed("\n".join(found)) == []
    assert all(hostile.obeyed(match["text"]) == [] for match in map(OWN.fullmatch, lines) if match)
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hostile contracts and a right candidate."""
    found = tmp_path_factory.mktemp("hostile")
    hostile.build(found, "doubles", "speaks")
    return found


@pytest.fixture(scope="module")
def run(folder: Path) -> tuple[Path, CompletedProcess[str]]:
    """A sealed run as a step of GitHub Actions, and what it printed."""
    done = light(
        *(folder, "run", "contracts", "--candidate", hostile.NAME, "--device", "cpu", "-j", "2"),
        GITHUB_ACTIONS="true",
        GITHUB_STEP_SUMMARY=str(folder / "summary.md"),
        FORCE_COLOR="",
    )
    return store.sealed(folder / "evidence"), done


@pytest.fixture(scope="module")
def wrong(folder: Path, run: object) -> Path:
    """A later run of a wrong candidate in the same file, which prints whenever it is called."""
    (folder / hostile.NAME).write_text(hostile.WRONG, encoding="utf-8")
    done = light(folder, "run", "contracts", "--candidate", hostile.NAME, "--device", "cpu", "--json")
    clean(done, 1)
    return folder / str(as_json(done)["evidence"])


def test_a_run_prints_text_and_its_own_annotations_alone(run: tuple[Path, CompletedProcess[str]]) -> None:
    evidence, done = run
    said = clean(done, 1)
    assert f"ERROR {SPEAKS}" in said
    assert r"\x1b]0;owned\x07" in said
    assert r"\x3a:stop-commands" in done.stderr, "what the candidate printed on import is told"
    assert len([line for line in said.splitlines() if line.startswith("::")]) == 1
    assert not [line for line in said.splitlines() if line.startswith("\\x3a:")], "a reason adds no line of its own"
    assert store.read_json(evidence / "run.json")["counts"] == {"ERROR": 1, "DISCHARGED": 1}


def test_the_summary_and_the_readmes_are_text(folder: Path, run: tuple[Path, CompletedProcess[str]]) -> None:
    for file in [folder / "summary.md", *run[0].glob("claims/*/README.md")]:
        tokens_of(file.read_text(encoding="utf-8"))


def tokens_of(page: str) -> None:
    """The page's Markdown has no outside tag, link, picture or control."""
    assert hostile.obeyed(re.sub(r"(?m)^\\x3a::", "", page).replace("\u200b", "")) in ([], fenced_commands(page))
    tokens = [
        t for each in MarkdownIt("gfm-like", {"linkify": False}).parse(page) for t in [each, *(each.children or [])]
    ]
    html = {t.content.strip() for t in tokens if t.type in ("html_block", "html_inline")}
    assert all(re.fullmatch(r"</details>|<details><summary>[^<]*</summary>", each) for each in html), html
    assert not [t.type for t in tokens if t.type in ("link_open", "image")]
    assert "owned" in page, "the test's text is on the page"


def fenced_commands(page: str) -> list[str]:
    """Lines of a page that a log's runner would obey; a page is no log."""
    return [line for line in page.split("\n") if line.lstrip().startswith("::") or re.search(r"##\w*\[", line)]


def test_every_other_command_prints_text(folder: Path, run: tuple[Path, object], wrong: Path) -> None:
    first = run[0]
    at_hand = ("--contracts", "contracts")
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(folder / "gate.md")}
    clean(light(folder, "validate", "contracts"), 0)
    clean(light(folder, "validate", "contracts", "--json"), 0)
    clean(light(folder, "verify", str(first), str(wrong)), 0)
    for json_ in ((), ("--json",)):
        clean(light(folder, "compare", str(first), str(wrong), *json_), 1)
        clean(light(folder, "mutants", str(first), *json_), 0)
        gated = light(folder, "gate", str(wrong), "--target", "all", *at_hand, *json_, **github)
        clean(gated, gated.returncode)
        assert gated.returncode in (1, 3)
    tokens_of((folder / "gate.md").read_text(encoding="utf-8"))
    for word in (DOUBLES, "words", "X1", "all", hostile.TITLE):
        found = light(folder, "explain", word, *at_hand)
        clean(found, found.returncode)
        assert found.returncode in (0, 2)
    saved = wrong / "claims" / DOUBLES / "counterexample.json"
    clean(light(folder, "replay", str(saved), "--candidate", hostile.NAME, *at_hand), 1)


@pytest.fixture(scope="module")
def written(folder: Path, run: tuple[Path, object], wrong: Path) -> Path:
    done = light(folder, "report", str(run[0]), str(wrong), "--out", "out")
    clean(done, 0)
    return folder / "out"


def test_report_md_junit_and_sarif_are_text(written: Path) -> None:
    tokens_of((written / "report.md").read_text(encoding="utf-8"))
    texts = [text for e in ET.parse(written / "junit.xml").iter() for text in [*e.attrib.values(), e.text or ""]]
    assert any("owned" in text for text in texts)
    sarif = json.loads((written / "harness.sarif").read_text(encoding="utf-8"))
    texts += list(leaves(sarif))
    assert [each for text in texts for each in hostile.obeyed(text) if each.startswith("'")] == []
    assert not [text for text in leaves(sarif["runs"][0]) if re.search(r"[^\\]\]\(", text)], "an embedded link"


def leaves(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for key, each in value.items() for text in [key, *leaves(each)]]
    if isinstance(value, list):
        return [text for each in value for text in leaves(each)]
    return [value] if isinstance(value, str) else []


def test_the_page_runs_under_a_policy_that_lets_no_text_become_code(written: Path) -> None:
    require()
    index = written / "index.html"
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', index.read_text(encoding="utf-8"))
    assert policy
    rules = dict(rule.split(None, 1) for rule in policy[1].split("; "))
    assert re.fullmatch(r"'sha256-[^']+' 'sha256-[^']+'", rules["script-src"]), "no unsafe-eval, no unsafe-inline"
    with chromium() as page:
        visit(page, index, f"claim/{DOUBLES}")
        page.execute_script("document.querySelector('.plot').scrollIntoView()")
        wait(page, "return document.querySelector('.plot svg') !== null")
        assert page.execute_script("return document.querySelectorAll('.plot').length") > 0
        shown = page.execute_script("return document.documentElement.textContent")
        assert [c for c in hostile.obeyed(shown) if c.startswith("'")] == []
        assert page.execute_script("return document.querySelectorAll('main script, main img').length") == 0
        assert complaints(page) == []
        page.execute_script(
            "window.evaluated = 'no'; const s = document.createElement('script');"
            "s.textContent = \"window.evaluated = 'inline'\"; document.head.append(s);"
            "document.body.setAttribute('onclick', 'window.evaluated = \"handler\"'); document.body.click();"
        )
        assert page.execute_script("return window.evaluated") == "no"
        assert any("Content Security Policy" in each for each in complaints(page)), "the browser holds the policy"


def test_pytest_prints_text(folder: Path, run: object) -> None:
    words = [sys.executable, "-m", "pytest", "contracts", "-p", "no:cacheprovider"]
    done = started([*words, "--harness-candidate", hostile.NAME, "--harness-device", "cpu"], folder, **NUMPY_ALONE)
    clean(done, 1)
    assert SPEAKS in done.stdout


def test_forged_evidence_is_told_in_text(folder: Path, run: tuple[Path, object], tmp_path: Path) -> None:
    """Ids, reasons and titles that no run writes, under a fresh seal; a lone surrogate too."""
    for number, (text, seconds) in enumerate([(hostile.WORDS, 1.0), (hostile.WORDS, hostile.WORDS), ("x", "\ud800")]):
        forged = Path(shutil.copytree(run[0], tmp_path / f"{number}" / run[0].name))
        body = json.loads((forged / "run.json").read_text(encoding="utf-8"))
        body["claims"][0] |= {"id": text, "contract": text, "reason": text, "seconds": seconds}
        body["candidate"]["spec"] = text
        (forged / "run.json").write_text(json.dumps(body), encoding="utf-8")
        (forged / "manifest.json").unlink()
        manifest.write(forged)
        clean(light(folder, "verify", str(forged)), 1)
        clean(light(folder, "gate", str(forged), "--target", "all", GITHUB_ACTIONS="true"), 1)
        for command in ("report", "compare", "mutants", "explain"):
            others = {"compare": [str(run[0])], "explain": [DOUBLES, "--contracts", "contracts", "--evidence"]}
            done = light(folder, command, *others.get(command, []), str(forged))
            clean(done, done.returncode)
            assert done.returncode in (0, 1, 2)


def test_inspect_prints_text(tmp_path: Path) -> None:
    import numpy as np

    path = tmp_path / "m.safetensors"
    save_file({hostile.WORDS: np.zeros(3, np.float32)}, path, {"key": hostile.WORDS, hostile.TITLE: "\u202e"})
    said = clean(light(tmp_path, "inspect", str(path)), 0)
    assert "owned" in said
    assert not re.search(r"(?m)^ *\\x3a:", said), "a name adds no line of its own"
    clean(light(tmp_path, "inspect", str(path), "--json"), 0)


def test_what_cannot_be_read_is_told_in_text(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c/x.yaml").write_text(f"{hostile.BIDI}\x01: {hostile.TITLE}", encoding="utf-8")
    for words in (["validate", "c"], ["run", hostile.NAME], ["gate", "c", "--target", hostile.WORDS], [hostile.TITLE]):
        clean(light(tmp_path, *[word.replace("\x00", "") for word in words]), 2)


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a log of 50 MB, a reason of 10 MB and half a character."""
    home = tmp_path_factory.mktemp("huge")
    hostile.build(home, "prints", "shouts", "surrogates")
    done = light(home, "run", "contracts", "--candidate", hostile.NAME, "--device", "cpu", "-j", "2")
    assert len(clean(done, 1)) < 40_000
    return store.sealed(home / "evidence")


def test_of_a_huge_log_a_megabyte_is_kept_and_the_rest_counted(huge: Path) -> None:
    log = (huge / "claims" / HUGE[0] / "log.txt").read_bytes()
    head, told, tail = re.split(rb"\n\.\.\. (\d+) bytes are left out here \.\.\.\n", log)
    assert len(head) == len(tail) == HALF
    assert head.startswith(hostile.WORDS.encode()[:8])
    assert tail.endswith(b"ended\n") or b"ended\n" in tail[-200:]
    calls = 3 * 2  # candidate, baseline and a mutant, two cases each
    assert len(head) + int(told) + len(tail) >= calls * hostile.PRINTS
    assert int(told) < (calls + 6) * hostile.PRINTS


def test_of_a_huge_reason_two_thousand_characters_are_kept(huge: Path) -> None:
    rows = {row["id"]: row for row in store.read_json(huge / "run.json")["claims"]}
    reason = rows[HUGE[1]]["reason"]
    assert len(reason) <= MOST
    assert re.search(r"xxx \.\.\. \(100000\d\d characters\)$", reason)
    assert "half \\ud800 of one" in rows[HUGE[2]]["reason"]
    for file in huge.rglob("*"):
        assert not file.is_file() or file.stat().st_size < 2 * HALF + 100, file
