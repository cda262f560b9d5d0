"""Captions of drawn scenes in natural wording, and the phrases that they are composed of.

A caption is true of its scene; `things` and `colour` are everything that it states.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workbench.demo.world.world import ATTACHMENTS, GARMENTS, Instance, Relation, Scene

CANDIDATE_NAMING = 0.35
"""Probability that a caption to be negated names each thing; the proposer denies things that it does not name."""
TRAINING_NAMING = 0.8
"""The same probability for the captions that train the base model."""
MOST_TOKENS = 20
"""Maximum number of words and commas of a caption; the tiny CLIP has a short context."""

_PRONOUNS = {"man": ("him", "his"), "woman": ("her", "her")}
_PLACES = {
    Relation.ON: "on it",
    Relation.UNDER: "under it",
    Relation.OVER: "over it",
    Relation.IN: "in it",
    Relation.IN_FRONT: "in front of it",
    Relation.ON_BACK: "on its back",
    Relation.ON_TAIL: "tied to its tail",
    Relation.ON_ROOF: "on its roof",
    Relation.IN_WINDOW: "in the window",
    Relation.TIED: "tied to it",
}


def with_article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def is_plural(thing: str) -> bool:
    """Return whether `thing` is grammatically plural: no article, "there are no"."""
    return thing == "glasses"


def a_thing(thing: str, *, formal: bool = False) -> str:
    """Return the thing with its article: a hat, an apple, glasses; "a pair of glasses" if `formal`."""
    if is_plural(thing):
        return f"a pair of {thing}" if formal else thing
    return with_article(thing)


def tokens(text: str) -> int:
    """Return the number of words and commas, which are the tokens of the demo's tokenizer."""
    return len(text.split()) + text.count(",")


