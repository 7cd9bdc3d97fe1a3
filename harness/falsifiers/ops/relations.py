"""Relations between an op's answers to two calls, such as: permuted rows give permuted answers. No reference is asked.

A contract names the op, its axes and the relation; every op that has inputs can be tried, and none is listed here.
"""

from __future__ import annotations

from typing import Any

from harness.case import Case
from harness.falsifiers.answer_distance import constant, differing, distance
from harness.falsifiers.ops import ask
from harness.falsifiers.ops.builder import build
from harness.falsifiers.ops.related_calls import related
from harness.falsifiers.ops.related_once import ONCE
from harness.falsifiers.ops.shapes import parse
from harness.observation import Observation

MEASURES = {
    "relation_err": "largest difference between the answer and the one that the relation makes of the transformed "
    "call's answer, in unit round-offs of the larger of the element and the root mean square of the answer; of ids, "
    "how many differ",
    "constant_answer": "1 if the answer has 64 elements or more and all are equal, which any relation would allow; "
    "else 0",
}


def relation(
    subject: Any, case: Case, *, op: str, relation: str, shapes: str, degrees: str = "", **params: Any
) -> Observation:
    """The op's answer to transformed arguments is the transformed answer, both by the same subject.

    `shapes` names the axes, as `x (rows, columns), weight (columns) -> (rows, columns)`; the relation is a verb and
    one of them, as `permute_rows` (`harness.falsifiers.ops.related_calls.related` lists the verbs), `shift` of the
    first argument, or `scale`: arguments times s to the degrees in `degrees`, as `x 1, eps 2 -> 1`.
    Units: differences in unit round-offs of the case's dtype.
    """
    call = build(case, (f"{op}_relations", op), 0, **params)
    once = ONCE.get(relation)
    calls = once(case, call) if once else related(case, call, relation, parse(shapes), degrees)
    answer = ask(subject, op, calls.plain)
    want = calls.want(answer)
    got = calls.got([ask(subject, op, each) for each in calls.moved])
    return Observation(
        relation_err=distance(got, want, case.dtype) if answer.dtype.kind == "f" else differing(got, want),
        constant_answer=constant(answer),
        where={"relation_err": f"{relation} of {op}"},
    )
