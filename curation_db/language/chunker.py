"""Shallow chunker for the scope of a negation cue: noun phrases, verb phrases, subjects.

It uses closed word lists instead of a tagger: a phrase ends at a word that cannot belong to it. It reads at most
`_MAX_CHARS` characters from its starting point, so its cost stays linear in the length of the text.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from curation_db.language import negation_lexicon as words

_MAX_CHARS: Final = 160
_TOKEN: Final = re.compile(r"\w+(?:[-'’]\w+|\s['’]\s?s\b)*|[^\w\s]|\n+")
_SPACED_APOSTROPHE: Final = re.compile(r"\s?['’]\s?")  # tokenised text has "it ' s"
_APOSTROPHE: Final = re.compile("['’]")


class PhraseToken(NamedTuple):
    """A word or a punctuation mark; `start` and `end` index the text."""

    start: int
    end: int
    lower: str

    @property
    def is_word(self) -> bool:
        return self.lower[:1].isalnum() or self.lower[:1] == "_"


class Phrase(NamedTuple):
    """A noun phrase; all offsets but `after` index the text."""

    start: int
    """Start, including determiners."""
    core_start: int
    """Start without determiners and without words about presence ("visible", "any sign of")."""
    end: int
    head_start: int
    head_end: int
    after: int
    """Index of the first token after the phrase."""


def tokens_after(text: str, at: int) -> list[PhraseToken]:
    """Return the tokens of `text` from offset `at`, over at most `_MAX_CHARS` characters."""
    return _tokens(text, at, min(len(text), at + _MAX_CHARS))


def tokens_before(text: str, at: int) -> list[PhraseToken]:
    """Return the tokens before offset `at` in reading order, over at most `_MAX_CHARS` characters."""
    return _tokens(text, max(0, at - _MAX_CHARS), at)


def _tokens(text: str, start: int, end: int) -> list[PhraseToken]:
    tokens = [PhraseToken(*match.span(), match.group().lower()) for match in _TOKEN.finditer(text, start, end)]
    if _APOSTROPHE.search(text, start, end) is None:
        return tokens
    return [token._replace(lower=_SPACED_APOSTROPHE.sub("'", token.lower)) for token in tokens]


def is_participle(word: str) -> bool:
    """Return whether `word` is a present participle; nouns with -ing ("building") are not."""
    return word.endswith("ing") and len(word) > 4 and word not in words.ING_NOUNS


def is_past_participle(word: str) -> bool:
    return word in words.IRREGULAR_PARTICIPLES or (word.endswith("ed") and len(word) > 3 and word not in words.ED_NOUNS)


def noun_phrase(tokens: list[PhraseToken], at: int) -> Phrase | None:
    """Return the noun phrase that starts at token `at`; None at a pronoun, at punctuation and at the end.

    "lid of the jar" is one phrase with the head noun "lid"; in "pair of shoes" the head noun is "shoes".
    """
    first = _after_determiners(tokens, at)
    end = first
    while end < len(tokens) and (not _ends_noun_phrase(tokens, end, first) or _joins_adjectives(tokens, end)):
        end += 1
    if end == first:
        return None
    core = first
    while core < end - 1 and (tokens[core].lower in words.VACUOUS or tokens[core].lower.endswith("ly")):
        core += 1
    head = end - 2 if end - core >= 2 and _is_compound(tokens[end - 2], tokens[end - 1]) else end - 1
    last = tokens[end - 1].end
    phrase = Phrase(tokens[at].start, tokens[core].start, last, tokens[head].start, last, end)
    inner = noun_phrase(tokens, end + 1) if end + 1 < len(tokens) and tokens[end].lower == "of" else None
    if inner is None or tokens[inner.after - 1].lower in words.KIND_NOUNS:
        return phrase
    if tokens[end - 1].lower in words.MEASURES:
        return phrase._replace(end=inner.end, head_start=inner.head_start, head_end=inner.head_end, after=inner.after)
    return phrase._replace(end=inner.end, after=inner.after)


def _joins_adjectives(tokens: list[PhraseToken], at: int) -> bool:
    """Return whether "and" or "or" at token `at` joins two adjectives of one noun: "black and white cat"."""
    return (
        tokens[at].lower in {"and", "or"}
        and 0 < at < len(tokens) - 2
        and tokens[at - 1].lower in words.ADJECTIVES
        and tokens[at + 1].lower in words.ADJECTIVES
        and _noun_may_follow(tokens, at + 2)
    )


def _is_compound(first: PhraseToken, second: PhraseToken) -> bool:
    return not words.COMPOUNDS.isdisjoint(((first.lower, second.lower), (first.lower, second.lower.removesuffix("s"))))


def _after_determiners(tokens: list[PhraseToken], at: int) -> int:
    while at < len(tokens):
        lower = tokens[at].lower
        is_partitive = lower in words.PARTITIVES and at + 1 < len(tokens) and tokens[at + 1].lower == "of"
        if is_partitive:
            at += 2
        elif lower in words.DETERMINERS:
            at += 1
        else:
            break
    return at


def _ends_noun_phrase(tokens: list[PhraseToken], at: int, first: int) -> bool:
    token = tokens[at]
    if not token.is_word or token.lower in words.NEVER_HEADS:
        return True
    if at == first:
        return False
    if token.lower in words.AFTER_NOUN or token.lower in words.FINITE_VERBS or token.lower in words.DETERMINERS:
        return True
    # A word with -ly is taken for an adverb before a verb. An adverb before an adjective and a noun is rare.
    if is_participle(token.lower) or (token.lower.endswith("ly") and token.lower not in {"family", "belly", "jelly"}):
        return True
    return is_past_participle(token.lower) and not _noun_may_follow(tokens, at + 1)


def _noun_may_follow(tokens: list[PhraseToken], at: int) -> bool:
    """Return whether token `at` may be the noun that a preceding participle modifies ("no white dressed man")."""
    if at >= len(tokens):
        return False
    token = tokens[at]
    return (
        token.is_word
        and token.lower not in words.NEVER_HEADS
        and token.lower not in words.AFTER_NOUN
        and token.lower not in words.DETERMINERS
        and not token.lower.endswith("ly")
    )


def coordinated_end(tokens: list[PhraseToken], phrase: Phrase) -> int:
    """Return the offset at which the scope ends, including conjuncts joined by "or" and "nor": "no seat or cover".

    "and" does not extend the scope, because it often starts an affirmative phrase ("no shirt and a red headband").
    """
    end, after = phrase.end, phrase.after
    while after < len(tokens):
        conjunction = after + 1 if tokens[after].lower == "," else after
        if conjunction + 1 >= len(tokens) or tokens[conjunction].lower not in {"or", "nor"}:
            break
        conjunct = noun_phrase(tokens, conjunction + 1)
        if conjunct is None:
            break
        end, after = conjunct.end, conjunct.after
    return end


def verb_phrase_end(tokens: list[PhraseToken], at: int) -> int:
    """Return the index after the verb phrase that starts at token `at`: verb, particle, objects, places.

    The phrase ends at punctuation, at a conjunction, at a finite verb, and at a second participle, which starts
    another phrase ("not wearing a hat | riding a horse").
    """
    end = at + 1
    if tokens[at].lower in words.PARTICLE_PARTICIPLES and end < len(tokens) and tokens[end].lower in words.PARTICLES:
        return end + 1
    while end < len(tokens):
        token = tokens[end]
        if not token.is_word or (token.lower in words.CONJUNCTIONS and token.lower not in {"that", "as"}):
            break
        infinitive = tokens[end - 1].lower == "to"
        if token.lower == "that" or (not infinitive and token.lower in words.AUXILIARIES | words.FINITE_VERBS):
            break
        if is_participle(token.lower) and tokens[end - 1].lower not in words.DETERMINERS | words.TAKE_PARTICIPLES:
            break
        end += 1
    return end


def subject(tokens: list[PhraseToken]) -> Phrase | None:
    """Return the noun phrase at the end of `tokens`, the subject of the predicate that follows; None: no subject.

    "the lid of the jar" is one phrase with the head noun "lid"; in "a pair of shoes" the head noun is "shoes".
    """
    end = len(tokens)
    while end and _is_between_subject_and_verb(tokens[end - 1]):
        end -= 1
    phrase = _noun_phrase_before(tokens, end)
    while phrase is not None:
        start = next(i for i, token in enumerate(tokens) if token.start == phrase.start)
        if start < 2 or tokens[start - 1].lower != "of":
            break
        outer = _noun_phrase_before(tokens, start - 1)
        if outer is None:
            break
        head = phrase if tokens[start - 2].lower in words.MEASURES else outer
        phrase = Phrase(outer.start, outer.core_start, phrase.end, head.head_start, head.head_end, phrase.after)
    return phrase


def _is_between_subject_and_verb(token: PhraseToken) -> bool:
    return (
        token.lower in words.AUXILIARIES
        or token.lower in {"that", "which", "who", "to", "but", "also", "just", "even", "still", "currently"}
        or (token.lower.endswith("ly") and token.is_word)
    )


def _noun_phrase_before(tokens: list[PhraseToken], end: int) -> Phrase | None:
    start = end
    while start and (
        _can_be_in_noun_phrase(tokens[start - 1]) or (start < end and _joins_adjectives(tokens[:end], start - 1))
    ):
        start -= 1
    while start < end and is_participle(tokens[start].lower) and not _is_adjective(tokens, start, end):
        start += 1
    core = start
    while core < end and tokens[core].lower in words.VACUOUS | words.DETERMINERS:
        core += 1
    if core == end:
        return None
    while start and tokens[start - 1].lower in words.DETERMINERS:
        start -= 1
    head = end - 2 if end - core >= 2 and _is_compound(tokens[end - 2], tokens[end - 1]) else end - 1
    return Phrase(
        tokens[start].start, tokens[core].start, tokens[end - 1].end, tokens[head].start, tokens[end - 1].end, end
    )


def is_compound_at(tokens: list[PhraseToken], at: int) -> bool:
    """Return whether the word at token `at` begins a compound: "dining table"."""
    return at + 1 < len(tokens) and _is_compound(tokens[at], tokens[at + 1])


def _is_adjective(tokens: list[PhraseToken], at: int, end: int) -> bool:
    """Return whether the word with -ing at token `at` modifies the noun after it: "the dining table is missing"."""
    if at + 1 >= end:
        return False
    if _is_compound(tokens[at], tokens[at + 1]) or at == 0:
        return True
    return tokens[at - 1].lower in words.DETERMINERS | words.BEFORE_NOUN or not tokens[at - 1].is_word


def _can_be_in_noun_phrase(token: PhraseToken) -> bool:
    return (
        token.is_word
        and token.lower not in words.NEVER_HEADS
        and token.lower not in words.DETERMINERS
        and token.lower not in words.FINITE_VERBS
    )
