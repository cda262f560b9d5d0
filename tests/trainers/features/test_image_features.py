"""Features are computed once per image and key, survive a kill, and are computed again for changed images."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.clip_models import TINY, draw_pictures, make_tiny

from trainers.errors import TrainerError
from trainers.features.image_decoding import Decoding, Trait
from trainers.features.image_features import ImageFeatures, image_key
from trainers.models.clip_model import ClipModel, build


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let hashes of new files be saved."""
    monkeypatch.setattr("trainers.features.file_hashes.SETTLED_S", 0.0)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return draw_pictures(tmp_path / "pictures", 5)


def test_features_are_the_models_and_computed_once(tmp_path: Path, tiny: ClipModel, paths: list[Path]) -> None:
    store = ImageFeatures(tmp_path / "cache", tiny)
    features = store.features(paths)
    alone = tiny.encode_images([Image.open(path) for path in paths]).numpy()
    np.testing.assert_allclose(features, alone, atol=1e-6, err_msg="the last bits depend on the size of a batch")
    again = ImageFeatures(tmp_path / "cache", tiny)
    np.testing.assert_array_equal(again.features(paths[::-1]), features[::-1])
    assert (store.computed, again.computed) == (5, 0)


def test_only_changed_pictures_are_computed_again(tmp_path: Path, tiny: ClipModel, paths: list[Path]) -> None:
    before = ImageFeatures(tmp_path / "cache", tiny).features(paths)
    Image.new("RGB", (30, 30), "red").save(paths[2])
    paths[0] = paths[0].rename(paths[0].with_name("renamed.png"))
    store = ImageFeatures(tmp_path / "cache", tiny)
    after = store.features(paths)
    assert store.computed == 1
    assert [bool((a == b).all()) for a, b in zip(after, before, strict=True)] == [True, True, False, True, True]


def test_a_touched_picture_with_the_same_bytes_is_not(tmp_path: Path, tiny: ClipModel, paths: list[Path]) -> None:
    ImageFeatures(tmp_path / "cache", tiny).features(paths)
    os.utime(paths[1], (1, 1))
    store = ImageFeatures(tmp_path / "cache", tiny)
    store.features(paths)
    assert store.computed == 0


@pytest.mark.parametrize("left", [b"", b'"half', b"\x00" * 40])
def test_a_killed_store_goes_on_where_it_was(tmp_path: Path, tiny: ClipModel, paths: list[Path], left: bytes) -> None:
    whole = ImageFeatures(tmp_path / "whole", tiny).features(paths)
    broken = ImageFeatures(tmp_path / "cache", tiny)
    broken.features(paths[:3])
    with (broken.folder / "features.f32").open("ab") as file:
        file.write(b"\x01" * 37)  # rows that were written before the kill, without their line
    with (broken.folder / "rows.jsonl").open("ab") as file:
        file.write(left)
    store = ImageFeatures(tmp_path / "cache", tiny)
    np.testing.assert_array_equal(store.features(paths), whole)
    assert store.computed == 2


def test_rows_that_the_disk_lost_are_computed_again(tmp_path: Path, tiny: ClipModel, paths: list[Path]) -> None:
    store = ImageFeatures(tmp_path / "cache", tiny)
    whole = store.features(paths)
    os.truncate(store.folder / "features.f32", 10)
    np.testing.assert_array_equal(ImageFeatures(tmp_path / "cache", tiny).features(paths), whole)


def test_the_key_follows_what_can_change_a_feature(tiny: ClipModel) -> None:
    base = image_key(tiny)
    other_text = make_tiny(0)
    other_text.model.ln_final.weight.data += 1
    assert image_key(other_text) == base
    for changed in (make_tiny(1), make_tiny(0)):
        if image_key(changed) == base:
            changed.config = {**changed.config, "vision_cfg": {**changed.config["vision_cfg"], "head_width": 8}}
        assert image_key(changed) != base
    tiny.preprocess_config = {**tiny.preprocess_config, "interpolation": "bilinear"}
    assert image_key(tiny) != base


