"""Content of a card, its lint findings, and full-text search."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from curation_db.enums import Question, State
from curation_db.errors import RecordError
from curation_db.language.object_mentions import mentions
from curation_db.lint.linter import IMAGE_EVIDENCE_RULES, LintSubject, Rule, lint
from curation_db.review.candidates import NewVerdict, insert_verdicts
from curation_db.search import fulltext
from curation_db.search.cards import card_for, load_card


def test_a_card_has_the_evidence_for_a_decision(record) -> None:
    (number,) = record.add(1)
    record.judge(number, llava=0.07, qwen=0.76)
    with record.store.write() as connection:
        connection.execute(text("INSERT INTO image_object(image_id, category, count) VALUES (1, 'hat', 2)"))
        connection.execute(
            text("""INSERT INTO caption(source_id, key, image_id, text, raw_sha256)
                    VALUES (1, 's1', 1, 'a rider with two hats', x'00')""")
        )
    ana = record.open_session("ana")
    ana.reviewer.note(number, "a note")
    ana.reviewer.note(number, "taken back")
    ana.reviewer.undo()
    with record.store.read() as connection:
        card = load_card(connection, number)
    assert (card.picture.source, card.picture.file_name, card.caption) == ("coco", "1.jpg", "a woman riding a horse")
    assert [(o.judge, o.p) for o in card.verdicts] == [("llava", 0.07), ("qwen", 0.76)]
    assert card.conflict
    assert card.siblings == ("a rider with two hats",)
    assert card.objects == {"hat": 2}
    assert card.notes == ("a note",)
    assert (card.cue, card.cue_position, card.state) == ("not", "beginning", State.OPEN)
    assert {f.rule for f in card.findings if not f.ok} == {Rule.IN_SIBLING, Rule.IN_OBJECTS}


def test_an_unknown_candidate_has_no_card(record) -> None:
    with record.store.read() as connection, pytest.raises(RecordError, match="no candidate 7"):
        load_card(connection, 7)


@pytest.mark.parametrize(
    ("words", "concept", "named"),
    [
        ("two dogs", "dog", True),
        ("a dog", "dogs", True),
        ("a hotdog stand", "dog", False),
        ("A traffic light.", "traffic light", True),
        ("traffic, lights", "traffic light", True),
        ("the women", "woman", True),
        ("three knives", "knife", True),
        ("ladies", "lady", True),
        ("some boxes", "box", True),
        ("anything", "", False),
        ("a [bracket", "[", False),
    ],
)
def test_a_text_names_a_concept_in_singular_and_plural(words: str, concept: str, named: bool) -> None:
    assert mentions(words, concept) is named


def findings(**changed: object) -> set[Rule]:
    fields = {
        "text": "a dog without a hat",
        "concept": "hat",
        "tokens": 8,
        "caption": "a dog",
        "objects": {},
        **changed,
    }
    return {finding.rule for finding in lint(LintSubject(**fields)) if not finding.ok}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"text": "a dog with a hat"}, Rule.NO_CUE),
        ({"tokens": 78}, Rule.TOO_LONG),
        ({"text": "A dog."}, Rule.UNCHANGED),
        ({"concept": "cat"}, Rule.CONCEPT_LOST),
        ({"caption": "a dog with hats"}, Rule.IN_CAPTION),
        ({"siblings": ("its hat",)}, Rule.IN_SIBLING),
        ({"objects": {"hat": 1}}, Rule.IN_OBJECTS),
    ],
)
def test_each_defect_fails_one_rule(changed: dict[str, object], rule: Rule) -> None:
    assert findings() == set()
    assert rule in findings(**changed)


def test_full_text_search_covers_texts_concepts_and_captions(record) -> None:
    first, second = record.add(2)
    child = (
        record.open_session("ana")
        .reviewer.edit(second, "a woman without her umbrella riding", concept="parasol")
        .child_id
    )
    fulltext.refresh(record.store)
    with record.store.read() as connection:
        assert fulltext.find(connection, "umbr") == [child]
        assert fulltext.find(connection, "parasol") == [child]
        assert fulltext.find(connection, "riding horse") == [first, second, child]  # by the caption
        for hostile in ("", "  ", '"', "NEAR(", "a* OR", "'; DROP TABLE event; --", "\x00"):
            fulltext.find(connection, hostile)
        assert fulltext.find(connection, "hat", limit=1) == [first]
    fulltext.refresh(record.store)
    with record.store.read() as connection:
        assert fulltext.find(connection, "umbr") == [child]


def test_a_blind_card_has_no_evidence_about_the_image(record) -> None:
    (number,) = record.add(1)
    with record.store.write() as connection:
        connection.execute(text("INSERT INTO image_object(image_id, category, count) VALUES (1, 'hat', 2)"))
        connection.execute(
            text("INSERT INTO caption(source_id, key, image_id, text, raw_sha256) VALUES (1, 's', 1, 'a hat', x'00')")
        )
    record.open_session("ben").reviewer.note(number, "I see one")
    record.open_session("ben").reviewer.toggle_flag(number)
    record.open_session("ana").reviewer.note(number, "too dark")
    with record.store.read() as connection:
        open_card, blind = (card_for(connection, number, "ana", blind=is_blind) for is_blind in (False, True))
    assert (open_card.siblings, open_card.objects, open_card.flagged) == (("a hat",), {"hat": 2}, True)
    assert {finding.rule for finding in open_card.findings} & IMAGE_EVIDENCE_RULES
    assert (blind.siblings, blind.objects, blind.flagged, blind.notes) == ((), {}, False, ("too dark",))
    assert not {finding.rule for finding in blind.findings} & IMAGE_EVIDENCE_RULES
    assert blind.text == open_card.text


def add_verdicts(record, candidate: int, question: Question, **probabilities: float | None) -> None:
    verdicts = [
        NewVerdict(candidate_id=candidate, judge=judge, model=judge, prompt_version="1", question=question, p=p)
        for judge, p in probabilities.items()
    ]
    with record.store.write() as connection:
        insert_verdicts(connection, verdicts)


@pytest.mark.parametrize(
    ("present", "acceptable", "disputed"),
    [
        ({"a": 0.1, "b": 0.9}, {}, (Question.PRESENT,)),
        ({}, {"a": 0.1, "b": 0.9}, (Question.ACCEPTABLE,)),
        ({"a": 0.1, "b": 0.2}, {"a": 0.9, "b": 0.8}, ()),
        ({"a": 0.1}, {"b": 0.9}, ()),
        ({"a": 0.1, "b": None}, {"a": None, "b": 0.9}, ()),
        ({"a": 0.1, "b": 0.9}, {"a": 0.1, "b": 0.9}, tuple(Question)),
    ],
)
def test_answers_to_different_questions_are_no_conflict(record, present, acceptable, disputed) -> None:
    """P(present) .1 and P(acceptable) .9 agree: the hat is absent, and the caption is acceptable."""
    (number,) = record.add(1)
    add_verdicts(record, number, Question.PRESENT, **present)
    add_verdicts(record, number, Question.ACCEPTABLE, **acceptable)
    with record.store.read() as connection:
        card = load_card(connection, number)
    assert card.disputed == disputed
    assert card.conflict is bool(disputed)
    marked = record.rows("SELECT 1 FROM candidate_mark WHERE mark = 'conflict'")
    assert bool(marked) is card.conflict


def test_a_verdict_on_a_card_has_its_origin(record) -> None:
    (number,) = record.add(1)
    # fmt: off
    verdict = NewVerdict(
        candidate_id=number, judge="llava", model="m", prompt_version="1", question=Question.PRESENT, p=0.2,
        label_mass=0.98, method="logprobs", prior=0.61, seed=7,
    )
    # fmt: on
    with record.store.write() as connection:
        insert_verdicts(connection, [verdict])
    record.judge(number, qwen=0.3)
    with record.store.read() as connection:
        opinions = load_card(connection, number).verdicts
    assert [(o.judge, o.method, o.label_mass, o.prior, o.seed) for o in opinions] == [
        ("llava", "logprobs", 0.98, 0.61, 7),
        ("qwen", None, None, None, None),
    ]
