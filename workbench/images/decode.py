"""Pictures for the screen: decoded safely, small or to be zoomed into, and kept for a while. Knows no widget.

A picture file is hostile input. Whatever lies at a path, `load_thumbnail` returns: a picture of at most the
asked size, or one clean line that says what is wrong. It may take 100 ms, so it is called off the UI thread;
Pillow is imported inside it (25-40 ms) for the same reason.
"""

from __future__ import annotations

import math
import stat
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO, TYPE_CHECKING

from curation_db.image_paths import display_size
from curation_db.language.sanitize import display_text
from workbench.images.pixel_formats import averageable, opaque, rows_alone, upright

if TYPE_CHECKING:
    from PIL import Image, ImageFile

    _Work = tuple[Image.Image, bool, str]
    """An image, whether its file ended early, and a further note."""

MAX_PIXELS = 89_478_485
"""So many are decoded at most: Pillow's own limit (a quarter of a GiB in RGB), here an error."""
MAX_JPEG_PIXELS = 500_000_000
"""A JPEG may have more, 20,000 x 20,000 say: it is decoded at a half to an eighth of its size, in little memory."""
KEPT_PIXELS = 50_000_000
"""A picture to be zoomed into is kept with so many at most (150 MB); a larger one at a part of its detail."""
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "TGA", "ICO", "JPEG2000", "WEBP", "AVIF")
"""Only these are tried: Pillow's other readers include one that starts a program (EPS)."""
CUT_OFF = "cut off: as far as it goes"
FIRST_FRAME = "animation: its first frame"
FIRST_PAGE = "several pages: the first"
_JPEG_START = b"\xff\xd8\xff"
_NAME_LIMIT = 80


class ImageProblem(Enum):
    """Why a file was not decoded. The value is the message that a person reads."""

    MISSING = "the picture is missing"
    UNREADABLE = "the picture may not be read"
    NOT_A_FILE = "not a file"
    EMPTY = "the picture file is empty"
    NOT_AN_IMAGE = "not a picture"
    NO_PIXELS = "the picture has no pixels"
    TOO_LARGE = f"too large to decode (over {MAX_PIXELS // 1_000_000} megapixels)"
    NO_MEMORY = "not enough memory for the picture"
    DAMAGED = "the picture is damaged"


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """A picture ready for the screen, or why there is none. Compared by identity: it keys caches."""

    image: Image.Image | None
    """RGB, upright."""
    problem: str | None
    """One line without control characters; still to be shown as text, never as markup."""
    size: tuple[int, int] | None
    """Width and height of the file's picture, upright, in pixels; known for some broken files too."""
    note: str = ""
    """What is not all of the file in what is shown: a later frame, the end of a file that was cut off."""
    cause: ImageProblem | None = None
    """The code of `problem`."""
    cut_off: bool = False
    """The file ends early: the image shows the part before its end."""


class _RefusedError(Exception):
    """The file is not decoded."""

    def __init__(self, cause: ImageProblem) -> None:
        super().__init__(cause.value)
        self.cause = cause


def load_thumbnail(path: Path | None, box: tuple[int, int], *, name: str = "") -> Thumbnail:
    """The picture at `path` in at most `box` pixels. Never raises.

    Args:
        path: The file, or None where it was not found.
        box: Greatest width and height; a smaller picture stays as it is.
        name: What a problem calls the picture; the file's name unless told.
    """
    return _load(path, name, lambda opened: _shrunk(opened, box))


def load_full(path: Path | None, *, name: str = "", most: int = KEPT_PIXELS) -> Thumbnail:
    """The picture at `path` in all its detail, as far as `most` pixels go. Never raises."""
    return _load(path, name, lambda opened: _full(opened, most))


def _load(path: Path | None, name: str, work: Callable[[ImageFile.ImageFile], _Work]) -> Thumbnail:
    size: tuple[int, int] | None = None
    try:
        with _open_regular(path) as file, _open_picture(file) as opened:
            size = display_size(opened)
            several = _several(opened)  # before decoding, which ends the file for some readers
            image, cut_off, note = work(opened)
            note = " · ".join(filter(None, (several, CUT_OFF if cut_off else "", note)))
            return Thumbnail(image, None, size, note, cut_off=cut_off)
    except Exception as error:  # decoders of hostile bytes raise anything: struct.error, SyntaxError ...
        called = display_text(name or (path.name if path else ""), limit=_NAME_LIMIT)
        cause = _cause(error)
        return Thumbnail(None, f"{cause.value}: {called}" if called else cause.value, size, cause=cause)


def _open_regular(path: Path | None) -> IO[bytes]:
    if path is None:
        raise FileNotFoundError
    told = path.stat()
    if not stat.S_ISREG(told.st_mode):  # a pipe would wait for ever, a device never end
        raise _RefusedError(ImageProblem.NOT_A_FILE)
    if told.st_size == 0:
        raise _RefusedError(ImageProblem.EMPTY)
    return path.open("rb")


def _open_picture(file: IO[bytes]) -> ImageFile.ImageFile:
    from PIL import Image, JpegImagePlugin  # noqa: PLC0415  # deferred: 25-40 ms

    # Above its limit Pillow only warns, up to twice of it. Set each time: test runners reset the filters.
    warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
    start = file.read(len(_JPEG_START))
    file.seek(0)
    opened: ImageFile.ImageFile
    try:
        # Not by way of `Image.open`, whose limit knows nothing of decoding at a part of the size.
        opened = JpegImagePlugin.JpegImageFile(file) if start == _JPEG_START else Image.open(file, formats=FORMATS)
    except KeyError:  # nothing fits, down to a format that this Pillow was built without
        raise _RefusedError(ImageProblem.NOT_AN_IMAGE) from None
    if opened.width < 1 or opened.height < 1:
        raise _RefusedError(ImageProblem.NO_PIXELS)
    scalable = opened.format == "JPEG" and not opened.info.get("progressive")  # that kind is held whole in any case
    if opened.width * opened.height > (MAX_JPEG_PIXELS if scalable else MAX_PIXELS):
        raise Image.DecompressionBombError
    return opened


