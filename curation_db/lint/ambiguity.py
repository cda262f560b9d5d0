"""Finds denials with two readings, by the few shapes that have them and can be told without a parser.

A shape is listed only where grammar leaves both readings open; one that good sense decides ("a man and a dog without
a leash") is left alone as far as short word lists can tell. What is found is the wording, for the person to see.
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
_DENIED_VERB: Final = r"(?:no|without|lacking|not (?:wearing|having|holding|carrying)|with no)"
# Behind "and scarf": a place of all that was said; "on", "with" and "of" would belong to the scarf alone.
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
    """The words of `text` that can be read in two ways, or None."""
    if not cues_of(text):
        return None
    line = " ".join(text.split())
    said = set(line.lower().split())
    return next((found for shape, hints in _SHAPES if not hints.isdisjoint(said) for found in shape(line)), None)


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("(?i)" + pattern)


def _one_of(listed: list[str] | frozenset[str]) -> str:
    return "(?:" + "|".join(map(re.escape, sorted(listed))) + ")"


_WORD: Final = rf"(?!{_one_of(words.NEVER_HEADS | {'not', 'no', 'without'})}\b)(?!\w+ing\b)\w[\w-]*"


@cache
def _pairs_of_beings() -> tuple[re.Pattern[str], ...]:
    beings = [rf"{_DETERMINER} (?:{_WORD} ){{0,2}}{_one_of(kind)}" for kind in (_HUMANS, _ANIMALS)]
    return tuple(_compiled(rf"\b{being} (?:and|or) {being} {_NOT}\b") for being in beings)


def _whom(line: str) -> Iterator[str]:
    """ "a man and a woman not wearing hats": the woman, or both?"""
    for pattern in _pairs_of_beings():
        for match in pattern.finditer(line):
            yield match.group()


@cache
def _denied_of_all() -> re.Pattern[str]:
    crowd = r"(?:\w+s|people|men|women|children|sheep|them|those|these)"
    whole = (
        rf"(?:(?:all|both)(?: of)?(?: (?:the|these|those|their|his|her|its))?(?: \w+){{0,2}}? {crowd}"
        r"|every \w+|each(?: of the)? \w+|everyone|everybody|everything|every one)"
    )
    more = rf"(?: (?!{_one_of(words.CONJUNCTIONS | {'no', 'not', 'without'})}\b)[\w-]+){{0,4}}?"
    denial = r"(?: (?:\w+\s?n\s?['’]\s?t|(?:are|is|were|was|do|does|did|have|has|will|can) not|cannot)| not [a-z]+ing)"
    before = r"(?<!not )(?<!an )(?<!\ba )(?<!n['’]t )(?<!at )"
    return _compiled(rf"\b{before}{whole}{more}{denial}\b")


def _how_many(line: str) -> Iterator[str]:
    """ "all the men are not wearing hats": some do, or none?"""
    for match in _denied_of_all().finditer(line):
        yield match.group()


@cache
def _denied_pairs() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Two nouns, and two participles, behind one denial."""
    ends = rf"(?=\s*$|\s*[.,;!?]|\s+{_PREPOSITION}\b)"
    article = "(?:(?:an?|any|the|his|her|their|its) )?"
    return (
        _compiled(rf"\b{_DENIED_VERB} {article}(?:{_WORD} )?({_WORD}) and ({_WORD}){ends}"),
        _compiled(rf"(?:\bnot|n['’]t) (\w+ing) and (\w+ing){ends}"),
    )


def _how_far(line: str) -> Iterator[str]:
    """ "no hat and scarf": no scarf either, or a scarf? Only a bare noun leaves it open: "and a scarf" does not."""
    nouns, participles = _denied_pairs()
    for match in nouns.finditer(line):
        first, second = match[1].lower(), match[2].lower()
        if (first, second) not in _PAIRS and not _acts(second):
            yield match.group()
    for match in participles.finditer(line):
        if not {match[1].lower(), match[2].lower()} & words.ING_NOUNS:
            yield match.group()


_ACTS: Final = (
    words.FINITE_VERBS
    | words.DETERMINERS
    | words.AFTER_NOUN
    | words.ADVERBS
    | words.PRONOUNS
    | {"smiles", "looks", "waits", "plays", "talks", "poses"}
)


def _acts(word: str) -> bool:
    """Whether a word behind "and" goes on with a verb, an adjective or a new phrase, and so is no bare noun."""
    return word in _ACTS or is_past_participle(word)


@cache
def _denied_reason() -> re.Pattern[str]:
    return _compiled(r"(?:\bnot|n['’]t) (?:(?!but\b|and\b)[\w'’-]+ ){1,8}because\b(?! of\b)")


def _why(line: str) -> Iterator[str]:
    """ "is not crying because he fell": he does not cry, or not for that?"""
    for match in _denied_reason().finditer(line):
        yield match.group()


@cache
def _denied_quality() -> re.Pattern[str]:
    thing = rf"(?:an?|the|his|her|one) (?:{_WORD} ){{0,2}}({_WORD})"
    near = r"(?:on|in|near|beside|behind|under|above|by|against|next to|in front of|on top of)"
    denial = r"(?:that|which) (?:(?:is|was) not|(?:is|was)n['’]t) (?:very |fully )?"
    return _compiled(rf"\b{thing} {near} {thing} {denial}{_one_of(_QUALITIES)}\b(?! with\b)")


def _which(line: str) -> Iterator[str]:
    """ "a dog on a bed that is not brown": the dog, or the bed?"""
    for match in _denied_quality().finditer(line):
        first, second = match[1].lower(), match[2].lower()
        if first in _HUMANS or first.endswith("ed") or first in words.FINITE_VERBS or second in _PLACES:
            continue
        yield match.group()


_SHAPES: Final[tuple[tuple[Callable[[str], Iterator[str]], frozenset[str]], ...]] = (
    (_whom, frozenset(("and", "or"))),
    (_how_many, frozenset(("all", "both", "every", "each", "everyone", "everybody", "everything"))),
    (_how_far, frozenset(("and",))),
    (_why, frozenset(("because",))),
    (_which, frozenset(("that", "which"))),
)
"""The shapes, each with the words of which it holds at least one, before a blank: without them it is not looked for."""
