"""Images for models: upright RGB within a size limit, or the reason why there is none.

`workbench.images.decode` decodes and rejects hostile files and decompression bombs, as for the screen. A judge gets the
whole image or none: in a truncated image the missing part would be judged absent.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from curation_db.image_decoding import ImageProblem
from workbench.generation.engines.requests import ImagePayload, ModelAnswer, RequestFailure
from workbench.images.decode import load_thumbnail

if TYPE_CHECKING:
    from PIL import Image

GREY: Final = 127
"""Grey value of a blank image."""


class ImageUnavailable(Exception):
    """The image is missing or cannot be decoded."""

    def __init__(self, failure: RequestFailure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail

    @property
    def answer(self) -> ModelAnswer:
        """The answer to every request about the image."""
        return ModelAnswer(error=self.failure, detail=self.detail)


def load_image(picture: ImagePayload, side: int) -> Image.Image:
    """Load an image as RGB with the longer side at most `side` pixels; a blank one is grey.

    Raises:
        ImageUnavailable: the file is missing, truncated, or not an image.
    """
    return grey_image(side) if picture.blank else load_image_file(picture.path, side)


def load_image_file(path: Path | None, side: int) -> Image.Image:
    """Load an image file, as `load_image` does."""
    decoded = load_thumbnail(path, (side, side))
    if decoded.image is None:
        missing = decoded.cause is ImageProblem.MISSING
        problem = decoded.problem or "the picture cannot be decoded"
        raise ImageUnavailable(RequestFailure.PICTURE_MISSING if missing else RequestFailure.PICTURE_BAD, problem)
    if decoded.cut_off:
        raise ImageUnavailable(RequestFailure.PICTURE_BAD, "the picture file is cut off")
    return decoded.image


def grey_image(side: int, grey: int = GREY) -> Image.Image:
    """Return an image of one grey value (0 black, 255 white) in 4:3: it costs as many tokens as a photograph."""
    from PIL import Image  # noqa: PLC0415  # deferred: 25 ms

    return Image.new("RGB", (side, max(1, side * 3 // 4)), (grey, grey, grey))
