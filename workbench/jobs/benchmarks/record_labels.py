"""The labels of the record that a benchmark can be made of, with their images: what `bench make` reads first.

The negated caption of an accepted candidate is true. If a candidate was rejected for the sole reason that the denied
thing is in the image, its affirmed caption is true, which `affirmation` writes by rule. What cannot be used is counted,
so that a dry run shows what is lacking.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from benchmarks.frozen.folder import IMAGES, check_name
from benchmarks.frozen.quotas import Quota
from benchmarks.frozen.selection import Contrast
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
from workbench.workspace.settings.settings import read_settings

_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2"})

Progress = Callable[[str, int, int], None]
Locate = Callable[[str, str | None], Path | None]
"""Returns the file of an image, by its source and file name."""


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
class RecordLabels:
    """What the record has for a benchmark, at one event."""

    event_seq: int
    origin: RecordOrigin
    usable: Mapping[str, LabelledItem]
    """By the id of the contrast."""
    omitted: Mapping[Omission, int]
    exported: ExportedImages
    locate: Locate

    def manifest(self, chosen: Iterable[LabelledItem]) -> dict[str, Any]:
        """Return where the labels of a benchmark come from, for its manifest."""
        return {
            "tool_version": version(),
            "event_seq": self.event_seq,
            "event_uid": self.origin.event_uid,
            "lineage": self.origin.lineage,
            "decisions": {
                item.contrast.id: {
                    "votes": votes_of(item.label),
                    "adjudicated": item.label.adjudicated,
                    "events": list(item.label.events),
                }
                for item in chosen
            },
        }


def read_labels(workspace: Workspace, name: str, settings: BenchmarkSettings, progress: Progress) -> RecordLabels:
    """Read the labels for a new benchmark; nothing is written.

    Raises:
        BenchError: the name is taken or is not a name.
        UsageError: it is the name of a known benchmark, or an export cannot be read.
        RecordError: the record cannot be read.
    """
    check_name(workspace.root / BENCHMARKS, name)
    _check_name_is_free(name)
    values = read_settings(workspace.settings)
    with open_read_only(workspace.database) as store, store.read() as connection:
        agreed = read_agreed_labels(connection, settings.votes, values.checks.text_limit)
        origin = origin_of(connection, agreed.event_seq)
    locate = ListedFolders(PictureFolders(workspace.root, values.pictures, follow_links=values.follow_links)).locate
    exported = ExportedImages(workspace, progress)
    usable, omitted = _usable(workspace, locate, exported, agreed, settings, progress)
    return RecordLabels(
        event_seq=agreed.event_seq, origin=origin, usable=usable, omitted=omitted, exported=exported, locate=locate
    )


def _check_name_is_free(name: str) -> None:
    """Check that no known benchmark has this name.

    Raises:
        UsageError: one has.
    """
    if name in {each for entry in entries().values() for each in (entry.name, entry.folder)}:
        raise UsageError(f"{name} is the name of a known benchmark", hint="choose another name")


def _usable(
    workspace: Workspace,
    locate: Locate,
    exported: ExportedImages,
    agreed: AgreedLabels,
    settings: BenchmarkSettings,
    progress: Progress,
) -> tuple[dict[str, LabelledItem], dict[Omission, int]]:
    """Return the labels that can become items, by the id of their contrast, and how many cannot, by the reason."""
    omitted = Counter({Omission.TOO_FEW_VOTES: agreed.too_few_votes, Omission.OTHER_REASON: agreed.other_reason})
    located: list[tuple[AgreedLabel, str, Path]] = []
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


def limits_of(chosen: Sequence[LabelledItem], exports: Iterable[frozenset[str]]) -> list[str]:
    """Return what the labels of a benchmark cannot show, one sentence each.

    Args:
        exports: names of the exports with an image of the benchmark, for each of its images.
    """
    alone = sum(not item.label.adjudicated and votes_of(item.label) < 2 for item in chosen)
    lines = ["the affirmed captions are written by rule from the negated ones, and people decided about these only"]
    if alone:
        lines.append(f"{alone:,} of {len(chosen):,} labels are the decision of one person, checked by no other")
    overlaps = Counter(name for names in exports for name in names)
    lines += [
        f"the export {name} has {images:,} of its images: models trained on it have seen them"
        for name, images in sorted(overlaps.items())
    ]
    return lines


def image_name(sha256: str, path: Path) -> str:
    """Return the name of an image in the folder of a frozen benchmark, which does not depend on its own name."""
    suffix = path.suffix.lower()
    return f"{IMAGES}/{sha256[:32]}{suffix if suffix in _SUFFIXES else ''}"


def votes_of(label: AgreedLabel) -> int:
    """Return how many people agree on the label."""
    return label.item.accepts if label.item.state == State.ACCEPTED else label.item.rejects


def frequent(values: Iterable[str]) -> dict[str, int]:
    """Count the values, the most frequent first."""
    return dict(sorted(Counter(values).items(), key=lambda each: (-each[1], each[0])))
