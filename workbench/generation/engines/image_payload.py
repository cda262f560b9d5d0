"""Images encoded for servers: a small JPEG in a data URL, or a file URL. Each is decoded once, in a thread."""

from __future__ import annotations

import asyncio
import base64
import io
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from workbench.generation.engines.image_input import GREY, ImageUnavailable, grey_image, load_image_file
from workbench.generation.engines.requests import ImagePayload, RequestFailure

if TYPE_CHECKING:
    from PIL import Image

JPEG_QUALITY: Final = 90
_CACHED_IMAGES: Final = 256
"""Encoded images in memory; about 60 kB each."""
_MAX_DECODERS: Final = 4
_PREFIX: Final = "data:image/jpeg;base64,"
_MISSING: Final = "the picture is missing"


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """The URL of an image in a request, or why there is none."""

    url: str = ""
    error: str = ""
    """A `RequestFailure` value."""
    detail: str = ""

    @property
    def base64(self) -> str:
        """The base64 JPEG of a data URL."""
        return self.url.removeprefix(_PREFIX)


def data_url(path: Path | None, side: int) -> EncodedImage:
    """Encode an image as a JPEG data URL, its longer side at most `side` pixels. Never raises; takes 5-100 ms."""
    try:
        return EncodedImage(_encoded(load_image_file(path, side)))
    except ImageUnavailable as error:
        return EncodedImage(error=error.failure, detail=error.detail)


def file_url(path: Path | None) -> EncodedImage:
    """Return the file:// URL, for a server that can read this machine's disk."""
    if path is None or not path.is_file():
        return EncodedImage(error=RequestFailure.PICTURE_MISSING, detail=_MISSING)
    return EncodedImage(path.resolve().as_uri())


def blank_url(side: int) -> EncodedImage:
    """Encode a blank image; see `grey_image`."""
    return grey_url(side, GREY)


@lru_cache(maxsize=8)
def grey_url(side: int, grey: int) -> EncodedImage:
    """Encode an image of one grey value (0 black, 255 white)."""
    return EncodedImage(_encoded(grey_image(side, grey)))


def _encoded(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY)
    return _PREFIX + base64.b64encode(buffer.getvalue()).decode("ascii")


class ImageEncoder:
    """Encodes each image once for all requests about it; an LRU cache for one event loop."""

    def __init__(self, side: int, *, as_files: bool = False, max_cached: int = _CACHED_IMAGES) -> None:
        self._side = side
        self._as_files = as_files
        self._max_cached = max_cached
        self._decoders = asyncio.Semaphore(_MAX_DECODERS)
        self._tasks: OrderedDict[Path, asyncio.Task[EncodedImage]] = OrderedDict()

    async def encode(self, picture: ImagePayload, *, as_data: bool = False) -> EncodedImage:
        """Encode an image; `as_data` forces a data URL where file URLs are configured."""
        if picture.blank:
            return blank_url(self._side)
        if picture.path is None:
            return EncodedImage(error=RequestFailure.PICTURE_MISSING, detail=_MISSING)
        if self._as_files and not as_data:
            return file_url(picture.path)
        task = self._tasks.get(picture.path)
        if task is None:
            task = self._tasks[picture.path] = asyncio.create_task(self._encode_file(picture.path))
            while len(self._tasks) > self._max_cached:
                self._tasks.popitem(last=False)
        else:
            self._tasks.move_to_end(picture.path)
        return await asyncio.shield(task)  # other requests may await the same task

    async def close(self) -> None:
        """Wait for the running decoders."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _encode_file(self, path: Path) -> EncodedImage:
        async with self._decoders:
            return await asyncio.to_thread(data_url, path, self._side)
