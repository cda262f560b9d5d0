"""The report as one HTML file without scripts or links: tables, charts as inline SVG, thumbnails as data URIs.

It has a light and a dark scheme.

All texts of the data are escaped. The palette is that of Okabe and Ito (2008), which colour-blind readers can tell
apart; each model also has a mark of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.analysis.comparison import ComparisonRow, Report
from curation_db.stats.intervals import Interval
from workbench.reports.benchmark_report import affirmed_figure, listings, report_lines, visible_cuts
from workbench.reports.html.charts import Bar, Point, bar_plot, mark, scatter_plot
from workbench.reports.html.flipped_items import FlippedItems
from workbench.reports.html.items import STYLE as ITEM_STYLE
from workbench.reports.html.items import flipped_section
from workbench.reports.html.page_parts import html_page, table_html, text_html
from workbench.reports.mask_scores import slice_mask_listing
from workbench.reports.retention import retention_plots

MOST_DRAWN = 12
"""Models in the charts; the tables have all."""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The models of the charts."""

    series: Mapping[str, int]
    """Number of each drawn model by its hash; it sets colour and mark."""
    names: Mapping[str, str]
    """By hash."""


def html_report(report: Report, flipped: FlippedItems | None = None) -> str:
    """Return the page. `report` has the slices of its rows; `flipped`: the items of one model to show."""
    drawn = _Drawn(_series(report, flipped.model_hash if flipped else None), _names(report))
    series = drawn.series
    tables = listings(report)
    sections = [_scatters(report, drawn), *(_task(rows, report, drawn) for rows in _drawn_tasks(report))]
    sections.append(_flipped(report, flipped))
    sections.append("<h2>Tables</h2>" + "".join(map(table_html, tables)))
    note = report.reference_note
    base = f"{note[0].upper()}{note[1:]}. " if note else f"Base model: {report.reference}. " if report.reference else ""
    legend = "".join(f"<li>{_key(number)}{text_html(drawn.names[model])}</li>" for model, number in series.items())
    models = len({row.model_hash for row in report.rows})
    left_out = (
        f" The charts show {len(series)} of {models} models; the tables have all." if models > len(series) else ""
    )
    problems = "".join(f"<p>Skipped: {text_html(problem)}</p>" for problem in report.problems)
    body = (
        f"<h1>Benchmark report</h1><p>{text_html(base)} Intervals are 95 %. Dashed lines show chance.{left_out}</p>"
        f'<ul class="legend">{legend}</ul>{problems}{"".join(sections)}'
    )
    return html_page("negwb report", body, style=ITEM_STYLE)


def _flipped(report: Report, flipped: FlippedItems | None) -> str:
    """Return the section of flipped items, or how to get one."""
    if flipped is not None:
        return flipped_section(flipped)
    if not any(row.base is not None for row in report.rows):
        return ""
    command = "negwb report --html FILE --flipped MODEL"
    return f"<h2>Flipped items</h2><p>Items that a model gained or lost, with images: <code>{command}</code></p>"


def _series(report: Report, chosen: str | None) -> dict[str, int]:
    """Return the number of each drawn model: the base first, then `chosen`, then the others in the report's order."""
    rows = sorted(report.rows, key=lambda row: (not row.is_reference, row.model_hash != chosen))
    hashes = [row.model_hash for row in rows]
    return {model: number for number, model in enumerate(list(dict.fromkeys(hashes))[:MOST_DRAWN])}


def _names(report: Report) -> dict[str, str]:
    """Return the name of each model by its hash."""
    return {row.model_hash: row.model for row in report.rows}


def _drawn_tasks(report: Report) -> list[list[ComparisonRow]]:
    """Return the main rows of each task: strict results, or official ones where strict was not run."""
    tasks: dict[tuple[str, str, str, str], list[ComparisonRow]] = {}
    for line in report_lines(report):
        row = line.main
        tasks.setdefault((row.task, row.version, row.dataset_sha256, row.protocol), []).append(row)
    return list(tasks.values())


def _scatters(report: Report, drawn: _Drawn) -> str:
    """Return one scatter per task with denied phrases whose affirmative twin was run."""
    parts = []
    for plot in retention_plots(report):
        points = [
            Point(drawn.names[row.model_hash], affirmed.accuracy, row.accuracy, drawn.series[row.model_hash])
            for row, affirmed in plot.points
            if row.model_hash in drawn.series
        ]
        if points:
            x_name = f"{plot.affirmed_task} (affirmed)"
            chart = scatter_plot(
                points,
                title=plot.title,
                x_name=x_name,
                y_name=f"{plot.negated_task} (negated)",
                columns=("affirmed %", "negated %"),
            )
            parts.append(f'<h3>{text_html(plot.title)}</h3><div class="card">{chart}</div>')
    if not parts:
        return ""
    about = (
        "Right: affirmative phrases are retained. Top: negated phrases are understood. Lines are the intervals of both."
    )
    return f"<h2>Gain and retention</h2><p>{about}</p>{''.join(parts)}"


def _task(rows: Sequence[ComparisonRow], report: Report, drawn: _Drawn) -> str:
    first = rows[0]
    shown = [row for row in rows if row.model_hash in drawn.series]
    title = f"{first.task}, {first.protocol}, {first.metric.replace('_', ' ')}, n = {first.n:,}"
    bars = [_bar(row, row.accuracy, drawn, _affirmed(row, report)) for row in shown]
    chart = bar_plot(bars, title=title, chance=first.chance)
    cuts = "".join(_cut(shown, cut, report, drawn) for cut in visible_cuts(shown))
    slices = f"<details><summary>Slices</summary>{cuts}</details>" if cuts else ""
    return f'<h2>{text_html(title)}</h2><div class="card">{chart}</div>{slices}'


def _cut(rows: Sequence[ComparisonRow], cut: str, report: Report, drawn: _Drawn) -> str:
    """Return the bars of one cut: the models side by side for each value. IoU scores follow in a table."""
    parts = [(row, part) for row in rows for part in row.slices if part.cut == cut]
    values = dict.fromkeys(part.value for _, part in parts)
    charts: list[str] = []
    if len(values) < 2:
        return ""  # the chart of all items shows the same
    for value in values:
        bars = [
            _bar(row, part.accuracy, drawn, _affirmed(row, report, " (all)"))
            for row, part in parts
            if part.value == value
        ]
        n = next(part.n for _, part in parts if part.value == value)
        title = f"{cut}: {value} (n = {n:,})"
        charts.append(f"<h3>{text_html(title)}</h3>{bar_plot(bars, title=title, chance=rows[0].chance)}")
    masks = slice_mask_listing(rows, cut)
    return f'<div class="card">{"".join(charts)}</div>{table_html(masks) if masks.rows else ""}'


def _bar(row: ComparisonRow, accuracy: Interval, drawn: _Drawn, note: str) -> Bar:
    return Bar(drawn.names[row.model_hash], accuracy, drawn.series[row.model_hash], note)


def _affirmed(row: ComparisonRow, report: Report, of: str = "") -> str:
    """Return the affirmative accuracy that stands beside a negated one."""
    return f"affirmed{of} {affirmed_figure(row, report.twin_of(row))}" if row.denied else ""


def _key(number: int) -> str:
    return f'<svg width="16" height="16" viewBox="-8 -8 16 16" aria-hidden="true">{mark(number)}</svg>'
