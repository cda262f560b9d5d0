"""Lint of the whole record, without superseded candidates. Reads only.

The first pass counts texts and concepts for the rules that compare candidates; the second pass runs the rules. Both
read every row, so this module is for `negwb lint`, not for the path to the next card.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, text

from curation_db.enums import State
from curation_db.lint.inputs import candidate_rows, lint_subjects
from curation_db.lint.linter import (
    DEFAULTS,
    ConceptRanks,
    CorpusRow,
    Finding,
    LintSettings,
    corpus_context,
    count_corpus,
    lint,
)
from curation_db.storage.store import Store

_BATCH = 500
Progress = Callable[[int, int], None]
"""Called with the number of checked candidates and the total."""

_NOT_SUPERSEDED = """
    SELECT c.id, c.image_id, c.text, c.concept FROM candidate c JOIN candidate_state s ON s.candidate_id = c.id
    WHERE s.state != 'superseded' ORDER BY c.id
"""
_STATES = text("SELECT candidate_id, state FROM candidate_state WHERE candidate_id BETWEEN :first AND :last")


@dataclass(frozen=True, slots=True)
class CandidateFindings:
    """A candidate with at least one failed rule."""

    candidate_id: int
    key: str
    text: str
    concept: str | None
    state: State
    findings: tuple[Finding, ...]
    """Only failures."""


@dataclass(frozen=True, slots=True)
class LintReport:
    """The number of checked candidates, and an iterator over those with findings."""

    candidates: int
    results: Iterator[CandidateFindings]


def lint_record(store: Store, settings: LintSettings = DEFAULTS, *, progress: Progress | None = None) -> LintReport:
    """Run the rules that `settings` leave on over all candidates; the results are produced lazily.

    No transaction is open while the caller processes a result, because a pager can block the caller for hours.
    """
    ids: list[int] = []

    def corpus(connection: Connection) -> Iterator[CorpusRow]:
        rows = connection.execution_options(yield_per=5_000).exec_driver_sql(_NOT_SUPERSEDED)
        for number, image, candidate_text, concept in rows:
            ids.append(number)
            yield CorpusRow(image, candidate_text, concept)

    with store.read() as connection:
        counts = count_corpus(corpus(connection))

    def results() -> Iterator[CandidateFindings]:
        ranks = ConceptRanks()
        for start in range(0, len(ids), _BATCH):
            part = ids[start : start + _BATCH]
            with store.read() as connection:
                rows = connection.execute(_STATES, {"first": part[0], "last": part[-1]})
                states = {row.candidate_id: State(row.state) for row in rows}
                batch = candidate_rows(connection, part)
                subjects = lint_subjects(connection, batch)
            for row in sorted(batch, key=lambda each: int(each.id)):
                rank = ranks.next_rank(row.concept)
                context = corpus_context(counts, CorpusRow(row.image_id, row.text, row.concept), rank_in_concept=rank)
                failures = tuple(each for each in lint(subjects[row.id], None, context, settings) if not each.ok)
                if failures and states[row.id] is not State.SUPERSEDED:  # an edit since the first pass supersedes
                    yield CandidateFindings(row.id, row.key, row.text, row.concept, states[row.id], failures)
            if progress is not None:
                progress(start + len(part), len(ids))

    return LintReport(len(ids), results())
