"""Tests of the history of queries: its file, and moving through it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench.workspace.layout import Workspace
from workbench.workspace.query_history import MAX_QUERIES, HistoryCursor, QueryHistory


def _history(root: Path, annotator: str = "ana") -> QueryHistory:
    return QueryHistory.of(Workspace(root), "browse", annotator)


def test_queries_are_kept_per_annotator_without_duplicates(tmp_path: Path) -> None:
    for query in ("hat", " state:open ", "h\tat", "hat", "", "  "):
        _history(tmp_path).add(query)
    assert _history(tmp_path).load() == ("hat", "h at", "state:open")
    assert _history(tmp_path, "ben/../é").load() == ()
    _history(tmp_path, "ben/../é").add("dog")
    assert _history(tmp_path, "ben/../é").load() == ("dog",)
    assert {path.parent for path in tmp_path.rglob("*.json")} == {tmp_path / "cache" / "queries"}


def test_the_number_of_queries_is_bounded(tmp_path: Path) -> None:
    history = _history(tmp_path)
    for number in range(MAX_QUERIES + 5):
        history.add(f"hat {number}")
    assert len(_history(tmp_path).load()) == MAX_QUERIES
    assert _history(tmp_path).load()[0] == f"hat {MAX_QUERIES + 4}"
    history.add("x" * 501)
    assert _history(tmp_path).load()[0] == f"hat {MAX_QUERIES + 4}"


@pytest.mark.parametrize("content", ["", "[" * 100_000, '{"a": 1}', "[1, null, [], {}]", "\x00"], ids=range(5))
def test_a_broken_file_is_an_empty_history(tmp_path: Path, content: str) -> None:
    history = _history(tmp_path)
    history.add("hat")
    (file,) = tmp_path.rglob("*.json")
    file.write_text(content)
    assert _history(tmp_path).load() == ()
    history.add("dog")
    assert _history(tmp_path).load() == ("dog", "hat")


def test_hostile_lines_of_the_file_are_left_out(tmp_path: Path) -> None:
    _history(tmp_path).add("hat")
    (file,) = tmp_path.rglob("*.json")
    file.write_text(json.dumps(["a\x1b[31m", "b\nc", "\u202ehat", "dog", "dog", "y" * 600]))
    assert _history(tmp_path).load() == ("dog",)


def test_two_sessions_of_one_annotator_keep_each_others_queries(tmp_path: Path) -> None:
    first, second = _history(tmp_path), _history(tmp_path)
    assert (first.load(), second.load()) == ((), ())
    first.add("hat")
    second.add("dog")
    assert _history(tmp_path).load() == ("dog", "hat")


def test_a_history_that_cannot_be_written_lasts_for_the_session(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    history = _history(tmp_path)
    history.add("hat")
    history.add("dog")
    assert history.load() == ("dog", "hat")
    without = QueryHistory()
    without.add("hat")
    without.add("dog")
    assert without.load() == ("dog", "hat")


def test_the_own_line_comes_after_the_newest_query() -> None:
    cursor, queries = HistoryCursor(), ("hat", "dog", "cat")
    assert cursor.newer("mine") is None
    assert cursor.older("mine", queries) == "hat"
    assert cursor.older("hat", queries) == "dog"
    assert cursor.newer("dog") == "hat"
    assert cursor.newer("hat") == "mine"
    assert cursor.is_at_own_line
    assert cursor.newer("mine") is None
    assert [cursor.older(line, queries) for line in ("hat", "dog", "cat")] == ["dog", "cat", None]
    assert cursor.older("cat red", queries) == "hat"  # a changed query is a line of one's own
    assert cursor.newer("hat") == "cat red"
