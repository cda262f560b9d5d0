"""Names of annotators: refused names, and spellings of one person's name."""

from __future__ import annotations

import unicodedata

import pytest
from sqlalchemy import text
from support.record import Record

from curation_db.enums import Kind, Role
from curation_db.errors import RetiredAnnotator, UnusableName
from curation_db.events.annotator_names import MAX_NAME_LENGTH, checked_name
from curation_db.events.annotator_status import list_annotators, other_annotators
from curation_db.events.annotators import begin_session, end_session, known_spelling
from curation_db.search.facets import unknown_name
from curation_db.search.query_language import parse_view
from curation_db.search.search import ids_of


@pytest.mark.parametrize(
    "name",
    [
        "system",
        "System",
        "SYSTEM",
        "adjudicator",
        "policy",
        "policy@1",
        "Policy@judges",
        "auto-accept@2",
        "auto-accept@v1.3",
        "prompt@0a1b2c3d4e5f",
        "",
        " ",
        "\t",
        "\u200d",
        "\u3164\n",
        "ana\n",
        "ana\x1b[31m",
        "a\tb",
        "ana\u202eb",
        "ana\udc80",
        "x" * (MAX_NAME_LENGTH + 1),
    ],
)
def test_names_that_are_refused(record: Record, name: str) -> None:
    with pytest.raises(UnusableName) as refused:
        begin_session(record.store, name, version="test")
    assert refused.value.hint
    assert refused.value.message.isprintable()
    with record.store.read() as connection:
        assert list_annotators(connection) == []


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("ana", "ana"),
        ("  ana   maria ", "ana maria"),
        ("x" * MAX_NAME_LENGTH, "x" * MAX_NAME_LENGTH),
        ("李", "李"),
        ("ana@example.org", "ana@example.org"),
        ("ana@lab", "ana@lab"),
        ("systems", "systems"),
        ("policymaker",) * 2,
        (unicodedata.normalize("NFD", "José"), "José"),
    ],
)
def test_allowed_names(name: str, stored: str) -> None:
    assert checked_name(name) == stored


def test_the_first_spelling_stays(record: Record) -> None:
    """Ana and ana are one person: one row, one vote, and the same role."""
    record.add(3)
    first = record.open_session("Straße")
    first.reviewer.decide(1, Kind.ACCEPT)
    end_session(record.store, first.actor)
    again = begin_session(record.store, "STRASSE", version="test", role=Role.ADJUDICATOR)
    assert (again.name, again.annotator_id) == ("Straße", first.actor.annotator_id)
    with record.store.read() as connection:
        assert [(each.name, each.role) for each in list_annotators(connection)] == [("Straße", Role.ADJUDICATOR)]
        assert known_spelling(connection, "strasse") == "Straße"
        assert known_spelling(connection, "ben") == "ben"


def test_another_spelling_of_a_retired_name_is_retired(record: Record) -> None:
    record.add(1)
    end_session(record.store, record.open_session("Ana").actor)
    with record.store.write() as connection:
        connection.execute(text("UPDATE annotator SET retired_at = 'now'"))
    with pytest.raises(RetiredAnnotator):
        begin_session(record.store, "ana", version="test")


class TestAnOlderRecord:
    """An older record keeps names that are refused today, and two spellings of one name."""

    @pytest.fixture
    def older(self, record: Record) -> Record:
        for number, name in enumerate(("ben", "ana", "Ana", "policy@1"), start=1):
            end_session(record.store, record.open_session(f"person{number}").actor)
            with record.store.write() as connection:
                values = {"new": name, "old": f"person{number}"}
                connection.execute(text("UPDATE annotator SET name = :new WHERE name = :old"), values)
        return record

    def test_opens(self, older: Record) -> None:
        begin_session(older.store, "dan", version="test")
        with older.store.read() as connection:
            assert [each.name for each in list_annotators(connection)] == ["Ana", "ana", "ben", "dan", "policy@1"]

    @pytest.mark.parametrize(("name_given", "name"), [("ana", "ana"), ("Ana", "Ana"), ("ANA", "ana")])
    def test_the_same_spelling_comes_first_then_the_oldest(self, older: Record, name_given: str, name: str) -> None:
        assert begin_session(older.store, name_given, version="test").name == name


def test_every_spelling_finds_the_annotator(record: Record) -> None:
    record.add(2)
    record.open_session("Ana").reviewer.decide(1, Kind.ACCEPT)
    with record.store.read() as connection:
        for line, count in (("by:ana", 1), ("by:ANA", 1), ("by:Ana", 1), ("-by:ana", 1), ("by:ben", 0)):
            assert sum(map(len, ids_of(connection, parse_view(line)))) == count, line
        assert unknown_name(connection, parse_view("by:ana")) is None
        assert unknown_name(connection, parse_view("by:ben")) is not None


def test_another_spelling_is_the_same_annotator(record: Record) -> None:
    record.add(1)
    record.open_session("Ana").reviewer.decide(1, Kind.ACCEPT)
    with record.store.read() as connection:
        assert other_annotators(connection, "ana") == []
        assert other_annotators(connection, "ben") == ["Ana"]
