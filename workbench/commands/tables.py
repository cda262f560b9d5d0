"""Tables on stdout: ruled and coloured in a terminal, plain columns in a pipe. Cells are text, never markup."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import typer


@dataclass(frozen=True, slots=True)
class Listing:
    """A titled table."""

    title: str
    headers: tuple[str, ...]
    """All of them empty: the table needs none."""
    rows: Sequence[tuple[str, ...]]
    left: int = 1
    """So many first columns hold words, the others numbers."""


def show(listings: Sequence[Listing]) -> None:
    """Print the listings, each below the other; cells are sanitised here."""
    from curation_db.text import display_text  # noqa: PLC0415

    for listing in listings:
        rows = [tuple(display_text(cell, limit=200) for cell in row) for row in listing.rows]
        clean = Listing(listing.title, listing.headers, rows, listing.left)
        if _is_terminal():
            _ruled(clean)
        else:
            typer.echo(_plain(clean))


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _plain(listing: Listing) -> str:
    table = [listing.headers, *listing.rows] if any(listing.headers) else list(listing.rows)
    widths = [max(len(row[i]) for row in table) for i in range(len(listing.headers))]
    lines = ["  ".join(_padded(cell, widths[i], i < listing.left) for i, cell in enumerate(row)) for row in table]
    return "\n".join([listing.title.upper(), *(line.rstrip() for line in lines), ""])


def _padded(cell: str, width: int, left: bool) -> str:
    return cell.ljust(width) if left else cell.rjust(width)


def _ruled(listing: Listing) -> None:
    # deferred: rich costs 60 ms that a pipe never needs
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=any(listing.headers))
    table.title, table.title_justify = Text(listing.title, style="bold"), "left"
    for i, header in enumerate(listing.headers):
        table.add_column(Text(header, style="dim"), justify="left" if i < listing.left else "right")
    for row in listing.rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
