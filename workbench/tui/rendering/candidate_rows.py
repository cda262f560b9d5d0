"""A candidate as a row of Browse, and in full below the list. State is shown by glyph and word, not only by colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from textual.content import Content

from curation_db.enums import Question, State
from curation_db.language.sanitize import display_text
from curation_db.lint.index import IndexProgress
from curation_db.lint.linter import RULES
from curation_db.search.query_language import QueryField, Sort, View
from curation_db.search.rows import Decision, ListedCandidate, RowVerdict
from workbench.annotation.text_spans import highlighted_spans
from workbench.annotation.wording import DECISIONS, STATES, answer, readable
from workbench.tui.rendering.card_content import BAD, GOOD, MARK, QUIET, STYLES, WARN, marked, original, plain
from workbench.tui.rendering.line_cut import cut_line
from workbench.tui.widgets.lists.grid import Column

_COLUMNS = {
    "glyph": Column("", 3),
    "state": Column("state", 14),
    "text": Column("text"),
    "concept": Column("concept", 13),
    "judges": Column("P(present)", 12),
    "checks": Column("checks", 17),
    "who": Column("decided by", 12),
}
COLUMN_SORTS = {
    "glyph": Sort.STATE,
    "state": Sort.STATE,
    "text": Sort.TEXT,
    "concept": Sort.CONCEPT,
    "judges": Sort.CONFLICT,
    "who": Sort.DECIDED,
}
"""The order that a click on the header of a column asks for."""
_DESCENDING = frozenset({Sort.NEWEST, Sort.DECIDED, Sort.CONFLICT, Sort.SIMILAR})
_NARROWEST, _NARROWER, _NARROW, _MIDDLE = 44, 66, 110, 126
_LONGEST = 400
"""Maximum characters of a text in a row."""


def columns_for(width: int, view: View) -> dict[str, Column]:
    """Return the columns that fit, with an arrow at the one that the view is ordered by; the text has priority."""
    names = ["state", "text", "judges"]
    if width < _NARROWER:
        names = ["glyph", "text"] if width < _NARROWEST else ["state", "text"]
    if width >= _NARROW:
        names = ["state", "text", "concept", "judges", "who"]
    if width >= _MIDDLE:
        names = ["state", "text", "concept", "judges", "checks", "who"]
    ordered = [name for name in names if COLUMN_SORTS.get(name) is view.sort]
    return {name: replace(_COLUMNS[name], arrow=arrow_of(view) if name in ordered else "") for name in names}


def arrow_of(view: View) -> str:
    return "↓" if (view.sort in _DESCENDING) is not view.reverse else "↑"


def cells_of(row: ListedCandidate, columns: Sequence[str], text_cells: int = _LONGEST) -> list[Content]:
    """Return the cells of a row; `text_cells`: width of the text, which is cut so that cue and concept stay."""
    return [_text(row, text_cells) if name == "text" else _CELLS[name](row) for name in columns]


def _glyph(row: ListedCandidate) -> Content:
    wording = STATES[row.state]
    return Content.assemble((wording.glyph, STYLES[wording.tone]), ("⚑" if row.flagged else "", f"bold {WARN}"))


def state(row: ListedCandidate) -> Content:
    """Return glyph and word of the state, and a flag."""
    wording = STATES[row.state]
    label = Content.styled(f"{wording.glyph} {wording.label}", STYLES[wording.tone])
    return Content.assemble(label, (" ⚑", f"bold {WARN}")) if row.flagged else label


def _text(row: ListedCandidate, cells: int) -> Content:
    """Return the text, cut to `cells`; in a list of similar candidates behind the similarity, with two digits."""
    shown = (
        plain(row.text, QUIET, limit=_LONGEST)
        if row.state is State.SUPERSEDED
        else marked((piece for piece in highlighted_spans(row.text, limit=_LONGEST)), base="")
    )
    similarity = f"{_two_digits(row.similarity)}  " if row.similarity is not None else ""
    return Content.assemble((similarity, QUIET), cut_line(shown, max(1, cells - len(similarity))))


def _two_digits(share: float) -> str:
    return "1.0" if share >= 0.995 else f"{share:.2f}".removeprefix("0")


def _concept(row: ListedCandidate) -> Content:
    return plain(row.concept, limit=60) if row.concept else Content.styled("–", QUIET)


def _judges(row: ListedCandidate) -> Content:
    """Return P(present) of the first two judges, or else the first P(fine), and whether the judges disagree."""
    if row.hidden:
        return Content.styled("blind", QUIET)
    verdicts = [verdict for verdict in row.verdicts if verdict.question is Question.PRESENT]
    if row.verdicts and not verdicts:
        return Content.assemble(
            ("fine ", QUIET), _share(row.verdicts[0]), (" ⚠" if row.conflict else "", f"bold {WARN}")
        )
    shares = Content(" ").join(_share(verdict) for verdict in verdicts[:2])
    if row.conflict:
        return Content.assemble(shares, (" ⚠", f"bold {WARN}"))
    return Content.assemble(shares, (f" +{len(verdicts) - 2}", QUIET)) if len(verdicts) > 2 else shares


def _share(verdict: RowVerdict) -> Content:
    if verdict.p is None:
        return Content.styled(" – ", QUIET)
    return Content.styled(_two_digits(verdict.p), _tone(verdict, verdict.p))


def _tone(verdict: RowVerdict, p: float) -> str:
    return GOOD if (p >= 0.5) is (verdict.question is Question.ACCEPTABLE) else BAD


def _checks(row: ListedCandidate) -> Content:
    if not row.lint:
        return Content("")
    more = f" +{len(row.lint) - 1}" if len(row.lint) > 1 else ""
    return Content.assemble(("⚠ ", WARN), str(row.lint[0]), (more, QUIET))


def _who(row: ListedCandidate) -> Content:
    if not row.decisions:
        return Content("")
    if row.hidden:
        return Content.styled("blind", QUIET)
    last = row.decisions[-1]
    more = f" +{len(row.decisions) - 1}" if len(row.decisions) > 1 else ""
    return Content.assemble((f"{DECISIONS[last.kind].glyph} ", QUIET), plain(last.actor, limit=20), (more, QUIET))


_CELLS = {
    "glyph": _glyph,
    "state": state,
    "concept": _concept,
    "judges": _judges,
    "checks": _checks,
    "who": _who,
}


# -- above the list -----------------------------------------------------------------------------------------------

_SORTS = {
    Sort.NEWEST: "newest first",
    Sort.OLDEST: "oldest first",
    Sort.DECIDED: "decided last first",
    Sort.CONFLICT: "conflict first",
    Sort.MISTAKEN: "lowest margin first",
    Sort.CONCEPT: "by concept",
    Sort.TEXT: "by text",
    Sort.STATE: "by state",
    Sort.SIMILAR: "most similar first",
}


@dataclass(frozen=True, slots=True)
class ListPosition:
    at: int
    count: int
    counting: bool
    """Whether ids are still being loaded."""
    chosen: int
    checks: IndexProgress | None
    """Progress of the lint index; None if unknown."""
    compared: float | None = None
    """Share of new images that are compared before the list is read; None: no image waits."""
    stale: bool = False
    """Whether the rows on the screen are those of the previous list."""
    changed: int = 0
    """Decisions since the list was read; its rows may no longer match the query."""
    refresh_key: str = ""


def list_status(position: ListPosition, view: View) -> Content:
    """Return the line above the list: number of selected rows, position, order, and progress of the checks."""
    more = "+" if position.counting else ""
    where = f"{position.at + 1:,} of {position.count:,}{more}"
    if position.stale or not position.count:
        where = "searching …" if position.counting else "none"
        if position.counting and position.compared is not None:
            where = f"comparing images … {position.compared:.0%}"
    backwards = ", reversed" if view.reverse else ""
    parts = [Content.styled(f"● {position.chosen:,}{more} selected", f"bold {MARK}")] if position.chosen else []
    parts.append(Content.styled(f"{where} · {_SORTS[view.sort]}{backwards}", QUIET))
    if position.changed:
        parts.append(Content.styled(f"{position.changed:,} decided here · {position.refresh_key} refresh", QUIET))
    if position.checks is not None and not position.checks.done:
        line = f"checks indexed: {position.checks.share:.0%}"
        parts.append(Content.styled(line, WARN if view.filters_by(QueryField.LINT) else QUIET))
    return Content.styled(" · ", QUIET).join(parts)


# -- in full ------------------------------------------------------------------------------------------------------


def detail(row: ListedCandidate, *, narrow: bool) -> Content:
    """Return the candidate below the list: its text, then one line per topic."""
    negated = marked(highlighted_spans(row.text, row.caption))
    if narrow:
        return Content("\n").join([negated, _verdicts_and_checks(row), _history(row)])
    lines = [
        _line("negated", negated),
        _line("caption", original(row.caption, row.text, base=QUIET) if row.caption else Content.styled("none", QUIET)),
        _line("concept", _concept_and_cue(row)),
        _line("judges", _judges_line(row)),
        _line("checks", _checks_line(row)),
        _line("decided", _history(row)),
    ]
    return Content("\n").join(lines)


def _line(name: str, content: Content) -> Content:
    return Content.assemble((f"{name:<9}", QUIET), content)


def _verdicts_and_checks(row: ListedCandidate) -> Content:
    parts = [_judges_line(row), _checks_line(row) if row.lint else Content("")]
    return Content.styled(" · ", QUIET).join(part for part in parts if part)


def _concept_and_cue(row: ListedCandidate) -> Content:
    concept = plain(row.concept, "bold", limit=60) if row.concept else Content.styled("not known", QUIET)
    cue = f"{display_text(row.cue, limit=20)} · {row.position}" if row.cue else "none"
    where = display_text(f"{row.source} {row.image}", limit=50)
    audit = ("   audit, blind" if row.hidden else "   audit") if row.audit else ""
    return Content.assemble(
        concept,
        ("   cue ", QUIET),
        cue,
        ("   type ", QUIET),
        str(row.negation_type),
        (f"   {display_text(row.pipeline, limit=20)} · {where}", QUIET),
        (audit, MARK),
    )


def _judges_line(row: ListedCandidate) -> Content:
    if row.hidden:
        return Content.styled(f"hidden until it is decided{': audit item' if row.audit else ''}", QUIET)
    if not row.verdicts:
        return Content.styled("not asked yet", QUIET)
    parts = [Content.assemble(display_text(verdict.judge, limit=24), " ", _answer(verdict)) for verdict in row.verdicts]
    line = Content("   ").join(parts)
    return Content.assemble(line, ("   ⚠ they disagree", f"bold {WARN}")) if row.conflict else line


def _answer(verdict: RowVerdict) -> Content:
    word = answer(verdict.question, verdict.p)
    if verdict.p is None:
        return Content.styled(word, QUIET)
    return Content.styled(f"{verdict.p:.2f} {word}".removeprefix("0"), _tone(verdict, verdict.p))


def _checks_line(row: ListedCandidate) -> Content:
    if not row.lint:
        return Content.styled("nothing found", QUIET)
    return Content("   ").join(Content.assemble(("⚠ ", f"bold {WARN}"), RULES[rule].finds) for rule in row.lint)


def _history(row: ListedCandidate) -> Content:
    """Return the decisions in force, unless they are hidden, and the resulting state on one line."""
    decisions = [_decision(each) for each in row.decisions if not row.hidden]
    notes = [Content.styled(f"✎ {row.notes} note{'s' if row.notes > 1 else ''}", QUIET)] if row.notes else []
    return Content.styled(" · ", QUIET).join([*decisions, *notes, state(row)])


def _decision(each: Decision) -> Content:
    reason = f" {readable(each.reason)}" if each.reason else ""
    day = each.at[:16].replace("T", " ")
    return Content.assemble(
        (f"{DECISIONS[each.kind].glyph} ", QUIET),
        plain(each.actor, "bold", limit=20),
        f" {each.kind}{reason}",
        (f" {day}", QUIET),
    )
