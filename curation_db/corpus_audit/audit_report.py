"""The result of an audit as one JSON object: rates with intervals, counts, samples, word list, published rates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from curation_db.corpus_audit.counts import ANY, MENTION, NEGATES, AuditCounts, CueSums, Group
from curation_db.corpus_audit.part_result import PartResult
from curation_db.corpus_audit.published_rates import published_rates
from curation_db.corpus_audit.rates import caption_share, word_share
from curation_db.corpus_audit.run import CorpusResult
from curation_db.corpus_audit.samples import CaptionSample
from curation_db.corpus_audit.word_class import WordClass, not_counted, word_list
from curation_db.enums import NegationType
from curation_db.foreign_json import JsonError, parse_json
from curation_db.importing.rows import InputError
from curation_db.language.negation_cues import CUES_VERSION, Position
from curation_db.stats.intervals import Interval

KIND: Final = "negwb audit"
VERSION: Final = 1
_MOST_TARGETS: Final = 100
_SIZE_LIMIT: Final = 256 << 20
_FIXED: Final[dict[Group, tuple[str, ...]]] = {
    Group.ALL: (ANY,),
    Group.USE: (NEGATES, MENTION),
    Group.CLASS: tuple(WordClass),
    Group.POSITION: tuple(Position),
    Group.TYPE: tuple(NegationType),
}
"""Groups whose keys are shown in a fixed order, also those that no caption has."""


def keys_of(group: Group, *counts: AuditCounts) -> list[str]:
    """Return the keys of a group in the order of display: a fixed one, or the most frequent first."""
    if group in _FIXED:
        return [str(key) for key in _FIXED[group]]
    return list(dict.fromkeys(key for each in counts for key in each.keys(group)))


def report_json(result: CorpusResult, *, source: str, texts: str = "captions") -> dict[str, Any]:
    """Return the report of an audit.

    Args:
        source: The corpus, for display.
        texts: What the texts are: captions, or candidates of a workspace.
    """
    total = result.total
    counts = total.counts
    return {
        "kind": KIND,
        "version": VERSION,
        "source": source,
        "texts": texts,
        "parts": result.parts,
        "resumed": result.resumed,
        "captions": counts.captions,
        "words": counts.words,
        "empty": counts.empty,
        "rates": {str(group): _rates(counts, group) for group in Group},
        "targets": [list(item) for item in list(counts.to_json()["targets"].items())[:_MOST_TARGETS]],
        "without_target": counts.without_target,
        "rare_targets": counts.rare_targets,
        "samples": {word: _sample(total.samples[word]) for word in keys_of(Group.CUE, counts) if word in total.samples},
        "image_check": None,
        "bad_rows": _bad_rows(total),
        "bad_files": [asdict(fault) for fault in result.faults],
        "intervals": "95 %: captions Wilson; words a ratio clustered by caption, at its effective sample size",
        "cues_version": CUES_VERSION,
        "word_list": [{**each._asdict(), "word_class": str(each.word_class)} for each in word_list()],
        "not_counted": list(not_counted()),
        "published": [asdict(rate) for rate in published_rates()],
        "counts": counts.to_json(),
    }


def _rates(counts: AuditCounts, group: Group) -> dict[str, Any]:
    return {key: _rate(counts, counts.of(group, key)) for key in keys_of(group, counts)}


def _rate(counts: AuditCounts, sums: CueSums) -> dict[str, Any]:
    return {
        "captions": sums.captions,
        "caption_share": interval_json(caption_share(counts, sums)),
        "words": sums.hits,
        "word_share": interval_json(word_share(counts, sums)),
    }


def interval_json(interval: Interval) -> list[float | None]:
    """Return estimate, low and high; None for a missing number."""
    return [None if math.isnan(each) else each for each in (interval.estimate, interval.low, interval.high)]


def _sample(sample: CaptionSample) -> list[dict[str, Any]]:
    return [
        {"text": each.text, "where": each.origin.shown(), "image": each.image, "target": each.target} for each in sample
    ]


def _bad_rows(total: PartResult) -> dict[str, Any]:
    listed: Iterator[dict[str, str]] = (
        {
            "reason": str(bad.reason),
            "message": bad.message,
            "file": bad.origin.file,
            "row": bad.origin.shown().removeprefix(f"{bad.origin.file}, "),
            "excerpt": bad.excerpt,
        }
        for bad in total.listed
    )
    return {"rows": sum(total.bad.values()), "reasons": dict(sorted(total.bad.items())), "listed": list(listed)}


def read_report(path: Path) -> tuple[str, AuditCounts]:
    """Return the source and the counts of a report that `negwb audit --json` wrote.

    Raises:
        InputError: The file is not such a report, or another version counted other cues.
        OSError: The file cannot be read.
    """
    if path.stat().st_size > _SIZE_LIMIT:
        raise InputError(f"{path.name} is too large to be a report of negwb audit")
    try:
        data = parse_json(path.read_bytes())
    except JsonError as error:
        raise InputError(f"{path.name} is not JSON: {error}", hint="negwb audit SOURCE --json > FILE") from None
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise InputError(f"{path.name} is not a report of negwb audit", hint="negwb audit SOURCE --json > FILE")
    if data.get("version") != VERSION or data.get("cues_version") != CUES_VERSION:
        message = f"another version of negwb wrote {path.name}, which may count other words"
        raise InputError(message, hint="audit the corpus again")
    try:
        return str(data.get("source", path.name)), AuditCounts.from_json(data.get("counts"))
    except ValueError as error:
        raise InputError(f"{path.name}: {error}") from None
