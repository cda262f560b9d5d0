"""Vocabulary and scenes of the demo: the things that each anchor can have, their places, the content of a scene.

Image and captions are derived from the scene. Each thing has one signature colour; colour words describe the anchor
only (things with random colours were much harder to learn).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

RGB = tuple[int, int, int]
Point = tuple[float, float]


class Relation(StrEnum):
    """Relation of a thing to its anchor; the first three are verbs, the others places."""

    WEARING = "wearing"
    HOLDING = "holding"
    CARRYING = "carrying"
    ON = "on"
    UNDER = "under"
    OVER = "over"
    IN = "in"
    BESIDE = "next to"
    IN_FRONT = "in front of"
    ON_BACK = "on the back of"
    ON_TAIL = "tied to the tail of"
    ON_ROOF = "on the roof of"
    IN_WINDOW = "in the window of"
    TIED = "tied to"

    @property
    def is_verb(self) -> bool:
        """Whether the relation is an action of the anchor."""
        return self in (Relation.WEARING, Relation.HOLDING, Relation.CARRYING)


@dataclass(frozen=True, slots=True)
class Attachment:
    """Relation, place and size of a thing at an anchor, in percent of the instance's frame."""

    relation: Relation
    x: float
    y: float
    size: float
    """Half the thing's extent."""
    likely: int = 2
    """Weight with which the proposer chooses it."""
    tie: Point | None = None
    """End of its string or stick."""


R = Relation
_PERSON = {
    "hat": Attachment(R.WEARING, 50, 13, 17, 4),
    "glasses": Attachment(R.WEARING, 50, 28, 12, 3),
    "scarf": Attachment(R.WEARING, 50, 45, 14, 2),
    "umbrella": Attachment(R.HOLDING, 80, 22, 18, 3, (75, 64)),
    "bag": Attachment(R.CARRYING, 21, 73, 12, 3),
}
ATTACHMENTS: Mapping[str, Mapping[str, Attachment]] = {
    "man": _PERSON | {"ball": Attachment(R.BESIDE, 84, 88, 10, 2), "book": Attachment(R.HOLDING, 50, 62, 12, 2)},
    "woman": _PERSON
    | {
        "balloon": Attachment(R.HOLDING, 18, 18, 13, 2, (26, 61)),
        "flower": Attachment(R.HOLDING, 50, 60, 12, 2),
    },
    "dog": {
        "hat": Attachment(R.WEARING, 71, 20, 15, 1),
        "scarf": Attachment(R.WEARING, 63, 55, 13, 2),
        "glasses": Attachment(R.WEARING, 76, 36, 11, 1),
        "ball": Attachment(R.BESIDE, 89, 88, 10, 4),
        "bird": Attachment(R.ON_BACK, 36, 39, 12, 2),
        "balloon": Attachment(R.ON_TAIL, 13, 18, 12, 1, (9, 46)),
        "flower": Attachment(R.BESIDE, 9, 82, 13, 2),
    },
    "cat": {
        "hat": Attachment(R.WEARING, 50, 14, 15, 2),
        "scarf": Attachment(R.WEARING, 50, 56, 14, 2),
        "glasses": Attachment(R.WEARING, 50, 35, 13, 1),
        "ball": Attachment(R.BESIDE, 89, 87, 10, 4),
        "cup": Attachment(R.BESIDE, 32, 90, 9, 2),
        "bird": Attachment(R.BESIDE, 13, 83, 12, 3),
        "balloon": Attachment(R.ON_TAIL, 86, 20, 12, 1, (84, 56)),
    },
    "table": {
        "apple": Attachment(R.ON, 14, 41, 10, 3),
        "book": Attachment(R.ON, 35, 41, 11, 3),
        "cup": Attachment(R.ON, 55, 41, 10, 4),
        "flower": Attachment(R.ON, 71, 36, 15, 3),
        "glasses": Attachment(R.ON, 87, 44, 11, 2),
        "bag": Attachment(R.UNDER, 34, 83, 13, 1),
        "ball": Attachment(R.UNDER, 66, 85, 11, 1),
    },
    "bench": {
        "umbrella": Attachment(R.OVER, 69, 20, 21, 2, (69, 62)),
        "bag": Attachment(R.ON, 17, 50, 12, 4),
        "book": Attachment(R.ON, 38, 52, 11, 3),
        "apple": Attachment(R.ON, 57, 53, 9, 2),
        "cup": Attachment(R.ON, 83, 53, 10, 2),
        "bird": Attachment(R.ON, 24, 24.5, 12, 3),
        "ball": Attachment(R.UNDER, 50, 87, 10, 2),
    },
    "house": {
        "bird": Attachment(R.ON_ROOF, 50, 11, 12, 3),
        "flower": Attachment(R.IN_FRONT, 11, 82, 14, 4),
        "ball": Attachment(R.IN_FRONT, 68, 90, 9, 2),
        "balloon": Attachment(R.TIED, 15, 20, 12, 1, (22, 48)),
        "umbrella": Attachment(R.IN_FRONT, 86, 64, 14, 1, (86, 94)),
        "bag": Attachment(R.IN_FRONT, 32, 88, 10, 1),
        "cup": Attachment(R.IN_WINDOW, 32, 63, 8, 1),
    },
    "tree": {
        "apple": Attachment(R.IN, 33, 42, 9, 4),
        "bird": Attachment(R.IN, 60, 24, 13, 4),
        "balloon": Attachment(R.TIED, 88, 18, 12, 1, (75, 48)),
        "ball": Attachment(R.UNDER, 30, 88, 10, 2),
        "book": Attachment(R.UNDER, 88, 90, 10, 1),
        "flower": Attachment(R.UNDER, 10, 82, 13, 3),
        "bag": Attachment(R.UNDER, 68, 85, 11, 1),
    },
}
"""The seven things that each anchor can have, at fixed places so that a small network can learn them."""

