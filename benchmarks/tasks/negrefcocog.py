"""NegRefCOCOg (Park et al., ICCV 2025): 440 negated phrases over 402 COCO train2014 pictures, two boxes each.

Owns what is known about the published file: its hash, its counts, where it and its pictures lie. In all 440 items the
right box is the first of the two, which is why the published rule gives a constant model 100 %.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.task import Task
from benchmarks.tasks import regions

NAME = "negrefcocog"
ANNOTATIONS = "NegRefCOCOg.json"
PICTURES = "train2014"
SHA256 = "e3519e02c26aa3d507e7cb32f4e202375bc8860b5cb7cb4c34ad436cf063031f"
"""Of the annotation file, github.com/parkquasar/NegationCLIP at 6f858ee (MIT)."""
ITEMS = 440
IMAGES = 402
FETCH = "negwb bench fetch negrefcocog"


def load(folder: Path, pictures: Path | None = None) -> Task:
    """The task from `folder` as `fetch` fills it; `pictures` if they lie elsewhere, as in a COCO copy.

    Raises:
        BenchError: the annotation file is missing or damaged.
    """
    return regions.load(NAME, folder / ANNOTATIONS, pictures or folder / PICTURES, fetch_command=FETCH)
