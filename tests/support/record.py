"""A small record under test, and its invariants."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from curation_db.enums import NegationType, Question, Role, State
from curation_db.events.annotators import Actor, begin_session
from curation_db.events.history_cache import events_of, overlap_sql
from curation_db.events.state import Overlap, fold
from curation_db.queue.claims import Queue
from curation_db.review.candidates import Intake, NewCandidate, NewVerdict, insert_candidates, insert_verdicts
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import Store


@dataclass
class AnnotatorSession:
    """Open session of one annotator."""

    actor: Actor
    queue: Queue
    reviewer: DecisionWriter


class Record:
    """A record under test."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, count: int, *, overlap: str = "1", audit_rate: float = 0.0) -> list[int]:
        """Add `count` candidates, each with its own image and caption; return their ids."""
        with self.store.write() as connection:
            connection.execute(text("INSERT INTO source(name) VALUES ('coco') ON CONFLICT DO NOTHING"))
            start = connection.execute(text("SELECT count(*) FROM image")).scalar_one()
            drafts = []
            for n in range(start + 1, start + count + 1):
                row = {"n": n, "key": str(n), "hash": bytes(32)}
                connection.execute(
                    text("INSERT INTO image(id, source_id, key, file_name) VALUES (:n, 1, :key, :key || '.jpg')"), row
                )
                connection.execute(
                    text("""INSERT INTO caption(id, source_id, key, image_id, text, raw_sha256)
                            VALUES (:n, 1, :key, :n, 'a woman riding a horse', :hash)"""),
                    row,
                )
                drafts.append(
                    NewCandidate(
                        source_id=1,
                        key=f"test/{n}",
                        image_id=n,
                        caption_id=n,
                        raw_text="a woman not wearing a hat riding a horse",
                        concept="hat",
                        concept_confidence=1.0,
                        negation_type=NegationType.ATTRIBUTE,
                        pipeline="P1",
                        generator="test",
                    )
                )
            return insert_candidates(connection, drafts, Intake(overlap=overlap, audit_rate=audit_rate))

    def judge(self, candidate_id: int, **probabilities: float) -> None:
        """Add a verdict P(present) of each judge."""
        with self.store.write() as connection:
            insert_verdicts(
                connection,
                [
                    NewVerdict(
                        candidate_id=candidate_id,
                        judge=judge,
                        model=judge,
                        prompt_version="1",
                        question=Question.PRESENT,
                        p=p,
                    )
                    for judge, p in probabilities.items()
                ],
            )

    def open_session(self, name: str, *, role: Role | None = None, **queue: object) -> AnnotatorSession:
        """Start a session of this annotator."""
        actor = begin_session(self.store, name, version="test", role=role)
        return AnnotatorSession(actor, Queue(self.store, actor, **queue), DecisionWriter(self.store, actor))  # type: ignore[arg-type]

    def rows(self, statement: str, **values: object) -> list[tuple[object, ...]]:
        with self.store.read() as connection:
            return [tuple(row) for row in connection.execute(text(statement), values)]

    def state(self, candidate_id: int) -> str:
        return str(self.rows("SELECT state FROM candidate_state WHERE candidate_id = :id", id=candidate_id)[0][0])

    def assert_state_matches_events(self, *, since: int = -1) -> None:
        """Check that stored states and queue entries agree with the events, of candidates with events after `since`."""
        with self.store.read() as connection:
            rows = connection.execute(
                text(f"""SELECT s.*, {overlap_sql()} AS overlap FROM candidate_state s
                         JOIN candidate c ON c.id = s.candidate_id
                        WHERE s.last_seq > :since OR c.id IN
                        (SELECT candidate_id FROM event WHERE seq > :since
                         UNION SELECT child_id FROM event WHERE seq > :since)"""),
                {"since": since},
            ).all()
            for row in rows:
                standing = fold(events_of(connection, row.candidate_id), Overlap.parse(row.overlap))
                assert (row.state, row.accepts, row.rejects, row.unsures, row.wanted, row.flagged, row.notes) == (
                    standing.state,
                    standing.accepts,
                    standing.rejects,
                    standing.unsures,
                    standing.wanted,
                    standing.flagged,
                    standing.notes,
                )
                groups = connection.execute(
                    text("""SELECT DISTINCT g.stream, g.voters FROM queue_entry e
                            JOIN queue_group g ON g.id = e.group_id WHERE e.candidate_id = :id"""),
                    {"id": row.candidate_id},
                ).all()
                assert len(groups) == 1, "one group in every ordering"
                known = connection.execute(
                    text("SELECT answer FROM gold WHERE candidate_id = :id"), {"id": row.candidate_id}
                ).scalar()
                if known is not None and standing.state is not State.SUPERSEDED:
                    assert groups[0].stream == f"gold-{known}"
                else:
                    assert (groups[0].stream == "closed") == (standing.wanted == 0)
                    assert not groups[0].stream.startswith("gold")
