"""`python -m trainers.clip_margin_worker MODEL`: a child process that says how much better a caption fits a picture
than another.

JSON lines on stdin and stdout; what libraries print goes to stderr. It first says {"ready": {...}} or {"failed": ...,
"hint": ...}. A line {"pairs": [{"picture": PATH, "texts": [A, B]}, ...]} is answered by one line {"scores": [...]} in
the same order, each {"margin": cos(A) - cos(B), "share": softmax over the scaled cosines, A's part} or {"failed": ...}.
It ends when stdin does.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from trainers.errors import TrainerError
from trainers.feature_store import open_picture

if TYPE_CHECKING:
    from torch import Tensor

    from trainers.clip_models import ClipModel

FAILED_CODE = 6
KEPT_PICTURES = 4096
"""Features that are remembered: 3 KB each at most."""


@dataclass(slots=True)
class MarginWorker:
    """A CLIP model that compares pairs of captions; remembers the features of pictures."""

    model: ClipModel
    kept: int = KEPT_PICTURES
    _pictures: OrderedDict[str, Tensor] = field(default_factory=OrderedDict, init=False)

    def scores(self, pairs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """For each {"picture": path, "texts": [A, B]}: {"margin", "share"} or {"failed"}, in their order."""
        seen = self._look(str(pair["picture"]) for pair in pairs)
        texts = list(dict.fromkeys(str(text) for pair in pairs for text in pair["texts"]))
        features = dict(zip(texts, self.model.encode_texts(texts), strict=True))
        scale = float(self.model.model.logit_scale.detach().exp())
        told: list[dict[str, Any]] = []
        for pair in pairs:
            picture = seen[str(pair["picture"])]
            if isinstance(picture, str):
                told.append({"failed": picture})
                continue
            first, second = (float(features[str(text)].double() @ picture.double()) for text in pair["texts"])
            told.append({"margin": first - second, "share": _share(scale * (first - second))})
        return told

    def _look(self, paths: Iterable[str]) -> dict[str, Tensor | str]:
        """Unit features of the pictures, or why there are none."""
        seen: dict[str, Tensor | str] = {}
        new = []
        for path in dict.fromkeys(paths):
            if path in self._pictures:
                self._pictures.move_to_end(path)
                seen[path] = self._pictures[path]
                continue
            try:
                new.append((path, open_picture(Path(path))))
            except TrainerError as error:
                seen[path] = error.message
        for (path, _), features in zip(new, self.model.encode_images([image for _, image in new]), strict=True):
            seen[path] = self._pictures[path] = features
        while len(self._pictures) > self.kept:
            self._pictures.popitem(last=False)
        return seen


def _share(difference: float) -> float:
    """The first of two in a softmax, from their difference."""
    from math import exp  # noqa: PLC0415

    return 1 / (1 + exp(-difference)) if difference >= 0 else exp(difference) / (1 + exp(difference))


def main(arguments: list[str] | None = None) -> int:
    """The script; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m trainers.clip_margin_worker", description="Compare captions by CLIP."
    )
    parser.add_argument("model", help="as trainers.clip_models.load_model takes it")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is our parent's concern
    with _own_stdout() as out:
        try:
            return _serve(asked.model, asked.device, out)
        except BrokenPipeError:  # nobody listens any more
            return 0


def _own_stdout() -> BinaryIO:
    """The pipe to our parent; from now on everything else that is printed goes to stderr, C libraries' words too."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return out


def _serve(model: str, device: str, out: BinaryIO) -> int:
    from trainers.clip_models import load_model  # noqa: PLC0415  # deferred: seconds of torch

    try:
        loaded = load_model(model, device=device)
    except TrainerError as error:
        _say(out, {"failed": error.message, "hint": error.hint})
        return FAILED_CODE
    margins = MarginWorker(loaded)
    _say(out, {"ready": {"name": loaded.name, "model_hash": loaded.model_hash, "activation": loaded.activation}})
    for line in sys.stdin.buffer:
        _say(out, {"scores": margins.scores(json.loads(line)["pairs"])})
    return 0


def _say(out: BinaryIO, told: Mapping[str, Any]) -> None:
    out.write(json.dumps(told).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
