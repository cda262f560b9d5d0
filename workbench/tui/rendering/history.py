"""A timeline as text: a day, then a line per moment: when, who, what. Pure; columns fit the width that is told.

What was taken back is struck through and said to be, so that neither looks alone nor memory has to tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from curation_db.enums import CAUSE_TEXTS, Kind, PictureShown, Role, Stream
from curation_db.events.in_force import DECISIONS
from curation_db.language.sanitize import display_text
from curation_db.search.candidate_history import (
    CandidateOrigin,
    ExportMembership,
    FamilyMember,
    JudgeVerdictRow,
    RelatedCandidates,
    Timeline,
    TimelineAction,
    TimelineEntry,
)
from workbench.annotation.text_spans import highlighted_spans
from workbench.annotation.wording import DECISIONS as WORDING
from workbench.annotation.wording import STATES, answer, origin, readable
from workbench.tui.rendering.adjudication import heading, verdict
from workbench.tui.rendering.card_content import GOOD, MARK, QUIET, WARN, bar, marked

_KIN = {RelatedCandidates.ANCESTOR: "was", RelatedCandidates.THIS: "this card", RelatedCandidates.DESCENDANT: "became"}
_NAME_CELLS, _NARROW = 16, 90
_MOST = 1_000
"""Moments that are shown, the newest; the command tells all."""
_PICTURE = {
    PictureShown.NONE: "no picture shown",
    PictureShown.CELLS: "picture in half cells",
    PictureShown.PIXELS: "picture in pixels",
}
BLIND = "what the judges and others say is hidden until you have decided"
HIDDEN = "what others decided is hidden until you have decided"


def told(timeline: Timeline, width: int) -> Content:
    """The family, then everything that happened to it."""
    texts = {member.candidate_id: member for member in timeline.members}
    lines = [line for member in timeline.members for line in _member(member, texts, width)]
    if timeline.hidden:
        words = BLIND if timeline.blind else HIDDEN
        lines += [Content(""), Content.styled(f"⚠ {words}", f"bold {WARN}")]
    shown = timeline.entries[-_MOST:]
    if len(shown) < len(timeline.entries):
        lines += [Content(""), Content.styled(f"{len(timeline.entries) - len(shown):,} older ones are left out", QUIET)]
    several = len(timeline.members) > 1
    day = ""
    for moment in shown:
        if moment.at[:10] != day:
            day = moment.at[:10]
            lines += [Content(""), heading(display_text(day, limit=10) or "undated", "UTC" if day else "")]
        lines += _moment(moment, texts, width, several=several)
    return Content("\n").join(lines)


def _member(member: FamilyMember, texts: dict[int, FamilyMember], width: int) -> list[Content]:
    """A text of the family with its number; its difference to the one before it is marked."""
    before = texts.get(member.parent_id) if member.parent_id is not None else None
    label = f"{_KIN[member.relation]:<11}" if len(texts) > 1 else ""
    state = f"   {STATES[member.state].status}" if member.state is not None else ""
    told = Content.assemble(
        marked(
            highlighted_spans(member.text, before.text if before else None, limit=400),
            base="bold" if member.relation is RelatedCandidates.THIS else "",
        ),
        (f"   #{member.candidate_id}{state}", QUIET),
    )
    return _beside(Content.styled(label, QUIET), told, width)


def _moment(moment: TimelineEntry, texts: dict[int, FamilyMember], width: int, *, several: bool) -> list[Content]:
    clock = display_text(moment.at[11:19] if width >= _NARROW else moment.at[11:16], limit=8)
    of = f"#{moment.candidate_id}" if several else ""
    cells = max(len(f"#{number}") for number in texts) if several else 0
    name, what = _told(moment, texts)
    names = _NAME_CELLS if width >= _NARROW else 12
    left = Content.assemble(
        (f"{clock:<{8 if width >= _NARROW else 5}}  ", QUIET),
        (f"{of:<{cells}}  " if several else "", QUIET),
        _fitted(name, names),
        "  ",
    )
    return _beside(left, what, width)


def _beside(left: Content, right: Content, width: int) -> list[Content]:
    """`right` wrapped in its own column."""
    indent = left.cell_length
    wrapped = right.wrap(max(16, width - indent)) or [Content("")]
    blank = Content(" " * indent)
    return [(blank if at else left) + line for at, line in enumerate(wrapped)]


def _fitted(name: str, cells: int) -> str:
    shown = display_text(name, limit=60)
    return set_cell_size(shown, cells) if cell_len(shown) <= cells else set_cell_size(shown, cells - 1) + "…"


def _told(moment: TimelineEntry, texts: dict[int, FamilyMember]) -> tuple[str, Content]:
    """Who, and what."""
    what = moment.content
    if isinstance(what, CandidateOrigin):
        return _origin(what)
    if isinstance(what, JudgeVerdictRow):
        return what.judge, _judge(what)
    if isinstance(what, ExportMembership):
        return what.export, Content.assemble(
            ("❄ frozen into this set", f"bold {GOOD}"),
            (f"   {readable(what.state)}, as of event {what.event:,}", QUIET),
        )
    return what.actor, _deed(what, texts)


def _origin(what: CandidateOrigin) -> tuple[str, Content]:
    if what.pipeline == "edit":
        return what.generator, Content.assemble(("✎ wrote it", "bold"))
    version = f" · prompt {display_text(what.prompt_version, limit=30)}" if what.prompt_version else ""
    made = f"{display_text(what.pipeline, limit=20)} by {display_text(what.generator, limit=40)}{version}"
    about = display_text(what.image, limit=60)
    caption = f"\nfrom “{display_text(what.caption, limit=300)}”" if what.caption else ""
    return what.source, Content.assemble(("✳ came in", "bold"), (f"   {made} · {about}{caption}", QUIET))


def _judge(what: JudgeVerdictRow) -> Content:
    """A verdict with its bar."""
    share = f"{what.p:.2f}".removeprefix("0") if what.p is not None else " – "
    beside = [f"prompt {display_text(what.prompt_version, limit=30)}"]
    beside += ["simulated"] if what.simulated else []
    beside += origin(what.method, what.label_mass, what.prior, what.seed)
    said = answer(what.question, what.p)
    return Content.assemble((bar(what.p), "$primary"), f" {share} {said}", (f"   {' · '.join(beside)}", QUIET))


def _deed(what: TimelineAction, texts: dict[int, FamilyMember]) -> Content:
    said = _said(what, texts)
    if what.undone:
        said = said.stylize("strike dim")
        said = Content.assemble(said, ("   taken back", f"italic {WARN}"))
    around = " · ".join(_around(what))
    return Content.assemble(said, (f"   {around}" if around else "", QUIET))


def _said(what: TimelineAction, texts: dict[int, FamilyMember]) -> Content:
    if what.kind is Kind.UNDO:
        return Content(f"{'↷ did again' if what.is_redo else '↶ took back'}: {WORDING[what.original_kind].label}")
    if what.kind is Kind.NOTE:
        return Content.assemble("✎ ", display_text(what.note or "", limit=600))
    if what.kind is Kind.EDIT:
        child = texts.get(what.child_id or 0)
        return Content.assemble(("✎ edited it", "bold"), f" into #{child.candidate_id}" if child else "")
    if line := WORDING[what.kind].history:
        return Content(line)
    told = verdict(what.verdict or what.kind, what.reason, bold=True)
    if what.kind is Kind.ADJUDICATE:
        why = f", they disagreed because: {CAUSE_TEXTS[what.cause]}" if what.cause else ""
        return Content.assemble(("final word: ", f"bold {MARK}"), told, why)
    return Content.assemble("on second thoughts: ", told) if what.kind is Kind.FLIP else told


def _around(what: TimelineAction) -> Iterable[str]:
    """How it came about."""
    if what.role in (Role.POLICY, Role.SYSTEM, Role.ADJUDICATOR):
        yield str(what.role)
    if what.stream is Stream.AUDIT:
        yield "audit"
    if what.blind:
        yield "blind"
    if what.elapsed_ms is not None and what.kind is not Kind.UNDO:
        yield f"{what.elapsed_ms / 1000:.1f} s on the card"
    if what.picture is not None and what.kind in DECISIONS:
        yield _PICTURE[what.picture]
        if what.zoomed:
            yield "zoomed"
    if what.late:
        yield "late"
    if what.bulk:
        yield "in bulk"


def plain_lines(timeline: Timeline, width: int) -> Sequence[str]:
    """The same for a pipe, or for who reads with the ears: what is taken back says so in words."""
    return told(timeline, width).plain.split("\n")
