"""Makes a benchmark from the record: joins the labels of the record, the images, and the selection of items.

The negated caption of an accepted candidate is true. If a candidate was rejected for the sole reason that the denied
thing is in the image, its affirmed caption is true, which `affirmation` writes by rule. What cannot be used is counted,
so that a dry run shows what is lacking.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from benchmarks.errors import BenchError
from benchmarks.frozen.folder import AFFIRMED, IMAGES, NEGATED, TRUTH, FrozenBenchmark, check_name, write_frozen
from benchmarks.frozen.quotas import Quota
from benchmarks.frozen.selection import Contrast, PlacedContrast, Selection, TooFewItems, items_needed, select
from benchmarks.registry import entries
from curation_db.enums import State
from curation_db.events.event_clock import RecordOrigin, origin_of
from curation_db.exporting.agreed_labels import AgreedLabel, AgreedLabels, read_agreed_labels
from curation_db.exporting.manifest import ManifestError, list_exports, read_items
from curation_db.language.affirmation import affirmed
from curation_db.language.nouns import concept_key
from curation_db.storage.store import open_read_only
from trainers.features.file_hashes import FileHashes
from workbench import version
from workbench.errors import UsageError
from workbench.workspace.layout import Workspace
from workbench.workspace.operations import BENCHMARKS
from workbench.workspace.picture_folders import ListedFolders, PictureFolders
from workbench.workspace.settings import read_settings

_COUNTED: Final = ("cue", "type", "position", "source")
_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2"})

Progress = Callable[[str, int, int], None]


class Omission(StrEnum):
    """Why a decided candidate is not an item; the value is the text for people."""

    TOO_FEW_VOTES = "fewer agreeing people than --votes, or a hasty decision"
    OTHER_REASON = "rejected for another reason than that the denied thing is present"
    NO_AFFIRMATION = "no rule writes its caption without the negation"
    EXPORTED = "its image is in an export, so models were trained on it"
    NO_IMAGE = "its image is not in the image folders"
    CHANGED_IMAGE = "its image file is another one than at the import"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkSettings:
    votes: int = 2
    """Number of people who agree on a label, where no adjudicator decided it."""
    items: int = 1_000
    """Maximum number of items."""
    margin: float = 0.1
    quotas: tuple[Quota, ...] = ()
    seed: int = 0
    with_exported: bool = False
    """Also use images that are in exports of the workspace."""


@dataclass(frozen=True, slots=True)
class LabelledItem:
    """A candidate that can become an item."""

    contrast: Contrast
    label: AgreedLabel
    path: Path
    exports: frozenset[str]
    """Names of the exports with its image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkPlan:
    """A benchmark that can be written, or what is lacking."""

    name: str
    settings: BenchmarkSettings
    event_seq: int
    origin: RecordOrigin
    omitted: Mapping[Omission, int]
    usable: Mapping[str, LabelledItem]
    """By the id of the contrast."""
    selection: Selection | None
    lacking: TooFewItems | None
    """Why there is no selection."""
    chosen: Sequence[LabelledItem] = field(default=())
    """The selected items, by id."""

    @property
    def needed(self) -> int:
        """Number of items that the margin needs."""
        return items_needed(self.settings.margin)

    def labels(self, items: Iterable[LabelledItem]) -> dict[str, int]:
        """Return how many of these items have a true negated and a true affirmed caption."""
        truths = Counter(_truth(item.contrast) for item in items)
        return {truth: truths[truth] for truth in (NEGATED, AFFIRMED)}

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of selected items by value of each cut, the most frequent first."""
        return {cut: frequent(item.contrast.cuts[cut] for item in self.chosen) for cut in _COUNTED}

    def overlaps(self) -> dict[str, int]:
        """Return the number of selected images in each export that has some."""
        return dict(sorted(Counter(name for item in self.chosen for name in item.exports).items()))

    def limits(self) -> list[str]:
        """Return what the benchmark cannot show, one sentence each."""
        alone = sum(not item.label.adjudicated and votes_of(item.label) < 2 for item in self.chosen)
        lines = ["the affirmed captions are written by rule from the negated ones, and people decided about these only"]
        if alone:
            lines.append(
                f"{alone:,} of {len(self.chosen):,} labels are the decision of one person, checked by no other"
            )
        lines += [
            f"the export {name} has {images:,} of its images: models trained on it have seen them"
            for name, images in self.overlaps().items()
        ]
        return lines


def make_plan(
    workspace: Workspace, name: str, settings: BenchmarkSettings, progress: Progress = lambda step, done, total: None
) -> BenchmarkPlan:
    """Select the items of a new benchmark; nothing is written.

    Raises:
        BenchError: the name is taken or is not a name.
        UsageError: it is the name of a known benchmark, or an export cannot be read.
        RecordError: the record cannot be read.
    """
    check_name(workspace.root / BENCHMARKS, name)
    check_free_name(name)
    values = read_settings(workspace.settings)
    with open_read_only(workspace.database) as store, store.read() as connection:
        agreed = read_agreed_labels(connection, settings.votes, values.checks.text_limit)
        origin = origin_of(connection, agreed.event_seq)
    folders = PictureFolders(workspace.root, values.pictures, follow_links=values.follow_links)
    usable, omitted = usable_items(workspace, folders, agreed, settings, progress)
    selection, lacking = None, None
    try:
        selection = select(
            [item.contrast for item in usable.values()],
            items=settings.items,
            margin=settings.margin,
            seed=settings.seed,
            quotas=settings.quotas,
            progress=lambda done, total: progress("balancing", done, total),
        )
    except TooFewItems as error:
        lacking = error
    return BenchmarkPlan(
        name=name,
        settings=settings,
        event_seq=agreed.event_seq,
        origin=origin,
        omitted=omitted,
        usable=usable,
        selection=selection,
        lacking=lacking,
        chosen=[usable[item.contrast.id] for item in selection.items] if selection else (),
    )


def check_free_name(name: str) -> None:
    """Check that no known benchmark has this name.

    Raises:
        UsageError: one has.
    """
    if name in {each for entry in entries().values() for each in (entry.name, entry.folder)}:
        raise UsageError(f"{name} is the name of a known benchmark", hint="choose another name")


def usable_items(
    workspace: Workspace,
    folders: PictureFolders,
    agreed: AgreedLabels,
    settings: BenchmarkSettings,
    progress: Progress,
) -> tuple[dict[str, LabelledItem], dict[Omission, int]]:
    """Return the labels that can become items, by the id of their contrast, and how many cannot, by the reason."""
    omitted = Counter({Omission.TOO_FEW_VOTES: agreed.too_few_votes, Omission.OTHER_REASON: agreed.other_reason})
    exported = ExportedImages(workspace, progress)
    located: list[tuple[AgreedLabel, str, Path]] = []
    locate = ListedFolders(folders).locate
    for label in agreed.labels:
        item = label.item
        if (text := affirmed(item.text, item.concept or "")) is None:
            omitted[Omission.NO_AFFIRMATION] += 1
        elif not settings.with_exported and exported.of(item.source, item.image_key, item.image_sha256):
            omitted[Omission.EXPORTED] += 1
        elif (path := locate(item.source, item.file_name)) is None:
            omitted[Omission.NO_IMAGE] += 1
        else:
            located.append((label, text, path))
    hashed = FileHashes(workspace.cache).hash_all(
        [path for *_, path in located], progress=lambda done, total: progress("hashing images", done, total)
    )
    usable: dict[str, LabelledItem] = {}
    for label, text, path in located:
        sha256 = hashed.hashes.get(path)
        exports = exported.of(label.item.source, label.item.image_key, sha256)
        if sha256 is None:
            omitted[Omission.NO_IMAGE] += 1
        elif label.item.image_sha256 not in (None, sha256):
            omitted[Omission.CHANGED_IMAGE] += 1
        elif exports and not settings.with_exported:
            omitted[Omission.EXPORTED] += 1
        else:
            contrast = _contrast(label, text, sha256)
            usable[contrast.id] = LabelledItem(contrast, label, path, exports)
    return usable, {why: omitted[why] for why in Omission if omitted[why]}


class ExportedImages:
    """The images in the exports of a workspace, by key and by content."""

    def __init__(self, workspace: Workspace, progress: Progress) -> None:
        self._by_key: dict[tuple[str, str], set[str]] = {}
        self._by_content: dict[str, set[str]] = {}
        names = list_exports(workspace.exports)
        for done, name in enumerate(names, 1):
            try:
                for item in read_items(workspace.exports / name):
                    self._by_key.setdefault((item.source, item.image_key), set()).add(name)
                    if item.image_sha256:
                        self._by_content.setdefault(item.image_sha256, set()).add(name)
            except ManifestError as error:
                raise UsageError(
                    f"the export {name} cannot be read, so its images are not known: {error}",
                    hint=f"restore or delete the folder {workspace.exports / name}",
                ) from error
            progress("reading exports", done, len(names))

    def of(self, source: str, key: str, sha256: str | None) -> frozenset[str]:
        """Return the names of the exports with this image."""
        return frozenset(self._by_key.get((source, key), ())).union(self._by_content.get(sha256 or "", ()))


def _contrast(label: AgreedLabel, affirmed_text: str, sha256: str) -> Contrast:
    item = label.item
    cuts = {
        "cue": item.cue or "",
        "type": item.negation_type,
        "position": item.cue_position or "",
        "source": item.source,
        "concept": concept_key(item.concept or ""),
    }
    is_true = item.state == State.ACCEPTED
    return Contrast(f"{item.source}/{item.key}", sha256, item.text, affirmed_text, is_true, cuts)


def write_benchmark(
    workspace: Workspace, plan: BenchmarkPlan, progress: Progress = lambda step, done, total: None
) -> FrozenBenchmark:
    """Freeze the benchmark of a plan in benchmarks/NAME.

    Raises:
        TooFewItems: the plan has no selection.
        BenchError: the name was taken, or an image changed, since the plan was made.
        OSError: a file cannot be read or written.
    """
    if plan.selection is None:
        raise plan.lacking or BenchError("nothing is selected")
    names = {item.contrast.id: image_name(item.contrast.image, item.path) for item in plan.chosen}
    return write_frozen(
        workspace.root / BENCHMARKS / plan.name,
        [_row(placed, names[placed.contrast.id]) for placed in plan.selection.items],
        {names[item.contrast.id]: (item.path, item.contrast.image) for item in plan.chosen},
        _manifest(plan, plan.selection, names),
        progress=lambda done, total: progress("copying images", done, total),
    )


def image_name(sha256: str, path: Path) -> str:
    """Return the name of an image in the folder of a frozen benchmark, which does not depend on its own name."""
    suffix = path.suffix.lower()
    return f"{IMAGES}/{sha256[:32]}{suffix if suffix in _SUFFIXES else ''}"


def _row(placed: PlacedContrast, image: str) -> dict[str, Any]:
    contrast = placed.contrast
    return {
        "id": contrast.id,
        "image": image,
        "captions": list(placed.captions),
        "right": placed.right,
        "slices": {
            TRUTH: _truth(contrast),
            "denied_by": contrast.cuts["cue"],
            "type": contrast.cuts["type"],
            "source": contrast.cuts["source"],
        },
    }


def _manifest(plan: BenchmarkPlan, selection: Selection, names: Mapping[str, str]) -> dict[str, Any]:
    settings = plan.settings
    return {
        "tool_version": version(),
        "event_seq": plan.event_seq,
        "event_uid": plan.origin.event_uid,
        "lineage": plan.origin.lineage,
        "settings": {
            "votes": settings.votes,
            "items": settings.items,
            "margin": settings.margin,
            "quotas": [str(quota) for quota in settings.quotas],
            "seed": settings.seed,
            "with_exported": settings.with_exported,
        },
        **facts(plan, selection),
        "images": {
            names[item.contrast.id]: {"source": item.label.item.source, "key": item.label.item.image_key}
            for item in plan.chosen
        },
        "decisions": {
            item.contrast.id: {
                "votes": votes_of(item.label),
                "adjudicated": item.label.adjudicated,
                "events": list(item.label.events),
            }
            for item in plan.chosen
        },
    }


def facts(plan: BenchmarkPlan, selection: Selection) -> dict[str, Any]:
    """Return the figures of a benchmark, as the manifest and `--json` have them."""
    return {
        "item_count": len(selection.items),
        "labels": {
            **plan.labels(plan.chosen),
            "people": len({name for item in plan.chosen for name in item.label.item.deciders}),
            "adjudicated": sum(item.label.adjudicated for item in plan.chosen),
        },
        "counts": plan.counts(),
        "baselines": {
            name: {"share": share.estimate, "low": share.low, "high": share.high}
            for name, share in selection.baselines.items()
        },
        "removed_for_baselines": selection.removed,
        "power": [{"discordant": share, "difference": found} for share, found in selection.power.items()],
        "limits": plan.limits(),
    }


def _truth(contrast: Contrast) -> str:
    return NEGATED if contrast.negated_is_true else AFFIRMED


def votes_of(label: AgreedLabel) -> int:
    """Return how many people agree on the label."""
    return label.item.accepts if label.item.state == State.ACCEPTED else label.item.rejects


def frequent(values: Iterable[str]) -> dict[str, int]:
    """Count the values, the most frequent first."""
    return dict(sorted(Counter(values).items(), key=lambda each: (-each[1], each[0])))
