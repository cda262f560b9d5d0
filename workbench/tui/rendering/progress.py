"""The pages of Progress as lines of a given width. Pure: takes a `curation_db.stats.progress.RecordProgress`.

All names and values of the data go through `display_text`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content

from curation_db.enums import Kind, Reason
from curation_db.language.sanitize import display_text
from curation_db.stats import decision_speed
from curation_db.stats.annotator_agreement import VoteAgreement, explain_kappa
from curation_db.stats.decision_speed import AnnotationSpeed
from curation_db.stats.distribution import Balance, ValueShare
from curation_db.stats.intervals import Interval
from curation_db.stats.judge_accuracy import AuditLabels, Confusion
from curation_db.stats.progress import AnnotatorProgress, RecordProgress
from workbench.annotation.wording import DECISIONS, readable
from workbench.console.number_format import decimal
from workbench.reports.progress_report import (
    COEFFICIENTS,
    hours_text,
    part_name,
    parts_of,
    share_text,
    speed_cells,
)
from workbench.tui.rendering.bars import fixed_cell, share_bar, spanned, whisker
from workbench.tui.rendering.calibration import calibration_lines
from workbench.tui.rendering.card_content import BAD, GOOD, MARK, QUIET, WARN

if TYPE_CHECKING:
    from curation_db.trust.judge_calibration import JudgeReport

_NAME = 16
_WIDE = 112
_OFF = 0.05
"""Minimum difference from the target share that is marked."""
Lines = list[Content]


class ProgressPage(StrEnum):
    PACE = "pace"
    DECISIONS = "decisions"
    BALANCE = "balance"
    AGREEMENT = "agreement"
    JUDGES = "judges"
    CALIBRATION = "calibration"


def page_lines(
    page: ProgressPage,
    progress: RecordProgress,
    width: int,
    *,
    judges: Sequence[JudgeReport] = (),
    selected: int = 0,
    height: int = 17,
) -> Lines:
    """Return the lines of a page, `width` cells wide; the calibration is of the `selected` one of `judges`."""
    if page is ProgressPage.CALIBRATION:
        return calibration_lines(judges, selected, width, height)
    return _PAGES[page](progress, width)


def heading(text: str, beside: str = "") -> Content:
    """Return the title of a section, with its subject in a quiet style."""
    return Content.assemble((text.upper(), f"bold {MARK}"), ("   " + beside if beside else "", QUIET))


def _name_cells(people: Iterable[AnnotatorProgress], room: int) -> int:
    """Return the width of the column of names: up to `room` cells where a name needs them."""
    longest = max((cell_len(display_text(person.name, limit=200)) for person in people), default=0)
    return max(_NAME, min(longest + 1, room))


def _name_cell(name: str, cells: int) -> tuple[str, str]:
    """Return a name in its column, with a blank before the next one."""
    return fixed_cell(name, cells - 1) + " ", "bold"


def _columns(cells: Iterable[tuple[str, int]], style: str = "") -> Content:
    return Content.styled("".join(fixed_cell(text, width, right=True) for text, width in cells), style)


# -- pace -----------------------------------------------------------------------------------------------------------

_PACE = (("decisions/h", 13), ("median", 10), ("active", 11), ("timed", 12), ("time left (1)", 14))
_LEAST = "timed"
"""The column that a narrow screen leaves out."""


def _pace(progress: RecordProgress, width: int) -> Lines:
    columns = [each for each in _PACE if each[0] != _LEAST or _NAME + sum(cells for _, cells in _PACE) <= width]
    spare = max(0, _NAME + sum(cells for _, cells in columns) - width)
    room = width - sum(cells for _, cells in columns)
    name = _NAME - min(spare, _NAME // 2) if spare else _name_cells(progress.people, room)
    head = Content.assemble((fixed_cell("", name), ""), _columns(columns, QUIET))
    row = partial(_speed_row, wanted=progress.work.wanted, columns=[title for title, _ in columns], name_cells=name)
    rows = [row(person.name, person.speed) for person in progress.people]
    if len(progress.people) > 1:
        rows.append(row("all", progress.work.team, style="bold"))
    note = "timed: replaced and undone ones too; at most a minute each" if len(columns) == len(_PACE) else ""
    # fmt: off
    return [*_work(progress, width), Content(""), heading("speed", decision_speed.NAME), head, *rows,
            Content(""), Content.styled(note, QUIET)]
    # fmt: on


def _work(progress: RecordProgress, width: int) -> Lines:
    states, work = progress.work.states, progress.work
    total = sum(states.values()) - states.get("superseded", 0)
    done = sum(states.get(state, 0) for state in ("accepted", "rejected", "contested"))
    share = done / total if total else None
    bar = share_bar(share, max(10, min(48, width - 44)), tone=GOOD)
    left = Content.assemble((f"{work.wanted:,}", "bold"), " still to decide")
    hours = work.hours_left
    if work.wanted and hours is not None:
        left = Content.assemble(left, ": ", (hours_text(hours), "bold"), " of one annotator's time")
    edits = sum(work.edits.values())
    if edits:
        left = Content.assemble(left, f" · {edits:,} {'edits need' if edits > 1 else 'edit needs'} a second opinion")
    each = " · ".join(f"{number:,} {readable(state)}" for state, number in sorted(states.items()))
    return [
        heading("work"),
        Content.assemble(
            bar, "  ", (f"{done:,} of {total:,} decided", "bold"), (f"  {share_text(done, total)}", QUIET)
        ),
        left,
        Content.styled(each, QUIET),
    ]


def _speed_row(
    name: str, measured: AnnotationSpeed, *, wanted: int, columns: Sequence[str], name_cells: int, style: str = ""
) -> Content:
    cells = zip(speed_cells(measured, wanted), _PACE, strict=True)
    shown = [(text, width) for text, (title, width) in cells if title in columns]
    return Content.assemble(_name_cell(name, name_cells), _columns(shown, style))


# -- decisions ------------------------------------------------------------------------------------------------------

_KINDS = (Kind.ACCEPT, Kind.REJECT, Kind.UNSURE, Kind.SKIP, Kind.EDIT)
_FINAL = (Kind.ADJUDICATE, Kind.FLIP)


def _decisions(progress: RecordProgress, width: int) -> Lines:
    kinds = [*_KINDS, *(kind for kind in _FINAL if any(person.decisions[kind] for person in progress.people))]
    cells = min(12, (width - _NAME - 9) // len(kinds))
    names = [_kind_name(kind, cells) for kind in kinds]
    name_cells = _name_cells(progress.people, width - cells * (len(kinds) + 1))
    head = Content.assemble(" " * name_cells, _columns([(name, cells) for name in [*names, "accepts"]], QUIET))
    rows = [_decision_row(person, kinds, cells, name_cells) for person in progress.people]
    probes = _probes(progress.people, width)
    return [heading("decisions", "in force"), head, *rows, Content(""), *_reasons(progress.people, width), *probes]


def _kind_name(kind: Kind, cells: int) -> str:
    name = "final" if kind is Kind.ADJUDICATE else str(kind)
    return f"{DECISIONS[kind].glyph} {name}" if kind in _KINDS and cells > len(name) + 2 else name


def _decision_row(person: AnnotatorProgress, kinds: Sequence[Kind], cells: int, name_cells: int) -> Content:
    counts = person.decisions
    share = share_text(counts[Kind.ACCEPT], counts[Kind.ACCEPT] + counts[Kind.REJECT])
    counted = [(f"{counts[kind]:,}" if counts[kind] else "·", cells) for kind in kinds]
    return Content.assemble(_name_cell(person.name, name_cells), _columns(counted), _columns([(share, cells)], QUIET))


def _reasons(people: Sequence[AnnotatorProgress], width: int) -> Lines:
    counted = {reason: sum(person.reasons[reason] for person in people) for reason in Reason}
    total = sum(counted.values())
    bar = 24 if width >= _WIDE else 14
    shown = people[: max(0, (width - _NAME - bar - 14) // 10)]
    head = Content.assemble(
        (fixed_cell("", _NAME + bar + 13), ""),
        (" ".join(fixed_cell(person.name, 9, right=True) for person in shown), QUIET),
    )
    rows = [
        Content.assemble(
            (fixed_cell(readable(reason), _NAME), "bold" if number else QUIET),
            share_bar(number / total if total else None, bar, tone=BAD),
            _columns([(f"{number:,}", 7), (share_text(number, total), 6)]),
            *(_columns([(f"{person.reasons[reason]:,}" if person.reasons[reason] else "·", 10)]) for person in shown),
        )
        for reason, number in sorted(counted.items(), key=lambda each: -each[1])
    ]
    return [heading("rejected because", f"{total:,} rejections in force"), head, *rows]


_PROBE_CELLS = 5 + 20 + 2 + 37
"""Share, whisker, gap, and interval with the counts: what follows a name."""


def _probes(people: Sequence[AnnotatorProgress], width: int) -> Lines:
    """Return the consistency of each person's answers to probes; nothing without answers."""
    asked = [person for person in people if person.probes.answers]
    if not asked:
        return []
    name = _name_cells(asked, width - _PROBE_CELLS)
    rows = [
        Content.assemble(
            _name_cell(person.name, name),
            (fixed_cell(decimal(person.probes.share.estimate), 5), "bold"),
            whisker(person.probes.share, 20),
            "  ",
            (spanned(person.probes.share), QUIET),
            (f"   {person.probes.consistent:,} of {person.probes.answers:,} answers", QUIET),
        )
        for person in asked
    ]
    return [Content(""), heading("consistency", "answers to probes after an accept, with 95 % intervals"), *rows]


