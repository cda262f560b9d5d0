"""One pass over all images before the first step: it encodes the usable ones and lists all others.

No later step reads an image, so a training cannot fail at a missing file after hours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.data.dataset import FrozenSet, PoolImage
from trainers.errors import TrainerError
from trainers.features.feature_store import damage_line
from trainers.features.image_decoding import Decoding, Trait
from trainers.features.image_features import ImageFeatures
from trainers.interrupts import ImageProgress, Stop
from trainers.run_files import EXCLUDED_IMAGES, WARNING, RunWriter, Work
from trainers.settings import TrainSettings

_SHOWN = {
    Trait.DEEP_GREY: "with more than 8 bits per pixel, scaled to 8 bits",
    Trait.TRANSPARENT: "with transparent pixels, used with grey squares behind them",
    Trait.ROTATED: "with an EXIF orientation, used upright",
    Trait.CUT_OFF: "with a file that is cut off, used up to the cut",
    Trait.HOLE: "with a run of zero bytes in the JPEG data, used although they look damaged",
}
"""How the images with a trait are used, for messages."""
_PUBLISHED = _SHOWN | {
    Trait.DEEP_GREY: "with more than 8 bits per pixel, in which most values become white",
    Trait.TRANSPARENT: "with transparent pixels, used as opaque",
    Trait.ROTATED: "with an EXIF orientation, which is ignored",
}


@dataclass(frozen=True, slots=True)
class UsableImages:
    hashes: Mapping[Path, str]
    """sha256 of the images that can be used, by path; their features are in the store."""
    summary: dict[str, Any]
    """Counts for done.json."""


def check_images(
    export: FrozenSet,
    pool: Sequence[PoolImage],
    store: ImageFeatures,
    settings: TrainSettings,
    writer: RunWriter,
    stop: Stop,
) -> UsableImages:
    """Encode all images of an export and a replay pool; write the unusable ones to excluded_images.jsonl.

    Raises:
        TrainerError: more than `settings.max_unusable` of the export's or the pool's images are unusable.
        Interrupted: `stop` returned True; hashes and features computed so far are saved.
    """
    paths = dict.fromkeys(pair.path for pair in export.pairs)
    pool_paths = dict.fromkeys(image.path for image in pool)
    checked = store.check(
        [*paths, *pool_paths],
        hashing=ImageProgress(Work.READING, writer, stop),
        encoding=ImageProgress(Work.ENCODING, writer, stop),
    )
    reasons = dict.fromkeys(export.missing_images, "missing")
    reasons |= {str(path): problem.message for path, problem in checked.problems.items()}
    _write_list(writer.folder / EXCLUDED_IMAGES, reasons)
    if store.damaged:
        writer.log(f"{WARNING}{damage_line(store.damaged)}")
    for trait, those in checked.traits.items():
        meaning = (_PUBLISHED if Decoding(settings.decode) is Decoding.PUBLISHED else _SHOWN)[trait]
        writer.log(f"{WARNING}{_number(len(those))} {meaning}; the first is {those[0]}")
    missing, unreadable = len(export.missing_images), len(checked.problems)
    if reasons:
        counts = f"{missing:,} missing, {unreadable:,} unreadable"
        first = next(iter(reasons.items()))
        line = f"{_number(len(reasons))} left out ({counts}), listed in {EXCLUDED_IMAGES}; the first is {first[0]}"
        writer.log(f"{WARNING}{line}: {first[1]}")
    of_export = missing + sum(path in checked.problems for path in paths)
    _refuse_many("the export", of_export, missing + len(paths), settings, writer)
    of_pool = sum(path in checked.problems for path in pool_paths)
    _refuse_many("the replay pool", of_pool, len(pool_paths), settings, writer)
    traits = {trait.value: {"images": len(those), "first": str(those[0])} for trait, those in checked.traits.items()}
    excluded = {"missing": missing, "unreadable": unreadable}
    return UsableImages(checked.hashes, {"images_excluded": excluded, "image_traits": traits})


def _number(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"


def _write_list(path: Path, reasons: Mapping[str, str]) -> None:
    if not reasons:
        path.unlink(missing_ok=True)  # of an earlier attempt
        return
    lines = (json.dumps({"image": image, "reason": reason}) + "\n" for image, reason in reasons.items())
    path.write_text("".join(lines), encoding="utf-8")


def _refuse_many(what: str, unusable: int, of: int, settings: TrainSettings, writer: RunWriter) -> None:
    if not unusable or unusable <= settings.max_unusable * of:
        return
    share = f"{unusable:,} of the {of:,} images of {what} are missing or unreadable ({unusable / of:.1%})"
    hint = f"see {writer.folder / EXCLUDED_IMAGES}; to train without them, set a larger max_unusable"
    raise TrainerError(f"{share}, more than max_unusable = {settings.max_unusable}", hint=hint)
