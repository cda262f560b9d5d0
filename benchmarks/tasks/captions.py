"""Captions tasks: which caption describes the image?

Reads a list of {image, captions, right}: the captions to choose from, and the index of the right one. Optional keys:
id, cluster, slices (texts by the name of a cut), and box, [x, y, width, height] in pixels, if the captions are about a
region. Benchmarks with a format of their own build their items with `caption_item`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.baselines import CAPTION_BASELINES, FIRST_CAPTION
from benchmarks.errors import BenchError
from benchmarks.task import BenchItem, Box, OfficialRule, Subset, Task, file_name, items_in, read_json, slices_of
from benchmarks.tasks.regions import parse_box

VERSION = "1"


def load(name: str, path: Path, pictures: Path) -> Task:
    """Load the task in the file at `path`, with its images in the folder `pictures`.

    Raises:
        BenchError: The file is missing, or a row is invalid.
    """
    rows, sha256 = read_json(path)
    if not isinstance(rows, list) or not rows:
        raise BenchError(f"{path}: expected a list of items")
    return captions_task(name, VERSION, sha256, items_in(rows, _item, f"{path}, item"), pictures)


def captions_task(
    name: str,
    version: str,
    dataset_sha256: str,
    items: tuple[BenchItem, ...],
    pictures: Path,
    *,
    official: OfficialRule = "argmax",
    subsets: tuple[Subset, ...] = (),
    fetch_command: str = "",
) -> Task:
    """Return a captions task with the baselines of its kind.

    Args:
        official: How the published code chooses.
        subsets: Items that have a score of their own.
    """
    return Task(
        name=name,
        version=version,
        kind="captions",
        dataset_sha256=dataset_sha256,
        items=items,
        pictures=pictures,
        baselines=CAPTION_BASELINES if official == "greater" else {**CAPTION_BASELINES, **FIRST_CAPTION},
        official=official,
        subsets=subsets,
        fetch_command=fetch_command,
    )


def caption_item(
    *,
    id: str,
    image: object,
    captions: Sequence[object],
    target: int,
    cluster: str | None = None,
    box: Box | None = None,
    slices: Mapping[str, str] | None = None,
) -> BenchItem:
    """Return a checked item; its cue is the first one of its right caption.

    Args:
        cluster: None: the image.
        slices: Further cuts.

    Raises:
        ValueError: A caption is not a text, or the image is not a file name.
    """
    texts = tuple(text for text in captions if isinstance(text, str) and text.strip())
    if len(texts) < max(2, len(captions)):
        raise ValueError("expected two captions or more, each a text")
    if not 0 <= target < len(texts):
        raise ValueError(f"the right caption is number {target} of {len(texts)}, from 0")
    name = file_name(image)
    return BenchItem(
        id=id,
        image=name,
        text=texts[target],
        captions=texts,
        box=box,
        target=target,
        cluster=cluster or name,
        slices={**slices_of(texts[target]), **(slices or {})},
    )


def _item(row: object, place: int) -> BenchItem:
    if not isinstance(row, Mapping):
        raise ValueError("expected an object")
    captions, right = row.get("captions"), row.get("right")
    if not isinstance(captions, list) or type(right) is not int:
        raise ValueError("'captions' must be a list and 'right' an index in it")
    slices = row.get("slices", {})
    if not isinstance(slices, dict) or not all(isinstance(value, str) for value in slices.values()):
        raise ValueError("'slices' must be an object of texts")
    return caption_item(
        id=str(row.get("id", f"{place:05d}")),
        image=row.get("image"),
        captions=captions,
        target=right,
        cluster=str(row["cluster"]) if "cluster" in row else None,
        box=parse_box(row["box"]) if "box" in row else None,
        slices=slices,
    )
