"""Zero-shot classification: which class does the image show?

The embedding of a class is the mean of the unit embeddings of its prompts, scaled to length 1. The metrics are the
share of images whose class has the highest similarity, and one of the five highest. `official` is the published argmax:
the first highest, NaN is the highest. Under `strict` a tie is wrong, so that a class whose prompts equal those of
another one has no right answer.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.errors import BenchError
from benchmarks.task import BenchItem, Task, Unpack
from benchmarks.tasks.classification.prompts import Templates

CLASS: Final = "class"
"""The cut by class."""


@dataclass(frozen=True, slots=True)
class LabelledImage:
    image: str
    """File name below the folder of images."""
    label: int
    """Index of its class."""
    slices: Mapping[str, str] = field(default_factory=dict)
    """Cuts beside the class."""


def classification_task(
    name: str,
    version: str,
    images: Sequence[LabelledImage],
    classes: Sequence[str],
    templates: Templates,
    pictures: Path,
    *,
    where: str,
    keys: Sequence[str] = (),
    unpack: Unpack | None = None,
) -> Task:
    """Return a classification task. Its data hash covers images, labels, classes and templates.

    Args:
        classes: Name of each class, as in its prompts.
        where: The file or folder, for messages.
        keys: What tells classes of one name apart: the WordNet ids.
        unpack: Creates the folder of images.

    Raises:
        BenchError: There are fewer than two classes, no images, or two classes of one name without keys.
    """
    if len(classes) < 2 or not images:
        raise BenchError(f"{where}: expected images of two classes or more")
    labels = _distinct(classes, keys)
    if len(set(labels)) < len(labels):
        twice = Counter(labels).most_common(1)[0][0]
        raise BenchError(f"{where}: two classes have the name {twice!r}")
    content = [[(each.image, each.label) for each in images], list(classes), list(templates.texts)]
    return Task(
        name=name,
        version=version,
        kind="classification",
        dataset_sha256=hashlib.sha256(json.dumps(content).encode()).hexdigest(),
        items=tuple(
            BenchItem(
                id=each.image,
                image=each.image,
                text=labels[each.label],
                target=each.label,
                cluster=each.image,
                slices={CLASS: labels[each.label], **each.slices},
            )
            for each in images
        ),
        pictures=pictures,
        gallery=labels,
        prompts=tuple(templates.prompts(each) for each in classes),
        templates=templates.label,
        balanced_by=CLASS,
        unpack=unpack,
    )


def _distinct(classes: Sequence[str], keys: Sequence[str]) -> tuple[str, ...]:
    """Return the class names; those that occur twice with their key."""
    counts = Counter(classes)
    padded = [*keys, *[""] * (len(classes) - len(keys))]
    return tuple(
        f"{name} ({key})" if key and counts[name] > 1 else name for name, key in zip(classes, padded, strict=True)
    )
