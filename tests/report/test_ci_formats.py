"""JUnit XML, SARIF and GitHub's words: read by other people's parsers and schemas, and true to the verdicts."""

import json
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped
from sarif_kit import validate as sarif_schema

from harness.commands import main
from harness.evidence import store
from harness.evidence.merge import merge, plan
from harness.falsifiers.itself.edits import dies, forge
from harness.falsifiers.itself.shop import DOUBLES, SLOWLY
from harness.judging.verdict import ORDER, Verdict
from harness.report.ci import github, junit, sarif
from harness.report.claim import Reported, reported
from tests.support.command import as_json, light

ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "file"},
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"name", "classname", "time"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "skipped": {"type", "message"},
}
"""What Jenkins' junit-10.xsd allows of what we write."""


@pytest.fixture(scope="module")
def bad(cpu, tmp_path_factory):
    """A real run of a candidate that is wrong, in a git repository, contracts in a folder whose name needs quoting."""
    root = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", root], check=True)
    home = root / "our model"
    home.mkdir()
    shutil.copytree(cpu.parent.parent / "contracts", home / "contracts")
    (home / "bad.py").write_text("def double(x):\n    return x * 2.001\n")
    done = light(home, "run", "contracts", "--candidate", "bad.py", "--device", "cpu", "-k", "doubles", "--json")
    assert done.returncode == 1, done.stderr
    return home / as_json(done)["evidence"]


def opened(*folders):
    runs = [(folder, store.read_json(folder / "run.json")) for folder in folders]
    return merge(runs, plan(folders)), runs


def of_verdict(run, verdict, reason="why"):
    """A merged outcome in which DOUBLES has this verdict."""
    merged, runs = opened(run)
    for row in merged["claims"]:
        if row["id"] == DOUBLES:
            row |= {"verdict": verdict.value, "reason": reason}
    return merged, runs


def case(document, name):
    found = [c for suite in JUnitXml.fromstring(document) for c in suite if c.name == name]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("verdict", ORDER)
def test_junit_passes_nothing_but_discharged(cpu, verdict):
    document = junit.document(*of_verdict(cpu, verdict))
    expected = {Verdict.FALSIFIED: Failure, Verdict.DISCHARGED: None}.get(verdict, Error if verdict.red else Skipped)
    results = case(document, DOUBLES).result
    assert [type(each) for each in results] == ([expected] if expected else [])
    if expected:
        assert (results[0].type, results[0].message) == (verdict.value, f"{verdict.value}: why")
    assert case(document, SLOWLY).result == []


def test_junit_counts_are_those_of_the_cases(cpu, tmp_path):
    for run in (cpu, forge(cpu, tmp_path, "red", record=dies)):
        root = ET.fromstring(junit.document(*opened(run)))
        for suite in [root, *root.findall("testsuite")]:
            cases = list(suite.iter("testcase"))
            assert int(suite.get("tests")) == len(cases)
            for key, tag in {"failures": "failure", "errors": "error", "skipped": "skipped"}.items():
                if key in suite.attrib:
                    assert int(suite.get(key)) == sum(c.find(tag) is not None for c in cases)


def test_junit_keeps_to_the_schema_of_jenkins(bad):
    for element in ET.fromstring(junit.document(*opened(bad))).iter():
        assert set(element.attrib) <= ATTRIBUTES[element.tag], element.tag


def test_a_junit_failure_tells_the_story(bad):
    text = case(junit.document(*opened(bad)), DOUBLES).result[0].text
    assert "  because   rel_l2_err le 1e-06: rel_l2_err = 0.0005" in text
    assert f"  again     harness replay {bad}/claims/{DOUBLES}/counterexample.json" in text
    assert "  look      look at double" in text
    assert "  contract  our model/contracts/doubling.yaml:4" in text


def test_junit_survives_what_xml_cannot_carry(cpu):
    reason = 'a\x00\x1b[31m<b>"&\ud800\uffff]]>'
    document = junit.document(*of_verdict(cpu, Verdict.FALSIFIED, reason))
    assert case(document, DOUBLES).result[0].message == r'FALSIFIED: a\x00\x1b[31m<b>"&\ud800\uffff]]>'
    text = case(junit.document(*of_verdict(cpu, Verdict.PARTIAL, reason)), DOUBLES).result[0].text
    assert text.startswith(r'PARTIAL: a\x00\x1b[31m<b>"&\ud800\uffff]]>')


def test_run_writes_junit_and_refuses_to_write_it_into_a_sealed_run(cpu, tmp_path):
    home = cpu.parent.parent
    file = tmp_path / "new" / "j.xml"
    arguments = ["run", "contracts", "--candidate", "good.py", "-k", "doubles", "--evidence", str(tmp_path / "e")]
    assert light(home, *arguments, "--junitxml", str(file)).returncode == 0
    assert case(file.read_bytes(), DOUBLES).result[0].type == "PARTIAL"
    assert case(file.read_bytes(), SLOWLY).result[0].message == "UNVERIFIED: not selected by -k"
    inside = light(home, *arguments, "--junitxml", str(cpu / "j.xml"))
    assert inside.returncode == 2
    assert "lies inside the sealed run" in inside.stderr