# -- balance --------------------------------------------------------------------------------------------------------


def _balance(progress: RecordProgress, width: int) -> Lines:
    columns = 2 if width >= _WIDE else 1
    column = (width - 4) // 2 if columns == 2 else width
    boxes = [_spread(balance, column) for balance in progress.balances]
    legend = Content.assemble(
        "▓ share of the accepted   ", ("┃", f"bold {MARK}"), " target   ", ("all", ""), " share of all proposals"
    )
    first = progress.balances[0]
    head = heading("balance", f"{first.accepted:,} accepted of {first.proposed:,} proposed")
    if columns == 1:
        listed = [line for box in boxes for line in [*box, Content("")]]
        return [head, legend, Content(""), *listed[:-1]]
    left = [*boxes[0], Content(""), *boxes[1], Content(""), *boxes[2]]
    return [head, legend, Content(""), *_beside(left, boxes[3], column)]


def _beside(left: Lines, right: Lines, column: int) -> Lines:
    rows = max(len(left), len(right))
    padded = [*left, *[Content("")] * (rows - len(left))], [*right, *[Content("")] * (rows - len(right))]
    return [
        Content.assemble(one, " " * (column + 4 - one.cell_length), other) for one, other in zip(*padded, strict=True)
    ]


def _spread(balance: Balance, column: int) -> Lines:
    name = 13
    bar = max(8, column - name - 7 - 7 - 14)
    top = [part for part in balance.parts if part.target is None]
    many = balance.trait == "concept" and balance.distinct > len(top)
    beside = f"{balance.distinct:,} concepts" if balance.trait == "concept" else ""
    if many and balance.accepted:
        beside += f"; the top {len(top)} cover {share_text(sum(p.accepted for p in top), balance.accepted)}"
    title = Content.assemble(
        (fixed_cell(balance.trait.upper(), name + bar), f"bold {MARK}"),
        _columns([("accepted", 9), ("all", 5)], QUIET),
        _columns([("target", 13)], QUIET) if any(part.target is not None for part in balance.parts) else "",
    )
    rows = [_part(part, balance, name, bar) for part in parts_of(balance)]
    return [title, *rows, *([Content.styled(beside, QUIET)] if beside else [])]


