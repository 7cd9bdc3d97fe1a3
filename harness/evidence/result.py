"""The evidence files of one claim."""

from __future__ import annotations

from pathlib import Path

from harness import checkpoint
from harness.contract.claim import Claim
from harness.contract.text.writer import dump
from harness.evidence import counterexample
from harness.evidence.examined import Examined, FollowUp
from harness.evidence.store import as_json
from harness.judging.cause import root_cause_class
from harness.judging.judgement import violation
from harness.judging.result import FilesRead, Result, Smallest, Stages, TorchSettings, Violation
from harness.words import narrative


def files(
    claim: Claim,
    found: Examined,
    *,
    device: str,
    seconds: float,
    settings: TorchSettings | None = None,
    read: FilesRead | None = None,
) -> tuple[Result, dict[str, bytes]]:
    """The content of result.json, and by their names claim.yaml, result.json, README.md and, after a violation, the
    counterexample and stages."""
    judgement, follow_up = found.judgement, found.follow_up
    stages = follow_up.stages if follow_up else None
    result: Result = {
        "id": claim.id,
        "contract": claim.contract,
        "claim_digest": claim.digest,
        "verdict": judgement.verdict.value,
        "reason": judgement.reason,
        "cause": judgement.cause,
        "root_cause_class": root_cause_class(judgement.cause),
        "measurements": judgement.measurements,
        "violated": judgement.violated,
        "mutants": judgement.mutants,
        "first_divergent_stage": _first_divergent(stages),
        "if_fails": claim.if_fails,
        "device": device,
        "settings": settings,
        "seconds": round(seconds, 3),
        "record": found.record,
    }
    if read is not None:
        result["read"] = read
    if found.search:
        result["search"] = found.search
    if stages is not None and "transposed" in stages:
        result["transposed"] = stages["transposed"]
    found_files = {"claim.yaml": entry_yaml(claim).encode("utf-8")}
    if follow_up:
        smallest, kept = _counterexample(claim, follow_up, judgement.violated)
        result["counterexample"] = smallest
        found_files |= kept
    if stages:
        found_files["stages.json"] = as_json(stages)
    found_files["result.json"] = as_json(result)
    found_files["README.md"] = narrative.claim_page(claim, result, stages).encode("utf-8")
    return result, found_files


def entry_yaml(claim: Claim) -> str:
    """The claim's entry and its contract's id, as YAML that `store.entry` reads."""
    text = {"contract": claim.contract, "path": Path(claim.path).name, "line": claim.line, "claim": claim.source}
    return dump(text)


def _first_divergent(stages: Stages | None) -> str | None:
    return None if stages is None or "unsupported" in stages else stages["first_divergent"]


def _counterexample(claim: Claim, found: FollowUp, violated: list[Violation]) -> tuple[Smallest, dict[str, bytes]]:
    made_from = found.made_from
    about: counterexample.About = {
        "claim": claim.id,
        "contract": claim.contract,
        "contract_path": str(Path(claim.path).resolve()),
        "candidate": made_from.candidate,
        "candidate_folder": str(Path(made_from.candidate_folder).resolve()),
        "weights": made_from.weights,
        "weights_sha256": checkpoint.digest(made_from.weights) if made_from.weights else None,
        "device": made_from.device,
        "seed": made_from.seed,
        "reproducible": found.reproducible,
        "shrunk_from": counterexample.case_entry(found.start),
        "violated": [violation(finding) for finding in found.attempt.broken] or violated,
    }
    text, kept = counterexample.files(found.attempt, about)
    smallest: Smallest = {
        "case": text["case"],
        "violated": text["violated"],
        "reproducible": text["reproducible"],
        "shrunk_from": text["shrunk_from"],
    }
    return smallest, kept
