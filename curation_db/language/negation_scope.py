"""Scope and target of a negation cue: one short rule for each kind of cue.

The entry point is `negated_span`; a kind is a group name of the pattern in `negation_cues`. A rule that finds no
target returns `target=None` instead of guessing. The scope always contains the target.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, NamedTuple

from curation_db.enums import NegationType
from curation_db.language import negation_lexicon as words
from curation_db.language.chunker import (
    Phrase,
    PhraseToken,
    coordinated_end,
    is_compound_at,
    is_participle,
    is_past_participle,
    noun_phrase,
    subject,
    tokens_after,
    tokens_before,
    verb_phrase_end,
)

_PERSON: Final = "person"
_BEFORE_ADJECTIVE: Final = words.DETERMINERS | words.PREPOSITIONS | words.CONJUNCTIONS
_BE: Final = frozenset(("be", "been", "being", "get", "getting"))
THERE_BE: Final = re.compile(r"(?i)\bthere(?:\s+(?:is|are|was|were)|\s?['’]s)?\s*$")


class NegatedSpan(NamedTuple):
    """Scope, target (head word) and concept of one cue; all offsets index the text."""

    scope_start: int
    scope_end: int
    target: str | None
    target_start: int
    target_end: int
    concept_start: int
    concept_end: int
    negation_type: NegationType


def negated_span(text: str, kind: str, start: int, end: int) -> NegatedSpan:
    """Return scope and target of the cue of `kind` at `text[start:end]`."""
    return _RULES[kind](text, start, end)


def span_without_target(start: int, end: int, negation_type: NegationType = NegationType.OTHER) -> NegatedSpan:
    return NegatedSpan(start, end, None, start, start, start, start, negation_type)


def _phrase_span(text: str, phrase: Phrase, scope_end: int, negation_type: NegationType) -> NegatedSpan:
    target = text[phrase.head_start : phrase.head_end].lower()
    # fmt: off
    return NegatedSpan(
        phrase.start, max(scope_end, phrase.end), target, phrase.head_start, phrase.head_end,
        phrase.core_start, phrase.end, negation_type,
    )
    # fmt: on


def _verb_span(text: str, tokens: list[PhraseToken], at: int, negation_type: NegationType) -> NegatedSpan:
    verb, last = tokens[at], tokens[verb_phrase_end(tokens, at) - 1]
    # fmt: off
    return NegatedSpan(
        verb.start, last.end, text[verb.start : verb.end].lower(), verb.start, verb.end,
        verb.start, last.end, negation_type,
    )
    # fmt: on


def _noun_span(text: str, tokens: list[PhraseToken], at: int, negation_type: NegationType) -> NegatedSpan | None:
    """Return the span of the noun phrase or pronoun at token `at`."""
    if at >= len(tokens):
        return None
    first = tokens[at]
    if first.lower in words.PEOPLE:
        return NegatedSpan(
            first.start, first.end, _PERSON, first.start, first.end, first.start, first.end, negation_type
        )
    phrase = None if first.lower in words.EMPTY_PRONOUNS - words.DETERMINERS else noun_phrase(tokens, at)
    if phrase is None:
        return (
            span_without_target(first.start, first.end, negation_type) if first.lower in words.EMPTY_PRONOUNS else None
        )
    return _phrase_span(text, phrase, coordinated_end(tokens, phrase), negation_type)


def _following(text: str, start: int, end: int) -> NegatedSpan:
    """no X, lacking X, free of X."""
    tokens = tokens_after(text, end)
    return _noun_span(text, tokens, 0, NegationType.ABSENCE) or span_without_target(end, end, NegationType.ABSENCE)


def _without(text: str, start: int, end: int) -> NegatedSpan:
    """without X, without doing Y."""
    tokens = tokens_after(text, end)
    at = _past_adverbs(tokens, 0)
    is_gerund = at < len(tokens) and is_participle(tokens[at].lower) and not is_compound_at(tokens, at)
    if is_gerund or (at < len(tokens) and "being" in {token.lower for token in tokens[:at]}):
        return _predicate(text, tokens, 0)
    return _following(text, start, end)


def _clausal(text: str, start: int, end: int) -> NegatedSpan:
    """X is not Y, does not have Y, not doing Y, not in Y."""
    tokens = tokens_after(text, end)
    if THERE_BE.search(text, max(0, start - 20), start):
        existential = _noun_span(text, tokens, _past_adverbs(tokens, 0), NegationType.ABSENCE)
        if existential is not None:
            return existential
    return _predicate(text, tokens, 0, before=tokens_before(text, start), cue=text[start:end])


def _predicate(
    text: str, tokens: list[PhraseToken], at: int, before: list[PhraseToken] | None = None, cue: str = ""
) -> NegatedSpan:
    """Return the span of the predicate that starts at token `at`."""
    first = at
    at = _past_adverbs(tokens, at)
    if at >= len(tokens) or not tokens[at].is_word:
        return _elided_predicate(text, tokens, first, before)
    skipped = {token.lower for token in tokens[first:at]}
    absent_subject = None
    if before is not None and not skipped & words.DEGREES and _is_presence_predicate(tokens, at):
        absent_subject = _negated_subject(text, tokens, at, before)
    return (
        absent_subject
        or _possession(text, tokens, at)
        or _relation(text, tokens, at)
        or _action(text, tokens, at, "being" in skipped, _verb_form(cue, before, skipped))
        or _quality(text, tokens, at, _is_equivalent_to_no(tokens, at, before))
    )


def _elided_predicate(text: str, tokens: list[PhraseToken], at: int, before: list[PhraseToken] | None) -> NegatedSpan:
    """ "A dog lies there, a cat is not.": the predicate is elided, and the subject is the target."""
    end = tokens[at].start if at < len(tokens) else len(text)
    phrase = subject(before) if before and before[-1].lower in words.FORMS_OF_BE else None
    return span_without_target(end, end) if phrase is None else _phrase_span(text, phrase, end, NegationType.ABSENCE)


def _is_equivalent_to_no(tokens: list[PhraseToken], at: int, before: list[PhraseToken] | None) -> bool:
    """ "with not a driver", "not one hunter", "not a single cloud" negate like "no", and imply no alternative."""
    lead = [token.lower for token in tokens[at : at + 2]]
    return (
        lead[:1] in (["one"], ["any"])
        or lead[1:] == ["single"]
        or (bool(before) and before is not None and before[-1].lower == "with")
    )


def _past_adverbs(tokens: list[PhraseToken], at: int) -> int:
    """Return the index of the first token that is not an adverb or a form of "be"."""
    while at < len(tokens) - 1:
        lower = tokens[at].lower
        if not (lower in words.ADVERBS or lower in _BE or (lower.endswith("ly") and tokens[at + 1].is_word)):
            break
        at += 1
    return at


def _is_presence_predicate(tokens: list[PhraseToken], at: int) -> bool:
    if tokens[at].lower == "in":
        rest = [token.lower for token in tokens[at + 1 : at + 4] if token.lower not in words.DETERMINERS]
        return bool(rest) and rest[0] in words.PLACES_OF_PRESENCE
    presence = words.PRESENCE | words.VERBS_OF_PRESENCE
    return tokens[at].lower in presence and noun_phrase(tokens, at + 1) is None


def _negated_subject(text: str, tokens: list[PhraseToken], at: int, before: list[PhraseToken]) -> NegatedSpan | None:
    phrase = subject(before)
    if phrase is None:
        return None
    end = tokens[at].end if tokens[at].lower != "in" else tokens[verb_phrase_end(tokens, at) - 1].end
    return _phrase_span(text, phrase, end, NegationType.ABSENCE)


def _possession(text: str, tokens: list[PhraseToken], at: int) -> NegatedSpan | None:
    """not having X, not wearing X, not holding X, cannot see X: the target is X."""
    verb = tokens[at].lower
    if verb in words.WEARING_VERBS:
        negation_type = NegationType.ATTRIBUTE
    elif verb in words.HOLDING_VERBS:
        negation_type = NegationType.ACTION
    elif verb in words.POSSESSION_VERBS or verb == "see":
        negation_type = NegationType.ABSENCE
    else:
        return None
    following = tokens[at + 1].lower if at + 1 < len(tokens) else ""
    if is_past_participle(following) and noun_phrase(tokens, at + 2) is None:  # "has not been" and the like
        return None
    span = _noun_span(text, tokens, at + 1, negation_type)
    return span and span._replace(scope_start=tokens[at].start)


def _relation(text: str, tokens: list[PhraseToken], at: int) -> NegatedSpan | None:
    """not in X, not next to X: the location is negated."""
    first = tokens[at]
    if first.lower not in words.PREPOSITIONS:
        return None
    noun_at = at + 1
    while noun_at < len(tokens) and tokens[noun_at].lower in words.PREPOSITIONS:
        noun_at += 1
    is_adverb = noun_at < len(tokens) and tokens[noun_at].lower in words.AFTER_NOUN
    phrase = None if is_adverb else noun_phrase(tokens, noun_at)
    if phrase is None:
        return _verb_span(text, tokens, at, NegationType.ATTRIBUTE)  # "not on", "not out today"
    span = _phrase_span(text, phrase, coordinated_end(tokens, phrase), NegationType.RELATION)
    return span._replace(scope_start=first.start, concept_start=first.start)


class _VerbForm(Enum):
    """Verb form that the words before the verb require."""

    ANY = auto()
    BASE = auto()
    """After "does not", "can't", "to"."""
    PERFECT = auto()
    """After "has not", "hasn't": a past participle is an action, not a quality."""


def _verb_form(cue: str, before: list[PhraseToken] | None, skipped: set[str]) -> _VerbForm:
    if skipped & _BE:  # "could not be red", "has not been altered"
        return _VerbForm.ANY
    own = "".join(cue.lower().replace("’", "'").replace("'", "").split())
    last = before[-1].lower if before else ""
    auxiliary = own.removesuffix("nt") if own in words.CONTRACTIONS else last
    if auxiliary in words.FORMS_OF_HAVE:
        return _VerbForm.PERFECT
    if "to" in skipped or own in {"cannot", "never"} or auxiliary in words.BEFORE_BASE_VERBS:
        return _VerbForm.BASE
    return _VerbForm.ANY


def _action(text: str, tokens: list[PhraseToken], at: int, passive: bool, form: _VerbForm) -> NegatedSpan | None:
    """not doing X, not being done, does not do X, has not done X."""
    verb = tokens[at].lower
    is_action = (passive or form is _VerbForm.PERFECT) and is_past_participle(verb)
    if is_participle(verb) or is_action or (form is _VerbForm.BASE and not is_past_participle(verb)):
        return _verb_span(text, tokens, at, NegationType.ACTION)
    return None


def _quality(text: str, tokens: list[PhraseToken], at: int, equivalent_to_no: bool) -> NegatedSpan:
    """not red, not painted by X: attribute; not the X: other, an alternative is implied; not one X: absence."""
    verb = tokens[at].lower
    if not is_past_participle(verb):
        phrase = noun_phrase(tokens, at)
        if phrase is not None and (phrase.after - at) > 1:
            negation_type = NegationType.ABSENCE if equivalent_to_no else NegationType.OTHER
            return _phrase_span(text, phrase, coordinated_end(tokens, phrase), negation_type)
        if phrase is None:
            return span_without_target(tokens[at].start, tokens[at].end)
    return _verb_span(text, tokens, at, NegationType.ATTRIBUTE)


def _no_one(text: str, start: int, end: int) -> NegatedSpan:
    """no one, nobody: the target is a person, and the cue itself is the target span."""
    tokens = tokens_after(text, end)
    stop = tokens[verb_phrase_end(tokens, 0) - 1].end if tokens and tokens[0].is_word else end
    return NegatedSpan(start, stop, _PERSON, start, end, start, end, NegationType.ABSENCE)


def _nothing(text: str, start: int, end: int) -> NegatedSpan:
    """nothing: everything is negated, so there is no target."""
    tokens = tokens_after(text, end)
    stop = tokens[verb_phrase_end(tokens, 0) - 1].end if tokens and tokens[0].is_word else end
    return span_without_target(start, stop, NegationType.ABSENCE)


def _none(text: str, start: int, end: int) -> NegatedSpan:
    """none of X; none doing Y."""
    tokens = tokens_after(text, end)
    if not tokens:
        return span_without_target(end, end)
    at = 1 if tokens[0].lower == "of" else 0
    if at and at < len(tokens) and tokens[at].lower not in {"which", "whom", "them"}:
        return _noun_span(text, tokens, at, NegationType.ABSENCE) or span_without_target(end, end)
    at += at
    while at < len(tokens) and tokens[at].lower in words.AUXILIARIES:
        at += 1
    return _predicate(text, tokens, at) if at < len(tokens) else span_without_target(end, end)


def _coordinated(text: str, start: int, end: int) -> NegatedSpan:
    """neither X nor Y; neither doing X."""
    tokens = tokens_after(text, end)
    at = 1 if tokens and tokens[0].lower == "of" else 0
    first = tokens[at].lower if at < len(tokens) else ""
    if is_participle(first) or is_past_participle(first) or first in words.PREPOSITIONS | words.AUXILIARIES:
        return _predicate(text, tokens, at)
    return _noun_span(text, tokens, at, NegationType.ABSENCE) or span_without_target(end, end)


def _preceding(text: str, start: int, end: int) -> NegatedSpan:
    """X nowhere to be seen, X is conspicuous by its absence."""
    phrase = subject(tokens_before(text, start))
    if phrase is None:
        return span_without_target(end, end, NegationType.ABSENCE)
    return _phrase_span(text, phrase, end, NegationType.ABSENCE)


def _by_its_absence(text: str, start: int, end: int) -> NegatedSpan:
    """X is conspicuous by its absence; X, notable for its absence."""
    before = tokens_before(text, start)
    return _preceding(text, before[-1].start if before and before[-1].lower == "," else start, end)


def _absent(text: str, start: int, end: int) -> NegatedSpan:
    """X is missing; missing X, absent any X; noticeably absent (from Y) is X."""
    tokens, before = tokens_after(text, end), tokens_before(text, start)
    inverted = _inverted(text, tokens)
    if inverted is not None and (subject(before) is None or before[-1].lower.endswith("ly")):
        return inverted
    if tokens and tokens[0].is_word and tokens[0].lower not in words.AFTER_NOUN | words.PREPOSITIONS:
        is_adjective = not before or not before[-1].is_word or before[-1].lower in _BEFORE_ADJECTIVE
        takes_noun = tokens[0].lower in words.DETERMINERS or is_adjective or text[start:end].lower() == "missing"
        following = _noun_span(text, tokens, 0, NegationType.ABSENCE) if takes_noun else None
        if following is not None:
            return following
    return _preceding(text, start, end)


def _inverted(text: str, tokens: list[PhraseToken]) -> NegatedSpan | None:
    """is X, from Y is X: the target is the noun phrase after the first form of "be", with only commas in between."""
    at = 0
    if tokens and tokens[0].lower in {"from", "in", "on", "here", "entirely"}:
        while at < len(tokens) and (tokens[at].is_word or tokens[at].lower == ",") and not _is_be(tokens[at]):
            at += 1
    if at >= len(tokens) or not _is_be(tokens[at]):
        return None
    return _noun_span(text, tokens, at + 1, NegationType.ABSENCE)


def _is_be(token: PhraseToken) -> bool:
    return token.lower in words.FORMS_OF_BE


def _prefix(length: int) -> Callable[[str, int, int], NegatedSpan]:
    """un-X, non-X: the target is the word without the prefix of `length` letters."""

    def rule(text: str, start: int, end: int) -> NegatedSpan:
        stem = start + length
        target = text[stem:end].lower()
        return NegatedSpan(start, end, target, stem, end, stem, end, NegationType.ATTRIBUTE)

    return rule


def _suffix(length: int) -> Callable[[str, int, int], NegatedSpan]:
    """X-less, X-free: the target is the word without the suffix of `length` letters."""

    def rule(text: str, start: int, end: int) -> NegatedSpan:
        stem = end - length
        target = text[start:stem].lower()
        return NegatedSpan(start, end, target, start, stem, start, stem, NegationType.ATTRIBUTE)

    return rule


_RULES: Final[dict[str, Callable[[str, int, int], NegatedSpan]]] = {
    "no": _following,
    "no_longer": _clausal,
    "no_one": _no_one,
    "nobody": _no_one,
    "nothing": _nothing,
    "none": _none,
    "nowhere": _preceding,
    "neither": _coordinated,
    "nor": _coordinated,
    "never": _clausal,
    "contraction": _clausal,
    "not": _clausal,
    "without": _without,
    "lack": _following,
    "sans": _following,
    "exclude": _following,
    "except": _following,
    "zero": _following,
    "by_absence": _by_its_absence,
    "absent": _absent,
    "fail": _clausal,
    "un_by": _following,
    "un": _prefix(2),
    "non": _prefix(4),
    "less": _suffix(4),
    "free": _suffix(5),
}
