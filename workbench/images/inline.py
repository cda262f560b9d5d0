"""Shows an image in the output of a command, with the graphics of the terminal or in half cells."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from workbench.images.kitty import encode_kitty
from workbench.images.sixel import encode_sixels
from workbench.images.terminal_graphics import cell_pixels, reads_files

if TYPE_CHECKING:
    from PIL import Image
    from rich.text import Text


def inline_graphics(image: Image.Image, columns: int, protocol: str) -> str:
    """Return what a terminal with the protocol kitty or sixel shows as the image, in at most `columns` cells."""
    cell_width, cell_height = cell_pixels()
    columns = max(1, min(columns, -(-image.width // cell_width)))
    rows = max(1, round(image.height * columns * cell_width / image.width / cell_height))
    if protocol == "sixel":
        return encode_sixels(image, (columns * cell_width, rows * cell_height)) + "\n"
    encoded = encode_kitty(image, by_file=reads_files(), most=(columns * cell_width, rows * cell_height))
    red, green, blue = encoded.number >> 16, encoded.number >> 8 & 255, encoded.number & 255
    lines = (f"\x1b[38;2;{red};{green};{blue}m{line}\x1b[39m\n" for line in encoded.lines(columns, rows))
    return encoded.sending() + encoded.placing(columns, rows) + "".join(lines)


def inline_half_cells(image: Image.Image, columns: int) -> Text:
    """Return the image in half cells, `columns` wide; a cell shows two pixels, the upper one as the foreground."""
    from PIL import Image as pillow  # noqa: N813, PLC0415
    from rich.text import Text  # noqa: PLC0415

    rows = max(1, round(image.height * columns / image.width / 2))
    scaled = image.convert("RGB").resize((columns, rows * 2), pillow.Resampling.BOX, reducing_gap=2.0)
    data, width = scaled.tobytes(), columns * 3
    lines = [data[start : start + width] for start in range(0, len(data), width)]
    text = Text()
    for upper, lower in zip(lines[::2], lines[1::2], strict=True):
        cells = [(upper[x : x + 3], lower[x : x + 3]) for x in range(0, width, 3)]
        for (above, below), same in groupby(cells):
            text.append("▀" * sum(1 for _ in same), style=f"#{above.hex()} on #{below.hex()}")
        text.append("\n")
    return text
