"""Two ways from a phrase to a mask, with the masks cached as they are computed.

* clipseg: CLIPSeg with the text tower of the evaluated model; a pixel belongs to the mask if its probability is above
  a threshold.
* proposals: a model that segments everything proposes masks; the evaluated model compares the phrase with each masked
  part of the image, and the most similar one is chosen. Nothing is trained.

The models are arguments; torch is not imported here.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.errors import BenchError
from benchmarks.runner import model_facts
from benchmarks.schema import ModelFacts, TextFacts
from benchmarks.scoring import (
    ModelIdentity,
    TextImageEncoder,
    encoded_batches,
    image_feature_key,
    text_features,
)
from benchmarks.segmentation.choices import Route
from benchmarks.segmentation.line_store import LineStore
from benchmarks.segmentation.masks import Mask, Size, mask_from_text, mask_text
from benchmarks.text_limit import text_facts
from trainers.features.feature_store import FeatureStore, package_versions
from trainers.features.feature_store import Floats as Features

if TYPE_CHECKING:
    from trainers.models.clip_model import ClipModel
    from trainers.segmentation.clipseg import ClipSeg
    from trainers.segmentation.mask_proposals import MaskProposer

CODE: Final = 1
"""Version of the code from image and phrase to mask; raised when it changes."""
THRESHOLD: Final = 0.5
"""Probability above which a pixel belongs to CLIPSeg's mask."""
MARGIN: Final = 0.1
"""Width around the box of a proposal that its crop includes, as a share of the box."""

Progress = Callable[[str, int, int], None]
"""Called with the stage, the number done, and the total."""


@dataclass(frozen=True, slots=True)
class Request:
    """A phrase about an image file."""

    path: Path
    image_sha256: str
    size: Size
    text: str

    @property
    def id(self) -> str:
        """Hash of the image and the phrase; the key of caches."""
        return _digest(self.image_sha256, self.text)


@dataclass(frozen=True, slots=True)
class Prediction:
    """A predicted mask."""

    rle: str
    """COCO's text of its run lengths."""
    nan: bool = False
    """Whether a score was NaN."""
    tie: bool = False
    """Whether another proposal, with another mask, is as similar; then this is the first one."""

    def mask(self, size: Size) -> Mask:
        """Return the mask (H, W).

        Raises:
            ValueError: The run lengths do not fit the size.
        """
        return mask_from_text(self.rle, size)


