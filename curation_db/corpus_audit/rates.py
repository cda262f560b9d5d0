"""Shares of captions and of words with their intervals, and their differences between two corpora.

The share of captions has a Wilson interval. The words of one caption are not independent, so the share of words is a
ratio of sums over captions: its variance is that of the linearised ratio, clustered by caption (Cochran 1977, 6.4), and
the interval is the Wilson interval at the effective sample size that this variance implies (Korn and Graubard 1998;
Franco et al. 2019). Both describe the corpus as a sample of a population of such captions; in an audit of a whole
corpus the counts themselves are exact.
"""

from __future__ import annotations

import math

from curation_db.corpus_audit.counts import AuditCounts, CueSums
from curation_db.stats.intervals import Interval, score_interval, wilson


def caption_share(counts: AuditCounts, sums: CueSums) -> Interval:
    """Return the share of captions that have a cue of the group."""
    return wilson(sums.captions, counts.captions)


def word_share(counts: AuditCounts, sums: CueSums) -> Interval:
    """Return the share of words in which a cue of the group begins."""
    if counts.words == 0:
        return Interval(math.nan, 0.0, 1.0)
    share = sums.hits / counts.words
    size = _effective_words(counts, sums, share)
    return score_interval(share, size)


def _effective_words(counts: AuditCounts, sums: CueSums, share: float) -> float:
    """Return the number of independent words with the same variance of the share."""
    n = counts.captions
    residuals = sums.squares - 2 * share * sums.products + share * share * counts.word_squares
    if n < 2 or residuals <= 0 or not 0 < share < 1:
        return counts.words
    variance = n / (n - 1) * residuals / counts.words**2
    return share * (1 - share) / variance
