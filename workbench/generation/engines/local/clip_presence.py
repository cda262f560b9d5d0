"""CLIP as a judge of the question whether a concept is present: prompts, and the answer from a score. Pure.

The score z and its source are in `trainers.concept_presence`. P(present) = 1 / (1 + exp(THRESHOLD - z)): one half at
the threshold, so that a recipe's threshold of .5 means z = THRESHOLD. It is a score on the scale of a probability and
not calibrated; labels calibrate it (`curation_db.trust.calibration.fit_platt`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from curation_db.enums import Method
from curation_db.language.nouns import core_words, stem
from curation_db.language.object_mentions import category_matches, mentions
from curation_db.language.sanitize import display_text
from workbench.errors import UsageError
from workbench.generation.engines.probabilities import logistic
from workbench.generation.engines.requests import ModelAnswer, RequestFailure

STATISTIC: Final = "modified-z-1"
"""Part of the answer cache's key; raise the number when the score or the default objects change."""
THRESHOLD: Final = 1.645
"""z from which on the concept counts as present: the normal quantile of 95 %."""
LEAST_OBJECTS: Final = 20
"""Median and spread of fewer objects are too uncertain."""
_OBJECT: Final = "{object}"
PROMPT: Final = "a photo of {object}"
"""The prompt of Radford et al. 2021 without its full stop, which the texts that CLIP was trained on rarely have."""
# fmt: off
OBJECTS: Final = (
    "a person", "a bicycle", "a car", "a motorcycle", "an airplane", "a bus", "a train", "a truck", "a boat",
    "a traffic light", "a fire hydrant", "a stop sign", "a parking meter", "a bench", "a bird", "a cat", "a dog",
    "a horse", "a sheep", "a cow", "an elephant", "a bear", "a zebra", "a giraffe", "a backpack", "an umbrella",
    "a handbag", "a tie", "a suitcase", "a frisbee", "skis", "a snowboard", "a sports ball", "a kite",
    "a baseball bat", "a baseball glove", "a skateboard", "a surfboard", "a tennis racket", "a bottle",
    "a wine glass", "a cup", "a fork", "a knife", "a spoon", "a bowl", "a banana", "an apple", "a sandwich",
    "an orange", "broccoli", "a carrot", "a hot dog", "a pizza", "a donut", "a cake", "a chair", "a couch",
    "a potted plant", "a bed", "a dining table", "a toilet", "a tv", "a laptop", "a mouse", "a remote", "a keyboard",
    "a cell phone", "a microwave", "an oven", "a toaster", "a sink", "a refrigerator", "a book", "a clock", "a vase",
    "scissors", "a teddy bear", "a hair drier", "a toothbrush",
)
"""The 80 categories of COCO (Lin et al. 2014)."""
# fmt: on
_ASKED: Final = re.compile(r"(?i)(?:is|are) there (?:any )?(.+?)(?: in (?:the|this) (?:image|picture|photo))?\s*\?*")


@dataclass(frozen=True, slots=True)
class PresencePrompts:
    """The prompt of a concept and of the objects that it is compared with."""

    prompt: str = PROMPT
    objects: tuple[str, ...] = OBJECTS

    @classmethod
    def of(cls, engine: str, options: Mapping[str, Any]) -> PresencePrompts:
        """Read the options of an engine: `prompt`, a text with {object}, and `objects`, phrases such as "a dog".

        Raises:
            UsageError: An option is unknown or has another type.
        """
        prompt, objects = options.get("prompt", PROMPT), options.get("objects", OBJECTS)
        where = f"[engines.{engine}] options"
        if unknown := sorted(set(options) - {"prompt", "objects"}):
            raise UsageError(f"{where}: {display_text(unknown[0], limit=40)} is unknown", hint="known: prompt, objects")
        if not isinstance(prompt, str) or _OBJECT not in prompt:
            raise UsageError(f"{where}: prompt must be a text with {_OBJECT}", hint=f'as in: prompt = "{PROMPT}"')
        if not isinstance(objects, list | tuple) or not all(isinstance(each, str) and each.strip() for each in objects):
            raise UsageError(f"{where}: objects must be a list of phrases", hint='as in: objects = ["a dog", "a cup"]')
        if len(set(objects)) < LEAST_OBJECTS:
            raise UsageError(f"{where}: objects needs at least {LEAST_OBJECTS} different phrases")
        return cls(prompt, tuple(dict.fromkeys(objects)))

    def filled(self, phrase: str) -> str:
        """Return the prompt of an object."""
        return self.prompt.replace(_OBJECT, phrase)

    def others(self, concept: str) -> list[str]:
        """Return the prompts of the objects that are neither the concept nor related to it."""
        return [self.filled(each) for each in self.objects if not related(each, concept)]


def related(one: str, other: str) -> bool:
    """Return whether two phrases share a word or one is a kind or a synonym of the other: a dog and a puppy."""
    names = " ".join(core_words(one)), " ".join(core_words(other))
    if not all(names):
        return False
    stems = [{stem(word) for word in name.split()} for name in names]
    if stems[0] & stems[1]:
        return True
    return mentions(names[0], names[1]) or mentions(names[1], names[0]) or category_matches(*names)


def phrase_of(facts: Mapping[str, str]) -> str | None:
    """Return the noun phrase whose presence a request asks about; None: it asks something else.

    Args:
        facts: Prompt fields: a question (`question`), or a concept with its article (`a_concept`).
    """
    question = facts.get("question")
    if question is None:
        return facts.get("a_concept") or None
    match = _ASKED.fullmatch(" ".join(question.split()))
    return match[1] if match else None


def presence_of(prompts: PresencePrompts, picture: str, facts: Mapping[str, str]) -> dict[str, Any] | ModelAnswer:
    """Return the message for the child process, or an error answer."""
    phrase = phrase_of(facts)
    if phrase is None:
        return _unsupported("CLIP only answers whether an object is in the image")
    others = prompts.others(phrase)
    if len(others) < LEAST_OBJECTS:
        return _unsupported(
            f"fewer than {LEAST_OBJECTS} of the objects are unrelated to {display_text(phrase, limit=60)}"
        )
    return {"picture": picture, "text": prompts.filled(phrase), "others": others}


def presence_answer(z: float | None) -> ModelAnswer:
    """Convert a score. An undefined one is neither yes nor no, as is one at the threshold."""
    if z is None or z == THRESHOLD:
        return ModelAnswer(text="unclear: the score is undefined" if z is None else "unclear", method=Method.SCORE)
    # the text begins as the answer of a model, since the rule "official" reads it
    text = f"{'yes' if z > THRESHOLD else 'no'}: z {z:+.3f}"
    return ModelAnswer(text=text, p=logistic(z - THRESHOLD), method=Method.SCORE)


def _unsupported(detail: str) -> ModelAnswer:
    return ModelAnswer(error=RequestFailure.UNSUPPORTED, detail=detail)