class Segmenter(Protocol):
    """Predicts masks with one CLIP model."""

    route: Route

    @property
    def name(self) -> str:
        """Folder or name of the model that is no CLIP model."""

    @property
    def warnings(self) -> Sequence[str]:
        """Why the masks may mean nothing; one line each."""

    def settings(self) -> Mapping[str, Any]:
        """Return everything but the CLIP model that the masks depend on; a part of the data set's hash."""

    def evaluated_model(self, label: str | None) -> ModelFacts:
        """Return the facts of the evaluated CLIP model."""

    def text_facts(self, texts: Sequence[str]) -> TextFacts | None:
        """Return how many texts the model cuts; None: not known."""

    def predict(self, requests: Sequence[Request], cache: Path | None, report: Progress) -> list[Prediction]:
        """Return a mask for each request; those in the cache are not computed again.

        Raises:
            BenchError: An image cannot be read.
        """


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def open_image(path: Path) -> Image.Image:
    """Return the image at `path` as RGB, in the orientation of the file, as the polygons are.

    Raises:
        BenchError: It cannot be read.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BenchError(f"{path} cannot be read as an image: {error}", hint="replace it by a valid copy") from error


class ClipSegSegmenter:
    """CLIPSeg with the text tower of `clip`; None: with its own."""

    route = Route.CLIPSEG

    def __init__(self, clipseg: ClipSeg, clip: ClipModel | None, *, threshold: float = THRESHOLD) -> None:
        self._clipseg, self._clip, self._threshold = clipseg, clip, threshold
        self._identity = None if clip is None else ModelIdentity.of(clip)

    @property
    def name(self) -> str:
        return self._clipseg.name

    @property
    def warnings(self) -> Sequence[str]:
        return [] if self._clip is None else self._clipseg.doubts(self._clip)

    def settings(self) -> Mapping[str, Any]:
        return {
            "route": str(self.route),
            "clipseg": self._clipseg.base_hash,
            "threshold": self._threshold,
            "code": CODE,
        }

    def evaluated_model(self, label: str | None) -> ModelFacts:
        if self._identity is not None:
            facts = model_facts(self._identity, label)
            return {**facts, "normalisation": "text vectors as the tower returns them"}
        return {
            "name": label or "CLIPSeg's own",
            "hash": self._clipseg.text_hash,
            "visual_hash": self._clipseg.base_hash,
            "arch": "CLIPSeg",
            "activation": str(self._clipseg.model.config.text_config.hidden_act).replace("_", ""),
            "precision": "fp32",
            "device": str(self._clipseg.device),
            "normalisation": "text vectors as the tower returns them",
            "details": {"name": self._clipseg.name},
        }

    def text_facts(self, texts: Sequence[str]) -> TextFacts | None:
        return None if self._clip is None else text_facts(self._clip, texts)

    def predict(self, requests: Sequence[Request], cache: Path | None, report: Progress) -> list[Prediction]:
        by_id = {request.id: request for request in requests}
        model = self._clipseg.text_hash if self._identity is None else self._identity.model_hash
        key = {
            "kind": "masks",
            **self.settings(),
            "text": model,
            "device": self._clipseg.device.type,
            **package_versions("transformers"),
        }
        store = LineStore(cache, key)
        ids = list(by_id)
        known = store.values(
            ids,
            lambda missing: self._compute([by_id[id_] for id_ in missing], partial(report, "masks"), len(ids)),
            progress=lambda done, total: report("masks", 0, len(ids)),
        )
        return [_prediction(known[request.id]) for request in requests]

    def _compute(
        self, requests: Sequence[Request], report: Callable[[int, int], None], total: int
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the values of the phrases of one image after the other."""
        texts = list(dict.fromkeys(request.text for request in requests))
        if self._clip is None:
            vectors = self._clipseg.encode_texts_with_own_tower(texts)
        else:
            vectors = self._clipseg.encode_texts(self._clip, texts)
        row_of = {text: row for row, text in enumerate(texts)}
        done = total - len(requests)
        report(done, total)
        for group in _by_image(requests):
            logits = self._clipseg.logits(open_image(group[0].path), vectors[[row_of[each.text] for each in group]])
            yield {each.id: self._value(row.numpy()) for each, row in zip(group, logits, strict=True)}
            done += len(group)
            report(done, total)

    def _value(self, logits: NDArray[np.float32]) -> dict[str, Any]:
        edge = math.log(self._threshold / (1 - self._threshold))
        with np.errstate(invalid="ignore"):
            mask = logits > edge  # False for NaN
        return {"rle": mask_text(mask), "nan": bool(np.isnan(logits).any())}


