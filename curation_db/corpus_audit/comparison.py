"""Compares two audits: the differences of the shares of captions and words, with intervals."""

from __future__ import annotations

from typing import Any, NamedTuple

from curation_db.corpus_audit.audit_report import interval_json, keys_of
from curation_db.corpus_audit.counts import AuditCounts, Group
from curation_db.corpus_audit.rates import caption_share, word_share
from curation_db.stats.intervals import Interval, independent_difference


class ShareDifference(NamedTuple):
    """The share of one group of cues in two corpora. Differences are second - first."""

    group: Group
    key: str
    first_captions: Interval
    second_captions: Interval
    captions: Interval
    first_words: Interval
    second_words: Interval
    words: Interval

    @property
    def is_clear(self) -> bool:
        """Whether the interval of the difference of captions excludes 0."""
        return self.captions.low > 0 or self.captions.high < 0


def compare(first: AuditCounts, second: AuditCounts) -> list[ShareDifference]:
    """Return the differences of all groups. The two corpora are taken for independent samples."""
    return [
        _difference(group, key, first, second)
        for group in Group
        for key in keys_of(group, first, second)
        if first.captions and second.captions
    ]


def _difference(group: Group, key: str, first: AuditCounts, second: AuditCounts) -> ShareDifference:
    ours, theirs = first.of(group, key), second.of(group, key)
    captions = caption_share(first, ours), caption_share(second, theirs)
    words = word_share(first, ours), word_share(second, theirs)
    # fmt: off
    return ShareDifference(
        group, key, captions[0], captions[1], independent_difference(captions[1], captions[0]),
        words[0], words[1], independent_difference(words[1], words[0]),
    )
    # fmt: on


def comparison_json(differences: list[ShareDifference], first: str, second: str) -> dict[str, Any]:
    """Return the comparison as JSON types. `first`, `second`: the sources."""
    rows: dict[str, dict[str, Any]] = {str(group): {} for group in Group}
    for each in differences:
        rows[each.group][each.key] = {
            name: interval_json(value) for name, value in each._asdict().items() if isinstance(value, Interval)
        }
    return {"kind": "negwb audit diff", "first": first, "second": second, "differences": rows}
