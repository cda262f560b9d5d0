"""Which benchmarks there are, by name, and how each is loaded.

Loaders are named as "module:attribute" and imported when asked for, so listing them costs nothing; a wrong name gets a
suggestion. Whoever has a task of their own registers it or reads it from a file with `task_from_file`.
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
"""Makes the task from its folder and, if they lie elsewhere, the folder of its pictures."""


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """A benchmark that can be asked for."""

    name: str
    summary: str
    """One line for `negwb bench list`."""
    loader: str
    """A `Loader`, as "module:attribute"."""


_ENTRIES: dict[str, TaskEntry] = {}


def register(name: str, loader: str, summary: str = "") -> None:
    """Makes `name` known; saying the same twice is fine.

    Raises:
        ValueError: the name means something else already, or `loader` is no "module:attribute".
    """
    entry = TaskEntry(name, summary, loader)
    if ":" not in loader:
        raise ValueError(f"{loader!r} is no module:attribute")
    if _ENTRIES.setdefault(name, entry) != entry:
        raise ValueError(f"the task {name!r} is registered already")


register(
    "negrefcocog",
    "benchmarks.tasks.negrefcocog:load",
    "NegRefCOCOg: which of two boxes does a negated phrase mean (440 items)",
)


def entries() -> Mapping[str, TaskEntry]:
    """All that is registered, by name."""
    return dict(sorted(_ENTRIES.items()))


def load_task(name: str, folder: Path, pictures: Path | None = None) -> Task:
    """The registered benchmark `name`, its files in `folder`, its pictures there too or in `pictures`.

    Raises:
        BenchError: there is no such benchmark (the line suggests one), or its files cannot be read.
    """
    entry = _ENTRIES.get(name)
    if entry is None:
        near = difflib.get_close_matches(name, _ENTRIES, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(sorted(_ENTRIES))
        raise BenchError(f"there is no benchmark {name!r}", hint=hint)
    module, _, attribute = entry.loader.partition(":")
    loader = cast("Loader", getattr(importlib.import_module(module), attribute))
    return loader(folder, pictures)


def task_from_file(name: str, path: Path, pictures: Path) -> Task:
    """A task called `name` from a JSON file in one of the shapes of `benchmarks.tasks`, told apart by what it holds.

    A list is a regions task, an object with `captions` a retrieval task.

    Raises:
        BenchError: it is neither, or a row of it cannot be asked.
    """
    told, _ = read_json(path)
    if isinstance(told, list):
        return regions.load(name, path, pictures)
    if isinstance(told, dict) and "captions" in told:
        return retrieval.load(name, path, pictures)
    raise BenchError(
        f"{path} holds no task",
        hint="a list of {image, phrase, ref_bbox, bbox_list}, or {images, captions: [{image, text}]}",
    )
