"""A scripted proposer: chooses a concept that a caption does not name and writes a caption that denies it.

Like a language model without the image, it also denies concepts that are present. A fixed share of its rewrites is
flawed on purpose; only the oracle reads `Proposal.flaw`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from curation_db.enums import NegationType, Reason
from workbench.demo.world.captions import (
    LEADS,
    SceneCaption,
    a_thing,
    is_plural,
    listed,
    place_of,
    possessive,
    relation_of,
    tail,
    with_article,
    with_things,
)
from workbench.demo.world.world import ATTACHMENTS, COLOURS, GARMENTS, Relation, colour_concept

PipelineName = Literal["P1", "P2"]
CLUMSY = 0.02
"""Share of rewrites with a flaw on purpose, to be rejected whatever the image shows."""
P2_SHARE = 0.4
_ATTRIBUTE_SHARE = 0.3
_ACTION_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Proposal:
    text: str
    concept: str
    """The denied concept: hat, wearing a hat, red dress."""
    negation_type: NegationType
    pipeline: PipelineName
    """P1: the absence of a thing is written into the caption. P2: a question answered "no" is rewritten freely."""
    template: str
    flaw: Reason | None = None
    """The flaw added on purpose, if any."""


@dataclass(frozen=True, slots=True)
class DemoDraft:
    """Input of every template: a caption and the concept to deny."""

    caption: SceneCaption
    target: str
    """The denied thing or colour."""

    @property
    def anchor(self) -> str:
        return self.caption.anchor

    @property
    def lead(self) -> str:
        """ "there is " or "a picture of " if the caption starts with it, else empty."""
        return LEADS.get(self.caption.template, "")

    @property
    def verbs(self) -> bool:
        """Whether the caption names something that the anchor wears, holds or carries."""
        return any(relation_of(self.anchor, thing).is_verb for thing in self.caption.things)

    @property
    def plain(self) -> str:
        """The caption after its noun, as a phrase."""
        things, formal = self.caption.things, self.caption.formal
        if self.caption.template == "with" and things:
            return with_things(things, formal=formal)
        return tail(self.anchor, things, formal=formal)

    @property
    def rest(self) -> str:
        """The caption after its noun, literally: " is wearing ..." in a sentence."""
        return f" is{self.plain}" if self.caption.template == "sentence" and self.verbs else self.plain

    def after(self, *, verb: bool = False) -> str:
        """Return `rest` for use after a negation; "but" ends the scope of the "no" (or of the negated `verb`)."""
        rest = self.rest
        but = rest.startswith(" with") or (verb and not rest.startswith(" is"))
        return f" but{rest}" if rest and but else rest

    @property
    def who(self) -> str:
        return "who" if self.anchor in GARMENTS else "that"

    @property
    def a(self) -> str:
        """The thing with its article."""
        return a_thing(self.target)

    @property
    def place(self) -> str:
        """Place of the missing thing, such as " on it"."""
        where = place_of(self.anchor, self.target)
        return f" {where}" if where else ""

    @property
    def there(self) -> str:
        """ "there is no" or "there are no"."""
        return f"there {'are' if is_plural(self.target) else 'is'} no {self.target}"

    @property
    def verb(self) -> Relation:
        """The relation of the target to the anchor, such as wearing."""
        return relation_of(self.anchor, self.target)


def _whole(draft: DemoDraft) -> str:
    return f"{draft.lead}{draft.caption.noun}{draft.rest}"


def _comma(draft: DemoDraft) -> str:
    return "," if draft.rest else ""


def _with_no(d: DemoDraft) -> str:
    return f"{d.lead}{d.caption.noun} with no {d.target}{d.place}{d.after()}"


def _without(d: DemoDraft) -> str:
    return f"{d.lead}{d.caption.noun} without {d.a}{d.place}{d.after()}"


def _but_no(d: DemoDraft) -> str:
    if not d.caption.things:
        return _with_no(d)
    return f"{d.lead}{d.caption.noun}{with_things(d.caption.things, formal=d.caption.formal)} but no {d.target}"


def _end_without(d: DemoDraft) -> str:
    return f"{_whole(d)}{_comma(d)} without {d.a}{d.place}"


def _end_there(d: DemoDraft) -> str:
    return f"{_whole(d)}, and {d.there}{d.place or ' in sight'}"


def _start_there(d: DemoDraft) -> str:
    relation = relation_of(d.anchor, d.target)
    where = {Relation.WEARING: "on"}.get(relation, "with") if relation.is_verb else relation.value
    definite = f"the {d.caption.noun.split(' ', 1)[1]}"
    return f"{d.there} {where} {definite}{d.plain}"


def _start_without(d: DemoDraft) -> str:
    return f"without {d.a}{d.place}, {d.caption.noun}{d.rest}"


def _in_sight(d: DemoDraft) -> str:
    return f"no {d.target} in sight, just {d.caption.noun}{d.plain}"


_BARE = {"hat": "on {} head", "scarf": "around {} neck"}


def _nothing(d: DemoDraft) -> str:
    if d.target not in _BARE or not d.verb.is_verb:
        return _with_no(d)
    where = _BARE[d.target].format(possessive(d.anchor))
    return f"{d.lead}{d.caption.noun} with nothing {where}{d.after()}"


def _does_not_have(d: DemoDraft) -> str:
    return f"{d.lead}{d.caption.noun} {d.who} does not have {d.a}{d.place}{d.after(verb=True)}"


def _not_verb(d: DemoDraft) -> str:
    return f"{d.lead}{d.caption.noun} not {d.verb} {d.a}{d.after(verb=True)}"


def _end_not_verb(d: DemoDraft) -> str:
    return f"{_whole(d)}{_comma(d)} not {d.verb} {d.a}"


def _isnt_verb(d: DemoDraft) -> str:
    return f"{d.lead}{d.caption.noun} {d.who} isn't {d.verb} {d.a}{d.after(verb=True)}"


def _start_not_verb(d: DemoDraft) -> str:
    return f"not {d.verb} {d.a}, {d.caption.noun}{d.rest}"


def _that_is_not(d: DemoDraft) -> str:
    garment = f" in a {GARMENTS[d.anchor]}" if d.anchor in GARMENTS else ""
    return f"{d.lead}{d.caption.noun}{garment} that is not {d.target}{d.rest}"


def _not_in(d: DemoDraft) -> str:
    if d.anchor not in GARMENTS:
        return _that_is_not(d)
    garment = with_article(f"{d.target} {GARMENTS[d.anchor]}")
    return f"{d.lead}{d.caption.noun} not in {garment}{d.after(verb=True)}"


def _end_colour(d: DemoDraft) -> str:
    if not d.caption.things:
        return _that_is_not(d)
    return f"{_whole(d)}, and the {GARMENTS.get(d.anchor, d.anchor)} is not {d.target}"


def _lacking(d: DemoDraft) -> str:
    return f"{d.lead}{d.caption.noun} lacking {d.a}{d.place}{d.after()}"


def _nowhere(d: DemoDraft) -> str:
    verb = "are" if is_plural(d.target) else "is"
    return f"{_whole(d)}, and {d.a} {verb} nowhere to be seen"


def _that_has_no(d: DemoDraft) -> str:
    return f"{d.lead}{d.caption.noun} {d.who} has no {d.target}{d.place}{d.after(verb=True)}"


Writer = Callable[[DemoDraft], str]
TEMPLATES: Mapping[NegationType, Mapping[str, Writer]] = {
    NegationType.ABSENCE: {
        "with-no": _with_no,
        "without": _without,
        "but-no": _but_no,
        "end-without": _end_without,
        "end-there-is-no": _end_there,
        "start-there-is-no": _start_there,
        "start-without": _start_without,
        "no-in-sight": _in_sight,
        "nothing": _nothing,
        "does-not-have": _does_not_have,
    },
    NegationType.ACTION: {
        "not-verb": _not_verb,
        "end-not-verb": _end_not_verb,
        "isnt-verb": _isnt_verb,
        "start-not-verb": _start_not_verb,
    },
    NegationType.ATTRIBUTE: {
        "that-is-not": _that_is_not,
        "not-in": _not_in,
        "end-colour": _end_colour,
    },
}
"""Templates by negation type."""
HELD_OUT: Mapping[str, Writer] = {"lacking": _lacking, "nowhere": _nowhere, "that-has-no": _that_has_no}
"""Absence templates that the proposer never uses: the exam's unseen wordings."""
GRATUITOUS: Mapping[str, tuple[str, ...]] = {
    "man": ("apple", "bird"),
    "woman": ("apple", "bird"),
    "dog": ("book", "cup"),
    "cat": ("book", "apple"),
    "table": ("scarf", "hat"),
    "bench": ("glasses", "scarf"),
    "house": ("glasses", "scarf"),
    "tree": ("glasses", "scarf", "hat"),
}
"""Things that are never expected at an anchor: for the flaw "gratuitous"."""
P1_TEMPLATES: tuple[str, ...] = ("with-no", "without", "but-no", "end-without", "start-without", "with-no")


