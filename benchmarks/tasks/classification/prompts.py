"""Prompts of zero-shot classification: templates with a place for the class, as published. Does not import torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

from benchmarks.errors import BenchError

PLACE: Final = "{}"
"""Stands for the class in a template."""


@dataclass(frozen=True, slots=True)
class Templates:
    name: str
    texts: tuple[str, ...]
    """Each has one `PLACE`."""

    @property
    def label(self) -> str:
        """Name and number, for results."""
        return f"{self.name} ({len(self.texts)})"

    def prompts(self, name: str) -> tuple[str, ...]:
        """Return the texts of the class `name`."""
        return tuple(text.replace(PLACE, name) for text in self.texts)


ONE_PROMPT: Final = Templates("a photo of a {}.", ("a photo of a {}.",))
_CIFAR_PHOTOS: Final = (
    "a photo of {article} {}.",
    "a blurry photo of {article} {}.",
    "a black and white photo of {article} {}.",
    "a low contrast photo of {article} {}.",
    "a high contrast photo of {article} {}.",
    "a bad photo of {article} {}.",
    "a good photo of {article} {}.",
    "a photo of {article} small {}.",
    "a photo of {article} big {}.",
)
OPENAI_CIFAR: Final = Templates(
    "openai-cifar",
    tuple(photo.replace("{article}", article) for article in ("a", "the") for photo in _CIFAR_PHOTOS),
)
"""The 18 templates of CIFAR-10 and CIFAR-100 in data/prompts.md of github.com/openai/CLIP (MIT)."""


def check_templates(texts: Sequence[object], where: str) -> tuple[str, ...]:
    """Return the templates of a file.

    Raises:
        BenchError: There is none, or one has not exactly one place for the class.
    """
    checked = tuple(text for text in texts if isinstance(text, str) and text.count(PLACE) == 1)
    if not checked or len(checked) < len(texts):
        raise BenchError(
            f"{where}: 'templates' must be a list of texts with one {PLACE}", hint='for example "a photo of a {}."'
        )
    return checked


def imagenet_classes() -> tuple[str, ...]:
    """Return the 1,000 class names of OpenAI, in the order of the sorted WordNet ids; two names occur twice."""
    return tuple(_metadata().IMAGENET_CLASSNAMES)


def openai_imagenet() -> Templates:
    """Return OpenAI's 80 templates of ImageNet."""
    return Templates("openai-imagenet", tuple(make(PLACE) for make in _metadata().OPENAI_IMAGENET_TEMPLATES))


@cache
def _metadata() -> ModuleType:
    """Return the module of open_clip that has names and templates, without open_clip, whose import takes 5 s."""
    spec = importlib.util.find_spec("open_clip")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "zero_shot_metadata.py"
        found = importlib.util.spec_from_file_location("negwb_zero_shot_metadata", path)
        if path.is_file() and found and found.loader:
            module = importlib.util.module_from_spec(found)
            found.loader.exec_module(module)
            return module
    raise BenchError(
        "open_clip is not installed, which has the class names and templates of ImageNet",
        hint="install negwb with its extra: train",
    )
