"""A record whose audit set is labelled and whose judge separates right candidates from wrong ones."""

from __future__ import annotations

import random

from sqlalchemy import text
from support.record import Record

from curation_db.enums import Kind, Question, Reason, Stream
from curation_db.review.candidates import NewVerdict, insert_verdicts
from curation_db.review.decisions import PresentationContext

BLIND = PresentationContext(Stream.AUDIT, blind=True, leased=False)


def fill(record: Record, *, count: int = 700, labelled: bool = True, seed: int = 0) -> dict[int, bool]:
    """Add candidates, half of them in the audit set: those with a low P(present) are right. Return the truth."""
    draw = random.Random(seed)
    with record.store.write() as connection:  # a fixed audit set
        connection.execute(
            text("INSERT INTO record_note(name, value) VALUES ('audit_key', :key) ON CONFLICT DO NOTHING"),
            {"key": bytes(16).hex()},
        )
    ids = record.add(count, audit_rate=0.5)
    truth = {number: draw.random() < 0.7 for number in ids}
    with record.store.write() as connection:
        insert_verdicts(
            connection,
            [verdict(number, draw.uniform(0, 0.3) if truth[number] else draw.uniform(0.6, 1)) for number in ids],
        )
    if labelled:
        label(record, truth)
    return truth


def verdict(number: int, p: float, prompt: str = "1") -> NewVerdict:
    return NewVerdict(
        candidate_id=number, judge="one", model="m", prompt_version=prompt, question=Question.PRESENT, p=p
    )


def label(record: Record, truth: dict[int, bool]) -> None:
    ana = record.open_session("ana").reviewer
    for (number,) in record.rows("SELECT id FROM candidate WHERE audit ORDER BY id"):
        if truth[int(str(number))]:
            ana.decide(int(str(number)), Kind.ACCEPT, shown=BLIND)
        else:
            ana.decide(int(str(number)), Kind.REJECT, reason=Reason.PRESENT, shown=BLIND)
