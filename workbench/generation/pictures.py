"""Pictures for models: upright, RGB, no larger than asked, or a word for why there is none.

The decoder is the screen's (`workbench.tui.pictures`): hostile files and bombs are refused there. Unlike a person, who
may make something of half a picture, a model is not shown what was cut off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.generation.asks import Answer, Failure, Picture
from workbench.tui.pictures import CUT_OFF, load_thumbnail

if TYPE_CHECKING:
    from PIL import Image

GREY: Final = (127, 127, 127)
"""Of a blank picture."""


class Unseen(Exception):
    """There is no picture to look at."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail

    @property
    def answer(self) -> Answer:
        """What a question about it is answered with."""
        return Answer(error=self.failure, detail=self.detail)


def open_picture(picture: Picture, side: int) -> Image.Image:
    """What `picture` shows, or grey where it is blank.  -> RGB, the longer side at most `side` pixels

    Raises:
        Unseen: its file is missing, or is none that can be decoded whole.
    """
    if picture.blank:
        from PIL import Image  # noqa: PLC0415  # deferred: 25 ms

        return Image.new("RGB", (side, side), GREY)
    seen = load_thumbnail(picture.path, (side, side), name=picture.key)
    missing = picture.path is None or not picture.path.exists()
    if seen.image is None:
        failure = Failure.PICTURE_MISSING if missing else Failure.PICTURE_BAD
        raise Unseen(failure, seen.problem or "the picture cannot be decoded")
    if CUT_OFF in seen.note:
        raise Unseen(Failure.PICTURE_BAD, "the picture's file is cut off")
    return seen.image
