"""The images that a model of the workspace was trained on: those of its run, and of the runs that it started from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from trainers.errors import TrainerError
from trainers.settings import RunConfig, read_config
from workbench.workspace.models import MODEL, TUNED, Model

if TYPE_CHECKING:
    from benchmarks.training_overlap import TrainingImage, TrainingImages
    from workbench.workspace.layout import Workspace


def training_images(
    workspace: Workspace,
    model: Model,
    warn: Callable[[str], None] = lambda line: None,
    progress: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> TrainingImages | None:
    """Return the images of the pairs and the replay pools of a model's runs; None: it is not from a run.

    Args:
        warn: Called with a line if an export or a pool cannot be read; then its images are left out.
        progress: Called while the looks of the images are compared with those of a task.
    """
    from benchmarks.training_overlap import TrainingImages  # noqa: PLC0415
    from workbench.workspace.image_signatures import alike_finder  # noqa: PLC0415

    runs = list(_runs(model.spec))
    images: dict[TrainingImage, None] = {}
    for folder, config in runs:
        try:
            images |= dict.fromkeys(_images(workspace, config))
        except (TrainerError, ValueError, OSError) as error:
            warn(f"the training images of {folder.name} are not known, so neither is the overlap: {error}")
            return None
    if not runs:
        return None
    alike = alike_finder(workspace, [image.path for image in images if image.path], warn, progress)
    return TrainingImages(tuple(folder.name for folder, _ in runs), tuple(images), alike)


def _runs(spec: str) -> Iterator[tuple[Path, RunConfig]]:
    """Yield the run of a model and the runs that it started from."""
    seen: set[Path] = set()
    while (path := Path(spec.removeprefix(TUNED))).name == MODEL and (folder := path.parent) not in seen:
        seen.add(folder)
        try:
            config = read_config(folder)
        except TrainerError:
            return
        yield folder, config
        spec = config.model


def _images(workspace: Workspace, config: RunConfig) -> Iterator[TrainingImage]:
    from benchmarks.training_overlap import TrainingImage  # noqa: PLC0415
    from curation_db.exporting.manifest import read_items  # noqa: PLC0415
    from trainers.data.dataset import locate_in, read_pool  # noqa: PLC0415
    from trainers.features.file_hashes import FileHashes  # noqa: PLC0415

    locate = locate_in(config.pictures, follow_links=config.follow_links)
    known: dict[str, str | None] = {}
    files: dict[Path, str] = {}
    paths: dict[str, Path | None] = {}
    for item in read_items(Path(config.export)):
        name = item.file_name or item.image_key
        if name not in known or known[name] is None:
            known[name] = item.image_sha256
            paths[name] = locate(item.source, item.file_name)
            if item.image_sha256 is None and (path := paths[name]) is not None:
                files[path] = name
    if config.settings.replay_pool:
        files |= {image.path: image.path.name for image in read_pool(Path(config.settings.replay_pool))}
    hashes = FileHashes(workspace.cache).hash_all(files).hashes
    located = set(files.values())
    yield from (
        TrainingImage(name, sha256, paths[name]) for name, sha256 in known.items() if sha256 or name not in located
    )
    yield from (TrainingImage(name, hashes.get(path), path) for path, name in files.items())
