"""Where a benchmark's pictures lie: where they lay when it was run, in `benchmarks/TASK/`, or beside its JSON file."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.task import file_name
from curation_db.image_paths import find_image_file

_INSIDE = ("", "pictures", "images", "train2014")
"""Folders below a benchmark's own, in the order they are tried."""


def located(root: Path, task: str, image: str, *, first: str = "") -> Path | None:
    """The file of `image`, a name from a result; None where it is not there or leads out of its folder.

    Args:
        root: the workspace's benchmarks/.
        task: name of the benchmark.
        image: as the result names it.
        first: the folder that the result says the pictures lay in. It may come from another machine: a hint.
    """
    folders = [Path(os.path.normpath(first))] if Path(first).is_absolute() else []
    try:
        home = root / file_name(task)
        folders += [home / inside for inside in _INSIDE]
    except (ValueError, BenchError):
        pass  # a task whose name is no folder has its pictures elsewhere
    # as the benchmark itself opens them: its pictures belong to no source of [pictures]
    return find_image_file([*map(_whole, folders), _whole(root)], image, follow_links=True)


def _whole(folder: Path) -> Path:
    return Path(os.path.abspath(folder))
