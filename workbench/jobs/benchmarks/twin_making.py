"""Makes twins from the record: an image whose negated caption people accepted, and an image that has what it denies.

The second image comes from the annotated objects (the instances of COCO): it has the denied thing, and every annotated
thing of the first image that the caption affirms. Each image is in one item only. A model that prefers one caption or
one image has no item right (`benchmarks.twins`), so no blind baseline has to be brought to chance.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from benchmarks.analysis.statistics import detectable_difference
from benchmarks.errors import BenchError
from benchmarks.frozen.folder import FrozenBenchmark, write_frozen
from benchmarks.frozen.selection import DISCORDANT_SHARES
from curation_db.enums import State
from curation_db.exporting.annotated_images import AnnotatedImage, read_annotated_images
from curation_db.language.object_mentions import affirms, category_matches, mentions
from curation_db.storage.store import open_read_only
from trainers.features.file_hashes import FileHashes
from workbench.jobs.benchmarks.record_labels import (
    BenchmarkSettings,
    LabelledItem,
    Progress,
    RecordLabels,
    frequent,
    image_name,
    limits_of,
    read_labels,
)
from workbench.workspace.layout import Workspace
from workbench.workspace.operations import BENCHMARKS

KIND: Final = "twins"
ImageKey = tuple[str, str]
"""Source and key of an image."""


@dataclass(frozen=True, slots=True)
class Denial:
    """An accepted negated caption of an image."""

    id: str
    image: ImageKey
    text: str
    concept: str


@dataclass(frozen=True, slots=True)
class Twin:
    denial: LabelledItem
    """The image without the thing; its negated caption is true."""
    image: AnnotatedImage
    """The image with the thing."""
    path: Path
    sha256: str
    exports: frozenset[str]
    """Names of the exports with this image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinPlan:
    """Twins that can be written."""

    name: str
    settings: BenchmarkSettings
    record: RecordLabels
    accepted: int
    """Accepted candidates that could be the first image of an item."""
    annotated: int
    """Images with annotated objects."""
    chosen: Sequence[Twin] = field(default=())

    def facts(self) -> dict[str, Any]:
        """Return the figures of the twins, as the manifest and `--json` have them."""
        return {
            "item_count": len(self.chosen),
            "counts": {
                cut: frequent(twin.denial.contrast.cuts[cut] for twin in self.chosen) for cut in ("cue", "type")
            },
            "power": [
                {"discordant": share, "difference": detectable_difference(len(self.chosen), share)}
                for share in DISCORDANT_SHARES
            ]
            if self.chosen
            else [],
            "limits": self.limits(),
        }

    def limits(self) -> list[str]:
        """Return what the twins cannot show, one sentence each."""
        exports = (names for twin in self.chosen for names in (twin.denial.exports, twin.exports))
        return [
            "the images with the thing were chosen by their annotated objects: no person checked a caption on them",
            *limits_of([twin.denial for twin in self.chosen], exports),
        ]


def choose_partners(
    denials: Sequence[Denial],
    images: Iterable[AnnotatedImage],
    may_use: Callable[[AnnotatedImage], bool],
    *,
    seed: int,
) -> dict[str, AnnotatedImage]:
    """Return for the id of each denial an image that has the denied thing; denials without one are left out.

    The image is of the same source, has a category that names the concept, and every category of the denial's own image
    that its text affirms. An image is in at most one item. The choice depends on the arguments only.

    Args:
        may_use: Whether an image can be in the benchmark; called for few images.
    """
    listed = sorted(images, key=lambda image: _rank(seed, image.source, image.key))
    own = {(image.source, image.key): image.categories for image in listed}
    having: dict[ImageKey, list[AnnotatedImage]] = defaultdict(list)
    for image in listed:
        for category in image.categories:
            having[image.source, category].append(image)
    categories = sorted({category for _, category in having})
    naming = cache(lambda concept: [each for each in categories if _names(each, concept)])
    used = {denial.image for denial in denials}
    partners: dict[str, AnnotatedImage] = {}
    for denial in sorted(denials, key=lambda each: _rank(seed, each.id)):
        source = denial.image[0]
        needed = {each for each in own.get(denial.image, ()) if affirms(denial.text, each)}
        found = (
            image
            for category in naming(denial.concept)
            for image in having.get((source, category), ())
            if (image.source, image.key) not in used and needed <= image.categories and may_use(image)
        )
        if (partner := next(found, None)) is not None:
            partners[denial.id] = partner
            used.add((partner.source, partner.key))
    return partners


def _names(category: str, concept: str) -> bool:
    """Return whether an object of `category` certainly is a `concept`."""
    return category_matches(category, concept) and mentions(category, concept)


def _rank(seed: int, *parts: str) -> str:
    return hashlib.sha256("\0".join((str(seed), *parts)).encode()).hexdigest()


