"""Cells and paragraphs of the screens of a run's training data. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

from curation_db.enums import State
from curation_db.exporting.manifest import ExportItem
from workbench.console.number_format import NONE, percent
from workbench.reports.run_origin import CUTS, Cut, RunOrigin, count_by
from workbench.tui.rendering.card_content import BAD, GOOD, QUIET, WARN, plain
from workbench.tui.widgets.lists.static_table import Column

_DECISION_COLUMNS = {
    "place": Column("pairs", 9),
    "state": Column("state", 8),
    "reasons": Column("reasons", 14),
    "deciders": Column("decided by", 18),
    "text": Column("text"),
}
_WIDE = 100
"""Columns of a screen from which reasons and deciders have columns of their own; the details show them always."""


@dataclass(frozen=True, slots=True)
class CountRow:
    """Pairs with one value of a cut."""

    cut: Cut | None
    """None: all pairs."""
    value: str
    pairs: int
    left_out: int | None
    """Rejected pairs that are not in the export; None: not known."""

    @property
    def key(self) -> str:
        return f"{self.cut or ''}\0{self.value}"


def count_rows(origin: RunOrigin) -> list[CountRow]:
    """Return the counts of a run's pairs: all, then by cue, type, reason and so on."""
    left_out = origin.left_out
    rows = [CountRow(None, "all pairs", len(origin.items), None if left_out is None else len(left_out))]
    for cut in CUTS:
        inside, outside = count_by(origin.items, cut), count_by(left_out or (), cut)
        for value in dict.fromkeys((*inside, *outside)):
            missing = None if left_out is None else outside.get(value, 0)
            rows.append(CountRow(cut, value, inside.get(value, 0), missing))
    return rows


def count_columns(width: int) -> tuple[Column, ...]:
    """Return the columns of the counts; the last one is empty, so that the figures stand beside their values."""
    figures = (Column("pairs", 8, right=True), Column("%", 5, right=True), Column("left out", 8, right=True))
    return (Column("by", 9), Column("", max(12, min(36, width - 46))), *figures, Column(""))


def count_cells(row: CountRow, before: CountRow | None, total: int) -> Sequence[Content]:
    """Return the cells of a row; the cut is shown in its first row only. `total`: all pairs of the export."""
    repeated = before is not None and before.cut == row.cut
    return (
        Content.styled("" if repeated or row.cut is None else row.cut, QUIET),
        plain(row.value, "bold" if row.cut is None else "", limit=80),
        Content(f"{row.pairs:,}"),
        Content.styled(percent(row.pairs / total) if total else NONE, QUIET),
        Content.styled("?" if row.left_out is None else f"{row.left_out:,}", WARN if row.left_out is None else ""),
        Content(""),
    )


def origin_heading(origin: RunOrigin) -> Content:
    """Return what the run was trained on, in two lines or three."""
    export = origin.export
    event = f" · event {export.manifest.event_seq:,}" if export.manifest else ""
    arm = f" · arm {origin.arm.arm}" if origin.arm else ""
    lines = [
        Content.assemble(plain(origin.run, "bold", limit=60), (f"{arm} · seed {origin.seed}", QUIET)),
        Content.assemble(
            ("export ", QUIET),
            plain(export.name, limit=60),
            (f"{event} · {origin.accepted:,} accepted and {origin.rejected:,} rejected pairs", QUIET),
        ),
    ]
    if origin.problem:
        lines.append(plain(f"⚠ {origin.problem}", WARN, limit=200))
    return Content("\n").join(lines)


def decision_columns(width: int) -> dict[str, Column]:
    left_out = set() if width >= _WIDE else {"reasons", "deciders"}
    return {name: column for name, column in _DECISION_COLUMNS.items() if name not in left_out}


def decision_cells(item: ExportItem, columns: Sequence[str], *, inside: bool) -> Sequence[Content]:
    tone = {State.ACCEPTED: GOOD, State.REJECTED: BAD}.get(State(item.state), "")
    cells = {
        "place": Content("export" if inside else "left out"),
        "state": Content.styled(item.state, tone),
        "reasons": plain(", ".join(item.reasons), limit=60),
        "deciders": plain(", ".join(item.deciders), limit=60),
        "text": plain(item.text, limit=300),
    }
    return [cells[name] for name in columns]


def decision_details(item: ExportItem) -> Content:
    """Return the pair and its decisions, one fact a line."""
    facts = {
        "text": item.text,
        "caption": item.caption or "not known",
        "image": item.file_name or item.url or item.image_key,
        "cue": f"{item.cue or 'none'} ({item.negation_type})",
        "votes": f"{item.accepts} accept, {item.rejects} reject · {item.stream or 'no decision'}",
        "decided": f"{', '.join(item.deciders) or 'undecided'}{''.join(f' · {reason}' for reason in item.reasons)}",
        "made by": " · ".join(filter(None, (item.generator, item.prompt_version))) or "not known",
    }
    return Content("\n").join(
        Content.assemble((f"{name:<9}", QUIET), plain(value, limit=300)) for name, value in facts.items()
    )