def negate(caption: SceneCaption, target: str, template: str) -> str:
    """Return `caption` with `target` (a thing, or a colour for attributes) denied by `template`.

    Raises:
        KeyError: there is no such template.
    """
    for writers in (*TEMPLATES.values(), HELD_OUT):
        if template in writers:
            return writers[template](DemoDraft(caption, target))
    raise KeyError(template)


_FALLBACK = {"nothing": "with-no", "but-no": "with-no", "not-in": "that-is-not", "end-colour": "that-is-not"}


def _fitting(template: str, caption: SceneCaption, target: str) -> str:
    """Return the template that produces the text: some fall back to another one for some captions."""
    plain = _FALLBACK.get(template)
    return plain if plain and negate(caption, target, template) == negate(caption, target, plain) else template


def _wrong_colour(caption: SceneCaption, rng: random.Random, truth: str) -> SceneCaption:
    colour = rng.choice([other for other in COLOURS[caption.anchor] if other != truth])
    return replace(caption, colour=colour)


def _chatter(text: str, rng: random.Random) -> str:
    return rng.choice(
        (
            f'Sure! Here is the negated caption: "{text}"',
            f"{text} (Note: I added the absence as you asked.)",
            f"Negated caption: {text}. Let me know if you need more!",
        )
    )


