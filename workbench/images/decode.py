"""Safe decoding of images: thumbnails with a cache, and large images for zooming. Uses no widget.

An image file is hostile input. `load_thumbnail` returns an image of at most the requested size, or one clean line with
the problem. It can take 100 ms, so it is not called in the UI thread; Pillow is imported inside it (25-40 ms).
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from curation_db.image_decoding import ImageProblem, cause_of, decode_pixels, opaque, open_image, open_regular, upright
from curation_db.image_paths import display_size
from curation_db.language.sanitize import display_text

if TYPE_CHECKING:
    from PIL import Image, ImageFile

    _Work = tuple[Image.Image, bool, str]
    """An image, whether its file ends early, and a further note."""

KEPT_PIXELS = 50_000_000
"""The most pixels of an image for zooming (150 MB); a larger image is reduced."""
CUT_OFF = "file cut off: only its first part"
FIRST_FRAME = "animation: only its first frame"
FIRST_PAGE = "several pages: only the first"
_NAME_LIMIT = 80


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """A decoded image, or the problem. Compared by identity, since it is a key of caches."""

    image: Image.Image | None
    """RGB, upright."""
    problem: str | None
    """One line without control characters; to be shown as text, never as markup."""
    size: tuple[int, int] | None
    """Width and height of the upright image in pixels; known for some broken files, too."""
    note: str = ""
    """The part of the file that is not shown, such as later frames."""
    cause: ImageProblem | None = None
    """The code of `problem`."""
    cut_off: bool = False
    """The file ends early: the image shows the part before its end."""


def load_thumbnail(path: Path | None, box: tuple[int, int], *, name: str = "") -> Thumbnail:
    """Decode the image at `path` into at most `box` pixels. Raises no exception.

    Args:
        path: The file; None: not found.
        box: Largest width and height in pixels; a smaller image stays as it is.
        name: The name of the image in a problem; the name of the file by default.
    """
    return _load(path, name, lambda opened: _shrunk(opened, box))


def load_full(path: Path | None, *, name: str = "", most: int = KEPT_PIXELS) -> Thumbnail:
    """Decode the image at `path` into at most `most` pixels. Raises no exception."""
    return _load(path, name, lambda opened: _full(opened, most))


def _load(path: Path | None, name: str, work: Callable[[ImageFile.ImageFile], _Work]) -> Thumbnail:
    size: tuple[int, int] | None = None
    try:
        with open_regular(path) as file, open_image(file) as opened:
            size = display_size(opened)
            several = _several(opened)  # before decoding, after which some readers cannot seek
            image, cut_off, note = work(opened)
            note = " · ".join(filter(None, (several, CUT_OFF if cut_off else "", note)))
            return Thumbnail(image, None, size, note, cut_off=cut_off)
    except Exception as error:  # decoders of hostile bytes raise any exception: struct.error, SyntaxError ...
        shown_name = display_text(name or (path.name if path else ""), limit=_NAME_LIMIT)
        cause = cause_of(error)
        return Thumbnail(None, f"{cause.value}: {shown_name}" if shown_name else cause.value, size, cause=cause)


def _several(opened: Image.Image) -> str:
    try:
        more = bool(getattr(opened, "is_animated", False))
    except Exception:  # the file is broken after its first frame
        more = False
    return "" if not more else FIRST_PAGE if opened.format == "TIFF" else FIRST_FRAME


def _shrunk(opened: ImageFile.ImageFile, box: tuple[int, int]) -> _Work:
    from PIL import Image  # noqa: PLC0415

    # First into a square, since the image may be rotated later; a JPEG is decoded at a lower scale.
    side = max(box)
    share = min(1.0, 2 * side / max(opened.size))
    opened.draft(None, (math.ceil(opened.width * share), math.ceil(opened.height * share)))
    image, cut_off = decode_pixels(opened)
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    image = opaque(upright(image))
    image.thumbnail(box, Image.Resampling.LANCZOS, reducing_gap=2.0)
    return image, cut_off, ""


def _full(opened: ImageFile.ImageFile, most: int) -> _Work:
    width, height = opened.size
    part = max(1, math.ceil(math.sqrt(width * height / most)))
    opened.draft(None, (max(1, width // part), max(1, height // part)))
    image, cut_off = decode_pixels(opened)
    left = math.ceil(math.sqrt(image.width * image.height / most))  # other formats are decoded whole, then reduced
    image = opaque(upright(image.reduce(left) if left > 1 else image))
    lost = round(max(width, height) / max(image.size))
    return image, cut_off, f"at 1/{lost} of its detail" if lost > 1 else ""


def fit_cells(size: tuple[int, int], columns: int, rows: int, cell: tuple[int, int] = (1, 2)) -> tuple[int, int]:
    """Return the largest (columns, rows) with the aspect ratio of `size`; `cell` is the aspect ratio of one cell."""
    width, height = size
    tall = cell[1] / cell[0]
    scale = min(columns / width, tall * rows / height)
    return max(1, min(columns, round(width * scale))), max(1, min(rows, round(height * scale / tall)))


class ThumbnailCache:
    """Cache of the thumbnails used last. Thread-safe; decoding holds no lock.

    A changed file is decoded again. Problems are not cached, since the file may be repaired.
    """

    def __init__(self, box: tuple[int, int], capacity: int = 32) -> None:
        self._box = box
        self._capacity = max(1, capacity)
        self._thumbnails: OrderedDict[tuple[object, ...], Thumbnail] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._thumbnails)

    @property
    def box(self) -> tuple[int, int]:
        """Largest width and height of a thumbnail, in pixels."""
        return self._box

    @box.setter
    def box(self, box: tuple[int, int]) -> None:
        self._box = box  # part of the key, so thumbnails of another size are not returned

    def get(self, path: Path | None, name: str = "") -> Thumbnail:
        """Return the thumbnail of `path`; decode it if it is not cached."""
        box = self._box
        key = _key(path, box)
        cached = self._look_up(key)
        if cached is not None:
            return cached
        thumbnail = load_thumbnail(path, box, name=name)
        if key is not None and thumbnail.image is not None:
            self._store(key, thumbnail)
        return thumbnail

    def _look_up(self, key: tuple[object, ...] | None) -> Thumbnail | None:
        with self._lock:
            if key is None or key not in self._thumbnails:
                return None
            self._thumbnails.move_to_end(key)
            return self._thumbnails[key]

    def _store(self, key: tuple[object, ...], thumbnail: Thumbnail) -> None:
        with self._lock:
            self._thumbnails[key] = thumbnail
            self._thumbnails.move_to_end(key)
            while len(self._thumbnails) > self._capacity:
                self._thumbnails.popitem(last=False)


def _key(path: Path | None, box: tuple[int, int]) -> tuple[object, ...] | None:
    try:
        status = path.stat() if path is not None else None
    except (OSError, ValueError):
        return None
    return None if status is None else (path, status.st_mtime_ns, status.st_size, box)
