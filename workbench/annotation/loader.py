"""Loads cards: the rows of a candidate, its image, and whether the verdicts are hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curation_db.enums import Stream
from curation_db.events.annotators import Actor
from curation_db.events.event_log import PreviousDecision
from curation_db.queue.claims import Claim
from curation_db.search import queries
from curation_db.search.cards import Card, card_for
from curation_db.storage.store import Store
from workbench.annotation.models import CardOrigin, ImageLoader, PreparedCard, SessionSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sqlalchemy import Connection


class CardLoader:
    """Loader of cards. It reads the record and decodes images, so it is not called in the thread of the screen."""

    def __init__(
        self,
        store: Store,
        pictures: ImageLoader,
        annotator: Actor,
        settings: SessionSettings,
        wanted: Callable[[Connection, Collection[int]], set[int]],
    ) -> None:
        """Args:
        wanted: Returns those of a few candidates that are still to be decided by this annotator (`Queue.wanted`).
        """
        self._store = store
        self._wanted = wanted
        self.pictures = pictures
        self._annotator = annotator
        self._settings = settings

    def card(self, connection: Connection, candidate_id: int, *, blind: bool = False) -> Card:
        """Return the card as this annotator may see it (see `card_for`).

        Raises:
            RecordError: The candidate does not exist.
        """
        return card_for(connection, candidate_id, self._annotator.name, self._settings.checks, blind=blind)

    def asks(self, connection: Connection, candidate_id: int) -> bool:
        """Return whether the queue needs this annotator's decision about the candidate."""
        return bool(self._wanted(connection, [candidate_id]))

    def load_claimed(self, claim: Claim) -> PreparedCard:
        """Return the card of a claim; a second look comes with the annotator's earlier decision."""
        if not claim.second_look:
            return self.load(claim.candidate_id, origin=CardOrigin.QUEUE, leased=True)
        with self._store.read() as connection:
            past = queries.own_decision_in_force(connection, self._annotator.name, claim.candidate_id)
        return self.load(claim.candidate_id, origin=CardOrigin.QUEUE, leased=True, past=past, second_look=True)

    def load(
        self,
        candidate_id: int,
        *,
        origin: CardOrigin,
        leased: bool,
        past: PreviousDecision | None = None,
        second_look: bool = False,
        with_image: bool = True,
    ) -> PreparedCard:
        """Return the card, with its image decoded unless `with_image` is False.

        Raises:
            RecordError: The candidate does not exist.
        """
        with self._store.read() as connection:
            audit = queries.is_audit(connection, candidate_id)
            revealed = self._settings.reveal and past is not None and past.is_label
            hidden = self._settings.blind or (audit and not revealed)
            card = self.card(connection, candidate_id, blind=hidden)
            asks = self.asks(connection, candidate_id)
        path = self.pictures.locate(card.picture)
        return PreparedCard(
            card,
            Stream.AUDIT if audit else Stream.REVIEW,
            hidden=hidden,
            path=path,
            thumbnail=self.pictures.thumbnail(card.picture, path) if with_image else None,
            origin=origin,
            leased=leased,
            past=past,
            asked=asks,
            second_look=second_look,
        )
