"""Features of one model's image tower: hashes, decoding in a worker pool, encoding, and the cache.

A pass over many images never ends at the first that is unusable: `check` encodes all others and returns the reasons.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from trainers.errors import TrainerError
from trainers.features.cache_files import (
    Progress,
    append,
    end_partial_line,
    ignore_progress,
    is_sha256,
    read_json_lines,
)
from trainers.features.feature_store import FeatureStore, Floats, feature_key
from trainers.features.file_hashes import FileHashes
from trainers.features.image_decoding import Decoding, Trait, decode_image, read_file

if TYPE_CHECKING:
    from trainers.models.clip_model import ClipModel

_BATCH = 64
_NORM_TOLERANCE = 1e-2
"""Tolerance of the length of a feature: bfloat16 rounds to 3 digits, and damaged features differ far more."""


@dataclass(frozen=True, slots=True)
class CheckedImages:
    hashes: Mapping[Path, str]
    """sha256 of the images that have features, by path."""
    problems: Mapping[Path, TrainerError]
    """Why the other images have none."""
    traits: Mapping[Trait, Sequence[Path]]
    """Images with features that are decoded in a special way, or look damaged."""


class ImageFeatures:
    """The features of one model's image tower, in a folder below `cache`."""

    def __init__(self, cache: Path, model: ClipModel, decoding: Decoding = Decoding.AS_SHOWN) -> None:
        self._model, self._decoding = model, decoding
        self._store = FeatureStore(cache, image_key(model, decoding))
        self._traits = self.folder / "traits.jsonl"
        """[sha256, traits] of each image in the store that has some; written before its feature."""
        self._hashes = FileHashes(cache)
        self._identified: dict[Path, str] = {}
        self.computed = 0
        """Number of images encoded since this store was opened."""

    @property
    def folder(self) -> Path:
        """The folder of the model's features."""
        assert self._store.folder is not None
        return self._store.folder

    @property
    def damaged(self) -> int:
        """Number of damaged rows of the cache since this store was opened; they are computed again."""
        return self._store.damaged

    def features(self, paths: Sequence[Path], *, progress: Progress = ignore_progress) -> Floats:
        """Return unit features in the order of `paths`; compute missing ones.  -> (N, D)

        Raises:
            TrainerError: an image cannot be read, or its feature is not a finite unit vector.
        """
        if not paths:
            return np.empty((0, self._model.embed_dim), np.float32)
        if new := [path for path in paths if path not in self._identified]:
            self._identified |= zip(new, self._hashes.of(new), strict=True)
        path_of = {self._identified[path]: path for path in paths}
        problems: dict[str, TrainerError] = {}

        def compute(missing: Sequence[str]) -> Iterator[tuple[Sequence[str], Floats]]:
            for batch in self._encode(missing, path_of, problems, progress):
                for problem in problems.values():
                    raise problem
                yield batch

        return self._store.rows([self._identified[path] for path in paths], compute, progress=progress)

    def check(
        self,
        paths: Iterable[Path],
        *,
        hashing: Progress = ignore_progress,
        encoding: Progress = ignore_progress,
    ) -> CheckedImages:
        """Hash all files and compute all missing features; collect the images for which that fails.

        Raises:
            TrainerError: a feature is not a finite unit vector: the model is broken.
        """
        hashed = self._hashes.hash_all(paths, progress=hashing)
        self._identified |= hashed.hashes
        path_of = {sha: path for path, sha in hashed.hashes.items()}
        problems: dict[str, TrainerError] = {}
        self._store.fill(
            list(path_of),
            lambda missing: self._encode(missing, path_of, problems, encoding),
            progress=encoding,
        )
        unusable = {path: problems[sha] for path, sha in hashed.hashes.items() if sha in problems}
        hashes = {path: sha for path, sha in hashed.hashes.items() if sha not in problems}
        return CheckedImages(hashes, {**hashed.problems, **unusable}, self._by_trait(hashes))

    def _by_trait(self, hashes: Mapping[Path, str]) -> dict[Trait, list[Path]]:
        known = {
            parsed[0]: [Trait(name) for name in parsed[1]]
            for _, parsed in read_json_lines(self._traits)
            if _is_traits(parsed)
        }
        paths_by_trait: dict[Trait, list[Path]] = {}
        for path, sha in hashes.items():
            for trait in known.get(sha, ()):
                paths_by_trait.setdefault(trait, []).append(path)
        return paths_by_trait

    def _encode(
        self,
        ids: Sequence[str],
        path_of: Mapping[str, Path],
        problems: dict[str, TrainerError],
        progress: Progress,
    ) -> Iterator[tuple[Sequence[str], Floats]]:
        """Yield features in batches; images that cannot be decoded go to `problems`.

        A pool decodes and resizes the images of the next batch while the model encodes this one.
        """
        pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="decode")
        batches = [ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH)]

        def load(number: int) -> list[Future[_LoadedImage]]:
            batch = batches[number] if number < len(batches) else ()
            return [pool.submit(self._load, id_, path_of[id_]) for id_ in batch]

        try:
            following = load(0)
            for number, batch in enumerate(batches):
                progress(number * _BATCH, len(ids))
                loading, following = following, load(number + 1)
                loaded: dict[str, _LoadedImage] = {}
                for id_, future in zip(batch, loading, strict=True):
                    try:
                        loaded[id_] = future.result()
                    except TrainerError as error:
                        problems[id_] = error
                yield list(loaded), self._encode_batch(loaded, path_of)
                self.computed += len(loaded)
            progress(len(ids), len(ids))
        finally:
            pool.shutdown(cancel_futures=True)

    def _load(self, id_: str, path: Path) -> _LoadedImage:
        """Decode and resize one image, in a thread of the pool.

        Raises:
            TrainerError: the image cannot be decoded, or its content is not that of `id_`.
        """
        data = read_file(path)
        if hashlib.sha256(data).hexdigest() != id_:
            raise TrainerError(f"{path} was changed while it was read", hint="start again when the images are complete")
        decoded = decode_image(data, path, self._decoding)
        return _LoadedImage(self._model.preprocess(decoded.pixels), decoded.traits)

    def _encode_batch(self, loaded: Mapping[str, _LoadedImage], path_of: Mapping[str, Path]) -> Floats:
        """Return the features of at most one batch; save the traits.  -> (N, D)

        A batch is padded to its full size, because the last bits of a feature depend on the batch size. With padding
        they depend on the image alone.
        """
        if not loaded:
            return np.empty((0, self._model.embed_dim), np.float32)
        pixels = [image.pixels for image in loaded.values()]
        full = torch.stack(pixels + pixels[-1:] * (_BATCH - len(pixels)))
        features = np.ascontiguousarray(self._model.encode_pixels(full).numpy()[: len(pixels)], dtype=np.float32)
        lengths = np.linalg.norm(features, axis=1)
        for id_, length in zip(loaded, lengths.tolist(), strict=True):
            if not abs(length - 1) <= _NORM_TOLERANCE:  # true for NaN
                message = f"the feature of {path_of[id_]} has length {length:.4g} instead of 1"
                raise TrainerError(message, hint="the weights of the image tower are damaged, or the precision too low")
        lines = [json.dumps([id_, image.traits]) + "\n" for id_, image in loaded.items() if image.traits]
        if lines:
            end_partial_line(self._traits)
            append(self._traits, "".join(lines).encode())
        return features


@dataclass(frozen=True, slots=True)
class _LoadedImage:
    pixels: Tensor
    """(3, H, W) input of the model"""
    traits: tuple[Trait, ...]


def image_key(model: ClipModel, decoding: Decoding = Decoding.AS_SHOWN) -> dict[str, Any]:
    """Return everything that an image feature depends on, apart from the image's bytes."""
    numerics = {
        "vision_cfg": model.config["vision_cfg"],  # the weights do not contain the number of heads
        "activation": model.activation,
        "preprocess": dict(model.preprocess_config),
        "decode": decoding,
        "precision": model.precision,
        "device": model.device.type,
        "batch": _BATCH,
    }
    return feature_key("image", model.visual_hash, numerics)


def _is_traits(parsed: Any) -> bool:
    return (
        isinstance(parsed, list)
        and len(parsed) == 2
        and is_sha256(parsed[0])
        and isinstance(parsed[1], list)
        and all(trait in list(Trait) for trait in parsed[1])
    )
