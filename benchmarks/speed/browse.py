"""Bench `browse`: the browse view with a million candidates, compared with plain SQL on the same file.

The record is that of `big_record` with full-text index and lint index. The reads are timed first: views until their
first page can be shown and until their last id, and pages at random offsets. Then a separate process opens the browse
screen, enters the same views and goes to the end (`browse_session`); its memory is that of the app.
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

from benchmarks.speed.curate import percentile
from benchmarks.speed.support.big_record import PERSON, Size, fill, marker_word
from benchmarks.speed.support.harness import median, report_progress, timed
from curation_db.language.token_counter import CLIP_LIMIT
from curation_db.lint import index
from curation_db.search import fulltext
from curation_db.search.query_language import View, parse_view
from curation_db.search.rows import page_of
from curation_db.search.search import ids_of
from curation_db.storage.sqlite import Mode, open_file
from curation_db.storage.store import Store, open_store
from workbench.tui.widgets.lists.record_table import PAGE
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace

_QUICK = Size(candidates=10_000, seeds=500, voted=1_000)
_PAGES = 200
_SIMILAR = 20
_REPEATS = 3


@dataclass(frozen=True, slots=True)
class ViewCase:
    """A view, and the hand-written SQL for its first page."""

    line: str
    sql: str
    """The part between FROM and LIMIT; the query selects `c.id`."""


def view_cases(size: Size) -> list[ViewCase]:
    """Return filters of every kind, from nearly all candidates to none, and searches for rare and common words."""
    c, z = "candidate c", "candidate c JOIN candidate_state s ON s.candidate_id = c.id"
    judge = "EXISTS (SELECT 1 FROM verdict v WHERE v.candidate_id = c.id AND v.judge = '{}' AND v.p {})"
    marked = "EXISTS (SELECT 1 FROM candidate_mark m WHERE m.mark = '{}' AND m.candidate_id = c.id)"
    decided = f"EXISTS (SELECT 1 FROM event e WHERE e.candidate_id = c.id AND e.actor = '{PERSON}')"
    matching = "c.id IN (SELECT rowid FROM candidate_text WHERE candidate_text MATCH '{}')"
    last, rare = "ORDER BY c.id DESC", marker_word(1, size)
    phrase = f'"bus {rare}"'
    # fmt: off
    return [
        ViewCase("", f"{c} {last}"),
        ViewCase("state:open", f"{z} WHERE s.state = 'open' {last}"),
        ViewCase("state:needs_more", f"{z} WHERE s.state = 'needs_more' {last}"),
        ViewCase("state:rejected", f"{z} WHERE s.state = 'rejected' {last}"),
        ViewCase(f"by:{PERSON}", f"{c} WHERE {decided} {last}"),
        ViewCase("judge:llava=present", f"{c} WHERE {judge.format('llava-1.6-7b', '>= 0.5')} AND NOT c.audit {last}"),
        ViewCase(
            "judge:llava=present judge:qwen=absent",
            f"{c} WHERE {judge.format('llava-1.6-7b', '>= 0.5')} AND {judge.format('qwen2.5-vl-7b', '< 0.5')}"
            f" AND NOT c.audit {last}",
        ),
        ViewCase("is:conflict", f"{c} WHERE {marked.format('conflict')} AND NOT c.audit {last}"),
        ViewCase("lint:in-sibling", f"{c} WHERE {marked.format('in-sibling')} {last}"),
        ViewCase("-lint:in-sibling", f"{c} WHERE NOT {marked.format('in-sibling')} {last}"),
        ViewCase("is:flagged", f"{z} WHERE s.flagged {last}"),
        ViewCase("reason:present", f"{c} WHERE EXISTS (SELECT 1 FROM event e WHERE e.candidate_id = c.id AND e.reason"
              f" = 'present') {last}"),
        ViewCase("cue:no type:absence position:beginning", f"{c} WHERE c.cue = 'no' AND c.negation_type = 'absence' AND"
              f" c.cue_position = 'beginning' {last}"),
        ViewCase("cue:without", f"{c} WHERE c.cue = 'without' {last}"),
        ViewCase("concept:hat", f"{c} WHERE c.concept = 'hat' {last}"),
        ViewCase("stream:audit", f"{c} WHERE c.audit {last}"),
        ViewCase("source:bench pipeline:P1", f"{c} JOIN source o ON o.id = c.source_id WHERE o.name = 'bench' AND"
              f" c.pipeline = 'P1' {last}"),
        ViewCase(phrase, f"{c} WHERE {matching.format(phrase)} {last}"),
        ViewCase("man", f"{c} WHERE {matching.format('man')} {last}"),
        ViewCase("bus", f"{c} WHERE {matching.format('bus')} {last}"),
        ViewCase("man umbrella", f"{c} WHERE {matching.format('man AND umbrella')} {last}"),
        ViewCase("-man", f"{c} WHERE NOT {matching.format('man')} {last}"),
        ViewCase("umbrella state:needs_more judge:llava=present", f"{z} WHERE s.state = 'needs_more' AND"
              f" {matching.format('umbrella')} AND {judge.format('llava-1.6-7b', '>= 0.5')} AND NOT c.audit {last}"),
        ViewCase(f"caption:{rare}", f"{c} WHERE c.caption_id IN (SELECT rowid FROM caption_text"
              f" WHERE caption_text MATCH '{rare}') {last}"),
        ViewCase("state:open sort:oldest", f"{z} WHERE s.state = 'open' ORDER BY c.id"),
        ViewCase("sort:decided", f"{z} ORDER BY s.last_seq DESC, c.id DESC"),
        ViewCase("is:conflict sort:conflict", f"{c} JOIN queue_entry q ON q.candidate_id = c.id AND q.ordering ="
              f" 'conflict' WHERE {marked.format('conflict')} AND NOT c.audit ORDER BY q.priority, c.id"),
        ViewCase("state:open sort:concept", f"{z} WHERE s.state = 'open' ORDER BY c.concept COLLATE NOCASE, c.id"),
    ]
    # fmt: on


def run(*, quick: bool) -> dict[str, Any]:
    """Run the bench and return its figures."""
    size = _QUICK if quick else Size()
    with tempfile.TemporaryDirectory(prefix="negwb-bench-") as folder:
        workspace = create_workspace(Path(folder) / "ws")
        build_s = timed(lambda: build(workspace.database, size))
        report_progress(f"wrote the record in {build_s:.0f} s")
        figures = measure(workspace.database, size, 1 if quick else _REPEATS)
        session = _run_session(workspace, [each.line for each in view_cases(size)])
        megabytes = workspace.database.stat().st_size // 2**20
    return {
        "rows": size.candidates,
        **figures,
        **session,
        "record_mb": megabytes,
        "build_s": round(build_s, 1),
        "notes": _NOTES,
    }


_NOTES = [
    "first_page_s: from the key that opens the browse screen to the frame with the rows of a page, the list of all "
    "candidates newest first; sql_first_page_s: plain sqlite3 reading the same page",
    "filter_p95_ms: each of the views (names under `views`) until its first page of rows can be shown, including the "
    "rows; the median of several runs of each view; sql_p95_ms: a hand-written SELECT with LIMIT by plain sqlite3 on "
    "the same file, ids only, in the same turn",
    "search_*: the views that search texts; all_p95_ms: until the last id of the view",
    "page_p95_ms: 64 rows at a random offset, from ids to rows; sql_page_p95_ms: plain sqlite3 reading the same rows "
    "of candidate, state and caption by their ids",
    "like_p95_ms: from a like: view of a candidate to its last id, at most 2,000, by words",
    "screen_p95_ms: from enter on a typed view to the frame with its rows, by Textual's Pilot, which itself takes "
    "about 50 ms per key; end_ms: from the key end to the last rows of all candidates",
    "rss_mb: VmHWM of the app process at the end; empty_rss_mb: of the same process before the browse screen was "
    "opened; rss_above_empty_mb: their difference",
    "the record was written just before, so the file is in the page cache",
]


def build(database: Path, size: Size) -> None:
    """Write the record with its indexes; the lint marks of the seeds are computed, those of their copies are copied."""
    with open_store(database) as store:
        fill(store, size)
        fulltext.refresh(store)
        indexer = index.LintIndexer(store)
        while indexer.progress.upto < size.seeds:
            indexer.step(min(index.BATCH, size.seeds - indexer.progress.upto))
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
            index._write_note(connection, size.candidates, CLIP_LIMIT.key)


def measure(database: Path, size: Size, repeats: int) -> dict[str, Any]:
    """Time the reads of negwb and of plain SQL, in turns."""
    plain = open_file(database, Mode.READ)
    views: dict[str, dict[str, float]] = {}
    try:
        with open_store(database) as store:
            for each in view_cases(size):
                report_progress(f"view {each.line or 'everything'}")
                views[each.line or "everything"] = _one_view(store, plain, each, repeats)
            pages = {**_pages(store, plain, size), **_similar(store, size)}
    finally:
        plain.close()
    searches = [view for line, view in views.items() if _searches(parse_view(line if line != "everything" else ""))]

    def p95(listed: Sequence[dict[str, float]], key: str) -> float:
        return round(percentile((view[key] for view in listed), 95), 1)

    every = list(views.values())
    return {
        "filter_p95_ms": p95(every, "first_ms"),
        "filter_worst_ms": p95(sorted(every, key=lambda view: -view["first_ms"])[:1], "first_ms"),
        "sql_p95_ms": p95(every, "sql_ms"),
        "search_p95_ms": p95(searches, "first_ms"),
        "search_sql_p95_ms": p95(searches, "sql_ms"),
        "all_p95_ms": p95(every, "all_ms"),
        **pages,
        "views": views,
    }


def _searches(view: View) -> bool:
    return any(term.field in ("text", "caption") for term in view.terms)


def _one_view(store: Store, plain: sqlite3.Connection, each: ViewCase, repeats: int) -> dict[str, float]:
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


def _similar(store: Store, size: Size) -> dict[str, float]:
    """Time `like:` views of random candidates, each for the first time, until their last id."""
    draw, times = random.Random(1), []
    for _ in range(_SIMILAR):
        view = parse_view(f"like:{draw.randrange(1, size.candidates)}")

        def read(view: View = view) -> None:
            with store.read() as connection:
                for _ in ids_of(connection, view):
                    pass

        times.append(timed(read) * 1000)
    return {"like_p50_ms": round(percentile(times, 50), 1), "like_p95_ms": round(percentile(times, 95), 1)}


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


def _run_session(workspace: Workspace, lines: Sequence[str]) -> dict[str, Any]:
    report_progress("in the browse screen")
    command = [sys.executable, "-m", "benchmarks.speed.support.browse_session", str(workspace.root)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, input=json.dumps(list(lines)))
    measured = json.loads(done.stdout.splitlines()[-1])
    plain = open_file(workspace.database, Mode.READ)
    try:
        first = _timed_page(lambda: plain.execute(f"SELECT * FROM candidate ORDER BY id DESC LIMIT {PAGE}").fetchall())
    finally:
        plain.close()
    return {
        "first_page_s": round(measured["first_page_ms"] / 1000, 3),
        "sql_first_page_s": first,
        "screen_p95_ms": round(percentile(measured["screen_ms"], 95), 1),
        "screen_p50_ms": round(percentile(measured["screen_ms"], 50), 1),
        "end_ms": round(measured["end_ms"], 1),
        "whole_list_s": round(measured["whole_ms"] / 1000, 3),
        "rss_mb": measured["rss_mb"],
        "empty_rss_mb": measured["empty_rss_mb"],
        "rss_above_empty_mb": measured["rss_mb"] - measured["empty_rss_mb"],
    }


def _timed_page(read: Callable[[], object]) -> float:
    return round(timed(read), 4)
