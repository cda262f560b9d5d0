"""How the scripted proposer writes: a denial in the asked words at the asked place of any caption. Pure.

A small share is clumsy on purpose, as a careless model's would be: chatter, no denial at all, a denial of a denial.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from typing import Final

from curation_db.enums import NegationType
from curation_db.language import negation_lexicon as words
from curation_db.language.chunker import is_participle
from curation_db.language.negation_cues import first_cue
from workbench.generation.pipelines.proposals import ConceptWords
from workbench.generation.pipelines.vqa_questions import QuestionParts, denial_of

CLUMSY: Final = 0.04
_PLAIN_CUES: Final = ("no", "without", "no", "not")
_POSITIONS: Final = ("beginning", "middle", "end", "end")
_FRONT: Final = {
    "no": "with no {c} in sight, ",
    "not": "there {be} not {any} here",
    "isn't": "there {be}n't {any} here",
    "without": "without {a}, ",
    "lacking": "lacking {a}, ",
    "nothing": "with nothing like {a} in sight, ",
    "nobody": "with nobody in sight, ",
    "no one": "with no one in sight, ",
    "never": "with never {a} in sight, ",
}
# fmt: off
_INSIDE: Final = {
    "no": " with no {c}", "not": ", where there {be} not {any},", "isn't": ", where there {be}n't {any},",
    "without": " without {a}", "lacking": " lacking {a}", "nothing": ", with nothing like {a} in sight,",
    "nobody": ", with nobody else,", "no one": ", with no one else,", "never": ", with never {a} in sight,",
}
# fmt: on
# fmt: off
_BEHIND: Final = {
    "no": " with no {c}", "not": ", and there {be} not {any}", "isn't": ", and there {be}n't {any}",
    "without": " without {a}", "lacking": ", lacking {a}", "nothing": ", with nothing like {a} in sight",
    "nobody": ", with nobody in sight", "no one": ", with no one in sight", "never": ", with never {a} in sight",
}
# fmt: on
_NO_BREAK: Final = frozenset(("of", "to", "than", "up", "down", "off", "out", "over", "as", "like"))
_MOST: Final = 2_000


def rewrite(
    caption: str, concept: ConceptWords, parts: QuestionParts | None, cue: str, position: str, rng: random.Random
) -> str:
    """`caption` with `concept`, or what a question asked, denied with `cue` at `position` (empty: as it comes)."""
    text = " ".join(caption[:_MOST].split())
    full_stop = "." if text.endswith(".") else ""
    text = text.rstrip(". ")
    cue = cue or rng.choice(_PLAIN_CUES)
    position = position or rng.choice(_POSITIONS)
    if parts is not None and parts.negation_type is not NegationType.ABSENCE and denial_of(parts):
        return _statement(text, parts, cue, position) + full_stop
    told = {"c": concept.text, "a": concept.a_concept, "be": concept.be, "any": _any(concept)}
    if position == "beginning":
        return _before(_filled(_FRONT[cue], told), text) + full_stop
    if position == "middle":
        return _into(text, _filled(_INSIDE[cue], told)) + full_stop
    return text + _filled(_BEHIND[cue], told) + full_stop


def clumsy(text: str, caption: str, concept: ConceptWords, rng: random.Random) -> str:
    """The rewrite as nobody should accept it."""
    return rng.choice(
        (
            f'Sure! Here is the negated caption: "{text}" Let me know if you need more!',
            f"{text} (Note: I added the absence as you asked.)",
            caption,
            f"{caption.rstrip('. ')}, not without {concept.a_concept}",
        )
    )


def as_chat_reply(text: str, rng: random.Random) -> str:
    """The rewrite as chat models say it: now and then in quotation marks, or behind an opening."""
    luck = rng.random()
    if luck < 0.05:
        return f'"{text}"'
    return f"Here is the edited caption: {text}" if luck < 0.08 else text


def _filled(template: str, told: Mapping[str, str]) -> str:
    return template.format_map(told)


def _any(concept: ConceptWords) -> str:
    bare = concept.a_concept == concept.text
    return f"any {concept.text}" if bare else concept.a_concept


def _statement(text: str, parts: QuestionParts, cue: str, position: str) -> str:
    denial = denial_of(parts, cue)
    doing = parts.concept if parts.concept and is_participle(parts.concept.split()[0]) else None
    if cue == "without" and doing and position != "beginning":
        return f"{text} without {doing}"
    if position == "beginning":
        return _before(denial, text)
    if position == "middle":
        return _into(text, f", where {denial},")
    return f"{text}, and {denial}"


def _before(denial: str, text: str) -> str:
    """A denial in front of a caption; a statement needs a joint."""
    if denial.endswith(", "):
        return denial + _small(text)
    says = re.search(r"(?i)^there\b|\b(?:is|are)\b", text)
    return f"{denial}, {'and' if says else 'just'} {_small(text)}"


def _small(text: str) -> str:
    """Without the capital of a sentence's beginning."""
    return text[:1].lower() + text[1:] if re.match(r"[A-Z][a-z]*\b(?!['’])", text) else text


def _into(text: str, phrase: str) -> str:
    """`phrase` where a new phrase begins, as near the middle as that allows; else behind everything."""
    written = [f"{before}{phrase} {after}" for before, after in _breaks(text)]
    middle = [one for one in written if (cue := first_cue(one)) is not None and cue.position == "middle"]
    if middle or written:
        chosen = middle or written
        return chosen[len(chosen) // 2]
    return f"{text}{phrase.rstrip(',')}"


def _breaks(text: str) -> Iterator[tuple[str, str]]:
    said = text.split()
    for at in range(2, len(said)):
        word = said[at].lower().strip(",")
        goes_on = word in words.PREPOSITIONS - _NO_BREAK or is_participle(word)
        if goes_on and said[at - 1].lower() not in words.NEVER_HEADS | words.DETERMINERS and said[at - 1][-1].isalnum():
            yield " ".join(said[:at]), " ".join(said[at:])
