"""Thumbnail, full image and note of every image format, compared with a reference."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from curation_db import image_decoding
from workbench.images.decode import CUT_OFF, FIRST_FRAME, FIRST_PAGE, Thumbnail, load_full, load_thumbnail

SIZE = (240, 160)
BOX = (60, 60)
COLOURS = ((200, 30, 30), (30, 200, 30), (30, 30, 200), (220, 220, 40))


def scene() -> Image.Image:
    """Return an image with a different colour in each quarter, so that any wrong orientation or channel shows."""
    image = Image.new("RGB", SIZE)
    halves = [(x, y) for y in (0, SIZE[1] // 2) for x in (0, SIZE[0] // 2)]
    for colour, (x, y) in zip(COLOURS, halves, strict=True):
        image.paste(colour, (x, y, x + SIZE[0] // 2, y + SIZE[1] // 2))
    return image


def grey() -> Image.Image:
    """Return a gradient from black to white."""
    return Image.linear_gradient("L").resize(SIZE)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def rotated(orientation: int, kind: str) -> bytes:
    """Return the scene as stored with this EXIF orientation."""
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(
        scene().transpose(inverse[orientation]), kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {})
    )


def with_alpha(image: Image.Image) -> Image.Image:
    """Make the right half transparent."""
    result = image.convert("LA" if image.mode == "L" else "RGBA")
    result.putalpha(Image.new("L", SIZE, 255))
    result.paste((*(0,) * (len(result.getbands()) - 1), 0), (SIZE[0] // 2, 0, *SIZE))
    return result


def on_checkerboard(image: Image.Image) -> Image.Image:
    """Return the expected rendering of `with_alpha(image)`."""
    board = image_decoding.opaque(Image.new("RGBA", SIZE, (0, 0, 0, 0)))
    board.paste(image.convert("RGB").crop((0, 0, SIZE[0] // 2, SIZE[1])))
    return board


def palette_with_transparency() -> bytes:
    image = with_alpha(scene())
    flat = Image.new("P", SIZE, 4)
    flat.putpalette([*(part for colour in COLOURS for part in colour), 9, 9, 9])
    for number, colour in enumerate(COLOURS):
        same = ImageChops.difference(image.convert("RGB"), Image.new("RGB", SIZE, colour)).convert("L")
        flat.paste(number, mask=same.point(lambda value: 255 if value == 0 else 0))
    return saved(flat, "PNG", transparency=4)


def sixteen_bits() -> bytes:
    deep = Image.new("I;16", SIZE)
    deep.putdata([value * 257 for value in grey().get_flattened_data()])
    return saved(deep, "PNG")


def adobe_cmyk() -> bytes:
    """Return a CMYK JPEG as Photoshop writes it: with Adobe's marker and inverted inks."""
    data = saved(scene().convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data[:64]
    return data


def animated(kind: str) -> bytes:
    frames = [scene(), *(Image.new("RGB", SIZE, colour) for colour in ("black", "white"))]
    options = {"lossless": True} if kind == "WEBP" else {}
    return saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)


KINDS: dict[str, tuple[Callable[[], bytes], Callable[[], Image.Image], str]] = {
    "rgb": (lambda: saved(scene(), "PNG"), scene, ""),
    "grey": (lambda: saved(grey(), "PNG"), grey, ""),
    "grey jpeg": (lambda: saved(grey(), "JPEG", quality=95), grey, ""),
    "grey with alpha": (lambda: saved(with_alpha(grey()), "PNG"), lambda: on_checkerboard(grey()), ""),
    "alpha": (lambda: saved(with_alpha(scene()), "PNG"), lambda: on_checkerboard(scene()), ""),
    "palette with transparency": (palette_with_transparency, lambda: on_checkerboard(scene()), ""),
    "cmyk jpeg, inverted": (adobe_cmyk, scene, ""),
    "cmyk tiff": (lambda: saved(scene().convert("CMYK"), "TIFF"), scene, ""),
    "sixteen bits": (sixteen_bits, grey, ""),
    "gif": (lambda: animated("GIF"), scene, FIRST_FRAME),
    "webp": (lambda: animated("WEBP"), scene, FIRST_FRAME),
    "apng": (lambda: animated("PNG"), scene, FIRST_FRAME),
    "pages": (lambda: animated("TIFF"), scene, FIRST_PAGE),
    **{f"jpeg with orientation {way}": (lambda way=way: rotated(way, "JPEG"), scene, "") for way in range(2, 9)},
    **{f"png with orientation {way}": (lambda way=way: rotated(way, "PNG"), scene, "") for way in (3, 6)},
}


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return the mean absolute difference of two images, from 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).mean) / 3


