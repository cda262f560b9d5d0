"""Reading and checking of image files for derived training sets.

Images are copied byte for byte, never encoded again.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from curation_db.exporting.training_rows import TrainingRow
from curation_db.image_decoding import MAX_PIXELS, ImageProblem, RefusedImageError, cause_of, open_image, open_regular

Locate = Callable[[str, str | None], Path | None]
"""Function from (source, file name) to the path of the image; None where the file is missing."""

_EXTENSIONS = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif", "JPEG2000": "jp2"}


@dataclass(frozen=True, slots=True)
class ImageFile:
    path: Path
    data: bytes
    sha256: str
    extension: str
    """By the content, as in "jpg"; the name of the file may have another."""


def images_of(
    rows: Iterable[TrainingRow], locate: Locate
) -> Iterator[tuple[list[TrainingRow], ImageFile | ImageProblem]]:
    """Yield the rows of each image with its checked file, or with the reason why it cannot be used.

    Threads read and decode the next images meanwhile. The rows of an image must be adjacent, as in an export.
    """
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pool = ThreadPoolExecutor(workers, thread_name_prefix="images")
    waiting: deque[tuple[list[TrainingRow], Future[ImageFile | ImageProblem]]] = deque()
    try:
        for (source, _, name), group in groupby(rows, key=_image_of):
            waiting.append((list(group), pool.submit(read_checked, locate(source, name))))
            if len(waiting) > 2 * workers:
                listed, future = waiting.popleft()
                yield listed, future.result()
        while waiting:
            listed, future = waiting.popleft()
            yield listed, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _image_of(row: TrainingRow) -> tuple[str, str, str | None]:
    return row.item.source, row.item.image_key, row.item.file_name


def read_checked(path: Path | None) -> ImageFile | ImageProblem:
    """Read an image file; return why it cannot be used where a training program could not decode it.

    Such programs stop at a file that is cut off, and refuse more pixels than `MAX_PIXELS`.
    """
    try:
        with open_regular(path) as file:
            data = file.read()
        with open_image(io.BytesIO(data)) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise RefusedImageError(ImageProblem.TOO_LARGE)
            opened.draft(None, (opened.width // 8, opened.height // 8))  # a JPEG is decoded at an eighth of its size
            opened.load()
            form = opened.format or ""
    except Exception as error:  # Pillow's readers raise nearly any exception on a hostile file
        return cause_of(error)
    assert path is not None
    return ImageFile(path, data, hashlib.sha256(data).hexdigest(), _EXTENSIONS.get(form, form.lower()))
