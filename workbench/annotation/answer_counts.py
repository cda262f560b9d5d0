"""The answers of one session: which were stored, and which were refused and are not stored.

An answer is anything that a person asks the record to keep: a decision, an edit, a note, a flag, an undo, a bulk act.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from curation_db.errors import CardChanged, RecordError
from curation_db.language.sanitize import counted

DECISION = "decision"


@dataclass(frozen=True, slots=True)
class Refused:
    """What a session's summary says about refused answers."""

    answers: int
    """All answers that were given."""
    lost: int
    """Answers that were refused because the record could not be written, and that were not stored later."""
    overtaken: int
    """Answers that were refused because another person had changed the card."""

    @property
    def words(self) -> list[str]:
        """A sentence for each number that is not 0."""
        said = []
        if self.lost:
            verb = "was refused and is" if self.lost == 1 else "were refused and are"
            said.append(f"{self.lost:,} of {counted(self.answers, 'answer')} {verb} not stored")
        if self.overtaken:
            verb = "is" if self.overtaken == 1 else "are"
            said.append(f"{counted(self.overtaken, 'answer')} {verb} not stored, since others had changed the card")
        return said


class DecisionWriterThread:
    """Counts the answers of a session."""

    def __init__(self) -> None:
        self.replaceable = True
        """A person reads a refusal, so that a later answer about the same cards takes its place. Lines that were
        written before the session do not: each of them is about a card of its own."""
        self._given = self._overtaken = 0
        self._refused: list[tuple[str, set[int]]] = []
        """What each refused answer was, and the cards that it still lacks."""

    @property
    def refused(self) -> Refused:
        """Where it stands."""
        return Refused(self._given, len(self._refused), self._overtaken)

    @contextmanager
    def counting(self, cards: Iterable[int] = (), kind: str = DECISION) -> Iterator[None]:
        """Store one answer of this kind in the block; a `RecordError` that leaves the block refuses it."""
        about = set(cards)
        try:
            yield
        except CardChanged:
            self._given += 1
            self._overtaken += 1
            raise
        except RecordError:
            self._given += 1
            self._refused.append((kind, about))
            raise
        self._given += 1
        if self.replaceable:
            self._refused = [each for each in self._refused if not _is_replaced(each, kind, about)]


def _is_replaced(refused: tuple[str, set[int]], kind: str, about: set[int]) -> bool:
    """Whether a stored answer takes the place of a refused one; of a bulk act, card by card."""
    was, left = refused
    if was == kind:
        left -= about
    return was == kind and not left
