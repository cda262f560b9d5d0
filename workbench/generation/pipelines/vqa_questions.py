"""Parsing of VQAv2 yes/no questions: what a yes would affirm. Pure.

The parser uses the question's syntax and the word lists of `curation_db.language.negation_lexicon`. A question of
unknown form gets the type "other" and is not rejected, because the judges are asked the question itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from curation_db.enums import NegationType
from curation_db.language import negation_lexicon as words
from curation_db.language.chunker import PhraseToken, is_participle, is_past_participle, noun_phrase, tokens_after
from curation_db.language.sanitize import clean
from workbench.generation.pipelines.proposals import concept_words


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MOST: Final = 300
_MOST_CONCEPT: Final = 8
"""Most words of a concept; longer ones are clauses, useless for statistics."""
_YES_NO: Final = re.compile(
    r"(?i)^(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|might|must|isn['’]?t|aren['’]?t"
    r"|doesn['’]?t|don['’]?t|any|anyone|anybody|anything)\b"
)
_THERE: Final = re.compile(r"(?i)^(?:is|are|was|were|isn['’]?t|aren['’]?t) (?:there|the?re)\b")
_SEE: Final = re.compile(
    r"(?i)^(?:do|does|did|can|could|would|will) (?:you|we|i|one|anyone) (?:see|spot|find|notice"
    r"|think there (?:is|are))\b"
)
_HAVE: Final = _words("have has had wear hold carry own contain include possess need feature show use got get")
_OWNS: Final = _words("have has had own contain include possess feature got")
_HELPERS: Final = _words("do does did can could will would should might must")
_VAGUE: Final = _words("it this that they he she these those everything")
_FILLING: Final = frozenset(("all", "both", "being", "been", "there"))
_PLACED: Final = words.PREPOSITIONS - _words("like than up down out off for")


@dataclass(frozen=True, slots=True)
class QuestionParts:
    """The parts of a question."""

    concept: str | None
    """What yes would affirm: dog, wearing a hat, red car, cat on the table."""
    negation_type: NegationType
    """Type of the negation that no expresses."""
    subject: str = ""
    """Subject as in the question: the man; empty for existence questions."""
    predicate: str = ""
    """Predicate as in a statement: running, red, on the table, have a hat."""
    verb: str = ""
    """First verb of the question: is, are, does ..."""


def question_parts(question: str) -> QuestionParts | None:
    """Parse `question`; None: not a yes/no question."""
    line = " ".join(clean(question[:_MOST]).split()).rstrip(" ?.!")
    if not _YES_NO.match(line):
        return None
    there = _THERE.match(line) or _SEE.match(line)
    if there is not None:
        return _of_presence(line, there.end())
    verb, _, rest = line.partition(" ")
    tokens = tokens_after(rest, 0)
    at = _subject_end(tokens, acts=verb.lower() in _HELPERS)
    if at is None or at >= len(tokens):
        return QuestionParts(None, NegationType.OTHER)
    subject, predicate = rest[: tokens[at].start].strip(), rest[tokens[at].start :].strip()
    return _of_subject(verb.lower(), subject, predicate, tokens[at:])


def _of_presence(line: str, at: int) -> QuestionParts:
    tokens = tokens_after(line, at)
    while tokens and tokens[0].lower in {"any", "anything", "anyone", "anybody", "someone", "somebody"}:
        if tokens[0].lower != "any":
            return _of_anybody(line, tokens)
        tokens = tokens[1:]
    phrase = noun_phrase(tokens, 0)
    if phrase is None:
        return QuestionParts(None, NegationType.OTHER)
    if phrase.after < len(tokens) and is_participle(tokens[phrase.after].lower):
        return QuestionParts(_short(line[phrase.core_start :]), NegationType.ACTION)
    return QuestionParts(_short(line[phrase.core_start : phrase.end]), NegationType.ABSENCE)


def _of_anybody(line: str, tokens: list[PhraseToken]) -> QuestionParts:
    """Parse "is there anyone wearing a hat", "is there anybody here"."""
    who = "person" if tokens[0].lower != "anything" else None
    if len(tokens) > 1 and is_participle(tokens[1].lower):
        return QuestionParts(_short(_until_place(line, tokens[1:])), NegationType.ACTION)
    return QuestionParts(who, NegationType.ABSENCE if who else NegationType.OTHER)


def _subject_end(tokens: list[PhraseToken], *, acts: bool) -> int | None:
    """Return the index of the first token after the subject; `acts`: a verb follows it (does the man ...)."""
    if not tokens:
        return None
    if tokens[0].lower in _VAGUE | {"anyone", "anybody", "someone", "everyone", "everybody", "anything", "you", "i"}:
        alone = acts or len(tokens) == 1 or tokens[0].lower not in {"this", "that", "these", "those"}
        if alone or _ends_subject(tokens, 1):
            return 1
    phrase = noun_phrase(tokens, 0)
    if phrase is None:
        return None
    after = phrase.after
    while after + 1 < len(tokens) and tokens[after].lower == "of":
        inner = noun_phrase(tokens, after + 1)
        if inner is None:
            break
        after = inner.after
    after = _past_place(tokens, after)
    if after < len(tokens):
        return after
    return _last_word(tokens)


def _past_place(tokens: list[PhraseToken], at: int) -> int:
    """Return the start of the predicate after a subject with a place: "the man on the left | wearing glasses"."""
    place = noun_phrase(tokens, at + 1) if at < len(tokens) and tokens[at].lower in _PLACED else None
    has_participle = place is not None and place.after < len(tokens) and is_participle(tokens[place.after].lower)
    return place.after if place is not None and has_participle else at


def _ends_subject(tokens: list[PhraseToken], at: int) -> bool:
    word = tokens[at].lower
    return word in words.DETERMINERS | words.NEVER_HEADS or is_participle(word) or at == len(tokens) - 1


def _last_word(tokens: list[PhraseToken]) -> int | None:
    """Return the start of a predicate that was parsed as part of the noun phrase ("the car red"): its last word."""
    for at in range(1, len(tokens)):
        if tokens[at].lower in _HAVE:
            return at
    start = len(tokens) - 1
    if start > 3 and tokens[start - 1].lower in {"and", "or"}:
        start -= 2
    while start > 2 and tokens[start - 1].lower in words.DEGREES | words.ADVERBS:
        start -= 1
    return start if start else None


def _of_subject(verb: str, subject: str, predicate: str, tokens: list[PhraseToken]) -> QuestionParts:
    at = 0
    while at < len(tokens) - 1 and tokens[at].lower in words.ADVERBS | words.DEGREES | _FILLING:
        at += 1
    first = tokens[at].lower
    tail = predicate[tokens[at].start - tokens[0].start :]
    parts = {"subject": subject, "predicate": predicate, "verb": verb}
    if first in _OWNS:
        phrase = noun_phrase(tokens, at + 1)
        start, end = (phrase.core_start, phrase.end) if phrase else (tokens[at].end, tokens[-1].end)
        owned = tail[start - tokens[at].start : end - tokens[at].start]
        return QuestionParts(_short(owned), NegationType.ABSENCE, **parts)
    if is_participle(first):
        return QuestionParts(_short(tail), NegationType.ACTION, **parts)
    if verb in _HELPERS and first.isalpha():
        kind = NegationType.ATTRIBUTE if first in {"look", "seem", "appear"} else NegationType.ACTION
        return QuestionParts(_short(tail), kind, **parts)
    about = _noun_of(subject)
    if first in _PLACED and at < len(tokens) - 1:
        return QuestionParts(_short(f"{about} {tail}"), NegationType.RELATION, **parts)
    attribute = is_past_participle(first) or len(tokens) - at <= 3 or first in words.DETERMINERS
    kind = NegationType.ATTRIBUTE if attribute else NegationType.OTHER
    if first in words.DETERMINERS:
        return QuestionParts(_short(" ".join(word for word in tail.split()[1:])), kind, **parts)
    plain = len(tail.split()) == 1 and not is_past_participle(first)
    return QuestionParts(_short(f"{tail} {about}" if plain else f"{about} {tail}"), kind, **parts)


def _noun_of(subject: str) -> str:
    if subject.lower() in _VAGUE:
        return ""
    tail = subject.split()
    while len(tail) > 1 and tail[0].lower() in words.DETERMINERS:
        del tail[0]
    return " ".join(tail)


def _until_place(line: str, tokens: list[PhraseToken]) -> str:
    end = next((at for at, each in enumerate(tokens) if at > 1 and each.lower in {"in", "at", "here"}), len(tokens))
    return line[tokens[0].start : tokens[end - 1].end]


def _short(phrase: str) -> str | None:
    tail = phrase.lower().split()
    while len(tail) > 1 and tail[0] in words.DETERMINERS:
        del tail[0]
    return " ".join(tail[:_MOST_CONCEPT]) or None


def question_about(concept: str) -> str:
    """Return a question about the presence of a concept, for a candidate without a question."""
    forms = concept_words(concept)
    return f"{forms.be.capitalize()} there {forms.a_concept} in this picture?"


_ANYBODY: Final = frozenset(("anyone", "anybody", "someone", "somebody"))
_ALL: Final = re.compile(r"(?i)^(?:all|both|every\w*|each)\b")
_SHORT: Final = {"can": "can't", "will": "won't"}


def denial_of(parts: QuestionParts, cue: str = "not") -> str:
    """Return the statement that no expresses: "the man is not running", "there is no dog"; empty if impossible."""
    if not parts.subject:
        if parts.concept and is_participle(parts.concept.split()[0]):
            return f"nobody is {parts.concept}"
        forms = concept_words(parts.concept) if parts.concept else None
        return f"there {forms.be} no {forms.text}" if forms else ""
    verb = parts.verb.replace("’", "'")
    if parts.subject.lower() in _ANYBODY:
        return f"nobody {verb} {parts.predicate}"
    if _ALL.match(parts.subject):
        return f"not {parts.subject} {verb} {parts.predicate}"
    if cue == "isn't":
        return f"{parts.subject} {_SHORT.get(verb, f'{verb}n{chr(39)}t')} {parts.predicate}"
    return f"{parts.subject} {verb} {'never' if cue == 'never' else 'not'} {parts.predicate}"
