"""Read a card: everything that an annotator sees about one candidate, by a few indexed look-ups."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from sqlalchemy import Connection, text

from curation_db.enums import NegationType, Question, State
from curation_db.errors import RecordError
from curation_db.events import event_log
from curation_db.lint.linter import (
    DEFAULTS,
    IMAGE_EVIDENCE_RULES,
    CorpusContext,
    Finding,
    LintSettings,
    LintSubject,
    lint,
    near_key,
    same_key,
)
from curation_db.queue.gold import must_hide

SIBLINGS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class CardVerdict:
    judge: str
    model: str
    prompt_version: str
    question: Question
    p: float | None
    raw_text: str
    simulated: bool
    label_mass: float | None
    method: str | None
    prior: float | None
    seed: int | None

    @classmethod
    def from_row(cls, row: Any) -> Self:
        """Return the verdict of a row of the table `verdict`."""
        # fmt: off
        return cls(
            row.judge, row.model, row.prompt_version, Question(row.question), row.p, row.raw_text,
            bool(row.simulated), row.label_mass, row.method, row.prior, row.seed,
        )
        # fmt: on


@dataclass(frozen=True, slots=True)
class CardImage:
    """The image of a card: `file_name` is relative to one of the folders of `source`."""

    source: str
    key: str
    file_name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One candidate with the evidence for a decision."""

    candidate_id: int
    picture: CardImage
    caption: str | None
    """The original caption."""
    text: str
    """The negated caption."""
    concept: str | None
    concept_confidence: float | None
    cue: str | None
    cue_position: str | None
    negation_type: NegationType
    pipeline: str
    generator: str
    tokens: int
    parent_text: str | None
    """The text that an edit replaced; None: not an edit."""
    verdicts: tuple[CardVerdict, ...]
    siblings: tuple[str, ...]
    """Other captions of the image, at most `SIBLINGS_SHOWN`."""
    objects: dict[str, int]
    """Annotated categories of the image with their counts."""
    findings: tuple[Finding, ...]
    state: State
    flagged: bool
    notes: tuple[str, ...]

    @property
    def disputed(self) -> tuple[Question, ...]:
        """The questions on which the judges disagree. Answers to different questions do not conflict."""
        answers = {(o.question, o.p >= 0.5) for o in self.verdicts if o.p is not None}
        return tuple(question for question in Question if {(question, True), (question, False)} <= answers)

    @property
    def conflict(self) -> bool:
        """Whether the judges disagree on any question."""
        return bool(self.disputed)


_CANDIDATE = text("""
    SELECT c.*, i.key AS image_key, i.file_name, s.name AS source_name, t.text AS caption, p.text AS parent_text,
           st.state, st.flagged, st.notes
    FROM candidate c
    JOIN image i ON i.id = c.image_id
    JOIN source s ON s.id = i.source_id
    JOIN candidate_state st ON st.candidate_id = c.id
    LEFT JOIN caption t ON t.id = c.caption_id
    LEFT JOIN candidate p ON p.id = c.parent_id
    WHERE c.id = :id
""")
_VERDICTS = text("""
    SELECT judge, model, question, p, raw_text, prompt_version, simulated, label_mass, method, prior, seed FROM verdict
    WHERE candidate_id = :id ORDER BY question DESC, judge, id
""")
_SIBLINGS = text("""
    SELECT text FROM caption WHERE image_id = :image AND id IS NOT :caption ORDER BY id LIMIT :count
""")
_OTHERS = text("""
    SELECT c.text FROM candidate c JOIN candidate_state s ON s.candidate_id = c.id
    WHERE c.image_id = :image AND c.id != :id AND s.state != 'superseded' LIMIT 50
""")
"""Fifty are enough to find a duplicate text, and take a millisecond."""
_OBJECTS = text(
    "SELECT category, count AS number FROM image_object WHERE image_id = :image ORDER BY number DESC, category"
)
_NOTES = text(f"""
    SELECT note FROM event n WHERE candidate_id = :id AND kind = 'note' AND (:actor IS NULL OR actor = :actor)
    AND NOT {event_log.undone_sql("n")} ORDER BY seq
""")


