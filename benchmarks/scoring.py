"""Puts a task to a model: pictures and texts become features, features become similarities.

Owns what the model sees. Each picture is opened once and cut as the published loop cuts it: in the file's own mode and
orientation (EXIF is not applied), corners rounded, black beyond the edge, then RGB. Features are computed in batches,
each distinct input once, and cached. Needs of a model only what `TextImageEncoder` says; never imports torch itself.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import numpy as np
from PIL import Image

from benchmarks.errors import BenchError
from benchmarks.task import BenchItem, Task
from benchmarks.tasks.regions import pixels
from trainers.errors import TrainerError
from trainers.feature_store import FeatureStore, FileHashes, feature_key
from trainers.feature_store import Floats as Features

if TYPE_CHECKING:
    import torch

Input = TypeVar("Input")
Made = TypeVar("Made")
Pixels = tuple[int, int, int, int]
"""Left, top, right, bottom of a crop."""
Crop = tuple[str, Pixels | None]
"""File name, and the part of the picture; None: all of it."""
Progress = Callable[[str, int, int], None]
"""Told the stage ("crops", "pictures" or "texts"), how many of its inputs have features, and how many there are."""

CUTTING_VERSION: Final = "1"
"""Raised when the same picture and box would give a model other pixels."""

_BATCH: Final = 64
_BLOCK: Final = 256
_WORKERS: Final = 2
_AHEAD: Final = 8
"""Pictures decoded while the model is busy: bounds memory, hides the decoding."""
_SAYS_NOTHING_OF_NUMBERS: Final = frozenset({"name", "model_hash", "visual_hash", "parameters", "context_length"})
"""Of a description: what differs between models whose image features are the same, or is in the hash."""
_NORM_TOLERANCE: Final = 1e-2
"""bfloat16 rounds to 3 digits; what is not normalised at all is off by far more."""


class TextImageEncoder(Protocol):
    """What the benchmarks need of a model; `trainers.clip_models` has the real ones."""

    @property
    def model_hash(self) -> str:
        """Of all weights and the config."""

    @property
    def visual_hash(self) -> str:
        """Of the image tower's weights, config and preprocessing; the same for all that text tuning makes of it."""

    def encode_images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """(N, D) float32, each row of length 1."""

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """(N, D) float32, each row of length 1."""

    def describe(self) -> Mapping[str, Any]:
        """For the result: arch, activation, precision, device and whatever else identifies it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a model is, asked once: hashing its weights takes seconds."""

    model_hash: str
    visual_hash: str
    told: Mapping[str, Any]
    """Its own description, with preprocessing, vision config and device where it has them."""

    @classmethod
    def of(cls, model: TextImageEncoder) -> Identity:
        """Asks `model`; of our own ones also what their description leaves out but features depend on."""
        told = dict(model.describe())
        config = getattr(model, "config", {})
        extra = {
            "preprocess": getattr(model, "preprocess_config", None),
            "vision": config.get("vision_cfg") if isinstance(config, Mapping) else None,
            "device": str(getattr(model, "device", "cpu")),
        }
        told = {**{key: value for key, value in extra.items() if value is not None}, **told}
        return cls(
            str(told.get("model_hash") or model.model_hash), str(told.get("visual_hash") or model.visual_hash), told
        )


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model says to a task."""

    identity: Identity
    of_options: tuple[tuple[float, ...], ...]
    """Cosine similarities in float32 of each item's options, in the file's order; empty for retrieval."""
    texts: Features
    """(items, D)"""
    gallery: Features
    """(pictures, D) for retrieval; else of no rows."""
    pictures_sha256: str
    """Over names and bytes of the pictures that were used."""

    def of_gallery(self) -> Iterator[Features]:
        """For each item of a retrieval task its similarities to all pictures, (pictures,); a block at a time."""
        gallery = self.gallery.astype(np.float64).T
        for start in range(0, len(self.texts), _BLOCK):
            yield from (self.texts[start : start + _BLOCK] @ gallery).astype(np.float32)


def score(
    model: TextImageEncoder,
    task: Task,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
    batch: int = _BATCH,
) -> Scores:
    """The similarities of all texts and options of `task` under `model`; features kept below `cache`.

    Raises:
        BenchError: pictures are missing or damaged, or the model's features are not what they must be.
    """
    task.check_pictures()
    try:
        hashes = FileHashes(cache).of([task.pictures / name for name in task.images])
    except TrainerError as error:
        raise BenchError(error.message) from error
    files = dict(zip(task.images, hashes, strict=True))
    report = progress or (lambda stage, done, total: None)
    identity = Identity.of(model)
    crops = list(dict.fromkeys(_crops_of(task)))
    images = FeatureStore(cache, image_space(identity))
    seen = _image_features(model, task, crops, files, images, report, batch)
    texts, said = _text_features(model, task.items, FeatureStore(cache, text_space(identity)), report, batch)
    of_text = said[[texts[item.text] for item in task.items]]
    pictures = hashlib.sha256("".join(f"{sha}  {name}\n" for name, sha in sorted(files.items())).encode()).hexdigest()
    if task.kind == "retrieval":
        return Scores(identity, (), of_text, seen, pictures)
    place = {crop: row for row, crop in enumerate(crops)}
    options = tuple(_similarities(item, of_text[n], seen, place) for n, item in enumerate(task.items))
    return Scores(identity, options, of_text, seen[:0], pictures)


def image_space(identity: Identity) -> dict[str, object]:
    """Everything but the crop itself that decides about its features (DESIGN section 7)."""
    return feature_key("image", identity.visual_hash, {"cutting": CUTTING_VERSION, **_numerics(identity)})


def text_space(identity: Identity) -> dict[str, object]:
    """Everything but the text that decides about its features."""
    return feature_key("text", identity.model_hash, _numerics(identity))


def _numerics(identity: Identity) -> dict[str, object]:
    return {key: value for key, value in identity.told.items() if key not in _SAYS_NOTHING_OF_NUMBERS}


def _crops_of(task: Task) -> Iterator[Crop]:
    if task.kind == "retrieval":
        yield from ((name, None) for name in task.gallery)
        return
    # By picture, so that each is opened once.
    yield from sorted((item.image, pixels(box)) for item in task.items for box in item.options)


def _image_features(
    model: TextImageEncoder,
    task: Task,
    crops: Sequence[Crop],
    files: Mapping[str, str],
    store: FeatureStore,
    report: Progress,
    batch: int,
) -> Features:
    """Features of `crops`, (len(crops), D)."""
    keys = [_key(files[name], str(part)) for name, part in crops]
    stage = "pictures" if task.kind == "retrieval" else "crops"

    def compute(missing: Sequence[str]) -> Iterator[tuple[Sequence[str], Features]]:
        left = set(missing)
        by_name: dict[str, dict[str, Pixels | None]] = {}
        for key, (name, part) in zip(keys, crops, strict=True):
            if key in left:
                left.remove(key)
                by_name.setdefault(name, {})[key] = part
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="cut") as pool:
            cuts = _ahead(pool, lambda entry: _cut(task, *entry), by_name.items())
            inputs = (pair for group in cuts for pair in group)
            yield from _encoded(inputs, model.encode_images, keys, missing, partial(report, stage), batch)

    return store.rows(keys, compute, progress=lambda done, of: report(stage, 0, len(keys)))


def _text_features(
    model: TextImageEncoder, items: Sequence[BenchItem], store: FeatureStore, report: Progress, batch: int
) -> tuple[dict[str, int], Features]:
    """Place of each distinct text, and their features."""
    texts = list(dict.fromkeys(item.text for item in items))
    by_key = {_key("text", text): text for text in texts}
    keys = list(by_key)

    def compute(missing: Sequence[str]) -> Iterator[tuple[Sequence[str], Features]]:
        inputs = ((key, by_key[key]) for key in missing)
        yield from _encoded(inputs, model.encode_texts, keys, missing, partial(report, "texts"), batch)

    rows = store.rows(keys, compute, progress=lambda done, of: report("texts", 0, len(keys)))
    return {text: row for row, text in enumerate(texts)}, rows


def _encoded(
    inputs: Iterable[tuple[str, Input]],
    encode: Callable[[Sequence[Input]], torch.Tensor],
    keys: Sequence[str],
    missing: Sequence[str],
    report: Callable[[int, int], None],
    batch: int,
) -> Iterator[tuple[Sequence[str], Features]]:
    """Keys and features of `inputs`, a batch at a time; reports how many of `keys` have features."""
    absent = set(missing)
    left = Counter(key for key in keys if key in absent)
    done = len(keys) - left.total()
    report(done, len(keys))
    for pairs in _batches(inputs, batch):
        some = [key for key, _ in pairs]
        yield some, _checked(encode([value for _, value in pairs]), len(pairs))
        done += sum(left[key] for key in some)
        report(done, len(keys))


def _checked(encoded: torch.Tensor, count: int) -> Features:
    """The model's answer to `count` inputs as float32 rows; NaN passes, for the protocol to judge."""
    rows: Features = np.ascontiguousarray(encoded.detach().cpu().float().numpy())
    if rows.ndim != 2 or len(rows) != count:
        raise BenchError(f"the model answered {count} inputs with features of shape {rows.shape}")
    norms = np.linalg.norm(rows, axis=1)
    off = np.abs(norms - 1) > _NORM_TOLERANCE  # False for NaN
    if off.any():
        raise BenchError(f"the model's features are not normalised: a length of {norms[off][0]:.4g} instead of 1")
    return rows


