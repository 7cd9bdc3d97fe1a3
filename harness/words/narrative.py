"""Describe the outcome of one claim: the claim, the measurements, their meaning, and the next step."""

from __future__ import annotations

from typing import Any

from harness.contract.claim import Claim
from harness.judging.limits import Group, Limit, parse
from harness.judging.record import CaseEntry
from harness.judging.result import Edit, Fate, Result, Search, Stages, Violation
from harness.platforms import named
from harness.words.glossary import MEANING
from harness.words.plain import code, line, prose

NEXT = {
    "ERROR": "Predict: once the cause in log.txt is mended, the claim reaches another verdict on the same seed.",
    "UNSOUND": "Predict: a limit above the baseline's value still kills every mutant; if not, the falsifier is wrong.",
    "VACUOUS": "Predict: a sharper domain or a tighter limit kills the mutant that the reason names.",
    "BLOCKED": "Mend the contract that the reason names; this claim then counts without being run again.",
    "UNVERIFIED": "Provide what the reason names, then run again; no prediction can be tested before that.",
    "STALE": "Run again.",
    "PARTIAL": "Predict: the same run on {where} survives as well, and the claim is DISCHARGED.",
    "DISCHARGED": "Predict: other seeds survive too (`--seed`); a seed that fails is a counterexample.",
}


