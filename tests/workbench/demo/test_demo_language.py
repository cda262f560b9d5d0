"""Captions of the demo are true, negations deny their concept, and both are English."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from curation_db.enums import Kind, NegationType, Reason
from curation_db.language.negation_cues import find_cues, has_cue
from curation_db.language.sanitize import clean
from workbench.demo.simulation.corpus import DemoImage, make_corpus
from workbench.demo.simulation.oracle import right_decision
from workbench.demo.simulation.proposer import CLUMSY, HELD_OUT, TEMPLATES, Proposal, negate
from workbench.demo.world.captions import (
    MOST_TOKENS,
    TRAINING_NAMING,
    SceneCaption,
    tokens,
    write_caption,
    write_captions,
)
from workbench.demo.world.world import ALL_COLOURS, ANCHORS, ATTACHMENTS, COLOURS, THINGS, Instance, Scene, make_scene

WORDS = re.compile(r"[a-z']+")


@pytest.fixture(scope="module")
def corpus() -> list[DemoImage]:
    return list(make_corpus(pictures=2500, seed=3))


def sane(text: str) -> None:
    """Check what is required of every sentence, affirmative or negated."""
    assert not re.search(r"\ban? glasses\b|\ba (?:apple|umbrella|orange)\b|\ban (?![aeiou])", text), text
    assert not re.search(r"(?:^|, |and )glasses is\b|^a pair of glasses are\b|\bare no (?!glasses)", text), text
    assert not re.search(r"\bis no glasses|  |,,| ,|\s$", text), text
    assert not re.search(r"\b(\w+) \1\b", text), text
    assert clean(text) == text


def is_true(caption: SceneCaption, scene: Scene) -> bool:
    claims = [*caption.things, *([caption.colour] if caption.colour else []), caption.anchor]
    return all(scene.has(claim) for claim in claims)


def test_captions_are_true_and_list_all_their_statements(corpus: list[DemoImage]):
    for picture in corpus:
        for caption in picture.captions:
            sane(caption.text)
            assert is_true(caption, picture.scene)
            findings = set(WORDS.findall(caption.text))
            assert findings & set(THINGS) == set(caption.things)
            assert findings & ALL_COLOURS == ({caption.colour} if caption.colour else set())
            assert findings & set(ANCHORS) == {caption.anchor}
            assert tokens(caption.text) <= MOST_TOKENS
            assert not has_cue(caption.text), caption.text


def test_sibling_captions_differ(corpus: list[DemoImage]):
    assert all(2 <= len(p.captions) <= 3 or len(p.scene.first.things) <= 2 for p in corpus)
    assert all(len({c.text for c in p.captions}) == len(p.captions) for p in corpus)
    different = sum(len({frozenset(c.things) for c in p.captions}) > 1 for p in corpus)
    assert different > 0.8 * len(corpus)


def test_training_captions_name_nearly_everything():
    rng = random.Random(1)
    named = there = 0
    for seed in range(1000):
        instance = make_scene(seed).first
        caption = write_caption(instance, rng, naming=TRAINING_NAMING)
        sane(caption.text)
        assert tokens(caption.text) <= MOST_TOKENS
        named, there = named + len(caption.things), there + len(instance.things)
    assert 0.65 < named / there < 0.8


def test_captions_vary():
    rng = random.Random(4)
    scene = Scene(1, (Instance("man", "red", ("ball", "glasses", "hat", "umbrella"), 1),), "park")
    texts = {caption.text for _ in range(60) for caption in write_captions(scene, rng, count=3, naming=0.5)}
    assert len(texts) > 50
    instance = scene.first
    every = {write_caption(instance, rng, naming=1.0, template="plain").text for _ in range(60)}
    assert any("wearing" in text and "holding an umbrella" in text and "next to him" in text for text in every)


def proposals(corpus: list[DemoImage]) -> list[tuple[DemoImage, SceneCaption, Proposal]]:
    return [(p, p.captions[c.caption], c.proposal) for p in corpus for c in p.candidates]


def test_no_proposal_denies_what_its_caption_names(corpus: list[DemoImage]):
    for picture, caption, proposal in proposals(corpus):
        assert not caption.names(proposal.concept), (caption, proposal)
        assert proposal.text not in {c.text for c in picture.captions}
        assert isinstance(picture.scene.has(proposal.concept), bool)


def test_an_image_gets_no_concept_twice(corpus: list[DemoImage]):
    for picture in corpus:
        concepts = [candidate.proposal.concept for candidate in picture.candidates]
        assert len(set(concepts)) == len(concepts)


def test_good_proposals_are_english_with_one_cue_on_the_concept(corpus: list[DemoImage]):
    on_target = 0
    good = [(caption, proposal) for _, caption, proposal in proposals(corpus) if proposal.flaw is None]
    for caption, proposal in good:
        text = proposal.text
        sane(text)
        assert has_cue(text), text
        cues = find_cues(text)
        assert len(cues) == 1, text
        on_target += cues[0].target in proposal.concept.split()
        assert set(WORDS.findall(text)) & set(THINGS) <= {*caption.things, *proposal.concept.split()}, text
        assert tokens(text) <= MOST_TOKENS + 12
    assert on_target / len(good) > 0.98


def test_all_types_and_pipelines_occur(corpus: list[DemoImage]):
    good = [proposal for _, _, proposal in proposals(corpus) if proposal.flaw is None]
    kinds = Counter((proposal.pipeline, proposal.negation_type) for proposal in good)
    assert set(kinds) == {
        ("P1", NegationType.ABSENCE),
        ("P2", NegationType.ABSENCE),
        ("P2", NegationType.ACTION),
        ("P2", NegationType.ATTRIBUTE),
    }
    assert {proposal.template for proposal in good} == {name for group in TEMPLATES.values() for name in group}
    positions = Counter(find_cues(proposal.text)[0].position for proposal in good)
    assert min(positions.values()) > 0.15 * len(good)


def test_held_out_wordings_are_new_and_valid():
    seen = {name for group in TEMPLATES.values() for name in group}
    assert not seen & set(HELD_OUT)
    rng = random.Random(2)
    for seed in range(300):
        instance = make_scene(seed).first
        caption = write_caption(instance, rng)
        target = next(thing for thing in ATTACHMENTS[instance.anchor] if thing not in caption.things)
        for template in HELD_OUT:
            text = negate(caption, target, template)
            sane(text)
            assert has_cue(text), text
    with pytest.raises(KeyError):
        negate(caption, target, "no such template")


def test_examples_of_captions():
    caption = SceneCaption("a woman wearing glasses", "woman", None, ("glasses",), "plain")
    dog = SceneCaption("a dog wearing a hat", "dog", None, ("hat",), "plain")
    table = SceneCaption("there is a red table with a cup on it", "table", "red", ("cup",), "there")
    assert negate(caption, "umbrella", "with-no") == "a woman with no umbrella wearing glasses"
    assert negate(caption, "hat", "not-verb") == "a woman not wearing a hat but wearing glasses"
    assert negate(caption, "hat", "nothing") == "a woman with nothing on her head wearing glasses"
    assert negate(caption, "red", "end-colour") == "a woman wearing glasses, and the dress is not red"
    assert negate(dog, "ball", "start-there-is-no") == "there is no ball next to the dog wearing a hat"
    assert negate(dog, "glasses", "end-there-is-no") == "a dog wearing a hat, and there are no glasses in sight"
    assert negate(table, "apple", "without") == "there is a red table without an apple on it but with a cup on it"


def test_the_share_of_flawed_rewrites(corpus: list[DemoImage]):
    every = proposals(corpus)
    flawed = [proposal for _, _, proposal in every if proposal.flaw]
    expected = CLUMSY * len(every)
    assert abs(len(flawed) - expected) < 4 * expected**0.5
    assert {proposal.flaw for proposal in flawed} == {
        Reason.UNGRAMMATICAL,
        Reason.REST_FALSE,
        Reason.SCOPE,
        Reason.GRATUITOUS,
    }


def test_a_caption_with_a_false_rest_is_false(corpus: list[DemoImage]):
    for picture, _, proposal in proposals(corpus):
        colours = set(WORDS.findall(proposal.text)) & ALL_COLOURS
        if proposal.flaw is Reason.REST_FALSE:
            assert not any(picture.scene.has(colour) for colour in colours)
            assert colours <= set(COLOURS[picture.scene.first.anchor])
        elif proposal.negation_type is not NegationType.ATTRIBUTE:
            assert all(picture.scene.has(colour) for colour in colours)


def test_the_correct_decision_depends_only_on_the_scene():
    scene = Scene(1, (Instance("man", "red", ("hat",), 1),), "park")
    absent = Proposal("a man with no bag", "bag", NegationType.ABSENCE, "P1", "with-no")
    present = Proposal("a man not wearing a hat", "wearing a hat", NegationType.ACTION, "P2", "not-verb")
    red = Proposal("a man not in a red shirt", "red shirt", NegationType.ATTRIBUTE, "P2", "not-in")
    blue = Proposal("a man not in a blue shirt", "blue shirt", NegationType.ATTRIBUTE, "P2", "not-in")
    scope = Proposal("a man without a bag and a hat", "bag", NegationType.ABSENCE, "P1", "x", Reason.SCOPE)
    both = Proposal("a man no with hat", "hat", NegationType.ABSENCE, "P1", "x", Reason.UNGRAMMATICAL)
    assert right_decision(scene, absent) == (Kind.ACCEPT, None)
    assert right_decision(scene, present) == (Kind.REJECT, Reason.PRESENT)
    assert right_decision(scene, red) == (Kind.REJECT, Reason.PRESENT)
    assert right_decision(scene, blue) == (Kind.ACCEPT, None)
    assert right_decision(scene, scope) == (Kind.REJECT, Reason.SCOPE)
    assert right_decision(scene, both) == (Kind.REJECT, Reason.PRESENT)
