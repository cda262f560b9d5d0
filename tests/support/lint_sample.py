"""Labelled rows of the lint (tests/curation_db/fixtures/lint_sample.txt) and the score of a rule on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from curation_db.language.clip_tokenizer import count_tokens
from curation_db.language.nouns import concept_key
from curation_db.lint.linter import CorpusContext, LintSubject, Rule, lint, near_key, same_key

SAMPLE = Path(__file__).parents[1] / "curation_db" / "fixtures" / "lint_sample.txt"


class Labelled(NamedTuple):
    """One row with the human label for `rule`."""

    rule: str
    split: str
    wrong: bool
    fields: tuple[str, ...]


class Score(NamedTuple):
    """Confusion counts of a rule."""

    hits: int
    false_alarms: int
    misses: int
    passes: int

    @property
    def precision(self) -> float:
        return self.hits / max(1, self.hits + self.false_alarms)

    @property
    def recall(self) -> float:
        return self.hits / max(1, self.hits + self.misses)


def read_sample() -> list[Labelled]:
    """Read all rows; "\\n" in a row is a line end."""
    rows, rule, split = [], "", ""
    for line in SAMPLE.read_text("utf-8").splitlines():
        if line.startswith("["):
            rule = line.strip("[]")
        elif line.startswith("== "):
            split = line[3:]
        elif line[:2] in {"+ ", "- "}:
            fields = tuple(part.replace("\\n", "\n") for part in line[2:].split(" || "))
            rows.append(Labelled(rule, split, line[0] == "+", fields))
    return rows


def subject(text: str, concept: str | None = None, **known: object) -> LintSubject:
    """Return a subject with the token count of the record."""
    fields = {"caption": None, "objects": {}, "tokens": count_tokens(text), **known}
    return LintSubject(text=text, concept=concept, **fields)  # type: ignore[arg-type]


def finds(rule: Rule, lint_subject: LintSubject, context: CorpusContext | None = None) -> bool:
    """Return whether `rule` alone fails on the subject."""
    return any(not finding.ok for finding in lint(lint_subject, {rule}, context))


def _pair(rule: Rule) -> Callable[..., bool]:
    def is_pair(one: str, other: str) -> bool:
        same, near = same_key(one) == same_key(other), near_key(one) == near_key(other)
        context = CorpusContext(candidates=2, same_concept=0, same_here=int(same), near_here=int(near and not same))
        return finds(rule, subject(one), context)

    return is_pair


RULE_CHECKS: dict[str, Callable[..., bool]] = {
    "no-cue": lambda text: finds(Rule.NO_CUE, subject(text)),
    "unchanged": lambda caption, text: finds(Rule.UNCHANGED, subject(text, caption=caption)),
    "concept-lost": lambda concept, text: finds(Rule.CONCEPT_LOST, subject(text, concept)),
    "minimal-edit": lambda concept, caption, text: finds(Rule.MINIMAL_EDIT, subject(text, concept, caption=caption)),
    "in-caption": lambda concept, seen: finds(Rule.IN_CAPTION, subject("no such thing", concept, caption=seen)),
    "in-sibling": lambda concept, seen: finds(
        Rule.IN_SIBLING, subject("no such thing", concept, siblings=("a view", seen))
    ),
    "in-objects": lambda concept, seen: finds(
        Rule.IN_OBJECTS, subject("no such thing", concept, objects=dict.fromkeys(seen.split(", "), 1))
    ),
    "double-negation": lambda text: finds(Rule.DOUBLE_NEGATION, subject(text)),
    "ambiguous-scope": lambda text: finds(Rule.AMBIGUOUS_SCOPE, subject(text)),
    "chatter": lambda text: finds(Rule.CHATTER, subject(text)),
    "duplicate": _pair(Rule.DUPLICATE),
    "near-duplicate": _pair(Rule.NEAR_DUPLICATE),
    "over-frequent": lambda one, other: concept_key(one) == concept_key(other),
}


def rows_of(rule: str) -> list[Labelled]:
    """Return the rows of `rule`; in-caption and in-sibling share their rows."""
    listed = "in-text" if rule in {"in-caption", "in-sibling"} else rule
    return [row for row in read_sample() if row.rule == listed]


def score(rule: str, split: str) -> tuple[Score, list[Labelled]]:
    """Return the score of `rule` on `split`, and the rows with wrong answers."""
    rows = [row for row in rows_of(rule) if row.split == split]
    answers = [RULE_CHECKS[rule](*row.fields) for row in rows]
    hits = sum(row.wrong and answer for row, answer in zip(rows, answers, strict=True))
    alarms = sum(not row.wrong and answer for row, answer in zip(rows, answers, strict=True))
    misses = sum(row.wrong and not answer for row, answer in zip(rows, answers, strict=True))
    wrong = [row for row, answer in zip(rows, answers, strict=True) if row.wrong != answer]
    return Score(hits, alarms, misses, len(rows) - hits - alarms - misses), wrong
