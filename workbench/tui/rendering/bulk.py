"""Texts of the bulk dialog: what a bulk decision would change and what it has changed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from textual.content import Content

from curation_db.enums import Kind, Reason
from curation_db.review.bulk import BulkDone
from curation_db.review.bulk_preview import BulkPreview, SkipReason
from workbench.annotation.wording import BULK, STATES, readable
from workbench.tui.rendering.card_content import QUIET, WARN, plain

if TYPE_CHECKING:
    from curation_db.search.families import Family

T = TypeVar("T")
_LEFT: dict[SkipReason, str] = {
    SkipReason.AUDIT: "in the blind audit, and not decided there yet",
    SkipReason.GOLD: "gold items: each annotator answers them alone",
    SkipReason.HELD: "leased by another session",
    SkipReason.SUPERSEDED: "replaced by an edit",
    SkipReason.DECIDED: "decided already",
    SkipReason.FINAL: "settled by an adjudicator",
    SkipReason.ALREADY: "already in that state",
    SkipReason.UNKNOWN: "no longer in the record",
}
_FAMILY_TEXT = 62
"""Characters of a text of a family; the dialog has 72 columns."""
_BECOMES = {state: wording.prediction for state, wording in STATES.items()}


def cards(count: int) -> str:
    return "1 card" if count == 1 else f"{count:,} cards"


def confirmation(preview: BulkPreview, kind: Kind, reason: Reason | None) -> Content:
    """Return what the bulk decision is about to change, and what it skips."""
    because = f": {readable(reason)}" if reason else ""
    head = f"{BULK[kind].verb.capitalize()} {cards(preview.changing)}"
    of = f" of the {preview.requested:,} selected" if preview.changing != preview.requested else ""
    lines = [Content.assemble((head, "bold"), (of, QUIET), (because, "bold")), Content("")]
    lines += _counted(preview.becomes, _BECOMES)
    if preview.left:
        lines += [Content(""), Content.styled("left out", QUIET), *_counted(preview.left, _LEFT)]
    return Content("\n").join(lines)


def nothing_to_do(preview: BulkPreview, kind: Kind) -> Content:
    """Return why there is nothing to change."""
    head = Content.styled(f"⚠ There is nothing to {BULK[kind].title} here", f"bold {WARN}")
    return Content("\n").join([head, Content(""), *_counted(preview.left, _LEFT)])


def _counted(counts: Mapping[T, int], words: Mapping[T, str]) -> list[Content]:
    rows = sorted(counts.items(), key=lambda each: -each[1])
    return [Content.assemble((f"{number:>9,}  ", "bold"), words[what]) for what, number in rows]


def outcome_line(done: BulkDone, undo_key: str) -> str:
    """Return what was changed and how to undo it, on one line."""
    if not done.changed:
        return "nothing was left to change"
    left = sum(done.left.values())
    rest = f", {left:,} left out" if left else ""
    return f"{cards(done.changed)} {BULK[done.kind].past}{rest} — {undo_key} undoes all of them"


def family(found: Family, texts: Sequence[str], *, most: int) -> list[Content]:
    """Return which cards a family has: their number, and its distinct texts, the most frequent first.

    Args:
        texts: the texts of its cards.
        most: the most texts that are listed.
    """
    others = len(found.ids) - 1
    if not others:
        return [Content("no other card repeats this one")]
    where = "on its image" if found.images == 1 else f"on {found.images:,} images"
    parts = (
        (found.same_sentence, "with the same sentence"),
        (found.same_denial, "with the same denial, images alike"),
    )
    head = Content.assemble((f"{cards(others)} repeat{'s' if others == 1 else ''} this one", "bold"), f", {where}")
    counted = Counter(texts).most_common()
    lines = [
        Content.assemble("  ", plain(text, limit=_FAMILY_TEXT), (f"  × {count:,}" if count > 1 else "", QUIET))
        for text, count in counted[:most]
    ]
    more = len(counted) - len(lines)
    rest = [Content.styled(f"  and {more:,} more {'text' if more == 1 else 'texts'}", QUIET)] if more else []
    why = " · ".join(f"{count:,} {words}" for count, words in parts if count)
    return [head, Content.styled(why, QUIET), *lines, *rest]
