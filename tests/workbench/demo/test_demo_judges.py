"""Error rates of the simulated judges and the share of false candidates of the corpus."""

from __future__ import annotations

from collections import defaultdict

import pytest

from curation_db.enums import Kind, Reason
from workbench.demo.simulation.corpus import IMAGES, DemoImage, make_corpus, make_demo_image
from workbench.demo.simulation.judges import JUDGES, SimulatedJudge, SimulatedVerdict, ask_judge, conflict, passes
from workbench.demo.simulation.oracle import right_decision
from workbench.demo.world.world import ATTACHMENTS, make_scene


@pytest.fixture(scope="module")
def corpus() -> list[DemoImage]:
    return list(make_corpus(pictures=8000))


def within(hits: int, of: int, rate: float) -> bool:
    return abs(hits - of * rate) < 4 * (of * rate * (1 - rate)) ** 0.5


@pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.name)
def test_a_judge_has_its_error_rates(judge: SimulatedJudge):
    tally: dict[str, list[bool]] = defaultdict(list)
    for seed in range(3000):
        scene = make_scene(seed)
        for thing in ATTACHMENTS[scene.first.anchor]:
            kind = "absent" if not scene.has(thing) else "weak" if thing in judge.weak_at else "present"
            tally[kind].append(not ask_judge(judge, scene, thing).answers_present)
    stated = {
        "absent": judge.passes_absent,
        "present": judge.passes_present,
        "weak": judge.weak_passes_present,
    }
    for kind, rate in stated.items():
        assert within(sum(tally[kind]), len(tally[kind]), rate), (kind, sum(tally[kind]) / len(tally[kind]))


def test_answers_are_deterministic():
    scene = make_scene(4)
    for judge in JUDGES:
        assert "simulated" in judge.name
        for thing in ATTACHMENTS[scene.first.anchor]:
            first = ask_judge(judge, scene, thing)
            assert first == ask_judge(judge, scene, thing)
            assert 0 < first.p_present < 1
            assert first.text.startswith("Yes" if first.answers_present else "No")
            assert "there is glasses" not in first.text
            assert "a glasses" not in first.text
    assert ask_judge(JUDGES[0], scene, "hat").p_present != ask_judge(JUDGES[1], scene, "hat").p_present


def test_an_action_and_its_thing_get_one_answer():
    scene = make_scene(9, anchor="woman")
    for judge in JUDGES:
        assert ask_judge(judge, scene, "wearing a hat").p_present == ask_judge(judge, scene, "hat").p_present


def test_passing_is_the_mean_below_one_half():
    sure, doubtful = SimulatedVerdict("a", "hat", 0.9, "Yes."), SimulatedVerdict("b", "hat", 0.05, "No.")
    assert passes([sure, doubtful])
    assert conflict([sure, doubtful])
    assert not passes([SimulatedVerdict("a", "hat", 0.5, "Yes.")])
    assert not conflict([sure])


def test_the_share_of_false_candidates(corpus: list[DemoImage]):
    every = [(p, c, p.scene.has(c.proposal.concept)) for p in corpus for c in p.candidates]
    absent = [c.passed for _, c, there in every if not there]
    present = [c.passed for _, c, there in every if there]
    assert 0.94 < sum(absent) / len(absent) < 0.965
    assert 0.26 < sum(present) / len(present) < 0.32
    passed = [right_decision(p.scene, c.proposal) for p, c, _ in every if c.passed]
    false = [decision for decision in passed if decision[1] is Reason.PRESENT]
    assert 0.15 < len(false) / len(passed) < 0.18
    rejected = [decision for decision in passed if decision[0] is Kind.REJECT]
    assert len(false) < len(rejected) < len(false) + 0.03 * len(passed)


def test_the_judges_disagree_on_some_candidates(corpus: list[DemoImage]):
    passed = [candidate for picture in corpus for candidate in picture.passed]
    assert 0.15 < sum(candidate.conflict for candidate in passed) / len(passed) < 0.25


def test_the_default_corpus_gives_about_a_thousand_candidates():
    pictures = list(make_corpus())
    assert len(pictures) == IMAGES
    assert 900 < sum(len(picture.passed) for picture in pictures) < 1100
    assert len({picture.file_name for picture in pictures}) == IMAGES


def test_an_image_depends_only_on_seed_and_index():
    streamed = list(make_corpus(pictures=30))
    assert streamed == list(make_corpus(pictures=30))
    assert streamed[20:] == list(make_corpus(pictures=10, start=20))
    assert make_demo_image(7) == streamed[7]
    assert make_demo_image(7, seed=1) != streamed[7]
    assert next(make_corpus(pictures=10**9)).index == 0
