"""The files of one claim in the evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import checkpoint
from harness.contract.claim import Claim
from harness.contract.text.writer import dump
from harness.evidence import counterexample
from harness.evidence.store import write_json
from harness.judging.judge import brief
from harness.words import narrative


def write(folder: Path, claim: Claim, found: dict[str, Any], *, device: str, seconds: float) -> dict[str, Any]:
    """Write claim.yaml, result.json, README.md and, after a violation, the counterexample and stages."""
    judgement = found["judgement"]
    result: dict[str, Any] = {
        "id": claim.id,
        "contract": claim.contract,
        "claim_digest": claim.digest,
        "verdict": judgement.verdict.value,
        "reason": judgement.reason,
        "measurements": judgement.measurements,
        "violated": judgement.violated,
        "mutants": judgement.mutants,
        "first_divergent_stage": (found.get("stages") or {}).get("first_divergent"),
        "if_fails": claim.if_fails,
        "device": device,
        "seconds": round(seconds, 3),
        "record": found["record"],
    }
    (folder / "claim.yaml").write_text(entry_yaml(claim), encoding="utf-8")
    if "attempt" in found:
        result["counterexample"] = _save_counterexample(folder, claim, found)
    if "stages" in found:
        write_json(folder / "stages.json", found["stages"])
    write_json(folder / "result.json", result)
    (folder / "log.txt").touch()
    (folder / "README.md").write_text(narrative.claim_page(claim, result, found.get("stages")), encoding="utf-8")
    return result


def entry_yaml(claim: Claim) -> str:
    """The claim's entry and its contract's id, as YAML that our own loader reads back."""
    text = {"contract": claim.contract, "path": Path(claim.path).name, "line": claim.line, "claim": claim.source}
    return dump(text)


def _save_counterexample(folder: Path, claim: Claim, found: dict[str, Any]) -> dict[str, Any]:
    attempt, job = found["attempt"], found["job"]
    broken = found["judgement"].violated
    about = {
        "claim": claim.id,
        "contract": claim.contract,
        "contract_path": str(Path(claim.path).resolve()),
        "candidate": job.candidate,
        "candidate_folder": str(Path(job.candidate_folder).resolve()),
        "weights": job.weights,
        "weights_sha256": checkpoint.digest(job.weights) if job.weights else None,
        "device": job.device,
        "seed": job.seed,
        "reproducible": found["reproducible"],
        "shrunk_from": found["start"].as_json(),
        "violated": [brief(finding) for finding in attempt.broken] or broken,
    }
    text = counterexample.save(folder, attempt, about)
    keys = ("case", "violated", "reproducible", "shrunk_from")
    return {key: text[key] for key in keys}
