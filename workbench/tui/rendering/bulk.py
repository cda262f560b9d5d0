"""What a bulk would do, and has done, in plain words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from textual.content import Content

from curation_db.enums import Kind, Reason
from curation_db.review.bulk import BulkDone
from curation_db.review.bulk_preview import BulkPreview, SkipReason
from workbench.annotation.wording import BULK, STATES, readable
from workbench.tui.rendering.card_content import QUIET, WARN

T = TypeVar("T")
_LEFT: dict[SkipReason, str] = {
    SkipReason.AUDIT: "kept for the blind audit, and not decided there yet",
    SkipReason.GOLD: "answered by each for themselves: the answer is known",
    SkipReason.HELD: "in other people's hands just now",
    SkipReason.SUPERSEDED: "replaced by an edit",
    SkipReason.FINAL: "settled by an adjudicator",
    SkipReason.ALREADY: "so already",
    SkipReason.UNKNOWN: "no longer there",
}
_BECOMES = {state: wording.prediction for state, wording in STATES.items()}


def cards(count: int) -> str:
    """So many, in words."""
    return "1 card" if count == 1 else f"{count:,} cards"


def asked(seen: BulkPreview, kind: Kind, reason: Reason | None) -> Content:
    """What is about to happen."""
    because = f": {readable(reason)}" if reason else ""
    head = f"{BULK[kind].verb.capitalize()} {cards(seen.changing)}"
    of = f" of the {seen.requested:,} chosen" if seen.changing != seen.requested else ""
    lines = [Content.assemble((head, "bold"), (of, QUIET), (because, "bold")), Content("")]
    lines += _counted(seen.becomes, _BECOMES)
    if seen.left:
        lines += [Content(""), Content.styled("left out", QUIET), *_counted(seen.left, _LEFT)]
    return Content("\n").join(lines)


def nothing(seen: BulkPreview, kind: Kind) -> Content:
    """Why there is nothing to do."""
    head = Content.styled(f"⚠ There is nothing to {BULK[kind].title} here", f"bold {WARN}")
    return Content("\n").join([head, Content(""), *_counted(seen.left, _LEFT)])


def _counted(counts: Mapping[T, int], words: Mapping[T, str]) -> list[Content]:
    rows = sorted(counts.items(), key=lambda each: -each[1])
    return [Content.assemble((f"{number:>9,}  ", "bold"), words[what]) for what, number in rows]


def told(done: BulkDone, undo_key: str) -> str:
    """What was done, and the way back, on one line."""
    if not done.changed:
        return "nothing was left to change"
    left = sum(done.left.values())
    rest = f", {left:,} left out" if left else ""
    return f"{cards(done.changed)} {BULK[done.kind].past}{rest} — {undo_key} takes all of it back"
