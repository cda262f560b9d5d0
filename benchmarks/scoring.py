"""Computes the similarities of a task's texts and images under a model.

Each image is opened once and cropped as in the published code: in the file's mode and orientation (EXIF is not
applied), with rounded corners, black outside the image, then converted to RGB. Features are computed in batches, each
distinct input once, and cached. The model only has to implement `TextImageEncoder`; torch is not imported here.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, runtime_checkable

import numpy as np
from PIL import Image

from benchmarks.errors import BenchError
from benchmarks.schema import TextFacts
from benchmarks.task import BenchItem, Task
from benchmarks.tasks.regions import pixels
from benchmarks.text_limit import text_facts
from trainers.errors import TrainerError
from trainers.features.feature_store import FeatureStore, damage_line, feature_key
from trainers.features.feature_store import Floats as Features
from trainers.features.file_hashes import FileHashes

if TYPE_CHECKING:
    import torch

Input = TypeVar("Input")
Output = TypeVar("Output")
Pixels = tuple[int, int, int, int]
"""Left, top, right, bottom of a crop."""
Crop = tuple[str, Pixels | None]
"""File name and region of the image; None: the whole image."""
Progress = Callable[[str, int, int], None]
"""Called with the stage ("unpacked", "crops", "pictures" or "texts"), the number done, and the total."""

CROPPING_VERSION: Final = "1"
"""Incremented if the same image and box give other pixels."""

_BATCH: Final = 64
_BLOCK: Final = 256
_WORKERS: Final = 2
_PREFETCH: Final = 8
"""Images that are decoded while the model is busy; limits memory."""
_NON_NUMERIC_KEYS: Final = frozenset(
    {"name", "model_hash", "visual_hash", "parameters", "context_length", "routed", "correction"}
)
"""Keys of a description that do not affect features, or that the hash covers."""
_NORM_TOLERANCE: Final = 1e-2
"""Tolerance of feature norms: bfloat16 rounds to 3 digits; features without normalisation differ far more."""


class TextImageEncoder(Protocol):
    """Interface of a model for benchmarks; implemented in `trainers.models.clip_model`."""

    @property
    def model_hash(self) -> str:
        """Hash of all weights and the config."""

    @property
    def visual_hash(self) -> str:
        """Hash of the image tower's weights, config and preprocessing; text tuning does not change it."""

    def encode_images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """Return features of shape (N, D), float32, each row of length 1."""

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Return features of shape (N, D), float32, each row of length 1."""

    def describe(self) -> Mapping[str, Any]:
        """Return what identifies the model in a result: arch, activation, precision, device and more."""


@runtime_checkable
class RoutedEncoder(TextImageEncoder, Protocol):
    """A model that encodes each text with one of two parts; implemented in `trainers.models.routed`."""

    @property
    def base(self) -> TextImageEncoder:
        """The part for texts that negate nothing."""

    @property
    def tuned(self) -> TextImageEncoder:
        """The part for the other texts."""

    def routes(self, texts: Sequence[str]) -> list[bool]:
        """Return for each text whether `tuned` encodes it."""


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Hashes and description of a model; computed once, because hashing the weights takes seconds."""

    model_hash: str
    visual_hash: str
    description: Mapping[str, Any]
    """The model's description, with preprocessing, vision config and device if the model has them."""

    @classmethod
    def of(cls, model: TextImageEncoder) -> ModelIdentity:
        """Return the identity of `model`, with attributes that affect features and are not in its description."""
        described = dict(model.describe())
        config = getattr(model, "config", {})
        extra = {
            "preprocess": getattr(model, "preprocess_config", None),
            "vision": config.get("vision_cfg") if isinstance(config, Mapping) else None,
            "device": str(getattr(model, "device", "cpu")),
        }
        described = {**{key: value for key, value in extra.items() if value is not None}, **described}
        return cls(
            str(described.get("model_hash") or model.model_hash),
            str(described.get("visual_hash") or model.visual_hash),
            described,
        )


