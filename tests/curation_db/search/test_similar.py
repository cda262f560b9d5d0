"""Similar candidates with cached features, compared with the formula over all candidates."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text
from support.record import Record

from curation_db.search import fulltext, similar
from curation_db.similarity import features
from curation_db.storage.store import Store, create_store
from trainers.features.feature_store import FeatureStore, feature_key

COUNT = 30
Vector = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
Vectors = dict[str, Vector]


def _digest(number: int) -> bytes:
    return hashlib.sha256(f"image {number}".encode()).digest()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a record in which each candidate shares its words with half of the others; images 1 to 20 have hashes."""
    opened = create_store(tmp_path / "curation.db")
    ids = Record(opened).add(COUNT)
    with opened.write() as connection:
        for number in ids:
            words = {"id": number, "text": f"a dog without a leash {number}" if number % 2 else f"no cat {number}"}
            connection.execute(text("UPDATE candidate SET text = :text, concept = NULL WHERE id = :id"), words)
            if number <= 20:
                row = {"id": number, "sha256": _digest(number)}
                connection.execute(text("UPDATE image SET content_sha256 = :sha256 WHERE id = :id"), row)
    fulltext.refresh(opened)
    return opened


def _stored(cache: Path, kind: str, vectors: Vectors, **more: str) -> None:
    rows = FeatureStore(cache, feature_key(kind, "weights", more))  # type: ignore[arg-type]

    def compute(
        missing: Sequence[str],
    ) -> list[tuple[Sequence[str], np.ndarray[tuple[int, ...], np.dtype[np.float32]]]]:
        return [(missing, np.stack([vectors[each] for each in missing]))]

    rows.rows(list(vectors), compute)


def _unit(seed: int) -> Vector:
    vector = np.random.default_rng(seed).normal(size=16) + 0.7  # all point roughly the same way, as those of CLIP do
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def _expected(asked: str, vectors: Vectors) -> dict[str, float]:
    mean = float(np.mean([vectors[asked] @ each for each in vectors.values()]))
    return {name: max(0.0, (float(vectors[asked] @ each) - mean) / (1 - mean)) for name, each in vectors.items()}


def test_cached_features_of_images_and_texts_join_the_words(store: Store, tmp_path: Path) -> None:
    with store.read() as connection:
        by_words = similar.similar_to(connection, 1)
    assert set(by_words.ids) == {number for number in range(1, COUNT + 1) if number % 2}

    vectors = {_digest(number).hex(): _unit(number) for number in range(1, 16)}
    vectors[_digest(4).hex()] = (vectors[_digest(1).hex()] * 0.999 + _unit(99) * 0.001).astype(np.float32)
    _stored(tmp_path / "cache", "image", vectors)
    _stored(tmp_path / "cache", "image", {hashlib.sha256(b"crop").hexdigest(): _unit(1)}, cutting="1")
    with store.read() as connection:
        found = similar.similar_to(connection, 1)
        without = similar.similar_to(connection, 17)
    looks = _expected(_digest(1).hex(), vectors)
    assert 4 in found.ids, "no word in common, but nearly the same image"
    for number, value in found.similarity.items():
        words = by_words.similarity.get(number, 0.0)
        look = looks.get(_digest(number).hex(), 0.0)
        assert value == pytest.approx(1.0 if number == 1 else (words + look) / 2, abs=1e-5), number
    assert {number for number in range(2, COUNT + 1) if by_words.similarity.get(number, 0) >= 0.2} <= set(found.ids)
    assert set(without.ids) == set(by_words.ids), "image 17 has no feature"

    texts = {features.text_id(f"a dog without a leash {number}"): _unit(100 + number) for number in (1, 3, 5)}
    _stored(tmp_path / "cache", "text", texts)
    with store.read() as connection:
        third = similar.similar_to(connection, 1).similarity[3]
    by_text = _expected(features.text_id("a dog without a leash 1"), texts)[features.text_id("a dog without a leash 3")]
    assert third == pytest.approx((by_words.similarity[3] + looks[_digest(3).hex()] + by_text) / 3, abs=1e-5)
    store.close()


@pytest.mark.parametrize(("postings", "listed"), [(60_000, 15), (1, 1), (16, 15)])
def test_the_rarest_words_are_read_first_within_the_budget(
    store: Store, monkeypatch: pytest.MonkeyPatch, postings: int, listed: int
) -> None:
    monkeypatch.setattr(similar, "_POSTINGS", postings)
    similar._lists.clear()
    with store.read() as connection:
        assert len(similar.similar_to(connection, 1).ids) == listed, "the number of the text is its rarest word"
    store.close()


def test_a_damaged_cache_counts_as_missing(store: Store, tmp_path: Path) -> None:
    vectors = {_digest(number).hex(): _unit(number) for number in range(1, 4)}
    _stored(tmp_path / "cache", "image", vectors)
    (folder,) = (tmp_path / "cache" / "features").iterdir()
    index = folder / "rows.jsonl"
    index.write_bytes(b"[1]\nnull\n" + index.read_bytes() + b'[77, "x", 16, 1]\n[0, 5, 16, 1]\n[0')
    loaded = features.largest(tmp_path / "cache", "image")
    assert loaded is not None
    assert set(loaded.rows) == set(vectors)
    (folder / "features.f32").write_bytes(b"12345")
    index.write_bytes(index.read_bytes() + b"\n")
    assert features.largest(tmp_path / "cache", "image") is None
    (folder / "key.json").write_text("{")
    features._kind.cache_clear()
    assert features.largest(tmp_path / "cache", "image") is None
    with store.read() as connection:
        assert 3 in similar.similar_to(connection, 1).ids
    store.close()
