"""Find negations with two readings, by a few patterns that need no parser.

A pattern is listed only if the grammar leaves both readings open. Wordings that world knowledge decides ("a man and a
dog without a leash") are excluded as far as short word lists allow. The result is the ambiguous wording.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

from curation_db.language import negation_lexicon as words
from curation_db.language.chunker import is_past_participle
from curation_db.language.object_mentions import cues_of


def _listed(text: str) -> list[str]:
    return text.split()


_HUMANS: Final = _listed(
    "man woman boy girl child kid baby toddler lady guy gentleman person adult teenager player rider skier surfer"
    " skateboarder snowboarder bride groom father mother son daughter brother sister couple friend worker officer"
    " policeman policewoman soldier chef waiter waitress student teacher batter catcher umpire referee driver cyclist"
    " men women children people kids ladies guys boys girls players riders skiers surfers friends husband wife mom dad"
    " grandmother grandfather"
)
_ANIMALS: Final = _listed(
    "dog cat horse cow sheep goat elephant zebra giraffe bear bird duck goose calf puppy kitten pony lamb cub pig deer"
    " dogs cats horses cows goats elephants zebras giraffes bears birds ducks geese puppies kittens ponies lambs pigs"
)
_DETERMINER: Final = "(?:an?|the|two|three|four|five|six|several|some|many|his|her|their|its|one|another)"
_NOT: Final = r"(?:not(?! (?:only|far|yet|too|so|just)\b)|without|with no(?! (?:one|way|time|idea|doubt|reason)\b))"
_NEGATED_VERB: Final = r"(?:no|without|lacking|not (?:wearing|having|holding|carrying)|with no)"
# Prepositions after "and scarf" that refer to the whole phrase; "on", "with" and "of" would modify the scarf alone.
_PREPOSITION: Final = "(?:in|at|near|next|beside|under|by|behind|around|inside)"
_PLACES: Final = _listed(
    "left right middle center centre front back side top bottom background foreground corner street road ground"
    " distance picture photo image field water beach air"
)
_QUALITIES: Final = _listed(
    "red blue green yellow black white brown gray grey orange purple pink tan beige gold silver dark light bright"
    " wooden metal plastic clean dirty wet dry new old big small large little tall short visible open closed moving"
    " round square broken colored painted"
)
_PAIRS: Final = frozenset(
    tuple(pair.split("_"))
    for pair in _listed(
        "salt_pepper bread_butter knife_fork fork_knife black_white pots_pans mortar_pestle macaroni_cheese mac_cheese"
        " fish_chips bow_arrow cup_saucer bucket_spade ham_cheese bacon_eggs butter_jelly rod_reel lock_key cap_gown"
    )
)


def ambiguous_excerpt(text: str) -> str | None:
    """Return the words of `text` that have two readings, or None."""
    if not cues_of(text):
        return None
    line = " ".join(text.split())
    line_words = set(line.lower().split())
    excerpts = (each for pattern, hints in _PATTERNS if not hints.isdisjoint(line_words) for each in pattern(line))
    return next(excerpts, None)


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("(?i)" + pattern)


def _one_of(listed: list[str] | frozenset[str]) -> str:
    return "(?:" + "|".join(map(re.escape, sorted(listed))) + ")"


_WORD: Final = rf"(?!{_one_of(words.NEVER_HEADS | {'not', 'no', 'without'})}\b)(?!\w+ing\b)\w[\w-]*"


@cache
def _coordinated_subjects() -> tuple[re.Pattern[str], ...]:
    beings = [rf"{_DETERMINER} (?:{_WORD} ){{0,2}}{_one_of(kind)}" for kind in (_HUMANS, _ANIMALS)]
    return tuple(_compiled(rf"\b{being} (?:and|or) {being} {_NOT}\b") for being in beings)


def _ambiguous_subject(line: str) -> Iterator[str]:
    """ "a man and a woman not wearing hats": the woman, or both?"""
    for pattern in _coordinated_subjects():
        for match in pattern.finditer(line):
            yield match.group()


@cache
def _quantified_negation() -> re.Pattern[str]:
    crowd = r"(?:\w+s|people|men|women|children|sheep|them|those|these)"
    whole = (
        rf"(?:(?:all|both)(?: of)?(?: (?:the|these|those|their|his|her|its))?(?: \w+){{0,2}}? {crowd}"
        r"|every \w+|each(?: of the)? \w+|everyone|everybody|everything|every one)"
    )
    more = rf"(?: (?!{_one_of(words.CONJUNCTIONS | {'no', 'not', 'without'})}\b)[\w-]+){{0,4}}?"
    negation = (
        r"(?: (?:\w+\s?n\s?['’]\s?t|(?:are|is|were|was|do|does|did|have|has|will|can) not|cannot)| not [a-z]+ing)"
    )
    before = r"(?<!not )(?<!an )(?<!\ba )(?<!n['’]t )(?<!at )"
    return _compiled(rf"\b{before}{whole}{more}{negation}\b")


def _ambiguous_quantifier(line: str) -> Iterator[str]:
    """ "all the men are not wearing hats": some do, or none?"""
    for match in _quantified_negation().finditer(line):
        yield match.group()


@cache
def _negated_pairs() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of two nouns, and of two participles, after one cue."""
    ends = rf"(?=\s*$|\s*[.,;!?]|\s+{_PREPOSITION}\b)"
    article = "(?:(?:an?|any|the|his|her|their|its) )?"
    return (
        _compiled(rf"\b{_NEGATED_VERB} {article}(?:{_WORD} )?({_WORD}) and ({_WORD}){ends}"),
        _compiled(rf"(?:\bnot|n['’]t) (\w+ing) and (\w+ing){ends}"),
    )


