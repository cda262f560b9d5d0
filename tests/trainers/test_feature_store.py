"""Features are computed once per picture and key, survive a kill, and are computed anew for what changed."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.clips import TINY, draw_pictures, make_tiny

from trainers.clip_models import ClipModel, build
from trainers.errors import TrainerError
from trainers.feature_store import FeatureStore, store_key


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return draw_pictures(tmp_path / "pictures", 5)


def test_features_are_the_models_and_computed_once(tmp_path: Path, tiny: ClipModel, paths: list[Path]) -> None:
    store = FeatureStore(tmp_path / "cache", tiny)
    found = store.features(paths)
    alone = tiny.encode_images([Image.open(path) for path in paths]).numpy()
    np.testing.assert_allclose(found, alone, atol=1e-6, err_msg="the last bits depend on the size of a batch")
    again = FeatureStore(tmp_path / "cache", tiny)
    np.testing.assert_array_equal(again.features(paths[::-1]), found[::-1])
    assert (store.computed, again.computed) == (5, 0)


def test_only_changed_pictures_are_computed_again(tmp_path: Path, tiny: ClipModel, paths: list[Path]) -> None:
    before = FeatureStore(tmp_path / "cache", tiny).features(paths)
    Image.new("RGB", (30, 30), "red").save(paths[2])
    paths[0] = paths[0].rename(paths[0].with_name("renamed.png"))
    store = FeatureStore(tmp_path / "cache", tiny)
    after = store.features(paths)
    assert store.computed == 1
    assert [bool((a == b).all()) for a, b in zip(after, before, strict=True)] == [True, True, False, True, True]


def test_a_touched_picture_with_the_same_bytes_is_not(tmp_path: Path, tiny: ClipModel, paths: list[Path]) -> None:
    FeatureStore(tmp_path / "cache", tiny).features(paths)
    os.utime(paths[1], (1, 1))
    store = FeatureStore(tmp_path / "cache", tiny)
    store.features(paths)
    assert store.computed == 0


@pytest.mark.parametrize("left", [b"", b'"half', b"\x00" * 40])
def test_a_killed_store_goes_on_where_it_was(tmp_path: Path, tiny: ClipModel, paths: list[Path], left: bytes) -> None:
    whole = FeatureStore(tmp_path / "whole", tiny).features(paths)
    broken = FeatureStore(tmp_path / "cache", tiny)
    broken.features(paths[:3])
    with (broken.folder / "features.f32").open("ab") as file:
        file.write(b"\x01" * 37)  # rows that were written before the kill, without their line
    with (broken.folder / "rows.jsonl").open("ab") as file:
        file.write(left)
    store = FeatureStore(tmp_path / "cache", tiny)
    np.testing.assert_array_equal(store.features(paths), whole)
    assert store.computed == 2


def test_rows_that_the_disk_lost_are_computed_again(tmp_path: Path, tiny: ClipModel, paths: list[Path]) -> None:
    store = FeatureStore(tmp_path / "cache", tiny)
    whole = store.features(paths)
    os.truncate(store.folder / "features.f32", 10)
    np.testing.assert_array_equal(FeatureStore(tmp_path / "cache", tiny).features(paths), whole)


def test_the_key_follows_what_can_change_a_feature(tiny: ClipModel) -> None:
    base = store_key(tiny)
    other_text = make_tiny(0)
    other_text.model.ln_final.weight.data += 1
    assert store_key(other_text) == base
    for changed in (make_tiny(1), make_tiny(0)):
        if store_key(changed) == base:
            changed.config = {**changed.config, "vision_cfg": {**changed.config["vision_cfg"], "head_width": 8}}
        assert store_key(changed) != base
    tiny.preprocess_config = {**tiny.preprocess_config, "interpolation": "bilinear"}
    assert store_key(tiny) != base


def test_what_is_no_picture_is_named(tmp_path: Path, tiny: ClipModel) -> None:
    (tmp_path / "x.jpg").write_bytes(b"no picture")
    with pytest.raises(TrainerError, match=r"x\.jpg cannot be read"):
        FeatureStore(tmp_path / "cache", tiny).features([tmp_path / "x.jpg"])
    with pytest.raises(TrainerError, match=r"gone\.jpg"):
        FeatureStore(tmp_path / "cache", tiny).features([tmp_path / "gone.jpg"])


def test_a_features_bits_are_those_of_its_picture_alone(tmp_path: Path) -> None:
    """Whatever was asked for before and with it: else the history of the cache would be in the weights."""
    torch.manual_seed(0)
    vision = {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16}
    model = build({**TINY, "vision_cfg": vision}, {}, name="wide", arch="wide")
    paths = draw_pictures(tmp_path / "pictures", 70)
    together = FeatureStore(tmp_path / "together", model).features(paths)
    for at in (0, 66):
        alone = FeatureStore(tmp_path / f"alone-{at}", model).features([paths[at]])
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
    """A line in the middle is lost, doubled or rubbish: no picture gets the features of another."""
    store = FeatureStore(tmp_path / "cache", tiny)
    whole = store.features(paths)
    for index in (store.folder / "rows.jsonl", tmp_path / "cache" / "features" / "bytes.jsonl"):
        lines = index.read_bytes().splitlines(keepends=True)
        index.write_bytes(b"".join([*lines[:2], _rotten(lines[2], lines[0])[how], *lines[3:]]))
    for wanted in (paths, paths[::-1]):
        again = FeatureStore(tmp_path / "cache", tiny).features(wanted)
        np.testing.assert_array_equal(again, whole if wanted is paths else whole[::-1])
    assert len((store.folder / "rows.jsonl").read_bytes().splitlines()) == 5


def test_half_a_line_of_the_byte_index_does_not_swallow_the_next(
    tmp_path: Path, tiny: ClipModel, paths: list[Path]
) -> None:
    store = FeatureStore(tmp_path / "cache", tiny)
    store.identify(paths[:2])
    index = tmp_path / "cache" / "features" / "bytes.jsonl"
    with index.open("ab") as file:
        file.write(b'["/pictures/p0')
    hashes = store.identify(paths)
    told: list[int] = []
    assert store.identify(paths, progress=lambda done, of: told.append(of)) == hashes
    assert told == [], "all are remembered"


def test_an_interrupted_pass_keeps_what_it_has(
    tmp_path: Path, tiny: ClipModel, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.feature_store._BATCH", 2)
    monkeypatch.setattr("trainers.feature_store._HASHED_AT_ONCE", 2)
    told: list[tuple[int, int]] = []

    def progress(done: int, of: int) -> None:
        told.append((done, of))
        if done >= 2:
            raise KeyboardInterrupt

    store = FeatureStore(tmp_path / "cache", tiny)
    with pytest.raises(KeyboardInterrupt):
        store.identify(paths, progress=progress)
    assert len((tmp_path / "cache" / "features" / "bytes.jsonl").read_text().splitlines()) == 2
    with pytest.raises(KeyboardInterrupt):
        store.features(paths, progress=progress)
    assert told == [(0, 5), (2, 5)] * 2
    again = FeatureStore(tmp_path / "cache", tiny)
    again.features(paths, progress=lambda done, of: told.append((done, of)))
    assert again.computed == 3
    assert told[4:] == [(0, 3), (2, 3), (3, 3)]


def test_waiting_for_another_process_can_be_ended(tmp_path: Path, tiny: ClipModel, paths: list[Path]) -> None:
    store = FeatureStore(tmp_path / "cache", tiny)

    def progress(done: int, of: int) -> None:
        if not of:
            raise KeyboardInterrupt

    with (store.folder / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(KeyboardInterrupt):
            store.features(paths, progress=progress)
    store.features(paths, progress=progress)
    assert store.computed == 5


def test_hostile_pictures_are_named(
    tmp_path: Path, tiny: ClipModel, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bomb, half a file, and one whose resized form would not fit into memory."""
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (1, 2000)).save(paths[2])
    store = FeatureStore(tmp_path / "cache", tiny)
    for path, said in ((paths[1], "cannot be read as a picture"), (paths[2], r"too narrow \(1 x 2000\)")):
        with pytest.raises(TrainerError, match=rf"{path.name}.*{said}"):
            store.features([path])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(TrainerError, match=r"p000\.png cannot be read as a picture: .*decompression bomb"):
        store.features(paths[:1])
