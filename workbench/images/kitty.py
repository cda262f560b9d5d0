"""Kitty's graphics protocol: sends an image once, and shows it with placeholder characters.

A terminal on this machine reads the pixels from a file; any other gets them in the output.
https://sw.kovidgoyal.net/kitty/graphics-protocol/
"""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import os
import random
import tempfile
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

FILE_PREFIX = "tty-graphics-protocol-negwb-"
"""The terminal deletes a temporary file only if its name has the first part."""
_CHUNK = 4096
_PLACEHOLDER = "\U0010eeee"
_MARK_CODES = """
305 30D 30E 310 312 33D 33E 33F 346 34A 34B 34C 350 351 352 357 35B 363 364 365 366 367 368 369 36A 36B 36C 36D 36E
36F 483 484 485 486 487 592 593 594 595 597 598 599 59C 59D 59E 59F 5A0 5A1 5A8 5A9 5AB 5AC 5AF 5C4 610 611 612 613
614 615 616 617 657 658 659 65A 65B 65D 65E 6D6 6D7 6D8 6D9 6DA 6DB 6DC 6DF 6E0 6E1 6E2 6E4 6E7 6E8 6EB 6EC 730 732
733 735 736 73A 73D 73F 740 741 743 745 747 749 74A 7EB 7EC 7ED 7EE 7EF 7F0 7F1 7F3 816 817 818 819 81B 81C 81D 81E
81F 820 821 822 823 825 826 827 829 82A 82B 82C 82D 951 953 954 F82 F83 F86 F87 135D 135E 135F 17DD 193A 1A17 1A75
1A76 1A77 1A78 1A79 1A7A 1A7B 1A7C 1B6B 1B6D 1B6E 1B6F 1B70 1B71 1B72 1B73 1CD0 1CD1 1CD2 1CDA 1CDB 1CE0 1DC0 1DC1
1DC3 1DC4 1DC5 1DC6 1DC7 1DC8 1DC9 1DCB 1DCC 1DD1 1DD2 1DD3 1DD4 1DD5 1DD6 1DD7 1DD8 1DD9 1DDA 1DDB 1DDC 1DDD 1DDE
1DDF 1DE0 1DE1 1DE2 1DE3 1DE4 1DE5 1DE6 1DFE 20D0 20D1 20D4 20D5 20D6 20D7 20DB 20DC 20E1 20E7 20E9 20F0 2CEF 2CF0
2CF1 2DE0 2DE1 2DE2 2DE3 2DE4 2DE5 2DE6 2DE7 2DE8 2DE9 2DEA 2DEB 2DEC 2DED 2DEE 2DEF 2DF0 2DF1 2DF2 2DF3 2DF4 2DF5
2DF6 2DF7 2DF8 2DF9 2DFA 2DFB 2DFC 2DFD 2DFE 2DFF A66F A67C A67D A6F0 A6F1 A8E0 A8E1 A8E2 A8E3 A8E4 A8E5 A8E6 A8E7
A8E8 A8E9 A8EA A8EB A8EC A8ED A8EE A8EF A8F0 A8F1 AAB0 AAB2 AAB3 AAB7 AAB8 AABE AABF AAC1 FE20 FE21 FE22 FE23 FE24
FE25 FE26 10A0F 10A38 1D185 1D186 1D187 1D188 1D189 1D1AA 1D1AB 1D1AC 1D1AD 1D242 1D243 1D244
"""
_MARKS = "".join(chr(int(code, 16)) for code in _MARK_CODES.split())
"""The combining characters that number rows and columns, in the order of the protocol."""
MOST_CELLS = len(_MARKS)
"""The most columns and rows of an image."""
_numbers = itertools.count(random.randrange(1 << 12, 1 << 23))
"""Numbers of images, at random since other programs use the same terminal; placeholders have 24 bits for them."""


@dataclass(eq=False)
class KittyImage:
    """An image whose pixels are ready to be sent."""

    number: int
    pixels: tuple[int, int]
    file: str
    """Path of the pixels; "": they are in `encoded`."""
    encoded: str
    is_lost: bool = field(default=False, compare=False)
    """The terminal has deleted it, and its pixels are gone, too."""

    def sending(self) -> str:
        """Return the sequences that send the image to the terminal, which shows nothing yet."""
        if self.file:
            width, height = self.pixels
            path = base64.b64encode(os.fsencode(self.file)).decode("ascii")
            return _command(f"a=t,i={self.number},q=2,f=24,s={width},v={height},t=t", path)
        return "".join(self._chunks())

    def _chunks(self) -> Iterator[str]:
        for start in range(0, len(self.encoded), _CHUNK):
            more = int(start + _CHUNK < len(self.encoded))
            control = f"a=t,i={self.number},q=2,f=100,m={more}" if start == 0 else f"m={more},q=2"
            yield _command(control, self.encoded[start : start + _CHUNK])

    def placing(self, columns: int, rows: int) -> str:
        """Return the sequence that gives the image a size in cells; a later one changes the size."""
        return _command(f"a=p,i={self.number},p=1,q=2,U=1,c={columns},r={rows}")

    def deleting(self) -> str:
        """Return the sequence that removes the image and its pixels from the terminal."""
        return _command(f"a=d,d=I,i={self.number},q=2")

    def lines(self, columns: int, rows: int) -> list[str]:
        """Return the placeholders of each row; their colour is the number of the image.

        Raises:
            ValueError: the protocol cannot number so many cells.
        """
        if columns > MOST_CELLS or rows > MOST_CELLS:
            raise ValueError(f"an image has at most {MOST_CELLS} columns and rows")
        return ["".join(f"{_PLACEHOLDER}{_MARKS[row]}{_MARKS[at]}" for at in range(columns)) for row in range(rows)]


def encode_kitty(image: Image.Image, *, by_file: bool, most: tuple[int, int]) -> KittyImage:
    """Prepare `image`: in a file as it is, or as a PNG of at most `most` pixels. The terminal scales it in any case."""
    rgb = image.convert("RGB")
    number = next(_numbers) % (1 << 24) or 1
    if by_file:
        handle, path = tempfile.mkstemp(prefix=FILE_PREFIX, suffix=".rgb")
        with os.fdopen(handle, "wb") as file:
            file.write(rgb.tobytes())
        ready = KittyImage(number, rgb.size, path, "")
        weakref.finalize(ready, _remove, path)  # also at the end of the process: the terminal may not have read it
        return ready
    rgb.thumbnail(most, reducing_gap=2.0)
    png = io.BytesIO()
    rgb.save(png, "PNG", compress_level=4)
    return KittyImage(number, rgb.size, "", base64.b64encode(png.getvalue()).decode("ascii"))


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _command(control: str, payload: str = "") -> str:
    content = f"_G{control};{payload}" if payload else f"_G{control}"
    if os.environ.get("TMUX"):  # tmux passes on what is wrapped, with each escape doubled
        return f"\x1bPtmux;\x1b\x1b{content}\x1b\x1b\\\x1b\\"
    return f"\x1b{content}\x1b\\"
