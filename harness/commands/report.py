"""`harness report`: Markdown, JUnit and SARIF over one or several runs; never written into a sealed run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import evidence, manifest, ship
from harness.commands import verify
from harness.errors import UserError
from harness.merge import merge, plan
from harness.narrative import story
from harness.report import junit, sarif
from harness.verdict import Verdict


def run(paths: list[str], *, out: str) -> int:
    """Write `report.md`, `junit.xml` and `harness.sarif` below `out` and print their paths.

    Raises: UserError if a run does not verify, or if `out` lies inside a sealed run.
    """
    folders = [evidence.sealed(Path(path)) for path in paths]
    for folder in folders:
        faults = verify.check(folder)
        if faults:
            raise UserError(
                f"{faults[0]} (and {len(faults) - 1} more); a report is made of verified evidence only", code=1
            )
    target = Path(out).resolve()
    if inside := manifest.enclosing(target):
        raise UserError(f"--out {out}: lies inside the sealed run {inside}; give a folder outside it")
    runs = [(folder, evidence.read_json(folder / "run.json")) for folder in folders]
    merged = merge(runs, plan(folders))
    target.mkdir(parents=True, exist_ok=True)
    pages = {
        "report.md": markdown(merged, runs).encode(),
        "junit.xml": junit.document(merged, runs),
        "harness.sarif": sarif.document(merged, runs).encode(),
    }
    for name, page in pages.items():
        (target / name).write_bytes(page)
        print(target / name)
    return 0


def markdown(merged: Mapping[str, Any], runs: list[tuple[Path, dict[str, Any]]]) -> str:
    """The page: what cannot ship and why first, then every claim and mutant."""
    parts = ["# Harness report", _runs(runs), "## Targets", _targets(merged["targets"])]
    red = [row for row in merged["claims"] if Verdict(row["verdict"]).red]
    if red:
        parts += ["## Red", *(_red(row, runs) for row in red)]
    parts += ["## Claims", _claims(merged["claims"]), "## Open work", _open(merged["targets"])]
    return "\n\n".join(parts) + "\n"


def _runs(runs: list[tuple[Path, dict[str, Any]]]) -> str:
    lines = ["| run | candidate | device | seed | claims |", "|---|---|---|---|---|"]
    for _, body in runs:
        counts = ", ".join(f"{n} {verdict}" for verdict, n in body["counts"].items())
        lines.append(f"| {body['id']} | {body['candidate']['spec']} | {body['device']} | {body['seed']} | {counts} |")
    return "\n".join(lines)


def _targets(targets: list[Mapping[str, Any]]) -> str:
    lines = ["| target | ship-% |", "|---|---|"]
    lines += [f"| {target['id']} | {ship.line(target)} |" for target in targets]
    return "\n".join(lines)


def _claims(rows: list[Mapping[str, Any]]) -> str:
    lines = ["| claim | verdict | why | mutants killed |", "|---|---|---|---|"]
    for row in rows:
        killed = sum(m["killed"] for m in row["mutants"])
        lines.append(f"| {row['id']} | {row['verdict']} | {row['reason']} | {killed} of {len(row['mutants'])} |")
    return "\n".join(lines)


def _red(row: Mapping[str, Any], runs: list[tuple[Path, dict[str, Any]]]) -> str:
    for folder, _ in runs:
        path = folder / "claims" / row["id"] / "result.json"
        if path.is_file() and Verdict(evidence.read_json(path)["verdict"]).red:
            return (
                "```\n" + "\n".join(story(row["id"], row["contract"], evidence.read_json(path), str(folder))) + "\n```"
            )
    return f"{row['id']}: {row['reason']}"


def _open(targets: list[Mapping[str, Any]]) -> str:
    """Criteria short of full credit, ranked by ship-% to gain per hour of effort."""
    rows = []
    for target in targets:
        total = sum(c["weight"] for c in target["criteria"])
        for criterion in target["criteria"]:
            gain = 100 * criterion["weight"] * (1 - criterion["credit"]) / total
            if gain > 0:
                rows.append((gain / max(criterion["effort_hours"], 0.5), gain, target["id"], criterion))
    rows.sort(key=lambda row: (-row[0], row[2], row[3]["id"]))
    lines = ["| criterion | target | ship-% to gain | hours | open |", "|---|---|---|---|---|"]
    for _, gain, name, c in rows:
        what = "; ".join(c["open"]) or f"{c['verdict'].lower()} claims: {', '.join(c['claims'])}"
        lines.append(f"| {c['id']} {c['title']} | {name} | {gain:.1f} | {c['effort_hours']:g} | {what} |")
    return "\n".join(lines)
