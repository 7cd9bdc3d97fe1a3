"""JUnit XML that follows Jenkins' junit-10.xsd. A claim that is not DISCHARGED is never a plain pass."""

from __future__ import annotations

from itertools import groupby
from xml.etree import ElementTree as ET

from harness.evidence.body import Merged
from harness.evidence.merge import Runs
from harness.judging.verdict import Verdict
from harness.report.claim import Reported, reported
from harness.words.plain import block  # it leaves no character that XML 1.0 cannot carry


def document(merged: Merged, runs: Runs) -> bytes:
    """One suite for each contract, one case for each claim."""
    claims = sorted(reported(merged, runs), key=lambda claim: claim.row["contract"])
    root = ET.Element("testsuites", {"name": "harness", **_counts(claims)})
    root.attrib.pop("skipped")  # the schema allows this attribute on suites only
    for contract, group in groupby(claims, key=lambda claim: claim.row["contract"]):
        _suite(root, contract, list(group), runs)
    ET.indent(root, " ")
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _suite(root: ET.Element, contract: str, claims: list[Reported], runs: Runs) -> None:
    suite = ET.SubElement(
        root, "testsuite", {"name": block(contract), **_counts(claims), "file": block(claims[0].path)}
    )
    properties = ET.SubElement(suite, "properties")
    for _, body in runs:
        if any(each["id"] == contract for each in body["contracts"]):
            about = f"candidate {body['candidate']['spec']}, device {body['device']}, seed {body['seed']}"
            ET.SubElement(properties, "property", {"name": block(f"run {body['id']}"), "value": block(about)})
    for claim in claims:
        seconds = f"{claim.row['seconds']:.3f}"
        case = ET.SubElement(
            suite, "testcase", {"name": block(claim.id), "classname": block(contract), "time": seconds}
        )
        if claim.verdict is not Verdict.DISCHARGED:
            _outcome(case, claim)


def _outcome(case: ET.Element, claim: Reported) -> None:
    red = {Verdict.FALSIFIED: "failure"}.get(claim.verdict, "error" if claim.verdict.red else "skipped")
    found = ET.SubElement(case, red, {"type": claim.verdict.value, "message": block(claim.brief)})
    found.text = block(claim.text)


def _counts(claims: list[Reported]) -> dict[str, str]:
    failures = sum(claim.verdict is Verdict.FALSIFIED for claim in claims)
    errors = sum(claim.verdict.red for claim in claims) - failures
    passed = sum(claim.verdict is Verdict.DISCHARGED for claim in claims)
    return {
        "tests": str(len(claims)),
        "failures": str(failures),
        "errors": str(errors),
        "skipped": str(len(claims) - failures - errors - passed),
        "time": f"{sum(claim.row['seconds'] for claim in claims):.3f}",
    }
