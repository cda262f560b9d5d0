"""Evaluates models on referring segmentation: loads the data, the segmentation models and the CLIP models in turn.

Each function imports what it needs when it is called: torch and transformers take seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.segmentation.choices import Route, Subset
from workbench.errors import UsageError
from workbench.workspace.operations import BENCHMARKS, RESULTS

if TYPE_CHECKING:
    from benchmarks.protocols import Protocol
    from benchmarks.results import StoredResult
    from benchmarks.segmentation.data import SegmentationData
    from benchmarks.segmentation.segmenters import Segmenter
    from trainers.models.clip_model import ClipModel
    from trainers.segmentation.proposal_settings import ProposalSettings
    from workbench.console.progress_bars import Step
    from workbench.workspace.layout import Workspace
    from workbench.workspace.models import Model

ORIGINAL: Final = "original"
"""Name of CLIPSeg's own text tower on the command line and in results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSettings:
    """The models behind the masks and their settings."""

    routes: Sequence[Route]
    clipseg: str
    """Folder, or name on the Hugging Face hub."""
    threshold: float
    """Probability above which a pixel belongs to CLIPSeg's mask."""
    sam: str
    proposals: ProposalSettings

    def check(self) -> None:
        """Check that the folders of the models exist, before torch is loaded.

        Raises:
            ModelRefused: One is missing.
        """
        from trainers.segmentation.pretrained import CLIPSEG_MODEL, SAM_MODEL, find_folder  # noqa: PLC0415

        for route, name, what in (
            (Route.CLIPSEG, self.clipseg, CLIPSEG_MODEL),
            (Route.PROPOSALS, self.sam, SAM_MODEL),
        ):
            if route in self.routes:
                find_folder(name, what)


def load_data(
    workspace: Workspace,
    name: str,
    split: str,
    subsets: Sequence[Subset],
    *,
    pictures: Path | None = None,
    most: int | None = None,
) -> list[SegmentationData]:
    """Load the subsets of a data set, without the items that cannot be scored; `problems` has these.

    Args:
        name: phrasecut or refcocog, in the folder of this name in the workspace's benchmarks/, or any folder with the
            files of one of them, whose name is that of the task.
        most: The most items of each subset; None: all.

    Raises:
        UsageError: There is no such data set or split.
        BenchError: A file or image is missing or damaged.
    """
    from dataclasses import replace  # noqa: PLC0415

    from benchmarks.segmentation import phrasecut, refcocog  # noqa: PLC0415
    from benchmarks.segmentation.evaluation import without_other_sizes  # noqa: PLC0415

    readers = {phrasecut.NAME: phrasecut, refcocog.NAME: refcocog}
    folder = workspace.root / BENCHMARKS / name if Path(name).name == name else Path(name)
    if not folder.is_dir() and Path(name).is_dir():
        folder = Path(name)
    reader = readers.get(name)
    if reader is None and folder.is_dir():
        reader = refcocog if any(folder.glob("refs(*).*")) else phrasecut
    if reader is None:
        known = ", ".join(readers)
        raise UsageError(f"there is no data set {name!r}", hint=f"known: {known}, or a folder with the files of one")
    data = reader.load(folder, split, pictures)
    data = replace(data, task=replace(data.task, name=folder.resolve().name))
    return [without_other_sizes(data.subset(subset, most=most)) for subset in subsets]


def segment(
    workspace: Workspace,
    parts: Sequence[SegmentationData],
    models: Sequence[Model | None],
    settings: RouteSettings,
    *,
    protocols: Sequence[Protocol],
    device: str = "cpu",
    started: Callable[[Model], None] = lambda model: None,
    warn: Callable[[str], None] = lambda line: None,
) -> list[StoredResult]:
    """Evaluate each model by each route on each part; a result is stored as soon as it is measured.

    Args:
        models: None: CLIPSeg's own text tower, which only the route clipseg has.
        started: Called before a model is loaded.
        warn: Called with each warning about a model.

    Raises:
        BenchError: An image cannot be read, or a score is NaN.
        TrainerError: A model cannot be loaded or does not fit.
    """
    from benchmarks.segmentation.evaluation import run_segmentation  # noqa: PLC0415
    from trainers.models.loading import load_model  # noqa: PLC0415
    from workbench.console.progress_bars import prefixed, step_bars  # noqa: PLC0415
    from workbench.workspace.training_images import training_images  # noqa: PLC0415

    stored: list[StoredResult] = []
    with step_bars(lines=True) as bars:
        build = _builder(settings, device)
        for model in models:
            clip: ClipModel | None = None
            seen = None
            if model is not None:
                started(model)
                clip = load_model(model.spec, device=device)
                for line in clip.warnings:
                    warn(line)
                seen = training_images(workspace, model, warn, bars)
            label = ORIGINAL if model is None else model.label
            for segmenter in build(clip):
                for line in segmenter.warnings:
                    warn(line)
                for data in parts:
                    stored.extend(
                        run_segmentation(
                            segmenter,
                            data,
                            results_folder=workspace.root / RESULTS,
                            cache_folder=workspace.cache,
                            protocols=protocols,
                            label=label,
                            trained_on=seen,
                            progress=_named(bars, prefixed, label, segmenter.route, data.task.name),
                        )
                    )
    return stored


def _named(
    bars: Step, prefixed: Callable[[Step, str], Step], label: str, route: str, task: str
) -> Callable[[str, int, int], None]:
    return prefixed(bars, f"{label}, {task}, {route}: ")


def _builder(settings: RouteSettings, device: str) -> Callable[[ClipModel | None], Iterator[Segmenter]]:
    """Return a function that yields the segmenters of a CLIP model; the other models are loaded once."""
    from benchmarks.segmentation.segmenters import ClipSegSegmenter, ProposalSegmenter  # noqa: PLC0415
    from trainers.segmentation.clipseg import load_clipseg  # noqa: PLC0415
    from trainers.segmentation.mask_proposals import load_proposer  # noqa: PLC0415

    clipseg = load_clipseg(settings.clipseg, device=device) if Route.CLIPSEG in settings.routes else None
    proposer = (
        load_proposer(settings.sam, settings=settings.proposals, device=device)
        if Route.PROPOSALS in settings.routes
        else None
    )

    def build(clip: ClipModel | None) -> Iterator[Segmenter]:
        if clipseg is not None:
            yield ClipSegSegmenter(clipseg, clip, threshold=settings.threshold)
        if proposer is not None and clip is not None:
            yield ProposalSegmenter(proposer, clip)

    return build
