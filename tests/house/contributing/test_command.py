"""CONTRIBUTING's steps for a command, carried out on a scratch copy."""

from __future__ import annotations

from pathlib import Path

from tests.support.scratch import edited, harness_in, scratch_copy, section

COMMAND = '''"""`harness count PATH...`: how many claims the contracts hold."""

from __future__ import annotations

import argparse

NAME = "count"
HELP = "how many claims the contracts hold"


def arguments(parser: argparse.ArgumentParser) -> None:
    """PATH..."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="contracts")


def run(args: argparse.Namespace) -> int:
    """Print the number; 2 if a contract has a mistake."""
    from harness.contract.validate import check

    checked = check(args.paths)
    print(checked.claims)
    return 2 if checked.errors else 0
'''


def test_a_command_is_one_file_and_its_name_in_main(tmp_path: Path) -> None:
    steps = section("A command")
    assert "`harness/commands/<name>.py`" in steps
    assert "`harness/commands/main.py`" in steps
    here = scratch_copy(tmp_path)
    before = harness_in(here, "count", "contracts")
    assert before.returncode == 2
    assert "count: no such command" in before.stderr
    (here / "harness" / "commands" / "count.py").write_text(COMMAND, encoding="utf-8")
    main = here / "harness" / "commands" / "main.py"
    edited(
        main, "    completion,\n    explain,\n    export,\n", "    completion,\n    count,\n    explain,\n    export,\n"
    )
    edited(main, "    completion,\n    init,\n)", "    completion,\n    count,\n    init,\n)")
    done = harness_in(here, "count", "contracts/ops")
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 50
    assert "how many claims the contracts hold" in harness_in(here, "--help").stdout
    missing = harness_in(here, "count")
    assert missing.returncode == 2
    assert missing.stderr.startswith("harness: the following arguments are required: PATH")
