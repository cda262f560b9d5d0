"""The help of every command fits into 80 columns, and long examples keep their words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from rich.cells import cell_len
from typer.main import get_command
from typer.testing import CliRunner

from workbench.cli import app
from workbench.console.help_examples import fit_examples


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each command's path and the text after its options."""
    yield path, command.epilog or ""
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, (*path, name))


def words(text: str) -> list[str]:
    return text.replace("\b", "").replace("\\\n", "").split()


def is_command(line: str) -> bool:
    return line.strip().startswith("negwb ")


def test_the_help_of_every_command_fits_into_80_columns() -> None:
    checked = 0
    for path, epilog in commands(get_command(app)):
        done = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80"})
        assert done.exit_code == 0
        assert [line for line in done.stdout.splitlines() if cell_len(line) > 80] == [], path
        expected = words(epilog)
        assert not expected or words(done.stdout)[-len(expected) :] == expected, path
        for line in filter(is_command, epilog.splitlines()):
            begin = re.split(" {2,}", line.strip())[0].split()[:3]
            assert any(each.split()[: len(begin)] == begin for each in done.stdout.splitlines()), (path, line)
        checked += 1
    assert checked > 30


@pytest.mark.parametrize(
    ("line", "fitted"),
    [
        ("  negwb a     short", ["  negwb a     short"]),
        (
            "  negwb a     an explanation that continues in its column",
            ["  negwb a     an explanation that continues in", "              its column"],
        ),
        (
            "  negwb a-very-long-command --option 1   explained below it",
            ["  negwb a-very-long-command --option 1", "        explained below it"],
        ),
        (
            "  negwb a-command 'one two' --first 1 --second 2 --third 3",
            ["  negwb a-command 'one two' --first 1 \\", "        --second 2 --third 3"],
        ),
        (
            "A sentence that is too long and continues on\na second line here. And another one.",
            ["A sentence that is too long and continues on", "a second line here. And another one."],
        ),
        (
            "  negwb a     an explanation that continues\n              on a second line",
            ["  negwb a     an explanation that continues", "              on a second line"],
        ),
        (
            "  negwb a     an explanation that continues in its\n              column",
            ["  negwb a     an explanation that continues in", "              its column"],
        ),
        ("  [engines.a]\n  kind = 1", ["  [engines.a]", "  kind = 1"]),
    ],
)
def test_long_lines_continue(line: str, fitted: list[str]) -> None:
    assert fit_examples(f"\b\n{line}\n\nText that click wraps by itself, however long it may be.", 46) == "\n".join(
        ["\b", *fitted, "", "Text that click wraps by itself, however long it may be."]
    )
