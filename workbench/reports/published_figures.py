"""Tables of published figures: by a paper, in reruns by others, and measured here, in columns of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import zip_longest
from pathlib import PurePath
from typing import Any

from benchmarks.analysis.comparison import ComparisonRow, Report, is_named
from benchmarks.analysis.published import Miss, PublishedRow, miss_of, misses
from curation_db.stats.intervals import Interval
from workbench.console.number_format import percent, span
from workbench.console.tables import Listing

MEASURED_HERE = "measured here"


def published_listings(report: Report) -> list[Listing]:
    """Return the table of figures, the checkpoints that miss the figure of their paper, and the sources."""
    numbers = {source: str(at) for at, source in enumerate(dict.fromkeys(row.source for row in report.published), 1)}
    texts = [(numbers[row.source], text) for row in report.published for text in (row.source, *row.note.split("; "))]
    sources = [row for row in dict.fromkeys(texts) if row[1]]
    return [
        _figures(report, numbers),
        _misses(all_misses(report), numbers),
        Listing("Sources of the published figures", ("", ""), sources, left=2),
    ]


def all_misses(report: Report) -> list[Miss]:
    """Return the reruns, and results measured here, of a paper's own checkpoint that are below the paper's figure."""
    here = [
        miss_of(row, measured, MEASURED_HERE)
        for row in report.published
        if row.own and (measured := measured_figure(row, report)) and measured.estimate < row.accuracy.estimate
    ]
    return misses(report.published) + here


def misses_json(report: Report) -> list[dict[str, Any]]:
    """Return the misses as JSON types."""
    return [asdict(each) | {"items": each.items} for each in all_misses(report)]


def measured_figure(row: PublishedRow, report: Report) -> Interval | None:
    """Return what is measured here with the same weights, metric and protocol; None if nothing is."""
    for each in report.rows:
        if (each.task, each.protocol) == (row.task, row.protocol) and _has_weights(each, row):
            if each.metric == row.metric:
                return each.accuracy
            return next((share.accuracy for share in each.others if share.name == row.metric), None)
    return None


def _has_weights(measured: ComparisonRow, row: PublishedRow) -> bool:
    return any(is_named(PurePath(measured.model).name, name) for name in row.names)


def _figures(report: Report, numbers: dict[str, str]) -> Listing:
    groups: dict[tuple[str, str, str, str], list[PublishedRow]] = {}
    for row in report.published:
        groups.setdefault((row.task, row.about, row.model, row.arch), []).append(row)
    ordered = sorted(groups.items(), key=lambda group: group[0][:2])  # stable: models stay in the order of the file
    lines = [line for _, rows in ordered for line in _lines(rows, report, numbers)]
    headers: tuple[str, ...] = ("task", "model", "arch", "n", "published", "95 %", "rerun", "95 %", "measured", "95 %")
    dispensable = [(9, "the interval of measured"), (7, "the interval of rerun"), (5, "the interval of published")]
    if not any(line[8] for line in lines):
        headers, dispensable = headers[:8], dispensable[1:]
        lines = [(*line[:8], line[10]) for line in lines]
    title = "Published by others, in percent, not paired with the results here"
    return Listing(title, (*headers, "source"), lines, left=3, dispensable=dispensable, grouped=True)


def _lines(rows: Sequence[PublishedRow], report: Report, numbers: dict[str, str]) -> list[tuple[str, ...]]:
    """Return the lines of one model: each has at most one published figure and one rerun."""
    first = rows[0]
    name = f"{first.task} ({first.about})" if first.about else first.task
    kinds = ([row for row in rows if row.kind == kind] for kind in ("published", "rerun"))
    lines = []
    for at, pair in enumerate(zip_longest(*kinds)):
        measured = measured_figure(first, report) if at == 0 else None
        figures = [None if row is None else row.accuracy for row in pair] + [measured]
        cells = [cell for figure in figures for cell in _cells(figure)]
        source = ", ".join(numbers[row.source] for row in pair if row is not None)
        lines.append((name, first.model, first.arch, f"{first.n:,}", *cells, source))
    return lines


def _cells(figure: Interval | None) -> tuple[str, str]:
    return ("", "") if figure is None else (percent(figure.estimate), span(figure))


def _misses(found: Sequence[Miss], numbers: Mapping[str, str]) -> Listing:
    cells = [
        (
            *(each.task, each.model, each.arch, _by(each, numbers), f"{each.n:,}"),
            *(percent(each.published.estimate), percent(each.reached.estimate), f"-{each.items:,}"),
        )
        for each in found
    ]
    headers = ("task", "model", "arch", "reached by", "n", "paper %", "reached %", "items")
    return Listing("Where a paper's own checkpoint misses its figure", headers, cells, left=4, grouped=True)


def _by(miss: Miss, numbers: Mapping[str, str]) -> str:
    return f"rerun, source {numbers[miss.by]}" if miss.by in numbers else miss.by
