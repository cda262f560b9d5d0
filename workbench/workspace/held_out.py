"""Images of benchmarks, which exports for training leave out: those of `negwb bench make` and of every other task.

A benchmark image is an image of the record if both have the same content as far as the record and the task state it,
the same number of COCO ("COCO_val2014_000000000139.jpg" and "000000000139.jpg"), or the same file name, unless the two
files are on this machine and differ.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from workbench.workspace.operations import BENCHMARKS, find_task, own_tasks

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from benchmarks.task import Task
    from curation_db.exporting.manifest import ExportItem
    from curation_db.exporting.selection import ExportFilter
    from workbench.workspace.layout import Workspace

ImageKey = tuple[str, str]
"""(source, image key)"""
Locate = Callable[[str, str], Path | None]
"""Returns the file of (source, file name)."""


@dataclass(frozen=True, slots=True)
class BenchmarkImages:
    """The images of the record that benchmarks use."""

    by_task: Mapping[str, frozenset[ImageKey]]
    """By name of the task; empty for a task that shares no image with the record."""
    unknown: tuple[str, ...] = ()
    """Tasks whose files are missing or cannot be read."""

    @property
    def images(self) -> frozenset[ImageKey]:
        return frozenset[ImageKey]().union(*self.by_task.values())

    @property
    def unknown_folders(self) -> list[str]:
        """The benchmarks that the unknown tasks are parts of, each once."""
        from benchmarks.registry import entries  # noqa: PLC0415

        registered = entries()
        return sorted({registered[name].folder if name in registered else name for name in self.unknown})

    def facts(self) -> dict[str, int | None]:
        """Return the number of images by task, as in `Manifest.benchmarks`; None: the images are not known."""
        return {**{name: len(images) for name, images in self.by_task.items()}, **dict.fromkeys(self.unknown)}

    def without(self, selection: ExportFilter) -> ExportFilter:
        """Return `selection` without the pairs on these images."""
        return replace(selection, held_out=selection.held_out | self.images)


def benchmark_images(
    workspace: Workspace, progress: Callable[[int, int], None] = lambda done, total: None
) -> BenchmarkImages:
    """Return the images of every registered task, own task and frozen benchmark of the workspace.

    Raises:
        BenchError: the manifest of a frozen benchmark is damaged.
    """
    by_task = dict(images_by_benchmark(workspace))
    present, unknown = _tasks(workspace, by_task)
    if present:
        from curation_db.storage.store import open_read_only  # noqa: PLC0415

        with open_read_only(workspace.database) as store, store.read() as connection:
            record = _RecordImages(connection, _locator(workspace))
            for done, name in enumerate(present):
                progress(done, len(present))
                task = _load(workspace, name)
                if task is None:
                    unknown.append(name)
                else:
                    by_task[name] = frozenset(record.of_task(task))
            progress(len(present), len(present))
    return BenchmarkImages(dict(sorted(by_task.items())), tuple(sorted(unknown)))


def _tasks(workspace: Workspace, known: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the tasks with a folder or file in the workspace, and the registered ones without one."""
    from benchmarks.registry import entries  # noqa: PLC0415

    registered = entries()
    home = workspace.root / BENCHMARKS
    present = [name for name, entry in registered.items() if (home / entry.folder).is_dir()]
    own = [name for name in own_tasks(workspace) if name not in registered]
    return sorted({*present, *own} - set(known)), [name for name in registered if name not in present]


def _load(workspace: Workspace, name: str) -> Task | None:
    from benchmarks.errors import BenchError  # noqa: PLC0415
    from workbench.errors import NegwbError  # noqa: PLC0415

    try:
        return find_task(workspace, name)
    except (BenchError, NegwbError, OSError):
        return None


