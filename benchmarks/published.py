"""Reads `published.toml`: what others reported, with its source. Torch-free.

These rows are never mixed with measured ones: nobody can pair them item by item.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation_db.stats.intervals import Interval, wilson

FILE = Path(__file__).with_name("published.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """One reported figure."""

    model: str
    arch: str
    task: str
    metric: str
    protocol: str
    correct: int
    n: int
    accuracy: Interval
    """correct / n with its 95 % Wilson interval, which the source does not give."""
    source: str
    """Title and reference."""
    note: str
    """What to know before comparing: of the source and of the task."""


def published_rows(path: Path = FILE) -> tuple[PublishedRow, ...]:
    """All rows, a figure each, in the file's order."""
    told = tomllib.loads(path.read_text(encoding="utf-8"))
    return tuple(figure for row in told["rows"] for figure in _figures(row, told))


def _figures(row: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[PublishedRow]:
    source = told["sources"][row["source"]]
    for task, facts in told["tasks"].items():
        if task in row:
            yield PublishedRow(
                model=row["model"],
                arch=row["arch"],
                task=task,
                metric=facts["metric"],
                protocol=facts["protocol"],
                correct=row[task],
                n=facts["n"],
                accuracy=wilson(row[task], facts["n"]),
                source=f"{source['title']}, {source['reference']}",
                note=f"{source['note']}; {facts['note']}",
            )