def _several(opened: Image.Image) -> str:
    try:
        more = bool(getattr(opened, "is_animated", False))
    except Exception:  # what comes after the first frame is broken
        more = False
    return "" if not more else FIRST_PAGE if opened.format == "TIFF" else FIRST_FRAME


def _decoded(opened: ImageFile.ImageFile) -> tuple[Image.Image, bool]:
    """The decoded pixels in a mode that can be averaged, and whether the file ended early."""
    if opened.width * opened.height > MAX_PIXELS:
        raise _RefusedError(ImageProblem.TOO_LARGE)  # a JPEG, asked for at a size that none of its scales comes near
    try:
        opened.load()
    except (OSError, SyntaxError, EOFError):
        opened.tile = []  # from now on what was decoded before the end is the picture
        seen = opened.getbbox()
        if seen is None:  # nothing was
            raise
        return rows_alone(averageable(opened), seen[1], seen[3]), True
    return averageable(opened), False


def _shrunk(opened: ImageFile.ImageFile, box: tuple[int, int]) -> _Work:
    from PIL import Image  # noqa: PLC0415

    # First into a square, because the picture may lie on its side; for a JPEG this decodes at a lower scale.
    side = max(box)
    share = min(1.0, 2 * side / max(opened.size))
    opened.draft(None, (math.ceil(opened.width * share), math.ceil(opened.height * share)))
    image, cut_off = _decoded(opened)
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    image = opaque(upright(image))
    image.thumbnail(box, Image.Resampling.LANCZOS, reducing_gap=2.0)
    return image, cut_off, ""


def _full(opened: ImageFile.ImageFile, most: int) -> _Work:
    width, height = opened.size
    part = max(1, math.ceil(math.sqrt(width * height / most)))
    opened.draft(None, (max(1, width // part), max(1, height // part)))
    image, cut_off = _decoded(opened)
    left = math.ceil(math.sqrt(image.width * image.height / most))  # no JPEG: decoded whole, then made smaller
    image = opaque(upright(image.reduce(left) if left > 1 else image))
    lost = round(max(width, height) / max(image.size))
    return image, cut_off, f"at 1/{lost} of its detail" if lost > 1 else ""


_CAUSES: dict[str, ImageProblem] = {
    "FileNotFoundError": ImageProblem.MISSING,
    "NotADirectoryError": ImageProblem.MISSING,
    "PermissionError": ImageProblem.UNREADABLE,
    "UnidentifiedImageError": ImageProblem.NOT_AN_IMAGE,
    "DecompressionBombWarning": ImageProblem.TOO_LARGE,
    "DecompressionBombError": ImageProblem.TOO_LARGE,
    "MemoryError": ImageProblem.NO_MEMORY,
}
"""By the name of the exception class: importing Pillow's classes here would cost 25 to 40 ms."""


def _cause(error: Exception) -> ImageProblem:
    if isinstance(error, _RefusedError):
        return error.cause
    return _CAUSES.get(type(error).__name__, ImageProblem.DAMAGED)


def fit_cells(size: tuple[int, int], columns: int, rows: int, cell: tuple[int, int] = (1, 2)) -> tuple[int, int]:
    """The largest part of `columns` x `rows` cells with the shape of `size`, where `cell` is the shape of one."""
    width, height = size
    tall = cell[1] / cell[0]
    scale = min(columns / width, tall * rows / height)
    return max(1, min(columns, round(width * scale))), max(1, min(rows, round(height * scale / tall)))


class ThumbnailCache:
    """The thumbnails used last. Any thread may ask; the decoding itself holds no lock.

    A file that changed is decoded anew. Problems are not kept: the file may be mended, or come back.
    """

    def __init__(self, box: tuple[int, int], capacity: int = 32) -> None:
        self._box = box
        self._capacity = max(1, capacity)
        self._kept: OrderedDict[tuple[object, ...], Thumbnail] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def box(self) -> tuple[int, int]:
        """Greatest width and height of a thumbnail."""
        return self._box

    @box.setter
    def box(self, box: tuple[int, int]) -> None:
        self._box = box  # in the key: what was decoded for another pane is not served, and ages out

    def get(self, path: Path | None, name: str = "") -> Thumbnail:
        """The thumbnail of `path`, decoded now if need be."""
        box = self._box
        key = _key(path, box)
        known = self._look_up(key)
        if known is not None:
            return known
        made = load_thumbnail(path, box, name=name)
        if key is not None and made.image is not None:
            self._keep(key, made)
        return made

    def peek(self, path: Path | None) -> Thumbnail | None:
        """The thumbnail of `path` if it is here already: cheap enough for the UI thread."""
        return self._look_up(_key(path, self._box))

    def _look_up(self, key: tuple[object, ...] | None) -> Thumbnail | None:
        with self._lock:
            if key is None or key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key]

    def _keep(self, key: tuple[object, ...], made: Thumbnail) -> None:
        with self._lock:
            self._kept[key] = made
            self._kept.move_to_end(key)
            while len(self._kept) > self._capacity:
                self._kept.popitem(last=False)


def _key(path: Path | None, box: tuple[int, int]) -> tuple[object, ...] | None:
    try:
        told = path.stat() if path is not None else None
    except (OSError, ValueError):
        return None
    return None if told is None else (path, told.st_mtime_ns, told.st_size, box)