def card_for(
    connection: Connection, candidate_id: int, person: str, checks: LintSettings = DEFAULTS, *, blind: bool = False
) -> Card:
    """Return the card as this annotator may see it.

    On a gold item that the annotator has not answered, nothing reveals the known answer.

    Args:
        blind: Remove evidence about the content of the image: sibling captions, objects and findings based on them.
            The judges' verdicts stay on the card; the caller must not show them.

    Raises:
        RecordError: The candidate does not exist.
    """
    concealed = must_hide(connection, candidate_id, person)
    if not (concealed or blind):
        return load_card(connection, candidate_id, checks=checks)
    card = load_card(connection, candidate_id, notes_of=person, checks=checks)
    card = replace(card, flagged=event_log.own_flag(connection, candidate_id, person) is not None)
    if concealed and card.state is not State.SUPERSEDED:
        card = replace(card, state=State.OPEN)
    return _without_evidence(card) if blind else card


def _without_evidence(card: Card) -> Card:
    findings = tuple(finding for finding in card.findings if finding.rule not in IMAGE_EVIDENCE_RULES)
    return replace(card, siblings=(), objects={}, findings=findings)


def load_card(
    connection: Connection, candidate_id: int, *, notes_of: str | None = None, checks: LintSettings = DEFAULTS
) -> Card:
    """Return the full card of a candidate.

    Args:
        notes_of: Only the notes of this annotator; None: all notes.

    Raises:
        RecordError: The candidate does not exist.
    """
    row = connection.execute(_CANDIDATE, {"id": candidate_id}).first()
    if row is None:
        raise RecordError(f"there is no candidate {candidate_id}")
    siblings = _siblings(connection, row.image_id, row.caption_id)
    objects = {r.category: r.number for r in connection.execute(_OBJECTS, {"image": row.image_id})}
    subject = LintSubject(
        text=row.text,
        concept=row.concept,
        tokens=row.tokens,
        caption=row.caption,
        siblings=siblings,
        objects=objects,
    )
    return Card(
        candidate_id=candidate_id,
        picture=CardImage(row.source_name, row.image_key, row.file_name),
        caption=row.caption,
        text=row.text,
        concept=row.concept,
        concept_confidence=row.concept_confidence,
        cue=row.cue,
        cue_position=row.cue_position,
        negation_type=NegationType(row.negation_type),
        pipeline=row.pipeline,
        generator=row.generator,
        tokens=row.tokens,
        parent_text=row.parent_text,
        verdicts=verdicts_of(connection, candidate_id),
        siblings=siblings,
        objects=objects,
        findings=lint(subject, context=_image_context(connection, row), settings=checks),
        state=State(row.state),
        flagged=bool(row.flagged),
        notes=tuple(r.note for r in connection.execute(_NOTES, {"id": candidate_id, "actor": notes_of}))
        if row.notes
        else (),
    )


def _image_context(connection: Connection, row: Any) -> CorpusContext:
    """Count the image's other candidates; frequencies in the whole record are left to `lint_record`."""
    others = connection.execute(_OTHERS, {"image": row.image_id, "id": row.id}).scalars().all()
    if not others:
        return CorpusContext(candidates=1, same_concept=0)
    same, near = same_key(row.text), near_key(row.text)
    same_here = sum(same_key(other) == same for other in others)
    near_here = sum(near_key(other) == near for other in others) - same_here
    return CorpusContext(candidates=len(others) + 1, same_concept=0, same_here=same_here, near_here=near_here)


def _siblings(connection: Connection, image_id: int, caption_id: int | None) -> tuple[str, ...]:
    rows = connection.execute(_SIBLINGS, {"image": image_id, "caption": caption_id, "count": SIBLINGS_SHOWN})
    return tuple(row.text for row in rows)


def verdicts_of(connection: Connection, candidate_id: int) -> tuple[CardVerdict, ...]:
    return tuple(map(CardVerdict.from_row, connection.execute(_VERDICTS, {"id": candidate_id})))
