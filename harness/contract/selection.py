"""Parse the expression of `-k`: pytest's syntax, case-insensitive, matched to contract id, claim id and op."""

from __future__ import annotations

import re
from collections.abc import Callable

from harness.contract.claim import Claim
from harness.errors import UserError

TOKEN = re.compile(r"\s*(\(|\)|[^\s()]+)")


def selector(expression: str) -> Callable[[Claim], bool]:
    """Parse an expression of words, `and`, `or`, `not` and parentheses into a predicate on claims.

    Raises: UserError if the expression cannot be parsed.
    """
    if not expression.strip():
        return lambda claim: True
    tokens = TOKEN.findall(expression)
    parsed, rest = _parse_or(tokens, expression)
    if rest:
        raise _parse_error(expression, f"found `{rest[0]}` where `and`, `or` or the end was expected")
    return lambda claim: parsed(" ".join((claim.contract, claim.id, claim.op)).lower())


Match = Callable[[str], bool]


def _parse_or(tokens: list[str], text: str) -> tuple[Match, list[str]]:
    left, rest = _parse_and(tokens, text)
    while rest and rest[0].lower() == "or":
        right, rest = _parse_and(rest[1:], text)
        left = (lambda a, b: lambda names: a(names) or b(names))(left, right)
    return left, rest


def _parse_and(tokens: list[str], text: str) -> tuple[Match, list[str]]:
    left, rest = _parse_term(tokens, text)
    while rest and rest[0].lower() == "and":
        right, rest = _parse_term(rest[1:], text)
        left = (lambda a, b: lambda names: a(names) and b(names))(left, right)
    return left, rest


def _parse_term(tokens: list[str], text: str) -> tuple[Match, list[str]]:
    if not tokens:
        raise _parse_error(text, "found its end where a word was expected")
    head, rest = tokens[0].lower(), tokens[1:]
    if head == "not":
        inner, rest = _parse_term(rest, text)
        return lambda names: not inner(names), rest
    if head == "(":
        inner, rest = _parse_or(rest, text)
        if not rest or rest[0] != ")":
            raise _parse_error(text, "a parenthesis is not closed")
        return inner, rest[1:]
    if head in ("and", "or", ")"):
        raise _parse_error(text, f"found `{head}` where a word was expected")
    return lambda names: head in names, rest


def _parse_error(text: str, why: str) -> UserError:
    return UserError(f"-k {text!r}: {why}; write words joined by and, or, not and parentheses")
