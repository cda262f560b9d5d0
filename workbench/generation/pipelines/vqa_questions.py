"""Parsing of VQAv2 yes/no questions: what a yes would affirm. Pure.

The parser uses the question's syntax and the word lists of `curation_db.language.negation_lexicon`. A question of
unknown form gets the type "other" and is not rejected, because the judges are asked the question itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from curation_db.enums import NegationType
from curation_db.language import negation_lexicon as words
from curation_db.language.chunker import PhraseToken, is_participle, is_past_participle, noun_phrase, tokens_after
from curation_db.language.negation_cues import CueClass, find_cues
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
_BASE_VERBS: Final = (
    words.FINITE_VERBS
    | _HAVE
    | _words(
        "be look say need want like love live grow fit match work hit throw catch kick swing cut cook make take give"
        " get bring put pull push move turn open close smile laugh cry talk speak read write use know think feel fall"
        " climb surf ski skate cross fill reach touch face cover bite bark bend lean shine float serve sell belong"
        " believe enjoy face brush wash wait leave land block cast carry show match melt"
    )
) - _words("helps appears exists seems remains")
"""Verbs that may follow the subject of "does", "can", "will" ...; another verb is recognised by what follows it."""
_SEEMING: Final = _words("look seem appear feel sound")
_AFTER_THING: Final = words.PREPOSITIONS | words.PARTICLES | _words("here there away home upside-down")
"""Predicates of one word that follow their noun: "lamp on", "tongue out"."""
_PLACES_ALONE: Final = _words("outside inside here there away home")
_ALONE: Final = _words("asleep awake alive alone afloat together apart ajar")
"""Adjectives that cannot precede a noun: "a cat that is asleep", not "an asleep cat"."""
_VAGUE: Final = _words("it this that they he she these those everything")
_FILLING: Final = frozenset(("all", "both", "being", "been", "there"))
_PLACED: Final = words.PREPOSITIONS - _words("like than up down out off for")


class QuestionFault(StrEnum):
    """Why a question cannot be negated; the reason of its item."""

    NOT_YES_NO = "not-yes-no"
    NEGATIVE = "negative-question"
    """It contains a negation: whether "no" to "Isn't she smiling?" affirms the smile is unclear."""
    CONJUNCTION = "conjunction"
    """It asks about two things or is two questions: "no" does not tell which of them it denies."""


_JOINED: Final = re.compile(r"(?i)\b(?:and|or|nor|but|plus|as well as|versus|vs)\b|&|\w\s?/\s?\w|[?;]\s*\w")
_JOINED_IN_NAME: Final = re.compile(
    r"(?i)\b(?:black and white|salt and pepper|macaroni and cheese|mac and cheese|fish and chips|bed and breakfast"
    r"|peanut butter and jelly|surf and turf|up and down|back and forth|half and half|more or less"
    r"|rock and roll|lost and found|arts and crafts|hide and seek|bow and arrow|cup and saucer|shirt and tie"
    r"|suit and tie|one or more)\b"
)
"""Phrases with a conjunction that name one thing."""


def question_fault(question: str) -> QuestionFault | None:
    """Return why `question` cannot be negated; None: it can."""
    line = _line(question)
    if not _YES_NO.match(line):
        return QuestionFault.NOT_YES_NO
    if any(cue.cue_class is not CueClass.MENTION for cue in find_cues(line)):
        return QuestionFault.NEGATIVE
    return QuestionFault.CONJUNCTION if _JOINED.search(_JOINED_IN_NAME.sub(" ", line)) else None


def _line(question: str) -> str:
    return " ".join(clean(question[:_MOST]).split()).rstrip(" ?.!")


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
    line = _line(question)
    if not _YES_NO.match(line):
        return None
    there = _THERE.match(line) or _SEE.match(line)
    if there is not None:
        return _of_presence(line, there.end())
    verb, _, rest = line.partition(" ")
    tokens = tokens_after(rest, 0)
    perfect = verb.lower() in words.FORMS_OF_HAVE and all(token.lower != "been" for token in tokens)
    at = _subject_end(tokens, acts=perfect or verb.lower() in _HELPERS)
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
        is_verb = acts and (len(tokens) == 1 or tokens[1].lower in _BASE_VERBS)
        alone = is_verb or len(tokens) == 1 or tokens[0].lower not in {"this", "that", "these", "those"}
        if alone or _ends_subject(tokens, 1):
            return 1
    phrase = noun_phrase(tokens, 0)
    if phrase is None:
        return None
    verb = _verb_at(tokens, phrase.after) if acts else None
    if verb is not None:
        return verb
    after = phrase.after
    while after + 1 < len(tokens) and tokens[after].lower == "of":
        inner = noun_phrase(tokens, after + 1)
        if inner is None:
            break
        after = inner.after
    after = _past_place(tokens, after)
    return after if after < len(tokens) else _last_word(tokens)


def _verb_at(tokens: list[PhraseToken], phrase_end: int) -> int | None:
    """Return the index of the verb after the subject of "does", "can", "has" ...; the noun phrase may include it."""
    for at in range(1, len(tokens)):
        if tokens[at].lower in _BASE_VERBS and tokens[at - 1].lower not in words.DETERMINERS | words.PREPOSITIONS:
            return at
    ends_at_object = phrase_end < len(tokens) and tokens[phrase_end].lower in words.DETERMINERS
    return phrase_end - 1 if ends_at_object and phrase_end > 1 else None


def _past_place(tokens: list[PhraseToken], at: int) -> int:
    """Return the start of the predicate after a subject with a place: "the man on the left | wearing glasses"."""
    if at < len(tokens) and tokens[at].lower in {"and", "or"} and tokens[at - 1].lower in words.ADJECTIVES:
        return at - 1  # "the photo | black and white"
    place = noun_phrase(tokens, at + 1) if at < len(tokens) and tokens[at].lower in _PLACED else None
    if place is None:
        return at
    if place.after < len(tokens):
        return place.after if is_participle(tokens[place.after].lower) else at
    last = len(tokens) - 1  # the noun phrase includes a predicate: "the fruit in the bowl | fresh"
    return last if last > at + 2 and tokens[last].lower in words.ADJECTIVES else at


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
    parts = QuestionParts(None, NegationType.ACTION, subject, predicate, verb)
    if first == "be" and at + 1 < len(tokens):
        return replace(
            _of_subject("be", subject, tail.partition(" ")[2], tokens[at + 1 :]), predicate=predicate, verb=verb
        )
    if first in _OWNS:
        phrase = noun_phrase(tokens, at + 1)
        start, end = (phrase.core_start, phrase.end) if phrase else (tokens[at].end, tokens[-1].end)
        owned = tail[start - tokens[at].start : end - tokens[at].start]
        return replace(parts, concept=_short(owned), negation_type=NegationType.ABSENCE)
    if verb in _HELPERS and first.isalpha() and not is_participle(first):
        return _of_verb(tokens[at:], tail, parts)
    perfect = verb in words.FORMS_OF_HAVE and "been" not in predicate.lower().split()
    if is_participle(first) or perfect or tail.lower().startswith("about to "):
        return replace(parts, concept=_short(tail))
    return _of_quality(tokens[at:], tail, parts)


def _of_quality(tokens: list[PhraseToken], tail: str, parts: QuestionParts) -> QuestionParts:
    """Return the parts for a predicate after a form of "be": red, a kitchen, turned off, on the table."""
    first, about = tokens[0].lower, _noun_of(parts.subject)
    if first in _PLACED and len(tokens) > 1:
        return replace(parts, concept=_short(f"{about} {tail}"), negation_type=NegationType.RELATION)
    is_attribute = is_past_participle(first) or len(tokens) <= 3 or first in words.DETERMINERS
    kind = NegationType.ATTRIBUTE if is_attribute else NegationType.OTHER
    concept = tail.partition(" ")[2] if first in words.DETERMINERS else _quality(tail, about)
    return replace(parts, concept=_short(concept), negation_type=kind)


def _of_verb(tokens: list[PhraseToken], tail: str, parts: QuestionParts) -> QuestionParts:
    """Return the parts for a base verb: living in the wild, hitting the ball; happy for "look happy"."""
    verb = tokens[0].lower
    after = tokens[1].lower if len(tokens) > 1 else ""
    rest = _VAGUE_END.sub("", tail[len(verb) :].strip())
    if verb in _SEEMING and after and after not in words.PREPOSITIONS | words.DETERMINERS | words.CONJUNCTIONS:
        return replace(parts, concept=_short(rest), negation_type=NegationType.ATTRIBUTE)
    kind = NegationType.ATTRIBUTE if verb in _SEEMING and after in {"like", "as"} else NegationType.ACTION
    return replace(parts, concept=_short(f"{gerund(verb)} {rest}"), negation_type=kind)


_VAGUE_END: Final = re.compile(r"(?i)(?:^|\s+)(?:this|that|it|these|those|them)$")


def gerund(verb: str) -> str:
    """Return the form with -ing of a base verb."""
    if verb.endswith("ie"):
        return f"{verb[:-2]}ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")) and verb != "be":
        return f"{verb[:-1]}ing"
    return f"{verb}{verb[-1]}ing" if _DOUBLED.fullmatch(verb) else f"{verb}ing"


_DOUBLED: Final = re.compile(r"(?:[^aeiou]|qu)+[aeiou][bdgklmnprt]|begin|forget")


def _quality(tail: str, about: str) -> str:
    """Return an adjective or participle and its noun in the order in which people say them."""
    lower = tail.lower()
    if lower in _ALONE:
        return tail
    if lower in _AFTER_THING:
        return f"{about} {tail}" if about or lower in _PLACES_ALONE else ""
    before = len(tail.split()) == 1 or lower == "black and white"
    noun = _PLACE.split(about, maxsplit=1)[0]
    return f"{tail} {noun}" if before else f"{about} {tail}"


_PLACE: Final = re.compile(rf"(?i)\s+(?:{'|'.join(sorted(_PLACED))})\s")


def _noun_of(subject: str) -> str:
    if subject.lower() in _VAGUE:
        return ""
    tail = subject.split()
    owner = next((at for at in reversed(range(len(tail) - 1)) if _OWNER.search(tail[at])), None)
    tail = tail[owner + 1 :] if owner is not None else tail
    while len(tail) > 1 and tail[0].lower() in words.DETERMINERS:
        del tail[0]
    return " ".join(tail)


_OWNER: Final = re.compile(r"['’]s$|s['’]$")
"""Of "the man's hair" people say "long hair"."""


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