@dataclass(frozen=True, slots=True)
class Scores:
    """The similarities of a task under a model."""

    identity: ModelIdentity
    of_options: tuple[tuple[float, ...], ...]
    """Cosine similarities (float32) of each item's options, in the file's order; for twins, of the first image with
    both texts, then of the second; empty for retrieval."""
    queries: Features
    """The items' texts, or images in caption retrieval and classification: shape (items, D), without gallery (0, D)."""
    gallery: Features
    """Images, captions in caption retrieval, classes in classification: shape (G, D), without gallery (0, D)."""
    image_hashes: Mapping[str, str]
    """SHA-256 of each image, by file name."""
    texts: TextFacts | None
    """How many texts the model cuts; None: not known."""

    @property
    def pictures_sha256(self) -> str:
        """Hash of names and content of the images."""
        return hash_of_images(self.image_hashes)

    def of_gallery(self) -> Iterator[Features]:
        """Yield for each item of a task with a gallery its similarities to all of it, shape (G,), in blocks."""
        gallery = self.gallery.astype(np.float64).T
        for start in range(0, len(self.queries), _BLOCK):
            yield from (self.queries[start : start + _BLOCK] @ gallery).astype(np.float32)


@dataclass(frozen=True, slots=True)
class EncodedImages:
    """The features of a task's images, which all models with one image tower share."""

    places: Mapping[Crop, int]
    """The row of each crop."""
    rows: Features
    """Shape (crops, D)."""
    hashes: Mapping[str, str]
    """SHA-256 of each image, by file name."""
    damaged: int = 0
    """Rows in the cache that were damaged."""


def encode_task_images(
    model: TextImageEncoder,
    task: Task,
    *,
    identity: ModelIdentity | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    batch: int = _BATCH,
) -> EncodedImages:
    """Compute the features of all images of `task`.

    Args:
        identity: That of `model`; None: it is computed.
        cache: Folder of cached features; None: no cache.

    Raises:
        BenchError: Images are missing or damaged, or the model's features have a wrong shape or length.
    """
    report = progress or (lambda stage, done, total: None)
    task.check_pictures()
    if task.unpack and not task.pictures.exists():
        task.unpack(partial(report, "unpacked"))
    try:
        hashes = FileHashes(cache).of([task.pictures / name for name in task.images])
    except TrainerError as error:
        raise BenchError(error.message) from error
    files = dict(zip(task.images, hashes, strict=True))
    crops = list(dict.fromkeys(_crops_of(task)))
    store = FeatureStore(cache, image_feature_key(identity or ModelIdentity.of(model)))
    rows = _image_features(model, task, crops, files, store, report, batch)
    return EncodedImages({crop: row for row, crop in enumerate(crops)}, rows, files, store.damaged)


def score(
    model: TextImageEncoder,
    task: Task,
    *,
    images: EncodedImages | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    warn: Callable[[str], None] = lambda line: None,
    batch: int = _BATCH,
) -> Scores:
    """Compute the similarities of all texts and options of `task` under `model`.

    Args:
        images: Features of the task's images under the model's image tower; None: they are computed.
        cache: Folder of cached features; None: no cache.
        warn: Called with a line where the cache is damaged.

    Raises:
        BenchError: Images are missing or damaged, or the model's features have a wrong shape or length.
    """
    report = progress or (lambda stage, done, total: None)
    identity = ModelIdentity.of(model)
    if images is None:
        images = encode_task_images(model, task, identity=identity, cache=cache, progress=progress, batch=batch)
    of_crop, place, hashes = images.rows, images.places, images.hashes
    texts = _texts_of(task)
    rows, damaged_texts = text_features(model, identity, texts, cache, partial(report, "texts"), batch)
    if damaged := images.damaged + damaged_texts:
        warn(damage_line(damaged))
    row_of = {text: row for row, text in enumerate(texts)}
    read = text_facts(model, texts)
    if task.ranks_images:
        return Scores(identity, (), rows[[row_of[item.text] for item in task.items]], of_crop, hashes, read)
    if task.gallery:
        images_of_items = of_crop[[place[item.image, None] for item in task.items]]
        if task.kind == "classification":
            classes = _mean_of_prompts(rows, [[row_of[text] for text in texts] for texts in task.prompts])
        else:
            classes = rows[[row_of[text] for text in task.gallery]]
        return Scores(identity, (), images_of_items, classes, hashes, read)
    options = tuple(
        _cosines(
            of_crop[[place[crop] for crop in _crops_of_item(item)]],
            rows[[row_of[text] for text in _texts_of_item(item)]],
        )
        for item in task.items
    )
    return Scores(identity, options, rows[:0], of_crop[:0], hashes, read)