def _part(part: ValueShare, balance: Balance, name: int, bar: int) -> Content:
    share = part.accepted / balance.accepted if balance.accepted else None
    row = Content.assemble(
        (
            fixed_cell(part_name(part, balance), name),
            "bold" if part.accepted else QUIET,
        ),
        share_bar(share, bar, target=part.target),
        _columns([(share_text(part.accepted, balance.accepted), 9)]),
        _columns([(share_text(part.proposed, balance.proposed), 5)], QUIET),
    )
    if part.target is None:
        return row
    row = Content.assemble(row, _columns([(f"{part.target:.0%}", 6)]))
    off = 0.0 if share is None else share - part.target
    if abs(off) < _OFF:
        return Content.assemble(row, (fixed_cell("✓" if share is not None else "", 7, right=True), GOOD))
    return Content.assemble(row, (fixed_cell(f"{'▲' if off > 0 else '▼'} {abs(off):.0%}", 7, right=True), WARN))


# -- agreement ------------------------------------------------------------------------------------------------------

_MEANINGS = {
    "observed": "pairs of votes on one candidate that are alike",
    "ac1": "Gwet: chance taken out, holds where nearly all accept",
    "alpha": "Krippendorff: chance taken out",
    "kappa": "Fleiss: chance taken out",
}


