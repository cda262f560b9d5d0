"""Finds denials with two readings, by the few shapes that have them and can be told without a parser.

A shape is listed only where grammar leaves both readings open; one that good sense decides ("a man and a dog without
a leash") is left alone as far as short word lists can tell. What is found is the wording, for the person to see.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

from curation_db import negation_words as words
from curation_db.negation_phrases import is_past_participle


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


def unclear_scope(text: str) -> str | None:
    """The words of `text` that can be read in two ways, or None."""
    line = " ".join(text.split())
    if not _hint().search(line):
        return None
    return next((found for shape in _SHAPES for found in shape(line)), None)


@cache
def _hint() -> re.Pattern[str]:
    return re.compile(r"(?i)\bno\b|\bnot\b|\bwithout\b|\blacking\b|n\s?['’]\s?t\b")


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("(?i)" + pattern)


def _one_of(listed: list[str] | frozenset[str]) -> str:
    return "(?:" + "|".join(map(re.escape, sorted(listed))) + ")"


_WORD: Final = rf"(?!{_one_of(words.NEVER_HEADS | {'not', 'no', 'without'})}\b)(?!\w+ing\b)\w[\w-]*"


def _whom(line: str) -> Iterator[str]:
    """ "a man and a woman not wearing hats": the woman, or both?"""
    for kind in (_HUMANS, _ANIMALS):
        being = rf"{_DETERMINER} (?:{_WORD} ){{0,2}}{_one_of(kind)}"
        for match in _compiled(rf"\b{being} (?:and|or) {being} {_NOT}\b").finditer(line):
            yield match.group()


def _how_many(line: str) -> Iterator[str]:
    """ "all the men are not wearing hats": some do, or none?"""
    crowd = r"(?:\w+s|people|men|women|children|sheep|them|those|these)"
    whole = (
        rf"(?:(?:all|both)(?: of)?(?: (?:the|these|those|their|his|her|its))?(?: \w+){{0,2}}? {crowd}"
        r"|every \w+|each(?: of the)? \w+|everyone|everybody|everything|every one)"
    )
    more = rf"(?: (?!{_one_of(words.CONJUNCTIONS | {'no', 'not', 'without'})}\b)[\w-]+){{0,4}}?"
    denial = r"(?: (?:\w+\s?n\s?['’]\s?t|(?:are|is|were|was|do|does|did|have|has|will|can) not|cannot)| not [a-z]+ing)"
    before = r"(?<!not )(?<!an )(?<!\ba )(?<!n['’]t )(?<!at )"
    for match in _compiled(rf"\b{before}{whole}{more}{denial}\b").finditer(line):
        yield match.group()


def _how_far(line: str) -> Iterator[str]:
    """ "no hat and scarf": no scarf either, or a scarf? Only a bare noun leaves it open: "and a scarf" does not."""
    ends = rf"(?=\s*$|\s*[.,;!?]|\s+{_PREPOSITION}\b)"
    pattern = rf"\b{_DENIED_VERB} (?:(?:an?|any|the|his|her|their|its) )?(?:{_WORD} )?({_WORD}) and ({_WORD}){ends}"
    for match in _compiled(pattern).finditer(line):
        first, second = match[1].lower(), match[2].lower()
        if (first, second) not in _PAIRS and not _acts(second):
            yield match.group()
    twice = rf"(?:\bnot|n['’]t) (\w+ing) and (\w+ing)(?=\s*$|\s*[.,;!?]|\s+{_PREPOSITION}\b)"
    for match in _compiled(twice).finditer(line):
        if not {match[1].lower(), match[2].lower()} & words.ING_NOUNS:
            yield match.group()


def _acts(word: str) -> bool:
    """Whether a word behind "and" goes on with a verb, an adjective or a new phrase, and so is no bare noun."""
    known = words.FINITE_VERBS | words.DETERMINERS | words.AFTER_NOUN | words.ADVERBS | words.PRONOUNS
    return word in known or is_past_participle(word) or word in {"smiles", "looks", "waits", "plays", "talks", "poses"}


def _why(line: str) -> Iterator[str]:
    """ "is not crying because he fell": he does not cry, or not for that?"""
    for match in _compiled(r"(?:\bnot|n['’]t) (?:(?!but\b|and\b)[\w'’-]+ ){1,8}because\b(?! of\b)").finditer(line):
        yield match.group()


def _which(line: str) -> Iterator[str]:
    """ "a dog on a bed that is not brown": the dog, or the bed?"""
    thing = rf"(?:an?|the|his|her|one) (?:{_WORD} ){{0,2}}({_WORD})"
    near = r"(?:on|in|near|beside|behind|under|above|by|against|next to|in front of|on top of)"
    quality = _one_of(_QUALITIES)
    denial = r"(?:that|which) (?:(?:is|was) not|(?:is|was)n['’]t) (?:very |fully )?"
    pattern = rf"\b{thing} {near} {thing} {denial}{quality}\b(?! with\b)"
    for match in _compiled(pattern).finditer(line):
        first, second = match[1].lower(), match[2].lower()
        if first in _HUMANS or first.endswith("ed") or first in words.FINITE_VERBS or second in _PLACES:
            continue
        yield match.group()


_SHAPES: Final[tuple[Callable[[str], Iterator[str]], ...]] = (_whom, _how_many, _how_far, _why, _which)
