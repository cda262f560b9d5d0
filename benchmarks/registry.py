"""Registry of the benchmarks: name, summary and loader.

A loader is a string "module:attribute", imported when its task is loaded, so that listing the tasks is fast. Other
tasks are registered with `register`, or read from a file with `task_from_file`.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from benchmarks.errors import BenchError
from benchmarks.task import Task, read_json
from benchmarks.tasks import regions, retrieval

Loader = Callable[[Path, Path | None], Task]
"""Loads the task from its folder; the second argument is the folder of images, if it is another one."""


@dataclass(frozen=True, slots=True)
class TaskEntry:
    name: str
    summary: str
    """One line for `negwb bench list`."""
    loader: str
    """A `Loader`, as "module:attribute"."""


_ENTRIES: dict[str, TaskEntry] = {}


def register(name: str, loader: str, summary: str = "") -> None:
    """Register a benchmark; a repeated registration with the same arguments has no effect.

    Raises:
        ValueError: The name is registered with other arguments, or `loader` is not "module:attribute".
    """
    entry = TaskEntry(name, summary, loader)
    if ":" not in loader:
        raise ValueError(f"{loader!r} is not module:attribute")
    if _ENTRIES.setdefault(name, entry) != entry:
        raise ValueError(f"the task {name!r} is registered already")


register(
    "negrefcocog",
    "benchmarks.tasks.negrefcocog:load",
    "NegRefCOCOg: which of two boxes does a negated phrase mean (440 items)",
)


def entries() -> Mapping[str, TaskEntry]:
    """Return all registered benchmarks by name."""
    return dict(sorted(_ENTRIES.items()))


def load_task(name: str, folder: Path, pictures: Path | None = None) -> Task:
    """Load the registered benchmark `name`.

    Args:
        pictures: Folder of its images; None: in `folder`.

    Raises:
        BenchError: The name is unknown (the hint suggests a similar one), or the files cannot be read.
    """
    entry = _ENTRIES.get(name)
    if entry is None:
        near = difflib.get_close_matches(name, _ENTRIES, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(sorted(_ENTRIES))
        raise BenchError(f"unknown benchmark {name!r}", hint=hint)
    module, _, attribute = entry.loader.partition(":")
    loader = cast("Loader", getattr(importlib.import_module(module), attribute))
    return loader(folder, pictures)


def task_from_file(name: str, path: Path, pictures: Path) -> Task:
    """Load a task called `name` from a JSON file: a list is a regions task, an object with `captions` a retrieval task.

    Raises:
        BenchError: The file has neither format, or one of its rows is invalid.
    """
    content, _ = read_json(path)
    if isinstance(content, list):
        return regions.load(name, path, pictures)
    if isinstance(content, dict) and "captions" in content:
        return retrieval.load(name, path, pictures)
    raise BenchError(
        f"{path} is not a task",
        hint="expected a list of {image, phrase, ref_bbox, bbox_list}, or {images, captions: [{image, text}]}",
    )