def _agreement(progress: RecordProgress, width: int) -> Lines:
    lines = [heading("agreement among annotators", "with 95 % intervals over images"), Content("")]
    for consensus, name, what in (
        (progress.standing, "votes in force", "candidates on which two annotators or more have voted"),
        (progress.audit, "the blind audit", "first decisions, before anything was revealed"),
    ):
        lines += [*_consensus(consensus, name, what, width), Content("")]
        kappa = explain_kappa(consensus)
        if kappa and (consensus is progress.standing or not progress.standing.coefficients.items):
            lines[-1:] = [Content.assemble(("⚠ ", WARN), kappa), Content("")]
    return [*lines, *_flips(progress.people, width)]


def _flips(people: Sequence[AnnotatorProgress], width: int) -> Lines:
    """Return how often each person changes an audit label after a reveal."""
    labelled = [person for person in people if person.flips.labels]
    head = heading("flip rate", "audit labels changed after a reveal, with 95 % intervals")
    if not labelled:
        return [head, Content.styled("no audit label yet: negwb curate --stream audit --reveal", QUIET)]
    direction = max(len(_direction(person)) for person in labelled)
    name = _name_cells(labelled, width - _FLIP_CELLS - (3 + direction if width >= _WIDE else 0))
    return [head, *(line for person in labelled for line in _flip_rows(person, width, name))]


_FLIP_CELLS = 5 + 20 + 12 + 15
"""Rate, whisker, interval and counts: what follows a name."""


def _direction(person: AnnotatorProgress) -> str:
    flips = person.flips
    return f"{flips.toward:,} of {flips.differing:,} to the judges, {flips.away:,} of {flips.agreeing:,} away"


def _flip_rows(person: AnnotatorProgress, width: int, name: int) -> Lines:
    """Return the rate of one person and, in a narrow screen below it, its direction."""
    flips = person.flips
    rate = Content.assemble(
        _name_cell(person.name, name),
        (fixed_cell(decimal(flips.rate.estimate), 5), "bold"),
        whisker(flips.rate, 20),
        (fixed_cell(spanned(flips.rate), 12, right=True), ""),
        (fixed_cell(f"{flips.flips:,} of {flips.labels:,}", 15, right=True), ""),
    )
    if width >= _WIDE:
        return [Content.assemble(rate, ("   " + _direction(person), QUIET))]
    return [rate, Content.styled(" " * name + _direction(person), QUIET)]


def _consensus(consensus: VoteAgreement, name: str, what: str, width: int) -> Lines:
    agreement = consensus.coefficients
    title = Content.assemble((name, "bold"), (f"   {what}", QUIET))
    if not agreement.items:
        return [title, Content.styled("none yet: needs an overlap of two annotators: negwb queue overlap 2", QUIET)]
    accepts = share_text(consensus.accepts, agreement.ratings)
    accepts = share_text(consensus.accepts, agreement.ratings)
    counts = f"{agreement.items:,} candidates · {agreement.ratings:,} votes · {accepts} accepts"
    cells = max(16, min(40, width - 38 - (56 if width >= _WIDE else 0)))
    rows = [
        _coefficient(getattr(agreement, field), name, _MEANINGS[field], cells, width)
        for field, name in COEFFICIENTS.items()
    ]
    scale = Content.styled(" " * 13 + "-1" + "0".center(cells - 4) + " 1", QUIET)
    return [title, Content(counts), *rows, scale]


