"""Registry of the benchmarks: name, summary and loader.

A loader is a string "module:attribute", imported when its task is loaded, so that listing the tasks is fast. Other
tasks are registered with `register`, or read from a file with `task_from_file`.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from benchmarks.caveats import caveats_of
from benchmarks.errors import BenchError
from benchmarks.task import Task, read_json
from benchmarks.tasks import captions, judged, regions, retrieval, twins

Loader = Callable[[Path, Path | None], Task]
"""Loads the task from its folder; the second argument is the folder of images, if it is another one."""
PartLoader = Callable[[str, Path, Path | None], Task]
"""Loads one part of a benchmark; the first argument is the name of the task."""


@dataclass(frozen=True, slots=True)
class TaskEntry:
    name: str
    summary: str
    """One line for `negwb bench list`."""
    loader: str
    """A `Loader`, or a `PartLoader` if the task is a part, as "module:attribute"."""
    part_of: str = ""
    """The benchmark that this task is a part of; its parts share a folder."""

    @property
    def folder(self) -> str:
        """Name of the folder of its files in benchmarks/ of a workspace."""
        return self.part_of or self.name

    @property
    def caveats(self) -> tuple[str, ...]:
        """What a score does not show, one line each."""
        return caveats_of(self.name, self.folder)


_ENTRIES: dict[str, TaskEntry] = {}


def register(name: str, loader: str, summary: str = "", *, part_of: str = "") -> None:
    """Register a benchmark, or a part of one; a repeated registration with the same arguments has no effect.

    Raises:
        ValueError: The name is registered with other arguments, or `loader` is not "module:attribute".
    """
    entry = TaskEntry(name, summary, loader, part_of)
    if ":" not in loader:
        raise ValueError(f"{loader!r} is not module:attribute")
    if _ENTRIES.setdefault(name, entry) != entry:
        raise ValueError(f"the task {name!r} is registered already")


register(
    "negrefcocog",
    "benchmarks.tasks.negrefcocog:load",
    "NegRefCOCOg: which of two boxes does a negated phrase mean (440 items)",
)

register(
    "contextnegbench-lite",
    "benchmarks.tasks.contextnegbench:load",
    "ContextNegBench-Lite: drawn shapes, the true caption against hard negatives (15 items)",
)
for _part, _about in {
    "existence": "is there any or no such thing (534 items, 505 valid)",
    "plurals": "one or several (1,000 items)",
    "counting-small-quant": "small numbers (1,000 items)",
    "counting-hard": "numbers that training data rarely show (1,000 items)",
    "counting-adversarial": "numbers against the frequency of words (756 items)",
    "relations": "prepositions (614 items)",
    "action-replacement": "verbs (779 items)",
    "actant-swap": "who does it to whom (1,042 items)",
    "coreference-standard": "answers about a pronoun (916 items)",
    "coreference-hard": "the same, checked by people (141 items)",
    "foil-it": "another noun (1,000 items)",
}.items():
    register(f"valse-{_part}", "benchmarks.tasks.valse:load", f"VALSE: caption or foil, {_about}", part_of="valse")
register(
    "sugarcrepe",
    "benchmarks.tasks.sugarcrepe:load",
    "SugarCrepe: caption or hard negative, all seven parts (7,511 items)",
    part_of="sugarcrepe",
)
for _part, _about in {
    "add-att": "an attribute is added (692 items)",
    "add-obj": "an object is added (2,062 items)",
    "replace-att": "an attribute is replaced (788 items)",
    "replace-obj": "an object is replaced (1,652 items)",
    "replace-rel": "a relation is replaced (1,406 items)",
    "swap-att": "two attributes are swapped (666 items)",
    "swap-obj": "two objects are swapped (245 items)",
}.items():
    register(f"sugarcrepe-{_part}", "benchmarks.tasks.sugarcrepe:load", f"SugarCrepe: {_about}", part_of="sugarcrepe")

for _name, _about in {
    "negbench-coco-mcq": "COCO (5,914 items)",
    "negbench-voc-mcq": "VOC (5,031 items)",
    "negbench-synthetic-mcq": "synthetic images (9,997 items)",
}.items():
    register(
        _name, "benchmarks.tasks.negbench:load_mcq", f"NegBench: which of four captions, {_about}", part_of="negbench"
    )
for _name, _about in {
    "negbench-coco": "COCO captions",
    "negbench-coco-neg": "COCO captions that say what is absent",
    "negbench-synthetic-neg": "synthetic images, captions that say what is absent",
}.items():
    for _direction, _question in (("t2i", "images by caption"), ("i2t", "captions by image")):
        register(
            f"{_name}-{_direction}",
            "benchmarks.tasks.negbench:load_retrieval",
            f"NegBench: {_question}, {_about} (5,000 images)",
            part_of="negbench",
        )
for _name, _about in {"coco": "COCO (5,000 images)", "flickr30k": "Flickr30k (1,000 images)"}.items():
    for _direction, _question in (("t2i", "images by caption"), ("i2t", "captions by image")):
        register(
            f"{_name}-{_direction}",
            "benchmarks.tasks.coco_flickr:load",
            f"Karpathy's test split: {_question}, {_about}",
            part_of=_name,
        )
register("ccneg", "benchmarks.tasks.ccneg:load", "CC-Neg: true caption or negated caption (40,000 items)")
for _name, _about in {
    "aro-relation": "who stands in which relation (23,937 items)",
    "aro-attribution": "which thing has which attribute (28,748 items)",
}.items():
    register(_name, "benchmarks.tasks.aro:load", f"ARO: {_about}", part_of="aro")
for _name, _about in {
    "imagenet": "mean of 80 prompts",
    "imagenet-one-prompt": 'one prompt, "a photo of a ..."',
}.items():
    register(
        _name,
        "benchmarks.tasks.classification.imagenet:load",
        f"ImageNet: which of 1,000 classes, {_about} (50,000 images)",
        part_of="imagenet",
    )
for _name, _about in {
    "cifar10": "CIFAR-10: which of 10 classes",
    "cifar100": "CIFAR-100: which of 100 classes",
}.items():
    register(
        _name,
        "benchmarks.tasks.classification.cifar:load",
        f"{_about}, mean of 18 prompts (10,000 images)",
        part_of=_name,
    )
register("beaf", "benchmarks.tasks.beaf:load", "BEAF: an image with a thing and a copy without it, twins (1,727 pairs)")
register("celeba", "benchmarks.tasks.celeba:load", "CelebA: a person with or without an attribute (20,000 items)")
register(
    "simpleneg",
    "benchmarks.tasks.simpleneg:load",
    "SimpleNeg: images of any folder by negated text, a judge answers (900 items)",
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
    loader = getattr(importlib.import_module(module), attribute)
    command = f"negwb bench fetch {name}"
    try:
        if entry.part_of:
            task = cast("PartLoader", loader)(name, folder, pictures)
        else:
            task = cast("Loader", loader)(folder, pictures)
    except BenchError as error:
        if isinstance(error.__cause__, FileNotFoundError) and not error.hint:
            raise BenchError(error.message, hint=f"fetch it with: {command}", fetch_command=command) from error
        raise
    return task if task.fetch_command else replace(task, fetch_command=command)


def task_from_folder(path: Path, pictures: Path | None = None) -> Task:
    """Load the classification task whose classes are sub-folders; its name is that of the folder `path`.

    Args:
        path: The folder of classes.json, if there is one.
        pictures: The folder of the sub-folders; None: `path`.

    Raises:
        BenchError: It is not a folder of classes.
    """
    from benchmarks.tasks.classification import folder  # noqa: PLC0415 -- most commands do not need it

    return folder.load(path.resolve().name, path, pictures)


def task_from_file(name: str, path: Path, pictures: Path) -> Task:
    """Load a task called `name` from a JSON file; its content tells the kind of the task.

    Raises:
        BenchError: The file has neither format, or one of its rows is invalid.
    """
    content, _ = read_json(path)
    first = content[0] if isinstance(content, list) and content and isinstance(content[0], dict) else {}
    if "captions" in first:
        return captions.load(name, path, pictures)
    if "texts" in first:
        return twins.load(name, path, pictures)
    if isinstance(content, list) and content and isinstance(content[0], list):
        return judged.load(name, path, pictures)
    if isinstance(content, list):
        return regions.load(name, path, pictures)
    if isinstance(content, dict) and "captions" in content:
        return retrieval.load(name, path, pictures)
    raise BenchError(
        f"{path} is not a task",
        hint="expected a list of {image, phrase, ref_bbox, bbox_list}, {image, captions, right} or {images, texts}, "
        "{images, captions: [{image, text}]}, or a list of [text, question on the denied thing, question on the rest]",
    )
