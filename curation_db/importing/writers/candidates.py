"""Writes the candidates of a batch, marks gold candidates, and compares candidates that are stored already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection

from curation_db.importing.report import WriteOutcome
from curation_db.importing.rows import (
    CandidateRow,
    RefusedRow,
    RejectReason,
    RowBatch,
    RowGenerator,
    checked_text,
    reject,
)
from curation_db.importing.writers.images import SOURCE_HINT
from curation_db.language.concepts import derive_concept
from curation_db.language.sanitize import clean
from curation_db.review.candidates import Intake, NewCandidate, insert_candidates
from curation_db.review.gold_marking import mark
from curation_db.storage import sqlite

_CONCEPT_LIMIT = 200
_GENERATOR_HINT = "if these candidates differ from the stored ones on purpose, import the file with --generator NAME"


@dataclass(frozen=True, slots=True)
class Provenance:
    """What is stored with every row of an import."""

    source: str
    generator: str
    pipeline: str
    intake: Intake
    file: str = ""
    """Name of the file, stored as the origin of known answers."""


class _Prepared(NamedTuple):
    """A candidate that may be inserted."""

    draft: NewCandidate
    digest: bytes
    """SHA-256 of the raw text: a known answer is valid for this text only."""
    row: CandidateRow


class CandidateWriter:
    def __init__(self, provenance: Provenance, source_id: int) -> None:
        self._provenance = provenance
        self._source_id = source_id

    def insert(
        self,
        connection: Connection,
        images: Mapping[str, int],
        batch: RowBatch,
        captions: Sequence[int | None],
        outcome: WriteOutcome,
    ) -> None:
        """Insert the batch's candidates; `captions` are the ids of its captions, None for a refused one."""
        prepared_rows: list[_Prepared] = []
        for row in batch.candidates:
            try:
                original = None if row.caption is None else batch.captions[row.caption].text
                prepared_rows.append(self._prepare(row, images, captions, original))
            except RefusedRow as why:
                outcome.rejects.append(reject(row.at, why))
        new = len(insert_candidates(connection, [each.draft for each in prepared_rows], self._provenance.intake))
        outcome.counts["candidates"] += new
        outcome.counts["cleaned"] += sum(
            clean(draft.raw_text) != draft.raw_text for draft in (each.draft for each in prepared_rows)
        )
        if new < len(prepared_rows):
            outcome.counts["unchanged"] += self._compare(connection, prepared_rows, outcome) - new
        if gold := [each for each in prepared_rows if each.row.gold is not None]:
            self._mark_gold(connection, gold, outcome)

    def _prepare(
        self, row: CandidateRow, images: Mapping[str, int], captions: Sequence[int | None], original: object
    ) -> _Prepared:
        caption_id = None if row.caption is None else captions[row.caption]
        if row.caption is not None and caption_id is None:
            raise RefusedRow(RejectReason.CAPTION_REFUSED, "its caption was refused")
        if row.image not in images:
            raise RefusedRow(RejectReason.UNKNOWN_IMAGE, f"no image {row.image} in the file or in the record")
        shown, digest = checked_text(row.text)
        derived = derive_concept(clean(original) if isinstance(original, str) else "", shown)
        stated = clean(row.concept or "").strip()[:_CONCEPT_LIMIT] or None
        name = row.key if row.key is not None else f"{row.image}/{digest[:8].hex()}"
        provenance = self._provenance
        generator = row.generator or RowGenerator(
            f"{provenance.generator}/{name}", provenance.generator, provenance.pipeline, None
        )
        draft = NewCandidate(
            source_id=self._source_id,
            key=generator.key,
            image_id=images[row.image],
            raw_text=str(row.text),
            pipeline=generator.pipeline,
            generator=generator.generator,
            prompt_version=generator.prompt_version,
            negation_type=row.negation_type or derived.negation_type,
            caption_id=caption_id,
            concept=stated or derived.text,
            concept_confidence=1.0 if stated else derived.confidence if derived.text else None,
            extra=row.extra,
        )
        return _Prepared(draft, digest, row)

    def _compare(self, connection: Connection, prepared_rows: Sequence[_Prepared], outcome: WriteOutcome) -> int:
        """Refuse drafts whose key the record has with another text or image; returns how many keys agree."""
        stored = self._stored(connection, ("key", "image_id", "raw_sha256"), prepared_rows)
        old = {row.key: (row.image_id, row.raw_sha256) for row in stored}
        same = set()
        for draft, digest, row in prepared_rows:
            image_id, _ = old[draft.key]
            if old[draft.key] == (draft.image_id, digest):
                same.add(draft.key)
                continue
            other, hint = ("text", _GENERATOR_HINT) if image_id == draft.image_id else ("image", SOURCE_HINT)
            message = f"candidate {draft.key} is stored with another {other}"
            outcome.refuse(row.at, RejectReason.DUPLICATE, message, hint=hint)
        return len(same)

    def _mark_gold(self, connection: Connection, rows: Sequence[_Prepared], outcome: WriteOutcome) -> None:
        """Mark the rows' candidates as gold (`curation_db.queue.gold`), new ones and stored ones."""
        stored = self._stored(connection, ("id", "key", "raw_sha256"), rows)
        ids = {(row.key, row.raw_sha256): row.id for row in stored}
        known: dict[int, CandidateRow] = {
            ids[draft.key, digest]: row for draft, digest, row in rows if (draft.key, digest) in ids
        }
        answers = {number: row.gold for number, row in known.items() if row.gold is not None}
        done = mark(connection, answers, self._provenance.file)
        outcome.counts.update(gold=done.new, gold_in_audit=done.audit)
        for number in done.other:
            outcome.refuse(
                known[number].at, RejectReason.DUPLICATE, "the candidate is stored with another known answer"
            )

    def _stored(self, connection: Connection, columns: tuple[str, ...], rows: Sequence[_Prepared]) -> list[Any]:
        """Return the stored candidates with the keys of `rows`."""
        keys = [row.draft.key for row in rows]
        return list(sqlite.select_in(connection, "candidate", columns, "key", keys, source_id=self._source_id))
