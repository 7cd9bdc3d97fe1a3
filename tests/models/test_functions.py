"""The thirty functions that the small model learns by heart: valid, right, and told apart by their prompts."""

from __future__ import annotations

import ast

import pytest

from harness.models.functions import FUNCTIONS, chat_prompt, direct_prompt, expected


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.name)
def test_every_function_is_short_valid_python(function):
    (tree,) = ast.parse(expected(function)).body
    assert isinstance(tree, ast.FunctionDef)
    assert tree.name == function.name
    assert ast.get_docstring(tree) == function.summary
    assert 3 <= len(expected(function).splitlines()) <= 8
    assert expected(function).startswith(direct_prompt(function))


def test_the_functions_do_what_they_say():
    names: dict = {}
    for function in FUNCTIONS:
        exec(expected(function), names)
    assert names["clamp"](7, 0, 5) == 5
    assert names["median"]([3, 1, 2]) == 2
    assert names["median"]([4, 1, 2, 3]) == 2.5
    assert names["fibonacci"](6) == [0, 1, 1, 2, 3, 5]
    assert names["caesar"]("xyz", 3) == "abc"
    assert list(names["pairwise"]("abc")) == [("a", "b"), ("b", "c")]
    assert names["power"](3, 5) == 243
    assert names["to_binary"](10) == "1010"
    assert names["safe_divide"](1, 0) is None


def test_there_are_thirty_functions_with_unambiguous_prompts():
    assert len({f.name for f in FUNCTIONS}) == len(FUNCTIONS) == 30
    for prompt in (direct_prompt, chat_prompt):
        prompts = [prompt(f) for f in FUNCTIONS]
        assert not [(a, b) for i, a in enumerate(prompts) for j, b in enumerate(prompts) if i != j and b.startswith(a)]
