"""Known-wrong readers of evidence: a verify that overlooks, and a gate that asks too little."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.contract.text.reader import load_yaml
from harness.evidence import manifest, merge, reconcile, store, summary, tree, verify
from harness.evidence.release import ruling
from harness.evidence.release.differences import Differences
from harness.falsifiers.itself.mutants.patching import patched
from harness.judging.verdict import ORDER, Verdict
from harness.mutant import mutant, replace


@mutant
def links_are_followed(baseline: Any) -> Any:
    """A link counts as the file that it leads to. Synthetic: `is_file` and `open` follow links, and nobody is asked."""
    right = tree.faults

    def faults(run: Path) -> list[str]:
        return [fault for fault in right(run) if ": a link" not in fault]

    return patched(baseline, "verify_run", tree, faults=faults)


@mutant
def strange_entries_are_ignored(baseline: Any) -> Any:
    """Only what the manifest names is looked at. Synthetic: a loop over a list does not see what is not in the list."""
    return patched(baseline, "verify_run", tree, faults=lambda run: [])


@mutant
def digests_are_not_compared(baseline: Any) -> Any:
    """No file is hashed again. Synthetic: a manifest that is there is taken for a manifest that holds."""
    return patched(baseline, "verify_run", manifest, check=lambda folder: [])


@mutant
def verdicts_are_believed(baseline: Any) -> Any:
    """Verdicts are not judged again from the rows. Synthetic: a sealed file is taken for a true one."""
    return patched(baseline, "verify_run", verify, _judge_again=lambda claim, folder: [])


@mutant
def parts_are_not_reconciled(baseline: Any) -> Any:
    """Each file is checked by itself. Synthetic: a schema for each file looks like a check of the whole."""
    return patched(baseline, "verify_run", reconcile, faults=lambda run, body: [])


@mutant
def cases_are_not_drawn_again(baseline: Any) -> Any:
    """Which cases ran is believed. Synthetic: the cases in the record are all that a reader of the record has."""
    return patched(baseline, "verify_run", reconcile, redraws=lambda body: False)


@mutant
def mutants_are_not_counted(baseline: Any) -> Any:
    """The record's mutants are taken for the contract's. Synthetic: no contract is at hand where one judges."""
    return patched(baseline, "verify_run", reconcile, _mutants=lambda where, claim, record: [])


@mutant
def totals_are_believed(baseline: Any) -> Any:
    """ship-% and counts are read and not computed, written by hand or not. Synthetic: they are there already."""
    return patched(baseline, "verify_run", summary, recomputed=lambda folder, body: body)


@mutant
def last_key_wins(baseline: Any) -> Any:
    """JSON is read as Python reads it: of two equal keys the last counts. Synthetic: `json.loads` does not tell."""
    return patched(baseline, "verify_run", store, _once=dict)


@mutant
def refuses_everything(baseline: Any) -> Any:
    """Every run has a fault. Synthetic: a check that is always red passes every test of what it has to refuse."""
    return replace(baseline, verify_run=lambda run: [*baseline.verify_run(run), f"{run}: cannot be judged again"])


@mutant
def says_that_something_is_wrong(baseline: Any) -> Any:
    """One line for every fault. Synthetic: a caught exception and a general message are the usual way out."""
    return replace(baseline, verify_run=lambda run: ["cannot be judged again"] if baseline.verify_run(run) else [])


def _unasked(baseline: Any, name: str) -> Any:
    """A gate that does not ask for one of the ways in which a run may differ from what is at hand."""
    return patched(baseline, "gate_run", Differences, **{name: lambda self, *then: None})


@mutant
def candidate_is_not_asked(baseline: Any) -> Any:
    """Evidence of any candidate opens the gate. Synthetic: the candidate stands in run.json, and there it stays."""
    return _unasked(baseline, "candidate")


@mutant
def files_that_were_read_are_not_asked(baseline: Any) -> Any:
    """Only code is compared, no table that a claim read. Synthetic: data is rarely under version control."""
    return _unasked(baseline, "files_read")


@mutant
def contracts_are_not_asked(baseline: Any) -> Any:
    """A claim's name is taken for the claim. Synthetic: an easier limit under an old id looks the same in a list."""
    return _unasked(baseline, "contract")


@mutant
def code_is_not_asked(baseline: Any) -> Any:
    """Evidence of any engine counts. Synthetic: a judge that was edited for one run leaves the same words."""
    return _unasked(baseline, "code")


@mutant
def versions_are_not_asked(baseline: Any) -> Any:
    """Any version of NumPy will do. Synthetic: versions are printed in a header that is seldom read."""
    return _unasked(baseline, "versions")


@mutant
def weights_are_not_asked(baseline: Any) -> Any:
    """Any weights will do. Synthetic: a folder has the same name after its files were exchanged."""
    return _unasked(baseline, "weights")


@mutant
def ship_yaml_of_the_evidence(baseline: Any) -> Any:
    """What has to hold is read from the evidence. Synthetic: the copy lies beside the run, and its maker decides it."""

    def merged(runs: merge.Runs, held: Any) -> Any:
        return merge.merge(runs, load_yaml(runs[0][0] / "ship.yaml")[0])

    return patched(baseline, "gate_run", ruling, merge=merged)


@mutant
def green_wins(baseline: Any) -> Any:
    """Of two runs the better one counts. Synthetic: a flaky test that is run again until it passes."""

    def better(a: Any, b: Any) -> Any:
        return max((a, b), key=lambda row: ORDER.index(Verdict(row["verdict"])))

    return patched(baseline, "gate_run", merge, _stronger=better)


@mutant
def newest_by_name(baseline: Any) -> Any:
    """Of the runs in a folder the last name counts. Synthetic: a run's name begins with its date, so names sort."""
    return patched(baseline, "gate_run", store, began=lambda run: run.name)


@mutant
def never_opens(baseline: Any) -> Any:
    """The gate is closed on everything. Synthetic: a gate that never opens passes every test of what it has to stop."""
    return replace(baseline, gate_run=lambda *asked: (3, baseline.gate_run(*asked)[1]))


@mutant
def says_closed_alone(baseline: Any) -> Any:
    """An exit code without a reason. Synthetic: a pipeline reads nothing else, the person behind it has to guess."""
    return replace(baseline, gate_run=lambda *asked: (baseline.gate_run(*asked)[0], []))
