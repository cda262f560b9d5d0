"""The demo corpus as a stream of images with their scene, captions, proposals and verdicts.

Image `n` depends on the seed and `n` alone, so images can be made one at a time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workbench.demo.simulation.judges import JUDGES, SimulatedVerdict, ask_judge, conflict, passes
from workbench.demo.simulation.proposer import CLUMSY, Proposal, Proposer
from workbench.demo.world.captions import CANDIDATE_NAMING, SceneCaption, write_captions
from workbench.demo.world.world import Scene, make_scene

IMAGES = 700
SEED = 2501
PROPOSALS = 2


@dataclass(frozen=True, slots=True)
class DemoCandidate:
    """A proposal with the judges' verdicts on its concept."""

    proposal: Proposal
    caption: int
    """Index of the image's caption that it rewrites."""
    verdicts: tuple[SimulatedVerdict, ...]

    @property
    def passed(self) -> bool:
        """Whether the judges pass it: in the published pipeline only these reach the queue."""
        return passes(self.verdicts)

    @property
    def conflict(self) -> bool:
        """Whether the judges disagree."""
        return conflict(self.verdicts)


@dataclass(frozen=True, slots=True)
class DemoImage:
    index: int
    file_name: str
    scene: Scene
    captions: tuple[SceneCaption, ...]
    """Sibling captions, in the order in caption_index they are negated."""
    candidates: tuple[DemoCandidate, ...]
    """All proposals, also those that the judges do not pass."""

    @property
    def passed(self) -> tuple[DemoCandidate, ...]:
        """The candidates that the judges pass."""
        return tuple(candidate for candidate in self.candidates if candidate.passed)


def _candidates(scene: Scene, captions: Sequence[SceneCaption], proposer: Proposer) -> Iterator[DemoCandidate]:
    taken: list[str] = []
    for number in range(PROPOSALS):
        caption_index = number % min(2, len(captions))
        proposal = proposer.propose(captions[caption_index], true_colour=scene.first.colour, taken=taken)
        if proposal is None:
            return
        taken.extend(proposal.concept.split())
        yield DemoCandidate(
            proposal, caption_index, tuple(ask_judge(judge, scene, proposal.concept) for judge in JUDGES)
        )


def make_demo_image(index: int, *, seed: int = SEED) -> DemoImage:
    scene = make_scene(seed * 1_000_000 + index)
    rng = random.Random(scene.seed * 4)
    captions = write_captions(scene, rng, count=rng.randint(2, 3), naming=CANDIDATE_NAMING)
    candidates = tuple(_candidates(scene, captions, Proposer(rng, clumsy=CLUMSY)))
    return DemoImage(index, f"demo_{index:06d}.jpg", scene, captions, candidates)


def make_corpus(*, pictures: int = IMAGES, seed: int = SEED, start: int = 0) -> Iterator[DemoImage]:
    """Yield the images from `start` on; the defaults give about 1,000 passed candidates."""
    for index in range(start, start + pictures):
        yield make_demo_image(index, seed=seed)
