"""A claim's result on its way from the process that ran it: JSON, then arrays. Nothing in it is executed on arrival."""

from __future__ import annotations

import dataclasses
import json
import struct
from typing import Any

import numpy as np

from harness.contract.cases import CaseSpec
from harness.contract.claim import Claim
from harness.evidence.counterexample import Attempt, tensors
from harness.evidence.examined import Examined, FollowUp, MadeFrom
from harness.judging.judge import judge
from harness.judging.limits import Finding
from harness.judging.result import FilesRead, TorchSettings

HEAD = struct.Struct("<Q")


@dataclasses.dataclass(frozen=True)
class Parcel:
    """What a claim's process says at its end, beside the verdict, which it does not say."""

    found: Examined
    seconds: float
    settings: TorchSettings | None
    read: FilesRead | None


def pack(found: Examined, seconds: float, settings: TorchSettings | None, read: FilesRead | None = None) -> bytes:
    """The bytes of a result. They hold no verdict: who opens them judges the record.

    Raises: TypeError, ValueError or UnicodeEncodeError for a value that neither JSON nor safetensors can hold.
    """
    from safetensors.numpy import save

    follow_up = found.follow_up
    body: dict[str, Any] = {
        "record": found.record,
        "search": found.search,
        "seconds": seconds,
        "settings": settings,
        "read": read,
        "follow_up": None,
    }
    if follow_up:
        body["follow_up"] = {
            "spec": dataclasses.asdict(follow_up.attempt.spec),
            "broken": [dataclasses.asdict(finding) for finding in follow_up.attempt.broken],
            "start": dataclasses.asdict(follow_up.start),
            "reproducible": follow_up.reproducible,
            "stages": follow_up.stages,
        }
    text = json.dumps(body, ensure_ascii=False).encode("utf-8")
    return HEAD.pack(len(text)) + text + (save(tensors(follow_up.attempt)) if follow_up else b"")


def unpack(data: bytes, claim: Claim, made_from: MadeFrom) -> Parcel:
    """The result that `pack` made, judged here by the claim at hand.

    Raises: any exception for bytes that `pack` did not make: a process that runs foreign code may send anything.
    """
    from safetensors.numpy import load

    (length,) = HEAD.unpack_from(data)
    body = json.loads(data[HEAD.size : HEAD.size + length])
    record = body["record"]
    follow_up = None
    if body["follow_up"]:
        follow_up = _follow_up(body["follow_up"], load(data[HEAD.size + length :]), made_from)
    found = Examined(record, judge(claim.source, record), follow_up, body["search"])
    return Parcel(found, float(body["seconds"]), body["settings"], body["read"])


def _follow_up(body: dict[str, Any], arrays: dict[str, np.ndarray], made_from: MadeFrom) -> FollowUp:
    given = {name.removeprefix("in."): array for name, array in arrays.items() if name.startswith("in.")}
    pairs = {
        name.removeprefix("got."): (array, arrays["want." + name.removeprefix("got.")])
        for name, array in arrays.items()
        if name.startswith("got.")
    }
    broken = [Finding(**finding) for finding in body["broken"]]
    attempt = Attempt(CaseSpec(**body["spec"]), broken, given, pairs)
    return FollowUp(attempt, CaseSpec(**body["start"]), bool(body["reproducible"]), made_from, body["stages"])
