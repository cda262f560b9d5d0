"""Reads `published.toml`: scores from the literature, with their source. Does not import torch.

Published rows are shown apart from measured rows, because they cannot be paired item by item.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation_db.stats.intervals import Interval, wilson

_FILE = Path(__file__).with_name("published.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    model: str
    arch: str
    task: str
    metric: str
    protocol: str
    correct: int
    n: int
    accuracy: Interval
    """correct / n with its 95 % Wilson interval, computed here."""
    source: str
    """Title and reference."""
    note: str
    """Remarks on the source and the task."""


def published_rows() -> tuple[PublishedRow, ...]:
    """Return all published scores, in the order of the file."""
    content = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return tuple(score for row in content["rows"] for score in _scores(row, content))


def _scores(row: Mapping[str, Any], content: Mapping[str, Any]) -> Iterator[PublishedRow]:
    source = content["sources"][row["source"]]
    for task, facts in content["tasks"].items():
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
