"""NegBench (Alhamoud et al., CVPR 2025): multiple choice, and retrieval by captions that say what is absent.

Multiple choice, which of four captions describes the image, reads the CSV files of the published folder: image_path,
correct_answer (an index), caption_0 to caption_3 and correct_answer_template (positive, negative or hybrid). In COCO
and VOC the right caption is always the first one, and the published code takes the first highest score, so a constant
model has 100 % under `official`. Paths of images are those of the authors' machine; only the file name counts. Rows
with a known defect, such as remarks of the language model that wrote the captions, are flagged: the other items are
the subset clean.

Retrieval reads filepath and captions, a Python list written as text, which is parsed and never evaluated.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from benchmarks.errors import BenchError
from benchmarks.row_defects import CLEAN, defect_slice
from benchmarks.task import BenchItem, Subset, Task, items_in
from benchmarks.tasks.captions import caption_item, captions_task
from benchmarks.tasks.published_files import check_count, read_csv
from benchmarks.tasks.retrieval import from_captions

VERSION = "1"
CHOICES: Final = tuple(f"caption_{n}" for n in range(4))
TEMPLATES: Final = ("positive", "negative", "hybrid")


class McqFile(NamedTuple):
    file: str
    items: int
    """Items of the published file."""
    images: str
    """Folder of the images, below the folder of the files."""


MCQ_FILES: Final[Mapping[str, McqFile]] = {
    "negbench-coco-mcq": McqFile("COCO_val_mcq_llama3.1_rephrased.csv", 5914, "val2017"),
    "negbench-voc-mcq": McqFile("VOC2007_mcq_llama3.1_rephrased.csv", 5031, "voc2007"),
    "negbench-synthetic-mcq": McqFile("synthetic_mcq_llama3.1_rephrased.csv", 9997, "synthetic"),
}


def load_mcq(name: str, folder: Path, pictures: Path | None = None) -> Task:
    """Load a multiple-choice file.

    Args:
        name: Name of the task, a key of `MCQ_FILES`.
        folder: Folder of the CSV files.
        pictures: Folder of the images; None: the one of `MCQ_FILES` in `folder`.

    Raises:
        BenchError: The file is missing or not the published one, or a row is invalid.
    """
    file = MCQ_FILES[name]
    path = folder / file.file
    rows, sha256 = read_csv(path, ["image_path", "correct_answer", *CHOICES, "correct_answer_template"])
    check_count(len(rows), file.items, path)
    items = items_in(rows, _item, f"{path}, row")
    subsets = (*(Subset(template, "template", template) for template in TEMPLATES), CLEAN)
    return captions_task(name, VERSION, sha256, items, pictures or folder / file.images, subsets=subsets)


def _item(row: Mapping[str, str], place: int) -> BenchItem:
    captions = [row[choice] for choice in CHOICES]
    template, answer = row["correct_answer_template"], row["correct_answer"]
    if template not in TEMPLATES:
        raise ValueError(f"'correct_answer_template' must be one of {', '.join(TEMPLATES)}, got {template!r}")
    if answer not in {"0", "1", "2", "3"}:
        raise ValueError(f"'correct_answer' must be an index from 0 to 3, got {answer!r}")
    return caption_item(
        id=f"{place:05d}",
        image=PurePosixPath(row["image_path"]).name,
        captions=captions,
        target=int(answer),
        slices={"template": template, **defect_slice(captions, int(answer))},
    )


class RetrievalFile(NamedTuple):
    file: str
    images: int
    """Images of the published file."""
    folder: str
    """Folder of the images, below the folder of the files."""


RETRIEVAL_FILES: Final[Mapping[str, RetrievalFile]] = {
    "negbench-coco": RetrievalFile("COCO_val_retrieval.csv", 5000, "val2017"),
    "negbench-coco-neg": RetrievalFile(
        "COCO_val_negated_retrieval_llama3.1_rephrased_affneg_true.csv", 5000, "val2017"
    ),
    "negbench-synthetic-neg": RetrievalFile("synthetic_retrieval_v1.csv", 5000, "synthetic"),
}
"""Files by the name of the task without its direction, -t2i or -i2t."""


def load_retrieval(name: str, folder: Path, pictures: Path | None = None) -> Task:
    """Load one direction of a retrieval file.

    Args:
        name: Name of the task: a key of `RETRIEVAL_FILES` with -t2i, or -i2t where images are the queries.
        folder: Folder of the CSV files.
        pictures: Folder of the images; None: the one of `RETRIEVAL_FILES` in `folder`.

    Raises:
        BenchError: The file is missing or not the published one, or a row is invalid.
    """
    stem, _, direction = name.rpartition("-")
    file = RETRIEVAL_FILES[stem]
    path = folder / file.file
    rows, sha256 = read_csv(path, ["filepath", "captions"])
    check_count(len(rows), file.images, path)
    captions = [
        (PurePosixPath(row["filepath"]).name, _list(row["captions"], f"{path}, row {n}")) for n, row in enumerate(rows)
    ]
    images = pictures or folder / file.folder
    return from_captions(name, VERSION, sha256, captions, images, where=str(path), to_captions=direction == "i2t")


def _list(text: str, where: str) -> list[str]:
    """Parse a list of texts in Python's notation; nothing is evaluated.

    Raises:
        BenchError: `text` is something else.
    """
    try:
        values = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise BenchError(f"{where}: 'captions' is not a list of texts") from error
    if not isinstance(values, list):
        raise BenchError(f"{where}: 'captions' is not a list of texts")
    return values
