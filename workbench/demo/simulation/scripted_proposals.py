"""Concepts of the scripted proposer: things that are expected with what a caption mentions.

For a caption of the demo these are the things that its anchor can have, for other captions a small table.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Mapping
from typing import Final

from curation_db.language.object_mentions import affirms, mentions
from workbench.demo.world.world import ALL_COLOURS, ANCHORS, ATTACHMENTS, GARMENTS, THINGS
from workbench.generation.pipelines.proposals import concept_words

_WORD: Final = re.compile(r"[a-z]+")
_PLAIN: Final = """
    a an the and with in on of is are there picture pair wearing holding carrying under over next to front back tied
    tail roof window it its his her him"""
_DRAWN: Final = frozenset({*_PLAIN.split(), *ANCHORS, *THINGS, *ALL_COLOURS, *GARMENTS.values()})
"""Vocabulary of the demo's captions."""
LIKELY: Final[Mapping[str, tuple[str, ...]]] = {
    "kitchen": ("microwave", "kettle", "window", "dish towel", "fruit bowl", "clock"),
    "bathroom": ("towel", "window", "toothbrush", "plant", "bath mat", "soap dispenser"),
    "bedroom": ("lamp", "pillow", "curtains", "clock", "book"),
    "living room": ("television", "lamp", "rug", "plant", "bookshelf"),
    "table": ("candle", "napkin", "flower vase", "fork", "salt shaker"),
    "plate": ("fork", "napkin", "knife", "glass of water", "lemon slice"),
    "pizza": ("olives", "mushrooms", "pizza cutter", "basil leaf", "napkin"),
    "sandwich": ("pickle", "chips", "napkin", "lettuce"),
    "street": ("traffic light", "bicycle", "pedestrian", "bench", "parking meter"),
    "road": ("traffic cone", "bicycle", "street sign", "truck"),
    "bus": ("bicycle", "passenger", "traffic light", "bus stop"),
    "train": ("passenger", "signal", "tunnel", "suitcase"),
    "car": ("driver", "license plate", "bicycle", "pedestrian"),
    "motorcycle": ("helmet", "rider", "saddlebag", "side mirror"),
    "bicycle": ("basket", "helmet", "bell", "rider"),
    "airplane": ("clouds", "control tower", "fuel truck", "passenger"),
    "boat": ("life jacket", "sail", "anchor", "seagull"),
    "beach": ("umbrella", "towel", "seagull", "sandcastle", "surfboard"),
    "ocean": ("boat", "seagull", "surfboard", "lighthouse"),
    "snow": ("scarf", "sled", "pine tree", "snowman"),
    "skateboard": ("helmet", "ramp", "knee pads", "audience"),
    "tennis": ("ball boy", "headband", "umpire", "scoreboard"),
    "baseball": ("umpire", "helmet", "scoreboard", "glove"),
    "park": ("bench", "kite", "fountain", "squirrel"),
    "field": ("fence", "barn", "haystack", "tractor"),
    "horse": ("saddle", "rider", "fence", "hat"),
    "cow": ("bell", "barn", "farmer", "fence"),
    "sheep": ("shepherd", "fence", "barn", "dog"),
    "elephant": ("tusks", "tourist", "watering hole", "baby elephant"),
    "giraffe": ("zookeeper", "fence", "bird", "watering hole"),
    "zebra": ("lion", "watering hole", "fence", "bird"),
    "bear": ("cub", "fish", "fence", "zookeeper"),
    "bird": ("nest", "birdcage", "worm", "feather"),
    "dog": ("leash", "collar", "frisbee", "ball", "bone"),
    "cat": ("collar", "toy mouse", "ball of yarn", "food bowl"),
    "desk": ("lamp", "mug", "stapler", "headphones"),
    "computer": ("printer", "webcam", "mug", "headphones"),
    "man": ("hat", "beard", "glasses", "watch", "backpack", "umbrella"),
    "woman": ("hat", "handbag", "necklace", "scarf", "sunglasses", "umbrella"),
    "child": ("balloon", "toy", "backpack", "hat"),
    "people": ("umbrella", "dog", "backpack", "camera"),
}
"""Expected things by the word that a caption mentions."""
ANYWHERE: Final = ("dog", "bench", "umbrella", "bicycle", "clock", "flower", "balloon", "ladder", "backpack", "hat")
# fmt: off
RANDOM: Final = (
    "anchor", "apple", "bucket", "camera", "candle", "guitar", "hammer", "kite", "ladder", "lamp", "mirror", "piano",
    "rocket", "scissors", "shoe", "spoon", "teapot", "trumpet", "umbrella", "wheelbarrow",
)
# fmt: on


def is_drawn(caption: str) -> bool:
    """Return whether every word of the caption is in the demo's vocabulary."""
    words = _WORD.findall(caption.lower())
    return bool(words) and _DRAWN.issuperset(words)


def propose(caption: str, previous: Collection[str], rng: random.Random, *, at_random: bool = False) -> str:
    """Return a concept that the caption does not name and that is not in `previous`; empty if none is left."""
    concepts = _weighted_concepts(caption, at_random)
    left = [concept for concept in concepts if concept not in previous and not affirms(caption, concept)]
    return rng.choice(left) if left else ""


def as_chat_reply(concept: str, rng: random.Random) -> str:
    """Return the concept as a chat model replies: mostly the word, sometimes formatted, rarely with other text."""
    draw = rng.random()
    if draw < 0.02:
        return f"I'm sorry, I cannot see the picture, but {concept} could be in it."
    if draw < 0.04:
        return f"{concept}, {rng.choice(ANYWHERE)}"
    if draw < 0.3:
        sentence = concept_words(concept).a_concept.capitalize()
        return rng.choice((f"{sentence}.", f"{concept.title()}.", f"Object: {concept}"))
    return concept


def _weighted_concepts(caption: str, at_random: bool) -> list[str]:
    """Return the concepts, repeated by their weight, in a fixed order."""
    drawn = is_drawn(caption)
    if at_random:
        return list(THINGS if drawn else RANDOM)
    if drawn:
        anchor = next((word for word in _WORD.findall(caption.lower()) if word in ATTACHMENTS), "man")
        return [thing for thing, attachment in ATTACHMENTS[anchor].items() for _ in range(attachment.likely)]
    expected = [thing for word, things in LIKELY.items() if mentions(caption, word) for thing in things]
    return expected or list(ANYWHERE)
