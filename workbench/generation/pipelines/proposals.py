"""Parsing of proposed concepts, and their article and number. Pure.

Models answer a request for one noun with "An Umbrella.", "Object: hat", lists, refusals and essays. An answer that is
not one short noun phrase is rejected with a reason, never guessed at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from curation_db.language import negation_lexicon as words
from curation_db.language.chunker import is_participle
from curation_db.language.negation_cues import find_cues
from curation_db.language.nouns import DETERMINERS, singular
from curation_db.language.sanitize import clean
from workbench.generation.pipelines.caption_extraction import READ, first_turn


class NoConcept(StrEnum):
    """Why an answer names no concept."""

    EMPTY = "empty"
    REFUSAL = "refusal"
    CHATTER = "chatter"
    LIST = "list"
    SENTENCE = "sentence"
    LONG = "long"
    LETTERS = "letters"
    """Digits, code, or another script."""
    DENIAL = "denial"
    """It contains a negation, so negating it again would affirm it."""
    VAGUE = "vague"
    """An unspecific word: object, something, picture."""


@dataclass(frozen=True, slots=True)
class ConceptWords:
    """A concept with its article and number."""

    text: str
    """Without article: hat, teddy bear, glasses."""
    plural: bool

    @property
    def a_concept(self) -> str:
        """Noun phrase with article: an umbrella, glasses, water, anybody wearing a hat, anything red."""
        first, last = self.text.split()[0], _head(self.text)
        if _is_action(first):
            return f"anybody {self.text}"
        if first.lower() in _QUALITIES and first == self.text:
            return f"anything {self.text}"
        if self.plural or is_mass(last) or first.lower() in _DETERMINED or first.lower() in words.PREPOSITIONS:
            return self.text
        return with_article(self.text)

    @property
    def be(self) -> str:
        """is or are."""
        return "are" if self.plural else "is"

    @property
    def fields(self) -> dict[str, str]:
        """Prompt fields."""
        return {"concept": self.text, "a_concept": self.a_concept, "be": self.be, "Be": self.be.capitalize()}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MOST_WORDS: Final = 4
_MOST_LETTERS: Final = 60
_MOST_LINE: Final = 400
"""Characters of the first paragraph that are parsed."""
_LABEL: Final = re.compile(
    r"(?i)^(?:(?:the |an? )?(?:likely |possible |missing |random )?(?:object|answer|concept|item|thing|noun|word)"
    r"(?: (?:is|could be|would be))?\s*[:=-]+|(?:it|that|this) (?:is|would be|could be|might be)(?: likely)?:?"
    r"|i(?: would|['’]d) (?:say|pick|choose|suggest|name|guess):?)\s+"
)
_REMARK: Final = re.compile(r"\s\((?:(?!\b(?:or|and)\b)[^(),/])*\)\W*$")
"""A remark behind the noun: "umbrella (accessory)", but not an alternative: "hat (or helmet)"."""
_MARKS: Final = re.compile(r"[*`]+|^\s*1[.)](?=\s)")
"""Mark-up, and the number of a list with one entry."""
_QUOTED: Final = re.compile(r"[\"“]([^\"“”]+)[\"”]")
_REFUSAL: Final = re.compile(
    r"(?i)\b(?:sorry|i ?(?:['’]m|am) (?:unable|not able)|can(?:no|['’])t|unable to|as an ai|language model"
    r"|i do ?n[o'’]t|apologi[sz]e|not (?:sure|possible|enough)|n/a|none|nothing|unknown|no (?:object|answer|caption))\b"
)
_CHATTER: Final = re.compile(
    r"(?i)\b(?:sure|certainly|of course|here(?:['’]s| is| are)|okay|let me|i (?:would|think))\b|\bgreat[!,.]"
)
_ENDS: Final = re.compile(r"^[\W_]+|[\W_]+$")
"""Quotation marks, mark-up, punctuation and emojis around the noun."""
_WORD: Final = re.compile(r"[A-Za-zÀ-ÖØ-öø-ɏ]+(?:['’-][A-Za-zÀ-ÖØ-öø-ɏ]+)*")
_LIST: Final = re.compile(r"[,;/\n|•]|\b(?:and|or)\b|^\d+[.)]")
_SENTENCE_END: Final = re.compile(r"[.!?]\s")
# fmt: off
_CLAUSE: Final = words.AUXILIARIES - {"can", "will", "may", "might", "must"} | words.FINITE_VERBS - {
    "rest", "stand", "walk", "ride", "drink", "play", "swim", "drive", "face", "faces", "covers", "drinks", "stands",
    "pepper", "peppers", "hold", "jump", "follow", "pass", "lie", "lies", "rides", "walks", "runs", "plays", "jumps",
    "passes", "flies", "fly",
}
# fmt: on
_NAMES: Final = _words(
    "Christmas Halloween Easter Thanksgiving Santa Claus American British French Chinese Japanese Indian"
    " Italian German Mexican Dutch Swiss English Spanish European African Asian Canadian"
)
_ACRONYMS: Final = _words("TV DVD CD ATM SUV USB PC LED GPS BBQ")
_PAIRED: Final = _words(
    "glasses eyeglasses sunglasses goggles binoculars scissors pliers tweezers pants trousers jeans shorts"
    " leggings tights pajamas pyjamas overalls headphones earphones earbuds clothes chopsticks skis"
)
_MANY: Final = _PAIRED | _words("cattle police dice lice cacti fungi")
_ONE: Final = _words(
    "christmas atlas chess species series compass canvas bus gas lens grass glass dress pancreas crossroads barracks"
    " specimen ramen abdomen rhinoceros gallows headquarters thermos"
)
_MASS: Final = _words(
    # nature and weather
    "water snow ice sand mud dirt hair smoke steam fog mist rain sunlight sunshine moonlight lighting grass foliage"
    " vegetation gravel hay straw fur wool ivy moss dust debris rubble soil lava ash soot frost dew hail sleet"
    " lightning thunder darkness electricity wildlife livestock algae"
    # food and drink
    " food rice bread cheese butter meat fruit milk juice wine soup pasta ketchup mustard sugar salt pepper bacon"
    " broccoli corn lettuce garlic chocolate cereal toast frosting icing cream popcorn yogurt honey jam parsley"
    " cilantro basil mayonnaise syrup oil flour spaghetti macaroni lasagna ravioli linguine fettuccine penne couscous"
    " quinoa oatmeal porridge tofu hummus guacamole salsa granola sushi caviar roe salami ham beef pork poultry seafood"
    " asparagus celery spinach kale coleslaw cabbage coffee tea beer champagne whiskey lemonade alcohol ramen salad"
    # stuff and materials
    " furniture luggage baggage traffic clothing jewelry concrete wood metal cardboard money cash equipment cutlery"
    " makeup lipstick mascara graffiti litter garbage trash rubbish signage scaffolding machinery artwork bedding lace"
    " tinsel confetti glitter tape soap shampoo sunscreen lotion leather denim cotton silk velvet yarn foil paint"
    " glue chalk ink gasoline petrol diesel asphalt cement clay laundry mail merchandise paper music stationery"
    " homework information news measles gymnastics shrubbery sawdust bamboo marble ivory pollen mulch slush beeswax"
    " wheat barley cocoa candy gum vinegar risotto mozzarella footage scenery sewage"
)
_MASS_ENDINGS: Final = ("ware", "wear", "wood", "weed", "paste")
_QUALITIES: Final = _words(
    "red blue green yellow black white brown gray grey orange purple pink tan beige gold silver wooden metal"
    " plastic open closed wet dry sunny cloudy rainy dark bright empty full old new dirty clean"
)
_ADJECTIVES: Final = (words.ADJECTIVES | _QUALITIES) - _words(
    "orange gold silver metal plastic glass leather paper cardboard brick stone light square"
)
_DETERMINED: Final = _words("his her its their the some any another two three four five several many")
_VAGUE: Final = _words(
    "object objects thing things item items something anything everything someone anyone image picture photo photograph"
    " caption word noun concept background foreground scene view yes no"
)
_PAIR: Final = re.compile(r"(?i)^(?:an? )?pairs? of\s+")


def parse_concept(answer: str) -> ConceptWords | NoConcept:
    """Parse the concept in a model's answer, or return the reason why there is none."""
    paragraph = first_turn(clean(answer[:READ])).strip().split("\n\n", 1)[0]
    line = _noun_line(paragraph[:_MOST_LINE])
    if not line:
        return NoConcept.EMPTY
    reason = _rejection(line, cut=len(paragraph) > _MOST_LINE)
    if reason is not None:
        return reason
    return concept_words(_bare(_PAIR.sub("", _in_case(line))))