def _mean_of_prompts(rows: Features, places: Sequence[Sequence[int]]) -> Features:
    """Return the mean of the unit embeddings of each class's prompts, scaled to length 1 (Radford et al., 2021, 3.1.4).

    Args:
        rows: Shape (texts, D).
        places: The rows of each class.  -> (classes, D) float32
    """
    means = np.stack([rows[list(of_class)].astype(np.float64).mean(axis=0) for of_class in places])
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # embeddings that cancel out have no direction: NaN
        classes: Features = (means / lengths).astype(np.float32)
    return classes


def hash_of_images(hashes: Mapping[str, str]) -> str:
    """Return the hash of names and content of images.

    Args:
        hashes: SHA-256 of each image, by file name.
    """
    lines = "".join(f"{sha}  {name}\n" for name, sha in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def image_feature_key(identity: ModelIdentity) -> dict[str, object]:
    """Return everything that affects image features, except the crop; the key of the feature cache."""
    return feature_key("image", identity.visual_hash, {"cutting": CROPPING_VERSION, **_numeric_description(identity)})


def text_feature_key(identity: ModelIdentity) -> dict[str, object]:
    """Return everything that affects text features, except the text; the key of the feature cache."""
    return feature_key("text", identity.model_hash, _numeric_description(identity))


def _numeric_description(identity: ModelIdentity) -> dict[str, object]:
    return {key: value for key, value in identity.description.items() if key not in _NON_NUMERIC_KEYS}


def _crops_of(task: Task) -> Iterator[Crop]:
    if task.ranks_images:
        yield from ((name, None) for name in task.gallery)
        return
    # sorted by image, so that each image is opened once
    every = (crop for item in task.items for crop in _crops_of_item(item))
    yield from sorted(every, key=lambda crop: (crop[0], crop[1] or ()))


def _crops_of_item(item: BenchItem) -> list[Crop]:
    """Return the regions of a regions item, in the file's order; else the one image or both twins, or their regions."""
    if item.options:
        return [(item.image, pixels(box)) for box in item.options]
    crops = [(item.image, item.box), *([item.twin] if item.twin else [])]
    return [(image, None if box is None else pixels(box)) for image, box in crops]


def _texts_of(task: Task) -> list[str]:
    """Return the distinct texts of a task, in order of first use."""
    if task.kind == "caption_retrieval":
        return list(dict.fromkeys(task.gallery))
    if task.kind == "classification":
        return list(dict.fromkeys(text for texts in task.prompts for text in texts))
    return list(dict.fromkeys(text for item in task.items for text in _texts_of_item(item)))


def _texts_of_item(item: BenchItem) -> tuple[str, ...]:
    """Return the captions of a captions item, in the file's order; else the one text."""
    return item.captions or (item.text,)


def _image_features(
    model: TextImageEncoder,
    task: Task,
    crops: Sequence[Crop],
    files: Mapping[str, str],
    store: FeatureStore,
    report: Progress,
    batch: int,
) -> Features:
    """Return the features of `crops`, shape (len(crops), D)."""
    keys = [_key(files[name], str(part)) for name, part in crops]
    stage = "crops" if task.kind == "regions" else "pictures"

    def compute(missing: Sequence[str]) -> Iterator[tuple[Sequence[str], Features]]:
        left = set(missing)
        by_name: dict[str, dict[str, Pixels | None]] = {}
        for key, (name, part) in zip(keys, crops, strict=True):
            if key in left:
                left.remove(key)
                by_name.setdefault(name, {})[key] = part
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="crop") as pool:
            cropped = _prefetched(pool, lambda entry: _crop_image(task, *entry), by_name.items())
            inputs = (pair for group in cropped for pair in group)
            yield from encoded_batches(inputs, model.encode_images, keys, missing, partial(report, stage), batch)

    return store.rows(keys, compute, progress=lambda done, of: report(stage, 0, len(keys)))


