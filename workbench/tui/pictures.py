"""Pictures for the screen: decoded small and safely, and kept for a while. Knows no widget.

A picture file is hostile input. Whatever lies at a path, `load_thumbnail` returns: a picture of at most the
asked size, or one clean line that says what is wrong. It may take 100 ms, so it is called off the UI thread;
Pillow is imported inside it (25-40 ms) for the same reason.
"""

from __future__ import annotations

import stat
import threading
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from curation_db.text import display_text

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 89_478_485
"""What is larger than this is not decoded: Pillow's own limit (a quarter of a GiB in RGB), here an error."""
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "TGA", "ICO", "JPEG2000", "WEBP", "AVIF")
"""Only these are tried: Pillow's other readers include one that starts a program (EPS)."""
BEHIND = (128, 128, 128)
"""Shows through transparent pixels: black and white drawings both stand out from it."""
_SHRINKS_AS_IS = {"L", "RGB", "RGBA", "CMYK", "YCbCr"}
_NAME_LIMIT = 80


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """A picture ready for the screen, or why there is none. Compared by identity: it keys caches."""

    image: Image.Image | None
    """RGB, upright."""
    problem: str | None
    """One line without control characters; still to be shown as text, never as markup."""
    size: tuple[int, int] | None
    """Width and height of the file's picture, upright, in pixels; known for some broken files too."""


class _RefusedError(Exception):
    """A file that is not decoded; the text is the reason."""


def load_thumbnail(path: Path | None, box: tuple[int, int], *, name: str = "") -> Thumbnail:
    """The picture at `path` in at most `box` pixels. Never raises.

    Args:
        path: The file, or None where it was not found.
        box: Greatest width and height; a smaller picture stays as it is.
        name: What a problem calls the picture; the file's name unless told.
    """
    size: tuple[int, int] | None = None
    try:
        with _open_regular(path) as file, _open_picture(file) as opened:
            size = _upright_size(opened)
            return Thumbnail(_shrunk(opened, box), None, size)
    except Exception as error:  # decoders of hostile bytes raise anything: struct.error, SyntaxError ...
        called = display_text(name or (path.name if path else ""), limit=_NAME_LIMIT)
        return Thumbnail(None, f"{_reason(error)}: {called}" if called else _reason(error), size)


def _open_regular(path: Path | None) -> IO[bytes]:
    if path is None:
        raise FileNotFoundError
    told = path.stat()
    if not stat.S_ISREG(told.st_mode):  # a pipe would wait for ever, a device never end
        raise _RefusedError("not a file")
    if told.st_size == 0:
        raise _RefusedError("the picture file is empty")
    return path.open("rb")


def _open_picture(file: IO[bytes]) -> Image.Image:
    from PIL import Image  # noqa: PLC0415  # deferred: 25-40 ms

    # Above its limit Pillow only warns, up to twice of it. Set each time: test runners reset the filters.
    warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
    try:
        opened = Image.open(file, formats=FORMATS)
    except KeyError:  # nothing fits, down to a format that this Pillow was built without
        raise _RefusedError("not a picture") from None
    if opened.width * opened.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    if opened.width < 1 or opened.height < 1:
        raise _RefusedError("the picture has no pixels")
    return opened


def _upright_size(opened: Image.Image) -> tuple[int, int]:
    try:
        # Pillow turns TIFF by itself, and tells the size of what it will have turned.
        turned = opened.format != "TIFF" and opened.getexif().get(0x0112) in {5, 6, 7, 8}
    except Exception:  # broken EXIF is no reason to show nothing
        turned = False
    return (opened.height, opened.width) if turned else (opened.width, opened.height)


def _shrunk(opened: Image.Image, box: tuple[int, int]) -> Image.Image:
    from PIL import Image, ImageOps  # noqa: PLC0415

    image = opened if opened.mode in _SHRINKS_AS_IS and not _keyed(opened) else _plain(opened)
    # First into a square, because the picture may lie on its side; for a JPEG this decodes at a lower scale.
    side = max(box)
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    try:
        image = ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF: as the pixels lie
        image.load()
    image = _opaque(image)
    image.thumbnail(box, Image.Resampling.LANCZOS, reducing_gap=2.0)
    return image


def _keyed(image: Image.Image) -> bool:
    """Whether one colour of a picture without alpha stands for transparent; shrinking would blend it."""
    return image.mode != "RGBA" and "transparency" in image.info


def _plain(image: Image.Image) -> Image.Image:
    """In a mode whose pixels may be averaged: palettes looked up, deep greys in 8 bits."""
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode == "F" or image.mode.startswith("I"):
        return _eight_bits(image)
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Deep grey (16 or 32 bits, or floating point) to 8 bits; Pillow would clip most of it to white."""
    grey = image.convert("F")
    low, high = (float(bound) for bound in grey.getextrema() if not isinstance(bound, tuple))
    if image.mode != "F":
        low, high = 0.0, 255.0 if high <= 255 else 65_535.0 if high <= 65_535 else high
    scale = 255 / (high - low) if high > low else 1.0
    scaled = grey.point(lambda value: value * scale + -low * scale)
    return scaled.convert("L")


def _opaque(image: Image.Image) -> Image.Image:
    from PIL import Image  # noqa: PLC0415

    if image.mode != "RGBA":
        return image.convert("RGB")
    flat = Image.new("RGB", image.size, BEHIND)
    flat.paste(image, mask=image.getchannel("A"))
    return flat


_REASONS: tuple[tuple[str, str], ...] = (
    ("FileNotFoundError", "the picture is missing"),
    ("NotADirectoryError", "the picture is missing"),
    ("PermissionError", "the picture may not be read"),
    ("UnidentifiedImageError", "not a picture"),
    ("DecompressionBombWarning", f"too large to decode (over {MAX_PIXELS // 1_000_000} megapixels)"),
    ("DecompressionBombError", f"too large to decode (over {MAX_PIXELS // 1_000_000} megapixels)"),
    ("MemoryError", "not enough memory for the picture"),
)
"""By the class's name: Pillow's classes are not imported here."""


def _reason(error: Exception) -> str:
    if isinstance(error, _RefusedError):
        return str(error)
    return dict(_REASONS).get(type(error).__name__, "the picture is damaged")


def fit_cells(size: tuple[int, int], columns: int, rows: int) -> tuple[int, int]:
    """The largest part of `columns` x `rows` cells with the shape of `size`; a cell is 1 wide and 2 high."""
    width, height = size
    scale = min(columns / width, 2 * rows / height)
    return max(1, min(columns, round(width * scale))), max(1, min(rows, round(height * scale / 2)))


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