ANCHORS: tuple[str, ...] = tuple(ATTACHMENTS)
# fmt: off
THINGS: tuple[str, ...] = (
    "apple", "bag", "ball", "balloon", "bird", "book", "cup", "flower", "glasses", "hat", "scarf", "umbrella",
)
# fmt: on
COLOURS: Mapping[str, Mapping[str, RGB]] = {
    "man": {"red": (214, 62, 58), "blue": (62, 104, 205), "green": (52, 148, 92)},
    "woman": {"red": (214, 52, 62), "blue": (70, 112, 214), "white": (246, 243, 238)},
    "dog": {"brown": (164, 108, 62), "black": (62, 58, 66), "white": (244, 240, 232)},
    "cat": {"orange": (240, 152, 66), "gray": (150, 154, 164), "black": (60, 57, 66)},
    "table": {"brown": (160, 104, 60), "white": (246, 244, 238), "red": (206, 62, 54)},
    "bench": {"red": (210, 70, 60), "blue": (74, 116, 208), "green": (66, 150, 96)},
    "house": {"yellow": (250, 212, 110), "white": (248, 245, 238), "red": (206, 88, 74)},
    "tree": {"green": (84, 164, 76), "yellow": (242, 200, 72), "pink": (248, 178, 204)},
}
"""Colours of each anchor (for a person the colour of the shirt or dress)."""
GARMENTS: Mapping[str, str] = {"man": "shirt", "woman": "dress"}
SETTINGS: Mapping[str, tuple[str, ...]] = {
    "man": ("park", "beach", "room", "evening"),
    "woman": ("park", "beach", "room", "evening"),
    "dog": ("park", "beach", "room"),
    "cat": ("park", "room", "evening"),
    "table": ("room", "cabin"),
    "bench": ("park", "beach", "evening"),
    "house": ("park", "evening", "beach"),
    "tree": ("park", "evening"),
}
"""Backdrops of the large images; no caption mentions them."""
ALL_COLOURS: frozenset[str] = frozenset(c for kinds in COLOURS.values() for c in kinds)
_FILLER = frozenset({"a", "an", "the", "pair", "of", "any"})


def colour_concept(anchor: str, colour: str) -> str:
    """Return the colour attribute as a concept: "red dress" for a woman, "red" for a bench."""
    return f"{colour} {GARMENTS[anchor]}" if anchor in GARMENTS else colour


