"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009): the 10,000 test images, 32 x 32 pixels.

Reads the "python version" of www.cs.toronto.edu/~kriz/cifar.html, without running anything in its pickled files:
cifar-10-batches-py/ with test_batch and batches.meta, cifar-100-python/ with test and meta. The images are written once
as PNG files to a folder beside them, named by the hash of the batch. Classes have their published names, with spaces
for underscores; the 18 templates are OpenAI's.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.errors import BenchError
from benchmarks.task import Task
from benchmarks.tasks.classification.classes import LabelledImage, classification_task
from benchmarks.tasks.classification.pickled_batches import read_batch
from benchmarks.tasks.classification.prompts import OPENAI_CIFAR
from benchmarks.tasks.published_files import check_count

VERSION = "1"
PUBLISHED: Final = 10_000
"""Images of each test set."""
_SIDE: Final = 32
_PIXELS: Final = 3 * _SIDE * _SIDE
_REPORT_EVERY: Final = 200


class CifarFiles(NamedTuple):
    folder: str
    batch: str
    labels: str
    """Entry of the batch with the class of each image."""
    names: str
    """File with the names of the classes."""
    names_entry: str
    classes: int
    archive: str
    coarse: tuple[str, str] | None = None
    """Entry of the batch with the superclass of each image, and entry of `names` with their names."""


FILES: Final = {
    "cifar10": CifarFiles(
        "cifar-10-batches-py", "test_batch", "labels", "batches.meta", "label_names", 10, "cifar-10-python.tar.gz"
    ),
    "cifar100": CifarFiles(
        "cifar-100-python", "test", "fine_labels", "meta", "fine_label_names", 100, "cifar-100-python.tar.gz",
        ("coarse_labels", "coarse_label_names"),
    ),
}  # fmt: skip


def load(name: str, folder: Path, pictures: Path | None = None) -> Task:
    """Load the test set.

    Args:
        name: cifar10 or cifar100.
        folder: The folder that has the folder of the archive, or this folder itself.
        pictures: Folder of the PNG files, created if it does not exist; None: beside the batch.

    Raises:
        BenchError: A file is missing or not the published one.
    """
    files = FILES[name]
    home = folder / files.folder if (folder / files.folder).is_dir() else folder
    hint = f"unpack {files.archive} from www.cs.toronto.edu/~kriz/cifar.html in {folder}"
    path = home / files.batch
    batch, content = read_batch(path, hint=hint)
    names_path = home / files.names
    names, _ = read_batch(names_path, hint=hint)
    classes = _names(names, files.names_entry, names_path)
    check_count(len(_images(batch, path)), PUBLISHED, path)
    labels = _labels(batch, files.labels, files.classes, path)
    if len(classes) != files.classes:
        raise BenchError(f"{names_path} has {len(classes)} classes, the published file has {files.classes}", hint=hint)
    slices: list[dict[str, str]] = [{} for _ in labels]
    if files.coarse:
        coarse = _names(names, files.coarse[1], names_path)
        slices = [{"superclass": coarse[n]} for n in _labels(batch, files.coarse[0], len(coarse), path)]
    images = [LabelledImage(_file(n), label, cuts) for n, (label, cuts) in enumerate(zip(labels, slices, strict=True))]
    target = pictures or home / f"images-{hashlib.sha256(content).hexdigest()[:12]}"
    unpack = partial(_unpack, path, target, hint)
    return classification_task(name, VERSION, images, classes, OPENAI_CIFAR, target, where=str(path), unpack=unpack)


def _file(number: int) -> str:
    return f"{number:05d}.png"


def _images(batch: dict[str, Any], path: Path) -> npt.NDArray[np.uint8]:
    """Return the pixels: shape (images, 3072), red, green and blue planes."""
    data = batch.get("data")
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != _PIXELS:
        raise BenchError(f"{path}: 'data' must have {_PIXELS:,} bytes per image")
    return data


def _labels(batch: dict[str, Any], entry: str, classes: int, path: Path) -> list[int]:
    labels, images = batch.get(entry), len(_images(batch, path))
    if not isinstance(labels, list) or len(labels) != images:
        raise BenchError(f"{path}: '{entry}' must be a list of {images:,} labels")
    for place, label in enumerate(labels):
        if type(label) is not int or not 0 <= label < classes:
            raise BenchError(f"{path}, image {place}: the label {label!r:.40} is not a number from 0 to {classes - 1}")
    return labels


def _names(names: dict[str, Any], entry: str, path: Path) -> list[str]:
    classes = names.get(entry)
    if not isinstance(classes, list) or not all(isinstance(name, str) and name.strip() for name in classes):
        raise BenchError(f"{path}: '{entry}' must be a list of names")
    return [name.replace("_", " ") for name in classes]


def _unpack(path: Path, target: Path, hint: str, report: Callable[[int, int], None]) -> None:
    """Write the images to the folder `target`, which appears when all of them are written."""
    data = _images(read_batch(path, hint=hint)[0], path)
    try:
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise BenchError(f"cannot write {target}: {error.strerror or error}") from error
    try:
        draft.chmod(0o755)
        for number, row in enumerate(data):
            Image.fromarray(row.reshape(3, _SIDE, _SIDE).transpose(1, 2, 0)).save(draft / _file(number))
            if number % _REPORT_EVERY == 0:
                report(number, len(data))
        if not target.exists():  # else another process was first
            draft.replace(target)
        report(len(data), len(data))
    except OSError as error:
        raise BenchError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
