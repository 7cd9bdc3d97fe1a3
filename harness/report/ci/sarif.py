"""SARIF 2.1.0: an error for each red claim at its line of the contract, a note for each other undischarged claim."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harness import __version__
from harness.evidence.body import Merged
from harness.evidence.merge import Runs
from harness.judging.verdict import Verdict
from harness.report.claim import Reported, reported
from harness.words.plain import data

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
ROOT = "%SRCROOT%"
Json = dict[str, Any]
"""A part of the log, as SARIF defines it."""


def document(merged: Merged, runs: Runs) -> str:
    """The log as JSON text. Each claim becomes a rule, and its `if_fails` the rule's help."""
    claims = [claim for claim in reported(merged, runs) if claim.verdict is not Verdict.DISCHARGED]
    driver = {
        "name": "harness",
        "semanticVersion": __version__,
        "rules": [_rule(claim) for claim in claims],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"harness/{runs[0][1]['candidate']['spec']}/"},
        "originalUriBaseIds": {ROOT: {"description": {"text": "the root of the repository"}}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(index, claim) for index, claim in enumerate(claims)],
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(data(log), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _rule(claim: Reported) -> Json:
    entry = claim.entry
    rule = str(entry.get("rule", claim.id))
    prediction = str(entry.get("prediction", ""))
    return {
        "id": claim.id,
        "shortDescription": {"text": _unlinked(rule)},
        "fullDescription": {"text": _unlinked(f"{rule}. Predicted: {prediction}" if prediction else rule)},
        "help": {"text": _unlinked(str(entry.get("if_fails") or rule))},
        "defaultConfiguration": {"level": _level(claim.verdict)},
        "properties": {"tags": [str(claim.row["contract"])]},
    }


def _result(index: int, claim: Reported) -> Json:
    found: Json = {
        "ruleId": claim.id,
        "ruleIndex": index,
        "level": _level(claim.verdict),
        "message": {"text": _unlinked(claim.text)},
        "locations": [{"physicalLocation": _place(claim)}],
        "properties": {"verdict": claim.verdict.value, "contract": claim.row["contract"], "run": claim.row["run"]},
    }
    if claim.result is not None:
        found["partialFingerprints"] = {"claimDigest/v1": claim.result["claim_digest"]}
    return found


def _unlinked(text: str) -> str:
    """Text without an embedded link, `[text](target)`, which SARIF reads in plain text too."""
    return text.replace("](", "]\\(")


def _level(verdict: Verdict) -> str:
    return "error" if verdict.red else "note"


def _place(claim: Reported) -> Json:
    path = Path(claim.path)
    if path.is_absolute():
        place: Json = {"artifactLocation": {"uri": path.as_uri()}}
    else:
        place = {"artifactLocation": {"uri": quote(claim.path, errors="backslashreplace"), "uriBaseId": ROOT}}
    if claim.line is not None:
        place["region"] = {"startLine": claim.line}
    return place
