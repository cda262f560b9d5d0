"""Labels of the presence of denied objects."""

from __future__ import annotations

from sqlalchemy import text
from support.audited import fill
from support.record import Record

from curation_db.stats.judge_accuracy import AuditLabels, presence_labels


def test_labels_are_read_by_kind(record: Record) -> None:
    truth = fill(record, count=60)
    with record.store.write() as connection:
        for remainder, kind in enumerate(("action", "other", "absence", "absence", "absence")):
            changed = text("UPDATE candidate SET negation_type = :kind WHERE id % 5 = :remainder")
            connection.execute(changed, {"kind": kind, "remainder": remainder})
    with record.store.read() as connection:
        audit = presence_labels(connection, AuditLabels.AUDIT)
        decided = presence_labels(connection, AuditLabels.DECIDED)
    assert {each.candidate_id: each.present for each in audit} == {
        each.candidate_id: not truth[each.candidate_id] for each in audit
    }
    assert audit
    assert all(each.candidate_id % 5 for each in audit)
    assert {each.candidate_id for each in decided} == {each.candidate_id for each in audit}
    assert all(each.concept and each.file_name for each in audit)
