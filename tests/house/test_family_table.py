"""The README's table of families is the code's."""

from tests.house.family_table import BLOCK, README, table


def test_the_table_is_what_the_declarations_say() -> None:
    found = BLOCK.search(README.read_text(encoding="utf-8"))
    assert found is not None
    assert found[0] == table(), "python -m tests.house.family_table"