def test_sarif_is_valid_and_points_at_the_claim(bad):
    log = json.loads(sarif.document(*opened(bad)))
    assert sarif_schema.validation_errors(log) == []
    (run,) = log["runs"]
    results = {each["ruleId"]: each for each in run["results"]}
    red, short = results[DOUBLES], results[SLOWLY]
    assert (red["level"], short["level"]) == ("error", "note")
    place = red["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "our%20model/contracts/doubling.yaml"
    lines = (bad.parent.parent / "contracts" / "doubling.yaml").read_text().splitlines()
    assert lines[place["region"]["startLine"] - 1] == f"- id: {DOUBLES}"
    rule = run["tool"]["driver"]["rules"][red["ruleIndex"]]
    assert (rule["id"], rule["help"]["text"]) == (DOUBLES, "look at double")
    assert rule["shortDescription"]["text"] == "y is twice x"
    assert "counterexample.json\n  contract  our model/contracts/doubling.yaml:" in red["message"]["text"]
    del run["results"][0]["message"]
    assert sarif_schema.validation_errors(log)  # the schema can say no


@pytest.mark.parametrize("verdict", ORDER)
def test_sarif_levels_are_the_verdicts(cpu, verdict):
    log = json.loads(sarif.document(*of_verdict(cpu, verdict)))
    assert sarif_schema.validation_errors(log) == []
    levels = {each["ruleId"]: each["level"] for each in log["runs"][0]["results"]}
    expected = {} if verdict is Verdict.DISCHARGED else {DOUBLES: "error" if verdict.red else "note"}
    assert levels == expected


def test_a_contract_outside_the_repository_is_named_by_its_whole_path(cpu):
    merged, runs = opened(cpu)
    for contract in runs[0][1]["contracts"]:
        contract.update(repository_path=None, path="/elsewhere/c#.yaml")
        contract["lines"] = {}
    log = json.loads(sarif.document(merged, runs))
    assert sarif_schema.validation_errors(log) == []
    place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "file:///elsewhere/c%23.yaml"}}
    row = {"verdict": "UNVERIFIED", "reason": "r", "id": DOUBLES, "selected": True}
    (told,) = github.of_claims([Reported(row, cpu, "/elsewhere/c#.yaml", 3)])
    assert told.startswith(f"::warning title=UNVERIFIED {DOUBLES}::")


def test_report_writes_all_three_over_merged_runs(cpu, tmp_path, capsys):
    gpu = forge(cpu, tmp_path, "gpu")
    assert main.main(["report", str(cpu), str(gpu), "--out", str(tmp_path / "out")]) == 0
    names = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert {"report.md", "junit.xml", "harness.sarif"} <= set(names)
    assert case((tmp_path / "out" / "junit.xml").read_bytes(), DOUBLES).result == []
    assert json.loads((tmp_path / "out" / "harness.sarif").read_text())["runs"][0]["results"] == []


def test_annotations_are_escaped_as_the_runner_reads_them():
    line = github.annotation("error", "50 %\r\na:b,c", title="a:b,c%\n", file="d:e,f%.yaml", line=7)
    assert line == r"::error file=d%3Ae%2Cf%25.yaml,line=7,title=a%3Ab%2Cc%25\n::50 %25\r%0Aa:b,c"


def test_the_tenth_annotation_of_a_kind_says_how_many_are_left(bad):
    (red,) = [claim for claim in reported(*opened(bad)) if claim.id == DOUBLES]
    claims = [Reported(red.row, red.run, "c.yaml", line) for line in range(1, 13)]
    said = github.of_claims(claims)
    assert len(said) == 10
    assert said[8].startswith(f"::error file=c.yaml,line=9,title=FALSIFIED {DOUBLES}::")
    assert said[9].startswith("::error title=3 more::")
    assert len(github.of_claims(claims[:10])) == 10


def test_run_annotates_and_summarises_on_github_and_only_there(bad, tmp_path, monkeypatch):
    arguments = ["run", "contracts", "--candidate", "bad.py", "--device", "cpu", "-k", "doubles"]
    arguments += ["--evidence", str(tmp_path)]
    home, summary = bad.parent.parent, tmp_path / "summary.md"
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert "::error" not in light(home, *arguments).stdout
    assert not summary.exists()
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    summary.write_text("before\n")
    done = light(home, *arguments)
    assert done.returncode == 1
    (line,) = [each for each in done.stdout.splitlines() if each.startswith("::")]
    assert line.startswith(
        f"::error file=our model/contracts/doubling.yaml,line=4,title=FALSIFIED {DOUBLES}::FALSIFIED"
    )
    page = summary.read_text()
    assert page.startswith("before\n## Harness: 1 FALSIFIED, 1 UNVERIFIED\n")
    assert "| doubling | 0 % (0 discharged, 0 partial, 1 red, 1 open) |" in page
    assert "harness replay" in page
    quiet = light(home, *arguments, "--json")
    assert json.loads(quiet.stdout)["counts"] == {"FALSIFIED": 1, "UNVERIFIED": 1}
    assert quiet.stderr.startswith("::error file=")


@pytest.mark.parametrize("before", [0, 5000, (1 << 20) - 200, 1 << 20])
def test_a_summary_never_grows_beyond_a_mebibyte(tmp_path, monkeypatch, before):
    path = tmp_path / "summary.md"
    path.write_bytes(b"x" * before)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    github.append_summary(["# first", *(f"```\n{i}\n" + "é" * 500 + "\n```" for i in range(2000))])
    text = path.read_bytes().decode()
    assert len(text.encode()) <= 1 << 20
    assert text.count("```") % 2 == 0
    assert ("# first" in text) == text.endswith(github.CUT) == (before < 1 << 20)


def test_a_summary_that_cannot_be_written_does_not_change_the_outcome(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    github.append_summary(["text"])
    assert "GITHUB_STEP_SUMMARY" in capsys.readouterr().err


def test_summary_tables_hold_any_reason(cpu):
    merged, runs = of_verdict(cpu, Verdict.PARTIAL, "a | b\n<img src=x> \\| c")
    page = "\n".join(github.run_page(merged["counts"], merged["targets"], reported(merged, runs)))
    assert f"| {DOUBLES} | PARTIAL | a \\| b &lt;img src=x&gt; \\\\\\| c |" in page
