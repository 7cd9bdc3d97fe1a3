"""The cases of a claim: a function of (claim id, `given`, `explore`, `examples`, seed), fixed before anything runs."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from harness.contract.claim import Claim
from harness.contract.domain import LISTS
from harness.contract.sizes import deal, edges

DEFAULT_DTYPE = "float32"
KNOWN = 4096
"""At most this many untried values of one parameter are put in an order."""


@dataclass(frozen=True)
class CaseSpec:
    """One case before its arrays exist."""

    index: int
    seed: int
    dtype: str
    params: dict[str, Any]


def plan(claim: Claim, seed: int) -> list[CaseSpec]:
    """List the pairwise corners of the explored domains, then seeded draws until there are `examples` cases."""
    if not claim.explore:
        return [spec(claim, seed, 0, {})]
    chosen = corners(claim.explore)
    if len(chosen) < claim.examples:
        chosen += draw(claim.explore, case_seed(claim, seed, "draws"), claim.examples - len(chosen))
    return [spec(claim, seed, index, params) for index, params in enumerate(chosen)]


def spec(claim: Claim, seed: int, index: int, params: dict[str, Any]) -> CaseSpec:
    """Make case number `index` from its explored parameters; `dtype` moves from them to a field of its own."""
    params = dict(params)
    dtype = params.pop("dtype", claim.given.get("dtype", DEFAULT_DTYPE))
    return CaseSpec(index, case_seed(claim, seed, str(index)), dtype, params)


def case_seed(claim: Claim, seed: int, part: str) -> int:
    """Hash (what decides the claim's cases, seed, part) to a seed of 63 bits."""
    digest = hashlib.sha256(f"{claim.drawn_from}/{seed}/{part}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def corner_values(domain: dict[str, Any]) -> list[Any]:
    """The values of a domain that the corners combine: all that are listed, the edges of sizes, both ends of others."""
    (kind, values), *_ = domain.items()
    if kind == "sizes":
        return list(edges(*values))
    return list(values) if kind in LISTS else list(dict.fromkeys(values))


def corners(explore: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """List a few rows that together hold every pair of corner values of every two parameters.

    The edges of `sizes` and the values of `each` are dealt to those rows and make no pairs: there are many, and a bug
    at one size shows with any option.
    """
    many = {name: corner_values(domain) for name, domain in explore.items() if set(domain) & {"sizes", "each"}}
    rows = _pairwise({name: domain for name, domain in explore.items() if name not in many})
    together = {name: edges[-1] for name, edges in many.items() if "sizes" in explore[name]}
    dealt = deal(rows, many, together) if many else rows
    return [{name: row[name] for name in explore} for row in dealt]


def _pairwise(explore: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    if not explore:
        return [{}]
    names = list(explore)
    values = [corner_values(explore[name]) for name in names]
    if len(names) == 1:
        return [{names[0]: value} for value in values[0]]
    sides = list(itertools.combinations(range(len(names)), 2))
    open_pairs = {(i, a, j, b) for i, j in sides for a in range(len(values[i])) for b in range(len(values[j]))}
    found = []
    for pair in sorted(open_pairs):
        if pair in open_pairs:
            row = _complete(pair, values, open_pairs)
            open_pairs -= {(i, row[i], j, row[j]) for i, j in sides}
            found.append({name: values[k][row[k]] for k, name in enumerate(names)})
    return found


def _complete(
    pair: tuple[int, int, int, int], values: Sequence[Sequence[Any]], open_pairs: set[tuple[int, int, int, int]]
) -> dict[int, int]:
    """Give each other parameter the value that covers the most pairs not covered yet."""
    row = {pair[0]: pair[1], pair[2]: pair[3]}
    for k in range(len(values)):
        if k not in row:
            gains = [sum(_ordered(k, v, i, row[i]) in open_pairs for i in row) for v in range(len(values[k]))]
            row[k] = gains.index(max(gains))
    return row


def _ordered(i: int, a: int, j: int, b: int) -> tuple[int, int, int, int]:
    return (i, a, j, b) if i < j else (j, b, i, a)


def draw(explore: dict[str, dict[str, Any]], seed: int, count: int) -> list[dict[str, Any]]:
    """Draw `count` rows from the domains with this seed; a space with fewer rows repeats them, under new case seeds."""
    import hypothesis
    from hypothesis import strategies as st

    found: list[dict[str, Any]] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.fixed_dictionaries({name: strategy(domain) for name, domain in explore.items()}))
    def collect(params: dict[str, Any]) -> None:
        found.append(params)

    with no_local_constants():
        collect()
    return list(itertools.islice(itertools.cycle(found), count))


@contextmanager
def no_local_constants() -> Iterator[None]:
    """Stop Hypothesis from drawing constants that it collects from the user's loaded modules.

    With those constants the cases depend on the loaded modules as well as on claim and seed. Hypothesis also writes
    the constants to a folder `.hypothesis` in the working folder. No public setting turns off either.
    """
    from hypothesis.internal.conjecture import providers

    found = providers._get_local_constants
    none = providers.Constants()
    providers._get_local_constants = lambda: none
    providers.CONSTANTS_CACHE.cache.clear()
    try:
        yield
    finally:
        providers._get_local_constants = found
        providers.CONSTANTS_CACHE.cache.clear()


def strategy(domain: dict[str, Any]) -> Any:
    """The Hypothesis strategy of one domain. The simplest value comes first: Hypothesis shrinks towards it."""
    import math

    from hypothesis import strategies as st

    (kind, values), *_ = domain.items()
    if kind in LISTS:
        return st.sampled_from(values)
    low, high = values
    if kind == "boundary":
        return st.integers(low, high)
    if kind == "sizes":
        return st.sampled_from(edges(low, high)) | st.integers(low, high)
    if kind == "uniform":
        return st.floats(low, high)
    return st.floats(math.log(low), math.log(high)).map(lambda x: min(max(math.exp(x), low), high))


def drawn(domain: dict[str, Any], draw: random.Random) -> Any:
    """One value of a domain, each as likely as the others."""
    import math

    (kind, values), *_ = domain.items()
    if kind == "choices":
        return draw.choice(values)
    low, high = values
    if kind == "boundary":
        return draw.randint(low, high)
    if kind == "uniform":
        return draw.uniform(low, high)
    return min(max(math.exp(draw.uniform(math.log(low), math.log(high))), low), high)


def untried(claim: Claim, seed: int, cases: Sequence[CaseSpec]) -> dict[str, list[int]]:
    """Per parameter with an interval of whole numbers: those that no case has, in the order in which they are tried."""
    found = {}
    for name, domain in claim.explore.items():
        if "boundary" in domain:
            low, high = domain["boundary"]
            held = {case.params[name] for case in cases}
            draw = random.Random(case_seed(claim, seed, f"untried {name}"))
            order = draw.sample(range(low, high + 1), min(KNOWN, high + 1 - low))
            found[name] = [value for value in order if value not in held]
    return found
