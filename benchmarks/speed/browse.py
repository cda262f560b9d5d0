"""Bench `browse`: a million candidates in the browse room, each time beside that of plain SQL on the same file.

The record is `big_record`'s with its full text and its marks. The reads are timed first: views until their first page
can be shown and until their last id, pages anywhere. Then a process of its own opens the room, types the same views
and goes to the end (`browse_sitting`); its memory is that of the app.
"""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks.speed.big_record import PERSON, Size, fill, mark
from benchmarks.speed.curate import percentile
from benchmarks.speed.harness import median, say, timed
from curation_db.lint import index
from curation_db.search import fulltext
from curation_db.search.query_language import View, parse_view
from curation_db.search.rows import page_of
from curation_db.search.search import ids_of
from curation_db.storage.sqlite import Mode, open_file
from curation_db.storage.store import Store, open_store
from workbench.tui.widgets.record_table import PAGE
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace

_QUICK = Size(candidates=10_000, seeds=500, voted=1_000)
_PAGES = 200
_REPEATS = 3


@dataclass(frozen=True, slots=True)
class Asked:
    """A view, and what somebody would write by hand for its first page."""

    line: str
    sql: str
    """Between FROM and LIMIT; `c.id` is selected."""


def asked(size: Size) -> list[Asked]:
    """Filters of every kind, from what nearly all meet to what nobody does, and searches for rare and common words."""
    c, z = "candidate c", "candidate c JOIN candidate_state s ON s.candidate_id = c.id"
    judge = "EXISTS (SELECT 1 FROM verdict v WHERE v.candidate_id = c.id AND v.judge = '{}' AND v.p {})"
    marked = "EXISTS (SELECT 1 FROM candidate_mark m WHERE m.mark = '{}' AND m.candidate_id = c.id)"
    acted = f"EXISTS (SELECT 1 FROM event e WHERE e.candidate_id = c.id AND e.actor = '{PERSON}')"
    found = "c.id IN (SELECT rowid FROM candidate_text WHERE candidate_text MATCH '{}')"
    last, rare = "ORDER BY c.id DESC", mark(1, size)
    phrase = f'"bus {rare}"'
    # fmt: off
    return [
        Asked("", f"{c} {last}"),
        Asked("state:open", f"{z} WHERE s.state = 'open' {last}"),
        Asked("state:needs_more", f"{z} WHERE s.state = 'needs_more' {last}"),
        Asked("state:rejected", f"{z} WHERE s.state = 'rejected' {last}"),
        Asked(f"by:{PERSON}", f"{c} WHERE {acted} {last}"),
        Asked("judge:llava=present", f"{c} WHERE {judge.format('llava-1.6-7b', '>= 0.5')} AND NOT c.audit {last}"),
        Asked(
            "judge:llava=present judge:qwen=absent",
            f"{c} WHERE {judge.format('llava-1.6-7b', '>= 0.5')} AND {judge.format('qwen2.5-vl-7b', '< 0.5')}"
            f" AND NOT c.audit {last}",
        ),
        Asked("is:conflict", f"{c} WHERE {marked.format('conflict')} AND NOT c.audit {last}"),
        Asked("lint:in-sibling", f"{c} WHERE {marked.format('in-sibling')} {last}"),
        Asked("-lint:in-sibling", f"{c} WHERE NOT {marked.format('in-sibling')} {last}"),
        Asked("is:flagged", f"{z} WHERE s.flagged {last}"),
        Asked("reason:present", f"{c} WHERE EXISTS (SELECT 1 FROM event e WHERE e.candidate_id = c.id AND e.reason"
              f" = 'present') {last}"),
        Asked("cue:no type:absence position:beginning", f"{c} WHERE c.cue = 'no' AND c.negation_type = 'absence' AND"
              f" c.cue_position = 'beginning' {last}"),
        Asked("cue:without", f"{c} WHERE c.cue = 'without' {last}"),
        Asked("concept:hat", f"{c} WHERE c.concept = 'hat' {last}"),
        Asked("stream:audit", f"{c} WHERE c.audit {last}"),
        Asked("source:bench pipeline:P1", f"{c} JOIN source o ON o.id = c.source_id WHERE o.name = 'bench' AND"
              f" c.pipeline = 'P1' {last}"),
        Asked(phrase, f"{c} WHERE {found.format(phrase)} {last}"),
        Asked("man", f"{c} WHERE {found.format('man')} {last}"),
        Asked("bus", f"{c} WHERE {found.format('bus')} {last}"),
        Asked("man umbrella", f"{c} WHERE {found.format('man AND umbrella')} {last}"),
        Asked("-man", f"{c} WHERE NOT {found.format('man')} {last}"),
        Asked("umbrella state:needs_more judge:llava=present", f"{z} WHERE s.state = 'needs_more' AND"
              f" {found.format('umbrella')} AND {judge.format('llava-1.6-7b', '>= 0.5')} AND NOT c.audit {last}"),
        Asked(f"caption:{rare}", f"{c} WHERE c.caption_id IN (SELECT rowid FROM caption_text WHERE caption_text MATCH"
              f" '{rare}') {last}"),
        Asked("state:open sort:oldest", f"{z} WHERE s.state = 'open' ORDER BY c.id"),
        Asked("sort:decided", f"{z} ORDER BY s.last_seq DESC, c.id DESC"),
        Asked("is:conflict sort:conflict", f"{c} JOIN queue_entry q ON q.candidate_id = c.id AND q.ordering ="
              f" 'conflict' WHERE {marked.format('conflict')} AND NOT c.audit ORDER BY q.priority, c.id"),
        Asked("state:open sort:concept", f"{z} WHERE s.state = 'open' ORDER BY c.concept COLLATE NOCASE, c.id"),
    ]
    # fmt: on


