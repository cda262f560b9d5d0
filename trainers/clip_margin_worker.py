"""`python -m trainers.clip_margin_worker MODEL`: a child process that compares how well captions fit an image.

JSON lines on stdin and stdout; output of libraries goes to stderr. The first line is {"ready": {...}} or
{"failed": ..., "hint": ...}. A request {"pairs": [{"picture": PATH, "texts": [A, B]}, ...]} gets one line
{"scores": [...]} in the same order, each {"margin": cos(A) - cos(B), "share": A's softmax over the scaled cosines} or
{"failed": ...}. A request {"presences": [{"picture": PATH, "text": A, "others": [B, ...]}, ...]} gets {"scores": [...]}
with {"z": ...} of `concept_presence.presence_score`, null if it is undefined, or {"failed": ...}. The process ends at
the end of stdin.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from trainers.errors import TrainerError
from trainers.features.image_decoding import read_image

if TYPE_CHECKING:
    from torch import Tensor

    from trainers.models.clip_model import ClipModel

FAILED_CODE = 6
MAX_CACHED_IMAGES = 4096
"""Cached image features; 3 KB each at most."""
MAX_CACHED_TEXTS = 4096
"""Cached text features of presence requests: their texts return with every image."""


@dataclass(slots=True)
class MarginWorker:
    """Compares captions with a CLIP model; caches image features, and text features of presence requests."""

    model: ClipModel
    cache_size: int = MAX_CACHED_IMAGES
    text_cache_size: int = MAX_CACHED_TEXTS
    _features: OrderedDict[str, Tensor] = field(default_factory=OrderedDict, init=False)
    _texts: OrderedDict[str, Tensor] = field(default_factory=OrderedDict, init=False)

    def scores(self, pairs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return {"margin", "share"} or {"failed"} for each {"picture": path, "texts": [A, B]}, in order."""
        images = self._encode(str(pair["picture"]) for pair in pairs)
        texts = list(dict.fromkeys(str(text) for pair in pairs for text in pair["texts"]))
        features = dict(zip(texts, self.model.encode_texts(texts), strict=True))
        scale = float(self.model.model.logit_scale.detach().exp())
        scores: list[dict[str, Any]] = []
        for pair in pairs:
            image = images[str(pair["picture"])]
            if isinstance(image, str):
                scores.append({"failed": image})
                continue
            first, second = (float(features[str(text)].double() @ image.double()) for text in pair["texts"])
            scores.append({"margin": first - second, "share": _share(scale * (first - second))})
        return scores

    def presences(self, requests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return {"z"} or {"failed"} for each {"picture": path, "text": A, "others": [B, ...]}, in order."""
        import torch  # noqa: PLC0415  # takes seconds to import

        from trainers.concept_presence import presence_score  # noqa: PLC0415

        images = self._encode(str(each["picture"]) for each in requests)
        texts = self._encode_texts(str(text) for each in requests for text in (each["text"], *each["others"]))
        scores: list[dict[str, Any]] = []
        for each in requests:
            image = images[str(each["picture"])]
            if isinstance(image, str):
                scores.append({"failed": image})
                continue
            others = torch.stack([texts[str(text)] for text in each["others"]])
            z = presence_score(image, texts[str(each["text"])], others)
            scores.append({"z": z if math.isfinite(z) else None})
        return scores

    def _encode_texts(self, wanted: Iterable[str]) -> dict[str, Tensor]:
        """Return the unit features of the texts; each new text is encoded once, all of them in one batch."""
        texts = list(dict.fromkeys(wanted))
        if new := [text for text in texts if text not in self._texts]:
            self._texts.update(zip(new, self.model.encode_texts(new), strict=True))
        found = {text: self._texts[text] for text in texts}
        for text in texts:
            self._texts.move_to_end(text)
        while len(self._texts) > self.text_cache_size:
            self._texts.popitem(last=False)
        return found

    def _encode(self, paths: Iterable[str]) -> dict[str, Tensor | str]:
        """Return the unit features of the images by path, or an error message."""
        features_or_errors: dict[str, Tensor | str] = {}
        new = []
        for path in dict.fromkeys(paths):
            if path in self._features:
                self._features.move_to_end(path)
                features_or_errors[path] = self._features[path]
                continue
            try:
                new.append((path, read_image(Path(path)).pixels))
            except TrainerError as error:
                features_or_errors[path] = error.message
        for (path, _), features in zip(new, self.model.encode_images([image for _, image in new]), strict=True):
            features_or_errors[path] = self._features[path] = features
        while len(self._features) > self.cache_size:
            self._features.popitem(last=False)
        return features_or_errors


def _share(difference: float) -> float:
    """Return the share of the first of two values in a softmax, from their difference."""
    from math import exp  # noqa: PLC0415

    return 1 / (1 + exp(-difference)) if difference >= 0 else exp(difference) / (1 + exp(difference))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m trainers.clip_margin_worker", description="Compare captions by CLIP."
    )
    parser.add_argument("model", help="a model spec of trainers.models.loading.load_model")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles Ctrl-C
    with _take_stdout() as out:
        try:
            return _serve(options.model, options.device, out)
        except BrokenPipeError:  # the parent process has ended
            return 0


def _take_stdout() -> BinaryIO:
    """Return the pipe to the parent process; redirect all other output to stderr, also that of C libraries."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return out


def _serve(model: str, device: str, out: BinaryIO) -> int:
    from trainers.models.loading import load_model  # noqa: PLC0415  # torch takes seconds to import

    try:
        loaded = load_model(model, device=device)
    except TrainerError as error:
        _send(out, {"failed": error.message, "hint": error.hint})
        return FAILED_CODE
    for warning in loaded.warnings:
        sys.stderr.write(f"{warning}\n")
    margins = MarginWorker(loaded)
    _send(out, {"ready": {"name": loaded.name, "model_hash": loaded.model_hash, "activation": loaded.activation}})
    for line in sys.stdin.buffer:
        request = json.loads(line)
        asks_presence = "presences" in request
        scores = margins.presences(request["presences"]) if asks_presence else margins.scores(request["pairs"])
        _send(out, {"scores": scores})
    return 0


def _send(out: BinaryIO, message: Mapping[str, Any]) -> None:
    out.write(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
