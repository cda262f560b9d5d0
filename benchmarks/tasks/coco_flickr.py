"""COCO and Flickr30k retrieval on Karpathy's test split, the usual test of what a tuned model still knows.

Reads dataset_coco.json and dataset_flickr30k.json: {images: [{filepath, filename, split, sentences: [{raw}]}]}. The
test split has 5,000 and 1,000 images; the first five captions of each count, as published recalls on 25,000 and 5,000
captions do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.errors import BenchError
from benchmarks.task import Task, file_name, read_json
from benchmarks.tasks.published_files import check_count
from benchmarks.tasks.retrieval import from_captions

VERSION = "1"
CAPTIONS: Final = 5
TO_CAPTIONS: Final = "-i2t"
"""Suffix of the names of tasks whose queries are images; the others end in -t2i."""


class KarpathyFile(NamedTuple):
    file: str
    images: int
    """Images of the published test split."""


FILES: Final[Mapping[str, KarpathyFile]] = {
    "coco": KarpathyFile("dataset_coco.json", 5000),
    "flickr30k": KarpathyFile("dataset_flickr30k.json", 1000),
}


def load(name: str, folder: Path, pictures: Path | None = None) -> Task:
    """Load one direction of one data set.

    Args:
        name: Name of the task: coco-t2i, coco-i2t, flickr30k-t2i or flickr30k-i2t.
        folder: Folder of the JSON file.
        pictures: Folder of the images, below it those of the file (val2014/); None: `folder`.

    Raises:
        BenchError: The file is missing or not the published one, or an image is invalid.
    """
    file = FILES[name.rpartition("-")[0]]
    path = folder / file.file
    content, sha256 = read_json(path)
    rows = content.get("images") if isinstance(content, Mapping) else None
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise BenchError(f"{path}: 'images' must be a list of objects")
    test = [(number, row) for number, row in enumerate(rows) if row.get("split") == "test"]
    check_count(len(test), file.images, path)
    captions = [_captions(row, f"{path}, image {number}") for number, row in test]
    to_captions = name.endswith(TO_CAPTIONS)
    return from_captions(name, VERSION, sha256, captions, pictures or folder, where=str(path), to_captions=to_captions)


def _captions(row: Mapping[str, Any], where: str) -> tuple[str, list[str]]:
    sentences = row.get("sentences")
    if not isinstance(sentences, list) or not all(isinstance(each, Mapping) for each in sentences):
        raise BenchError(f"{where}: 'sentences' must be a list of objects")
    try:
        image = file_name(row.get("filename"))
        folder = row.get("filepath")
        name = file_name(f"{folder}/{image}") if isinstance(folder, str) and folder else image
    except ValueError as error:
        raise BenchError(f"{where}: {error}") from error
    return name, [each.get("raw") for each in sentences[:CAPTIONS]]  # texts: checked by from_captions
