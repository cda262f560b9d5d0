"""Finds the images of a benchmark: where they were when it was run, in `benchmarks/TASK/`, or beside its JSON file."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.task import file_name
from curation_db.image_paths import find_image_file

_INSIDE = ("", "pictures", "images", "train2014")
"""Subfolders of a benchmark's folder, in the order in which they are tried."""


def located(root: Path, task: str, image: str, *, first: str = "") -> Path | None:
    """Return the file of `image`; None if it does not exist or lies outside its folder.

    Args:
        root: The workspace's `benchmarks` folder.
        image: Name of the image in the result.
        first: Folder of the images according to the result, below the workspace if it is relative. It may come from
            another machine, so it is only a hint.
    """
    folders = [Path(os.path.normpath(first))] if Path(first).is_absolute() else []
    try:
        if first and not folders:
            folders.append(root.parent / file_name(first))
        folder = root / file_name(task)
        folders += [folder / inside for inside in _INSIDE]
    except (ValueError, BenchError):
        pass  # a task whose name is no folder name has its images elsewhere
    # opened as the benchmark opens them: its images belong to no source of [pictures]
    return find_image_file([*map(_absolute, folders), _absolute(root)], image, follow_links=True)


def _absolute(folder: Path) -> Path:
    return Path(os.path.abspath(folder))
