"""A candidate as a line of the browse room, and in full below it. State by glyph and word, never by colour alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
from workbench.tui.widgets.grid import Column

_COLUMNS = {
    "state": Column("state", 14),
    "text": Column("text"),
    "concept": Column("concept", 13),
    "judges": Column("P(there)", 10),
    "checks": Column("checks", 17),
    "who": Column("decided by", 10),
}
_NARROWEST, _NARROW, _MIDDLE = 60, 98, 136
_LONGEST = 400
"""Letters of a text that a line may need."""


def columns_for(width: int) -> dict[str, Column]:
    """What fits; the text comes first."""
    names = ["state", "text"] if width < _NARROWEST else ["state", "text", "judges"]
    if width >= _NARROW:
        names = ["state", "text", "concept", "judges", "who"]
    if width >= _MIDDLE:
        names = ["state", "text", "concept", "judges", "checks", "who"]
    return {name: _COLUMNS[name] for name in names}


def cells_of(row: ListedCandidate, columns: Sequence[str]) -> list[Content]:
    """The cells of a line."""
    return [_CELLS[name](row) for name in columns]


def state(row: ListedCandidate) -> Content:
    """Glyph and word, and a flag."""
    wording = STATES[row.state]
    told = Content.styled(f"{wording.glyph} {wording.label}", STYLES[wording.tone])
    return Content.assemble(told, (" ⚑", f"bold {WARN}")) if row.flagged else told


def _text(row: ListedCandidate) -> Content:
    if row.state is State.SUPERSEDED:
        return plain(row.text, QUIET, limit=_LONGEST)
    return marked((piece for piece in highlighted_spans(row.text, limit=_LONGEST)), base="")


def _concept(row: ListedCandidate) -> Content:
    return plain(row.concept, limit=60) if row.concept else Content.styled("–", QUIET)


def _judges(row: ListedCandidate) -> Content:
    """P(present) of the first two, and whether they all agree; where nobody was asked that, the first P(fine)."""
    if row.hidden:
        return Content.styled("blind", QUIET)
    asked = [said for said in row.verdicts if said.question is Question.PRESENT]
    if row.verdicts and not asked:
        return Content.assemble(
            ("fine ", QUIET), _share(row.verdicts[0]), (" ⚠" if row.conflict else "", f"bold {WARN}")
        )
    told = Content(" ").join(_share(said) for said in asked[:2])
    if row.conflict:
        return Content.assemble(told, (" ⚠", f"bold {WARN}"))
    return Content.assemble(told, (f" +{len(asked) - 2}", QUIET)) if len(asked) > 2 else told


def _share(said: RowVerdict) -> Content:
    if said.p is None:
        return Content.styled(" – ", QUIET)
    figure = "1.0" if said.p >= 0.995 else f"{said.p:.2f}".removeprefix("0")
    return Content.styled(figure, _tone(said, said.p))


def _tone(said: RowVerdict, p: float) -> str:
    return GOOD if (p >= 0.5) is (said.question is Question.ACCEPTABLE) else BAD


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
    "state": state,
    "text": _text,
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
    Sort.CONCEPT: "by concept",
    Sort.TEXT: "by text",
}


@dataclass(frozen=True, slots=True)
class ListPosition:
    """Where a person is in a list."""

    at: int
    count: int
    counting: bool
    """More may come."""
    chosen: int
    checks: IndexProgress | None
    """How far the checks are read."""


def standing(told: ListPosition, view: View) -> Content:
    """Above the list: how much is chosen, where one is, in which order, and whether the checks are read."""
    place = f"{told.at + 1:,} of {told.count:,}" if told.count else ("looking …" if told.counting else "none")
    more = "+" if told.count and told.counting else ""
    parts = [Content.styled(f"● {told.chosen:,} chosen", f"bold {MARK}")] if told.chosen else []
    parts.append(Content.styled(f"{place}{more} · {_SORTS[view.sort]}", QUIET))
    if told.checks is not None and not told.checks.done:
        line = f"checks read so far: {told.checks.share:.0%}"
        parts.append(Content.styled(line, WARN if view.filters_by(QueryField.LINT) else QUIET))
    return Content.styled(" · ", QUIET).join(parts)


# -- in full ------------------------------------------------------------------------------------------------------


def detail(row: ListedCandidate, *, narrow: bool) -> Content:
    """The candidate below the list: its text, then what is known of it, a line each."""
    negated = marked(highlighted_spans(row.text, row.caption))
    if narrow:
        return Content("\n").join([negated, _one_line(row)])
    lines = [
        _line("negated", negated),
        _line("caption", original(row.caption, row.text, base=QUIET) if row.caption else Content.styled("none", QUIET)),
        _line("denies", _denied(row)),
        _line("judges", _told_by_judges(row)),
        _line("checks", _told_by_checks(row)),
        _line("decided", _history(row)),
    ]
    return Content("\n").join(lines)


def _line(name: str, told: Content) -> Content:
    return Content.assemble((f"{name:<9}", QUIET), told)


def _one_line(row: ListedCandidate) -> Content:
    parts = [_told_by_judges(row, short=True), _told_by_checks(row) if row.lint else Content(""), _history(row)]
    return Content.styled(" · ", QUIET).join(part for part in parts if part)


def _denied(row: ListedCandidate) -> Content:
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


def _told_by_judges(row: ListedCandidate, *, short: bool = False) -> Content:
    if row.hidden:
        return Content.styled("hidden until it is decided: it is of the audit", QUIET)
    if not row.verdicts:
        return Content.styled("not asked yet", QUIET)
    told = [
        Content.assemble(display_text(said.judge, limit=10 if short else 24), " ", _answer(said))
        for said in row.verdicts
    ]
    line = Content("   ").join(told)
    return Content.assemble(line, ("   ⚠ they disagree", f"bold {WARN}")) if row.conflict else line


def _answer(said: RowVerdict) -> Content:
    word = answer(said.question, said.p)
    if said.p is None:
        return Content.styled(word, QUIET)
    return Content.styled(f"{said.p:.2f} {word}".removeprefix("0"), _tone(said, said.p))


def _told_by_checks(row: ListedCandidate) -> Content:
    if not row.lint:
        return Content.styled("nothing found", QUIET)
    return Content("   ").join(Content.assemble(("⚠ ", f"bold {WARN}"), RULES[rule].finds) for rule in row.lint)


def _history(row: ListedCandidate) -> Content:
    """Everybody's decisions that stand, in one line, and where that leaves it; who is still asked decides blind."""
    told = [_decision(each) for each in row.decisions if not row.hidden]
    notes = [Content.styled(f"✎ {row.notes} note{'s' if row.notes > 1 else ''}", QUIET)] if row.notes else []
    return Content.styled(" · ", QUIET).join([*told, *notes, state(row)])


def _decision(each: Decision) -> Content:
    reason = f" {readable(each.reason)}" if each.reason else ""
    day = each.at[:16].replace("T", " ")
    return Content.assemble(
        (f"{DECISIONS[each.kind].glyph} ", QUIET),
        plain(each.actor, "bold", limit=20),
        f" {each.kind}{reason}",
        (f" {day}", QUIET),
    )
