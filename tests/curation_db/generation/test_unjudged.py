"""Pages of candidates that lack a verdict."""

from __future__ import annotations

from sqlalchemy import text
from support.record import Record

from curation_db.enums import Kind, Question, State
from curation_db.events.annotators import begin_session
from curation_db.generation.unjudged import _PAGE, UnjudgedPage, WantedVerdict, candidates_without
from curation_db.review.candidates import NewVerdict, insert_verdicts
from curation_db.review.decisions import DecisionWriter

PRESENT = WantedVerdict("llava", Question.PRESENT, "1")
ACCEPTABLE = WantedVerdict("llava", Question.ACCEPTABLE, "1")


def page(record: Record, *wanted: WantedVerdict, **values: int) -> UnjudgedPage:
    with record.store.read() as connection:
        return candidates_without(connection, wanted, **values)


def lacking(record: Record, *wanted: WantedVerdict) -> dict[int, tuple[WantedVerdict, ...]]:
    return {each.candidate_id: each.lacking for each in page(record, *wanted).candidates}


def add_verdict(record: Record, candidate: int, wanted: WantedVerdict, p: float | None = 0.2) -> None:
    judge, question, version = wanted
    verdict = NewVerdict(
        candidate_id=candidate, judge=judge, model=judge, prompt_version=version, question=question, p=p
    )
    with record.store.write() as connection:
        insert_verdicts(connection, [verdict])


def test_a_verdict_counts_only_for_its_judge_question_and_prompt(record: Record) -> None:
    first, second, third, fourth = record.add(4)
    add_verdict(record, first, PRESENT)
    add_verdict(record, first, ACCEPTABLE, p=None)
    add_verdict(record, second, PRESENT)
    add_verdict(record, third, PRESENT._replace(prompt_version="2"))
    add_verdict(record, fourth, PRESENT._replace(judge="qwen"))
    assert lacking(record, PRESENT, ACCEPTABLE) == {
        second: (ACCEPTABLE,),
        third: (PRESENT, ACCEPTABLE),
        fourth: (PRESENT, ACCEPTABLE),
    }
    assert list(lacking(record, ACCEPTABLE)) == [second, third, fourth]
    assert lacking(record) == {}


def test_an_edit_lacks_the_verdicts_and_the_superseded_candidate_is_not_listed(record: Record) -> None:
    (number,) = record.add(1)
    add_verdict(record, number, PRESENT)
    reviewer = DecisionWriter(record.store, begin_session(record.store, "ana", version="test"))
    reviewer.edit(number, "a woman without a hat riding a horse", concept="hat")
    ((child,),) = record.rows("SELECT id FROM candidate WHERE parent_id = :id", id=number)
    assert lacking(record, PRESENT) == {child: (PRESENT,)}
    assert list(lacking(record, ACCEPTABLE)) == [child]


def test_pages_continue_to_the_last_candidate(record: Record) -> None:
    ids = record.add(10)
    for number in ids[2:7]:
        add_verdict(record, number, PRESENT)
    pages: list[list[int]] = []
    after: int | None = 0
    while after is not None:
        values = page(record, PRESENT, after_id=after, limit=2, look=4)
        pages.append([each.candidate_id for each in values.candidates])
        after = values.upto
    assert pages == [ids[:2], [], [*ids[7:9]], [ids[9]], []]
    assert page(record, PRESENT, after_id=ids[-1]) == UnjudgedPage((), None)


def test_candidates_are_filtered_by_state(record: Record) -> None:
    first, second = record.add(2)
    session = record.open_session("ana")
    session.reviewer.decide(first, Kind.ACCEPT)
    with record.store.read() as connection:
        values = candidates_without(connection, [PRESENT], states=[State.OPEN])
    assert [each.candidate_id for each in values.candidates] == [second]


def test_page_query_uses_index_lookups(record: Record) -> None:
    """The query neither sorts nor scans a table, so its time does not depend on the number of candidates."""
    values = {"wanted": "[]", "states": "[]", "after": 0, "upto": 1, "limit": 1}
    with record.store.read() as connection:
        plan = [row.detail for row in connection.execute(text(f"EXPLAIN QUERY PLAN {_PAGE.text}"), values)]
    assert "SEARCH s USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in plan
    assert not any("TEMP B-TREE" in step for step in plan)
    verdict_steps = [step for step in plan if " v " in step]
    assert verdict_steps
    assert all("COVERING INDEX" in step and "candidate_id=? AND judge=?" in step for step in verdict_steps)
