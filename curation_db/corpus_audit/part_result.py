"""The result of one part, on disk as JSON, and the result of the whole corpus."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from curation_db.atomic_write import replace_file
from curation_db.corpus_audit.collector import ABSENT_NAME, MOST_LISTED, BadRow, Collector, SampleSizes
from curation_db.corpus_audit.counts import AuditCounts
from curation_db.corpus_audit.parts import Part
from curation_db.corpus_audit.samples import CaptionSample, Origin
from curation_db.foreign_json import JsonError, parse_json
from curation_db.importing.rows import RejectReason
from curation_db.language.negation_cues import CUES_VERSION

STATE_VERSION: Final = 1
"""Increase it where an audit counts something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOptions:
    """What changes the result of a part."""

    sizes: SampleSizes = field(default_factory=SampleSizes)
    column: str | None = None
    """Column with the captions; None: by the usual names."""
    header: bool = True
    """Whether the first line of a CSV or TSV file names the columns."""


@dataclass(slots=True)
class PartResult:
    """The result of one part, or of several that were merged."""

    sizes: SampleSizes
    counts: AuditCounts = field(default_factory=AuditCounts)
    samples: dict[str, CaptionSample] = field(default_factory=dict)
    absent: CaptionSample | None = None
    bad: Counter[str] = field(default_factory=Counter)
    listed: list[BadRow] = field(default_factory=list)
    lines: int = 0

    @staticmethod
    def of(collector: Collector) -> PartResult:
        """Return what a collector has."""
        each = collector
        return PartResult(each.sizes, each.counts, each.samples, each.absent, each.bad, each.listed, each.lines)

    def merge(self, other: PartResult) -> None:
        """Add the result of the next part."""
        self.counts.merge(other.counts)
        for word, sample in other.samples.items():
            self.samples.setdefault(word, CaptionSample(sample.size, sample.seed, sample.name)).merge(sample)
        if self.absent is None:
            self.absent = other.absent
        elif other.absent is not None:
            self.absent.merge(other.absent)
        self.bad.update(other.bad)
        self.listed = (self.listed + other.listed)[:MOST_LISTED]

    def move(self, lines: int) -> None:
        """Count the lines from the beginning of the file, which has `lines` before this part."""
        if not lines:
            return
        for sample in (*self.samples.values(), *filter(None, [self.absent])):
            for number, entry in sample.entries.items():
                sample.entries[number] = entry._replace(origin=_moved(entry.origin, lines))
        self.listed = [bad._replace(origin=_moved(bad.origin, lines)) for bad in self.listed]

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON types."""
        return {
            "counts": self.counts.to_json(),
            "samples": {word: sample.to_json() for word, sample in sorted(self.samples.items())},
            "absent": [] if self.absent is None else self.absent.to_json(),
            "bad": dict(sorted(self.bad.items())),
            "listed": [[bad.reason, bad.message, list(bad.origin), bad.excerpt] for bad in self.listed],
            "lines": self.lines,
        }

    @staticmethod
    def from_json(data: Any, sizes: SampleSizes) -> PartResult:
        """Return the result of `to_json`.

        Raises:
            ValueError: `data` has another shape.
        """
        try:
            samples = {
                word: CaptionSample.from_json(sizes.per_cue, sizes.seed, word, entries)
                for word, entries in data["samples"].items()
            }
            listed = [
                BadRow(RejectReason(reason), message, Origin(*origin), excerpt)
                for reason, message, origin, excerpt in data["listed"]
            ]
            return PartResult(
                sizes,
                AuditCounts.from_json(data["counts"]),
                samples,
                CaptionSample.from_json(sizes.absent, sizes.seed, ABSENT_NAME, data["absent"]),
                Counter(data["bad"]),
                listed,
                int(data["lines"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not the result of a part: {error}") from None


def _moved(origin: Origin, lines: int) -> Origin:
    return origin if origin.line is None else origin._replace(line=origin.line + lines)


class Merger:
    """Merges results in the order of the corpus, whatever the order in which they arrive."""

    def __init__(self, sizes: SampleSizes) -> None:
        self.total = PartResult(sizes)
        self._waiting: dict[int, tuple[Part, PartResult | None]] = {}
        self._next = 0
        self._path, self._lines = "", 0

    def add(self, index: int, part: Part, result: PartResult | None) -> None:
        """Add the result of the part with this index; None: the part has none."""
        self._waiting[index] = (part, result)
        while self._next in self._waiting:
            self._merge(*self._waiting.pop(self._next))
            self._next += 1

    def _merge(self, part: Part, result: PartResult | None) -> None:
        if part.path != self._path:
            self._path, self._lines = part.path, 0
        if result is not None:
            result.move(self._lines)
            self._lines += result.lines
            self.total.merge(result)


def merged(parts: Iterable[tuple[Part, PartResult]], sizes: SampleSizes) -> PartResult:
    """Return the result of the corpus; `parts` are in its order."""
    merger = Merger(sizes)
    for index, (part, result) in enumerate(parts):
        merger.add(index, part, result)
    return merger.total


class StateFolder:
    """The results of parts on disk, by part and options. A damaged file is the same as none."""

    def __init__(self, folder: Path, options: AuditOptions) -> None:
        self._folder = folder
        self._options = options

    def path(self, part: Part) -> Path:
        """Return the file of a part."""
        options = self._options
        sizes = options.sizes
        identity = [
            *(STATE_VERSION, CUES_VERSION, part.to_json(), options.column, options.header),
            *(sizes.per_cue, sizes.absent, sizes.seed),
        ]
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()
        return self._folder / f"{digest[:32]}.json"

    def read(self, part: Part) -> PartResult | None:
        """Return the stored result of a part; None: there is none."""
        try:
            data = parse_json(self.path(part).read_bytes())
            return PartResult.from_json(data, self._options.sizes)
        except (OSError, JsonError, ValueError):
            return None

    def write(self, part: Part, result: PartResult) -> None:
        """Store the result of a part, at once as a whole."""
        self._folder.mkdir(parents=True, exist_ok=True)
        replace_file(self.path(part), json.dumps(result.to_json()))