def _coefficient(interval: Interval, name: str, meaning: str, cells: int, width: int) -> Content:
    return Content.assemble(
        (fixed_cell(name, 7), "bold"),
        _columns([(decimal(interval.estimate), 4)], "bold"),
        "  ",
        whisker(interval, cells, low=-1.0),
        "  ",
        (fixed_cell(spanned(interval), 14), ""),
        ("  " + meaning, QUIET) if width >= _WIDE else "",
    )


# -- judges ---------------------------------------------------------------------------------------------------------

_LABELS = {
    AuditLabels.AUDIT: ("against the blind audit", "first decisions about a random sample"),
    AuditLabels.DECIDED: ("against all decisions", "hard cases first, judges on the screen"),
}


def _judges(progress: RecordProgress, width: int) -> Lines:
    lines = [heading("judges", "P(present) ≥ .5, compared with rejections as “present” and accepts"), Content("")]
    for labels, (name, what) in _LABELS.items():
        lines.append(Content.assemble((name, "bold"), (f"   {what}", QUIET)))
        confusions = [confusion for confusion in progress.judges if confusion.labels is labels]
        if not confusions:
            lines.append(Content.styled("no judged candidate has such a label yet", QUIET))
        lines += [_judged_head(width)] if confusions else []
        for confusion in confusions:
            lines += _judge(confusion, width)
        lines.append(Content(""))
    return lines[:-1]


def _judge(confusion: Confusion, width: int) -> Lines:
    script = ("  simulated", WARN) if confusion.simulated else ""
    unclear = f" · {confusion.unclear:,} unclear" if confusion.unclear else ""
    name = Content.assemble(
        (display_text(confusion.judge, limit=30), f"bold {MARK}"),
        script,
        (f"  {display_text(confusion.model, limit=30)} · {confusion.labelled:,} labels{unclear}", QUIET),
    )
    rows = [
        _row_of("  says absent", confusion.absent_absent, confusion.absent_present, wrong_cell=1, width=width),
        _row_of("  says present", confusion.present_absent, confusion.present_present, wrong_cell=0, width=width),
    ]
    rates = _rate("precision", confusion.precision, width), _rate("recall", confusion.recall, width)
    return [name, *(Content.assemble(row, "   ", rate) for row, rate in zip(rows, rates, strict=True))]


def _judged_head(width: int) -> Content:
    names = ("label: absent", "label: present") if width >= _WIDE else ("absent", "present")
    return Content.styled(fixed_cell("", 14), QUIET) + _columns([(name, _table_cells(width)) for name in names], QUIET)


def _table_cells(width: int) -> int:
    return 17 if width >= _WIDE else 9


def _row_of(name: str, absent: int, present: int, *, wrong_cell: int, width: int) -> Content:
    """Return a row of the confusion matrix; `spoils`: index of the cell in which judge and label differ."""
    cells = [
        _columns([(f"{number:,}", _table_cells(width))], (BAD if number else "") if at == wrong_cell else GOOD)
        for at, number in enumerate((absent, present))
    ]
    return Content.assemble(fixed_cell(name, 14), *cells)


def _rate(name: str, interval: Interval, width: int) -> Content:
    if math.isnan(interval.estimate):
        return Content.styled(f"{name:<10}–", QUIET)
    drawn = whisker(interval, 20 if width >= _WIDE else 8)
    context = "of “absent”  " if width >= _WIDE else ""
    return Content.assemble(
        (f"{name:<10}", QUIET),
        (context, QUIET),
        (fixed_cell(decimal(interval.estimate), 5), "bold"),
        drawn,
        "  ",
        (spanned(interval), QUIET),
    )


_PAGES: dict[ProgressPage, Callable[[RecordProgress, int], Lines]] = {
    ProgressPage.PACE: _pace,
    ProgressPage.DECISIONS: _decisions,
    ProgressPage.BALANCE: _balance,
    ProgressPage.AGREEMENT: _agreement,
    ProgressPage.JUDGES: _judges,
}
