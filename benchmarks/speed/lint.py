"""Bench `lint`: all rules over 20,000 candidates, compared with a plain run in which each rule reads each text alone.

Both give the same findings; otherwise the bench fails. In the plain run, rules share no cached cues or normalised
texts, and every pattern is tried at every position, without a check for the words that it needs. The bench measures CPU
seconds of this process.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from benchmarks.speed.support.harness import median, report_progress
from curation_db.language import chatter, negation_cues
from curation_db.language.clip_tokenizer import count_tokens
from curation_db.language.object_mentions import cues_of
from curation_db.language.sanitize import normalised
from curation_db.lint import ambiguity
from curation_db.lint.corpus_counts import near_text
from curation_db.lint.linter import (
    ALL_RULES,
    ConceptRanks,
    CorpusContext,
    CorpusRow,
    Finding,
    LintSubject,
    corpus_context,
    count_corpus,
    lint,
)

CANDIDATES = 20_000
_QUICK = 200
_REPEATS = 3
_SCENES = [
    "a {a} {b} on a bench in the park",
    "two {b}s and a {a} {c} next to a window",
    "a man riding a {a} {b} past a {c}",
    "a close up of a {b} with a {c} on a table",
    "a {a} {c} and a {b} in a kitchen",
    "a woman holding a {b} near a {c}",
    "a group of people standing around a {a} {b}",
    "the {b} is parked beside the {a} {c} on a street at night",
]
_NEGATIONS = [
    " with no {x}",
    " without a {x}",
    ", but no {x} is visible",
    " that is not near a {x}",
    ", and the {x} is missing",
    " devoid of any {x}",
]
_ADJECTIVES = ["red", "small", "old", "wooden", "black and white", "tall", "shiny", "wet"]
# fmt: off
_OBJECTS = [
    "dog", "cat", "bench", "hat", "tree", "car", "umbrella", "tie", "bottle", "chair", "teddy bear", "surfboard",
    "clock", "bowl", "kite", "horse", "train", "lamp",
]
# fmt: on


def run(*, quick: bool) -> dict[str, Any]:
    """Run the bench and return its figures."""
    subjects = make_subjects(_QUICK if quick else CANDIDATES)
    rows = [CorpusRow(index // 3, each.text, each.concept) for index, each in enumerate(subjects)]
    ours, plain = [], []
    for turn in range(1 if quick else _REPEATS):
        report_progress(f"turn {turn + 1}: ours")
        seconds, findings = _timed(lambda: _lint_all(subjects, rows, _together))
        ours.append(seconds)
        report_progress(f"turn {turn + 1}: plain")
        with _without_prefilters():
            seconds, reference = _timed(lambda: _lint_all(subjects, rows, _each_alone))
        plain.append(seconds)
        if findings != reference:
            raise RuntimeError("the findings of the two runs differ")
    before_s, ours_s = median(plain), median(ours)
    return {
        "candidates": len(subjects),
        "findings": sum(not finding.ok for each in findings for finding in each),
        "before_s": round(before_s, 3),
        "ours_s": round(ours_s, 3),
        "ratio": round(before_s / ours_s, 2),
        "per_million_s": round(ours_s / len(subjects) * 1_000_000, 1),
        "notes": ["CPU seconds of one process, including the counts over the corpus", "medians of the turns"],
    }


def make_subjects(count: int) -> list[LintSubject]:
    """Return `count` candidates with captions, siblings and objects similar to COCO; deterministic."""
    draw = random.Random(7)

    def caption() -> str:
        scene = draw.choice(_SCENES)
        return scene.format(a=draw.choice(_ADJECTIVES), b=draw.choice(_OBJECTS), c=draw.choice(_OBJECTS))

    subjects = []
    for _ in range(count):
        original, concept = caption(), draw.choice(_OBJECTS)
        text = original + draw.choice(_NEGATIONS).format(x=concept)
        subjects.append(
            LintSubject(
                text=text,
                concept=concept,
                tokens=count_tokens(text),
                caption=original,
                siblings=tuple(caption() for _ in range(4)),
                objects=dict.fromkeys(draw.sample(_OBJECTS, 3), 1),
            )
        )
    return subjects


_LintFunction = Callable[[LintSubject, CorpusContext], tuple[Finding, ...]]


def _lint_all(subjects: list[LintSubject], rows: list[CorpusRow], lint_one: _LintFunction) -> list[tuple[Finding, ...]]:
    _clear_caches()
    counts, ranks = count_corpus(rows), ConceptRanks()
    findings = []
    for row, subject in zip(rows, subjects, strict=True):
        context = corpus_context(counts, row, rank_in_concept=ranks.next_rank(row.concept))
        findings.append(lint_one(subject, context))
    return findings


def _together(subject: LintSubject, context: CorpusContext) -> tuple[Finding, ...]:
    return lint(subject, None, context)


def _each_alone(subject: LintSubject, context: CorpusContext) -> tuple[Finding, ...]:
    findings: list[Finding] = []
    for rule in sorted(ALL_RULES):
        _clear_caches()
        findings += lint(subject, {rule}, context)
    order = {finding.rule: finding for finding in findings}
    return tuple(order[rule] for rule in type(findings[0].rule) if rule in order)


@contextmanager
def _without_prefilters() -> Iterator[None]:
    """Try every pattern on every text: the prefilters that exclude most patterns always pass."""
    shapes = [(shape, _Everything()) for shape, _ in ambiguity._PATTERNS]
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(negation_cues, "_may_hold_cue", mock.Mock(return_value=True)))
        stack.enter_context(mock.patch.object(negation_cues, "_CUE", negation_cues._ANY_CUE))
        stack.enter_context(mock.patch.object(chatter, "_may_contain_chatter", mock.Mock(return_value=True)))
        stack.enter_context(mock.patch.object(ambiguity, "_PATTERNS", shapes))
        yield


class _Everything(frozenset[str]):
    """A set that intersects every other set."""

    def isdisjoint(self, _: object) -> bool:
        return False


def _clear_caches() -> None:
    for cached in (cues_of, normalised, near_text):
        cached.cache_clear()


def _timed(work: Callable[[], list[tuple[Finding, ...]]]) -> tuple[float, list[tuple[Finding, ...]]]:
    started = time.process_time()
    result = work()
    return time.process_time() - started, result
