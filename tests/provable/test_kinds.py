"""What kind of test an imported entry names, and which built-in claims cover a contract."""

from __future__ import annotations

from typing import Any

import pytest

from harness.provable.cover import COVER, covered
from harness.provable.entry import entry
from harness.provable.kind import Kind, kind_of


@pytest.mark.parametrize(
    ("test", "kind"),
    [
        ("cargo test -p kernels --lib -- one two", "command"),
        ("RUST_LOG=1 cargo nextest run", "command"),
        ("cd crates/a && cargo bench", "command"),
        ("python -m pytest tests/test_a.py", "command"),
        ("pytest", "command"),
        ("kernels.softmax:parity", "command"),
        ("src/kernels/rows.rs::tests::sums", "command"),
        ("bash scripts/check.sh   # cases 1, 2 and the rest", "command"),
        ("# first look\nfound=0\nif grep -rq x docs; then found=1; fi", "command"),
        ("tool --version | grep -q $(git rev-parse HEAD)", "command"),
        (["make test", "pytest -q"], "command"),
        ({"command": "make test", "timeout": "30"}, "command"),
        ("#[test]\nfn sums() {}", "code"),
        ("def test_sum():\n    assert True", "code"),
        ("make sure that rows sum to one", "prose"),
        ("go through every row", "prose"),
        ("python implementation matches the loop", "prose"),
        ("cargo test passes for all kernels", "prose"),
        ("run the tool with --json and without", "prose"),
        ("proptest: rows of 1..128", "prose"),
        ("compare a | b row by row", "prose"),
        (["make test", "and look at it"], "prose"),
        ("", "none"),
        ([], "none"),
    ],
)
def test_what_kind_of_test_it_is(test: Any, kind: str) -> None:
    assert kind_of(test) == kind


def test_an_entry_counts_by_the_best_it_says() -> None:
    prose = {"evidence_required": "someone looks", "harness_discharged_by": ["a.rs::tests::x", "a.rs::tests::y"]}
    found = entry({"id": "GATE-1", "rule": "r", **prose}, "gates")
    assert (found.kind, found.claim["unbound"]) == (Kind.COMMAND, "a.rs::tests::x; a.rs::tests::y")
    assert found.claim["imported"] == prose
    assert entry({"id": "A", "rule": "r"}, "gates").claim["unbound"] == "the source names no test"


def test_every_row_of_the_built_in_cover_selects_a_claim() -> None:
    for pattern, folder, select in COVER:
        found = covered(
            [pattern.split("|")[0].replace("-?", "-").replace("(gradient", "gradient").replace("q[48]", "q4")]
        )
        name = f"builtin:{folder} -k {select}"
        if "(" not in pattern:
            assert name in found
        for claims in found.values():
            assert not claims.startswith("0 claims"), (pattern, claims)
    assert list(covered(["softmax-kernel-v1"])) == ["builtin:ops -k softmax"]
    assert covered(["prelude-reluctant-v1"]) == {}
