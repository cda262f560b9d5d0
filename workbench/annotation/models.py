"""What lies on the desk: a card made ready, how it came there, and how the work is served. No behaviour worth the name.

Made in the deck's thread, shown by the screen, changed by nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from curation_db.enums import Kind, State, Stream
from curation_db.events.event_log import PreviousDecision
from curation_db.language.sanitize import display_text
from curation_db.lint.linter import DEFAULTS, LintSettings
from curation_db.queue.claims import AUDIT_SHARE, GOLD_SHARE
from curation_db.search.cards import Card
from curation_db.storage.work_sessions import LEASE_SECONDS
from workbench.annotation.key_guard import GUARD_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.annotation.answer_counts import Refused
    from workbench.images.decode import Thumbnail

DEPTH = 3
"""So many cards are kept ready."""
CLOCK_CHECK_SECONDS = 5.0
"""Between two looks at the wall clock: waiting does not count the time in which the machine is suspended."""


Severity = Literal["information", "warning", "error"]


class CardOrigin(StrEnum):
    """How a card came into the seat."""

    QUEUE = "queue"
    BACK = "back"
    """Looking back at one's own decision."""
    FOUND = "found"
    """By name, from a search."""


@dataclass(frozen=True, slots=True)
class PreparedCard:
    """A card with all that showing it takes."""

    card: Card
    stream: Stream
    hidden: bool
    """What the judges say must not be seen before the decision."""
    path: Path | None
    """The picture's file, where it was found."""
    thumbnail: Thumbnail | None
    way: CardOrigin = CardOrigin.QUEUE
    leased: bool = True
    past: PreviousDecision | None = None
    """What this person decided about it earlier, where that stands."""
    asked: bool = False
    """When it was loaded it asked for this person's decision."""


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """Where everything stands, for the end of the queue."""

    states: dict[State, int]
    sitting: dict[Kind, int]
    """This sitting's decisions that stand."""
    fresh: int
    """Cards of the queue that this person has not passed on; others may hold them."""
    passed: int
    """Cards this person skipped or was unsure about."""
    refused: Refused
    """The answers of this session that are not stored."""
    edits: int = 0
    """This person's edits that another person is asked about."""
    alone: bool = False
    """Nobody else decides in this record."""


def waiting_edits(summary: SessionSummary) -> str:
    """How many of one's own edits wait, and for whom."""
    edits = f"{summary.edits:,} of your edits" if summary.edits > 1 else "1 of your edits"
    verb = "wait" if summary.edits > 1 else "waits"
    if summary.alone:
        return f"{edits} {verb} to be checked, and nobody else works here: check by yourself"
    return f"{edits} {verb} for another person"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """How the work is served."""

    ordering: str = "conflict"
    audit_share: float = AUDIT_SHARE
    gold_share: float = GOLD_SHARE
    only: Stream | None = None
    """Serve nothing but this stream."""
    blind: bool = False
    reveal: bool = False
    """Show what the judges say about an audit card once it is decided; a change of mind is then a flip."""
    checks: LintSettings = DEFAULTS
    """The rules of the lint that are asked."""
    guard_seconds: float = GUARD_SECONDS
    """How long a new card must be on the screen before a key decides about it (`sight`); 0: benches press at once."""
    depth: int = DEPTH
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


class PictureLoading:
    """Finds and decodes; what the desk needs of `workbench.workspace.picture_folders` and `workbench.images.decode`."""

    def __init__(
        self,
        locate: Callable[[str, str | None], Path | None],
        decode: Callable[[Path | None, str], Thumbnail],
        folders: Callable[[str], Sequence[Path]] | None = None,
    ) -> None:
        """`folders`: those of a source; where it has none, the card says how to name one."""
        self._locate = locate
        self._decode = decode
        self._folders = folders

    def locate(self, card: Card) -> Path | None:
        """The picture's file."""
        return self._locate(card.picture.source, card.picture.file_name)

    def thumbnail(self, card: Card, path: Path | None) -> Thumbnail:
        """The picture for the screen; may take a moment."""
        source = card.picture.source
        made = self._decode(path, card.picture.file_name or card.picture.key)
        if path is None and self._folders is not None and not self._folders(source):
            told = (
                f"no picture folder of {display_text(source, limit=60)} is known: negwb import FILE --pictures FOLDER"
            )
            return replace(made, problem=told)
        return made
