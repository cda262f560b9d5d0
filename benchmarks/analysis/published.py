"""Reads `published.toml`: figures from the literature, with their source. Does not import torch.

Published rows are shown apart from measured rows, because they cannot be paired item by item.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from curation_db.stats.intervals import Interval, wilson

_FILE = Path(__file__).with_name("published.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    kind: Literal["published", "rerun"]
    """published: by the authors of a paper; rerun: by others, with the released weights."""
    model: str
    arch: str
    names: tuple[str, ...]
    """Names of these weights in results, without a folder."""
    task: str
    about: str
    """The items of the figure, if it is not over all items of the task."""
    metric: str
    """The metric of a result with the same meaning; "" if results have none."""
    protocol: str
    correct: int | None
    """None: the source has a percentage only."""
    n: int
    accuracy: Interval
    """correct / n, or the published share, with its 95 % Wilson interval, computed here."""
    own: bool
    """Whether the paper presents this model."""
    source: str
    """Title and reference."""
    note: str
    """Remarks on the source and the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """A released checkpoint that others could not bring to the figure of its paper."""

    task: str
    model: str
    arch: str
    n: int
    published: Interval
    reached: Interval
    by: str
    """Source of the rerun."""

    @property
    def items(self) -> int:
        """Items by which the figure is missed."""
        return round((self.published.estimate - self.reached.estimate) * self.n)


def published_rows() -> tuple[PublishedRow, ...]:
    """Return all published scores, in the order of the file."""
    return _read()


@cache
def _read() -> tuple[PublishedRow, ...]:
    content = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    names = {(each["model"], each["arch"]): tuple(each["names"]) for each in content["models"]}
    return tuple(score for row in content["rows"] for score in _scores(row, content, names))


def _scores(
    row: Mapping[str, Any], content: Mapping[str, Any], names: Mapping[tuple[str, str], tuple[str, ...]]
) -> Iterator[PublishedRow]:
    source = content["sources"][row["source"]]
    for name, facts in content["tasks"].items():
        if name in row:
            value, n = row[name], facts["n"]
            yield PublishedRow(
                kind=source["kind"],
                model=row["model"],
                arch=row["arch"],
                names=names.get((row["model"], row["arch"]), ()),
                task=facts.get("task", name),
                about=facts.get("about", ""),
                metric=facts["metric"],
                protocol=facts["protocol"],
                correct=value if isinstance(value, int) else None,
                n=n,
                accuracy=wilson(value, n) if isinstance(value, int) else _near(value / 100, n),
                own=source.get("own") == row["model"],
                source=f"{source['title']}, {source['reference']}",
                note="; ".join(filter(None, [source["note"], facts["note"]])),
            )


def _near(share: float, n: int) -> Interval:
    """Return a rounded share with the interval of the nearest count."""
    near = wilson(round(share * n), n)
    return Interval(share, near.low, near.high)


def misses(rows: Iterable[PublishedRow]) -> list[Miss]:
    """Return the reruns of a paper's own model that are below the paper's figure, on the same items."""
    every = list(rows)
    own = {_figure(row): row for row in every if row.own}
    found = []
    for row in every:
        paper = own.get(_figure(row))
        if row.kind == "rerun" and paper is not None and row.accuracy.estimate < paper.accuracy.estimate:
            found.append(miss_of(paper, row.accuracy, row.source))
    return found


def miss_of(paper: PublishedRow, reached: Interval, by: str) -> Miss:
    """Return by how much `reached` misses the figure of a paper."""
    return Miss(
        task=paper.task,
        model=paper.model,
        arch=paper.arch,
        n=paper.n,
        published=paper.accuracy,
        reached=reached,
        by=by,
    )


def _figure(row: PublishedRow) -> tuple[str, str, str, str]:
    return row.task, row.about, row.model, row.arch