def _broken(caption: SceneCaption, thing: str, rng: random.Random) -> str:
    rest = tail(caption.anchor, caption.things)
    return rng.choice(
        (
            f"{caption.noun} no with {thing}{rest}",
            f"{caption.noun}{rest} without no {thing} not",
            f"a no {thing} {caption.noun}{rest} is not",
        )
    )


class Proposer:
    """Proposes negated captions; all random choices come from `rng`."""

    def __init__(self, rng: random.Random, *, clumsy: float = CLUMSY) -> None:
        self._rng = rng
        self._clumsy = clumsy

    def propose(self, caption: SceneCaption, *, true_colour: str, taken: Sequence[str] = ()) -> Proposal | None:
        """Propose a concept that is neither in the caption nor in `taken`; None if none is left.

        Args:
            true_colour: The anchor's colour; used only for the flaw of a wrong colour.
            taken: Things and colours proposed before.
        """
        things = [t for t in ATTACHMENTS[caption.anchor] if t not in caption.things and t not in taken]
        if not things:
            return None
        if self._rng.random() < self._clumsy:
            return self._propose_clumsy(caption, self._likely(caption.anchor, things), true_colour)
        if self._rng.random() >= P2_SHARE:
            return self._absence(caption, self._likely(caption.anchor, things), "P1", P1_TEMPLATES)
        return self._propose_p2(caption, things, taken)

    def _likely(self, anchor: str, things: Sequence[str]) -> str:
        weights = [ATTACHMENTS[anchor][thing].likely for thing in things]
        return self._rng.choices(things, weights)[0]

    def _propose_p2(self, caption: SceneCaption, things: Sequence[str], taken: Sequence[str]) -> Proposal:
        colours = [colour for colour in COLOURS[caption.anchor] if colour not in taken]
        if caption.colour is None and colours and self._rng.random() < _ATTRIBUTE_SHARE:
            return self._attribute(caption, self._rng.choice(colours))
        thing = self._likely(caption.anchor, things)
        if relation_of(caption.anchor, thing).is_verb and self._rng.random() < _ACTION_SHARE:
            return self._action(caption, thing)
        return self._absence(caption, thing, "P2", tuple(TEMPLATES[NegationType.ABSENCE]))

    def _absence(self, caption: SceneCaption, thing: str, pipeline: PipelineName, ids: Sequence[str]) -> Proposal:
        template = _fitting(self._rng.choice(ids), caption, thing)
        text = negate(caption, thing, template)
        return Proposal(text, thing, NegationType.ABSENCE, pipeline, template)

    def _action(self, caption: SceneCaption, thing: str) -> Proposal:
        template = self._rng.choice(tuple(TEMPLATES[NegationType.ACTION]))
        text = negate(caption, thing, template)
        concept = f"{relation_of(caption.anchor, thing)} {a_thing(thing)}"
        return Proposal(text, concept, NegationType.ACTION, "P2", template)

    def _attribute(self, caption: SceneCaption, colour: str) -> Proposal:
        template = self._rng.choice(tuple(TEMPLATES[NegationType.ATTRIBUTE]))
        template = _fitting(template, caption, colour)
        text = negate(caption, colour, template)
        return Proposal(text, colour_concept(caption.anchor, colour), NegationType.ATTRIBUTE, "P2", template)

    def _propose_clumsy(self, caption: SceneCaption, thing: str, true_colour: str) -> Proposal:
        rng, plain = self._rng, negate(caption, thing, "with-no")
        flaw = rng.choice((Reason.UNGRAMMATICAL, Reason.REST_FALSE, Reason.SCOPE, Reason.GRATUITOUS))
        if flaw is Reason.SCOPE and not caption.things:
            flaw = Reason.UNGRAMMATICAL
        if flaw is Reason.GRATUITOUS:
            thing = rng.choice(GRATUITOUS[caption.anchor])
            text = f"{caption.noun}{tail(caption.anchor, caption.things)}, without {a_thing(thing)}"
        elif flaw is Reason.REST_FALSE:
            text = negate(_wrong_colour(caption, rng, true_colour), thing, "with-no")
        elif flaw is Reason.SCOPE:
            text = f"{caption.noun} without {listed([a_thing(t) for t in (thing, *caption.things)])}"
        else:
            text = _chatter(plain, rng) if rng.random() < 0.5 else _broken(caption, thing, rng)
        return Proposal(text, thing, NegationType.ABSENCE, "P1", f"clumsy-{flaw}", flaw)