def text_features(
    model: TextImageEncoder,
    identity: ModelIdentity,
    texts: Sequence[str],
    cache: Path | None,
    report: Callable[[int, int], None],
    batch: int = _BATCH,
) -> tuple[Features, int]:
    """Return the features of distinct texts, shape (texts, D), and the number of damaged rows in the cache.

    A routed model has the features of its parts, and shares their cache. The last bits of a feature depend on its
    batch, so the base encodes all texts, as in an evaluation of the base alone.
    """
    if isinstance(model, RoutedEncoder):
        rows, damaged = text_features(model.base, ModelIdentity.of(model.base), texts, cache, report, batch)
        negated = np.flatnonzero(model.routes(texts))
        if len(negated):
            tuned, of_tuned = model.tuned, ModelIdentity.of(model.tuned)
            some = [texts[int(row)] for row in negated]
            rows[negated], more = text_features(tuned, of_tuned, some, cache, report, batch)
            damaged += more
        return rows, damaged
    by_key = {_key("text", text): text for text in texts}
    keys = list(by_key)
    store = FeatureStore(cache, text_feature_key(identity))

    def compute(missing: Sequence[str]) -> Iterator[tuple[Sequence[str], Features]]:
        # A batch is encoded up to the longest of its texts, so texts of similar length are encoded together.
        inputs = ((key, by_key[key]) for key in sorted(missing, key=lambda key: len(by_key[key])))
        yield from encoded_batches(inputs, model.encode_texts, keys, missing, report, batch)

    rows = store.rows(keys, compute, progress=lambda done, of: report(0, len(keys)))
    return rows, store.damaged


def encoded_batches(
    inputs: Iterable[tuple[str, Input]],
    encode: Callable[[Sequence[Input]], torch.Tensor],
    keys: Sequence[str],
    missing: Sequence[str],
    report: Callable[[int, int], None],
    batch: int = _BATCH,
) -> Iterator[tuple[Sequence[str], Features]]:
    """Yield keys and features of `inputs` in batches; report how many of `keys` have features."""
    absent = set(missing)
    left = Counter(key for key in keys if key in absent)
    done = len(keys) - left.total()
    report(done, len(keys))
    for pairs in _batches(inputs, batch):
        batch_keys = [key for key, _ in pairs]
        yield batch_keys, _checked(encode([value for _, value in pairs]), len(pairs))
        done += sum(left[key] for key in batch_keys)
        report(done, len(keys))


def _checked(encoded: torch.Tensor, count: int) -> Features:
    """Return the features of `count` inputs as float32 rows, checked; the protocol handles NaN."""
    rows: Features = np.ascontiguousarray(encoded.detach().cpu().float().numpy())
    if rows.ndim != 2 or len(rows) != count:
        raise BenchError(f"the model returned features of shape {rows.shape} for {count} inputs")
    norms = np.linalg.norm(rows, axis=1)
    off = np.abs(norms - 1) > _NORM_TOLERANCE  # False for NaN
    if off.any():
        raise BenchError(f"the model's features are not normalised: length {norms[off][0]:.4g} instead of 1")
    return rows


def _cosines(images: Features, texts: Features) -> tuple[float, ...]:
    """Return the cosines of each image with each text, image by image.

    They are summed in double precision, so that equal features give equal values, and rounded to float32.

    Args:
        images: Shape (N, D).
        texts: Shape (M, D).
    """
    products = images.astype(np.float64)[:, None] * texts[None]
    return tuple(float(value) for value in products.sum(axis=2).astype(np.float32).reshape(-1))


def _crop_image(task: Task, name: str, parts: Mapping[str, Pixels | None]) -> list[tuple[str, Image.Image]]:
    path = task.pictures / name
    try:
        with Image.open(path) as image:
            return [(key, _crop(image, part)) for key, part in parts.items()]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        hint = f"fetch it again with: {task.fetch_command}" if task.fetch_command else "replace it by a valid copy"
        raise BenchError(f"{path} cannot be read as an image: {error}", hint=hint) from error


def _crop(image: Image.Image, part: Pixels | None) -> Image.Image:
    # cropped before the colour conversion, as published; for grey images the order does not change the pixels
    return (image if part is None else image.crop(part)).convert("RGB")


def _prefetched(pool: ThreadPoolExecutor, make: Callable[[Input], Output], inputs: Iterable[Input]) -> Iterator[Output]:
    """Yield `make` of each input in order; compute at most `_PREFETCH` results in advance."""
    waiting: deque[Future[Output]] = deque()
    for given in inputs:
        waiting.append(pool.submit(make, given))
        if len(waiting) >= _PREFETCH:
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
