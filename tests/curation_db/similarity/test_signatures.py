"""Near-duplicate images: signatures of files, groups against a comparison of all pairs, and the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.scenes import encoded_again, scene

from curation_db.image_decoding import ImageProblem
from curation_db.similarity import signature_cache
from curation_db.similarity.duplicates import Signatures
from curation_db.similarity.image_signature import GREY_LEVELS, RADIUS, ImageSignature, signature_of
from curation_db.similarity.signature_cache import CacheUnwritable, load, refresh, unseen


def _saved(folder: Path, name: str, image: Image.Image) -> Path:
    image.save(folder / name, quality=90)
    return folder / name


def _signature(path: Path) -> ImageSignature:
    signed = signature_of(path)
    assert isinstance(signed, ImageSignature)
    return signed


def test_an_image_encoded_again_is_near_and_other_images_are_not(tmp_path: Path) -> None:
    scenes = [scene(seed) for seed in range(12)]
    originals = [_signature(_saved(tmp_path, f"{n}.jpg", each)) for n, each in enumerate(scenes)]
    copies = [_signature(_saved(tmp_path, f"c{n}.jpg", encoded_again(each))) for n, each in enumerate(scenes)]
    signatures = Signatures.of(((("s", f"{n:02}"), each) for n, each in enumerate([*originals, *copies])))
    assert [signatures.near(n) for n in range(12)] == [[n, n + 12] for n in range(12)]
    assert signatures.groups() == [[n, n + 12] for n in range(12)]
    assert len({each.sha256 for each in originals}) == 12


def test_rotated_transparent_and_deep_images_have_the_signature_of_what_is_shown(tmp_path: Path) -> None:
    upright = _signature(_saved(tmp_path, "a.png", scene(3)))
    turned = scene(3).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "b.jpg", quality=95, exif=exif)
    other = _signature(tmp_path / "b.jpg")
    assert (upright.hash ^ other.hash).bit_count() <= RADIUS
    blank = _signature(_saved(tmp_path, "c.png", Image.new("I;16", (40, 40), 0)))
    assert blank.hash == 0
    assert blank.thumbnail == bytes(256)


def test_a_file_without_a_usable_image_has_a_problem(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.jpg").touch()
    Image.new("1", (10_000, 9_000)).save(tmp_path / "bomb.png")
    assert signature_of(tmp_path / "text.jpg") is ImageProblem.NOT_AN_IMAGE
    assert signature_of(tmp_path / "empty.jpg") is ImageProblem.EMPTY
    assert signature_of(tmp_path / "none.jpg") is ImageProblem.MISSING
    assert signature_of(tmp_path / "bomb.png") is ImageProblem.TOO_LARGE
    assert signature_of(tmp_path) is ImageProblem.NOT_A_FILE


_HASHES = st.lists(st.tuples(st.integers(0, 40), st.sampled_from([0, 1, 2, 3, 60])), max_size=14)


@settings(deadline=None)
@given(_HASHES)
def test_groups_are_the_connected_parts_of_all_near_pairs(drawn: list[tuple[int, int]]) -> None:
    """A hash of n low bits has n different bits from 0; the thumbnails differ in their grey level."""
    images = [ImageSignature((1 << bits) - 1, bytes([grey]) * 256, b"") for bits, grey in drawn]
    groups = Signatures.of((("s", str(n)), each) for n, each in enumerate(images)).groups()
    component = list(range(len(images)))
    for i, one in enumerate(images):
        for j, other in enumerate(images[:i]):
            near_bits = (one.hash ^ other.hash).bit_count() <= RADIUS
            if near_bits and abs(one.thumbnail[0] - other.thumbnail[0]) <= GREY_LEVELS:
                component = [component[j] if each == component[i] else each for each in component]
    expected = [[n for n, each in enumerate(component) if each == c] for c in dict.fromkeys(component)]
    assert groups == [group for group in expected if len(group) > 1]


def test_a_pass_computes_what_is_new_or_changed_and_continues_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signature_cache, "_BATCH", 2)
    file = tmp_path / "cache" / "signatures.db"
    images = [(f"{n}", _saved(tmp_path, f"{n}.png", scene(n, (40, 30)))) for n in range(5)]
    assert unseen(file, "source/a", [key for key, _ in images]) == list("01234")
    assert len(load(file)) == 0

    def interrupt(done: int, total: int) -> None:
        assert total == 5
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refresh(file, "source/a", images, interrupt)
    assert unseen(file, "source/a", [key for key, _ in images]) == ["4"]
    assert refresh(file, "source/a", images).computed == 1
    assert refresh(file, "source/a", images).computed == 0
    scene(77, (41, 30)).save(images[2][1])
    images[3][1].unlink()
    (tmp_path / "4.png").write_bytes(b"x")
    changed = refresh(file, "source/a", images)
    assert changed.computed == 3
    assert changed.problems == {"3": ImageProblem.MISSING, "4": ImageProblem.NOT_AN_IMAGE}
    assert refresh(file, "source/a", images).problems == changed.problems
    assert refresh(file, "benchmark/b", [*images[:1], ("none", None)]).problems == {"none": ImageProblem.MISSING}
    assert unseen(file, "benchmark/b", ["none", "0", "1"]) == ["1"]
    assert [name for name in load(file, "source/").names] == [("source/a", key) for key in "012"]
    assert len(load(file)) == 4
    assert load(file).hashes[load(file).places["source/a", "2"]] == np.uint64(_signature(images[2][1]).hash)


def test_a_damaged_cache_starts_empty_and_an_unwritable_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "signatures.db"
    file.write_bytes(b"no database" * 100)
    assert len(load(file)) == 0
    image = _saved(tmp_path, "a.png", scene(1, (40, 30)))
    assert refresh(file, "source/a", [("1", image)]).computed == 1
    assert len(load(file)) == 1
    (tmp_path / "file").touch()
    with pytest.raises(CacheUnwritable, match="cannot be written"):
        refresh(tmp_path / "file" / "signatures.db", "source/a", [("1", image)])
