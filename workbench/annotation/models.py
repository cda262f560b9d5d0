"""Data classes of an annotation session: prepared card, its origin, session settings, summary, image loader.

The prefetcher's thread creates prepared cards and the front ends show them; no object is changed afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from curation_db.enums import Kind, State, Stream
from curation_db.events.event_log import PreviousDecision
from curation_db.language.sanitize import display_text
from curation_db.lint.linter import DEFAULTS, LintSettings
from curation_db.queue.claims import AUDIT_SHARE, GOLD_SHARE
from curation_db.search.cards import Card, CardImage
from curation_db.search.session_work import SessionWork
from curation_db.stats.probes import Consistency
from curation_db.storage.work_sessions import LEASE_SECONDS
from workbench.annotation.key_guard import GUARD_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.annotation.answer_counts import RefusedAnswers
    from workbench.images.decode import Thumbnail

DEPTH = 3
"""Number of prepared cards behind the shown one."""
CLOCK_CHECK_SECONDS = 5.0
"""Between two checks of the wall clock, since a waiting thread does not notice that the machine was suspended."""


Severity = Literal["information", "warning", "error"]


class CardOrigin(StrEnum):
    """The way in which a card came to be shown."""

    QUEUE = "queue"
    HISTORY = "back"
    """The annotator went back to an earlier decision."""
    SEARCH = "found"
    """Opened from a search, whatever its place in the queue."""


@dataclass(frozen=True, slots=True)
class PreparedCard:
    """A card with everything that is needed to show it."""

    card: Card
    stream: Stream
    hidden: bool
    """The verdicts must not be shown before the decision."""
    path: Path | None
    """The image file; None: not found."""
    thumbnail: Thumbnail | None
    origin: CardOrigin = CardOrigin.QUEUE
    leased: bool = True
    past: PreviousDecision | None = None
    """The annotator's earlier decision about the candidate, if it is in force."""
    asked: bool = False
    """Whether the queue needed this annotator's decision when the card was loaded."""
    second_look: bool = False
    """The pair is accepted, and the queue serves it again (`curation_db.queue.second_looks`)."""


@dataclass(frozen=True, slots=True)
class RecentDecision:
    """A decision of the annotator that is in force, for the list of the last ones."""

    kind: Kind
    reason: str | None
    text: str
    """The negated caption."""


@dataclass(frozen=True, slots=True)
class ReversedAction:
    """The action that the last undo or redo was about."""

    kind: Kind
    reason: str | None
    """The reason of a rejection."""
    candidate_id: int
    """The first candidate of a bulk decision."""
    candidates: int = 1
    """Number of candidates; above 1 for a bulk decision."""


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """State of the workspace and of the session, for the end of the queue."""

    states: dict[State, int]
    decisions: dict[Kind, int]
    """Decisions of this session that are in force."""
    fresh: int
    """Cards that the queue has for this annotator; others may hold leases on them."""
    set_aside: int
    """Cards that this annotator skipped, was unsure about or edited."""
    refused: RefusedAnswers
    """The answers of this session that are not stored."""
    edits: int = 0
    """This annotator's edits that wait for another annotator."""
    alone: bool = False
    """No other annotator decides in this record."""
    probes: Consistency = field(default_factory=Consistency)
    """The answers to probes of this session in effect."""
    work: SessionWork = field(default_factory=SessionWork)
    """Speed, answers to gold items and agreement with others in this session."""
    can_undo: bool = True
    """Whether there is an action of this annotator to undo, also of an earlier session."""
    can_redo: bool = True
    can_look_back: bool = True
    """Whether there is a decision of this annotator to show."""


def waiting_edits_line(summary: SessionSummary) -> str:
    """Return how many edits of the annotator wait, and for whom."""
    edits = f"{summary.edits:,} of your edits" if summary.edits > 1 else "1 of your edits"
    verb = "need" if summary.edits > 1 else "needs"
    if summary.alone:
        return f"{edits} {verb} a check, and you are the only annotator: check by yourself"
    return f"{edits} {verb} a second opinion"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    ordering: str = "conflict"
    audit_share: float = AUDIT_SHARE
    gold_share: float = GOLD_SHARE
    only: Stream | None = None
    """Serve only this stream."""
    probe_share: float = 0.0
    """Share of the accepts after which a probe is asked."""
    blind: bool = False
    reveal: bool = False
    """Show the verdicts on an audit card after its decision; a later change of mind is a flip."""
    goal: int = 0
    """Decisions that the annotator wants to reach in the session; 0: none."""
    checks: LintSettings = DEFAULTS
    """The lint rules whose findings a card shows."""
    guard_seconds: float = GUARD_SECONDS
    """A new card must be on the screen for so long before a key decides about it; 0 in benches."""
    depth: int = DEPTH
    is_timed: bool = True
    """Whether the time on a card is stored with the decision; a command shows no card."""
    lease_seconds: float = LEASE_SECONDS
    clock_check_seconds: float = CLOCK_CHECK_SECONDS


@dataclass(frozen=True, slots=True)
class ActionError:
    """The reason why an action failed; nothing was written."""

    message: str
    hint: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        return f"{self.message} — {self.hint}" if self.hint else self.message


class ImageLoader:
    """Finds and decodes images (see `workbench.workspace.picture_folders` and `workbench.images.decode`)."""

    def __init__(
        self,
        locate: Callable[[str, str | None], Path | None],
        decode: Callable[[Path | None, str], Thumbnail],
        folders: Callable[[str], Sequence[Path]] | None = None,
    ) -> None:
        """Args:
        locate: Returns the path of a source's file name.
        decode: Decodes the image at a path; a path of None gives a placeholder.
        folders: Returns the image folders of a source. A card of a source without one shows how to add one.
        """
        self._locate = locate
        self._decode = decode
        self._folders = folders

    def locate(self, image: CardImage) -> Path | None:
        """Return the image file; None: not found."""
        return self.locate_name(image.source, image.file_name)

    def locate_name(self, source: str, file_name: str | None) -> Path | None:
        """Return the path of a source's file name; None: not found."""
        return self._locate(source, file_name)

    def thumbnail(self, image: CardImage, path: Path | None) -> Thumbnail:
        """Return the decoded image, or the problem; may take some 10 ms."""
        source = image.source
        thumbnail = self._decode(path, image.file_name or image.key)
        if path is None and self._folders is not None and not self._folders(source):
            problem = (
                f"no image folder of {display_text(source, limit=60)} is known: negwb import FILE --pictures FOLDER"
            )
            return replace(thumbnail, problem=problem)
        return thumbnail
