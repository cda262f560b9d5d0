"""Thumbnails of valid and damaged files, and their cache."""

from __future__ import annotations

import io
import os
import struct
import threading
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.examples import examples

from curation_db import image_decoding
from workbench.images import decode
from workbench.images.decode import Thumbnail, ThumbnailCache, fit_cells, load_thumbnail

BOX = (92, 88)
HOSTILE = "a\x1b]0;owned\x07\u202e[red]x[/][@click=app.quit]\n.png"


def encoded(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    (image or Image.effect_noise((120, 80), 60).convert("RGB")).save(file, kind, **options)
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    """Return a PNG whose header states a size, without pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(b"\0" * 100)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def load(tmp_path: Path, data: bytes, name: str = "p.bin", box: tuple[int, int] = BOX) -> Thumbnail:
    path = tmp_path / name
    path.write_bytes(data)
    return load_thumbnail(path, box)


def shown(thumbnail: Thumbnail) -> Image.Image:
    assert thumbnail.problem is None
    assert thumbnail.image is not None
    assert thumbnail.image.mode == "RGB"
    return thumbnail.image


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "the image file is empty"),
        (b"a caption, not an image", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (encoded("PNG")[:60], "the image is damaged"),
        (encoded("JPEG")[:900], "the image is damaged"),
        (encoded("PNG").replace(b"IDAT", b"IDAX"), "not an image"),
        (png_header(30_000, 30_000), "too large to decode (over 89 megapixels)"),
        (png_header(10_000, 10_000), "too large to decode (over 89 megapixels)"),
    ],
    ids=["empty", "text", "eps", "cut png", "cut jpeg", "png without pixels", "bomb", "small bomb"],
)
def test_bad_files_give_one_line(tmp_path: Path, data: bytes, problem: str) -> None:
    thumbnail = load(tmp_path, data, "cat.png")
    assert (thumbnail.image, thumbnail.problem) == (None, f"{problem}: cat.png")


def test_a_path_that_is_no_file_gives_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "file").write_text("x")
    problems = {
        name: load_thumbnail(tmp_path / name, BOX).problem
        for name in ("folder.png", "pipe.png", "loop.png", "gone.png", "file/below.png", "x" * 300, "nul\0.png")
    }
    assert problems["folder.png"] == "not a file: folder.png"
    assert problems["pipe.png"] == "not a file: pipe.png"
    assert problems["gone.png"] == "the image is missing: gone.png"
    assert problems["file/below.png"] == "the image is missing: below.png"
    assert all(problems.values())
    assert load_thumbnail(None, BOX).problem == "the image is missing"
    assert load_thumbnail(None, BOX, name="coco/1.jpg").problem == "the image is missing: coco/1.jpg"


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (PermissionError(13, "no"), "the image may not be read"),
        (FileNotFoundError(2, "vanished between two calls"), "the image is missing"),
        (OSError(5, "Input/output error"), "the image is damaged"),
        (MemoryError(), "not enough memory for the image"),
    ],
)
def test_an_error_while_opening_gives_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, problem: str
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(Path, "open", refuse)
    (tmp_path / "a.png").symlink_to(__file__)
    assert load_thumbnail(tmp_path / "a.png", BOX).problem == f"{problem}: a.png"


def test_a_hostile_name_is_one_line_without_controls(tmp_path: Path) -> None:
    thumbnail = load_thumbnail(tmp_path / "gone", BOX, name=HOSTILE + "x" * 500)
    assert thumbnail.problem is not None
    assert thumbnail.problem.startswith("the image is missing: a]0;owned[red]x[/][@click=app.quit] .png")
    assert thumbnail.problem.isprintable()
    assert len(thumbnail.problem) < 120


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_truncation_anywhere_never_raises(tmp_path: Path, kind: str) -> None:
    whole = encoded(kind, Image.effect_noise((40, 30), 60).convert("RGB"))
    path = tmp_path / "cut"

    @settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.integers(0, len(whole) - 1), st.integers(0, 255))
    def damage(at: int, byte: int) -> None:
        for data in (whole[:at], whole[:at] + bytes([byte]) + whole[at + 1 :]):
            path.write_bytes(data)
            thumbnail = load_thumbnail(path, (16, 16))
            assert (thumbnail.image is None) != (thumbnail.problem is None)

    damage()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"])
def test_every_pixel_mode_is_shown_as_rgb(tmp_path: Path, mode: str) -> None:
    image = Image.new(mode, (300, 200)) if mode.startswith("I") else Image.new("RGB", (300, 200)).convert(mode)
    thumbnail = load(tmp_path, encoded("TIFF" if mode == "I" else "PNG", image))
    assert shown(thumbnail).size == (92, 61)
    assert thumbnail.size == (300, 200)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "BMP", "TIFF", "PPM", "TGA", "JPEG2000", "AVIF"])
def test_other_formats_are_decoded(tmp_path: Path, kind: str) -> None:
    assert shown(load(tmp_path, encoded(kind))).size == (92, 61)


def test_cmyk_and_grey_jpegs_keep_their_colours(tmp_path: Path) -> None:
    cyan = shown(load(tmp_path, encoded("JPEG", Image.new("CMYK", (400, 300), (255, 0, 0, 0)))))
    red, green, blue = cyan.getpixel((5, 5))
    assert (red, green > 100, blue > 100) == (0, True, True)
    assert shown(load(tmp_path, encoded("JPEG", Image.new("L", (400, 300), 9)))).getpixel((1, 1)) == (9, 9, 9)


@pytest.mark.parametrize(("value", "grey"), [(0, 0), (32_768, 127), (65_535, 255)])
def test_sixteen_bit_values_are_scaled_to_eight_bits(tmp_path: Path, value: int, grey: int) -> None:
    deep = Image.new("I;16", (20, 20), value)
    deep.putpixel((0, 0), 65_535)
    assert abs(shown(load(tmp_path, encoded("PNG", deep))).getpixel((10, 10))[0] - grey) <= 1


def test_floating_point_values_are_stretched_to_the_full_range(tmp_path: Path) -> None:
    image = Image.new("F", (20, 20), -3.0)
    image.paste(5.0, (10, 0, 20, 20))
    thumbnail = shown(load(tmp_path, encoded("TIFF", image)))
    assert (thumbnail.getpixel((2, 2))[0], thumbnail.getpixel((17, 2))[0]) == (0, 255)


def test_transparent_pixels_show_a_checkerboard(tmp_path: Path) -> None:
    image = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (10, 0, 20, 20))
    thumbnail = shown(load(tmp_path, encoded("PNG", image)))
    assert {thumbnail.getpixel((x, y)) for x in range(10) for y in range(20)} == set(image_decoding.BEHIND)
    assert thumbnail.getpixel((18, 1)) == (0, 0, 255)
    keyed = Image.new("P", (200, 200), 1)
    keyed.putpalette([255, 255, 255, 0, 255, 0])
    assert shown(load(tmp_path, encoded("PNG", keyed, transparency=1))).getpixel((1, 1)) == image_decoding.BEHIND[0]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_the_exif_orientation_is_applied(tmp_path: Path, kind: str) -> None:
    image = Image.new("RGB", (400, 200), (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, 200, 200))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise
    thumbnail = load(tmp_path, encoded(kind, image, exif=exif))
    upright = shown(thumbnail)
    assert (thumbnail.size, upright.size) == ((200, 400), (44, 88))
    assert upright.getpixel((20, 5))[0] > 200
    assert upright.getpixel((20, 80))[2] > 200


def test_an_animation_shows_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (30, 30), colour) for colour in ("red", "green", "blue")]
    data = encoded("GIF", frames[0], save_all=True, append_images=frames[1:])
    assert shown(load(tmp_path, data)).getpixel((3, 3)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("size", "wanted"), [((1, 1), (1, 1)), ((1, 10_000), (1, 88)), ((10_000, 1), (92, 1)), ((50, 40), (50, 40))]
)
def test_extreme_sizes_are_scaled_down_and_never_up(
    tmp_path: Path, size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    thumbnail = load(tmp_path, encoded("PNG", Image.new("RGB", size, (1, 2, 3))))
    assert (shown(thumbnail).size, thumbnail.size) == (wanted, size)


@given(st.tuples(st.integers(1, 20_000), st.integers(1, 20_000)), st.integers(1, 300), st.integers(1, 100))
def test_fit_cells_stays_inside_and_keeps_the_aspect_ratio(size: tuple[int, int], columns: int, rows: int) -> None:
    width, height = fit_cells(size, columns, rows)
    assert 1 <= width <= columns
    assert 1 <= height <= rows
    assert width == columns or height == rows
    if width > 10 and height > 10:
        assert width / (2 * height) == pytest.approx(size[0] / size[1], rel=0.12)


class TestCache:
    @pytest.fixture
    def loads(self, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
        loaded: list[Path] = []

        def recorded(path: Path, box: tuple[int, int], *, name: str = "") -> Thumbnail:
            loaded.append(path)
            return load_thumbnail(path, box, name=name)

        monkeypatch.setattr(decode, "load_thumbnail", recorded)
        return loaded

    def test_the_least_recently_used_entry_is_dropped(self, tmp_path: Path, loads: list[Path]) -> None:
        paths = [tmp_path / f"{i}.png" for i in range(3)]
        for path in paths:
            path.write_bytes(encoded("PNG"))
        cache = ThumbnailCache(BOX, capacity=2)
        first = cache.get(paths[0])
        assert cache.get(paths[0]) is first
        cache.get(paths[1])
        cache.get(paths[0])
        cache.get(paths[2])
        assert (len(cache), loads) == (2, paths)
        assert cache.get(paths[0]) is first
        cache.get(paths[1])
        assert loads == [*paths, paths[1]]

    def test_a_changed_file_is_decoded_again(self, tmp_path: Path, loads: list[Path]) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(encoded("PNG", Image.new("RGB", (9, 9), "red")))
        cache = ThumbnailCache(BOX)
        cache.get(path)
        os.utime(path, ns=(1, 1))
        cache.get(path)
        assert len(loads) == 2
        cache.box = (4, 4)
        assert shown(cache.get(path)).size == (4, 4)
        assert len(loads) == 3

    def test_a_problem_is_not_cached(self, tmp_path: Path, loads: list[Path]) -> None:
        path, cache = tmp_path / "a.png", ThumbnailCache(BOX)
        assert cache.get(path, "x").problem == "the image is missing: x"
        path.write_bytes(b"")
        assert cache.get(path).problem == "the image file is empty: a.png"
        path.write_bytes(encoded("PNG"))
        shown(cache.get(path))
        path.unlink()
        assert cache.get(path).problem == "the image is missing: a.png"
        assert cache.get(None).problem == "the image is missing"
        assert len(cache) == 1

    def test_threads_share_the_cache(self, tmp_path: Path) -> None:
        paths = [tmp_path / f"{i}.png" for i in range(6)]
        for path in paths:
            path.write_bytes(encoded("PNG", Image.new("RGB", (30, 20), "red")))
        cache, wrong = ThumbnailCache(BOX, capacity=3), []

        def load_all(start: int) -> None:
            for i in range(60):
                thumbnail = cache.get(paths[(start + i) % 6])
                wrong.extend([thumbnail.problem] if thumbnail.image is None else [])

        threads = [threading.Thread(target=load_all, args=(i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (wrong, len(cache)) == ([], 3)
