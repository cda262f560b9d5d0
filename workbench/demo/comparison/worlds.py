"""The training data of one seed: a demo workspace with its own images and candidates, decided by the ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from curation_db.search.overview import last_seq
from curation_db.storage.store import open_store
from workbench import version
from workbench.demo.build import SOURCE, DemoFiles, DemoSize, StepProgress, build_demo
from workbench.demo.experiment.experiments import TUNED
from workbench.demo.simulation.annotator import decide_all, read_truth
from workbench.demo.simulation.corpus import SEED
from workbench.workspace.operations import find_or_freeze


@dataclass(frozen=True, slots=True)
class TrainingWorld:
    """The export of the accepted pairs, and the folder of its images."""

    seed: int
    export: Path
    export_sha256: str
    pairs: int
    pictures: dict[str, tuple[str, ...]]
    """Image folders by source, as in `RunConfig`."""


def make_world(folder: Path, seed: int, *, pictures: int, progress: StepProgress) -> TrainingWorld:
    """Build the workspace of a seed in `folder`, decide and export; what exists is used.

    The exam is shared by all seeds (`exam.VALIDATION`, `exam.TEST`), so the workspace has none of its own.
    """
    name = f"seed {seed}"
    size = DemoSize(pictures=pictures, pool=1, scenes=1, gallery=1, seed=SEED + seed)
    workspace = build_demo(folder, size=size, progress=lambda step, done, of: progress(f"{name}: {step}", done, of))
    truth = read_truth(DemoFiles(workspace.root).truth)
    with open_store(workspace.database) as store:
        decide_all(
            store,
            truth,
            version=version(),
            progress=lambda done: progress(f"{name}: deciding by the ground truth", done, len(truth)),
        )
        with store.read() as connection:
            event = last_seq(connection)
    manifest = find_or_freeze(workspace, TUNED.selection, event)
    images: dict[str, tuple[str, ...]] = {SOURCE: (str(DemoFiles(workspace.root).pictures),)}
    return TrainingWorld(seed, workspace.exports / manifest.name, manifest.export_sha256, manifest.counts.pairs, images)
