"""Known bad rows of published caption files: rows whose texts are wrong whatever the image shows.

They are flagged, never left out: the score over all rows is the published one, and the rows without a defect have a
score of their own, the subset `clean`. Does not import torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from benchmarks.task import Subset
from curation_db.enums import NegationType
from curation_db.language import negation_lexicon as lexicon
from curation_db.language.chatter import chatter_excerpt
from curation_db.language.negation_cues import find_cues
from curation_db.language.nouns import core_words, stem
from curation_db.language.sanitize import normalised

CUT: Final = "defect"
"""The cut of items by the defect of their row."""
_WORD: Final = re.compile(r"[\w'’-]+|[^\w\s]")
_GAP: Final = " , "
"""Stands for what a cue denies."""
# fmt: off
_ARTICLES: Final = lexicon.DETERMINERS | {"two", "three", "four", "five", "many"}
_HAVING: Final = frozenset(("with", "without", "wearing", "has", "have", "having", "holding"))
_COMPARING: Final = frozenset(("other", "others", "another", "one", "more", "second", "only", "just"))
"""Words of captions about several things of a kind, of which a denial may concern one."""
_FUNCTION_WORDS: Final = lexicon.PREPOSITIONS | {"and", "but", "or", "is", "are", "was", "were", "that", "which", "who"}
# fmt: on
NO_DEFECT: Final = "none"
CLEAN: Final = Subset("clean", CUT, NO_DEFECT)


class RowDefect(StrEnum):
    CHATTER = "chatter"
    """A caption has remarks of the language model that wrote it."""
    CONTRADICTION = "contradiction"
    """A caption affirms what it denies: "a chair beside the table, with no chair in sight"."""
    EQUAL_CAPTIONS = "equal captions"
    """The right caption is also offered as a wrong one, at most with other case or punctuation."""


def defect_of(captions: Sequence[str], target: int) -> RowDefect | None:
    """Return the first defect of a row in the order of `RowDefect`.

    Args:
        target: Index of the right caption.
    """
    if any(map(chatter_excerpt, captions)):
        return RowDefect.CHATTER
    if any(map(_contradicts_itself, captions)):
        return RowDefect.CONTRADICTION
    right = normalised(captions[target])
    if any(normalised(caption) == right for place, caption in enumerate(captions) if place != target):
        return RowDefect.EQUAL_CAPTIONS
    return None


def defect_slice(captions: Sequence[object], target: int) -> Mapping[str, str]:
    """Return the cut of a row; a row with something else than texts is refused later, and has no defect here."""
    texts = [caption for caption in captions if isinstance(caption, str)]
    defect = defect_of(texts, target) if len(texts) == len(captions) else None
    return {CUT: defect.value if defect else NO_DEFECT}


def _contradicts_itself(caption: str) -> bool:
    """Return whether the caption denies a thing that it names as there, in the same words.

    Captions that compare two things are right: "a man without a hat next to a man with a hat". So a mention counts only
    if it is a noun phrase of its own, after an article or number, and not what something else has.
    """
    if _COMPARING.intersection(_WORD.findall(caption.lower())):
        return False
    for cue in find_cues(caption):
        if cue.concept_span is None or cue.negation_type is not NegationType.ABSENCE:
            continue
        denied = [stem(word) for word in core_words(caption[slice(*cue.concept_span)])]
        outside = caption[: cue.scope_start] + _GAP + caption[cue.scope_end :]
        if denied and _affirms_literally(_WORD.findall(outside.lower()), denied):
            return True
    return False


def _affirms_literally(words: Sequence[str], phrase: Sequence[str]) -> bool:
    stems = [stem(word) for word in words]
    for start in range(1, len(words) - len(phrase) + 1):
        end = start + len(phrase)
        is_phrase = stems[start:end] == list(phrase) and words[start - 1] in _ARTICLES
        if is_phrase and _ends_phrase(words, end) and not _HAVING & set(words[max(0, start - 4) : start]):
            return True
    return False


def _ends_phrase(words: Sequence[str], end: int) -> bool:
    return end == len(words) or words[end] in _FUNCTION_WORDS or not words[end][0].isalnum()