def run(*, quick: bool) -> dict[str, Any]:
    """The bench's keys (BENCHES.md)."""
    size = _QUICK if quick else Size()
    with tempfile.TemporaryDirectory(prefix="negwb-bench-") as place:
        workspace = create_workspace(Path(place) / "ws")
        build_s = timed(lambda: build(workspace.database, size))
        say(f"the record took {build_s:.0f} s")
        told = measure(workspace.database, size, 1 if quick else _REPEATS)
        sitting = _in_a_process(workspace, [each.line for each in asked(size)])
        megabytes = workspace.database.stat().st_size // 2**20
    return {
        "rows": size.candidates,
        **told,
        **sitting,
        "record_mb": megabytes,
        "build_s": round(build_s, 1),
        "notes": _NOTES,
    }


_NOTES = [
    "first_page_s: from the key that enters the room to the frame with the rows of a page, the list of all candidates "
    "newest first; sql_first_page_s: plain sqlite3 reading the same page",
    "filter_p95_ms: each of the views (names under `views`) until its first page of rows can be shown, the rows "
    "included, each timed some times, the median of each taken; sql_p95_ms: a SELECT as one would write it by hand, "
    "with LIMIT, by plain sqlite3 on the same file, ids only, in the same turn",
    "search_*: those of the views that search texts; all_p95_ms: until the last id of the view",
    "page_p95_ms: 64 rows anywhere in the list, ids to rows; sql_page_p95_ms: plain sqlite3 reading the same rows of "
    "candidate, state and caption by their ids",
    "screen_p95_ms: from enter on a typed view to the frame with its rows, by Textual's Pilot, which itself takes "
    "some 50 ms a key; end_ms: from the key end to the last rows of all candidates",
    "rss_mb: VmHWM of the process with the app after all this; empty_rss_mb: of the same process before the room was "
    "entered; rss_above_empty_mb: their difference",
    "the record was written just before, so the file is in the cache",
]


def build(database: Path, size: Size) -> None:
    """The record, searchable and marked: the seeds by the product's own rules, their copies by copying."""
    with open_store(database) as store:
        fill(store, size)
        fulltext.refresh(store)
        marker = index.LintIndexer(store)
        while marker.progress.upto < size.seeds:
            marker.step(min(index.BATCH, size.seeds - marker.progress.upto))
        with store.write() as connection:
            connection.execute(
                text("""
                    WITH RECURSIVE copy(first) AS (
                        SELECT :seeds UNION ALL SELECT first + :seeds FROM copy WHERE first + :seeds < :all)
                    INSERT INTO candidate_mark(mark, candidate_id)
                    SELECT m.mark, m.candidate_id + copy.first FROM candidate_mark m JOIN copy
                    WHERE m.candidate_id <= :seeds AND m.mark != 'conflict' ORDER BY 1, 2"""),
                {"seeds": size.seeds, "all": size.candidates},
            )
            index._write_note(connection, size.candidates)


