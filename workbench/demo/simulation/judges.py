"""Two simulated judges with fixed error rates.

A verdict is a hash of (judge, scene, concept), so a repeated question gets the same answer. Together (mean P(present)
below 0.5) the judges pass 95 % of the absent concepts and 29 % of the present ones: one in six passed candidates is
false.
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
    """Error rates and reply style of a judge."""

    name: str
    passes_absent: float
    """P(answers absent | the concept is absent)."""
    passes_present: float
    """P(answers absent | the concept is present): the error that leaves false candidates."""
    weak_at: frozenset[str]
    """Things with a higher miss rate."""
    weak_passes_present: float
    """`passes_present` for the things in `weak_at`."""
    sure_when_right: Span
    """Minimum and maximum of |P(present) - 0.5| of a correct answer."""
    sure_when_wrong: Span
    """Minimum and maximum of |P(present) - 0.5| of a wrong answer."""
    hedges: bool
    """Whether its replies are hedged sentences instead of a plain yes or no."""

    def misses(self, concept: str) -> float:
        """Return P(answers absent | present) for this concept."""
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
"""A answers briefly and with confidence and misses small things; B hedges and has more false positives."""


@dataclass(frozen=True, slots=True)
class SimulatedVerdict:
    """A judge's answer about a concept in an image."""

    judge: str
    concept: str
    p_present: float
    text: str

    @property
    def answers_present(self) -> bool:
        """The answer as yes or no."""
        return self.p_present >= 0.5


def _subject(concept: str) -> str:
    """Return the thing or colour of a concept: "hat" for "wearing a hat"."""
    return next((word for word in concept.split() if word in THINGS or word in ALL_COLOURS), concept)


def _uniform_pair(judge: SimulatedJudge, scene: Scene, concept: str) -> tuple[float, float]:
    """Return two numbers in [0, 1) that depend only on judge, scene and concept."""
    digest = hashlib.blake2b(f"{judge.name}\n{scene.key}\n{_subject(concept)}".encode(), digest_size=8).digest()
    low, high = int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:], "big")
    return low / 2**32, high / 2**32


def _reply_text(judge: SimulatedJudge, concept: str, p_present: float) -> str:
    present = p_present >= 0.5
    if not judge.hedges:
        return f"{'Yes' if present else 'No'}."
    doubt = "I think " if abs(p_present - 0.5) < 0.25 else ""
    subject = _subject(concept)
    if subject not in THINGS:
        verb = "looks" if present else "does not look"
        return f"{'Yes' if present else 'No'}, {doubt}it {verb} {concept}."
    verb = "are" if is_plural(subject) else "is"
    mention = a_thing(subject) if present else f"no {subject}"
    return f"{'Yes' if present else 'No'}, {doubt}there {verb} {mention} in the picture."


def ask_judge(judge: SimulatedJudge, scene: Scene, concept: str) -> SimulatedVerdict:
    """Return the judge's answer to "is `concept` in the image?"."""
    present = scene.has(concept)
    error_draw, margin_draw = _uniform_pair(judge, scene, concept)
    answers_absent = error_draw < (judge.misses(concept) if present else judge.passes_absent)
    low, high = judge.sure_when_right if answers_absent != present else judge.sure_when_wrong
    margin = low + (high - low) * margin_draw
    p_present = round(0.5 - margin if answers_absent else 0.5 + margin, 3)
    return SimulatedVerdict(judge.name, concept, p_present, _reply_text(judge, concept, p_present))


def passes(verdicts: Sequence[SimulatedVerdict]) -> bool:
    """Return whether the judges pass a candidate: the mean of P(present) is below 0.5."""
    return sum(verdict.p_present for verdict in verdicts) / len(verdicts) < 0.5


def conflict(verdicts: Sequence[SimulatedVerdict]) -> bool:
    """Return whether the judges disagree."""
    return len({verdict.answers_present for verdict in verdicts}) > 1