class ProposalSegmenter:
    """The proposal of `proposer` whose masked part of the image is most similar to the phrase under `clip`."""

    route = Route.PROPOSALS

    def __init__(self, proposer: MaskProposer, clip: TextImageEncoder) -> None:
        self._proposer, self._clip = proposer, clip
        self._identity = ModelIdentity.of(clip)

    @property
    def name(self) -> str:
        return self._proposer.name

    @property
    def warnings(self) -> Sequence[str]:
        return []

    def settings(self) -> Mapping[str, Any]:
        return {"route": str(self.route), **self._proposer.describe(), "margin": MARGIN, "code": CODE}

    def evaluated_model(self, label: str | None) -> ModelFacts:
        return model_facts(self._identity, label)

    def text_facts(self, texts: Sequence[str]) -> TextFacts | None:
        return text_facts(self._clip, texts)

    def predict(self, requests: Sequence[Request], cache: Path | None, report: Progress) -> list[Prediction]:
        images = {request.image_sha256: request for request in requests}
        proposals = self._proposals(images, cache, report)
        crops = {_digest(sha, rle): (request, rle) for sha, request in images.items() for rle in proposals.get(sha, ())}
        features = self._crop_features(crops, cache, report)
        texts = list(dict.fromkeys(request.text for request in requests))
        vectors, _ = text_features(self._clip, self._identity, texts, cache, partial(report, "texts"))
        row_of = {text: row for row, text in enumerate(texts)}
        crop_of = {id_: row for row, id_ in enumerate(crops)}
        return [
            _chosen(
                request,
                rles := proposals[request.image_sha256],
                features[[crop_of[_digest(request.image_sha256, rle)] for rle in rles]],
                vectors[row_of[request.text]],
            )
            for request in requests
        ]

    def _proposals(
        self, images: Mapping[str, Request], cache: Path | None, report: Progress
    ) -> dict[str, Sequence[str]]:
        """Return the distinct proposals of each image, as COCO's text, the best first."""
        key = {"kind": "proposals", **self._proposer.describe(), "code": CODE, **package_versions("transformers")}

        def compute(missing: Sequence[str]) -> Iterator[Mapping[str, Any]]:
            for place, sha in enumerate(missing):
                report("proposals", len(images) - len(missing) + place, len(images))
                masks = self._proposer.propose(open_image(images[sha].path))
                yield {sha: list(dict.fromkeys(mask_text(mask) for mask in masks))}
            report("proposals", len(images), len(images))

        store = LineStore(cache, key)
        waiting = partial(report, "proposals", 0, len(images))
        return store.values(list(images), compute, progress=lambda done, total: waiting())

    def _crop_features(
        self, crops: Mapping[str, tuple[Request, str]], cache: Path | None, report: Progress
    ) -> Features:
        """Return the features of the masked crops, in their order.  -> (crops, D)"""
        if not crops:
            return np.empty((0, 0), np.float32)
        key = {**image_feature_key(self._identity), "masked": CODE, "margin": MARGIN}
        store = FeatureStore(cache, key)
        ids = list(crops)

        def compute(missing: Sequence[str]) -> Iterator[tuple[Sequence[str], Features]]:
            inputs = self._masked_crops({id_: crops[id_] for id_ in missing})
            yield from encoded_batches(inputs, self._clip.encode_images, ids, missing, partial(report, "crops"))

        return store.rows(ids, compute, progress=lambda done, total: report("crops", 0, len(ids)))

    def _masked_crops(self, crops: Mapping[str, tuple[Request, str]]) -> Iterator[tuple[str, Image.Image]]:
        opened: tuple[Path, Image.Image] | None = None
        for id_, (request, rle) in crops.items():
            if opened is None or opened[0] != request.path:
                opened = request.path, open_image(request.path)
            yield id_, masked_crop(opened[1], mask_from_text(rle, request.size), self._background())

    def _background(self) -> tuple[int, int, int]:
        """Return the mean colour of the model's preprocessing, which is 0 after it."""
        preprocess = self._identity.description.get("preprocess")
        mean = preprocess.get("mean") if isinstance(preprocess, Mapping) else None
        red, green, blue = (round(255 * float(value)) for value in mean or (0.5, 0.5, 0.5))
        return red, green, blue


def masked_crop(image: Image.Image, mask: Mask, background: tuple[int, int, int]) -> Image.Image:
    """Return the part of an image around a mask, with `background` outside the mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    across, down = round(MARGIN * (right - left)), round(MARGIN * (bottom - top))
    box = max(0, left - across), max(0, top - down), min(image.width, right + across), min(image.height, bottom + down)
    masked = Image.composite(image, Image.new("RGB", image.size, background), Image.fromarray(mask))
    return masked.crop(box)


def _chosen(request: Request, rles: Sequence[str], features: Features, text: Features) -> Prediction:
    """Return the most similar proposal; an empty mask if there is none, and the first of tied ones.

    Args:
        features: Shape (len(rles), D).
        text: Shape (D,).
    """
    if not rles:
        return Prediction(mask_text(np.zeros(request.size, dtype=bool)))
    scores = (features.astype(np.float64) @ text.astype(np.float64)).astype(np.float32)
    best = int(scores.argmax())  # the first NaN, if there is one
    return Prediction(rles[best], nan=bool(np.isnan(scores).any()), tie=int((scores == scores[best]).sum()) > 1)


def _by_image(requests: Sequence[Request]) -> Iterator[list[Request]]:
    groups: dict[str, list[Request]] = {}
    for request in requests:
        groups.setdefault(request.image_sha256, []).append(request)
    yield from groups.values()


def _prediction(value: Mapping[str, Any]) -> Prediction:
    return Prediction(str(value["rle"]), nan=bool(value["nan"]))
