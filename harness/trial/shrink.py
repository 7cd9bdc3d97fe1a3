"""Shrink a violating case to the smallest case that still violates, within a time budget."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harness.contract.cases import CaseSpec, no_local_constants, spec, strategy
from harness.contract.claim import Claim
from harness.contract.domain import LISTS
from harness.trial.variant import Variant


def shrink(claim: Claim, seed: int, start: CaseSpec, violates: Callable[[CaseSpec], bool], budget_s: float) -> CaseSpec:
    """The smallest violating case that Hypothesis finds between the simplest values and those of `start`.

    The seed and index stay those of `start`, so the arrays are drawn from the same random streams.
    """
    import hypothesis
    from hypothesis import errors
    from hypothesis import strategies as st

    domains = {name: _below(domain, _value(start, name)) for name, domain in claim.explore.items()}
    if not domains:
        return start
    ends = time.monotonic() + budget_s
    tried: dict[str, bool] = {}

    def rebuilt(params: dict[str, Any]) -> CaseSpec:
        fresh = spec(claim, seed, start.index, params)
        return CaseSpec(start.index, start.seed, fresh.dtype, fresh.params)

    def condition(params: dict[str, Any]) -> bool:
        key = repr(sorted(params.items(), key=str))
        if key not in tried and time.monotonic() < ends:
            tried[key] = violates(rebuilt(params))
        return tried.get(key, False)

    settings = hypothesis.settings(
        max_examples=60,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
    )
    try:
        with no_local_constants():
            least = hypothesis.find(
                st.fixed_dictionaries({name: strategy(domain) for name, domain in domains.items()}),
                condition,
                settings=settings,
                random=random.Random(start.seed),
            )
    except errors.NoSuchExample:
        return start
    return rebuilt(least)


def with_fewest_edits(start: Variant, violates: Callable[[Variant], bool]) -> Variant:
    """The variant without the edits that it does not need in order to violate, tried one by one."""
    least = start
    for edit in start.edits:
        fewer = replace(least, edits=tuple(each for each in least.edits if each is not edit))
        if violates(fewer):
            least = fewer
    return least


def _value(start: CaseSpec, name: str) -> Any:
    return start.dtype if name == "dtype" else start.params[name]


def _below(domain: dict[str, Any], found: Any) -> dict[str, Any]:
    """The part of a domain from its simplest value to the value `found`."""
    (kind, values), *_ = domain.items()
    if kind in LISTS:
        return {kind: values[: values.index(found) + 1]}
    kind = "boundary" if kind == "sizes" else kind  # the least size that fails need not be an edge
    return {kind: [values[0], found]} if found > values[0] else {"choices": [found]}
