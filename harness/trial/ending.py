"""The status, reason and cause of a subject whose run an exception ended."""

from __future__ import annotations

import errno
import pickle
import sys
import traceback
from typing import NamedTuple

from harness.case import Case
from harness.judging.cause import Cause
from harness.judging.record import Status, Subject, shortened
from harness.subject.boundary import Unsupported

NUMBERS = {
    errno.ENOMEM: Cause.OUT_OF_MEMORY,
    errno.EMFILE: Cause.OUT_OF_DESCRIPTORS,
    errno.ENFILE: Cause.OUT_OF_DESCRIPTORS,
    errno.ENOSPC: Cause.DISK_FULL,
    errno.EDQUOT: Cause.DISK_FULL,
}
"""The system's number of an error -> the cause."""


class Ending(NamedTuple):
    """What the record keeps about a subject whose run an exception ended."""

    status: Status
    reason: str
    cause: Cause


def ended(problem: Exception, case: Case, role: str) -> Ending:
    """Status, reason and cause of a subject that raised.

    Code that may not import the engine sets an attribute on its exception: `unsupported` (the subject lacks what the
    claim needs) or `not_run` (a mutant's device is absent).
    """
    if isinstance(problem, Unsupported) or getattr(problem, "unsupported", False):
        return Ending("unsupported", str(problem), Cause.CAPABILITY_MISSING)
    if getattr(problem, "not_run", False) and role.startswith("mutant "):
        return Ending("not_run", str(problem), Cause.DEVICE_MISSING)
    # A claim's process writes its standard error to log.txt: tracebacks belong there, not in the result.
    print(f"--- {role}\n{traceback.format_exc()}", file=sys.stderr)
    what = "out of memory" if isinstance(problem, MemoryError) else f"{type(problem).__name__}: {problem}"
    reason = f"{what} in case {case.index} ({_params(case)})"
    return Ending("crashed", reason, cause_of(problem, Cause.RAISED))


def cause_of(problem: BaseException, otherwise: Cause) -> Cause:
    """The cause that an exception shows by its type and its number: what the machine lacks, or what cannot be kept."""
    if _out_of_memory(problem):
        return Cause.OUT_OF_MEMORY
    if isinstance(problem, OSError):
        return NUMBERS.get(problem.errno or 0, otherwise)
    if isinstance(problem, pickle.PicklingError) or _cannot_pickle(problem):
        return Cause.UNPICKLABLE
    if isinstance(problem, UnicodeEncodeError) and any("\ud800" <= c <= "\udfff" for c in problem.object):
        return Cause.LONE_SURROGATE
    return otherwise


def end(subject: Subject, ending: Ending) -> Subject:
    """The subject with this ending; the rows it produced before the exception stay."""
    return {**subject, "status": ending.status, "reason": shortened(ending.reason), "cause": ending.cause.value}


def _out_of_memory(problem: BaseException) -> bool:
    """Whether this is Python's MemoryError or torch's OutOfMemoryError, checked by name so as not to import torch."""
    return isinstance(problem, MemoryError) or type(problem).__name__ == "OutOfMemoryError"


def _cannot_pickle(problem: BaseException) -> bool:
    """Whether pickle refused an object: Python tells it as a TypeError or an AttributeError from within the pickler."""
    trace = problem.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    inside = trace is not None and "pickle" in trace.tb_frame.f_code.co_filename
    return isinstance(problem, TypeError | AttributeError) and inside


def _params(case: Case) -> str:
    return ", ".join(f"{k}={v}" for k, v in {**case.params, "memory_layout": case.layout, "dtype": case.dtype}.items())
