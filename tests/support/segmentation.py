"""Small PhraseCut and RefCOCOg folders with drawn images, and a model whose masks are given."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.schema import ModelFacts, TextFacts
from benchmarks.segmentation.choices import Route
from benchmarks.segmentation.masks import Mask, mask_text
from benchmarks.segmentation.segmenters import Prediction, Progress, Request

WIDTH, HEIGHT = 40, 30
SQUARES = {"red": (4, 5, 15, 16), "blue": (22, 8, 33, 25)}
"""Left, top, right, bottom (inclusive) of the squares of every image."""


def draw_image(path: Path, colours: tuple[str, str] = ("red", "blue")) -> None:
    """Draw the two squares on white."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    for colour, box in zip(colours, SQUARES.values(), strict=True):
        ImageDraw.Draw(image).rectangle(box, fill=colour)
    image.save(path)


def square(name: str) -> list[list[float]]:
    left, top, right, bottom = SQUARES[name]
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def phrasecut_rows(images: int = 3, *, red: str = "red square") -> list[dict[str, Any]]:
    """Return two phrases per image, `red` for the red square and a negated one for the blue square."""
    rows = []
    for number in range(images):
        for place, (phrase, name) in enumerate([(red, "red"), ("square that is not red", "blue")]):
            left, top, right, bottom = SQUARES[name]
            rows.append(
                {
                    "task_id": f"{100 + number}__{place}",
                    "image_id": 100 + number,
                    "ann_ids": [place],
                    "instance_boxes": [[left, top, right - left + 1, bottom - top + 1]],
                    "Polygons": [[square(name)]],
                    "phrase": phrase,
                    "phrase_structure": {"name": "square", "attributes": [], "type": "attribute"},
                }
            )
    return rows


def write_phrasecut(folder: Path, rows: list[Any] | None = None, *, images: int = 3, split: str = "test") -> Path:
    """Write the files of PhraseCut to `folder` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = [
        {"image_id": 100 + number, "width": WIDTH, "height": HEIGHT, "split": split, "url": "", "coco_id": None}
        for number in range(images)
    ]
    (folder / "image_data_split.json").write_text(json.dumps(sizes))
    (folder / f"refer_{split}.json").write_text(json.dumps(phrasecut_rows(images) if rows is None else rows))
    for number in range(images):
        shade = f"#{255 - 20 * number:02x}0000"  # so that no two images are equal
        draw_image(folder / "images" / f"{100 + number}.jpg", (shade, "blue"))
    return folder


def refcocog_parts(images: int = 2) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the references of the pickle and the content of instances.json."""
    refs, annotations = [], []
    for number in range(images):
        for place, name in enumerate(SQUARES):
            annotation = 10 * number + place
            points = [value for point in square(name) for value in point]
            left, top, right, bottom = SQUARES[name]
            annotations.append(
                {
                    "id": annotation,
                    "image_id": number,
                    "category_id": 7,
                    "segmentation": [points],
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "iscrowd": 0,
                }
            )
            phrases = [f"the {name} square", "the square without a red side"][: 2 if name == "blue" else 1]
            refs.append(
                {
                    "ref_id": annotation,
                    "ann_id": annotation,
                    "image_id": number,
                    "category_id": 7,
                    "split": "test",
                    "file_name": f"COCO_train2014_{number:012d}_{annotation}.jpg",
                    "sent_ids": [10 * annotation + at for at in range(len(phrases))],
                    "sentences": [
                        {"tokens": text.split(), "raw": text, "sent_id": 10 * annotation + at, "sent": text}
                        for at, text in enumerate(phrases)
                    ],
                }
            )
    instances = {
        "info": {},
        "licenses": [],
        "images": [
            {"id": number, "file_name": f"COCO_train2014_{number:012d}.jpg", "width": WIDTH, "height": HEIGHT}
            for number in range(images)
        ],
        "annotations": annotations,
        "categories": [{"id": 7, "name": "square", "supercategory": "shape"}],
    }
    return refs, instances


def write_refcocog(folder: Path, refs: Any = None, instances: Any = None, *, protocol: int = 0) -> Path:
    """Write the files of RefCOCOg to `folder` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    usual_refs, usual_instances = refcocog_parts()
    refs = usual_refs if refs is None else refs
    (folder / "refs(umd).p").write_bytes(pickle.dumps(refs, protocol=protocol))
    (folder / "instances.json").write_text(json.dumps(usual_instances if instances is None else instances))
    for image in usual_instances["images"]:
        draw_image(folder / "train2014" / image["file_name"])
    return folder


@dataclass
class Scripted:
    """Predicts the masks that it is given, in the order of the requests."""

    predictions: Sequence[Prediction]
    route: Route = Route.CLIPSEG
    name: str = "scripted"
    warnings: Sequence[str] = ()
    model: str = "a" * 64
    setting: float = 0.5
    asked: list[Request] = field(default_factory=list)

    def settings(self) -> Mapping[str, Any]:
        return {"threshold": self.setting}

    def evaluated_model(self, label: str | None) -> ModelFacts:
        return {
            "name": label or "scripted",
            "hash": self.model,
            "visual_hash": self.model,
            "arch": "none",
            "activation": "gelu",
            "precision": "fp32",
            "device": "cpu",
            "details": {},
        }

    def text_facts(self, texts: Sequence[str]) -> TextFacts | None:
        return None

    def predict(self, requests: Sequence[Request], cache: Path | None, report: Progress) -> list[Prediction]:
        self.asked += requests
        return list(self.predictions)


def columns(name: str, share: float) -> Mask:
    """Return the left `share` of the columns of a square of the images."""
    left, top, right, bottom = SQUARES[name]
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[top : bottom + 1, left : left + round(share * (right + 1 - left))] = True
    return mask


def predicted(mask: Mask, **flags: bool) -> Prediction:
    return Prediction(mask_text(mask), **flags)