def claim_page(claim: Claim, result: Result, stages: Stages | None) -> str:
    """Markdown for `claims/<claim-id>/README.md`."""
    verdict = result["verdict"]
    parts = [
        f"# {prose(claim.id)}: {verdict}",
        f"Contract {code(claim.contract)}, on {code(result['device'])}, {result['seconds']:.1f} s.",
        "## Claimed",
        prose(claim.rule) + (f"\n\nPredicted: {prose(claim.prediction)}" if claim.prediction else ""),
        "## Found",
        f"{prose(result['reason'])}.\n\n{_measured(result)}{_subjects(result)}{_beside(result)}",
        *(_failure(claim, result) if verdict == "FALSIFIED" else []),
        *(_stages(stages) if stages else []),
        *(_mutants(result["mutants"], parse(claim.accept)) if result["mutants"] else []),
        "## What it means",
        MEANING[verdict],
        "## Next falsifiable step",
        prose(next_step(claim, result)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def failure_lines(claim_id: str, contract: str, result: Result, where: str, options: str = "") -> list[str]:
    """Format a failure as a few lines, each without a line break; `options` are those that a replay needs."""
    found = result.get("counterexample")
    lines = [f"{result['verdict']} {claim_id} ({contract}){_place(result)}", f"  because   {result['reason']}"]
    if found:
        first = found["violated"][0]
        lines += [
            f"  expected  {first['limit']}",
            f"  found     {violation_text(first)}",
            f"  case      {case_text(found['case'])}" + ("" if found["reproducible"] else "  (not reproducible)"),
        ]
    search = result.get("search")
    if search and search["found"]:
        lines.append(f"  search    {search_text(search)}")
    beside = _unlimited(result)
    if beside:
        lines.append(f"  beside    {beside}")
    if result["first_divergent_stage"]:
        lines.append(f"  stage     {result['first_divergent_stage']}{_layout(result.get('transposed'))}")
    if result["if_fails"]:
        lines.append(f"  look      {result['if_fails']}")
    if found:
        lines.append(f"  again     harness replay {where}/claims/{claim_id}/counterexample.json{options}")
    return [line(each) for each in lines]


def _place(result: Result) -> str:
    """`: stage layers.0.attn`, or what the falsifier named beside a number (`: not_followed, eps: 1 to 2`), or ''."""
    if result["first_divergent_stage"]:
        return f": stage {result['first_divergent_stage']}"
    candidate = result["record"]["subjects"].get("candidate")
    first = next(iter(result.get("counterexample", result).get("violated", [])), None)
    if candidate is None or first is None or not first["pair"]:
        return ""
    named = any((row["name"], row.get("pair")) == (first["measure"], first["pair"]) for row in candidate["scalars"])
    return f": {first['measure']}, {_cut(first['pair'])}" if named else ""


def _layout(names: list[str] | None) -> str:
    """Say that the bad stage is right for a square tensor in the other layout, which its shape cannot tell."""
    return f"; its values are those of {' or '.join(names)} transposed" if names else ""


def _cut(text: str, most: int = 100) -> str:
    return text if len(text) <= most else f"{text[:most]} ..."


def violation_text(violated: Violation) -> str:
    """Format the place where a limit was violated, with the candidate's and the reference's value."""
    if violated["at"] is None:
        about = f", `{violated['pair']}`" if violated["pair"] else ""
        return f"{violated['measure']} = {violated['value']}{about}"
    index = ", ".join(str(i) for i in violated["at"])
    value = "" if violated["value"] == "nan" else f" ({violated['measure']} = {_number(violated['value'])})"
    violation_text = f"[{index}]" if index else ""
    return f"{violated['pair']}{violation_text} = {violated['got']}, reference {violated['want']}{value}"


def case_text(case: CaseEntry) -> str:
    """Format a case's parameters, dtype and seed."""
    params = ", ".join(f"{k}={v}" for k, v in {**case["params"], "dtype": case["dtype"]}.items())
    return f"{params}, seed={case['seed']}"


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _measured(result: Result) -> str:
    if not result["measurements"]:
        return ""
    dtypes = sorted({d for by in result["measurements"].values() for d in by})
    lines = ["| measurement | " + " | ".join(map(prose, dtypes)) + " |", "|---|" + "---|" * len(dtypes)]
    for name, by in result["measurements"].items():
        lines.append(f"| {prose(name)} | " + " | ".join(prose(_number(by.get(d, ""))) for d in dtypes) + " |")
    return "\n".join(lines)


def _subjects(result: Result) -> str:
    count = len(result["record"]["cases"]) - len(result["record"].get("searched", []))
    if not count:
        return ""
    searched = search_text(result.get("search"))
    return f"\n\n{count} case{'s' if count != 1 else ''}, the same for every subject." + (
        f" {prose(searched)}" if searched else ""
    )


def search_text(search: Search | None) -> str:
    """One line on what the search tried; empty if nothing was searched."""
    if search is None:
        return ""
    if search["ended"] == "stopped":
        return "The search for further cases was stopped before its end; the verdict is that of the fixed cases."
    text = f"Searched {search['cases']} further case{'s' if search['cases'] != 1 else ''}, without the mutants"
    worst = search["worst"]
    if worst and worst["limit"]:
        text += f"; the closest to a limit reached {worst['margin']:.2g} of {worst['limit']}"
    if search["unconfirmed"]:
        text += f"; {search['unconfirmed']} broke a limit by no more than luck or round-off explains"
    if search["raised"]:
        text += f"; the candidate raised {search['raised']}"
    if search["found"]:
        edits = "; ".join(edit_text(edit) for edit in search["found"]["edits"])
        text += ". The last one breaks a limit" + (f", with changed values: {edits}" if edits else "")
    return text + "."


def edit_text(edit: Edit) -> str:
    """Format one change of an array."""
    where = "every row" if edit["row"] == -1 else f"row {edit['row']}"
    return f"`{edit['array']}`, {where}: {edit['kind']} {edit['by']:g}"


def _unlimited(result: Result) -> str:
    """Format the candidate's measurements that no limit uses, such as tried predictions or the rates of a ratio."""
    candidate = result["record"]["subjects"].get("candidate")
    values: dict[str, list[str]] = {}
    for row in candidate["scalars"] if candidate else []:
        if row["name"] not in result["measurements"]:
            values.setdefault(row["name"], []).append(_number(row["value"]))
    return ", ".join(f"{name} {' '.join(found[:4])}{' ...' * (len(found) > 4)}" for name, found in values.items())


def _beside(result: Result) -> str:
    found = _unlimited(result)
    return f"\n\nMeasured beside the limits, case by case: {prose(found)}." if found else ""


def _failure(claim: Claim, result: Result) -> list[str]:
    found = result.get("counterexample")
    if found is None:
        return ["## No counterexample", "The case could not be run again on its own; log.txt has the traceback."]
    lines = [f"- {prose(v['limit'])}: {prose(violation_text(v))}" for v in found["violated"]]
    again = "" if found["reproducible"] else "\n\nNot reproducible on its own: the failure depends on earlier calls."
    hint = f"\n\nIf it fails: {prose(claim.if_fails)}." if claim.if_fails else ""
    return [
        "## Smallest counterexample",
        f"{prose(case_text(found['case']))}\n\n" + "\n".join(lines) + again + hint,
        "Show it again: `harness replay counterexample.json --candidate C`, with the candidate's name.",
    ]


def _stages(stages: Stages) -> list[str]:
    if "unsupported" in stages:
        return ["## Stage", f"Not localised: {prose(stages['unsupported'])}."]
    bad = ", ".join(code(s) for s in stages["independently_bad"]) or "none"
    first = code(stages["first_divergent"]) if stages["first_divergent"] else "none"
    layout = prose(_layout(stages.get("transposed")))
    return ["## Stage", f"First divergent: {first}{layout}. Bad on their own (fed the reference's inputs): {bad}."]


def _mutants(mutants: list[Fate], limits: list[Limit | Group]) -> list[str]:
    lines = ["| mutant | killed by | margin | stays green |", "|---|---|---|---|"]
    for mutant in mutants:
        margin = "" if mutant["margin"] is None else f"{mutant['margin']:.3g}x" + (" (weak)" if mutant["weak"] else "")
        by = prose(mutant["by"]) if mutant["by"] else f"{_alive(mutant)} {prose(mutant['reason'])}"
        cells = (prose(mutant["name"]), by, margin, prose(_missed_by(mutant, limits)))
        lines.append("| " + " | ".join(cells) + " |")
    return ["## Known-wrong versions", "\n".join(lines)]


def _missed_by(mutant: Fate, limits: list[Limit | Group]) -> str:
    """Name the measurements whose limits all miss this mutant: a check of these alone would have passed it."""
    if mutant["status"] != "ran" or mutant["free"]:
        return ""  # a free mutant is made from the baseline's outputs, so measurements that it passes say nothing
    red = {_measure(limit) for limit in limits if limit.label in mutant["kills"]}
    # baseline_err limits the baseline alone, so it says nothing about a mutant.
    return ", ".join(name for name in dict.fromkeys(map(_measure, limits)) if name not in {*red, "baseline_err"})


def _measure(limit: Limit | Group) -> str:
    return limit.measure if isinstance(limit, Limit) else limit.label


def _alive(mutant: Fate) -> str:
    return {"inapplicable": "not applicable here:", "not_run": "not run:"}.get(mutant["status"], "**survived**")


def next_step(claim: Claim, result: Result) -> str:
    """The next falsifiable prediction that follows from the verdict."""
    verdict = result["verdict"]
    if verdict == "FALSIFIED":
        stage = result["first_divergent_stage"]
        where = f"mending stage `{stage}` alone" if stage else "mending the cause"
        return f"Predict: {where} makes the replayed case pass and leaves every mutant killed."
    return NEXT[verdict].format(where=named(claim.discharges_on, " or "))
