"""Reject a family: shows the candidates that repeat one candidate, asks for the reason once, and rejects all of them.

The family comes from `curation_db.search.families`. Images that were never compared are compared first, with a bar; a
dialog that is left meanwhile keeps what is compared.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from textual.content import Content

from curation_db.enums import Kind
from curation_db.errors import RecordError
from curation_db.review.bulk import preview
from curation_db.review.bulk_preview import BulkPreview
from curation_db.search import fulltext
from curation_db.search.families import Family, family_of
from curation_db.search.rows import page_of
from workbench.tui.rendering import bulk
from workbench.tui.rendering.card_content import WARN
from workbench.tui.screens.modals.bulk import BulkModal
from workbench.workspace.image_signatures import refresh_record, unsigned_note

if TYPE_CHECKING:
    from workbench.annotation.session import AnnotationSession
    from workbench.workspace.keymap import ActionMap

_READ = 200
"""Candidates of a family whose texts are read for the list."""
_SURE = 20
"""A larger family is confirmed by its number, too."""


class _Left(Exception):
    """The dialog was left while images were compared."""


class FamilyModal(BulkModal):
    def __init__(self, session: AnnotationSession, actions: ActionMap, number: int) -> None:
        """Args: number: the candidate whose family is rejected."""
        super().__init__(session, actions, (), Kind.REJECT, title=f"the family of card {number}")
        self._number = number
        self._family: Family | None = None
        self._texts: list[str] = []
        self._note = ""
        """About images that were not compared."""

    def _preview(self) -> BulkPreview:
        """Find the family. Runs in a thread."""
        store = self._session.store
        with contextlib.suppress(RecordError, _Left):  # read-only: what was compared before counts
            refresh_record(store, self._session.loader.pictures.locate_name, self._compared, only_new=True)
        with contextlib.suppress(RecordError):
            fulltext.refresh(store)
        with store.read() as connection:
            self._family = family_of(connection, self._number)
            self._ids = self._family.ids
            self._texts = [row.text for row in page_of(connection, self._ids[:_READ])]
            self._note = unsigned_note(connection)
            return preview(connection, self._session.actor, self._ids, self._kind)

    def _compared(self, step: str, done: int, total: int) -> None:
        if not self.is_active:
            raise _Left
        self._post_progress("comparing images", done, total)

    def about(self, preview: BulkPreview) -> list[Content]:
        if self._family is None:
            return []
        room = 6 if self.app.size.height >= 36 else 3 if self.app.size.height >= 24 else 1
        note = [Content.styled(f"⚠ {self._note}", WARN)] if self._note else []
        return [*bulk.family(self._family, self._texts, most=room), *note]

    def asks_number(self, preview: BulkPreview) -> bool:
        return preview.changing > _SURE
