"""An exception of an isolated candidate: told as plain data, and raised again in the claim's process."""

from __future__ import annotations

import builtins
from typing import Any

from harness.errors import UserError
from harness.subject.boundary import Unsupported

LONGEST = 4000
"""Characters of a message that are passed on; a report keeps fewer."""


def told(problem: BaseException) -> dict[str, Any]:
    """What `again` needs to know of an exception."""
    unsupported = isinstance(problem, Unsupported) or bool(getattr(problem, "unsupported", False))
    return {
        "unsupported": unsupported,
        "types": [kind.__name__ for kind in type(problem).__mro__],
        "text": str(problem)[:LONGEST],
        "number": problem.errno if isinstance(problem, OSError) else None,
        "module": problem.name if isinstance(problem, ModuleNotFoundError) else None,
    }


def again(about: Any) -> Exception:
    """The exception that `told` described: of the same name, and of the same kind among Python's own exceptions."""
    try:
        names = [str(name) for name in about["types"]]
        text, module, number = str(about["text"])[:LONGEST], about["module"], about["number"]
        unsupported = bool(about["unsupported"])
    except (TypeError, KeyError):
        return RuntimeError("the candidate's process told an exception that cannot be read")
    if unsupported:
        return Unsupported(text)
    if UserError.__name__ in names:
        return UserError(text)
    kind = next((known for name in names if (known := _built_in(name))), RuntimeError)
    name = names[0][:100] if names and names[0].isidentifier() else "Exception"
    return _made(type(name, (kind,), {"__module__": "builtins"}), text, module, number)


def _made(kind: Any, text: str, module: Any, number: Any) -> Exception:
    problem: Exception = kind.__new__(kind, text)
    Exception.__init__(problem, text)
    if issubclass(kind, ImportError):
        problem.name = str(module)  # type: ignore[attr-defined]
    if issubclass(kind, OSError) and isinstance(number, int):
        problem.errno = number  # type: ignore[attr-defined]
    return problem


def _built_in(name: str) -> type[Exception] | None:
    found = getattr(builtins, name, None)
    usable = isinstance(found, type) and issubclass(found, Exception) and not issubclass(found, UnicodeError)
    return found if usable else None
