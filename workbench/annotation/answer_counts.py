"""Counts of the answers of one session that were stored, and of those that were refused and are not stored.

An answer is a decision, an edit, a note, a flag, an undo or a bulk decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from curation_db.errors import CardChanged, RecordError
from curation_db.language.sanitize import counted

DECISION = "decision"


@dataclass(frozen=True, slots=True)
class RefusedAnswers:
    """Counts of refused answers, for the summary of a session."""

    answers: int
    """Stored and refused answers."""
    lost: int
    """Answers refused because the record could not be written, and not stored later."""
    overtaken: int
    """Answers refused because another annotator had changed the card."""

    @property
    def clauses(self) -> list[str]:
        """A clause for each count that is not 0."""
        clauses = []
        if self.lost:
            verb = "was refused and is" if self.lost == 1 else "were refused and are"
            clauses.append(f"{self.lost:,} of {counted(self.answers, 'answer')} {verb} not stored")
        if self.overtaken:
            verb = "is" if self.overtaken == 1 else "are"
            clauses.append(f"{counted(self.overtaken, 'answer')} {verb} not stored, since others had changed the card")
        return clauses


class AnswerCounter:
    def __init__(self) -> None:
        self.replaceable = True
        """Whether a stored answer about the same cards replaces a refused one. False for answers that were written
        before the session: each is about another card."""
        self._given = self._overtaken = 0
        self._refused: list[tuple[str, set[int]]] = []
        """The kind of each refused answer, and the cards about which no later answer was stored."""

    @property
    def refused(self) -> RefusedAnswers:
        """The counts so far."""
        return RefusedAnswers(self._given, len(self._refused), self._overtaken)

    @contextmanager
    def counting(self, cards: Iterable[int] = (), kind: str = DECISION) -> Iterator[None]:
        """Count one answer, which the block stores; a `RecordError` that leaves the block refuses it.

        Args:
            cards: The candidates that the answer is about.
        """
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
            self._refused = [refused for refused in self._refused if not _is_replaced(refused, kind, about)]


def _is_replaced(refused: tuple[str, set[int]], kind: str, about: set[int]) -> bool:
    """Return whether stored answers have replaced a refused one; for a bulk decision, about each of its cards."""
    refused_kind, remaining = refused
    if refused_kind != kind:
        return False
    remaining -= about
    return not remaining
