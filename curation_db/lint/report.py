"""The lint over the whole record: which rule finds something in which candidate. Superseded candidates do not count.

Two passes: one counts the texts and concepts that the rules about other candidates ask, one asks the rules. It reads
every row, so it is for `negwb lint` and never on the way to the next card. Reads only.
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
"""Told how many candidates are looked at, and of how many."""

_IN_PLAY = """
    SELECT c.id, c.image_id, c.text, c.concept FROM candidate c JOIN candidate_state s ON s.candidate_id = c.id
    WHERE s.state != 'superseded' ORDER BY c.id
"""
_STATES = text("SELECT candidate_id, state FROM candidate_state WHERE candidate_id BETWEEN :first AND :last")


@dataclass(frozen=True, slots=True)
class CandidateFindings:
    """A candidate in which some rule finds something."""

    candidate_id: int
    key: str
    text: str
    concept: str | None
    state: State
    findings: tuple[Finding, ...]
    """Only what is wrong."""


@dataclass(frozen=True, slots=True)
class LintReport:
    """Everything that was looked at."""

    candidates: int
    results: Iterator[CandidateFindings]


def lint_record(store: Store, settings: LintSettings = DEFAULTS, *, progress: Progress | None = None) -> LintReport:
    """Ask the rules that `settings` leave on of all candidates; what they find comes as it is read.

    No transaction is open while the caller works with what was found: it may be printing for a pager, for hours.
    """
    ids: list[int] = []

    def seen(connection: Connection) -> Iterator[CorpusRow]:
        for number, image, told, concept in connection.execution_options(yield_per=5_000).exec_driver_sql(_IN_PLAY):
            ids.append(number)
            yield CorpusRow(image, told, concept)

    with store.read() as connection:
        counts = count_corpus(seen(connection))

    def found() -> Iterator[CandidateFindings]:
        places = ConceptRanks()
        for start in range(0, len(ids), _BATCH):
            part = ids[start : start + _BATCH]
            with store.read() as connection:
                told = connection.execute(_STATES, {"first": part[0], "last": part[-1]})
                states = {row.candidate_id: State(row.state) for row in told}
                batch = candidate_rows(connection, part)
                subjects = lint_subjects(connection, batch)
            for row in sorted(batch, key=lambda each: int(each.id)):
                place = places.next_rank(row.concept)
                context = corpus_context(counts, CorpusRow(row.image_id, row.text, row.concept), rank_in_concept=place)
                wrong = tuple(each for each in lint(subjects[row.id], None, context, settings) if not each.ok)
                if wrong and states[row.id] is not State.SUPERSEDED:  # by an edit since the first pass
                    yield CandidateFindings(row.id, row.key, row.text, row.concept, states[row.id], wrong)
            if progress is not None:
                progress(start + len(part), len(ids))

    return LintReport(len(ids), found())
