"""An image reaches the model as a card shows it, or as the published code reads it; both agree on ordinary images."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from trainers.errors import TrainerError
from trainers.features.image_decoding import Decoding, Trait, decode_image, read_image
from workbench.images.decode import load_full

SHOWN, PUBLISHED = Decoding.AS_SHOWN, Decoding.PUBLISHED


def noise(mode: str = "RGB", size: tuple[int, int] = (120, 80)) -> Image.Image:
    return Image.effect_noise(size, 60).convert(mode)


def encoded(kind: str, image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def deep_grey() -> Image.Image:
    image = Image.new("I;16", (8, 8), 32_768)
    image.putpixel((0, 0), 65_535)
    return image


def half_transparent() -> Image.Image:
    image = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (10, 0, 20, 20))
    return image


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded("JPEG", noise(), exif=exif)


def with_hole() -> bytes:
    """A JPEG with a lost block of 4 KiB."""
    data = bytearray(encoded("JPEG", noise(size=(320, 240))))
    data[8192:12_288] = bytes(4096)
    return bytes(data)


CASES = {
    Trait.DEEP_GREY: encoded("PNG", deep_grey()),
    Trait.TRANSPARENT: encoded("PNG", half_transparent()),
    Trait.ROTATED: rotated(),
    Trait.HOLE: with_hole(),
    Trait.CUT_OFF: encoded("JPEG", noise(size=(320, 240)))[:12_000],
}


@pytest.mark.parametrize("trait", Trait)
def test_special_images_are_decoded_as_the_card_shows_them_and_named(tmp_path: Path, trait: Trait) -> None:
    path = tmp_path / "image"
    path.write_bytes(CASES[trait])
    decoded, card = read_image(path, SHOWN), load_full(path).image
    assert card is not None
    assert decoded.traits == (trait,)
    assert (decoded.pixels.mode, decoded.pixels.size) == ("RGB", card.size)
    assert decoded.pixels.tobytes() == card.tobytes()


@pytest.mark.parametrize("trait", sorted(set(Trait) - {Trait.CUT_OFF}))
def test_the_published_decoding_is_pillows_conversion_and_names_them_too(tmp_path: Path, trait: Trait) -> None:
    path = tmp_path / "image"
    path.write_bytes(CASES[trait])
    decoded = read_image(path, PUBLISHED)
    assert decoded.traits == (trait,)
    assert decoded.pixels.tobytes() == Image.open(path).convert("RGB").tobytes()
    assert (decoded.pixels.tobytes() != read_image(path, SHOWN).pixels.tobytes()) == (trait is not Trait.HOLE)


def test_a_file_that_is_cut_off_is_refused_by_the_published_decoding(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match=r"a\.jpg cannot be read as an image: the image is damaged: .*truncated"):
        decode_image(CASES[Trait.CUT_OFF], tmp_path / "a.jpg", PUBLISHED)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("PNG", "RGB"),
        ("JPEG", "RGB"),
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "RGBA"),  # every pixel is opaque
        ("PNG", "LA"),
        ("PNG", "P"),
        ("PNG", "1"),
        ("TIFF", "RGB"),
    ],
)
def test_ordinary_images_have_the_same_pixels_under_both(kind: str, mode: str) -> None:
    data = encoded(kind, noise(mode))
    shown, published = (decode_image(data, Path("a"), decoding) for decoding in Decoding)
    assert shown.traits == published.traits == ()
    assert shown.pixels.tobytes() == published.pixels.tobytes()


def test_zero_bytes_outside_of_the_scans_are_no_hole() -> None:
    data = encoded("JPEG", noise(), exif=b"Exif\0\0" + bytes(4096)) + bytes(4096)
    assert decode_image(data, Path("a"), SHOWN).traits == ()
    one_colour = encoded("JPEG", Image.new("RGB", (640, 480), "white"), optimize=True)
    assert decode_image(one_colour, Path("a"), SHOWN).traits == ()


@pytest.mark.parametrize("decoding", Decoding)
def test_what_cannot_be_decoded_is_one_line(tmp_path: Path, decoding: Decoding) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_bytes(b"no image")
    Image.new("RGB", (1, 2000)).save(tmp_path / "narrow", "PNG")
    reasons = {
        "folder": "not a file",
        "empty": "the image file is empty",
        "text": "not an image",
        "narrow": "it is too narrow (1 x 2000)",
        "gone": "the image is missing",
    }
    for name, reason in reasons.items():
        with pytest.raises(TrainerError) as caught:
            read_image(tmp_path / name, decoding)
        assert caught.value.message.startswith(f"{tmp_path / name} cannot be read as an image: {reason}")
        assert "\n" not in caught.value.message
