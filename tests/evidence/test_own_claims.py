"""`contracts/harness/` asks for every damage and every forgery that is known here."""

from __future__ import annotations

from harness.contract.validate import check
from harness.falsifiers.itself.forgeries import BYTES, FORGERIES, PLACES, STRANGE
from harness.falsifiers.itself.judging import DAMAGE
from harness.falsifiers.itself.reading import BESIDE, EASIER, LATER, NOTHING
from harness.falsifiers.itself.stale import STALE
from harness.mutant import mutants_of
from tests.support.repository import ROOT

CLAIMS = {claim.id: claim for each in check([str(ROOT / "contracts" / "harness")]).contracts for claim in each.claims}


def _choices(claim: str, name: str) -> list[str]:
    return list(CLAIMS[claim].explore[name]["choices"])


def test_the_judge_is_asked_every_damage() -> None:
    assert _choices("FALSIFY-JUDGE-001", "damage") == list(DAMAGE)


def test_verify_is_asked_every_forgery_every_strange_thing_and_every_place() -> None:
    asked = _choices("FALSIFY-VERIFY-001", "forgery")
    assert asked[: 1 + len(FORGERIES) + len(BYTES)] == [NOTHING, *FORGERIES, *BYTES]
    planted = [name.split(" in ") for name in asked[1 + len(FORGERIES) + len(BYTES) :]]
    assert {kind for kind, _ in planted} == set(STRANGE)
    assert {where for _, where in planted} == {where or "run" for where in PLACES}


def test_the_gate_is_asked_what_is_known() -> None:
    assert set(_choices("FALSIFY-GATE-AT-HAND-001", "stale")) <= {NOTHING, *STALE}
    assert _choices("FALSIFY-GATE-DECIDES-001", "stale") == [NOTHING, EASIER, BESIDE, LATER]


def test_every_wrong_judge_reader_and_gate_is_named_by_a_claim() -> None:
    from harness.falsifiers.itself.mutants import judging, reading, shipping

    known = {name for module in (judging, reading, shipping) for name in mutants_of(module)}
    assert {name for claim in CLAIMS.values() for name in claim.mutants} == known
