"""Priority signals: values from 0 to 1 that say how much a candidate is worth deciding early.

Computed from the record for many candidates at a time; stored only as the priorities of a policy (`ordering`).
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import Connection, bindparam, text

from curation_db.lint.inputs import candidate_rows, lint_subjects
from curation_db.lint.linter import DEFAULTS, LintSettings, lint

THRESHOLD = 0.5
"""Probability at which a judge's no becomes a yes."""
_MANY_WARNINGS = 3


class PrioritySignal(StrEnum):
    """A signal that a policy can weight."""

    CONFLICT = "conflict"
    """Disagreement of the judges: the spread of their answers to one question, plus a little for a mean near 0.5."""
    THRESHOLD = "threshold"
    """Distance of a judge to its threshold: 1 at the threshold, 0 where all judges are certain."""
    LINT = "lint"
    """Number of lint warnings, divided by three and at most 1."""
    RARE_CUE = "rare-cue"
    """Rarity of the cue among all candidates."""
    RARE_CONCEPT = "rare-concept"
    """Rarity of the negated concept among all candidates."""
    RANDOM = "random"
    """A pseudo-random number that is fixed for each candidate."""


@dataclass(frozen=True, slots=True)
class CorpusCounts:
    """Counts over all candidates, needed by the rarity signals; empty where no such signal is wanted."""

    total: int = 0
    cues: Mapping[str | None, int] = field(default_factory=dict)
    concepts: Mapping[str | None, int] = field(default_factory=dict)


def corpus_counts(connection: Connection, wanted: Collection[PrioritySignal]) -> CorpusCounts:
    """Return the counts that `wanted` needs; reads every candidate row once."""
    cues = _counts(connection, "cue") if PrioritySignal.RARE_CUE in wanted else {}
    concepts = _counts(connection, "concept") if PrioritySignal.RARE_CONCEPT in wanted else {}
    return CorpusCounts(sum((cues or concepts).values()), cues, concepts)


def _counts(connection: Connection, column: str) -> dict[str | None, int]:
    rows = connection.execute(text(f"SELECT lower({column}) AS value, count(*) AS n FROM candidate GROUP BY 1"))
    return {row.value: row.n for row in rows}


def signals_of(
    connection: Connection,
    ids: Sequence[int],
    wanted: Collection[PrioritySignal],
    counts: CorpusCounts,
    checks: LintSettings = DEFAULTS,
) -> dict[int, dict[PrioritySignal, float]]:
    """Return the wanted signals of these candidates, by id; unknown ids are left out."""
    rows = {row.id: row for row in candidate_rows(connection, ids)}
    values: dict[int, dict[PrioritySignal, float]] = {number: {} for number in rows}
    judged = _judged(connection, ids) if {PrioritySignal.CONFLICT, PrioritySignal.THRESHOLD} & set(wanted) else {}
    subjects = lint_subjects(connection, list(rows.values())) if PrioritySignal.LINT in wanted else {}
    for number, row in rows.items():
        own = values[number]
        by_question = judged.get(number, {})
        for signal in wanted:
            match signal:
                case PrioritySignal.CONFLICT:
                    own[signal] = max(map(conflict, by_question.values()), default=0.0)
                case PrioritySignal.THRESHOLD:
                    own[signal] = max(map(nearness, by_question.values()), default=0.0)
                case PrioritySignal.LINT:
                    warnings = sum(not finding.ok for finding in lint(subjects[number], settings=checks))
                    own[signal] = min(1.0, warnings / _MANY_WARNINGS)
                case PrioritySignal.RARE_CUE:
                    own[signal] = rarity(counts.cues.get(_lower(row.cue), 1), counts.total)
                case PrioritySignal.RARE_CONCEPT:
                    own[signal] = rarity(counts.concepts.get(_lower(row.concept), 1), counts.total)
                case PrioritySignal.RANDOM:
                    own[signal] = draw(row.source_id, row.key)
    return values


def conflict(ps: Sequence[float]) -> float:
    """Return the disagreement of the judges on one question: spread, plus 0.1 times unsureness, scaled to 0..1."""
    if not ps:
        return 0.0
    unsure = 1 - 2 * abs(math.fsum(ps) / len(ps) - 0.5)
    return (max(ps) - min(ps) + 0.1 * unsure) / 1.1


def nearness(ps: Sequence[float]) -> float:
    """Return how near the nearest judge is to its threshold, from 0 to 1; 0 without a judge."""
    return max((1 - abs(p - THRESHOLD) / max(THRESHOLD, 1 - THRESHOLD) for p in ps), default=0.0)


def rarity(count: int, total: int) -> float:
    """Return the surprisal log(total / count), divided by log(total), the surprisal of a value that occurs once."""
    return 0.0 if total < 2 else math.log(total / max(1, count)) / math.log(total)


def draw(source_id: int, key: str) -> float:
    """Return a number in [0, 1) that depends on the candidate's source and key alone."""
    identity = f"order\0{source_id}\0{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(identity, digest_size=8).digest(), "big") / 2**64


_VERDICTS = text("""
    SELECT candidate_id, question, p FROM verdict WHERE candidate_id IN :ids AND p IS NOT NULL
""").bindparams(bindparam("ids", expanding=True))


def _judged(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, list[float]]]:
    """Return the probabilities by candidate and question; different questions are never compared."""
    by_candidate: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in connection.execute(_VERDICTS, {"ids": list(ids)}):
        by_candidate[row.candidate_id][row.question].append(row.p)
    return by_candidate


def _lower(value: str | None) -> str | None:
    return value.lower() if value is not None else None
