"""A folder of classes: each sub-folder has the images of one class.

The class has the name of its sub-folder, with spaces for underscores. An optional file classes.json beside the
sub-folders has {"classes": {sub-folder: name}, "templates": ["a photo of a {}."]}, both optional. Hidden files and
folders, and files that are no images by their suffix, are skipped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from benchmarks.errors import BenchError
from benchmarks.task import Task, read_json
from benchmarks.tasks.classification.classes import LabelledImage, classification_task
from benchmarks.tasks.classification.prompts import ONE_PROMPT, Templates, check_templates

VERSION = "1"
SETTINGS: Final = "classes.json"
"""Optional names and templates; the file also makes a folder in benchmarks/ of a workspace a task."""
IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"})


def load(name: str, folder: Path, pictures: Path | None = None) -> Task:
    """Load the task whose classes are the sub-folders of `pictures`.

    Args:
        folder: The folder of classes.json.
        pictures: None: `folder`.

    Raises:
        BenchError: The folder has fewer than two sub-folders, one has no images, or classes.json is invalid.
    """
    root = pictures or folder
    by_class = images_by_class(root)
    names, templates = _settings(folder, list(by_class))
    images = [LabelledImage(image, place) for place, of_class in enumerate(by_class.values()) for image in of_class]
    return classification_task(name, VERSION, images, names, templates, root, where=str(root), keys=list(by_class))


def images_by_class(folder: Path) -> dict[str, list[str]]:
    """Return the sub-folders in alphabetical order, and the names of the images below each, relative to `folder`.

    Raises:
        BenchError: The folder cannot be read, has fewer than two sub-folders, or one has no images.
    """
    try:
        with os.scandir(folder) as entries:
            classes = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
        by_class = {name: sorted(_images(folder / name, f"{name}/")) for name in classes}
    except OSError as error:
        raise BenchError(f"{error.filename or folder} cannot be read: {error.strerror or error}") from error
    empty = [name for name, images in by_class.items() if not images]
    if len(by_class) < 2 or empty:
        reason = f"the sub-folder {empty[0]!r} has no images" if empty else "it has fewer than two sub-folders"
        raise BenchError(f"{folder} is not a folder of classes: {reason}", hint="expected FOLDER/CLASS/IMAGE.jpg")
    return by_class


def _images(folder: Path, prefix: str) -> Iterator[str]:
    """Yield the images below a folder, each after `prefix`; sub-folders that are links are not followed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _images(folder / entry.name, f"{prefix}{entry.name}/")
            elif os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:
                yield prefix + entry.name


def _settings(folder: Path, classes: list[str]) -> tuple[list[str], Templates]:
    """Return the name of each class, and the templates."""
    names: object = {}
    templates = ONE_PROMPT
    path = folder / SETTINGS
    if path.is_file():
        content, _ = read_json(path)
        if not isinstance(content, Mapping):
            raise BenchError(f"{path}: expected an object")
        names = content.get("classes", {})
        if "templates" in content:
            texts = content["templates"] if isinstance(content["templates"], list) else []
            templates = Templates(SETTINGS, check_templates(texts, str(path)))
    if not isinstance(names, Mapping) or not all(isinstance(name, str) and name.strip() for name in names.values()):
        raise BenchError(f"{path}: 'classes' must be an object of names by sub-folder")
    if unknown := [name for name in names if name not in classes]:
        raise BenchError(f"{path}: there is no sub-folder {unknown[0]!r}")
    return [str(names.get(name, name.replace("_", " "))) for name in classes], templates
