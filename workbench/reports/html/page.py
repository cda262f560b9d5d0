"""The report as one HTML file without scripts or links: tables, charts as inline SVG, thumbnails as data URIs.

It has a light and a dark scheme.

All texts of the data are escaped. The palette is that of Okabe and Ito (2008), which colour-blind readers can tell
apart; each model also has a mark of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.analysis.comparison import ComparisonRow, Report
from curation_db.language.sanitize import display_text
from curation_db.stats.intervals import Interval
from workbench.console.tables import Listing
from workbench.reports.benchmark_report import affirmed_figure, listings, report_lines, visible_cuts
from workbench.reports.html.charts import Bar, Point, bar_plot, mark, scatter_plot
from workbench.reports.html.flipped_items import FlippedItems
from workbench.reports.html.items import STYLE as ITEM_STYLE
from workbench.reports.html.items import flipped_section
from workbench.reports.retention import retention_plots

MOST_DRAWN = 12
"""Models in the charts; the tables have all."""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root{color-scheme:light dark;--bg:#fdfdfb;--fg:#1d2126;--quiet:#626a73;--line:#dfe2e5;--card:#fff;--well:#eef0f2;
--c0:#000000;--c1:#0072b2;--c2:#d55e00;--c3:#009e73;--c4:#cc79a7;--c5:#e69f00;--c6:#56b4e9;--c7:#b8ab00}
@media (prefers-color-scheme: dark){:root{--bg:#14171b;--fg:#e6e8ea;--quiet:#9aa3ad;--line:#31373e;--card:#1b1f24;
--well:#101317;
--c0:#e6e8ea;--c1:#4aa3df;--c2:#f07f2e;--c3:#1fc498;--c4:#e29cc3;--c5:#e69f00;--c6:#8acdf3;--c7:#f0e442}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1080px;padding:32px 24px 64px;background:var(--bg);color:var(--fg);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:26px;margin:0 0 4px}h2{font-size:18px;margin:40px 0 12px}h3{font-size:15px;margin:24px 0 8px}
p{color:var(--quiet);margin:4px 0 12px;max-width:76ch}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px;margin:12px 0;
overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13px;width:100%}
th,td{padding:5px 10px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th{color:var(--quiet);font-weight:500}.t{text-align:left}.w td{white-space:normal}
tr:last-child td{border-bottom:0}
summary{cursor:pointer;color:var(--quiet);margin:12px 0 4px}
.legend{display:flex;flex-wrap:wrap;gap:6px 20px;list-style:none;padding:0;margin:0 0 12px}
.legend svg{vertical-align:-3px;margin-right:6px}
svg{max-width:100%;height:auto}.card>svg{display:block;min-width:680px}
svg text{fill:var(--fg);font-size:13px}svg text.tick{fill:var(--quiet);font-size:11px}
svg text.figure{fill:var(--quiet);font-size:12px;font-variant-numeric:tabular-nums}
.grid{stroke:var(--line)}.chance{stroke:var(--quiet);stroke-dasharray:4 4}.whisker{stroke:var(--fg);stroke-width:1.5}
.mark{stroke:var(--card);stroke-width:1.2}
"""


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
    sections.append("<h2>Tables</h2>" + "".join(map(_table, tables)))
    note = report.reference_note
    base = f"{note[0].upper()}{note[1:]}. " if note else f"Base model: {report.reference}. " if report.reference else ""
    legend = "".join(f"<li>{_key(number)}{_text(drawn.names[model])}</li>" for model, number in series.items())
    models = len({row.model_hash for row in report.rows})
    left_out = (
        f" The charts show {len(series)} of {models} models; the tables have all." if models > len(series) else ""
    )
    problems = "".join(f"<p>Skipped: {_text(problem)}</p>" for problem in report.problems)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>negwb report</title><style>{_STYLE}{ITEM_STYLE}</style></head><body><h1>Benchmark report</h1>"
        f"<p>{_text(base)} Intervals are 95 %. Dashed lines show chance.{left_out}</p>"
        f'<ul class="legend">{legend}</ul>{problems}{"".join(sections)}</body></html>\n'
    )


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
            parts.append(f'<h3>{_text(plot.title)}</h3><div class="card">{chart}</div>')
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
    return f'<h2>{_text(title)}</h2><div class="card">{chart}</div>{slices}'


def _cut(rows: Sequence[ComparisonRow], cut: str, report: Report, drawn: _Drawn) -> str:
    """Return the bars of one cut: the models side by side for each value."""
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
        charts.append(f"<h3>{_text(title)}</h3>{bar_plot(bars, title=title, chance=rows[0].chance)}")
    return f'<div class="card">{"".join(charts)}</div>'


def _bar(row: ComparisonRow, accuracy: Interval, drawn: _Drawn, note: str) -> Bar:
    return Bar(drawn.names[row.model_hash], accuracy, drawn.series[row.model_hash], note)


def _affirmed(row: ComparisonRow, report: Report, of: str = "") -> str:
    """Return the affirmative accuracy that stands beside a negated one."""
    return f"affirmed{of} {affirmed_figure(row, report.twin_of(row))}" if row.denied else ""


def _table(listing: Listing) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        kinds = [' class="t"' if at < listing.left else "" for at in range(len(cells))]
        cells = [f"<{tag}{kind}>{_text(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True)]
        return f"<tr>{''.join(cells)}</tr>"

    head = f"<thead>{row(listing.headers, 'th')}</thead>" if any(listing.headers) else ""
    wraps = ' class="w"' if len(listing.headers) <= listing.left else ""
    body = "".join(row(cells, "td") for cells in listing.rows)
    return f'<h3>{_text(listing.title)}</h3><div class="card"><table{wraps}>{head}<tbody>{body}</tbody></table></div>'


def _key(number: int) -> str:
    return f'<svg width="16" height="16" viewBox="-8 -8 16 16" aria-hidden="true">{mark(number)}</svg>'


def _text(text: str) -> str:
    return escape(display_text(text, limit=400))
