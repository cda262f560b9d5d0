"""Writes a record of a million candidates in a minute, equal to one written by negwb itself, for the benches.

Several thousand candidates, the seeds, are inserted with their verdicts through negwb's functions. All others are
copies of the seeds' rows in SQL. Values that differ between candidates are computed by negwb again: the audit flag, the
queue slots, the priorities. A test compares the result with the same drafts inserted one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text

from benchmarks.speed.support.harness import report_progress
from curation_db.enums import Kind, NegationType, Question, Role, Stream
from curation_db.events.annotators import Actor, begin_session
from curation_db.events.state import FoldEvent, Overlap, fold
from curation_db.lint.index import mark_conflicts
from curation_db.queue import groups
from curation_db.queue.audit_order import audit_number
from curation_db.queue.ordering import DEFAULT_ORDERING, refresh_priorities
from curation_db.review import candidates
from curation_db.review.candidates import (
    Intake,
    NewCandidate,
    NewVerdict,
    audit_key,
    insert_candidates,
    insert_verdicts,
)
from curation_db.storage.ids import utc_now, uuid7
from curation_db.storage.store import Store

PERSON = "ana"
"""The annotator of the benches; their votes are at the head of the queue."""
SOURCE = "bench"
JUDGES = ("llava-1.6-7b", "qwen2.5-vl-7b")
INTAKE = Intake(overlap="2")
ELAPSED_MS = 2_000

_PER_IMAGE = 10
_CAPTIONS_PER_IMAGE = 5
_PER_CAPTION = _PER_IMAGE // _CAPTIONS_PER_IMAGE
_FIRST_MARKER = 10_000
_PER_COMMIT = 20
"""Copies of the seeds per transaction; few, so that the write-ahead log stays small."""

_SUBJECTS = (
    "a man",
    "an old woman",
    "two boys",
    "a young child",
    "a brown dog",
    "a group of people",
    "a smiling couple",
)
_ACTIONS = ("riding a bicycle", "looking at a phone", "eating a sandwich", "waiting in line", "sitting on a bench")
_PLACES = ("in the rain", "on a busy city street at night", "near the ocean", "in front of a large crowd")
_CONCEPTS = ("umbrella", "hat", "backpack", "traffic light", "handbag", "surfboard", "dog", "skateboard", "bottle")


@dataclass(frozen=True, slots=True)
class Size:
    """Size of a record."""

    candidates: int = 1_000_000
    """A multiple of `seeds`."""
    seeds: int = 5_000
    """A multiple of ten, the number of candidates per image."""
    voted: int = 100_000
    """First votes of `PERSON`, all at the head of the default ordering."""

    @property
    def images(self) -> int:
        """Number of distinct image files; every copy of an image uses the same file."""
        return self.seeds // _PER_IMAGE

    @property
    def copies(self) -> int:
        """Number of copies of the seeds in the record, with the seeds themselves."""
        return self.candidates // self.seeds


# -- content -----------------------------------------------------------------------------------------------------


def image_file(image: int, size: Size) -> str:
    """Return the file name of this image."""
    return f"{(image - 1) % size.images:04}.jpg"


def marker_word(number: int, size: Size) -> str:
    """Return a word that the caption and the text of this candidate contain, and those of few other candidates."""
    return str(_FIRST_MARKER + (number - 1) % size.seeds // _PER_CAPTION)


def draft(number: int, size: Size) -> NewCandidate:
    """Return the candidate with this id."""
    copy, seed = divmod(number - 1, size.seeds)
    subject, action, place, concept = _phrases(seed)
    return NewCandidate(
        source_id=1,
        key=f"bench/{copy:04}/{seed}",
        image_id=(number - 1) // _PER_IMAGE + 1,
        caption_id=(number - 1) // _PER_CAPTION + 1,
        raw_text=f"{subject} with no {concept} {action} next to bus {marker_word(number, size)} {place}",
        concept=concept,
        concept_confidence=1.0,
        negation_type=NegationType.ABSENCE,
        pipeline="P1",
        generator="bench",
        prompt_version="1",
    )


def caption(number: int, size: Size) -> str:
    """Return the caption with this id; every third caption names a concept that a candidate of the image negates."""
    seed = (number - 1) * _PER_CAPTION % size.seeds
    subject, action, place, _ = _phrases(seed)
    beside = f" beside a {_phrases(seed + 2)[3]}" if seed % 3 == 0 else ""
    return f"{subject} {action} next to bus {marker_word(seed + 1, size)} {place}{beside}"


def _phrases(seed: int) -> tuple[str, str, str, str]:
    phrase = seed // _PER_CAPTION  # the candidates of one caption differ in the negated concept
    listed = (_SUBJECTS, phrase), (_ACTIONS, phrase // 3), (_PLACES, phrase // 2), (_CONCEPTS, seed)
    subject, action, place, concept = (phrases[index % len(phrases)] for phrases, index in listed)
    return subject, action, place, concept


def probability(number: int, judge: int) -> float:
    """Return P(present) of a judge for the candidate: spread over 0..1, deterministic."""
    return round((number * 2_654_435_761 + (judge + 1) * 1_640_531_527 * (number % 97 + 1)) % 2**32 / 2**32, 4)


def verdicts_of(number: int) -> Iterator[NewVerdict]:
    """Yield the verdicts on the candidate."""
    for judge, name in enumerate(JUDGES):
        yield NewVerdict(
            candidate_id=number,
            judge=name,
            model=name,
            prompt_version="1",
            question=Question.PRESENT,
            p=probability(number, judge),
            label_mass=0.99,
            raw_text="yes" if probability(number, judge) >= 0.5 else "no",
            latency_ms=120.0,
        )


# -- writing ----------------------------------------------------------------------------------------------------


def fill(store: Store, size: Size) -> Actor:
    """Fill an empty record; return the session in which `PERSON` voted."""
    fill_seeds(store, size)
    _copy_seeds(store, size)
    return vote(store, size)


def fill_seeds(store: Store, size: Size) -> None:
    """Fill an empty record with the seeds alone."""
    with store.write() as connection:
        add_images(connection, range(1, size.images + 1), size)
        insert_candidates(connection, [draft(number, size) for number in range(1, size.seeds + 1)], INTAKE)
        insert_verdicts(connection, [each for number in range(1, size.seeds + 1) for each in verdicts_of(number)])


def add_images(connection: Connection, images: range, size: Size) -> None:
    """Insert images with their captions and annotated objects."""
    connection.execute(text("INSERT INTO source(id, name) VALUES (1, :name) ON CONFLICT DO NOTHING"), {"name": SOURCE})
    connection.execute(
        text("""INSERT INTO image(id, source_id, key, file_name, width, height)
                VALUES (:id, 1, :key, :file, 640, 480)"""),
        [{"id": each, "key": _key(each, size.images), "file": image_file(each, size)} for each in images],
    )
    first, last = (images[0] - 1) * _CAPTIONS_PER_IMAGE + 1, images[-1] * _CAPTIONS_PER_IMAGE
    connection.execute(
        text("""INSERT INTO caption(id, source_id, key, image_id, text, raw_sha256)
                VALUES (:id, 1, :key, :image, :text, zeroblob(32))"""),
        [
            {
                "id": each,
                "key": _key(each, size.images * _CAPTIONS_PER_IMAGE),
                "image": (each - 1) // _CAPTIONS_PER_IMAGE + 1,
                "text": caption(each, size),
            }
            for each in range(first, last + 1)
        ],
    )
    connection.execute(
        text("INSERT INTO image_object(image_id, category, count) VALUES (:image, :category, :count)"),
        [
            {"image": each, "category": _CONCEPTS[(each % size.images + 2 * step) % len(_CONCEPTS)], "count": step}
            for each in images
            for step in (1, 2, 3)
        ],
    )


def _key(number: int, in_a_copy: int) -> str:
    copy, seed = divmod(number - 1, in_a_copy)
    return f"bench/{copy:04}/{seed}"


def _copy_seeds(store: Store, size: Size) -> None:
    """Copy the seeds, several copies per transaction."""
    for start in range(1, size.copies, _PER_COMMIT):
        with store.write() as connection:
            _prepare(connection)
            for copy in range(start, min(start + _PER_COMMIT, size.copies)):
                _copy(connection, copy, size)
        report_progress(f"{min(start + _PER_COMMIT, size.copies) * size.seeds:,} candidates")


def _prepare(connection: Connection) -> None:
    """Register the SQL functions that call negwb."""
    driver = connection.connection.dbapi_connection
    assert driver is not None
    key = audit_key(connection)
    driver.create_function("audit_number", 2, lambda source, name: audit_number(key, source, name))
    driver.create_function("judged", 2, lambda number, judge: probability(number, JUDGES.index(judge)))


def _copy(connection: Connection, copy: int, size: Size) -> None:
    """Insert one copy of the seeds with their images, captions, objects and verdicts."""
    image, caption, number = size.images * copy, size.images * _CAPTIONS_PER_IMAGE * copy, size.seeds * copy
    key = f"replace(key, 'bench/0000/', 'bench/{copy:04}/')"
    _copy_rows(connection, "image", f"id <= {size.images}", {"id": f"id + {image}", "key": key})
    _copy_rows(
        connection,
        "caption",
        f"id <= {size.images * _CAPTIONS_PER_IMAGE}",
        {"id": f"id + {caption}", "key": key, "image_id": f"image_id + {image}"},
    )
    _copy_rows(connection, "image_object", f"image_id <= {size.images}", {"image_id": f"image_id + {image}"})
    _copy_rows(
        connection,
        "candidate",
        f"id <= {size.seeds}",
        {
            "id": f"id + {number}",
            "key": key,
            "image_id": f"image_id + {image}",
            "caption_id": f"caption_id + {caption}",
            "audit": f"audit_number(source_id, {key}) < audit_rate",
        },
    )
    candidates.open_candidates(connection, number, INTAKE.overlap)
    p = f"judged(candidate_id + {number}, judge)"
    _copy_rows(
        connection,
        "verdict",
        f"candidate_id <= {size.seeds}",
        {
            "id": "NULL",
            "candidate_id": f"candidate_id + {number}",
            "p": p,
            "raw_text": f"CASE WHEN {p} >= 0.5 THEN 'yes' ELSE 'no' END",
        },
    )
    refresh_priorities(connection, range(number + 1, number + size.seeds + 1))
    mark_conflicts(connection, range(number + 1, number + size.seeds + 1))


def _copy_rows(connection: Connection, table: str, which: str, changed: Mapping[str, str]) -> None:
    columns = [row.name for row in connection.execute(text(f"SELECT name FROM pragma_table_info('{table}')"))]
    taken = ", ".join(changed.get(column, column) for column in columns)
    connection.exec_driver_sql(
        f"INSERT INTO {table}({', '.join(columns)}) SELECT {taken} FROM {table} WHERE {which} ORDER BY rowid"
    )


# -- first votes -------------------------------------------------------------------------------------------------


def head(connection: Connection, count: int) -> list[int]:
    """Return the candidates that the review stream serves first, in order."""
    rows = connection.execute(
        text("""SELECT e.candidate_id FROM queue_entry e JOIN queue_group g ON g.id = e.group_id
                WHERE e.ordering = :ordering AND g.stream = 'review'
                ORDER BY e.priority, e.candidate_id LIMIT :count"""),
        {"ordering": DEFAULT_ORDERING, "count": count},
    )
    return [row.candidate_id for row in rows]


def vote(store: Store, size: Size) -> Actor:
    """Let `PERSON` accept the head of the queue: insert the events, update the states and the queue groups."""
    actor = begin_session(store, PERSON, version="bench")
    with store.write() as connection:
        numbers = head(connection, size.voted)
        append_accepts(connection, actor, numbers)
        event = FoldEvent(1, PERSON, Role.ANNOTATOR, Kind.ACCEPT)
        status = fold([event], Overlap.parse(INTAKE.overlap))
        connection.execute(
            text("""UPDATE candidate_state SET state = :state, accepts = :accepts, wanted = :wanted, last_seq = :seq
                    WHERE candidate_id = :id"""),
            [
                {
                    "id": number,
                    "seq": seq,
                    "state": str(status.state),
                    "accepts": status.accepts,
                    "wanted": status.wanted,
                }
                for seq, number in enumerate(numbers, 1)
            ],
        )
        group = groups.group_id(connection, Stream.REVIEW, [actor.annotator_id], {})
        for number in numbers:
            groups.move(connection, number, group)
    report_progress(f"{len(numbers):,} first votes")
    return actor


def append_accepts(connection: Connection, actor: Actor, numbers: list[int], *, first: int = 1) -> None:
    """Insert the events in which `actor` accepts these candidates, numbered from `first`."""
    uids = [uuid7() for _ in numbers]
    now = utc_now()
    connection.execute(
        text("""INSERT INTO event(seq, uid, act, candidate_id, actor, role, session, stream, blind, kind, late,
                                  elapsed_ms, at)
                VALUES (:seq, :uid, :uid, :id, :actor, :role, :session, 'review', 0, 'accept', 0, :elapsed, :at)"""),
        [
            {
                "seq": seq,
                "uid": uid,
                "id": number,
                "actor": actor.name,
                "role": str(actor.role),
                "session": actor.session,
                "elapsed": ELAPSED_MS,
                "at": now,
            }
            for seq, (uid, number) in enumerate(zip(uids, numbers, strict=True), first)
        ],
    )


# -- image files --------------------------------------------------------------------------------------------------


def draw_images(folder: Path, count: int) -> int:
    """Write `count` distinct 640×480 JPEGs of about the size of COCO's; return their mean number of bytes."""
    import numpy as np  # noqa: PLC0415 -- not needed in the measured process
    from PIL import Image  # noqa: PLC0415

    folder.mkdir(parents=True)
    grain = np.random.default_rng(0).normal(0, 9, (480, 640, 3))
    for number in range(count):
        coarse = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC), dtype=np.float64)
        grained = np.clip(smooth + np.roll(grain, number * 37, axis=1), 0, 255).astype(np.uint8)
        Image.fromarray(grained).save(folder / f"{number:04}.jpg", quality=90)
    return sum(path.stat().st_size for path in folder.iterdir()) // count