@dataclass(frozen=True)
class Instance:
    """An anchor with its things, in a box of the image."""

    anchor: str
    colour: str
    things: tuple[str, ...]
    """Sorted."""
    seed: int
    """Seed of jitter, skin and hair, which no caption mentions."""
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """x, y, width, height as shares of the image."""

    def has(self, concept: str) -> bool:
        """Return whether `concept` (hat, wearing a hat, red, red dress, dog) is true of the instance.

        Raises:
            ValueError: the concept has an unknown word.
        """
        words = [word for word in concept.lower().split() if word not in _FILLER]
        if not words:
            raise ValueError(f"the demo has no concept {concept!r}")
        return all(self._holds(word, words) for word in words)

    def _holds(self, word: str, words: Sequence[str]) -> bool:
        if word in THINGS:
            return word in self.things
        if word in ALL_COLOURS:
            return word == self.colour
        if word in ANCHORS:
            return word == self.anchor
        if word in GARMENTS.values():
            return GARMENTS.get(self.anchor) == word
        if word in ("wearing", "holding", "carrying"):
            return all(self._relation(thing) == word for thing in words if thing in THINGS)
        raise ValueError(f"the demo has no word {word!r}")

    def _relation(self, thing: str) -> Relation | None:
        attachment = ATTACHMENTS[self.anchor].get(thing)
        return attachment.relation if attachment else None

    def to_dict(self) -> dict[str, Any]:
        return {
            "anchor": self.anchor,
            "colour": self.colour,
            "things": list(self.things),
            "seed": self.seed,
            "box": list(self.box),
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Instance:
        x, y, width, height = row["box"]
        things = tuple(row["things"])
        return cls(row["anchor"], row["colour"], things, int(row["seed"]), (x, y, width, height))


@dataclass(frozen=True)
class Scene:
    """Ground truth of an image: one instance for curation, two of one kind side by side for the exam."""

    seed: int
    instances: tuple[Instance, ...]
    setting: str

    @property
    def first(self) -> Instance:
        """The only instance of a curation scene."""
        return self.instances[0]

    @cached_property
    def key(self) -> str:
        """Equal for scenes with equal content; input of the judges' hashes."""
        parts = (f"{i.anchor},{i.colour},{'+'.join(i.things)},{i.seed}" for i in self.instances)
        return f"{self.seed}|{self.setting}|{'|'.join(parts)}"

    def has(self, concept: str) -> bool:
        """Return whether `concept` is true of any instance.

        Raises:
            ValueError: the concept has an unknown word.
        """
        return any([instance.has(concept) for instance in self.instances])

    def distinguishing_things(self) -> tuple[str, ...]:
        """Return the things that exactly one of the two instances has."""
        if len(self.instances) != 2:
            return ()
        left, right = self.instances
        return tuple(sorted(set(left.things) ^ set(right.things)))

    def to_dict(self) -> dict[str, Any]:
        rows = [instance.to_dict() for instance in self.instances]
        return {"seed": self.seed, "setting": self.setting, "instances": rows}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Scene:
        instances = tuple(Instance.from_dict(part) for part in row["instances"])
        return cls(int(row["seed"]), instances, row["setting"])


def _things(rng: random.Random, anchor: str, count: tuple[int, int]) -> tuple[str, ...]:
    return tuple(sorted(rng.sample(sorted(ATTACHMENTS[anchor]), rng.randint(*count))))


def _box(index: int, of: int) -> tuple[float, float, float, float]:
    return (index / of, 0.0, 1 / of, 1.0)


def make_scene(seed: int, *, instances: int = 1, anchor: str | None = None, things: tuple[int, int] = (2, 5)) -> Scene:
    """Make the scene of `seed`.

    Args:
        instances: Number of instances (1 or 2) of one anchor. Two instances differ in at least one thing
            (`distinguishing_things`); their colours are drawn independently.
        anchor: Anchor; None: a random one.
        things: Minimum and maximum number of things of each instance, of the anchor's seven.
    """
    rng = random.Random(seed * 4 + instances)
    kind = anchor or rng.choice(ANCHORS)
    drawn: list[Instance] = []
    while len(drawn) < instances:
        drawn_things = _things(rng, kind, things)
        if any(other.things == drawn_things for other in drawn):
            continue
        colour = rng.choice(tuple(COLOURS[kind]))
        box = _box(len(drawn), instances)
        drawn.append(Instance(kind, colour, drawn_things, rng.getrandbits(32), box))
    return Scene(seed, tuple(drawn), rng.choice(SETTINGS[kind]))
