"""The multi-index search against a comparison of all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from curation_db.similarity import hamming
from curation_db.similarity.hamming import HammingIndex, distances

_VALUES = st.integers(0, 2**64 - 1)
_FLIPS = st.lists(st.integers(0, 63), max_size=12).map(lambda bits: sum({1 << bit for bit in bits}))


@st.composite
def _related(draw: st.DrawFn) -> list[int]:
    """Hashes near to few centres, so that every distance around the radius occurs."""
    centres = draw(st.lists(_VALUES, min_size=1, max_size=3))
    return draw(st.lists(st.tuples(st.sampled_from(centres), _FLIPS).map(lambda each: each[0] ^ each[1]), max_size=25))


def _array(values: list[int]) -> hamming.Hashes:
    return np.array(values, dtype=np.uint64)


@settings(deadline=None, max_examples=examples(60))
@given(_related(), _related(), st.integers(0, 9))
def test_the_index_finds_exactly_the_pairs_within_the_radius(items: list[int], asked: list[int], radius: int) -> None:
    at, found = HammingIndex(_array(items)).within(_array([*asked, *items]), radius)
    expected = [
        (i, j)
        for i, one in enumerate([*asked, *items])
        for j, other in enumerate(items)
        if (one ^ other).bit_count() <= radius
    ]
    assert list(zip(at.tolist(), found.tolist(), strict=True)) == expected


@given(st.lists(st.tuples(_VALUES, _VALUES), max_size=20))
def test_a_distance_is_the_number_of_different_bits(pairs: list[tuple[int, int]]) -> None:
    first, second = _array([one for one, _ in pairs]), _array([other for _, other in pairs])
    assert distances(first, second).tolist() == [(one ^ other).bit_count() for one, other in pairs]


def test_many_hashes_in_one_bucket_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hamming, "_PAIRS_AT_ONCE", 50)
    monkeypatch.setattr(hamming, "_QUERIES_AT_ONCE", 7)
    at, found = HammingIndex(_array([5] * 30)).within(_array([5] * 30), 0)
    assert at.tolist() == [i for i in range(30) for _ in range(30)]
    assert found.tolist() == list(range(30)) * 30
