"""Creation of an edit's child: a candidate with the editor's text that replaces its parent."""

from __future__ import annotations

from sqlalchemy import Connection, text

from curation_db.enums import EDITED
from curation_db.errors import RecordError
from curation_db.events import event_clock
from curation_db.events.history_cache import overlap_sql
from curation_db.language.concepts import concept_after_edit
from curation_db.language.sanitize import clean
from curation_db.lint import index
from curation_db.review.candidates import Intake, NewCandidate, insert_candidates
from curation_db.storage.ids import uuid7

# The child is inserted with its parent's overlap. The row records that this overlap was changed (`overlaps.differing`).
_INHERIT = text("""
    INSERT INTO overlap_change(candidate_id, since, overlap, actor, at)
    SELECT :child, :born_at, overlap, actor, at FROM overlap_change WHERE candidate_id = :parent
    ORDER BY since DESC LIMIT 1
""")


def make_child(connection: Connection, parent_id: int, new_text: str, concept: str | None, *, editor: str) -> int:
    """Insert the child and return its id; the caller writes the edit as the next event.

    Raises:
        ValueError: the text is empty, or nothing is changed.
        RecordError: there is no such parent.
    """
    parent = connection.execute(
        text(f"""SELECT c.*, {overlap_sql()} AS present_overlap, t.text AS caption FROM candidate c
                 LEFT JOIN caption t ON t.id = c.caption_id WHERE c.id = :id"""),
        {"id": parent_id},
    ).first()
    if parent is None:
        raise RecordError(f"there is no candidate {parent_id}")
    concept_changed = concept is not None and clean(concept) != parent.concept
    if not clean(new_text).strip():
        raise ValueError("the text is empty")
    if clean(new_text) == parent.text and not concept_changed:
        raise ValueError("the text is unchanged")
    denied = concept_after_edit(parent.caption, parent.text, parent.concept, parent.concept_confidence, clean(new_text))
    new_concept = clean(concept) if concept else denied.text
    draft = NewCandidate(
        source_id=parent.source_id,
        key=f"edit/{uuid7()}",
        image_id=parent.image_id,
        raw_text=new_text,
        pipeline=EDITED,
        generator=editor,
        negation_type=denied.negation_type,
        caption_id=parent.caption_id,
        parent_id=parent_id,
        concept=new_concept,
        concept_confidence=None if new_concept is None else 1.0 if concept else denied.confidence,
        extra=parent.extra,
    )
    intake = Intake(overlap=parent.present_overlap, audit_rate=parent.audit_rate)
    born_at = event_clock.next_event_seq(connection)
    child = insert_candidates(connection, [draft], intake, born_at=born_at)[0]
    connection.execute(_INHERIT, {"parent": parent_id, "child": child, "born_at": born_at})
    index.index_candidates(connection, [child])
    return child