def make_twin_plan(
    workspace: Workspace, name: str, settings: BenchmarkSettings, progress: Progress = lambda step, done, total: None
) -> TwinPlan:
    """Select the twins of a new benchmark; nothing is written. `settings.margin` and `quotas` do not apply.

    Raises:
        BenchError: the name is taken or is not a name.
        UsageError: it is the name of a known benchmark, or an export cannot be read.
        RecordError: the record cannot be read.
    """
    labels = read_labels(workspace, name, settings, progress)
    with open_read_only(workspace.database) as store, store.read() as connection:
        annotated = read_annotated_images(connection)
    accepted = _one_per_image(item for item in labels.usable.values() if item.label.item.state == State.ACCEPTED)
    denials = [
        Denial(
            item.contrast.id,
            (item.label.item.source, item.label.item.image_key),
            item.contrast.negated,
            item.label.item.concept or "",
        )
        for item in accepted.values()
    ]

    def may_use(image: AnnotatedImage) -> bool:
        is_free = settings.with_exported or not labels.exported.of(image.source, image.key, image.sha256)
        return is_free and labels.locate(image.source, image.file_name) is not None

    partners = choose_partners(denials, annotated, may_use, seed=settings.seed)
    ids = sorted(partners, key=lambda each: _rank(settings.seed, each))[: settings.items]
    return TwinPlan(
        name=name,
        settings=settings,
        record=labels,
        accepted=len(accepted),
        annotated=len(annotated),
        chosen=_hashed(workspace, labels, settings, {each: (accepted[each], partners[each]) for each in ids}, progress),
    )


def _one_per_image(items: Iterable[LabelledItem]) -> dict[str, LabelledItem]:
    """Return the items by id, the first one of each image by content."""
    by_image: dict[str, LabelledItem] = {}
    for item in sorted(items, key=lambda each: each.contrast.id):
        by_image.setdefault(item.contrast.image, item)
    return {item.contrast.id: item for item in by_image.values()}


def _hashed(
    workspace: Workspace,
    labels: RecordLabels,
    settings: BenchmarkSettings,
    pairs: Mapping[str, tuple[LabelledItem, AnnotatedImage]],
    progress: Progress,
) -> list[Twin]:
    """Return the twins by id, without those whose second image is unreadable, changed, exported or a copy."""
    paths = {each: labels.locate(image.source, image.file_name) for each, (_, image) in pairs.items()}
    hashes = FileHashes(workspace.cache).hash_all(
        [path for path in paths.values() if path is not None],
        progress=lambda done, total: progress("hashing images", done, total),
    )
    taken = Counter(denial.contrast.image for denial, _ in pairs.values())
    twins = []
    for each, (denial, image) in sorted(pairs.items()):
        path = paths[each]
        sha256 = hashes.hashes.get(path) if path is not None else None
        if path is None or sha256 is None or image.sha256 not in (None, sha256) or taken[sha256]:
            continue
        exports = labels.exported.of(image.source, image.key, sha256)
        if exports and not settings.with_exported:
            continue
        taken[sha256] += 1
        twins.append(Twin(denial, image, path, sha256, exports))
    return twins


def write_twins(
    workspace: Workspace, plan: TwinPlan, progress: Progress = lambda step, done, total: None
) -> FrozenBenchmark:
    """Freeze the twins of a plan in benchmarks/NAME.

    Raises:
        BenchError: the plan has no twins, the name was taken, or an image changed, since the plan was made.
        OSError: a file cannot be read or written.
    """
    if not plan.chosen:
        raise BenchError("nothing is selected")
    images: dict[str, tuple[Path, str]] = {}
    named: dict[str, dict[str, str]] = {}
    rows = []
    for twin in plan.chosen:
        item = twin.denial.label.item
        having, lacking = image_name(twin.sha256, twin.path), image_name(twin.denial.contrast.image, twin.denial.path)
        images |= {having: (twin.path, twin.sha256), lacking: (twin.denial.path, twin.denial.contrast.image)}
        named[having] = {"source": twin.image.source, "key": twin.image.key}
        named[lacking] = {"source": item.source, "key": item.image_key}
        texts = [twin.denial.contrast.affirmed, twin.denial.contrast.negated]
        rows.append({"id": twin.denial.contrast.id, "images": [having, lacking], "texts": texts})
    settings = plan.settings
    manifest = {
        "kind": KIND,
        **plan.record.manifest(twin.denial for twin in plan.chosen),
        "settings": {
            "votes": settings.votes,
            "items": settings.items,
            "seed": settings.seed,
            "with_exported": settings.with_exported,
        },
        **plan.facts(),
        "images": named,
    }
    return write_frozen(
        workspace.root / BENCHMARKS / plan.name,
        rows,
        images,
        manifest,
        progress=lambda done, total: progress("copying images", done, total),
    )