def _noun_line(paragraph: str) -> str:
    """Return the line that should be the noun, without what a model writes around it."""
    line = _REMARK.sub("", _MARKS.sub("", paragraph))
    quoted = _QUOTED.findall(line)
    if len(quoted) == 1 and not _denies(line):
        line = quoted[0]
    bare = line if "\n" in line else _ENDS.sub("", line)
    return _ENDS.sub("", _LABEL.sub("", bare))


def _denies(line: str) -> bool:
    return bool(_REFUSAL.search(line) or find_cues(line))


def _rejection(line: str, *, cut: bool) -> NoConcept | None:
    """Return the first reason to reject `line`."""
    all_words, bare = line.split(), _PAIR.sub("", _bare(line)).split()
    reasons = {
        NoConcept.REFUSAL: _REFUSAL.search(line),
        NoConcept.CHATTER: len(all_words) > 1 and _CHATTER.search(line),
        NoConcept.LIST: _LIST.search(line),
        NoConcept.SENTENCE: _SENTENCE_END.search(line) or (len(bare) > 2 and _CLAUSE & set(line.lower().split())),
        NoConcept.LONG: cut or len(bare) > _MOST_WORDS or len(line) > _MOST_LETTERS,
        NoConcept.LETTERS: not all(_WORD.fullmatch(word) for word in all_words),
        NoConcept.DENIAL: find_cues(line),
        NoConcept.VAGUE: " ".join(bare).lower() in _VAGUE | _ADJECTIVES,
    }
    return next((reason for reason, match in reasons.items() if match), None)


