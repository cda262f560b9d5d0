"""The items on which the strength of a correction is chosen, which no score of the correction contains."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.affirmative_twins import is_negated_task
from benchmarks.corrections.corrected import Candidate, CorrectedEncoder, IdentifiedModel, RememberingModel
from benchmarks.corrections.kind import CorrectionKind
from benchmarks.corrections.projection import projections
from benchmarks.corrections.steering import steerings
from benchmarks.errors import BenchError
from benchmarks.protocols import Protocol
from benchmarks.runner import measure
from benchmarks.schema import NO_CUE
from benchmarks.scoring import TextImageEncoder, encode_task_images
from benchmarks.task import BenchItem, Task

if TYPE_CHECKING:
    from trainers.models.clip_model import ClipModel

TUNING_SHARE: Final = 0.1
"""Share of the clusters of a task on which the strength is chosen."""
MOST_TUNING_ITEMS: Final = 400
"""Expected number of these items of all tasks at most; more cost minutes and change the choice little."""
_MOST_NAMES: Final = 3
_RULE: Final = Protocol("strict", allow_nan=True)

Progress = Callable[[str, int, int], None]


def tuning_split(task: Task, *, share: float = TUNING_SHARE, seed: int = 0) -> tuple[Task, Task]:
    """Return the items to choose on and the items to score; the items of a cluster stay together.

    Raises:
        BenchError: The task has too few clusters for both.
    """
    chosen = {
        item.cluster
        for item in task.items
        if int.from_bytes(hashlib.sha256(f"{seed}\0{item.cluster}".encode()).digest()[:8]) < share * 2**64
    }
    parts = [tuple(item for item in task.items if (item.cluster in chosen) is wanted) for wanted in (True, False)]
    if not all(parts):
        raise BenchError(f"{task.name}: {len(task.items)} items are too few to choose a strength on some of them")
    tuning, scored = (replace(task, items=items) for items in parts)
    return tuning, scored


@dataclass(frozen=True)
class TuningItems:
    """A share of the items of each task with mostly negated texts, and all tasks without them."""

    tuning: tuple[Task, ...]
    scored: tuple[Task, ...]
    """Tasks with a negated text have no item about an image of the tuning items of any task: twins, for example, ask
    about the same images with the same texts."""

    @classmethod
    def of(cls, tasks: Sequence[Task]) -> TuningItems | None:
        """Choose the items; None: no task has mostly negated texts. A judged task has none, since its judge would cost.

        Raises:
            BenchError: Each of these tasks has too few clusters, or all images of a task are among the chosen ones.
        """
        negated = [each for each in tasks if each.kind != "judged" and is_negated_task(each.name, _cues_of(each))]
        if not negated:
            return None
        share = min(TUNING_SHARE, MOST_TUNING_ITEMS / sum(len(task.items) for task in negated))
        tuning, problems = [], []
        for task in negated:
            try:
                tuning.append(tuning_split(task, share=share)[0])
            except BenchError as error:
                problems.append(error)
        if not tuning:
            raise problems[0]
        images = {image for task in tuning for item in task.items for image in _images_of(task, item)}
        return cls(tuple(tuning), tuple(_without(task, images) for task in tasks))

    @property
    def description(self) -> str:
        """The number of items by task, as "20 items of a and 30 of b"."""
        if len(self.tuning) > _MOST_NAMES:
            return f"{sum(len(task.items) for task in self.tuning):,} items of {len(self.tuning)} tasks"
        first, *further = ((f"{len(task.items):,}", task.name) for task in self.tuning)
        return " and ".join([f"{first[0]} items of {first[1]}", *(f"{count} of {name}" for count, name in further)])

    def texts(self) -> list[str]:
        return [text for task in self.tuning for item in task.items for text in (item.captions or (item.text,))]


def _cues_of(task: Task) -> Iterable[str]:
    return (item.slices.get("cue", NO_CUE) for item in task.items)


def _without(task: Task, images: set[Path]) -> Task:
    """Return the task without the items about `images`, if it has a negated text; a gallery keeps all its images.

    Raises:
        BenchError: No item is left.
    """
    if all(cue == NO_CUE for cue in _cues_of(task)):
        return task
    items = tuple(item for item in task.items if images.isdisjoint(_images_of(task, item)))
    if not items:
        raise BenchError(f"{task.name}: all its images are among those on which the strength is chosen")
    return task if len(items) == len(task.items) else replace(task, items=items)


def _images_of(task: Task, item: BenchItem) -> set[Path]:
    return {task.pictures / name for name in (item.image, *([item.twin.image] if item.twin else [])) if name}


def choose_correction(
    kind: CorrectionKind,
    model: ClipModel,
    items: TuningItems,
    *,
    cache: Path | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> CorrectedEncoder:
    """Return the best projection or steering on the tuning items.

    Raises:
        BenchError: The texts of the tuning items give no direction to steer.
        TrainerError: The text tower cannot be steered.
    """
    if kind is CorrectionKind.PROJECTION:
        candidates = projections(items.description)
    else:
        candidates = steerings(model, items.texts(), items.description)
    return choose(model, candidates, items.tuning, cache=cache, progress=progress)


def choose(
    model: TextImageEncoder,
    candidates: Sequence[Candidate],
    tuning: Sequence[Task],
    *,
    cache: Path | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> CorrectedEncoder:
    """Return the correction of `model` with the highest mean score over the tasks `tuning`; of equal ones the first.

    The score of a task is its main metric under the strict rule; a NaN is wrong.
    """
    identified = IdentifiedModel.of(model)
    images = [encode_task_images(identified, task, cache=cache, progress=progress) for task in tuning]
    remembering = RememberingModel(identified.model, identified.identity)
    best: tuple[float, Candidate] | None = None
    for number, candidate in enumerate(candidates):
        progress("candidates", number, len(candidates))
        corrected = candidate(remembering)
        scores = [measure(corrected, task, protocol=_RULE, images=of) for task, of in zip(tuning, images, strict=True)]
        mean = sum(next(iter(metrics.values()))["value"] for metrics in scores) / len(scores)
        if best is None or mean > best[0]:
            best = mean, candidate
    progress("candidates", len(candidates), len(candidates))
    assert best is not None
    return best[1](identified)
