"""Exports are verified before they are read, the split is by image, the order is a pure function."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation_db.exporting.manifest import ExportItem
from trainers.data.dataset import (
    EpochOrder,
    TrainingPair,
    false_caption_of,
    locate_in,
    own_captions,
    read_pool,
    read_set,
    split_by_caption,
    split_by_image,
    write_pool,
)
from trainers.errors import TrainerError


def _pairs(images: list[str]) -> list[TrainingPair]:
    return [TrainingPair(image, Path(image), f"text {n}") for n, image in enumerate(images)]


def test_a_set_is_read_with_its_pictures(corpus: Path) -> None:
    export = read_set(corpus / "export", locate_in({"src": [corpus / "pictures"]}))
    assert (len(export.pairs), export.missing, len(export.export_sha256)) == (48, 0, 64)
    assert export.pairs[0].path == (corpus / "pictures" / "p000.png").resolve()


def test_a_changed_set_and_missing_pictures_are_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match="none of its 48 images"):
        read_set(corpus / "export", locate_in({}))
    (tmp_path / "items.jsonl").write_text("{}")
    with pytest.raises(TrainerError, match="not an export"):
        read_set(tmp_path, locate_in({}))
    for name in ("manifest.json", "items.jsonl"):
        (tmp_path / name).write_bytes((corpus / "export" / name).read_bytes().replace(b"dog", b"cow"))
    with pytest.raises(TrainerError, match="changed"):
        read_set(tmp_path, locate_in({"src": [corpus / "pictures"]}))


@pytest.mark.parametrize(
    ("caption", "concept", "kind", "expected"),
    [
        ("A man rides a horse.", "hat", "absence", "A man rides a horse with a hat"),
        ("a dog", "red umbrella", "absence", "a dog with a red umbrella"),
        ("a dog", "umbrella", "absence", "a dog with an umbrella"),
        ("a street . ", "people", "absence", "a street with people"),
        ("a street", "parked cars", "absence", "a street with parked cars"),
        ("a dog", "running", "action", None),
        ("a dog", None, "absence", None),
        ("a dog", " ", "absence", None),
        (None, "hat", "absence", None),
    ],
)
def test_a_false_caption_affirms_the_absent_concept(
    caption: str | None, concept: str | None, kind: str, expected: str | None
) -> None:
    item = ExportItem(
        key="k", source="s", image_key="1", text="no hat", caption=caption, concept=concept, negation_type=kind
    )
    assert false_caption_of(item) == expected
    assert false_caption_of(replace(item, state="rejected")) is None, "the concept may be in the image"
    assert false_caption_of(replace(item, state="open")) is None


def test_a_hostile_name_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"x")
    (tmp_path / "pictures").mkdir()
    locate = locate_in({"s": [tmp_path / "pictures"]})
    assert [locate("s", name) for name in ("../secret.png", str(tmp_path / "secret.png"), None, "none.png")] == [
        None
    ] * 4


@pytest.mark.parametrize(("count", "share"), [(1, 0.2), (9, 0.2), (103, 0.2), (103, 0.35)])
def test_the_split_by_caption_is_the_published_one(count: int, share: float) -> None:
    state = np.random.get_state()
    np.random.seed(42)
    indices = list(range(count))
    np.random.shuffle(indices)
    at = int(np.floor(share * count))
    np.random.set_state(state)
    assert split_by_caption(count, val_share=share, seed=42) == (indices[at:], indices[:at])
    assert np.random.get_state()[2] == state[2], "the global generator is unchanged"


@given(st.lists(st.sampled_from("abcdefghij"), max_size=60), st.floats(0, 0.99), st.integers(0, 9))
def test_no_picture_is_on_both_sides(images: list[str], share: float, seed: int) -> None:
    pairs = _pairs(images)
    train, val = split_by_image(pairs, val_share=share, seed=seed)
    assert sorted(train + val) == list(range(len(pairs)))
    assert not {pairs[row].image for row in train} & {pairs[row].image for row in val}


def test_a_pictures_side_does_not_depend_on_the_others() -> None:
    pairs = _pairs([f"i{n}" for n in range(2000)])
    _, val = split_by_image(pairs, val_share=0.2, seed=1)
    assert 0.17 < len(val) / 2000 < 0.23
    _, fewer = split_by_image(pairs[:500], val_share=0.2, seed=1)
    assert fewer == [row for row in val if row < 500]


@given(st.integers(1, 40), st.integers(1, 12), st.booleans())
def test_every_epoch_holds_every_row_once(count: int, batch: int, drop_last: bool) -> None:
    order = EpochOrder(count, batch, seed=3, drop_last=drop_last)
    for epoch in range(2):
        rows = np.concatenate([order.rows(epoch * order.per_epoch + at) for at in range(order.per_epoch)])
        assert len(set(rows.tolist())) == len(rows)
        if not drop_last:
            assert sorted(rows.tolist()) == list(range(count))


def test_pools_come_back_and_own_captions_make_one(tmp_path: Path) -> None:
    write_pool(tmp_path / "pool.jsonl", [("a.png", ("a dog", "dogs")), ("b.png", ["x"])])
    pool = read_pool(tmp_path / "pool.jsonl")
    assert [(p.path, p.texts) for p in pool] == [(tmp_path / "a.png", ("a dog", "dogs")), (tmp_path / "b.png", ("x",))]
    pairs = [
        TrainingPair("i", Path("i.png"), "no x", "an i"),
        TrainingPair("i", Path("i.png"), "no y", "an i"),
        TrainingPair("j", Path("j"), ""),
    ]
    assert [p.texts for p in own_captions(pairs)] == [("an i",)]
    with pytest.raises(TrainerError, match="no original captions"):
        own_captions(pairs[2:])
    with pytest.raises(TrainerError, match=r"none\.jsonl is not a replay pool: No such file or directory$"):
        read_pool(tmp_path / "none.jsonl")
