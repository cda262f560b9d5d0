"""Two scripted judges of different character, with stated error rates; simulated, and named so.

An answer is a function of (judge, scene, concept) by hashing: asked twice, a judge says the same. Together
(mean P(present) below one half) they pass 95 % of what is absent and 29 % of what is there: one in six of
what passes is false, and a person at the keyboard is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.demo.world.captions import a_thing, is_plural
from workbench.demo.world.world import ALL_COLOURS, THINGS, Scene

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class SimulatedJudge:
    """A judge's character: every rate is stated here and nowhere else."""

    name: str
    passes_absent: float
    """P(answers absent | the concept is absent)."""
    passes_present: float
    """P(answers absent | the concept is present): the error that leaves false candidates."""
    weak_at: frozenset[str]
    """Things that it overlooks more often."""
    weak_passes_present: float
    """`passes_present` for the things it is weak at."""
    sure_when_right: Span
    """How far its P(present) lies from one half when it is right: least and most."""
    sure_when_wrong: Span
    hedges: bool
    """Whether it wraps its answer in maybes."""

    def misses(self, concept: str) -> float:
        """P(answers absent | present) for this concept."""
        return self.weak_passes_present if _subject(concept) in self.weak_at else self.passes_present


JUDGES: tuple[SimulatedJudge, ...] = (
    SimulatedJudge(
        name="sim-judge-a (simulated)",
        passes_absent=0.93,
        passes_present=0.34,
        weak_at=frozenset({"glasses", "scarf", "cup"}),
        weak_passes_present=0.60,
        sure_when_right=(0.25, 0.49),
        sure_when_wrong=(0.05, 0.40),
        hedges=False,
    ),
    SimulatedJudge(
        name="sim-judge-b (simulated)",
        passes_absent=0.85,
        passes_present=0.42,
        weak_at=frozenset({"bag", "book", "bird"}),
        weak_passes_present=0.65,
        sure_when_right=(0.10, 0.40),
        sure_when_wrong=(0.05, 0.35),
        hedges=True,
    ),
)
"""A is brisk and sure of itself and overlooks the small; B hedges, sees ghosts, overlooks the dull."""


@dataclass(frozen=True, slots=True)
class SimulatedVerdict:
    """One judge's answer about one concept in one picture."""

    judge: str
    concept: str
    p_present: float
    text: str
    """What it said, as it would have said it."""

    @property
    def answers_present(self) -> bool:
        """Its answer as a bare yes or no."""
        return self.p_present >= 0.5


def _subject(concept: str) -> str:
    """The thing or the colour that a concept is about: a hat, whether worn or just there."""
    return next((word for word in concept.split() if word in THINGS or word in ALL_COLOURS), concept)


def _uniform_pair(judge: SimulatedJudge, scene: Scene, concept: str) -> tuple[float, float]:
    digest = hashlib.blake2b(f"{judge.name}\n{scene.key}\n{_subject(concept)}".encode(), digest_size=8).digest()
    low, high = int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:], "big")
    return low / 2**32, high / 2**32


def _reply_text(judge: SimulatedJudge, concept: str, p_present: float) -> str:
    there = p_present >= 0.5
    if not judge.hedges:
        return f"{'Yes' if there else 'No'}."
    doubt = "I think " if abs(p_present - 0.5) < 0.25 else ""
    subject = _subject(concept)
    if subject not in THINGS:
        verb = "looks" if there else "does not look"
        return f"{'Yes' if there else 'No'}, {doubt}it {verb} {concept}."
    verb = "are" if is_plural(subject) else "is"
    found = a_thing(subject) if there else f"no {subject}"
    return f"{'Yes' if there else 'No'}, {doubt}there {verb} {found} in the picture."


def ask_judge(judge: SimulatedJudge, scene: Scene, concept: str) -> SimulatedVerdict:
    """The judge's answer to "is `concept` in the picture?"."""
    present = scene.has(concept)
    luck, strength = _uniform_pair(judge, scene, concept)
    says_absent = luck < (judge.misses(concept) if present else judge.passes_absent)
    least, most = judge.sure_when_right if says_absent != present else judge.sure_when_wrong
    margin = least + (most - least) * strength
    p_present = round(0.5 - margin if says_absent else 0.5 + margin, 3)
    return SimulatedVerdict(judge.name, concept, p_present, _reply_text(judge, concept, p_present))


def passes(opinions: Sequence[SimulatedVerdict]) -> bool:
    """Whether the judges together let a candidate through: the mean of P(present) is below one half."""
    return sum(opinion.p_present for opinion in opinions) / len(opinions) < 0.5


def conflict(opinions: Sequence[SimulatedVerdict]) -> bool:
    """Whether they give different bare answers."""
    return len({opinion.answers_present for opinion in opinions}) > 1
