"""SimpleNeg (Sammani et al., CVPR-W 2026): 900 negated texts, each retrieves images from any folder; a judge answers.

The published code takes the first 25,000 of the sorted images of COCO val2014 and the five most similar ones, and
reports Top-1, the mean of five (Avg.5), and Top-5. It asks about the denied thing only where the scene is right; here
both questions are always asked, so that the two parts have scores of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks.errors import BenchError
from benchmarks.task import Task
from benchmarks.tasks import judged
from benchmarks.tasks.published_files import check_count

NAME: Final = "simpleneg"
ANNOTATIONS: Final = "simpleneg.json"
IMAGES: Final = "images"
ITEMS: Final = 900
GALLERY: Final = 25_000
"""Size of the published gallery."""
_SOURCE: Final = "it is data/simpleneg.json of github.com/fawazsammani/negation-steering (no licence is stated)"


def load(folder: Path, pictures: Path | None = None) -> Task:
    """Load the task.

    Args:
        pictures: Any folder of images; the first `GALLERY` are searched. None: images/ in `folder`.

    Raises:
        BenchError: The file is missing or not the published one, a row is invalid, or there are no images.
    """
    path = folder / ANNOTATIONS
    if not path.is_file():
        raise BenchError(f"no such file: {path}", hint=f"put it there; {_SOURCE}")
    task = judged.load(NAME, path, pictures or folder / IMAGES, most_images=GALLERY)
    check_count(len(task.items), ITEMS, path)
    return task
