"""Signatures of images, by which near-duplicates are found: those of the record, of trainings and of benchmarks.

All are in one file of the cache folder (`curation_db.similarity.signature_cache`), so an image is decoded once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from benchmarks.task import Task
    from curation_db.search.query_language import View
    from curation_db.similarity.duplicates import Signatures
    from curation_db.storage.store import Store
    from workbench.workspace.layout import Workspace
    from workbench.workspace.settings.settings import Settings

Locate = Callable[[str, str], Path | None]
Step = Callable[[str, int, int], None]
"""Called with the name of a step, the images done, and their total. An exception from it ends the pass."""
_STEP = "image signatures"
_TRAINING = "training"
_BENCHMARK = "benchmark/"


@dataclass(frozen=True, slots=True)
class SignedImages:
    """The state of the record's images after a pass."""

    images: int
    """Images with a file name that the pass looked for."""
    without_file: int
    """Of these, those whose file is in no image folder."""
    unusable: int
    """Files that cannot be decoded."""


def refresh_record(store: Store, locate: Locate, progress: Step, *, only_new: bool = False) -> SignedImages:
    """Compute the missing signatures of the record's images; an interrupted pass continues where it ended.

    Args:
        locate: Returns the path of a source's file name.
        only_new: Leave out images that an earlier pass has seen, also if their file was changed or found since: to look
            for 100,000 files takes seconds.

    Raises:
        RecordError: the cache folder is not writable.
    """
    from curation_db.image_decoding import ImageProblem  # noqa: PLC0415
    from curation_db.search.families import COLLECTION, cache_file, image_files  # noqa: PLC0415
    from curation_db.similarity.signature_cache import refresh, unseen  # noqa: PLC0415

    file = cache_file(store.path)
    by_source: dict[str, dict[str, str]] = defaultdict(dict)
    with store.read() as connection:
        for source, key, file_name in image_files(connection):
            by_source[source][key] = file_name
    images, missing, unusable = 0, 0, 0
    for source, names in by_source.items():
        collection = COLLECTION + source
        keys = unseen(file, collection, names) if only_new else list(names)
        located = [(key, locate(source, names[key])) for key in keys]
        if only_new and not located:
            continue  # the cache is not opened for writing
        done = refresh(file, collection, located, lambda done, of: progress(_STEP, done, of))
        images += len(located)
        missing += sum(path is None for _, path in located)
        unusable += sum(problem is not ImageProblem.MISSING for problem in done.problems.values())
    return SignedImages(images, missing, unusable)


def unsigned_note(connection: Connection) -> str:
    """Return how many images have no signature, and the command that computes them and says why not; "" for none."""
    from curation_db.search.families import count_unsigned  # noqa: PLC0415

    unsigned, images = count_unsigned(connection)
    if not unsigned:
        return ""
    verb = "is" if unsigned == 1 else "are"
    return f"{unsigned:,} of {images:,} images {verb} not compared: negwb images duplicates"  # one line of 80 columns


def look_note(store: Store, view: View) -> str:
    """Return `unsigned_note` for a view that compares images; "" for other views."""
    from curation_db.search.query_language import LOOKS  # noqa: PLC0415

    if not any(view.filters_by(field) for field in LOOKS):
        return ""
    with store.read() as connection:
        return unsigned_note(connection)


def locator(workspace: Workspace, settings: Settings) -> Locate:
    """Return a function that finds the files of many images."""
    from workbench.workspace.picture_folders import ListedFolders, PictureFolders  # noqa: PLC0415

    return ListedFolders(PictureFolders(workspace.root, settings.pictures, follow_links=settings.follow_links)).locate


def cache_file(workspace: Workspace) -> Path:
    from curation_db.search.families import cache_file as beside  # noqa: PLC0415

    return beside(workspace.database)


def benchmark_signatures(workspace: Workspace, task: Task, progress: Step) -> Signatures:
    """Return the signatures of a task's images, by file name; images without a usable file have none.

    Raises:
        RecordError: the cache folder is not writable.
    """
    from curation_db.similarity.signature_cache import load, refresh  # noqa: PLC0415

    collection = _BENCHMARK + task.name
    images = [(name, task.pictures / name) for name in task.images]
    refresh(cache_file(workspace), collection, images, lambda done, of: progress(f"{_STEP}: {task.name}", done, of))
    wanted = {(collection, name) for name, _ in images}
    return load(cache_file(workspace), collection).restricted(wanted)


class BenchmarkMatch(NamedTuple):
    """An image of a benchmark that looks like an image of the record."""

    task: str
    image: str
    """Its file name in the benchmark."""
    source: str
    key: str


def benchmark_matches(workspace: Workspace, task: Task, progress: Step) -> list[BenchmarkMatch]:
    """Return the images of a task that look like images of the record, as far as these have signatures.

    Raises:
        RecordError: the cache folder is not writable.
    """
    from curation_db.search.families import COLLECTION  # noqa: PLC0415
    from curation_db.similarity.signature_cache import load  # noqa: PLC0415

    asked = benchmark_signatures(workspace, task, progress)
    known = load(cache_file(workspace), COLLECTION)
    matches = known.matches(asked.hashes, asked.thumbnails)
    return [
        BenchmarkMatch(task.name, name, known.names[place][0].removeprefix(COLLECTION), known.names[place][1])
        for (_, name), places in zip(asked.names, matches, strict=True)
        for place in places
    ]


def alike_finder(
    workspace: Workspace, paths: Sequence[Path], warn: Callable[[str], None], progress: Step
) -> Callable[[Task], Collection[str]] | None:
    """Return a function that names the images of a task that look like one of these files; None without files.

    Args:
        warn: Called with a line if the cache folder is not writable; then no image looks like another.
    """
    if not paths:
        return None

    def alike(task: Task) -> Collection[str]:
        from curation_db.errors import RecordError  # noqa: PLC0415
        from curation_db.similarity.signature_cache import load, refresh  # noqa: PLC0415

        images = [(str(path), path) for path in paths]
        try:
            refresh(cache_file(workspace), _TRAINING, images, lambda done, of: progress(_STEP, done, of))
            asked = benchmark_signatures(workspace, task, progress)
        except RecordError as error:
            warn(f"{error.message}: images of {task.name} that look like training images were not searched")
            return ()
        trained = load(cache_file(workspace), _TRAINING).restricted({(_TRAINING, key) for key, _ in images})
        matches = trained.matches(asked.hashes, asked.thumbnails)
        return {key for (_, key), found in zip(asked.names, matches, strict=True) if found}

    return alike
