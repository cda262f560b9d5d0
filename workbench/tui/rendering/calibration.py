"""The reliability diagram of a judge as lines of text. Pure: takes a `curation_db.trust.judge_calibration.JudgeReport`.

The diagram has one column of cells per bin. Its marks differ in shape, so it needs no colour; `negwb judges` prints the
same bins as a table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from textual.content import Content

from curation_db.language.sanitize import display_text
from workbench.console.number_format import NONE, decimal
from workbench.reports.progress_report import share_text
from workbench.tui.rendering.bars import fixed_cell
from workbench.tui.rendering.card_content import BAD, GOOD, MARK, QUIET, WARN

if TYPE_CHECKING:
    from curation_db.trust.calibration import Bin, Reliability
    from curation_db.trust.judge_calibration import JudgeReport

Lines = list[Content]

BINS: Final = 10
_AXIS: Final = 5
"""Cells left of the diagram."""
_FRAME: Final = 7
"""Lines above and below the diagram."""
_LEAST_ROWS, _MOST_ROWS = 9, 21
_LIST: Final = 40
"""Cells of the list of judges beside the diagram."""
_WIDE: Final = 112
_DOT, _LINE, _TOP, _BOTTOM = "·", "│", "┬", "┴"
CALIBRATED, ABOVE, BELOW = "●", "▲", "▼"
"""Marks of a bin: its interval includes the mean P, is above it, is below it."""
_TONES: Final = {CALIBRATED: GOOD, ABOVE: WARN, BELOW: BAD}


def calibration_lines(reports: Sequence[JudgeReport], selected: int, width: int, height: int) -> Lines:
    """Return figures and diagram of one judge, in at most `height` lines where there are 17 or more."""
    if not reports:
        return [
            Content.assemble(("CALIBRATION", f"bold {MARK}")),
            Content.styled("no judged candidate has an audit label yet: negwb curate --stream audit", QUIET),
        ]
    report = reports[selected]
    wide = width >= _WIDE
    cells = max(3, min(7, (width - _AXIS - (_LIST if wide else 0)) // BINS))
    rows = max(_LEAST_ROWS, min(_MOST_ROWS, height - _FRAME))
    rows -= 1 - rows % 2  # an odd number has a row for .5
    diagram = _diagram(report.raw, cells, rows)
    if wide:
        diagram = _beside(diagram, _judge_list(reports, selected, len(diagram)), _AXIS + BINS * cells)
    return [_title(report, selected, len(reports), width), *_figures(report), *diagram, _legend(report)]


def bin_mark(each: Bin) -> str:
    """Return the mark of a bin by its interval against its mean P."""
    if each.observed.low > each.predicted:
        return ABOVE
    return BELOW if each.observed.high < each.predicted else CALIBRATED


def _title(report: JudgeReport, selected: int, count: int, width: int) -> Content:
    judge = report.judge
    return Content.assemble(
        ("CALIBRATION", f"bold {MARK}"),
        (f" {selected + 1} of {count}  ", QUIET),
        (display_text(judge.judge, limit=20), "bold"),
        f"  {judge.question}?  prompt {display_text(judge.prompt_version, limit=18)}",
        (f"  {display_text(judge.model, limit=60)}", QUIET),
    ).truncate(width, ellipsis=True)


def _figures(report: JudgeReport) -> Lines:
    """Return the scores on all labels, and the effect of a calibration on labels that did not fit it."""
    raw, tested, calibrated = report.raw, report.tested, report.calibrated
    scores = Content.assemble(
        ("Brier ", QUIET), (decimal(raw.brier), "bold"),
        ("   ECE ", QUIET), (decimal(raw.ece), "bold"),
        ("   discrimination ", QUIET), (decimal(raw.discrimination), "bold"),
        (f"   {raw.n:,} labels, {_percent(raw.base_rate)} {report.claim}", QUIET),
    )  # fmt: skip
    after = f"calibrated on other images: ECE {decimal(tested.ece)} → {decimal(calibrated.ece)} on {tested.n:,} labels"
    return [scores, Content.styled(after if tested.n else "too few labels to test a calibration", QUIET)]


def _percent(share: float) -> str:
    return NONE if math.isnan(share) else share_text(share, 1)


def _diagram(figures: Reliability, cells: int, rows: int) -> Lines:
    """Return the diagram with its axes: `rows` lines and three more."""
    columns = BINS * cells
    grid = [[(" ", "")] * columns for _ in range(rows)]

    def row_of(share: float) -> int:
        return round((1 - share) * (rows - 1))

    for x in range(columns):
        grid[row_of((x + 0.5) / columns)][x] = (_DOT, QUIET)
    for each in figures.bins:
        x = min(columns - 1, int(each.predicted * columns))
        top, bottom, at = row_of(each.observed.high), row_of(each.observed.low), row_of(each.observed.estimate)
        for y in range(top, bottom + 1):
            grid[y][x] = (_TOP if y == top < bottom else _BOTTOM if y == bottom > top else _LINE, "$text-primary")
        mark = bin_mark(each)
        grid[at][x] = (mark, f"bold {_TONES[mark]}")
    labels = {row_of(share): name for share, name in ((1, "1"), (0.75, ".75"), (0.5, ".5"), (0.25, ".25"), (0, "0"))}
    lines = [
        Content.assemble((f"{labels.get(y, ''):>{_AXIS - 1}}", QUIET), ("┤" if y in labels else "│", QUIET), *row)
        for y, row in enumerate(grid)
    ]
    counts = {min(BINS - 1, round(each.low * BINS)): each.n for each in figures.bins}
    below = "".join(_count(counts.get(number, 0)).center(cells) for number in range(BINS))
    ticks = "".join(f"{'0' if not number else f'.{number}':<{cells}}" for number in range(BINS)) + "1"
    return [
        *lines,
        Content.styled(" " * (_AXIS - 1) + "└" + ("┴" + "─" * (cells - 1)) * BINS, QUIET),
        Content.styled(" " * _AXIS + ticks, QUIET),
        Content.assemble(("n".rjust(_AXIS - 1) + " ", QUIET), below.rstrip()),
    ]


def _count(number: int) -> str:
    """Return a number of labels in at most four characters."""
    return "-" if not number else str(number) if number < 10_000 else f"{number // 1000}k"


def _legend(report: JudgeReport) -> Content:
    return Content.assemble(
        (CALIBRATED, GOOD), f" share {report.claim} by P  ", ("│", "$text-primary"), " 95 %  ",
        (ABOVE, WARN), " above P  ", (BELOW, BAD), " below P  ", (_DOT * 3, QUIET), " share = P",
    )  # fmt: skip


def _judge_list(reports: Sequence[JudgeReport], selected: int, lines: int) -> Lines:
    """Return the judges with their ECE, the selected one marked; of a list that is too long the part around it."""
    room = lines - 1
    first = 0 if len(reports) <= room else max(0, min(selected - room // 2, len(reports) - room))
    head = Content.styled(f"  {'judge, question':<22}{'labels':>8}{'ECE':>6}", QUIET)
    rows = []
    for number, report in list(enumerate(reports))[first : first + room]:
        name = fixed_cell(f"{report.judge.judge}, {report.judge.question}", 22)
        line = f"{name}{report.raw.n:>8,}{decimal(report.raw.ece):>6}"
        chosen = number == selected
        rows.append(Content.assemble(("▸ " if chosen else "  ", MARK), (line, "bold" if chosen else "")))
    return [head, *rows]


def _beside(diagram: Lines, listed: Lines, width: int) -> Lines:
    """Return the diagram, `width` cells wide, with the list on its right."""
    padded = [*listed, *[Content("")] * (len(diagram) - len(listed))]
    return [
        Content.assemble(line, " " * max(2, width + 2 - line.cell_length), other) if other else line
        for line, other in zip(diagram, padded, strict=True)
    ]
