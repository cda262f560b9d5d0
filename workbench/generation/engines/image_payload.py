"""Pictures as servers take them: a small JPEG in a data URL, or a file URL. Decoded once, never on the event loop."""

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
"""Pictures in memory at a time; some 60 kB each."""
_MAX_DECODERS: Final = 4
_PREFIX: Final = "data:image/jpeg;base64,"
_MISSING: Final = "the picture is missing"


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """A picture as it is sent, or why it is not."""

    url: str = ""
    error: str = ""
    """A `RequestFailure`."""
    detail: str = ""

    @property
    def base64(self) -> str:
        """The JPEG alone, where it is in the URL."""
        return self.url.removeprefix(_PREFIX)


def data_url(path: Path | None, side: int) -> EncodedImage:
    """The picture upright, in RGB, its longer side at most `side` pixels, as a JPEG. Never raises; takes 5-100 ms."""
    try:
        return EncodedImage(_encoded(load_image_file(path, side)))
    except ImageUnavailable as unseen:
        return EncodedImage(error=unseen.failure, detail=unseen.detail)


def file_url(path: Path | None) -> EncodedImage:
    """The file's own URL, for a server that may read our disk."""
    if path is None or not path.is_file():
        return EncodedImage(error=RequestFailure.PICTURE_MISSING, detail=_MISSING)
    return EncodedImage(path.resolve().as_uri())


def blank_url(side: int) -> EncodedImage:
    """A grey picture in the shape of most photographs: nothing to see, as many tokens."""
    return grey_url(side, GREY)


@lru_cache(maxsize=8)
def grey_url(side: int, grey: int) -> EncodedImage:
    """A picture of one grey from 0 (black) to 255 (white)."""
    return EncodedImage(_encoded(grey_image(side, grey)))


def _encoded(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY)
    return _PREFIX + base64.b64encode(buffer.getvalue()).decode("ascii")


class ImageEncoder:
    """The pictures that are asked about now, each decoded once however many questions there are; for one event loop."""

    def __init__(self, side: int, *, as_files: bool = False, kept: int = _CACHED_IMAGES) -> None:
        self._side = side
        self._as_files = as_files
        self._kept = kept
        self._at_once = asyncio.Semaphore(_MAX_DECODERS)
        self._made: OrderedDict[Path, asyncio.Task[EncodedImage]] = OrderedDict()

    async def show(self, picture: ImagePayload, *, as_data: bool = False) -> EncodedImage:
        """The picture as it is sent; `as_data`: in the request in any case."""
        if picture.blank:
            return blank_url(self._side)
        if picture.path is None:
            return EncodedImage(error=RequestFailure.PICTURE_MISSING, detail=_MISSING)
        if self._as_files and not as_data:
            return file_url(picture.path)
        task = self._made.get(picture.path)
        if task is None:
            task = self._made[picture.path] = asyncio.create_task(self._make(picture.path))
            while len(self._made) > self._kept:
                self._made.popitem(last=False)
        else:
            self._made.move_to_end(picture.path)
        return await asyncio.shield(task)  # others may wait for the same one

    async def close(self) -> None:
        """Wait for what is being decoded."""
        await asyncio.gather(*self._made.values(), return_exceptions=True)

    async def _make(self, path: Path) -> EncodedImage:
        async with self._at_once:
            return await asyncio.to_thread(data_url, path, self._side)