def test_what_is_no_picture_is_named(tmp_path: Path, tiny: ClipModel) -> None:
    (tmp_path / "x.jpg").write_bytes(b"no picture")
    with pytest.raises(TrainerError, match=r"x\.jpg cannot be read"):
        ImageFeatures(tmp_path / "cache", tiny).features([tmp_path / "x.jpg"])
    with pytest.raises(TrainerError, match=r"gone\.jpg"):
        ImageFeatures(tmp_path / "cache", tiny).features([tmp_path / "gone.jpg"])


def test_a_features_bits_are_those_of_its_picture_alone(tmp_path: Path) -> None:
    """Otherwise the weights would depend on the history of the cache."""
    torch.manual_seed(0)
    vision = {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16}
    model = build({**TINY, "vision_cfg": vision}, {}, name="wide", arch="wide")
    paths = draw_pictures(tmp_path / "pictures", 70)
    together = ImageFeatures(tmp_path / "together", model).features(paths)
    for at in (0, 66):
        alone = ImageFeatures(tmp_path / f"alone-{at}", model).features([paths[at]])
        np.testing.assert_array_equal(alone[0], together[at])


def _rotten(line: bytes, first: bytes) -> list[bytes]:
    return [
        first.replace(b"[0,", b"[2,"),
        b"",
        b"{\n",
        b"\xff\n",
        b"null\n",
        b"[0]\n",
        b"\n",
        line + line,
        b'[0, "x"]\n',
        b"[" * 9999 + b"\n",
    ]


@pytest.mark.parametrize("how", range(10))
def test_damaged_indexes_are_never_fatal_nor_wrong(
    tmp_path: Path, tiny: ClipModel, paths: list[Path], how: int
) -> None:
    """GIVEN a line that is lost, repeated or invalid THEN no image gets the features of another."""
    store = ImageFeatures(tmp_path / "cache", tiny)
    whole = store.features(paths)
    for index in (store.folder / "rows.jsonl", tmp_path / "cache" / "features" / "bytes.jsonl"):
        lines = index.read_bytes().splitlines(keepends=True)
        index.write_bytes(b"".join([*lines[:2], _rotten(lines[2], lines[0])[how], *lines[3:]]))
    for wanted in (paths, paths[::-1]):
        again = ImageFeatures(tmp_path / "cache", tiny).features(wanted)
        np.testing.assert_array_equal(again, whole if wanted is paths else whole[::-1])
    last = ImageFeatures(tmp_path / "cache", tiny)
    last.features(paths)
    assert last.computed == 0, "what was damaged is whole again"