def _similarities(item: BenchItem, text: Features, seen: Features, place: Mapping[Crop, int]) -> tuple[float, ...]:
    """Cosines of one item's options: summed in double precision, so equal features give equal numbers, then float32."""
    rows = seen[[place[item.image, pixels(box)] for box in item.options]].astype(np.float64)
    return tuple(float(value) for value in (rows * text).sum(axis=1).astype(np.float32))


def _cut(task: Task, name: str, parts: Mapping[str, Pixels | None]) -> list[tuple[str, Image.Image]]:
    path = task.pictures / name
    try:
        with Image.open(path) as picture:
            return [(key, _part(picture, part)) for key, part in parts.items()]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        mend = f"fetch it again with: {task.fetch_command}" if task.fetch_command else "put a sound copy in its place"
        raise BenchError(f"{path} cannot be read as a picture: {error}", hint=mend) from error


def _part(picture: Image.Image, part: Pixels | None) -> Image.Image:
    # Cut before the change of colour, as published. Turning grey into RGB first or last gives the same pixels.
    return (picture if part is None else picture.crop(part)).convert("RGB")


def _ahead(pool: ThreadPoolExecutor, make: Callable[[Input], Made], inputs: Iterable[Input]) -> Iterator[Made]:
    """`make` of each input in order, at most `_AHEAD` of them made before they are asked for."""
    waiting: deque[Future[Made]] = deque()
    for given in inputs:
        waiting.append(pool.submit(make, given))
        if len(waiting) >= _AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _batches(inputs: Iterable[Input], size: int) -> Iterator[list[Input]]:
    held: list[Input] = []
    for value in inputs:
        held.append(value)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
