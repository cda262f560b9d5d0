"""Cells and paragraphs of the report screens: the text of `reports.benchmark_report` with styles. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from textual.content import Content

from benchmarks.affirmative_twins import missing_twin_advice
from benchmarks.analysis.comparison import ComparisonRow, Slice, tie_notes
from benchmarks.analysis.published import PublishedRow, misses
from benchmarks.analysis.statistics import FEW_DISCORDANT, PairedDifference
from benchmarks.schema import PRECISION_METRIC
from benchmarks.verdicts import undecided_text
from curation_db.language.sanitize import display_text
from workbench.console.number_format import count, p_value, percent, signed, signed_span, span
from workbench.reports.benchmark_report import DISAGREES, ReportLine, power_note, slice_cells
from workbench.reports.interval_bars import TITLE as BAR_TITLE
from workbench.reports.interval_bars import interval_bar
from workbench.tui.rendering.card_content import BAD, GOOD, QUIET, WARN, plain
from workbench.tui.widgets.lists.static_table import Column

COLUMNS = {
    "task": Column("task", 14),
    "model": Column("model"),
    "n": Column("n", 5, right=True),
    "right": Column("right %", 7, right=True),
    "interval": Column("95 %", 11, right=True),
    "affirmed": Column("affirmed", 8, right=True),
    "official": Column("official", 8, right=True),
    "blind": Column("blind", 6, right=True),
    "base": Column("vs base", 7, right=True),
    "base95": Column("95 %", 13, right=True),
    "p": Column("p", 7, right=True),
}
_ALWAYS = ("task", "model", "n", "right", "interval", "affirmed", "base")
"""On a narrow screen the other columns are shown below the table."""
_WIDE = 112
"""Columns of a screen from which all columns of a table are shown."""
_CUT_CELLS, _LABEL_CELLS = 12, 11
_NOT_RUN = "was not run on these items"
_SLICE_FIGURES = ("n", "right", "interval", "base", "base95", "p")
_IOU_COLUMNS = {"miou": Column("mIoU %", 6, right=True), "miou95": Column("95 %", 11, right=True)}
"""Of a segmentation task, whose right items are those with an IoU above 0.5."""
_SLICES_NARROW = ("slice", "chart", "n", "right", "interval", "base", "miou")


def shows_all(width: int) -> bool:
    """Return whether a screen of this width has room for all columns, and for the scatter beside the details."""
    return width >= _WIDE


def columns_for(width: int) -> list[str]:
    """Return the columns that fit into `width`."""
    return [name for name in COLUMNS if name in _ALWAYS or shows_all(width)]


def titled(column: Column, row: ComparisonRow | None) -> Column:
    """Return the column with "vs ref" as its title if the models are not compared with the base of a run."""
    return replace(column, title="vs ref") if column == COLUMNS["base"] and row and row.against != "base" else column


def slice_columns(width: int, row: ComparisonRow) -> dict[str, Column]:
    """Return the columns of the table of slices that fit into `width`; the bars are always among them."""
    masks = _IOU_COLUMNS if row.segmentation is not None else {}
    chart = Column(BAR_TITLE, 28 if shows_all(width) and not masks else 10)
    columns = {
        "slice": Column("slice"),
        "chart": chart,
        **{name: titled(COLUMNS[name], row) for name in _SLICE_FIGURES},
        **masks,
    }
    return {name: column for name, column in columns.items() if name in _SLICES_NARROW or shows_all(width)}


def cells_of(line: ReportLine, columns: Sequence[str]) -> list[Content]:
    row, texts = line.main, line.cells()
    styles = {
        "task": "bold" if line.first else QUIET,
        "right": "bold",
        "interval": QUIET,
        "affirmed": "" if line.affirmed else WARN,
        "official": "" if line.differs else QUIET,
        "blind": QUIET,
        **_base_styles(row.base),
    }
    return [plain(texts[name], styles.get(name, ""), limit=60) for name in columns]


def _base_styles(base: PairedDifference | None) -> dict[str, str]:
    if base is None:
        return {"base": QUIET}
    # McNemar's test decides, not the bootstrap: with few discordant items the bootstrap interval shrinks to a point.
    sure = GOOD if base.difference.estimate > 0 else BAD
    return {"base": sure if base.significant else "", "base95": QUIET}


def about(line: ReportLine, width: int) -> Content:
    """Return all figures of a row as labelled paragraphs in `width` cells."""
    row, computed = line.main, f"{line.main.precision} on {line.main.device}"
    routed = " · routed: the base encodes texts without a negation" if row.routed else ""
    lines = [
        _line(
            "right",
            f"{count(row.correct)} of {row.n:,} = {percent(row.accuracy.estimate)} %, "
            f"{span(row.accuracy)} · {row.metric}, {row.protocol}{_doubt(row)}",
        ),
        *_partners(line),
        *_iou_scores(row),
        *(
            _line(_short(each.name), f"{percent(each.accuracy.estimate)} %, {span(each.accuracy)}")
            for each in row.others
        ),
        *_baselines(row),
        *_against_base(row),
        *(_line("⚠ note", note, style=f"bold {WARN}") for note in row.notes),
        _line("model", f"{row.arch} · {row.activation} · {computed} · {row.model_hash[:12]}{routed}"),
        _line(
            "data", f"{row.dataset_sha256[:12]} · version {row.version} · undecided: {undecided_text(row.undecided)}"
        ),
    ]
    return Content("\n").join(part for line in lines for part in line.wrapped(width))


def _short(metric: str) -> str:
    """Return the name of a further metric; that of a precision fits beside the figures."""
    return metric.replace(PRECISION_METRIC, "P@")


def _iou_scores(row: ComparisonRow) -> list[_Line]:
    """Return mIoU and oIoU with their differences from the base; nothing for other tasks."""
    if (found := row.segmentation) is None:
        return []
    base, lines = found.base, []
    for name, own, difference in (
        ("mIoU", found.mean_iou, base and base.mean_iou),
        ("oIoU", found.overall_iou, base and base.overall_iou),
    ):
        against = f" · {signed(difference.estimate)} points, {signed_span(difference)}" if difference else ""
        lines.append(_line(name, f"{percent(own.estimate)} %, {span(own)}{against}"))
    return lines


def _doubt(row: ComparisonRow) -> str:
    """Return the counts of undecided items; "" if there are none."""
    counts = undecided_text(row.undecided)
    return "" if counts == "0" else f" · {counts}"


class _Line(NamedTuple):
    label: Content
    value: Content

    def wrapped(self, width: int) -> list[Content]:
        """Return the lines of the value, the first one behind the label and the others below the value."""
        values = self.value.wrap(max(16, width - _LABEL_CELLS))
        labels = [self.label, *[Content(" " * _LABEL_CELLS)] * (len(values) - 1)]
        return [Content.assemble(label, value) for label, value in zip(labels, values, strict=True)]


def _line(label: str, value: str, *, style: str = QUIET) -> _Line:
    name = display_text(label, limit=20)
    return _Line(Content.styled(f"{name:<{_LABEL_CELLS - 1}} ", style), plain(value, limit=300))


def _partners(line: ReportLine) -> list[_Line]:
    lines = []
    if line.main.denied:
        partner = line.affirmed
        # fmt: off
        lines.append(_line("affirmed", f"{count(partner.correct)} of {partner.n:,} = "
                          f"{percent(partner.accuracy.estimate)} %, {span(partner.accuracy)} · {partner.task}"
                          if partner else missing_twin_advice(line.main.task)))
        # fmt: on
    if line.official is not None:
        other = line.official
        same = f"differs on {len(line.main.differing):,} items" if line.differs else "the same items"
        lines.append(_line("official", f"{percent(other.accuracy.estimate)} %, {span(other.accuracy)} · {same}"))
    return lines


def _baselines(row: ComparisonRow) -> list[_Line]:
    named = [f"{each.name} {percent(each.accuracy.estimate)}" for each in row.baselines]
    figures = named if row.segmentation else [f"chance {percent(row.chance)}", *named]
    lines = [
        _line("" if start else "blind", " · ".join(figures[start : start + 3])) for start in range(0, len(figures), 3)
    ]
    return [*lines, *([_line("", ties)] if (ties := tie_notes(row)) else [])]


def _against_base(row: ComparisonRow) -> list[_Line]:
    label = "vs base" if row.against == "base" else "vs ref"
    if row.base is None:
        return [_line(label, f"this is the {row.against}" if row.is_reference else f"the {row.against} {_NOT_RUN}")]
    paired, gain = row.base, row.base.difference
    corrected = "" if paired.p_holm is None else f" (Holm {p_value(paired.p_holm)})"
    few = f"; fewer than {FEW_DISCORDANT} differ: Newcombe's interval" if paired.has_few_discordant else ""
    return [
        _line(
            label,
            f"{signed(gain.estimate)} points, {signed_span(gain)}; {paired.gained} gained, "
            f"{paired.lost} lost, p {p_value(paired.p_value)}{corrected}{few}",
        ),
        *([] if paired.significant else [_line("", power_note(paired))]),
        *([_line("", DISAGREES)] if paired.interval_disagrees else []),
    ]


def published(rows: Sequence[PublishedRow], task: str) -> Content:
    """Return published results on the task, with their sources; empty if there are none."""
    matching = [row for row in rows if row.task == task]
    if not matching:
        return Content("")
    lines = [Content.styled("PUBLISHED · not measured here", "bold")]
    for source in dict.fromkeys(row.source for row in matching):
        lines.append(plain(source, limit=200))
        for row in (row for row in matching if row.source == source):
            kind = f"{'rerun · ' if row.kind == 'rerun' else ''}n {row.n:,}"
            figures = f"{percent(row.accuracy.estimate):>5} %  {span(row.accuracy)}"
            lines.append(Content.assemble(f"{figures}  ", plain(row.model), (f" {row.arch} · {kind}", QUIET)))
    lines += [
        Content.styled(
            f"{each.model} {each.arch}: its own checkpoint reaches {percent(each.reached.estimate)} % in a rerun, "
            f"{each.items} of {each.n:,} items fewer than its paper",
            WARN,
        )
        for each in misses(matching)
    ]
    notes = dict.fromkeys(f"{row.protocol} · {row.note}" for row in matching)
    lines += [plain(note, QUIET, limit=400) for note in notes]
    return Content("\n").join(lines)


def heading(line: ReportLine) -> Content:
    """Return the model, task and accuracy on one line; beside a negated accuracy the affirmative one."""
    row = line.main
    content = Content.assemble(
        plain(row.model, "bold", limit=40),
        " on ",
        plain(row.task, "bold", limit=40),
        f" · {percent(row.accuracy.estimate)} % of {row.n:,} ({row.protocol})",
    )
    if not line.main.denied:
        return content
    beside = line.affirmed_figure + (" %" if line.affirmed else "")
    return Content.assemble(content, " · affirmed ", (beside, "bold"))


def slice_row(each: Slice | None, row: ComparisonRow, columns: Mapping[str, Column]) -> list[Content]:
    """Return a row of the table of slices; None is the row of all items."""
    name = Content.styled("all items", "bold")
    if each is not None:
        cut = display_text(each.cut.replace("_", " "), limit=_CUT_CELLS)
        name = Content.assemble((f"{cut:<{_CUT_CELLS}}", QUIET), plain(each.value, limit=60))
    part = each or row
    texts = slice_cells(each, row) | {"chart": interval_bar(part.accuracy, columns["chart"].width)}
    styles = {"chart": "$primary", "right": "bold", "interval": QUIET, "miou95": QUIET, **_base_styles(part.base)}
    return [name if column == "slice" else Content.styled(texts[column], styles.get(column, "")) for column in columns]