def load(tmp_path: Path, data: bytes) -> tuple[Thumbnail, Thumbnail]:
    path = tmp_path / "p.bin"
    path.write_bytes(data)
    return load_thumbnail(path, BOX), load_full(path)


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_matches_its_reference_and_notes_what_is_left_out(tmp_path: Path, kind: str) -> None:
    make, reference, note = KINDS[kind]
    small, full = load(tmp_path, make())
    assert (small.problem, full.problem, small.note, full.note) == (None, None, note, note)
    assert (small.size, full.size) == (SIZE, SIZE)
    assert small.image is not None
    assert full.image is not None
    assert (small.image.size, full.image.size) == ((60, 40), SIZE)
    assert difference(full.image, reference()) < 3
    wanted = reference().convert("RGB").resize((60, 40), Image.Resampling.LANCZOS)
    if reference().getpixel((SIZE[0] - 1, 0)) not in image_decoding.BEHIND:
        assert difference(small.image, wanted) < 6
    else:  # the squares have the same size on a thumbnail
        assert difference(small.image.crop((0, 0, 28, 40)), wanted.crop((0, 0, 28, 40))) < 6
        assert set(small.image.crop((34, 0, 60, 40)).get_flattened_data()) == set(image_decoding.BEHIND)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
def test_a_truncated_file_is_shown_up_to_the_cut(tmp_path: Path, kind: str) -> None:
    image = Image.effect_noise(SIZE, 60).convert("RGB")
    whole = saved(image, kind)
    small, full = load(tmp_path, whole[: len(whole) // 2])
    assert (small.problem, full.problem, small.note, full.note) == (None, None, CUT_OFF, CUT_OFF)
    assert full.image is not None
    top = (0, 0, SIZE[0], 40) if kind != "BMP" else (0, 120, *SIZE)  # a BMP begins at the bottom
    assert difference(full.image.crop(top), image.crop(top)) < 25
    rest = (0, 120, *SIZE) if kind != "BMP" else (0, 0, SIZE[0], 40)
    assert set(full.image.crop(rest).get_flattened_data()) == set(image_decoding.BEHIND), "missing pixels are not black"


def jpeg_of(width: int, height: int) -> bytes:
    """Return a small file with a large image: one flat colour."""
    return saved(Image.new("L", (width, height), 77), "JPEG", quality=30)


def test_a_jpeg_20_000_pixels_wide_is_decoded_at_a_lower_resolution(tmp_path: Path) -> None:
    path = tmp_path / "wide.jpg"
    path.write_bytes(jpeg_of(20_000, 6_000))
    small, full = load_thumbnail(path, (1024, 1024)), load_full(path, most=10_000_000)
    assert (small.problem, small.size) == (None, (20_000, 6_000))
    assert small.image is not None
    assert small.image.size == (1024, 307)
    assert small.image.getpixel((500, 100)) == (77, 77, 77)
    assert full.image is not None
    assert full.image.width * full.image.height <= 10_000_000
    assert (full.image.size, full.note) == ((5_000, 1_500), "at 1/4 of its detail")


def test_other_formats_are_reduced_after_decoding(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    Image.new("L", (2_000, 1_000), 9).save(path)
    full = load_full(path, most=500_000)
    assert full.image is not None
    assert (full.image.size, full.size, full.note) == ((1_000, 500), (2_000, 1_000), "at 1/2 of its detail")


def claims(kind: str, width: int, height: int) -> bytes:
    """Return a file whose header states this size, with almost no pixels."""
    if kind == "PNG":
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        head = b"IHDR" + header
        return (
            b"\x89PNG\r\n\x1a\n"
            + struct.pack(">I", 13)
            + head
            + struct.pack(">I", zlib.crc32(head))
            + (struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT")))
        )
    data = bytearray(saved(Image.new("RGB", (16, 16)), "JPEG", progressive=kind == "progressive"))
    at = data.index(b"\xff\xc2" if kind == "progressive" else b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize(
    ("kind", "width", "height"), [("PNG", 20_000, 20_000), ("progressive", 20_000, 20_000), ("JPEG", 60_000, 60_000)]
)
def test_decompression_bombs_are_refused_in_one_line(tmp_path: Path, kind: str, width: int, height: int) -> None:
    for thumbnail in load(tmp_path, claims(kind, width, height)):
        assert (thumbnail.image, thumbnail.problem) == (None, "too large to decode (over 89 megapixels): p.bin")