def concept_words(concept: str) -> ConceptWords:
    """Return the forms of a valid concept."""
    text = " ".join(concept.split())
    head = _head(text)
    return ConceptWords(text, plural=is_plural(head) and not _is_action(text.split()[0]) if text else False)


def is_plural(noun: str) -> bool:
    """Whether `noun` takes "are"."""
    if noun in _MANY:
        return True
    if noun in _ONE or is_mass(noun):
        return False
    irregular = noun.endswith(("men", "people", "children", "feet", "teeth", "mice", "geese", "oxen"))
    return irregular or (noun.endswith("s") and singular(noun) != noun)


def is_mass(noun: str) -> bool:
    """Whether `noun` is singular and takes no article."""
    return noun in _MASS or noun.endswith(_MASS_ENDINGS)


def with_article(phrase: str) -> str:
    """Prefix `phrase` with "a" or "an", by its sound."""
    first = phrase.split(maxsplit=1)[0] if phrase.split() else ""
    return f"{'an' if _sounds_like_vowel(first) else 'a'} {phrase}"


_LIKE_YOU: Final = re.compile(r"(?i)^(?:uni(?!n|m)|use|usu|uter|utens|euro|eu|ewe|one\b|once|ukul|ufo|uk\b|us\b|usb)")
_SILENT_H: Final = re.compile(r"(?i)^(?:hour|honest|heir|honou?r|herb)")


def _sounds_like_vowel(word: str) -> bool:
    if word[:2].lower() == "x-":
        return True
    letters = re.split(r"[-\d]", word, maxsplit=1)[0]  # X-ray, MP3
    if letters.isupper() and len(letters) <= 4:
        return word[0] in "AEFHILMNORSX" and not _LIKE_YOU.match(word)
    if _SILENT_H.match(word):
        return True
    return word[:1].lower() in tuple("aeiouàáâäæèéêëìíîïòóôöøùúûü") and not _LIKE_YOU.match(word)


_INNER_CAPITAL: Final = re.compile(r"\w[\w'’-]*[A-Z]|[A-Z]-")
"""iPhone, Coca-Cola, T-shirt."""


def _in_case(line: str) -> str:
    """Lower-case `line` except names; capitals after a lower-case word mark names."""
    parts = line.split()
    has_lower_start = parts[0] in {"a", "an", "the"} or parts[0][:1].islower()
    cased = []
    for word in parts:
        inner = _INNER_CAPITAL.match(word) and not word.isupper()
        name = inner or (has_lower_start and word[:1].isupper() and not word.isupper())
        if word in _ACRONYMS or name:
            cased.append(word)
        else:
            cased.append(word.capitalize() if word.capitalize() in _NAMES else word.lower())
    return " ".join(cased)


def _bare(line: str) -> str:
    """Remove leading determiners, but never the last word."""
    parts = line.split()
    while len(parts) > 1 and parts[0].lower() in DETERMINERS:
        del parts[0]
    return " ".join(parts)


def _head(phrase: str) -> str:
    """Return the head noun: the word before the first preposition."""
    parts = phrase.lower().split()
    end = next((at for at, word in enumerate(parts) if at and word in words.PREPOSITIONS), len(parts))
    return parts[end - 1] if parts else ""


def _is_action(word: str) -> bool:
    return is_participle(word.lower()) and word.lower() not in _ING_THINGS


_ING_THINGS: Final = _words(
    "clothing dining cutting swimming parking baking cooking running sleeping serving measuring washing"
    " wedding living mixing frying rolling shopping fishing skiing hiking riding walking streaming ironing"
    " diving lightning chewing"
)
