"""NegRefCOCOg (Park et al., ICCV 2025): 440 negated phrases over 402 COCO train2014 pictures, two boxes each.

Holds the facts about the published file: hash, counts, file and folder names. In all 440 items the right box is the
first of the two, so a constant model has 100 % under the published rule.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.task import Task
from benchmarks.tasks import regions

NAME = "negrefcocog"
ANNOTATIONS = "NegRefCOCOg.json"
PICTURES = "train2014"
SHA256 = "e3519e02c26aa3d507e7cb32f4e202375bc8860b5cb7cb4c34ad436cf063031f"
"""Hash of the annotation file in github.com/parkquasar/NegationCLIP at 6f858ee (MIT)."""
ITEMS = 440
IMAGES = 402
FETCH = "negwb bench fetch negrefcocog"


def load(folder: Path, pictures: Path | None = None) -> Task:
    """Load the task from the folder that `negwb bench fetch` fills.

    Args:
        pictures: Folder of the images, if it is another one, for example a copy of COCO.

    Raises:
        BenchError: The annotation file is missing or damaged.
    """
    return regions.load(NAME, folder / ANNOTATIONS, pictures or folder / PICTURES, fetch_command=FETCH)
