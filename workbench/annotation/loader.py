"""Making a card ready to be shown: its row, its picture, and whether what the judges say must stay hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curation_db.enums import Stream
from curation_db.events.annotators import Actor
from curation_db.events.event_log import PreviousDecision
from curation_db.queue.claims import still_queued_for
from curation_db.search import queries
from curation_db.search.cards import Card, card_for
from curation_db.storage.store import Store
from workbench.annotation.models import CardOrigin, PictureLoading, PreparedCard, SessionSettings

if TYPE_CHECKING:
    from sqlalchemy import Connection


class CardLoader:
    """Everything that takes time about a card; called off the UI thread."""

    def __init__(self, store: Store, pictures: PictureLoading, person: Actor, settings: SessionSettings) -> None:
        """`person`: who will see the cards."""
        self._store = store
        self.pictures = pictures
        self._person = person
        self._settings = settings

    def card(self, connection: Connection, candidate_id: int, *, blind: bool = False) -> Card:
        """The card as this person may see it (`card_for`).

        Raises:
            RecordError: there is no such candidate.
        """
        return card_for(connection, candidate_id, self._person.name, self._settings.checks, blind=blind)

    def asks(self, connection: Connection, candidate_id: int) -> bool:
        """Whether the card asks for this person's decision now."""
        return bool(still_queued_for(connection, [candidate_id], self._person.annotator_id))

    def load(
        self, candidate_id: int, *, way: CardOrigin, leased: bool, past: PreviousDecision | None = None
    ) -> PreparedCard:
        """The card with its picture.

        Raises:
            RecordError: there is no such candidate.
        """
        with self._store.read() as connection:
            audit = queries.is_audit(connection, candidate_id)
            revealed = self._settings.reveal and past is not None and past.is_label
            hidden = self._settings.blind or (audit and not revealed)
            card = self.card(connection, candidate_id, blind=hidden)
            asks = self.asks(connection, candidate_id)
        path = self.pictures.locate(card)
        return PreparedCard(
            card,
            Stream.AUDIT if audit else Stream.REVIEW,
            hidden=hidden,
            path=path,
            thumbnail=self.pictures.thumbnail(card, path),
            way=way,
            leased=leased,
            past=past,
            asked=asks,
        )
