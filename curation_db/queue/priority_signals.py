"""Signals: why a candidate may be worth a person's time sooner than others, each from 0 (not at all) to 1.

Worked out from the record, many candidates at a time; stored only as the priorities of a policy (`ordering`).
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
"""Of a probability: where a judge's no turns into a yes."""
_MANY_WARNINGS = 3


class PrioritySignal(StrEnum):
    """What a policy can weigh."""

    CONFLICT = "conflict"
    """The judges disagree: the spread of their answers to one question, and a little for a mean near one half."""
    THRESHOLD = "threshold"
    """A judge is near its threshold: 1 at it, 0 where all are as sure as can be."""
    LINT = "lint"
    """The checks warn: so many warnings of three."""
    RARE_CUE = "rare-cue"
    """Few candidates have this cue."""
    RARE_CONCEPT = "rare-concept"
    """Few candidates deny this."""
    RANDOM = "random"
    """A draw, the same every time."""


@dataclass(frozen=True, slots=True)
class CorpusCounts:
    """What must be counted over all candidates to tell what is rare; empty where nobody asks."""

    total: int = 0
    cues: Mapping[str | None, int] = field(default_factory=dict)
    concepts: Mapping[str | None, int] = field(default_factory=dict)


def corpus_counts(connection: Connection, wanted: Collection[PrioritySignal]) -> CorpusCounts:
    """The counts that `wanted` needs; reads every candidate's row once."""
    cues = _counts(connection, "cue") if PrioritySignal.RARE_CUE in wanted else {}
    concepts = _counts(connection, "concept") if PrioritySignal.RARE_CONCEPT in wanted else {}
    return CorpusCounts(sum((cues or concepts).values()), cues, concepts)


def _counts(connection: Connection, column: str) -> dict[str | None, int]:
    rows = connection.execute(text(f"SELECT lower({column}) AS word, count(*) AS n FROM candidate GROUP BY 1"))
    return {row.word: row.n for row in rows}


def signals_of(
    connection: Connection,
    ids: Sequence[int],
    wanted: Collection[PrioritySignal],
    stands: CorpusCounts,
    checks: LintSettings = DEFAULTS,
) -> dict[int, dict[PrioritySignal, float]]:
    """The wanted signals of these candidates, by id; ids of none are left out."""
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
                    own[signal] = rarity(stands.cues.get(_lower(row.cue), 1), stands.total)
                case PrioritySignal.RARE_CONCEPT:
                    own[signal] = rarity(stands.concepts.get(_lower(row.concept), 1), stands.total)
                case PrioritySignal.RANDOM:
                    own[signal] = draw(row.source_id, row.key)
    return values


def conflict(ps: Sequence[float]) -> float:
    """How far the judges are apart on a question, and how far from sure they are together; no judge: 0."""
    if not ps:
        return 0.0
    unsure = 1 - 2 * abs(math.fsum(ps) / len(ps) - 0.5)
    return (max(ps) - min(ps) + 0.1 * unsure) / 1.1


def nearness(ps: Sequence[float]) -> float:
    """How near the nearest judge is to its threshold; no judge: 0."""
    return max((1 - abs(p - THRESHOLD) / max(THRESHOLD, 1 - THRESHOLD) for p in ps), default=0.0)


def rarity(count: int, total: int) -> float:
    """The surprisal of meeting one of `count` among `total`, by that of meeting a single one."""
    return 0.0 if total < 2 else math.log(total / max(1, count)) / math.log(total)


def draw(source_id: int, key: str) -> float:
    """A number from 0 to 1 that is the candidate's own."""
    told = f"order\0{source_id}\0{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(told, digest_size=8).digest(), "big") / 2**64


_VERDICTS = text("""
    SELECT candidate_id, question, p FROM verdict WHERE candidate_id IN :ids AND p IS NOT NULL
""").bindparams(bindparam("ids", expanding=True))


def _judged(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, list[float]]]:
    """The probabilities by candidate and question: an answer to one is no answer to another."""
    found: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in connection.execute(_VERDICTS, {"ids": list(ids)}):
        found[row.candidate_id][row.question].append(row.p)
    return found


def _lower(word: str | None) -> str | None:
    return word.lower() if word is not None else None
