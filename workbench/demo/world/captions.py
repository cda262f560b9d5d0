"""Captions of the demo world as a person would write them, and the phrases they are made of.

A caption is true of its scene and says no more than it names: `things` and `colour` are all that it claims.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workbench.demo.world.world import ATTACHMENTS, GARMENTS, Instance, Relation, Scene

CANDIDATE_NAMING = 0.35
"""How likely a caption that gets negated names each thing; a proposer guesses at what it leaves out."""
TRAINING_NAMING = 0.8
"""The same for the captions that teach a model the things."""
MOST_TOKENS = 20
"""Words and commas of a caption; the tiny CLIP reads few tokens, and a person would not say more."""

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
    """`words` with a or an."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def is_plural(thing: str) -> bool:
    """Whether `thing` is grammatically plural: no article, "there are no"."""
    return thing == "glasses"


def a_thing(thing: str, *, formal: bool = False) -> str:
    """A hat, an apple, glasses; "a pair of glasses" when `formal`."""
    if is_plural(thing):
        return f"a pair of {thing}" if formal else thing
    return with_article(thing)


def tokens(text: str) -> int:
    """Words and commas: what a tokenizer that knows the world's words makes of `text`."""
    return len(text.split()) + text.count(",")


def listed(parts: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def pronoun(anchor: str) -> str:
    """Him, her or it."""
    return _PRONOUNS.get(anchor, ("it", "its"))[0]


def possessive(anchor: str) -> str:
    """His, her or its."""
    return _PRONOUNS.get(anchor, ("it", "its"))[1]


def relation_of(anchor: str, thing: str) -> Relation:
    """How `thing` belongs to `anchor`; what nobody would expect there is simply beside it."""
    attachment = ATTACHMENTS[anchor].get(thing)
    return attachment.relation if attachment else Relation.BESIDE


def place_of(anchor: str, thing: str) -> str:
    """Where the thing is, after its name ("on it"); empty for what is worn, held or carried."""
    relation = relation_of(anchor, thing)
    if relation.is_verb:
        return ""
    return _PLACES.get(relation) or f"next to {pronoun(anchor)}"


def noun(anchor: str, colour: str | None) -> str:
    """A man in a red shirt, an orange cat, a table."""
    if colour is None:
        return with_article(anchor)
    if anchor in GARMENTS:
        return f"{with_article(anchor)} in {with_article(f'{colour} {GARMENTS[anchor]}')}"
    return with_article(f"{colour} {anchor}")


@dataclass(frozen=True, slots=True)
class SceneCaption:
    """A caption and everything that it claims."""

    text: str
    anchor: str
    colour: str | None
    """None when the caption does not say."""
    things: tuple[str, ...]
    """Those it names."""
    template: str
    formal: bool = False
    """Whether it says "a pair of glasses"."""

    @property
    def noun(self) -> str:
        """The anchor as this caption speaks of it."""
        return noun(self.anchor, self.colour)

    def names(self, concept: str) -> bool:
        """Whether any content word of `concept` is one that the caption says."""
        words = set(concept.split()) - {"a", "an", "of", "pair", "wearing", "holding", "carrying"}
        words -= set(GARMENTS.values())
        return bool(words & {*self.things, self.colour, self.anchor})


def verb_clauses(anchor: str, things: Iterable[str], *, formal: bool = False) -> list[str]:
    """ "wearing a hat and glasses", "holding an umbrella": one clause per verb."""
    return _grouped(anchor, things, formal, verbs=True)


def place_clauses(anchor: str, things: Iterable[str], *, formal: bool = False) -> list[str]:
    """ "a cup and a book on it", "a bag under it": one clause per place."""
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
    """Clauses as a list; with a comma before the last "and" where a clause has its own."""
    if len(clauses) > 1 and any(" and " in clause for clause in clauses[:-1]):
        return f"{', '.join(clauses[:-1])}, and {clauses[-1]}"
    return listed(clauses)


def tail(anchor: str, things: Iterable[str], *, formal: bool = False) -> str:
    """ " wearing a hat with a ball next to him": all that follows the noun; empty without things."""
    named = tuple(things)
    verbs = verb_clauses(anchor, named, formal=formal)
    places = place_clauses(anchor, named, formal=formal)
    text = f" {joined(verbs)}" if verbs else ""
    if places:
        text += f"{',' if len(verbs) > 1 else ''} with {joined(places)}"
    return text


def with_things(things: Iterable[str], *, formal: bool = False) -> str:
    """ " with a hat, a scarf and an umbrella": the things without saying where."""
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
    """The words of one template."""
    subject = noun(anchor, colour)
    if template == "with" and things:
        return f"{subject}{with_things(things, formal=formal)}"
    if template == "sentence" and things:
        return _sentence(anchor, subject, things, formal)
    return f"{LEADS.get(template, '')}{subject}{tail(anchor, things, formal=formal)}"


def write_caption(
    instance: Instance, rng: random.Random, *, naming: float = CANDIDATE_NAMING, template: str | None = None
) -> SceneCaption:
    """One caption that names each thing with probability `naming` and the colour in one case of two."""
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
    """Up to `count` sibling captions of the scene's first instance, no two alike."""
    found: dict[str, SceneCaption] = {}
    for _ in range(count * 3):
        caption = write_caption(scene.first, rng, naming=naming)
        found.setdefault(caption.text, caption)
        if len(found) == count:
            break
    return tuple(found.values())
