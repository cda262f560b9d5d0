"""What the scripted proposer thinks of: things that one would expect where a caption speaks of something. Pure.

In a caption of the drawn world these are the things that its anchors can have, elsewhere a small table.
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
"""All that captions of the drawn world say."""
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
"""By what a caption mentions."""
ANYWHERE: Final = ("dog", "bench", "umbrella", "bicycle", "clock", "flower", "balloon", "ladder", "backpack", "hat")
# fmt: off
RANDOM: Final = (
    "anchor", "apple", "bucket", "camera", "candle", "guitar", "hammer", "kite", "ladder", "lamp", "mirror", "piano",
    "rocket", "scissors", "shoe", "spoon", "teapot", "trumpet", "umbrella", "wheelbarrow",
)
# fmt: on


def is_drawn(caption: str) -> bool:
    """Whether a caption may be one of the drawn world."""
    said = _WORD.findall(caption.lower())
    return bool(said) and _DRAWN.issuperset(said)


def propose(caption: str, found: Collection[str], rng: random.Random, *, at_random: bool = False) -> str:
    """A concept that the caption does not name and that was not found before; empty where nothing is left."""
    left = [
        thing for thing in _weighted_concepts(caption, at_random) if thing not in found and not affirms(caption, thing)
    ]
    return rng.choice(left) if left else ""


def as_chat_reply(concept: str, rng: random.Random) -> str:
    """The concept as a chat model says it: mostly the word, now and then dressed up, seldom something else."""
    luck = rng.random()
    if luck < 0.02:
        return f"I'm sorry, I cannot see the picture, but {concept} could be in it."
    if luck < 0.04:
        return f"{concept}, {rng.choice(ANYWHERE)}"
    if luck < 0.3:
        dressed = concept_words(concept).a_concept.capitalize()
        return rng.choice((f"{dressed}.", f"{concept.title()}.", f"Object: {concept}"))
    return concept


def _weighted_concepts(caption: str, at_random: bool) -> list[str]:
    """Each as often as it is likely; in an order that is the same everywhere."""
    drawn = is_drawn(caption)
    if at_random:
        return list(THINGS if drawn else RANDOM)
    if drawn:
        anchor = next((word for word in _WORD.findall(caption.lower()) if word in ATTACHMENTS), "man")
        return [thing for thing, place in ATTACHMENTS[anchor].items() for _ in range(place.likely)]
    found = [thing for about, things in LIKELY.items() if mentions(caption, about) for thing in things]
    return found or list(ANYWHERE)
