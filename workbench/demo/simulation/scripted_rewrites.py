"""Rewrites of the scripted proposer: write a denial with a given cue at a given position of any caption.

A small share is flawed on purpose: chat text around the caption, no denial at all, a double negation.
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
    "without": "without {a} in sight, ",
    "lacking": "in a scene lacking {a}, ",
    "nothing": "with nothing like {a} in sight, ",
    "nobody": "with nobody in sight, ",
    "no one": "with no one in sight, ",
    "never": "with never {a} in sight, ",
}
# fmt: off
_INSIDE: Final = {
    "no": ", with no {c} in sight,", "not": ", where there {be} not {any},", "isn't": ", where there {be}n't {any},",
    "without": ", without {a} in sight,", "lacking": ", in a scene lacking {a},",
    "nothing": ", with nothing like {a} in sight,",
    "nobody": ", with nobody else,", "no one": ", with no one else,", "never": ", with never {a} in sight,",
}
_BEHIND: Final = {
    "no": ", with no {c} in sight", "not": ", and there {be} not {any}", "isn't": ", and there {be}n't {any}",
    "without": ", without {a} in sight", "lacking": ", in a scene lacking {a}",
    "nothing": ", with nothing like {a} in sight",
    "nobody": ", with nobody in sight", "no one": ", with no one in sight", "never": ", with never {a} in sight",
}
# fmt: on
"""No phrase attaches to the noun before it: "a pastry lacking a backpack" speaks of the pastry, not of the scene."""
_NO_BREAK: Final = frozenset(("of", "to", "than", "up", "down", "off", "out", "over", "as", "like"))
_MAX_CHARACTERS: Final = 2_000


def rewrite(
    caption: str, concept: ConceptWords, parts: QuestionParts | None, cue: str, position: str, rng: random.Random
) -> str:
    """Return `caption` with a denial of `concept`, or of the statement of a question.

    Args:
        caption: Caption to rewrite; at most 2,000 characters are used.
        parts: Parsed question of P2, or None.
        cue: Negation cue; empty: a random one.
        position: beginning, middle or end; empty: a random one.
    """
    written = " ".join(caption[:_MAX_CHARACTERS].split())
    text = written.rstrip(".!? ")
    rewritten = _with_denial(text, concept, parts, cue, position, rng) + written[len(text) :]
    return rewritten[:1].upper() + rewritten[1:] if text[:1].isupper() else rewritten


def _with_denial(
    text: str, concept: ConceptWords, parts: QuestionParts | None, cue: str, position: str, rng: random.Random
) -> str:
    cue = cue or rng.choice(_PLAIN_CUES)
    position = position or rng.choice(_POSITIONS)
    if parts is not None and parts.negation_type is not NegationType.ABSENCE and denial_of(parts):
        return _statement(text, parts, cue, position)
    fields = {"c": concept.text, "a": concept.a_concept, "be": concept.be, "any": _any(concept)}
    if position == "beginning":
        return _before(_filled(_FRONT[cue], fields), text)
    if position == "middle":
        return _into(text, _filled(_INSIDE[cue], fields))
    return text + _filled(_BEHIND[cue], fields)


def clumsy(text: str, caption: str, concept: ConceptWords, rng: random.Random) -> str:
    """Return the rewrite with a flaw: one that every annotator should reject."""
    return rng.choice(
        (
            f'Sure! Here is the negated caption: "{text}" Let me know if you need more!',
            f"{text} (Note: I added the absence as you asked.)",
            caption,
            f"{caption.rstrip('. ')}, not without {concept.a_concept}",
        )
    )


def as_chat_reply(text: str, rng: random.Random) -> str:
    """Return the rewrite as a chat model replies: sometimes in quotation marks or after an introduction."""
    draw = rng.random()
    if draw < 0.05:
        return f'"{text}"'
    return f"Here is the edited caption: {text}" if draw < 0.08 else text


def _filled(template: str, fields: Mapping[str, str]) -> str:
    return template.format_map(fields)


def _any(concept: ConceptWords) -> str:
    bare = concept.a_concept == concept.text
    return f"any {concept.text}" if bare else concept.a_concept


def _statement(text: str, parts: QuestionParts, cue: str, position: str) -> str:
    denial = denial_of(parts, cue)
    if position == "beginning":
        return _before(denial, text)
    if position == "middle":
        return _into(text, f", where {denial},")
    return f"{text}, and {denial}"


def _before(denial: str, text: str) -> str:
    """Put a denial before a caption; a statement is joined with "and" or "just"."""
    if denial.endswith(", "):
        return denial + _uncapitalised(text)
    is_statement = re.search(r"(?i)^there\b|\b(?:is|are)\b", text)
    return f"{denial}, {'and' if is_statement else 'just'} {_uncapitalised(text)}"


def _uncapitalised(text: str) -> str:
    """Lower the first letter of a sentence."""
    return text[:1].lower() + text[1:] if re.match(r"[A-Z][a-z]*\b(?!['’])", text) else text


def _into(text: str, phrase: str) -> str:
    """Insert `phrase` at a phrase boundary near the middle of the text, or append it if there is none."""
    written = [f"{before}{phrase} {after}" for before, after in _breaks(text)]
    middle = [
        candidate for candidate in written if (cue := first_cue(candidate)) is not None and cue.position == "middle"
    ]
    if middle or written:
        chosen = middle or written
        return chosen[len(chosen) // 2]
    return f"{text}{phrase.rstrip(',')}"


def _breaks(text: str) -> Iterator[tuple[str, str]]:
    tokens = text.split()
    for at in range(2, len(tokens)):
        word = tokens[at].lower().strip(",")
        goes_on = word in words.PREPOSITIONS - _NO_BREAK or is_participle(word)
        if (
            goes_on
            and tokens[at - 1].lower() not in words.NEVER_HEADS | words.DETERMINERS
            and tokens[at - 1][-1].isalnum()
        ):
            yield " ".join(tokens[:at]), " ".join(tokens[at:])
