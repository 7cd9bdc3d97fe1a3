"""What a claim's candidate does with tensors: a record of the operations that compute on or move floating numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from harness.contract.claim import Claim
from harness.subject.boundary import Boundary
from harness.trial.experiment import run_subject
from harness.trial.job import Job, assemble

MOVES = ("_to_copy", "copy_", "clone", "detach", "alias", "lift_fresh", "lift_fresh_copy", "_pin_memory", "is_pinned")
MAKES = ("empty", "empty_strided", "empty_like", "new_empty", "zeros", "zeros_like", "new_zeros", "ones", "ones_like")
"""Operations that take or give floating tensors and calculate no number. Views are known by torch's own mark."""


@dataclass
class Work:
    """How often each operation computed on floating tensors and moved them, and whether a call ran elsewhere."""

    computed: Counter[str] = field(default_factory=Counter)
    moved: Counter[str] = field(default_factory=Counter)
    elsewhere: bool = False
    """The falsifier called the candidate in another process, where nothing is recorded."""

    @property
    def any(self) -> bool:
        """Whether the candidate computed on floating tensors, or may have done so where nothing is recorded."""
        return bool(self.computed) or self.elsewhere


class Seen(BaseException):
    """The candidate computed on a floating tensor; no `except Exception` of the engine may take it for a crash."""


class Recorder(TorchDispatchMode):
    """Sort each operation with a floating tensor among its inputs or outputs into `work`.

    Raises: Seen at the first that computes, if `first` is set.
    """

    def __init__(self, work: Work, *, first: bool = False) -> None:
        super().__init__()
        self.work = work
        self.first = first

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [each for each in tree_leaves((args, kwargs, out)) if isinstance(each, torch.Tensor)]
        if any(each.is_floating_point() for each in tensors):
            name = func.name().removeprefix("aten::").partition(".")[0]
            still = func.is_view or name in MOVES or name in MAKES
            (self.work.moved if still else self.work.computed)[name] += 1
            if self.first and not still:
                raise Seen(name)
        return out


def computes(claim: Claim, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the torch candidate of a claim computes on a floating tensor in its first case; stops when it does."""
    try:
        return work_of(claim, monkeypatch, cases=1, first=True).any
    except Seen:
        return True


def work_of(claim: Claim, monkeypatch: pytest.MonkeyPatch, *, cases: int | None = None, first: bool = False) -> Work:
    """Run the torch candidate of a claim on its first cases and record what it does with floating tensors.

    Raises: AssertionError if the candidate did not run to its end, because then nothing is known.
    """
    work = Work()
    own = Boundary.in_other_process

    def noticed(self: Boundary, *args: Any, **kwargs: Any) -> Any:
        work.elsewhere = True
        return own(self, *args, **kwargs)

    monkeypatch.setattr(Boundary, "in_other_process", noticed)
    job = Job(claim, seed=0, device="cpu", candidate="torch", candidate_folder=".")
    experiment = assemble(job)
    chosen = [experiment.make(spec) for spec in experiment.cases[:cases]]
    with Recorder(work, first=first):
        found = run_subject(experiment, experiment.candidate, chosen, "candidate")
    assert found["status"] == "ran", f"{claim.id}: {found['reason']}"
    return work
