"""What `contracts/harness/` asks of the judge, ship-%, verify and gate, in this process: fast enough for mutants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.contract.cases import plan
from harness.contract.validate import check
from harness.falsifiers.itself import judging, reading, shipping
from harness.observation import Observation
from harness.trial.experiment import Experiment, observe
from tests.support.repository import ROOT

FALSIFIERS: dict[str, Callable[..., Observation]] = {
    "FALSIFY-JUDGE-001": judging.judges,
    "FALSIFY-SHIP-PERCENT-001": shipping.ship_percent,
    "FALSIFY-VERIFY-001": reading.verifies,
    "FALSIFY-GATE-AT-HAND-001": reading.gates,
    "FALSIFY-GATE-DECIDES-001": reading.gates,
}
CLAIMS = {claim.id: claim for each in check([str(ROOT / "contracts" / "harness")]).contracts for claim in each.claims}
ROUNDED = 5.000001e-3
"""ship-% has two decimals."""


@pytest.mark.parametrize("claim", CLAIMS)
def test_harness_meets_its_own_contracts(claim: str) -> None:
    asked = Experiment(
        falsifier=FALSIFIERS[claim], given={}, cases=plan(CLAIMS[claim], 0), extras=frozenset(), device="cpu",
        candidate=object(),
    )  # fmt: skip
    measured: dict[str, float] = {}
    for spec in asked.cases:
        found, _ = observe(asked, asked.candidate, asked.make(spec), "candidate")
        wrong: dict[str, Any] = {name: value for name, value in found.scalars.items() if not value <= ROUNDED}
        assert not wrong, (spec.params, wrong)
        measured |= found.scalars
    assert set(measured) == set(CLAIMS[claim].accept)
