"""Images encoded for servers."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path

import pytest
from PIL import Image
from support.server_asks import picture

from workbench.generation.engines.image_payload import EncodedImage, ImageEncoder, blank_url, data_url, file_url


def opened(shown: EncodedImage) -> Image.Image:
    """What a server sees."""
    assert not shown.error, shown.detail
    assert shown.url.startswith("data:image/jpeg;base64,")
    return Image.open(io.BytesIO(base64.b64decode(shown.base64, validate=True)))


def test_an_image_is_sent_small_upright_and_in_rgb(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    image = Image.new("CMYK", (1200, 400))
    exif = image.getexif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(path, exif=exif)
    seen = opened(data_url(path, 600))
    assert (seen.format, seen.mode, seen.size) == ("JPEG", "RGB", (200, 600))


def test_small_images_keep_their_size_and_transparency_is_flattened(tmp_path: Path) -> None:
    path = tmp_path / "small.png"
    Image.new("RGBA", (31, 17), (255, 0, 0, 128)).save(path)
    seen = opened(data_url(path, 600))
    assert (seen.mode, seen.size) == ("RGB", (31, 17))


def test_equal_images_give_equal_bytes(tmp_path: Path) -> None:
    path = tmp_path / "noise.png"
    Image.frombytes("RGB", (64, 64), os.urandom(64 * 64 * 3)).save(path)
    assert data_url(path, 48) == data_url(path, 48)


def test_an_incomplete_image_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no picture")
    whole = io.BytesIO()
    Image.frombytes("RGB", (200, 200), os.urandom(120_000)).save(whole, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    os.mkfifo(tmp_path / "pipe.jpg")
    bomb = Image.new("1", (20_000, 20_000))
    bomb.save(tmp_path / "bomb.png")
    for name in ("empty", "text", "cut", "pipe"):
        assert data_url(tmp_path / f"{name}.jpg", 600).error == "picture-bad", name
    assert "too large" in data_url(tmp_path / "bomb.png", 600).detail
    assert data_url(tmp_path / "gone.jpg", 600).error == "picture-missing"
    assert data_url(None, 600).error == file_url(None).error == file_url(tmp_path).error == "picture-missing"


def test_a_file_url_can_be_sent_instead(tmp_path: Path) -> None:
    path = tmp_path / "a b#ü.png"
    Image.new("RGB", (3, 3)).save(path)
    assert file_url(path).url == path.resolve().as_uri()
    assert "%23" in file_url(path).url


def test_the_blank_image_is_grey() -> None:
    seen = opened(blank_url(400))
    assert seen.size == (400, 300)
    assert all(abs(low - 127) <= 1 and abs(high - 127) <= 1 for low, high in seen.getextrema())  # type: ignore[misc]
    assert blank_url(400) is blank_url(400)


async def test_an_image_is_decoded_once_for_all_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.generation.engines import image_payload

    decoded: list[Path | None] = []

    def counting(path: Path | None, side: int) -> EncodedImage:
        decoded.append(path)
        return data_url(path, side)

    monkeypatch.setattr(image_payload, "data_url", counting)
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for n, path in enumerate(paths):
        Image.new("RGB", (8, 8), (n, n, n)).save(path)
    pictures = ImageEncoder(64, max_cached=2)
    import asyncio

    shown = await asyncio.gather(*(pictures.encode(picture(paths[n % 2])) for n in range(10)))
    assert len(set(shown)) == 2
    assert sorted(decoded, key=str) == paths[:2]
    await pictures.encode(picture(paths[2]))
    await pictures.encode(picture(paths[0]))
    assert len(decoded) == 4  # the third pushed the first out
    assert (await pictures.encode(picture(None, blank=True))) is blank_url(64)
    assert (await pictures.encode(picture(None))).error == "picture-missing"
    await pictures.close()


async def test_file_urls_are_used_where_configured_but_not_for_blank_images(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path)
    pictures = ImageEncoder(64, as_files=True)
    assert (await pictures.encode(picture(path))).url == path.as_uri()
    assert (await pictures.encode(picture(path), as_data=True)).url.startswith("data:")
    assert (await pictures.encode(picture(None, blank=True))).url.startswith("data:")
    await pictures.close()
