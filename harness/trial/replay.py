"""Run a saved failure again from its stored input arrays.

Evidence is data: the user names the code that runs (falsifier, baseline, candidate, weights), never a path in the
evidence. What the evidence says of that code, its digests, is compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.checkpoint import digest as checkpoint_digest
from harness.contract.cases import CaseSpec
from harness.contract.claim import Claim
from harness.contract.location import BUILT_IN, HERE
from harness.contract.validate import check
from harness.errors import UserError
from harness.evidence import counterexample, shape, store
from harness.evidence.counterexample import Counterexample
from harness.judging.limits import Finding
from harness.judging.result import Result
from harness.platforms import PLATFORMS
from harness.subject import binding, candidate
from harness.subject.boundary import Unsupported
from harness.subject.device import platform
from harness.subject.identity import identity
from harness.subject.torch_settings import settle
from harness.trial.attempt import attempt
from harness.trial.job import Job, assemble
from harness.trial.overheard import overheard


@dataclass(frozen=True)
class Asked:
    """What the user says is to run; None where nothing was said."""

    contracts: str | None = None
    candidate: str | None = None
    weights: str | None = None


@dataclass(frozen=True)
class Replay:
    """The result of one replay, compared with the recorded result."""

    about: Counterexample
    """The content of counterexample.json."""
    candidate: str
    same_candidate: bool | None
    """Whether the candidate's source is the recorded one; None if that cannot be said."""
    arrays: int
    same_inputs: bool
    same_outputs: bool
    broken: list[Finding]


def replay(path: Path, asked: Asked) -> Replay:
    """Run one counterexample again, on the claim, the candidate and the weights that the user has.

    Raises: UserError if files are missing or damaged, if claim or weights at hand are not the recorded ones, or if it
            is not said which candidate is to run; with code 3 if the candidate lacks what the claim needs.
    """
    about, stored = counterexample.load(path)
    folder = path if path.is_dir() else path.parent
    claim = _claim_at_hand(asked.contracts, store.entry(folder))
    result: Result = store.read_json(folder / "result.json")
    for name, content in (("counterexample", about), ("result", result)):
        for fault in shape.of_body(content, name):
            raise UserError(f"{folder / name}.json: {fault}")
    chosen = asked.candidate or _recorded(path, about)
    job = Job(
        claim=claim,
        seed=about["seed"],
        device=_device(path, about["device"]),
        candidate=chosen,
        candidate_folder=".",
        weights=_weights(claim, about, asked.weights or candidate.own_weights(chosen)),
    )
    settle(job.threads)
    try:
        with overheard():
            candidate.load(chosen)
            experiment = assemble(job)
            again = attempt(experiment, claim.source, result["record"], CaseSpec(**about["case"]), stored)
    except Unsupported as lacking:
        raise UserError(f"{path}: {lacking}", code=3) from None
    outputs = {pair: counterexample.digest(got) for pair, (got, _) in again.pairs.items()}
    return Replay(
        about=about,
        candidate=job.candidate,
        same_candidate=_is_recorded(folder, chosen),
        arrays=len(again.arrays),
        same_inputs=all(counterexample.digest(a) == counterexample.digest(stored[n]) for n, a in again.arrays.items()),
        same_outputs=outputs == about["outputs_sha256"],
        broken=again.broken,
    )


def _claim_at_hand(contracts: str | None, recorded: Claim) -> Claim:
    """The user's claim of this id, if it is word for word the recorded one."""
    places = [contracts] if contracts else [HERE] * Path(HERE).is_dir() + [BUILT_IN]
    for place in places:
        checked = check([place])
        known = {claim.id: claim for contract in checked.contracts for claim in contract.claims}
        if recorded.id not in known:
            continue
        claim = known[recorded.id]
        mistake = next((each for each in checked.problems if each.severity == "error"), None)
        if mistake:
            raise UserError(str(mistake))
        if claim.digest != recorded.digest:
            raise UserError(
                f"{claim.path}:{claim.line}: {claim.id} is not the claim that was recorded (SHA-256 "
                f"{claim.digest[:12]}…, recorded {recorded.digest[:12]}…); check out that contract, or run again"
            )
        return claim
    raise UserError(f"{recorded.id}: found in none of {', '.join(places)}; name its contract with --contracts PATH")


def _device(path: Path, name: str) -> str:
    if platform(name) not in PLATFORMS:
        raise UserError(f"{path}: found device {name!r}, expected {', '.join(PLATFORMS)}")
    return name


def _recorded(path: Path, about: Counterexample) -> str:
    """The recorded candidate if it is one of ours or the claim's baseline."""
    spec = about["candidate"]
    if spec == candidate.BASELINE or spec in candidate.built_in():
        return spec
    raise UserError(
        f"{path}: recorded with candidate {spec!r}; evidence starts no code by itself, so name what to run: "
        f"--candidate {spec}"
    )


def _is_recorded(claim: Path, chosen: str) -> bool | None:
    """Whether the candidate's source is the one in run.json; None if the folder belongs to no run."""
    body = claim.parent.parent / "run.json"
    if not body.is_file() or (":" in chosen and not chosen.endswith(".py")):
        return None
    return bool(identity(chosen)["sha256"] == store.read_json(body)["candidate"]["sha256"])


def _weights(claim: Claim, about: Counterexample, asked: str | None) -> str | None:
    """The model that the claim needs: the user's folder, or what the claim's own builder makes."""
    if "weights" not in claim.given:
        return None
    folder = asked or str(binding.attribute(claim.given["weights"], Path(claim.path).parent)())
    if checkpoint_digest(folder) != about["weights_sha256"]:
        raise UserError(
            f"{folder}: not the weights that the counterexample was found on; give those with --weights DIR"
        )
    return folder
