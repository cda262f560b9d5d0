"""Views, pages and facets against a slow filter over all rows."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import text
from support.examples import examples
from support.record import Record

from curation_db.enums import Kind, NegationType, Question, Reason, Role, State
from curation_db.events.history_cache import events_of
from curation_db.events.in_force import decisions_in_force
from curation_db.language.nouns import concept_key
from curation_db.lint import index
from curation_db.lint.corpus_counts import near_text
from curation_db.lint.linter import Rule
from curation_db.queue.margins import MarginSource, PairMargin, store_margins
from curation_db.review.candidates import Intake, NewCandidate, NewVerdict, insert_candidates, insert_verdicts
from curation_db.search import families, fulltext, search, similar
from curation_db.search.facets import FACETS, facets, unknown_name
from curation_db.search.query_language import CLOSED, QueryField, Sort, Term, TermMeaning, Value, View, parse_view
from curation_db.search.rows import page_of
from curation_db.similarity.signature_cache import refresh
from curation_db.similarity.words import AskedText, inverse_frequency, words_of
from curation_db.storage import sqlite
from curation_db.storage.store import Store, create_store

# fmt: off
_TEXTS = (
    "a man with no hat", "a woman without a red hat", "No dogs in the park", "a park, not a street",
    "nobody rides the horse", "a horse is not riding", "a bench with no bench", "a man not wearing a hat on a bench",
)
# fmt: on
_CONCEPTS = ("hat", "Hat", "red hat", "dog", "fire hydrant", None)
_JUDGES = ("llava-1", "llava-2", "qwen")
COUNT = 90


def _fill(store: Store) -> None:
    draw = random.Random(7)
    with store.write() as connection:
        connection.execute(text("INSERT INTO source(name) VALUES ('coco'), ('mine')"))
        for n in range(1, COUNT // 2 + 1):
            connection.execute(
                text("INSERT INTO image(id, source_id, key) VALUES (:n, 1 + :n % 2, :key)"), {"n": n, "key": f"i{n}"}
            )
            for k, words in enumerate(draw.sample(("a man in a hat", "a dog", "a park with a fire hydrant"), 2)):
                connection.execute(
                    text("""INSERT INTO caption(source_id, key, image_id, text, raw_sha256)
                            VALUES (1 + :n % 2, :key, :n, :text, zeroblob(32))"""),
                    {"n": n, "key": f"{n}/{k}", "text": words},
                )
        # fmt: off
        drafts = [
            NewCandidate(
                source_id=1 + image % 2, key=f"c{n}", image_id=image, raw_text=draw.choice(_TEXTS),
                caption_id=draw.choice((None, 2 * image - 1, 2 * image)), pipeline=draw.choice(("P1", "P2")),
                generator="test", concept=draw.choice(_CONCEPTS), negation_type=draw.choice(list(NegationType)),
            )
            for n in range(COUNT)
            for image in [n // 2 + 1]
        ]
        # fmt: on
        ids = insert_candidates(connection, drafts, Intake(overlap="2", audit_rate=0.3))
        insert_verdicts(connection, [each for number in ids for each in _opinions(draw, number)])
    _decide(Record(store), ids, draw)
    measured = [(row.source, row.key) for row in _keys(store) if draw.random() < 0.7]
    margins = [PairMargin(source, key, draw.choice((-0.02, -0.01, 0.0, 0.03))) for source, key in measured]
    store_margins(store, MarginSource(run="r", model_hash="h", export="e", event_seq=0), margins)
    fulltext.refresh(store)
    marker = index.LintIndexer(store)
    while marker.step(7):
        pass


def _keys(store: Store) -> list[Any]:
    with store.read() as connection:
        statement = "SELECT s.name AS source, c.key FROM candidate c JOIN source s ON s.id = c.source_id ORDER BY c.id"
        return list(connection.execute(text(statement)).all())


def _opinions(draw: random.Random, number: int) -> Iterator[NewVerdict]:
    for judge in _JUDGES:
        for question in Question:
            if draw.random() < 0.5:
                p = draw.choice((None, 0.1, 0.4, 0.5, 0.9))
                yield NewVerdict(
                    candidate_id=number, judge=judge, model=judge, prompt_version="1", question=question, p=p
                )


def _decide(record: Record, ids: list[int], draw: random.Random) -> None:
    people = [record.open_session("ana", role=Role.ADJUDICATOR).reviewer, record.open_session("Ben").reviewer]
    for number in draw.sample(ids, 60):
        reviewer = draw.choice(people)
        match draw.choice(("accept", "reject", "unsure", "skip", "undo", "redo", "flag", "edit", "requeue", "final")):
            case "reject":
                reviewer.decide(number, Kind.REJECT, reason=draw.choice(list(Reason)))
            case "undo":
                reviewer.decide(number, Kind.REJECT, reason=Reason.PRESENT)
                reviewer.undo()
            case "redo":
                reviewer.decide(number, Kind.REJECT, reason=Reason.SCOPE)
                reviewer.undo()
                reviewer.redo()
            case "flag":
                reviewer.toggle_flag(number)
            case "edit":
                reviewer.edit(number, "a man without a dog")
            case "requeue":
                reviewer.decide(number, Kind.ACCEPT)
                people[0].requeue(number)
            case "final":
                people[0].adjudicate(number, Kind.REJECT, reason=Reason.DUPLICATE)
            case kind:
                reviewer.decide(number, Kind(kind))


class Oracle:
    """The whole record in lists, without an index."""

    def __init__(self, store: Store) -> None:
        with store.read() as connection:
            self.candidates = connection.execute(
                text("""SELECT c.*, z.state, z.wanted, z.flagged, z.last_seq, t.text AS caption, s.name AS source
                        FROM candidate c JOIN candidate_state z ON z.candidate_id = c.id
                        JOIN source s ON s.id = c.source_id LEFT JOIN caption t ON t.id = c.caption_id""")
            ).all()
            self.images = dict(connection.execute(text("SELECT id, key FROM image")).all())
            self.verdicts: dict[int, list[Any]] = defaultdict(list)
            for row in connection.execute(text("SELECT * FROM verdict")):
                self.verdicts[row.candidate_id].append(row)
            self.marks: dict[int, set[str]] = defaultdict(set)
            for row in connection.execute(text("SELECT * FROM candidate_mark")):
                self.marks[row.candidate_id].add(row.mark)
            margins = connection.execute(text("SELECT * FROM queue_entry WHERE ordering = 'mistaken'"))
            self.margins = {row.candidate_id: row.priority for row in margins}
            reasons = dict(connection.execute(text("SELECT seq, reason FROM event")).all())
            self.events = {
                row.id: [(e.actor, e.kind, reasons[e.seq]) for e in decisions_in_force(events_of(connection, row.id))]
                for row in self.candidates
            }

    def ids(self, view: View) -> list[int]:
        rows = [row for row in self.candidates if self.holds(view, row)]
        best = self.similarities(view)
        rows.sort(
            key=lambda row: (-best[row.id], row.id) if view.sort is Sort.SIMILAR else self.key(view.sort, row),
            reverse=view.reverse,
        )
        if view.sort in (Sort.CONCEPT, Sort.MISTAKEN):  # those without a value come last in both directions
            rows.sort(key=lambda row: self.key(view.sort, row)[0])
        return [row.id for row in rows]

    def holds(self, view: View, row: Any) -> bool:
        if view.depends_on_verdicts and row.audit and row.wanted > 0:
            return False
        return all(
            term.excluded is not any(self.meets(term.field, value, row) for value in term.values) for term in view.terms
        )

    def meets(self, field: QueryField, value: Value, row: Any) -> bool:  # noqa: PLR0911, PLR0912
        name, events = value.name, self.events[row.id]
        match field:
            case QueryField.BY:
                return any(actor == name for actor, _, _ in events)
            case QueryField.REASON:
                return any(reason == name for _, _, reason in events)
            case QueryField.JUDGE:
                return any(self.answered(value, verdict) for verdict in self.verdicts[row.id])
            case QueryField.IS:
                return {"flagged": bool(row.flagged), "hasty": False}.get(name, self.conflict(row.id))
            case QueryField.LINT:
                return name in self.marks[row.id]
            case QueryField.TEXT:
                return _phrase(name, row.text) or _phrase(name, row.concept or "")
            case QueryField.CAPTION:
                return _phrase(name, row.caption or "")
            case QueryField.CONCEPT:
                return (row.concept or "").lower() == name.lower()
            case QueryField.LIKE:
                return row.id in self.similar(int(name))
            case QueryField.FAMILY:
                return row.id in self.family(int(name))
            case QueryField.NEAR:
                return (self.images[row.image_id] in NEAR[name]) if name in NEAR else self.images[row.image_id] == name
            case QueryField.MARGIN:
                margin, limit = self.margins.get(row.id), float(name[1:])
                return margin is not None and (margin < limit if name[0] == "<" else margin > limit)
            case QueryField.STREAM:
                return bool(row.audit) is (name == "audit")
        column = {QueryField.POSITION: "cue_position", QueryField.TYPE: "negation_type"}.get(field, str(field))
        return bool(getattr(row, column) == name)

    def similar(self, number: int) -> dict[int, float]:
        """The similarity of every candidate that is similar enough."""
        words = {row.id: words_of(row.text, row.concept) for row in self.candidates}
        if number not in words:
            return {}
        total = len(words)
        counts = Counter(word for each in words.values() for word in set(each))
        asked = AskedText(words[number], {word: inverse_frequency(total, counts[word]) for word in counts})
        scores = {each: asked.similarity(listed) for each, listed in words.items()}
        return {each: score for each, score in scores.items() if score >= similar.LEAST} | {number: 1.0}

    def similarities(self, view: View) -> dict[int, float]:
        best: dict[int, float] = defaultdict(float)
        for term in view.terms:
            for value in term.values if term.field is QueryField.LIKE and not term.excluded else ():
                for number, score in self.similar(int(value.name)).items():
                    best[number] = max(best[number], score)
        return best

    def family(self, number: int) -> set[int]:
        asked = next((row for row in self.candidates if row.id == number), None)
        if asked is None:
            return set()
        image = self.images[asked.image_id]
        near = next((images for images in NEAR.values() if image in images), {image})
        return {number} | {
            row.id
            for row in self.candidates
            if row.state != "superseded"
            and (
                near_text(row.text) == near_text(asked.text)
                or (self.images[row.image_id] in near and asked.concept and _denial(row) == _denial(asked))
            )
        }

    def answered(self, value: Value, verdict: Any) -> bool:
        exact = value.name in _JUDGES
        called = value.name in ("*", verdict.judge) or (not exact and verdict.judge.startswith(value.name))
        yes, no = (
            (TermMeaning.PRESENT, TermMeaning.ABSENT)
            if verdict.question == "present"
            else (TermMeaning.ACCEPTABLE, TermMeaning.UNACCEPTABLE)
        )
        answer = TermMeaning.UNCLEAR if verdict.p is None else yes if verdict.p >= 0.5 else no
        return called and value.meaning in (None, answer)

    def conflict(self, number: int) -> bool:
        return any(len({p >= 0.5 for p in ps}) == 2 for ps in self.probabilities(number))

    def probabilities(self, number: int) -> list[list[float]]:
        answers = [(v.question, v.p) for v in self.verdicts[number] if v.p is not None]
        return [[p for question, p in answers if question == each] for each in {question for question, _ in answers}]

    def key(self, sort: Sort, row: Any) -> Any:
        spread = max(
            (max(ps) - min(ps) + 0.1 * (1 - 2 * abs(sum(ps) / len(ps) - 0.5)) for ps in self.probabilities(row.id)),
            default=0.0,
        )
        return {
            Sort.NEWEST: -row.id,
            Sort.OLDEST: row.id,
            Sort.DECIDED: (-row.last_seq, -row.id),
            Sort.CONCEPT: (row.concept is None, (row.concept or "").lower(), row.id),
            Sort.TEXT: (row.text.lower(), row.id),
            Sort.CONFLICT: (round(-spread, 9), row.id),
            Sort.MISTAKEN: (row.id not in self.margins, self.margins.get(row.id, 0.0), row.id),
            Sort.STATE: (list(State).index(row.state), row.id),
        }[sort]


def _denial(row: Any) -> tuple[Any, ...]:
    return concept_key(row.concept or ""), row.cue, row.cue_position, row.negation_type


NEAR = {name: {"i5", "i7", "i20"} for name in ("i5", "i7", "i20")}
"""The near-duplicate images of the record."""


def _store_signatures(folder: Path) -> None:
    """Store signatures of all images: those of `NEAR` are equal, the others far from each other."""
    draw = random.Random(3)
    for source in ("coco", "mine"):
        paths = [
            (f"i{n}", folder / f"i{n}.png") for n in range(1, COUNT // 2 + 1) if (n % 2 == 0) is (source == "coco")
        ]
        for name, path in paths:
            seed = 0 if name in NEAR else draw.randrange(1, 2**30)
            pixels = random.Random(seed).randbytes(32 * 32)
            Image.frombytes("L", (32, 32), pixels).save(path)
        refresh(families.cache_file(folder / "curation.db"), families.COLLECTION + source, paths)


def _phrase(words: str, text: str) -> bool:
    phrase, words_of_text = (re.findall(r"\w+", each.lower()) for each in (words, text))
    for at in range(len(words_of_text) - len(phrase) + 1):
        part = words_of_text[at : at + len(phrase)]
        last = part[-1].startswith(phrase[-1]) if words.endswith("*") else part[-1] == phrase[-1]
        if part[:-1] == phrase[:-1] and last:
            return True
    return False


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Oracle]]:
    folder = tmp_path_factory.mktemp("browsing")
    with create_store(folder / "curation.db") as store:
        _fill(store)
        _store_signatures(folder)
        yield store, Oracle(store)


_OPEN = {
    QueryField.BY: ("ana", "Ben", "nobody"),
    QueryField.CUE: ("no", "not", "without"),
    QueryField.CONCEPT: ("hat", "DOG", "x"),
    QueryField.PIPELINE: ("P1", "edit"),
    QueryField.SOURCE: ("coco", "mine", "none"),
    QueryField.JUDGE: (*_JUDGES, "llava", "*", "x"),
    QueryField.TEXT: ("hat", "red hat", "no d*", "horse", "a", "zebra"),
    QueryField.CAPTION: ("hat", "fire", "do*"),
    QueryField.MARGIN: ("<0", ">0", "<-.015", ">1"),
    QueryField.LIKE: ("1", "33", "40", "9999"),
    QueryField.FAMILY: ("9", "10", "40", "9999"),
    QueryField.NEAR: ("i1", "i7", "x"),
}


def _terms(field: QueryField) -> st.SearchStrategy[Term]:
    names = st.sampled_from(_OPEN.get(field) or CLOSED[field])
    meanings = st.none() | st.sampled_from(TermMeaning) if field is QueryField.JUDGE else st.none()
    values = st.lists(st.builds(Value, names.map(str), meanings), min_size=1, max_size=2).map(tuple)
    return st.builds(Term, st.just(field), values, st.booleans())


views = st.builds(
    View,
    st.lists(st.sampled_from(QueryField).flatmap(_terms), max_size=3).map(tuple),
    st.sampled_from(Sort),
    st.booleans(),
)


@pytest.mark.parametrize("few", [pytest.param(50_000, marks=pytest.mark.long), 3])
@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(view=views)
def test_a_view_equals_a_filter_over_every_row(
    world: tuple[Store, Oracle], monkeypatch: pytest.MonkeyPatch, few: int, view: View
) -> None:
    store, oracle = world
    monkeypatch.setattr(search, "_FEW", few)  # with 3 nearly every view is walked along another way
    with store.read() as connection:
        actual = [number for block in search.ids_of(connection, view) for number in block]
    wanted = oracle.ids(view)
    if view.sort is Sort.TEXT:  # NOCASE folds ASCII only, and so does lower() on these texts
        assert sorted(actual) == sorted(wanted)
    assert actual == wanted


def test_ids_come_in_blocks_and_each_once(world: tuple[Store, Oracle], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_FIRST_BLOCK_ROWS", 5)
    with world[0].read() as connection:
        blocks = list(search.ids_of(connection, View()))
    assert [len(block) for block in blocks[:2]] == [5, 20]
    assert len({number for block in blocks for number in block}) == sum(map(len, blocks)) == len(world[1].candidates)


def test_a_page_has_the_values_of_the_rows(world: tuple[Store, Oracle]) -> None:
    store, oracle = world
    ids = [row.id for row in oracle.candidates][::-1]
    with store.read() as connection:
        rows = page_of(connection, [*ids, 99_999])
    assert [row.id for row in rows] == ids
    for row, expected in zip(rows, reversed(oracle.candidates), strict=True):
        assert (row.text, row.concept, row.state, row.caption) == (
            expected.text,
            expected.concept,
            expected.state,
            expected.caption,
        )
        assert row.hidden is bool(expected.audit and expected.wanted)
        assert row.conflict is (oracle.conflict(row.id) and not row.hidden)
        assert row.margin == (None if row.hidden else oracle.margins.get(row.id))
        assert {str(rule) for rule in row.lint} == oracle.marks[row.id] - {"conflict"}
        assert len(row.verdicts) == (0 if row.hidden else len(oracle.verdicts[row.id]))
        assert [d.actor for d in row.decisions] == [actor for actor, _, _ in oracle.events[row.id]]
    assert any(row.lint for row in rows)
    assert any(row.hidden for row in rows)


@pytest.mark.parametrize("field", FACETS)
def test_a_facet_counts_the_candidates_of_its_term(world: tuple[Store, Oracle], field: QueryField) -> None:
    store, oracle = world
    listed = oracle.ids(parse_view("hat"))
    with store.read() as connection:
        for ids, within in ((None, View()), (listed, parse_view("hat"))):
            counted = facets(connection, field, ids)
            assert counted
            for facet in counted:
                view = View((*within.terms, Term(field, (facet.value,))))
                if ids is not None or not view.depends_on_verdicts:
                    assert facet.count == len(oracle.ids(view)), facet
            assert [f.count for f in counted] == sorted((f.count for f in counted), reverse=True)


def test_an_unknown_name_gives_a_message(world: tuple[Store, Oracle]) -> None:
    with world[0].read() as connection:
        assert unknown_name(connection, parse_view("by:bob cue:no")) == "no by:bob in this record; known: ana, Ben"
        assert unknown_name(connection, parse_view("judge:gpt")) == (
            "no judge:gpt in this record; known: llava-1, llava-2, qwen"
        )
        assert unknown_name(connection, parse_view("judge:lla by:ana concept:HAT -by:bob judge:*")) is None
        assert unknown_name(connection, parse_view("margin:<0 sort:mistaken")) is None
        assert unknown_name(connection, parse_view("like:3 family:3 near:i7 -like:9999")) is None
        assert unknown_name(connection, parse_view("like:3,9999")) == "there is no candidate 9999"
        assert unknown_name(connection, parse_view("near:i700")) == "no near:i700 in this record"


@pytest.mark.parametrize("line", ["margin:<0", "sort:mistaken"])
def test_a_view_of_margins_names_the_command_that_computes_them(record: Record, line: str) -> None:
    record.add(1)
    with record.store.read() as connection:
        assert (unknown_name(connection, parse_view(line)) or "").endswith("compute them: negwb mistaken RUN")


# -- marks --------------------------------------------------------------------------------------------------------


def _marks(record: Record) -> Counter[tuple[object, ...]]:
    return Counter(record.rows("SELECT candidate_id, mark FROM candidate_mark"))


def _finish(store: Store) -> None:
    marker = index.LintIndexer(store)
    while marker.step():
        assert marker.progress.share <= 1
    assert marker.progress.done


def test_marks_follow_edits_and_new_captions_of_the_image(record: Record, import_rows: Callable[..., None]) -> None:
    (first, second) = record.add(2)
    _finish(record.store)
    assert _marks(record) == Counter()
    done = record.open_session("ana").reviewer.edit(first, "a woman riding a horse", concept="hat")
    assert _marks(record) == Counter({(done.child_id, "no-cue"): 1, (done.child_id, "concept-lost"): 1}) | Counter(
        {(done.child_id, "unchanged"): 1}
    )
    import_rows(record.store, image=str(second), caption="a person in a hat")
    assert not index.LintIndexer(record.store).progress.done
    _finish(record.store)
    assert (second, "in-sibling") in _marks(record)


def test_marks_of_another_lint_version_are_computed_again(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = record.add(3)
    _finish(record.store)
    with record.store.write() as connection:
        for mark in (Rule.IN_SIBLING, "a-rule-of-old"):
            connection.execute(text("INSERT INTO candidate_mark VALUES (:mark, :id)"), {"mark": mark, "id": ids[0]})
    monkeypatch.setattr(index, "LINT_VERSION", index.LINT_VERSION + 1)
    assert index.LintIndexer(record.store).progress.upto == 0
    _finish(record.store)
    assert _marks(record) == Counter()


def test_indexing_can_stop_at_any_batch(record: Record) -> None:
    record.add(5)
    assert index.LintIndexer(record.store).step(2)
    assert index.LintIndexer(record.store).progress.upto == 2
    _finish(record.store)
    assert not index.LintIndexer(record.store).step()


def test_a_conflict_is_marked_when_verdicts_are_stored(record: Record) -> None:
    (number,) = record.add(1)
    record.judge(number, llava=0.2)
    assert _marks(record) == Counter()
    record.judge(number, qwen=0.7)
    assert _marks(record) == Counter({(number, "conflict"): 1})


@pytest.fixture
def import_rows(tmp_path: Path) -> Callable[..., None]:
    """Import a caption of an image through the importer."""
    from curation_db.importing.pipeline import import_file, make_plan

    def bring_in(store: Store, *, image: str, caption: str) -> None:
        file = tmp_path / "more.csv"
        file.write_text(f"image,caption\n{image}.jpg,{caption}\n")
        report = import_file(store, make_plan(file, source="coco"))
        assert report.captions == 1, report

    return bring_in


def test_a_page_has_the_similarity_to_the_candidate_of_its_view(world: tuple[Store, Oracle]) -> None:
    store, oracle = world
    view = parse_view("like:33,40")
    with store.read() as connection:
        rows = page_of(connection, oracle.ids(view), view)
        others = page_of(connection, [1, 2, 3])
    scores = [row.similarity or 0.0 for row in rows]
    assert scores == pytest.approx([oracle.similarities(view)[row.id] for row in rows])
    assert scores == sorted(scores, reverse=True)
    assert scores[:2] == [1.0, 1.0]
    assert len(set(scores)) > 3
    assert [row.similarity for row in others] == [None] * 3


_PARTS = ("a", "the", "two", "2", "dogs", "isn't", "is not", "is", "can't", "cannot", "no", "-", "Man", "caf\u00e9")


def test_a_family_has_every_text_with_the_same_normalised_sentence(tmp_path: Path) -> None:
    draw = random.Random(5)
    ends = ("hat", "Hat!", "red hat")
    texts = [" ".join([*draw.sample(_PARTS, draw.randrange(3)), draw.choice(ends)]) for _ in range(150)]
    texts += ["Not 2", "not two"]  # without a word to search for, only texts with the same beginning are compared
    with create_store(tmp_path / "curation.db") as store:
        with store.write() as connection:
            connection.execute(text("INSERT INTO source(name) VALUES ('s')"))
            for n in range(len(texts)):
                row = {"n": n + 1, "key": f"i{n}"}
                connection.execute(text("INSERT INTO image(id, source_id, key) VALUES (:n, 1, :key)"), row)
            # fmt: off
            drafts = [
                NewCandidate(
                    source_id=1, key=f"c{n}", image_id=n + 1, raw_text=words, caption_id=None, pipeline="P1",
                    generator="test", concept=None, negation_type=NegationType.OTHER,
                )
                for n, words in enumerate(texts)
            ]
            # fmt: on
            ids = insert_candidates(connection, drafts, Intake(overlap="1", audit_rate=0))
        fulltext.refresh(store)
        keys = {number: near_text(words) for number, words in zip(ids, texts, strict=True)}
        assert len(set(keys.values())) < 120
        with store.read() as connection:
            for number in ids[:-2]:
                family = families.family_of(connection, number)
                expected = [each for each in ids if keys[each] == keys[number]]
                assert list(family.ids) == expected, texts[number - 1]
                assert (family.same_sentence, family.same_denial) == (len(expected) - 1, 0)
                assert family.images == len(expected)
            assert list(families.family_of(connection, ids[-1]).ids) == [ids[-1]]
