"""The report in words: which rows belong together, and the cells and paragraphs that tell of them. Pure.

A model's rows of one task are one line: strict counts, official stands beside it. What a model reaches on denied
phrases is never told without what it reaches on affirmed ones, or that this was not measured (`benchmarks.twins`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

from benchmarks.compare import Report, Row, Slice, told_ties
from benchmarks.published import PublishedRow
from benchmarks.statistics import FEW, Paired
from benchmarks.twins import advice, in_place
from curation_db.text import display_text
from workbench.figures import count, p_value, percent, signed, signed_span, span
from workbench.tui.paint import BAD, GOOD, QUIET, WARN, plain
from workbench.tui.widgets.sheet import Column

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
"""Where it is narrow the rest stands below the table."""
SLICES = {
    "slice": Column("slice"),
    **{name: COLUMNS[name] for name in ("n", "right", "interval", "base", "base95", "p")},
}
_SLICES_ALWAYS = ("slice", "n", "right", "interval", "base")


@dataclass(frozen=True, slots=True)
class Line:
    """A model on a task."""

    main: Row
    """Strict, where that was run."""
    official: Row | None
    """Beside it."""
    affirmed: Row | None
    """The same model on the affirmed phrases, for a task of denied ones."""
    first: bool
    """Of its task."""

    @property
    def key(self) -> str:
        """Of this line, however often it is run again."""
        return "\0".join(_key(self.main))

    @property
    def denied(self) -> bool:
        """Whether it must not stand without the affirmed figure."""
        return self.main.denied

    @property
    def affirmed_figure(self) -> str:
        """What stands beside a figure on denied phrases."""
        return percent(self.affirmed.accuracy.estimate) if self.affirmed else in_place(self.main.task)


def _key(row: Row) -> tuple[str, str, str]:
    return row.task, row.dataset_sha256, row.model_hash


def lines_of(report: Report) -> list[Line]:
    """The report's rows, those of one model and task together, in the report's order."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in report.rows:
        found.setdefault(_key(row), []).append(row)
    lines: list[Line] = []
    for (task, dataset, _), rows in found.items():
        before = lines[-1].main if lines else None
        first = before is None or (before.task, before.dataset_sha256) != (task, dataset)
        lines.append(Line(rows[0], rows[1] if len(rows) > 1 else None, report.twin_of(rows[0]), first))
    return lines


def columns_for(width: int) -> list[str]:
    """Which columns fit."""
    return [name for name in COLUMNS if name in _ALWAYS or width >= 112]


def slice_columns_for(width: int) -> list[str]:
    """Which columns of the table of slices fit."""
    return [name for name in SLICES if name in _SLICES_ALWAYS or width >= 100]


def cells_of(line: Line, columns: Sequence[str]) -> list[Content]:
    """A line of the table."""
    row = line.main
    cells = {
        "task": plain(row.task, "bold" if line.first else QUIET, limit=60),
        "model": plain(row.model, limit=60),
        "n": Content(f"{row.n:,}"),
        "right": Content.styled(percent(row.accuracy.estimate), "bold"),
        "interval": Content.styled(span(row.accuracy), QUIET),
        "affirmed": _affirmed(line),
        "official": _official(line),
        "blind": Content.styled(_blind(row), QUIET),
        **dict(zip(("base", "base95", "p"), _against(row.base, is_base=row.is_base), strict=True)),
    }
    return [cells[name] for name in columns]


def _affirmed(line: Line) -> Content:
    if not line.denied:
        return Content("")
    return Content(line.affirmed_figure) if line.affirmed else Content.styled(line.affirmed_figure, WARN)


def _official(line: Line) -> Content:
    if line.official is None:
        return Content.styled("only it" if line.main.protocol == "official" else "–", QUIET)
    if not differs(line):
        return Content.styled("same", QUIET)
    return Content(f"≠ {percent(line.official.accuracy.estimate)}")


def differs(line: Line) -> bool:
    """Whether the two protocols disagree about any item."""
    return line.official is not None and bool(line.main.differing)


def _blind(row: Row) -> str:
    return percent(max((each.accuracy.estimate for each in row.baselines), default=row.chance))


def _against(base: Paired | None, *, is_base: bool) -> list[Content]:
    if base is None:
        return [Content.styled("base" if is_base else "–", QUIET), Content(""), Content("")]
    gain = base.difference
    # McNemar decides, not the bootstrap: with few discordant items an interval of resamples shrinks to a point
    tone = (GOOD if gain.estimate > 0 else BAD) if base.sure else ""
    return [
        Content.styled(signed(gain.estimate), tone),
        Content.styled(signed_span(gain), QUIET),
        Content(p_value(base.p_value)),
    ]


