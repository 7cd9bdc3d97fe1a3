"""A claim asks for a device only if its candidate computes on one.

The torch candidate of a claim runs under a mode that sees every operation of torch. Rule: a claim whose candidate
computes on no floating tensor is discharged on any platform; a claim that asks for CUDA computes on some. Claims on a
built model are left out, because building takes a minute: they call models.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.contract.claim import Claim
from harness.contract.validate import check
from harness.platforms import DISCHARGING
from tests.support.devices.work import Recorder, Work, computes, work_of
from tests.support.repository import ROOT

WITHOUT = ("FALSIFY-LR-SCHEDULE-001", "FALSIFY-METRICS-LOSS-001", "FALSIFY-METRICS-CONVERGED-001")
"""Claims on plain numbers: a learning rate by step, the average of losses, the share of decisions."""
ASKING = sorted(path for folder in ("ops", "training", "adapters") for path in (ROOT / "contracts" / folder).iterdir())


def claims(path: Path) -> list[Claim]:
    return [claim for contract in check([path]).contracts for claim in contract.claims]


def idle(asked: list[Claim], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The claims that ask for CUDA although their candidate, on the first case, computes on no floating tensor."""
    return [claim.id for claim in asked if claim.discharges_on == ("cuda",) and not computes(claim, monkeypatch)]


@pytest.fixture
def plain() -> dict[str, Claim]:
    """The claims of WITHOUT by id."""
    found = [
        claim for name in ("adamw", "metrics") for claim in claims(ROOT / "contracts" / "training" / f"{name}.yaml")
    ]
    return {claim.id: claim for claim in found if claim.id in WITHOUT}


@pytest.mark.parametrize("name", WITHOUT)
def test_a_claim_on_plain_numbers_discharges_anywhere(
    name: str, plain: dict[str, Claim], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plain[name].discharges_on == DISCHARGING
    assert work_of(plain[name], monkeypatch) == Work()


@pytest.mark.parametrize("path", ASKING, ids=lambda path: path.stem)
def test_a_claim_that_asks_for_cuda_computes_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert idle([claim for claim in claims(path) if "weights" not in claim.given], monkeypatch) == []


def test_a_claim_that_asks_for_cuda_in_vain_is_seen(plain: dict[str, Claim], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [replace(claim, source={**claim.source, "discharges_on": ["cuda"]}) for claim in plain.values()]
    assert sorted(idle(asked, monkeypatch)) == sorted(WITHOUT)


@pytest.mark.parametrize(
    ("call", "seen"),
    [
        (lambda x: x * 2, {"mul"}),
        (lambda x: x > 0, {"gt"}),
        (lambda x: torch.arange(3).float(), set()),
        (lambda x: torch.linspace(0, 1, 3), {"linspace"}),
        (lambda x: x.view(2, 2).t()[0].clone().to(torch.float64), set()),
        (lambda x: torch.arange(3) + 1, set()),
        (lambda x: torch.nn.functional.softmax(x, dim=0), {"_softmax"}),
    ],
)
def test_moving_is_no_work_and_computing_is(call: Any, seen: set[str]) -> None:
    work = Work()
    x = torch.ones(4)
    with Recorder(work):
        call(x)
    assert set(work.computed) == seen
    assert work.any is bool(seen)