def test_an_interrupted_pass_keeps_what_it_has(
    tmp_path: Path, tiny: ClipModel, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.features.image_features._BATCH", 2)
    monkeypatch.setattr("trainers.features.file_hashes._HASHED_AT_ONCE", 2)
    calls: list[tuple[int, int]] = []

    def progress(done: int, of: int) -> None:
        calls.append((done, of))
        if done >= 2:
            raise KeyboardInterrupt

    store = ImageFeatures(tmp_path / "cache", tiny)
    with pytest.raises(KeyboardInterrupt):
        store.check(paths, hashing=progress)
    assert len((tmp_path / "cache" / "features" / "bytes.jsonl").read_text().splitlines()) == 2
    with pytest.raises(KeyboardInterrupt):
        store.features(paths, progress=progress)
    assert calls == [(0, 5), (2, 5)] * 2
    again = ImageFeatures(tmp_path / "cache", tiny)
    again.features(paths, progress=lambda done, of: calls.append((done, of)))
    assert again.computed == 3
    assert calls[4:] == [(0, 3), (2, 3), (3, 3)]


def test_waiting_for_another_process_can_be_ended(tmp_path: Path, tiny: ClipModel, paths: list[Path]) -> None:
    store = ImageFeatures(tmp_path / "cache", tiny)

    def progress(done: int, of: int) -> None:
        if not of:
            raise KeyboardInterrupt

    with (store.folder / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(KeyboardInterrupt):
            store.features(paths, progress=progress)
    store.features(paths, progress=progress)
    assert store.computed == 5


def test_hostile_images_are_named(
    tmp_path: Path, tiny: ClipModel, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bomb, half a file, and one whose resized form would not fit into memory."""
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (1, 2000)).save(paths[2])
    store = ImageFeatures(tmp_path / "cache", tiny, Decoding.PUBLISHED)
    for path, message in ((paths[1], "cannot be read as an image"), (paths[2], r"too narrow \(1 x 2000\)")):
        with pytest.raises(TrainerError, match=rf"{path.name}.*{message}"):
            store.features([path])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(TrainerError, match=r"p000\.png cannot be read as an image: too large .*decompression bomb"):
        store.features(paths[:1])


def test_a_check_lists_all_unusable_images_and_encodes_the_others(
    tmp_path: Path, tiny: ClipModel, paths: list[Path]
) -> None:
    paths[0].write_bytes(b"no image")
    paths[2].unlink()
    Image.new("RGBA", (9, 9), (255, 0, 0, 9)).save(paths[3])
    for turn in range(2):  # the second time from the cache
        store = ImageFeatures(tmp_path / "cache", tiny)
        checked = store.check(paths)
        assert set(checked.hashes) == {paths[1], paths[3], paths[4]}
        assert set(checked.problems) == {paths[0], paths[2]}
        assert checked.traits == {Trait.TRANSPARENT: [paths[3]]}
        assert store.computed == (0 if turn else 3)
    assert len(store.features([paths[1], paths[3], paths[4]])) == 3


def test_each_decoding_has_features_of_its_own(tmp_path: Path, tiny: ClipModel, paths: list[Path]) -> None:
    Image.new("I;16", (40, 30), 30_000).save(paths[0])
    shown, published = (ImageFeatures(tmp_path / "cache", tiny, decoding) for decoding in Decoding)
    ours, theirs = shown.features(paths), published.features(paths)
    assert (shown.computed, published.computed) == (5, 5)
    assert [bool((one == other).all()) for one, other in zip(ours, theirs, strict=True)] == [False, *[True] * 4]
    white = tiny.encode_images([Image.new("RGB", (40, 30), "white")]).numpy()
    np.testing.assert_allclose(theirs[0], white[0], atol=1e-6, err_msg="as the published code reads it")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_a_feature_that_is_not_a_unit_vector_names_its_image_and_is_not_saved(
    tmp_path: Path, tiny: ClipModel, paths: list[Path], monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    encode = ClipModel.encode_pixels

    def spoiled(self: ClipModel, pixels: torch.Tensor) -> torch.Tensor:
        features = encode(self, pixels).clone()
        features[2] = value
        return features

    with monkeypatch.context() as patch:
        patch.setattr(ClipModel, "encode_pixels", spoiled)
        for attempt in (ImageFeatures.check, ImageFeatures.features):
            with pytest.raises(TrainerError, match=r"the feature of .*p002\.png has length"):
                attempt(ImageFeatures(tmp_path / "cache", tiny), paths)
    assert np.isfinite(ImageFeatures(tmp_path / "cache", tiny).features(paths)).all()


def test_an_image_that_changes_after_its_hash_gets_no_feature_of_other_content(
    tmp_path: Path, tiny: ClipModel, paths: list[Path]
) -> None:
    def replace_image(done: int, of: int) -> None:
        if done == of:
            shutil.copyfile(paths[0], paths[1])

    checked = ImageFeatures(tmp_path / "cache", tiny).check([paths[1]], hashing=replace_image)
    assert "p001.png was changed while it was read" in checked.problems[paths[1]].message
    assert not checked.hashes


def test_a_zeroed_block_of_features_is_computed_again_and_counted(
    tmp_path: Path, tiny: ClipModel, paths: list[Path]
) -> None:
    store = ImageFeatures(tmp_path / "cache", tiny)
    whole = store.features(paths)
    data = store.folder / "features.f32"
    content = bytearray(data.read_bytes())
    content[64:192] = bytes(128)  # two rows
    data.write_bytes(content)
    for computed in (2, 0):
        again = ImageFeatures(tmp_path / "cache", tiny)
        np.testing.assert_array_equal(again.features(paths), whole)
        assert (again.damaged, again.computed) == (computed, computed)
