"""A timeline as text: one line per moment with time, actor and content, grouped by day. Pure; columns fit `width`.

An undone action is struck through and also marked in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from curation_db.enums import CAUSE_TEXTS, EDITED, PROBES, Kind, PictureShown, Role, Stream
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
from workbench.tui.rendering.adjudication import decision_label, heading
from workbench.tui.rendering.card_content import GOOD, MARK, QUIET, WARN, bar, marked
from workbench.tui.rendering.line_cut import cut_line

_KIN = {RelatedCandidates.ANCESTOR: "was", RelatedCandidates.THIS: "this card", RelatedCandidates.DESCENDANT: "became"}
_NAME_CELLS, _NARROW = 16, 90
_TEXT_CELLS = 400
"""Of a related text; a longer one is cut so that cue and concept stay."""
_OLDEST, _NEWEST = 100, 900
"""Moments shown of a longer timeline, whose middle is left out: its beginning has the origin and the verdicts."""
_PICTURE = {
    PictureShown.NONE: "no image shown",
    PictureShown.CELLS: "image in half cells",
    PictureShown.PIXELS: "image in pixels",
}
BLIND = "verdicts and decisions of others are hidden until you have decided"
HIDDEN = "decisions of others are hidden until you have decided"


def timeline_content(timeline: Timeline, width: int) -> Content:
    """Return the related texts, then every event about them."""
    texts = {member.candidate_id: member for member in timeline.members}
    lines = [line for member in timeline.members for line in _member(member, texts, width)]
    if timeline.hidden:
        words = BLIND if timeline.blind else HIDDEN
        lines += [Content(""), Content.styled(f"⚠ {words}", f"bold {WARN}")]
    left_out = max(0, len(timeline.entries) - _OLDEST - _NEWEST)
    several = len(timeline.members) > 1
    day = ""
    for at, moment in enumerate(timeline.entries):
        if left_out and _OLDEST <= at < _OLDEST + left_out:
            if at == _OLDEST:
                lines += [Content(""), Content.styled(f"… {left_out:,} entries are left out here …", QUIET)]
                day = ""
            continue
        if moment.at[:10] != day:
            day = moment.at[:10]
            lines += [Content(""), heading(display_text(day, limit=10) or "undated", "UTC" if day else "")]
        lines += _moment(moment, texts, width, several=several)
    return Content("\n").join(lines)


def _member(member: FamilyMember, texts: dict[int, FamilyMember], width: int) -> list[Content]:
    """Return a related text with its number; its difference from its parent is marked."""
    before = texts.get(member.parent_id) if member.parent_id is not None else None
    label = f"{_KIN[member.relation]:<11}" if len(texts) > 1 else ""
    state = f"   {STATES[member.state].status}" if member.state is not None else ""
    content = Content.assemble(
        cut_line(
            marked(
                highlighted_spans(member.text, before.text if before else None),
                base="bold" if member.relation is RelatedCandidates.THIS else "",
            ),
            _TEXT_CELLS,
        ),
        (f"   #{member.candidate_id}{state}", QUIET),
    )
    return _beside(Content.styled(label, QUIET), content, width)


def _moment(moment: TimelineEntry, texts: dict[int, FamilyMember], width: int, *, several: bool) -> list[Content]:
    clock = display_text(moment.at[11:19] if width >= _NARROW else moment.at[11:16], limit=8)
    of = f"#{moment.candidate_id}" if several else ""
    cells = max(len(f"#{number}") for number in texts) if several else 0
    name, what = _actor_and_content(moment, texts)
    names = _NAME_CELLS if width >= _NARROW else 12
    left = Content.assemble(
        (f"{clock:<{8 if width >= _NARROW else 5}}  ", QUIET),
        (f"{of:<{cells}}  " if several else "", QUIET),
        _fitted(name, names),
        "  ",
    )
    return _beside(left, what, width)


def _beside(left: Content, right: Content, width: int) -> list[Content]:
    """Wrap `right` in its own column beside `left`."""
    indent = left.cell_length
    wrapped = right.wrap(max(16, width - indent)) or [Content("")]
    blank = Content(" " * indent)
    return [(blank if at else left) + line for at, line in enumerate(wrapped)]


def _fitted(name: str, cells: int) -> str:
    shown = display_text(name, limit=60)
    return set_cell_size(shown, cells) if cell_len(shown) <= cells else set_cell_size(shown, cells - 1) + "…"


def _actor_and_content(moment: TimelineEntry, texts: dict[int, FamilyMember]) -> tuple[str, Content]:
    """Return the actor and what happened."""
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
    return what.actor, _action(what, texts)


def _origin(what: CandidateOrigin) -> tuple[str, Content]:
    if what.pipeline == EDITED:
        return what.generator, Content.assemble(("✎ wrote this text", "bold"))
    version = f" · prompt {display_text(what.prompt_version, limit=30)}" if what.prompt_version else ""
    generation = f"{display_text(what.pipeline, limit=20)} by {display_text(what.generator, limit=40)}{version}"
    about = display_text(what.image, limit=60)
    caption = f"\nfrom “{display_text(what.caption, limit=300)}”" if what.caption else ""
    return what.source, Content.assemble(("✳ imported", "bold"), (f"   {generation} · {about}{caption}", QUIET))


def _judge(what: JudgeVerdictRow) -> Content:
    share = f"{what.p:.2f}".removeprefix("0") if what.p is not None else " – "
    beside = [f"prompt {display_text(what.prompt_version, limit=30)}"]
    beside += ["simulated"] if what.simulated else []
    beside += origin(what.method, what.label_mass, what.prior, what.seed)
    label = answer(what.question, what.p)
    return Content.assemble((bar(what.p), "$primary"), f" {share} {label}", (f"   {' · '.join(beside)}", QUIET))


def _action(what: TimelineAction, texts: dict[int, FamilyMember]) -> Content:
    content = _action_text(what, texts)
    if what.undone:
        content = content.stylize("strike dim")
        content = Content.assemble(content, ("   undone", f"italic {WARN}"))
    circumstances = " · ".join(_circumstances(what))
    return Content.assemble(content, (f"   {circumstances}" if circumstances else "", QUIET))


def _action_text(what: TimelineAction, texts: dict[int, FamilyMember]) -> Content:
    if what.kind is Kind.UNDO:
        return Content(f"{'↷ redid' if what.is_redo else '↶ undid'}: {WORDING[what.original_kind].label}")
    if what.kind in (Kind.NOTE, *PROBES):
        return _written(what)
    if what.kind is Kind.EDIT:
        child = texts.get(what.child_id or 0)
        return Content.assemble(("✎ edited it", "bold"), f" into #{child.candidate_id}" if child else "")
    if line := WORDING[what.kind].history:
        return Content(line)
    decision = decision_label(what.verdict or what.kind, what.reason, bold=True)
    if what.kind is Kind.ADJUDICATE:
        why = f", they disagreed because: {CAUSE_TEXTS[what.cause]}" if what.cause else ""
        return Content.assemble(("final decision: ", f"bold {MARK}"), decision, why)
    return Content.assemble("changed to: ", decision) if what.kind is Kind.FLIP else decision


def _written(what: TimelineAction) -> Content:
    """Return a note, or the answer about a sentence that a probe asked about."""
    words = display_text(what.note or "", limit=600)
    if what.kind is Kind.NOTE:
        return Content.assemble("✎ ", words)
    asked, verdict = "affirmed twin" if what.kind is Kind.TWIN else "paraphrase", what.verdict is Kind.ACCEPT
    return Content.assemble(f"{asked} is ", ("true" if verdict else "false", "bold"), f": “{words}”")


def _circumstances(what: TimelineAction) -> Iterable[str]:
    """Yield the circumstances of an action: role, stream, time on the card, image."""
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
    """Return the same lines without styles, for a pipe or a screen reader; undone actions are marked in words."""
    return timeline_content(timeline, width).plain.split("\n")
