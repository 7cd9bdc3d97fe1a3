"""The causes of verdicts: a closed list of words, recorded where the cause arises, never parsed from a sentence."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

RootCauseClass = Literal["data", "optimisation", "infrastructure masking"]


class Cause(StrEnum):
    """Why a claim is ERROR, BLOCKED, UNVERIFIED, STALE or PARTIAL.

    The other verdicts have no cause: the violated limits explain FALSIFIED and UNSOUND, the fates of the mutants
    explain VACUOUS, and DISCHARGED needs no explanation.
    """

    NOT_SELECTED = "not_selected"
    DID_NOT_RUN = "did_not_run"
    UNBOUND = "unbound"
    DEVICE_MISSING = "device_missing"
    DEPENDENCY_MISSING = "dependency_missing"
    WEIGHTS_MISSING = "weights_missing"
    WEIGHTS_NOT_GIVEN = "weights_not_given"
    CAPABILITY_MISSING = "capability_missing"
    FLOAT32_IN_FLOAT64 = "float32_in_float64"
    OUT_OF_TIME = "out_of_time"
    OUT_OF_MEMORY = "out_of_memory"
    OUT_OF_DESCRIPTORS = "out_of_descriptors"
    DISK_FULL = "disk_full"
    KILLED = "killed"
    PROCESS_DIED = "process_died"
    COULD_NOT_START = "could_not_start"
    RAISED = "raised"
    UNPICKLABLE = "unpicklable"
    LONE_SURROGATE = "lone_surrogate"
    BASELINE_FAILED = "baseline_failed"
    DEPENDS_ON_RED = "depends_on_red"
    CHANGED_SINCE = "changed_since"
    TOO_OLD = "too_old"
    OTHER_PLATFORM = "other_platform"
    MUTANT_NOT_RUN = "mutant_not_run"
    MUTANTS_LEFT_OUT = "mutants_left_out"


MEANING = {
    Cause.NOT_SELECTED: "-k, or the selection of a pytest session, excluded the claim",
    Cause.DID_NOT_RUN: "it was selected, and the run ended before its turn",
    Cause.UNBOUND: "the claim binds no falsifier, so there is nothing to run",
    Cause.DEVICE_MISSING: "the requested device is not on this machine",
    Cause.DEPENDENCY_MISSING: "a Python package that the claim needs is not installed",
    Cause.WEIGHTS_MISSING: "the model that the claim runs on could not be built",
    Cause.WEIGHTS_NOT_GIVEN: "the candidate is a GGUF file, and --weights did not name the checkpoint it was made from",
    Cause.CAPABILITY_MISSING: "the candidate lacks a function, an argument or a format that the claim needs",
    Cause.FLOAT32_IN_FLOAT64: "the candidate computes in float32 where float64 is required",
    Cause.OUT_OF_TIME: "its process was stopped at its time limit",
    Cause.OUT_OF_MEMORY: "its process was stopped at its memory limit or by the system, or an allocation failed",
    Cause.OUT_OF_DESCRIPTORS: "no more files could be opened",
    Cause.DISK_FULL: "a disk had no room left, or a quota was used up",
    Cause.KILLED: "its process was killed from outside, and once again when it was tried a second time",
    Cause.PROCESS_DIED: "its process crashed by a signal, or ended without a result",
    Cause.COULD_NOT_START: "what the claim names could not be imported or prepared",
    Cause.RAISED: "the falsifier, or the candidate that it called, raised an exception",
    Cause.UNPICKLABLE: "an object could not be passed to another process, or is none that JSON can hold",
    Cause.LONE_SURROGATE: "a text has half of a surrogate pair, which no file can hold",
    Cause.BASELINE_FAILED: "the baseline did not run to its end, so there is nothing to compare with",
    Cause.DEPENDS_ON_RED: "a contract named in this one's depends_on is red",
    Cause.CHANGED_SINCE: "candidate, weights, contract, code, version or a file that it read is not the one at hand",
    Cause.TOO_OLD: "the run began longer ago than --max-age allows",
    Cause.OTHER_PLATFORM: "it survived on a platform that the claim's discharges_on does not name",
    Cause.MUTANTS_LEFT_OUT: "--no-mutants: the candidate broke no limit, and nothing showed that the claim can fail",
    Cause.MUTANT_NOT_RUN: "it survived, but a mutant needs a device that is not on this machine",
}
"""What each cause means."""

AGAIN = frozenset({Cause.KILLED, Cause.OUT_OF_MEMORY, Cause.OUT_OF_DESCRIPTORS, Cause.DISK_FULL})
"""Causes that another hour may not have: a resumed run tries such an ERROR again."""
_MACHINE = AGAIN | frozenset(
    {
        Cause.DEVICE_MISSING,
        Cause.DEPENDENCY_MISSING,
        Cause.WEIGHTS_MISSING,
        Cause.OUT_OF_TIME,
        Cause.PROCESS_DIED,
    }
)


def root_cause_class(cause: str | None) -> RootCauseClass | None:
    """`infrastructure masking` if the machine, not the model, decided the verdict; None if the cause does not show it.

    The classes `data` and `optimisation` come from the claims that audit the record of a training run.
    """
    return "infrastructure masking" if cause is not None and Cause(cause) in _MACHINE else None