def _ambiguous_conjunct(line: str) -> Iterator[str]:
    """ "no hat and scarf": no scarf either, or a scarf? Only a bare noun is ambiguous; "and a scarf" is not."""
    nouns, participles = _negated_pairs()
    for match in nouns.finditer(line):
        first, second = match[1].lower(), match[2].lower()
        if (first, second) not in _PAIRS and not _is_not_bare_noun(second):
            yield match.group()
    for match in participles.finditer(line):
        if not {match[1].lower(), match[2].lower()} & words.ING_NOUNS:
            yield match.group()


_NOT_BARE_NOUNS: Final = (
    words.FINITE_VERBS
    | words.DETERMINERS
    | words.AFTER_NOUN
    | words.ADVERBS
    | words.PRONOUNS
    | {"smiles", "looks", "waits", "plays", "talks", "poses"}
)


def _is_not_bare_noun(word: str) -> bool:
    """Return whether a word after "and" is a verb, an adjective or the start of a new phrase."""
    return word in _NOT_BARE_NOUNS or is_past_participle(word)


@cache
def _negated_reason() -> re.Pattern[str]:
    return _compiled(r"(?:\bnot|n['’]t) (?:(?!but\b|and\b)[\w'’-]+ ){1,8}because\b(?! of\b)")


def _ambiguous_reason(line: str) -> Iterator[str]:
    """ "is not crying because he fell": he does not cry, or not for that reason?"""
    for match in _negated_reason().finditer(line):
        yield match.group()


@cache
def _negated_attribute() -> re.Pattern[str]:
    thing = rf"(?:an?|the|his|her|one) (?:{_WORD} ){{0,2}}({_WORD})"
    near = r"(?:on|in|near|beside|behind|under|above|by|against|next to|in front of|on top of)"
    negation = r"(?:that|which) (?:(?:is|was) not|(?:is|was)n['’]t) (?:very |fully )?"
    return _compiled(rf"\b{thing} {near} {thing} {negation}{_one_of(_QUALITIES)}\b(?! with\b)")


def _ambiguous_antecedent(line: str) -> Iterator[str]:
    """ "a dog on a bed that is not brown": the dog, or the bed?"""
    for match in _negated_attribute().finditer(line):
        first, second = match[1].lower(), match[2].lower()
        if first in _HUMANS or first.endswith("ed") or first in words.FINITE_VERBS or second in _PLACES:
            continue
        yield match.group()


_PATTERNS: Final[tuple[tuple[Callable[[str], Iterator[str]], frozenset[str]], ...]] = (
    (_ambiguous_subject, frozenset(("and", "or"))),
    (_ambiguous_quantifier, frozenset(("all", "both", "every", "each", "everyone", "everybody", "everything"))),
    (_ambiguous_conjunct, frozenset(("and",))),
    (_ambiguous_reason, frozenset(("because",))),
    (_ambiguous_antecedent, frozenset(("that", "which"))),
)
"""Each pattern with the words of which every match contains one; a text without any of them is not searched."""
