"""From rows to the record: resolves keys to ids, inserts what is new, and compares what is not.

The fast path is one INSERT that passes over rows whose key is there. Only when fewer went in than were sent are the
old ones looked at: the same content is no news, other content is refused. Nothing in the record is overwritten.

What an earlier import did not know is filled in, and marked with the moment (`moments`) from which exports show it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from curation_db import dialect, marks, moments
from curation_db.candidates import Draft, Intake, insert_candidates
from curation_db.concepts import derive_concept
from curation_db.importing.outcome import Outcome
from curation_db.importing.rows import (
    At,
    Batch,
    CandidateRow,
    CaptionRow,
    Making,
    ObjectRow,
    Reason,
    RefusedRow,
    prepared,
    reject,
)
from curation_db.importing.writers.gold import GoldRow, mark_rows
from curation_db.importing.writers.images import SOURCE_HINT, PictureWriter
from curation_db.importing.writers.questions import insert_questions
from curation_db.text import clean

_CAPTION_COLUMNS = ("source_id", "key", "image_id", "text", "raw_sha256")
_CONCEPT_LIMIT = 200
_GENERATOR_HINT = "if these are other proposals than those of the record, import the file with --generator NAME"


@dataclass(frozen=True, slots=True)
class Provenance:
    """What is noted with every row of an import."""

    source: str
    generator: str
    pipeline: str
    intake: Intake
    file: str = ""
    """Its name; known answers are told to be from there."""


class Writer:
    """Writes batches of one import."""

    def __init__(self, provenance: Provenance) -> None:
        self._provenance = provenance
        self.pictures = PictureWriter(provenance.source)
        self._source_id = 0

    def write(self, connection: Connection, batch: Batch) -> Outcome:
        """Put `batch` into the record, inside the caller's transaction."""
        outcome = Outcome()
        if not self._source_id:
            self._source_id = self.pictures.source_id = _source_id(connection, self._provenance.source)
        if batch.licenses:
            self._licenses(connection, batch.licenses)
        if batch.images:
            self.pictures.insert(connection, batch.images, outcome)
        self.pictures.refuse_references(batch, outcome)
        captions = self._insert_captions(connection, batch, outcome) if batch.captions else []
        if batch.candidates:
            self._insert_candidates(connection, batch, captions, outcome)
        if batch.objects:
            self._insert_objects(connection, batch.objects, outcome)
        if batch.questions:
            images = self.pictures.resolve(connection, [row.image for row in batch.questions])
            counts, wrong = insert_questions(connection, self._source_id, images, batch.questions)
            outcome.counts.update(counts)
            outcome.rejects += wrong
        return outcome

    def _licenses(self, connection: Connection, licenses: str) -> None:
        """The first file that names licences does so for its source."""
        written = connection.execute(
            text("UPDATE source SET licenses = :licenses, licenses_since = :since WHERE id = :id AND licenses IS NULL"),
            {"licenses": licenses, "id": self._source_id, "since": moments.coming(connection)},
        )
        if written.rowcount:
            moments.came_in(connection, moments.Arrival.DETAILS)

    # -- captions

    def _insert_captions(self, connection: Connection, batch: Batch, outcome: Outcome) -> list[int | None]:
        """Insert the captions; returns their ids in order where the batch's candidates need them."""
        images = self.pictures.resolve(connection, [row.image for row in batch.captions])
        source_id, sent, ats = self._source_id, [], []
        cleaned = 0
        for number, row in enumerate(batch.captions):
            key, image, raw, at = row
            try:
                shown, digest = prepared(raw)
                image_id = images[image]
            except RefusedRow as why:
                outcome.rejects.append(reject(at, why))
            except KeyError:
                if not image:
                    continue  # told already
                outcome.refuse(at, Reason.UNKNOWN_IMAGE, f"no image {image} in the file or in the record")
            else:
                cleaned += shown is not raw and shown != raw
                sent.append((source_id, key or f"{image}/{digest[:8].hex()}", image_id, shown, digest))
                ats.append(number)
        outcome.counts["cleaned"] += cleaned
        ids = self._store_captions(connection, batch, sent, ats, outcome)
        return [ids.get(number) for number in range(len(batch.captions))] if batch.candidates else []

    def _store_captions(
        self,
        connection: Connection,
        batch: Batch,
        sent: list[tuple[int, str, int, str, bytes]],
        numbers: list[int],
        outcome: Outcome,
    ) -> dict[int, int]:
        """Insert prepared captions, and compare those that were there; ids by place in the batch."""
        ids = self._known_texts(connection, batch.captions, sent, numbers)
        if ids:
            outcome.counts["unchanged"] += len(ids)
            left = [place for place, number in enumerate(numbers) if number not in ids]
            sent, numbers = [sent[place] for place in left], [numbers[place] for place in left]
        new = dialect.insert_many(connection, "caption", _CAPTION_COLUMNS, sent)
        outcome.counts["captions"] += new
        if new:
            marks.look_again(connection, (row[2] for row in sent))
        if new == len(sent) and not batch.candidates:
            return ids
        columns = ("id", "key", "image_id", "raw_sha256")
        keys = [row[1] for row in sent]
        found = dialect.select_in(connection, "caption", columns, "key", keys, source_id=self._source_id)
        old = {row.key: row for row in found}
        same = set()
        for (_, key, image_id, _, digest), number in zip(sent, numbers, strict=True):
            if (old[key].image_id, old[key].raw_sha256) == (image_id, digest):
                ids[number] = old[key].id
                same.add(key)
                continue
            other = "text" if old[key].image_id == image_id else "picture"
            outcome.refuse(
                batch.captions[number].at,
                Reason.DUPLICATE,
                f"caption {key} is there with another {other}",
                hint=SOURCE_HINT,
            )
        # the same caption twice in a batch is one row that went in, not one that was there
        outcome.counts["unchanged"] += len(same) - new
        return ids

    def _known_texts(
        self,
        connection: Connection,
        rows: list[CaptionRow],
        sent: list[tuple[int, str, int, str, bytes]],
        numbers: list[int],
    ) -> dict[int, int]:
        """Captions without an id of their own that their picture has already, under whatever key."""
        nameless = {number: place for place, number in enumerate(numbers) if rows[number].key is None}
        if not nameless:
            return {}
        images = sorted({sent[place][2] for place in nameless.values()})
        columns = ("id", "image_id", "raw_sha256")
        found = dialect.select_in(connection, "caption", columns, "image_id", images)
        known = {(row.image_id, row.raw_sha256): row.id for row in sorted(found, key=lambda row: -row.id)}
        texts = ((number, (sent[place][2], sent[place][4])) for number, place in nameless.items())
        return {number: known[told] for number, told in texts if told in known}

    # -- candidates

    def _insert_candidates(
        self, connection: Connection, batch: Batch, captions: list[int | None], outcome: Outcome
    ) -> None:
        images = self.pictures.resolve(connection, [row.image for row in batch.candidates])
        drafts: list[tuple[Draft, bytes, At]] = []
        gold: list[GoldRow] = []
        for row in batch.candidates:
            try:
                original = None if row.caption is None else batch.captions[row.caption].text
                drafts.append(self._draft(row, images, captions, original))
            except RefusedRow as why:
                outcome.rejects.append(reject(row.at, why))
            else:
                if row.gold is not None:
                    gold.append(GoldRow(drafts[-1][0].key, drafts[-1][1], row.gold, row.at))
        new = len(insert_candidates(connection, [draft for draft, _, _ in drafts], self._provenance.intake))
        outcome.counts["candidates"] += new
        outcome.counts["cleaned"] += sum(clean(draft.raw_text) != draft.raw_text for draft, _, _ in drafts)
        if new < len(drafts):
            outcome.counts["unchanged"] += self._compare_candidates(connection, drafts, outcome) - new
        if gold:
            counts, wrong = mark_rows(connection, self._source_id, self._provenance.file, gold)
            outcome.counts.update(counts)
            outcome.rejects += wrong

    def _draft(
        self, row: CandidateRow, images: dict[str, int], captions: list[int | None], original: object
    ) -> tuple[Draft, bytes, At]:
        caption_id = None if row.caption is None else captions[row.caption]
        if row.caption is not None and caption_id is None:
            raise RefusedRow(Reason.CAPTION_REFUSED, "its caption was refused")
        if row.image not in images:
            raise RefusedRow(Reason.UNKNOWN_IMAGE, f"no image {row.image} in the file or in the record")
        shown, digest = prepared(row.text)
        derived = derive_concept(clean(original) if isinstance(original, str) else "", shown)
        stated = clean(row.concept or "").strip()[:_CONCEPT_LIMIT] or None
        name = row.key if row.key is not None else f"{row.image}/{digest[:8].hex()}"
        provenance = self._provenance
        made = row.made or Making(f"{provenance.generator}/{name}", provenance.generator, provenance.pipeline, None)
        draft = Draft(
            source_id=self._source_id,
            key=made.key,
            image_id=images[row.image],
            raw_text=str(row.text),
            pipeline=made.pipeline,
            generator=made.generator,
            prompt_version=made.prompt_version,
            negation_type=row.negation_type or derived.negation_type,
            caption_id=caption_id,
            concept=stated or derived.text,
            concept_confidence=1.0 if stated else derived.confidence if derived.text else None,
            extra=row.extra,
        )
        return draft, digest, row.at

    def _compare_candidates(
        self, connection: Connection, drafts: list[tuple[Draft, bytes, At]], outcome: Outcome
    ) -> int:
        """Refuse drafts whose key the record has with another text or picture; returns how many keys agree."""
        keys = [draft.key for draft, _, _ in drafts]
        columns = ("key", "image_id", "raw_sha256")
        found = dialect.select_in(connection, "candidate", columns, "key", keys, source_id=self._source_id)
        old = {row.key: (row.image_id, row.raw_sha256) for row in found}
        same = set()
        for draft, digest, at in drafts:
            if old[draft.key] == (draft.image_id, digest):
                same.add(draft.key)
            else:
                other, hint = (
                    ("text", _GENERATOR_HINT) if old[draft.key][0] == draft.image_id else ("picture", SOURCE_HINT)
                )
                told = f"candidate {draft.key} is there with another {other}"
                outcome.refuse(at, Reason.DUPLICATE, told, hint=hint)
        return len(same)

    # -- objects

    def _insert_objects(self, connection: Connection, rows: list[ObjectRow], outcome: Outcome) -> None:
        images = self.pictures.resolve(connection, [row.image for row in rows])
        known = []
        for row in rows:
            if row.image in images:
                known.append(row)
            else:
                outcome.refuse(row.at, Reason.UNKNOWN_IMAGE, f"no image {row.image} in the file or in the record")
        sent = [(images[row.image], row.category, row.number) for row in known]
        new = dialect.insert_many(connection, "image_object", ("image_id", "category", "count"), sent)
        outcome.counts["objects"] += new
        if new:
            marks.look_again(connection, (row[0] for row in sent))
        if new == len(sent):
            return
        columns = ("image_id", "category", "count")
        found = dialect.select_in(connection, "image_object", columns, "image_id", [each[0] for each in sent])
        old = {(row[0], row[1]): row[2] for row in found}
        changed = [
            (row, old[image, name]) for row, (image, name, n) in zip(known, sent, strict=True) if old[image, name] != n
        ]
        for row, count in changed:
            told = f"the record counts {count} × {row.category} in picture {row.image}, not {row.number}"
            outcome.refuse(row.at, Reason.DUPLICATE, told)
        outcome.counts["unchanged"] += len(sent) - new - len(changed)


def _source_id(connection: Connection, name: str) -> int:
    connection.execute(text("INSERT INTO source(name) VALUES (:name) ON CONFLICT DO NOTHING"), {"name": name})
    return int(connection.execute(text("SELECT id FROM source WHERE name = :name"), {"name": name}).scalar_one())
