"""Tables on stdout: ruled and coloured in a terminal, plain columns in a pipe. Cells are text, never markup.

Numbers are never cut or wrapped. In a narrow terminal whole columns are left out, which a line below the table names;
then long names are cut in the middle. A pipe gets all columns.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console

_GAP, _EDGES = 2, 2
"""Terminal cells between two columns, and at both edges, as rich draws them."""
_SHORTEST: Final = 8
"""Smallest width of a name that is cut."""


@dataclass(frozen=True, slots=True)
class Listing:
    title: str
    headers: tuple[str, ...]
    """If all are empty, the table has no header."""
    rows: Sequence[tuple[str, ...]]
    left: int = 1
    """Number of first columns with text; the others have numbers."""
    dispensable: Sequence[tuple[int, str]] = ()
    """(index, name) of the columns that a narrow terminal leaves out, in this order."""
    grouped: bool = False
    """Whether a terminal shows the first column as a line above the rows that share it."""
    about: str = ""
    """What the table is about, such as a path; it follows the title and is never in capitals."""

    @property
    def heading(self) -> str:
        """The title and what the table is about."""
        return f"{self.title}: {self.about}" if self.about else self.title


def show(listings: Sequence[Listing], *, console: Console | None = None) -> None:
    """Print tables; all texts are sanitised here.

    Args:
        console: Draws ruled tables, for tests; by default stdout does if it is a terminal.
    """
    for listing in listings:
        clean = _clean(listing)
        if console is not None or _is_terminal():
            _ruled(clean, console)
        else:
            typer.echo(_plain(clean))


def plain_text(listing: Listing) -> str:
    """Return a table as plain columns; all texts are sanitised."""
    return _plain(_clean(listing))


def _clean(listing: Listing) -> Listing:
    from curation_db.language.sanitize import display_text  # noqa: PLC0415

    def text(cell: str) -> str:
        return display_text(cell, limit=200)

    rows = [tuple(map(text, row)) for row in listing.rows]
    return replace(
        listing,
        title=text(listing.title),
        about=text(listing.about),
        headers=tuple(map(text, listing.headers)),
        rows=rows,
    )


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _plain(listing: Listing) -> str:
    table = [listing.headers, *listing.rows] if any(listing.headers) else list(listing.rows)
    widths = [max(len(row[i]) for row in table) for i in range(len(listing.headers))]
    lines = ["  ".join(_padded(cell, widths[i], i < listing.left) for i, cell in enumerate(row)) for row in table]
    return "\n".join([replace(listing, title=listing.title.upper()).heading, *(line.rstrip() for line in lines), ""])


def _padded(cell: str, width: int, left: bool) -> str:
    return cell.ljust(width) if left else cell.rjust(width)


def _ruled(listing: Listing, console: Console | None) -> None:
    # imported here: rich takes 60 ms, and a pipe does not need it
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.padding import Padding  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = console or Console()
    groups = [row[0] for row in listing.rows] if listing.grouped else []
    fitted, left_out = fit(_ungrouped(listing) if groups else listing, console.width)
    has_numbers = len(fitted.headers) > fitted.left
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_header=any(fitted.headers))
    for i, header in enumerate(fitted.headers):
        # text wraps only in a table without numbers
        justify: Literal["left", "right"] = "left" if i < fitted.left else "right"
        table.add_column(Text(header, style="dim"), justify=justify, no_wrap=has_numbers, overflow="fold")
    for at, row in enumerate(fitted.rows):
        if groups and (not at or groups[at] != groups[at - 1]):
            table.add_row(Text(groups[at], style="bold"))
        table.add_row(*(Text(cell) for cell in row))
    console.print(Text(fitted.heading, style="bold"), highlight=False)
    console.print(table)
    if left_out:
        note = Text(f"left out, the terminal is too narrow: {', '.join(left_out)}", style="dim")
        console.print(Padding(note, (0, 0, 1, 1)))


def _ungrouped(listing: Listing) -> Listing:
    """Return the table without its first column."""
    return replace(
        listing,
        headers=listing.headers[1:],
        rows=[row[1:] for row in listing.rows],
        left=listing.left - 1,
        dispensable=[(column - 1, name) for column, name in listing.dispensable],
    )


def fit(listing: Listing, width: int) -> tuple[Listing, list[str]]:
    """Fit a table into `width` cells; return it and the names of the columns that were left out.

    Columns are left out first, then the widest names are cut. A table without numbers stays, since its text wraps.
    """
    from rich.cells import cell_len  # noqa: PLC0415

    dropped: list[tuple[int, str]] = []
    columns = list(range(len(listing.headers)))
    if len(columns) <= listing.left:
        return listing, []
    table = [listing.headers, *listing.rows]
    widths = [max(cell_len(row[i]) for row in table) for i in columns]

    def excess() -> int:
        rest = [i for i in columns if i not in dict(dropped)]
        return sum(widths[i] for i in rest) + _GAP * (len(rest) - 1) + _EDGES - width

    while excess() > 0 and len(dropped) < len(listing.dispensable):
        dropped.append(listing.dispensable[len(dropped)])
    while excess() > 0:
        widest = max(range(listing.left), key=lambda i: widths[i])
        if widths[widest] <= _SHORTEST:
            break  # too narrow for any table
        widths[widest] -= 1
    rest = [i for i in columns if i not in dict(dropped)]
    headers, *rows = [
        tuple(middle_cut(row[i], widths[i]) if i < listing.left else row[i] for i in rest) for row in table
    ]
    return replace(listing, headers=headers, rows=rows), [name for _, name in dropped]


def middle_cut(text: str, width: int) -> str:
    """Cut the middle of a text that is longer than `width` cells."""
    from rich.cells import cell_len, set_cell_size  # noqa: PLC0415

    if cell_len(text) <= width:
        return text
    head = width // 2
    end = next(text[at:] for at in range(len(text) + 1) if cell_len(text[at:]) <= width - head - 1)
    return set_cell_size(text, head).rstrip() + "…" + end
