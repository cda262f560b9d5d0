"""The items on which the strength of a correction is chosen, which no score of the correction contains."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.affirmative_twins import is_negated_task
from benchmarks.corrections.corrected import CorrectedEncoder, IdentifiedModel
from benchmarks.corrections.kind import CorrectionKind
from benchmarks.corrections.projection import projections
from benchmarks.corrections.steering import steerings
from benchmarks.errors import BenchError
from benchmarks.protocols import Protocol
from benchmarks.runner import measure
from benchmarks.schema import NO_CUE
from benchmarks.task import BenchItem, Task

if TYPE_CHECKING:
    from trainers.models.clip_model import ClipModel

TUNING_SHARE: Final = 0.1
"""Share of the clusters of a task on which the strength is chosen."""
MOST_TUNING_ITEMS: Final = 400
"""Expected number of these items at most; more cost minutes and change the choice little."""
_RULE: Final = Protocol("strict", allow_nan=True)


def tuning_split(task: Task, *, share: float = TUNING_SHARE, seed: int = 0) -> tuple[Task, Task]:
    """Return the items to choose on and the items to score; the items of a cluster stay together.

    Raises:
        BenchError: The task has too few clusters for both.
    """
    share = min(share, MOST_TUNING_ITEMS / len(task.items))
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
    """The items of one of the tasks to choose on, and all tasks without them."""

    tuning: Task
    scored: tuple[Task, ...]
    """The other items of that task, and the other tasks. Those with a negated text have no image of the tuning items:
    twins, for example, ask about the same images with the same texts."""

    @classmethod
    def of(cls, tasks: Sequence[Task]) -> TuningItems | None:
        """Choose the items in the first task with mostly negated texts; None: there is no such task.

        Raises:
            BenchError: That task has too few clusters.
        """
        measurable = (task for task in tasks if task.kind != "judged")
        chosen_on = next((task for task in measurable if is_negated_task(task.name, _cues_of(task))), None)
        if chosen_on is None:
            return None
        tuning, scored = tuning_split(chosen_on)
        images = {tuning.pictures / name for name in tuning.images}
        return cls(tuning, tuple(scored if task is chosen_on else _without(task, images) for task in tasks))

    @property
    def description(self) -> str:
        return f"{len(self.tuning.items):,} items of {self.tuning.name}"


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
    return {task.pictures / name for name in (item.image, *([item.twin.image] if item.twin else []))}


def choose_correction(
    kind: CorrectionKind,
    model: ClipModel,
    items: TuningItems,
    *,
    cache: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> CorrectedEncoder:
    """Return the projection or steering with the most right answers on the tuning items.

    Raises:
        BenchError: The texts of the tuning items give no direction to steer.
        TrainerError: The text tower cannot be steered.
    """
    if kind is CorrectionKind.PROJECTION:
        candidates = projections(IdentifiedModel.of(model), items.description)
    else:
        texts = [text for item in items.tuning.items for text in (item.captions or (item.text,))]
        candidates = steerings(model, texts, items.description)
    return choose(candidates, items.tuning, cache=cache, progress=progress)


def choose(
    candidates: Iterable[CorrectedEncoder],
    tuning: Task,
    *,
    cache: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> CorrectedEncoder:
    """Return the candidate with the most right answers on `tuning`; of equal ones the first."""
    best = None
    for candidate in candidates:
        metrics = measure(candidate, tuning, protocol=_RULE, cache_folder=cache, progress=progress)
        right = next(iter(metrics.values()))["correct"]
        if best is None or right > best[0]:
            best = right, candidate
    assert best is not None
    return best[1]
