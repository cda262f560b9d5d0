"""Images of the benchmarks that `negwb bench make` froze, which exports for training leave out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.workspace.operations import BENCHMARKS

if TYPE_CHECKING:
    from curation_db.exporting.manifest import ExportItem
    from curation_db.exporting.selection import ExportFilter
    from workbench.workspace.layout import Workspace

ImageKey = tuple[str, str]
"""(source, image key)"""


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


def all_images(benchmarks: Mapping[str, frozenset[ImageKey]]) -> frozenset[ImageKey]:
    return frozenset[ImageKey]().union(*benchmarks.values())


def without_benchmarks(workspace: Workspace, selection: ExportFilter) -> ExportFilter:
    """Return `selection` without the pairs on images of frozen benchmarks.

    Raises:
        BenchError: as for `images_by_benchmark`.
    """
    return replace(selection, held_out=selection.held_out | all_images(images_by_benchmark(workspace)))


def pairs_by_benchmark(items: Iterable[ExportItem], benchmarks: Mapping[str, frozenset[ImageKey]]) -> dict[str, int]:
    """Return the number of pairs on images of each benchmark; benchmarks without such a pair are left out."""
    counts: Counter[str] = Counter()
    for item in items if benchmarks else ():
        counts.update(name for name, images in benchmarks.items() if (item.source, item.image_key) in images)
    return dict(sorted(counts.items()))