def listed(parts: Sequence[str]) -> str:
    """Join parts as a list: a; a and b; a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def pronoun(anchor: str) -> str:
    """Return him, her or it."""
    return _PRONOUNS.get(anchor, ("it", "its"))[0]


def possessive(anchor: str) -> str:
    """Return his, her or its."""
    return _PRONOUNS.get(anchor, ("it", "its"))[1]


def relation_of(anchor: str, thing: str) -> Relation:
    """Return the relation of `thing` to `anchor`; a thing that the anchor never has is beside it."""
    attachment = ATTACHMENTS[anchor].get(thing)
    return attachment.relation if attachment else Relation.BESIDE


def place_of(anchor: str, thing: str) -> str:
    """Return the place of the thing ("on it"); empty for a thing that is worn, held or carried."""
    relation = relation_of(anchor, thing)
    if relation.is_verb:
        return ""
    return _PLACES.get(relation) or f"next to {pronoun(anchor)}"


def noun(anchor: str, colour: str | None) -> str:
    """Return the noun phrase of the anchor: a man in a red shirt, an orange cat, a table."""
    if colour is None:
        return with_article(anchor)
    if anchor in GARMENTS:
        return f"{with_article(anchor)} in {with_article(f'{colour} {GARMENTS[anchor]}')}"
    return with_article(f"{colour} {anchor}")


@dataclass(frozen=True, slots=True)
class SceneCaption:
    text: str
    anchor: str
    colour: str | None
    """None if the caption names no colour."""
    things: tuple[str, ...]
    template: str
    formal: bool = False
    """Whether it says "a pair of glasses"."""

    @property
    def noun(self) -> str:
        """The noun phrase of the anchor in this caption."""
        return noun(self.anchor, self.colour)

    def names(self, concept: str) -> bool:
        """Return whether the caption contains a content word of `concept`."""
        words = set(concept.split()) - {"a", "an", "of", "pair", "wearing", "holding", "carrying"}
        words -= set(GARMENTS.values())
        return bool(words & {*self.things, self.colour, self.anchor})


def verb_clauses(anchor: str, things: Iterable[str], *, formal: bool = False) -> list[str]:
    """Return one clause per verb: "wearing a hat and glasses", "holding an umbrella"."""
    return _grouped(anchor, things, formal, verbs=True)


def place_clauses(anchor: str, things: Iterable[str], *, formal: bool = False) -> list[str]:
    """Return one clause per place: "a cup and a book on it", "a bag under it"."""
    return _grouped(anchor, things, formal, verbs=False)


def _grouped(anchor: str, things: Iterable[str], formal: bool, *, verbs: bool) -> list[str]:
    groups: dict[Relation, list[str]] = {}
    place = {}
    for thing in things:
        relation = relation_of(anchor, thing)
        if relation.is_verb == verbs:
            groups.setdefault(relation, []).append(a_thing(thing, formal=formal))
            place[relation] = place_of(anchor, thing)
    if verbs:
        return [f"{relation} {listed(items)}" for relation, items in groups.items()]
    return [f"{listed(items)} {place[relation]}" for relation, items in groups.items()]


def joined(clauses: Sequence[str]) -> str:
    """Join clauses as a list; with a comma before the last "and" if a clause contains "and"."""
    if len(clauses) > 1 and any(" and " in clause for clause in clauses[:-1]):
        return f"{', '.join(clauses[:-1])}, and {clauses[-1]}"
    return listed(clauses)


def tail(anchor: str, things: Iterable[str], *, formal: bool = False) -> str:
    """Return what follows the noun, such as " wearing a hat with a ball next to him"; empty without things."""
    named = tuple(things)
    verbs = verb_clauses(anchor, named, formal=formal)
    places = place_clauses(anchor, named, formal=formal)
    text = f" {joined(verbs)}" if verbs else ""
    if places:
        text += f"{',' if len(verbs) > 1 else ''} with {joined(places)}"
    return text


def with_things(things: Iterable[str], *, formal: bool = False) -> str:
    """Return the things without their places: " with a hat, a scarf and an umbrella"."""
    return f" with {listed([a_thing(thing, formal=formal) for thing in things])}"


def _sentence(anchor: str, subject: str, things: tuple[str, ...], formal: bool) -> str:
    relations = {relation_of(anchor, thing) for thing in things}
    if any(relation.is_verb for relation in relations):
        return f"{subject} is{tail(anchor, things, formal=formal)}"
    if len(relations) != 1:
        return f"{subject}{tail(anchor, things, formal=formal)}"
    items = [a_thing(thing, formal=formal) for thing in things]
    many = len(items) > 1 or (is_plural(things[0]) and not formal)
    return f"{listed(items)} {'are' if many else 'is'} {relations.pop()} {subject}"


TEMPLATES: tuple[str, ...] = ("plain", "with", "there", "picture", "sentence")
LEADS = {"there": "there is ", "picture": "a picture of "}


def compose(anchor: str, colour: str | None, things: tuple[str, ...], template: str, *, formal: bool) -> str:
    subject = noun(anchor, colour)
    if template == "with" and things:
        return f"{subject}{with_things(things, formal=formal)}"
    if template == "sentence" and things:
        return _sentence(anchor, subject, things, formal)
    return f"{LEADS.get(template, '')}{subject}{tail(anchor, things, formal=formal)}"


def write_caption(
    instance: Instance, rng: random.Random, *, naming: float = CANDIDATE_NAMING, template: str | None = None
) -> SceneCaption:
    """Write a caption that names each thing with probability `naming` and the colour with probability 0.5."""
    things = [thing for thing in instance.things if rng.random() < naming]
    rng.shuffle(things)
    colour = instance.colour if rng.random() < 0.5 else None
    chosen = template or rng.choice(TEMPLATES)
    formal = rng.random() < 0.3
    while True:
        text = compose(instance.anchor, colour, tuple(things), chosen, formal=formal)
        if tokens(text) <= MOST_TOKENS:
            return SceneCaption(text, instance.anchor, colour, tuple(things), chosen, formal)
        things.pop()


def write_captions(
    scene: Scene, rng: random.Random, *, count: int = 3, naming: float = CANDIDATE_NAMING
) -> tuple[SceneCaption, ...]:
    """Write up to `count` different captions of the scene's first instance."""
    captions: dict[str, SceneCaption] = {}
    for _ in range(count * 3):
        caption = write_caption(scene.first, rng, naming=naming)
        captions.setdefault(caption.text, caption)
        if len(captions) == count:
            break
    return tuple(captions.values())
