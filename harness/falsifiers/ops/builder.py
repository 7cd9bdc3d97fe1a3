"""The function that builds an op's arguments, found by its name among the modules of `inputs`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.case import Case
from harness.definitions import defined, defining
from harness.errors import UserError
from harness.falsifiers.ops.inputs.call import Call

FOLDER = Path(__file__).parent / "inputs"


def build(case: Case, names: tuple[str, ...], *variant: int, **params: Any) -> Call:
    """The arguments that the first of `names` which some module defines builds from the case.

    An op's inputs are `<op>(case, [variant], **params)`; `<op>_<module>` before it, where the falsifiers of a module
    need others (`rmsnorm_gradients`, `rmsnorm_special`). `harness.contract.names.inputs` looks by the same names.
    Raises: UserError for a name that no module or more than one defines, and for params that the function lacks.
    """
    builder = _found(names)
    try:
        inspect.signature(builder).bind(case, *variant, **params)
    except TypeError as problem:
        where = f"{builder.__module__}:{builder.__name__}"
        raise UserError(f"op {names[-1]}: {problem} in given or explore; expected what {where} takes") from None
    call: Call = builder(case, *variant, **params)
    return call


@cache
def _found(names: tuple[str, ...]) -> Callable[..., Any]:
    for name in names:
        files = defining(FOLDER, name)
        if len(files) > 1:
            where = " and ".join(file.name for file in files)
            raise UserError(f"inputs: found {name!r} in {where}, expected it in one of them; rename the other")
        if files:
            builder: Callable[..., Any] = getattr(import_module(f"{__package__}.inputs.{files[0].stem}"), name)
            return builder
    known = ", ".join(sorted(defined(FOLDER)))
    raise UserError(f"given.op: found no function {names[-1]!r} among the inputs, expected one of {known}")