def about(line: Line) -> Content:
    """All that is known of a line, as a paragraph of figures."""
    row = line.main
    told = [
        _line("right", f"{count(row.correct)} of {row.n:,} ({row.metric}) = {percent(row.accuracy.estimate)} %, "
                       f"{span(row.accuracy)} · {row.protocol}"),
        *_partners(line),
        *(_line(each.name, f"{percent(each.accuracy.estimate)} %, {span(each.accuracy)}") for each in row.others),
        *_baselines(row),
        *_against_base(row),
        *(Content.assemble(("⚠ ", f"bold {WARN}"), plain(note, limit=200)) for note in row.notes),
        _line("model", f"{row.arch} · {row.activation} · {row.precision} · {row.model_hash[:12]}"),
        _line("data", f"{row.dataset_sha256[:12]} · {row.ties} ties · {row.nan} NaN"),
    ]  # fmt: skip
    return Content("\n").join(told)


def _line(label: str, value: str) -> Content:
    return Content.assemble((f"{display_text(label, limit=20):<10} ", QUIET), plain(value, limit=300))


def _partners(line: Line) -> list[Content]:
    told = []
    if line.denied:
        partner = line.affirmed
        told.append(_line("affirmed", f"{count(partner.correct)} of {partner.n:,} = "
                          f"{percent(partner.accuracy.estimate)} %, {span(partner.accuracy)} · {partner.task}"
                          if partner else advice(line.main.task)))  # fmt: skip
    if line.official is not None:
        other = line.official
        same = f"differs on {len(line.main.differing):,} items" if differs(line) else "the same items"
        told.append(_line("official", f"{percent(other.accuracy.estimate)} %, {span(other.accuracy)} · {same}"))
    return told


def _baselines(row: Row) -> list[Content]:
    named = [f"{each.name} {percent(each.accuracy.estimate)}" for each in row.baselines]
    told = [f"chance {percent(row.chance)}", *named]
    lines = [_line("" if start else "blind", " · ".join(told[start : start + 3])) for start in range(0, len(told), 3)]
    return [*lines, *([_line("", ties)] if (ties := told_ties(row)) else [])]


def _against_base(row: Row) -> list[Content]:
    if row.base is None:
        return [_line("vs base", "this is the base" if row.is_base else "the base was not run on these items")]
    paired, gain = row.base, row.base.difference
    few = f"; fewer than {FEW} differ: Newcombe's interval" if paired.few else ""
    return [
        _line("vs base", f"{signed(gain.estimate)} points, {signed_span(gain)}; {paired.gained} gained, "
                         f"{paired.lost} lost, p {p_value(paired.p_value)}{few}")
    ]  # fmt: skip


def published(rows: Sequence[PublishedRow], task: str) -> Content:
    """What others reported on the task, with where."""
    mine = [row for row in rows if row.task == task]
    if not mine:
        return Content.styled("nothing published on this task", QUIET)
    told = [Content.styled("PUBLISHED · not measured here", "bold")]
    told += [plain(source, limit=200) for source in dict.fromkeys(row.source for row in mine)]
    for row in mine:
        figures = f"{percent(row.accuracy.estimate):>5} %  {span(row.accuracy)}"
        told.append(Content.assemble(f"{figures}  ", plain(row.model), (f" {row.arch}", QUIET)))
    notes = dict.fromkeys(f"{row.protocol} · {row.note}" for row in mine)
    told += [plain(note, QUIET, limit=400) for note in notes]
    return Content("\n").join(told)


def heading(line: Line) -> Content:
    """Whose figures these are, in a line; the affirmed one beside the denied one."""
    row = line.main
    told = Content.assemble(
        plain(row.model, "bold", limit=40), " on ", plain(row.task, "bold", limit=40),
        f" · {percent(row.accuracy.estimate)} % right of {row.n:,} ({row.protocol})",
    )  # fmt: skip
    if not line.denied:
        return told
    beside = line.affirmed_figure + (" %" if line.affirmed else "")
    return Content.assemble(told, " · affirmed ", (beside, "bold"))


def slice_cells(each: Slice | None, row: Row, columns: Sequence[str]) -> list[Content]:
    """A line of the table of slices; None is the whole."""
    n, accuracy, base = (each.n, each.accuracy, each.base) if each else (row.n, row.accuracy, row.base)
    name = Content.styled("all items", "bold")
    if each is not None:
        name = Content.assemble((f"{display_text(each.cut, limit=16):<12}", QUIET), plain(each.value, limit=60))
    cells = {
        "slice": name,
        "n": Content(f"{n:,}"),
        "right": Content.styled(percent(accuracy.estimate), "bold"),
        "interval": Content.styled(span(accuracy), QUIET),
        **dict(zip(("base", "base95", "p"), _against(base, is_base=row.is_base), strict=True)),
    }
    return [cells[name] for name in columns]