def measure(database: Path, size: Size, repeats: int) -> dict[str, Any]:
    """The reads, ours and plain, in turns."""
    plain = open_file(database, Mode.READ)
    views: dict[str, dict[str, float]] = {}
    try:
        with open_store(database) as store:
            for each in asked(size):
                say(f"view {each.line or 'everything'}")
                views[each.line or "everything"] = _one_view(store, plain, each, repeats)
            pages = _pages(store, plain, size)
    finally:
        plain.close()
    found = [view for line, view in views.items() if _searches(parse_view(line if line != "everything" else ""))]

    def p95(listed: Sequence[dict[str, float]], key: str) -> float:
        return round(percentile((view[key] for view in listed), 95), 1)

    every = list(views.values())
    return {
        "filter_p95_ms": p95(every, "first_ms"),
        "filter_worst_ms": p95(sorted(every, key=lambda view: -view["first_ms"])[:1], "first_ms"),
        "sql_p95_ms": p95(every, "sql_ms"),
        "search_p95_ms": p95(found, "first_ms"),
        "search_sql_p95_ms": p95(found, "sql_ms"),
        "all_p95_ms": p95(every, "all_ms"),
        **pages,
        "views": views,
    }


def _searches(view: View) -> bool:
    return any(term.field in ("text", "caption") for term in view.terms)


def _one_view(store: Store, plain: sqlite3.Connection, each: Asked, repeats: int) -> dict[str, float]:
    view = parse_view(each.line)
    first, whole, sql, count = [], [], [], 0
    for _ in range(repeats):
        started = time.perf_counter()
        count, shown = 0, 0.0
        with store.read() as connection:
            for block in ids_of(connection, view):
                if not count:
                    page_of(connection, block[:PAGE])
                    shown = time.perf_counter()
                count += len(block)
        ended = time.perf_counter()
        first.append(((shown or ended) - started) * 1000)
        whole.append((ended - started) * 1000)
        query = f"SELECT c.id FROM {each.sql} LIMIT {PAGE}"
        sql.append(timed(lambda query=query: plain.execute(query).fetchall()) * 1000)  # type: ignore[misc]
    return {"count": count, "first_ms": median(first), "all_ms": median(whole), "sql_ms": median(sql)}


_PLAIN_PAGE = f"""
    SELECT c.text, c.concept, c.cue, c.negation_type, s.state, s.flagged, t.text
    FROM candidate c JOIN candidate_state s ON s.candidate_id = c.id LEFT JOIN caption t ON t.id = c.caption_id
    WHERE c.id IN ({", ".join("?" * PAGE)})
"""


def _pages(store: Store, plain: sqlite3.Connection, size: Size) -> dict[str, float]:
    draw = random.Random(0)
    ours, sql = [], []
    for _ in range(_PAGES):
        first = draw.randrange(1, size.candidates - PAGE)
        ids = list(range(first, first + PAGE))

        def read(ids: list[int] = ids) -> None:
            with store.read() as connection:
                page_of(connection, ids)

        ours.append(timed(read) * 1000)
        sql.append(timed(lambda ids=ids: plain.execute(_PLAIN_PAGE, ids).fetchall()) * 1000)  # type: ignore[misc]
    return {
        "page_p95_ms": round(percentile(ours, 95), 2),
        "page_p50_ms": round(percentile(ours, 50), 2),
        "sql_page_p95_ms": round(percentile(sql, 95), 2),
    }


def _in_a_process(workspace: Workspace, lines: Sequence[str]) -> dict[str, Any]:
    say("in the room")
    command = [sys.executable, "-m", "benchmarks.speed.browse_session", str(workspace.root)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, input=json.dumps(list(lines)))
    told = json.loads(done.stdout.splitlines()[-1])
    plain = open_file(workspace.database, Mode.READ)
    try:
        first = _timed_page(lambda: plain.execute(f"SELECT * FROM candidate ORDER BY id DESC LIMIT {PAGE}").fetchall())
    finally:
        plain.close()
    return {
        "first_page_s": round(told["first_page_ms"] / 1000, 3),
        "sql_first_page_s": first,
        "screen_p95_ms": round(percentile(told["screen_ms"], 95), 1),
        "screen_p50_ms": round(percentile(told["screen_ms"], 50), 1),
        "end_ms": round(told["end_ms"], 1),
        "whole_list_s": round(told["whole_ms"] / 1000, 3),
        "rss_mb": told["rss_mb"],
        "empty_rss_mb": told["empty_rss_mb"],
        "rss_above_empty_mb": told["rss_mb"] - told["empty_rss_mb"],
    }


def _timed_page(read: Callable[[], object]) -> float:
    return round(timed(read), 4)
