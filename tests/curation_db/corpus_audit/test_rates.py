"""The intervals of an audit, against textbook formulas and a bootstrap over captions."""

from __future__ import annotations

import math
import random
from statistics import stdev

import numpy as np
import pytest

from curation_db.corpus_audit.counts import AuditCounts, CueSums
from curation_db.corpus_audit.rates import caption_share, word_share
from curation_db.stats.intervals import Interval, independent_difference, score_interval, wilson


def counts_of(rows: list[tuple[int, int]]) -> tuple[AuditCounts, CueSums]:
    """Return the sums of captions given as (words, hits)."""
    counts, sums = AuditCounts(), CueSums()
    for words, hits in rows:
        counts.add_captions(1, words, words * words)
        if hits:
            sums.add(hits, words)
    return counts, sums


def test_the_share_of_captions_has_a_wilson_interval() -> None:
    counts, sums = counts_of([(10, 1)] * 7 + [(10, 0)] * 993)
    assert caption_share(counts, sums) == wilson(7, 1000)


def test_the_share_of_words_is_clustered_by_caption() -> None:
    draw = random.Random(5)
    rows = [(words, draw.choice([0, 0, 0, 3])) for words in (draw.randint(5, 30) for _ in range(4000))]
    share = word_share(*counts_of(rows))
    words, hits = np.array(rows).T
    assert share.estimate == pytest.approx(hits.sum() / words.sum())
    picks = np.random.default_rng(1).integers(0, len(rows), (2000, len(rows)))
    low, high = np.quantile(hits[picks].sum(1) / words[picks].sum(1), [0.025, 0.975])
    assert (share.low, share.high) == pytest.approx((low, high), rel=0.01)
    naive = wilson(int(hits.sum()), int(words.sum()))
    assert share.high - share.low > 1.4 * (naive.high - naive.low)  # three hits stand in one caption


def test_the_variance_is_that_of_the_linearised_ratio() -> None:
    rows = [(12, 1), (8, 0), (20, 2), (9, 0), (11, 1), (7, 0)] * 200
    ratio = sum(hits for _, hits in rows) / sum(words for words, _ in rows)
    mean_words = sum(words for words, _ in rows) / len(rows)
    error = stdev((hits - ratio * words) / mean_words for words, hits in rows) / math.sqrt(len(rows))
    share = word_share(*counts_of(rows))
    assert share.high - share.low == pytest.approx(2 * 1.959964 * error, rel=0.01)


def test_the_share_of_words_is_sound_at_its_ends() -> None:
    assert word_share(*counts_of([(10, 0)] * 50)) == Interval(0.0, 0.0, pytest.approx(0.00762, abs=1e-5))
    assert math.isnan(word_share(*counts_of([])).estimate)
    every = word_share(*counts_of([(1, 1)] * 20))
    assert every.estimate == every.high == 1
    one = word_share(*counts_of([(10, 1)]))
    assert 0 < one.low < 0.1 < one.high < 1


def test_the_difference_of_independent_shares_is_newcombes() -> None:
    # Newcombe 1998, table II, row (a): 56/70 - 48/80 by method 10
    interval = independent_difference(wilson(56, 70), wilson(48, 80))
    assert (interval.estimate, interval.low, interval.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    # row (e): 5/56 - 0/29
    interval = independent_difference(wilson(5, 56), wilson(0, 29))
    assert (interval.low, interval.high) == pytest.approx((-0.0381, 0.1926), abs=5e-5)


def test_the_effective_size_of_two_captions_by_hand() -> None:
    """One hit in 4 words, none in 6: residuals .6 and -.6, variance 2 / 1 * .72 / 100, so .09 / .0144 = 6.25 words."""
    counts = AuditCounts(captions=2, words=10, word_squares=16 + 36)
    found, expected = word_share(counts, CueSums(captions=1, hits=1, squares=1, products=4)), score_interval(0.1, 6.25)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
