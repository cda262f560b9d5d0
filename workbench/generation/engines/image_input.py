"""Pictures for models: upright, RGB, no larger than asked, or a word for why there is none.

The decoder is the screen's (`workbench.images.decode`): hostile files and bombs are refused there. A judge must see the
whole picture or none: one that is cut off shows less than there is, and what is missing would be called absent.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from workbench.generation.engines.requests import ImagePayload, ModelAnswer, RequestFailure
from workbench.images.decode import ImageProblem, load_thumbnail

if TYPE_CHECKING:
    from PIL import Image

GREY: Final = 127
"""Of a blank picture."""


class ImageUnavailable(Exception):
    """There is no picture to look at."""

    def __init__(self, failure: RequestFailure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail

    @property
    def answer(self) -> ModelAnswer:
        """What a question about it is answered with."""
        return ModelAnswer(error=self.failure, detail=self.detail)


def load_image(picture: ImagePayload, side: int) -> Image.Image:
    """What `picture` shows, or grey where it is blank.  -> RGB, the longer side at most `side` pixels

    Raises:
        Unseen: its file is missing, or is none that can be decoded whole.
    """
    return grey_image(side) if picture.blank else load_image_file(picture.path, side)


def load_image_file(path: Path | None, side: int) -> Image.Image:
    """As `open_picture`, of a file."""
    seen = load_thumbnail(path, (side, side))
    if seen.image is None:
        missing = seen.cause is ImageProblem.MISSING
        problem = seen.problem or "the picture cannot be decoded"
        raise ImageUnavailable(RequestFailure.PICTURE_MISSING if missing else RequestFailure.PICTURE_BAD, problem)
    if seen.cut_off:
        raise ImageUnavailable(RequestFailure.PICTURE_BAD, "the picture file is cut off")
    return seen.image


def grey_image(side: int, grey: int = GREY) -> Image.Image:
    """One grey from 0 (black) to 255 (white), in the shape of most photographs: nothing to see, as many tokens."""
    from PIL import Image  # noqa: PLC0415  # deferred: 25 ms

    return Image.new("RGB", (side, max(1, side * 3 // 4)), (grey, grey, grey))