def _locator(workspace: Workspace) -> Locate:
    from workbench.workspace.picture_folders import ListedFolders, PictureFolders  # noqa: PLC0415
    from workbench.workspace.settings.settings import read_settings  # noqa: PLC0415

    settings = read_settings(workspace.settings)
    folders = PictureFolders(workspace.root, settings.pictures, follow_links=settings.follow_links)
    return ListedFolders(folders).locate


@dataclass(frozen=True, slots=True)
class _RecordImage:
    key: ImageKey
    file_name: str | None
    sha256: str | None


class _RecordImages:
    """The images of the record by what a benchmark calls them."""

    def __init__(self, connection: Connection, locate: Locate) -> None:
        from benchmarks.training_overlap import coco_number  # noqa: PLC0415
        from curation_db.exporting.annotated_images import read_image_names  # noqa: PLC0415

        self._locate = locate
        self._coco_number = coco_number
        self._by_number: defaultdict[str, list[ImageKey]] = defaultdict(list)
        self._by_name: defaultdict[str, list[_RecordImage]] = defaultdict(list)
        self._by_content: defaultdict[str, list[ImageKey]] = defaultdict(list)
        self._digests: dict[Path, str | None] = {}
        for row in read_image_names(connection):
            key = (row.source, row.key)
            name = PurePosixPath(row.file_name or urlsplit(row.url or "").path or row.key).name
            if number := coco_number(name):
                self._by_number[number].append(key)
            self._by_name[name].append(_RecordImage(key, row.file_name, row.sha256))
            if row.sha256 is not None:
                self._by_content[row.sha256].append(key)

    def of_task(self, task: Task) -> Iterator[ImageKey]:
        """Yield the images of the record that the task uses; some several times."""
        for image in task.images:
            yield from self._by_content.get(task.image_sha256.get(image, ""), ())
            name = PurePosixPath(image).name
            if number := self._coco_number(name):
                yield from self._by_number.get(number, ())
            else:
                yield from (each.key for each in self._by_name.get(name, ()) if self._may_be(each, task, image))

    def _may_be(self, image: _RecordImage, task: Task, name: str) -> bool:
        """Return whether the two images of one file name can be the same: not if both contents are known to differ."""
        ours = image.sha256
        if ours is None and image.file_name is not None:
            path = self._locate(image.key[0], image.file_name)
            ours = None if path is None else self._digest(path)
        theirs = task.image_sha256.get(name) or self._digest(task.pictures / name)
        return ours is None or theirs is None or ours == theirs

    def _digest(self, path: Path) -> str | None:
        from curation_db.exporting.manifest import file_facts  # noqa: PLC0415

        if path not in self._digests:
            try:
                self._digests[path] = file_facts(path).sha256
            except (OSError, ValueError):
                self._digests[path] = None
        return self._digests[path]


def images_by_benchmark(workspace: Workspace) -> dict[str, frozenset[ImageKey]]:
    """Return the images of each frozen benchmark: those it was made of, and all that the record has with equal content.

    Raises:
        BenchError: the manifest of a benchmark is damaged.
    """
    from benchmarks.frozen.folder import frozen_images  # noqa: PLC0415

    frozen = frozen_images(workspace.root / BENCHMARKS)
    if not frozen:
        return {}
    from curation_db.exporting.agreed_labels import images_of_content  # noqa: PLC0415
    from curation_db.storage.store import open_read_only  # noqa: PLC0415

    with open_read_only(workspace.database) as store, store.read() as connection:
        return {
            name: frozenset((image.source, image.key) for image in images)
            | frozenset(images_of_content(connection, [image.sha256 for image in images]))
            for name, images in frozen.items()
        }


def pairs_by_benchmark(items: Iterable[ExportItem], benchmarks: Mapping[str, frozenset[ImageKey]]) -> dict[str, int]:
    """Return the number of pairs on images of each benchmark; benchmarks without such a pair are left out."""
    counts: Counter[str] = Counter()
    for item in items if benchmarks else ():
        counts.update(name for name, images in benchmarks.items() if (item.source, item.image_key) in images)
    return dict(sorted(counts.items()))
