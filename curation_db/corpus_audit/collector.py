"""Counts captions as they are read: blocks of lines by the fast scan, all others one by one, with equal results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from curation_db.corpus_audit.block_scan import scan
from curation_db.corpus_audit.counts import AuditCounts
from curation_db.corpus_audit.samples import CaptionSample, Origin, Sampled
from curation_db.enums import NegationType
from curation_db.importing.rows import TEXT_LIMIT, RejectReason, excerpt
from curation_db.language.negation_cues import Cue, CueClass, find_cues
from curation_db.language.sanitize import clean

MOST_LISTED: Final = 200
"""Bad rows that are listed for one part of a corpus; all are counted."""
PER_CUE: Final = 5
ABSENT_NAME: Final = "images"
"""Name of the sample of captions that say that an object is not in the image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSizes:
    """What an audit keeps beside the counts."""

    per_cue: int = PER_CUE
    """Captions for reading, for each cue."""
    absent: int = 0
    """Captions with an image and a negated object, for the look at their images."""
    seed: int = 0


class BadRow(NamedTuple):
    """A row that is no caption."""

    reason: RejectReason
    message: str
    origin: Origin
    excerpt: str


@dataclass(slots=True)
class Collector:
    """The counts, samples and bad rows of one part of a corpus."""

    file: str
    sizes: SampleSizes = field(default_factory=SampleSizes)
    counts: AuditCounts = field(default_factory=AuditCounts)
    samples: dict[str, CaptionSample] = field(default_factory=dict)
    """By cue."""
    absent: CaptionSample = field(init=False)
    bad: Counter[str] = field(default_factory=Counter)
    """Bad rows by reason."""
    listed: list[BadRow] = field(default_factory=list)
    """The first of them."""
    lines: int = 0
    """Lines of the part, if its file is text."""

    def __post_init__(self) -> None:
        self.absent = CaptionSample(self.sizes.absent, self.sizes.seed, ABSENT_NAME)

    def add_lines(self, block: bytes) -> None:
        """Add a block of lines of UTF-8, one caption on each; the last line ends with a newline."""
        first = self.lines + 1
        result = scan(block)
        self.lines += result.lines
        counts = self.counts
        counts.add_captions(result.captions, result.words, result.word_squares)
        counts.empty += result.blank
        for line, start, end, words in result.candidates:
            text = block[start:end].decode("ascii")
            self._add_cues(text, words, lambda line=line: Origin(self.file, first + line), None)  # type: ignore[misc]
        for line, start, end in result.others:
            self._add_undecoded(block[start:end], Origin(self.file, first + line))

    def _add_undecoded(self, line: bytes, origin: Origin) -> None:
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            message = f"invalid {error.encoding} at byte {error.start} of the line"
            self.refuse(RejectReason.ENCODING, message, origin, line[:400].decode(errors="replace"))
            return
        self.add_text(text, lambda: origin)

    def add_texts(
        self,
        texts: Sequence[str],
        origin: Callable[[int], Origin],
        image: Callable[[int], str | None] = lambda index: None,
    ) -> None:
        """Add captions that are decoded already.

        Args:
            origin: Returns the position of a caption by its index.
            image: Returns the name of the image of a caption by its index.
        """
        try:
            block = "\n".join(texts).encode() + b"\n"
        except UnicodeEncodeError:  # a lone surrogate
            block = b""
        if not texts or block.count(b"\n") != len(texts) or b"\0" in block:
            for index, text in enumerate(texts):
                self.add_text(text, lambda index=index: origin(index), lambda index=index: image(index))  # type: ignore[misc]
            return
        result = scan(block)
        counts = self.counts
        counts.add_captions(result.captions, result.words, result.word_squares)
        counts.empty += result.blank
        for at, _, _, words in result.candidates:
            self._add_cues(texts[at], words, lambda at=at: origin(at), lambda at=at: image(at))  # type: ignore[misc]
        for at, _, _ in result.others:
            self.add_text(texts[at], lambda at=at: origin(at), lambda at=at: image(at))  # type: ignore[misc]

    def add_text(
        self, raw: object, origin: Callable[[], Origin], image: Callable[[], str | None] = lambda: None
    ) -> None:
        """Add one caption by the plain rules, which `add_lines` and `add_texts` follow."""
        if not isinstance(raw, str):
            message = f"expected a text, got {type(raw).__name__}"
            self.refuse(RejectReason.BAD_VALUE, message, origin(), raw)
            return
        if len(raw) > TEXT_LIMIT:
            message = f"{len(raw):,} characters; {TEXT_LIMIT:,} at most"
            self.refuse(RejectReason.TEXT_TOO_LONG, message, origin(), raw[:400])
            return
        try:
            raw.encode()
        except UnicodeEncodeError:
            message = "bytes that are not valid in the file's encoding, or half a surrogate pair"
            self.refuse(RejectReason.ENCODING, message, origin(), raw[:400])
            return
        text = clean(raw)
        words = len(text.split())
        if not words:
            self.counts.empty += 1
            return
        self.counts.add_captions(1, words, words * words)
        self._add_cues(text, words, origin, image)

    def _add_cues(
        self, text: str, words: int, origin: Callable[[], Origin], image: Callable[[], str | None] | None
    ) -> None:
        cues = find_cues(text)
        if not cues:
            return
        self.counts.add_cues(text, words, cues)

        def sampled(cue: Cue) -> Sampled:
            span = cue.concept_span
            target = None if span is None else " ".join(text[span[0] : span[1]].split())
            return Sampled(text, origin(), image() if image else None, target)

        for cue in {cue.word: cue for cue in reversed(cues)}.values():
            sample = self.samples.get(cue.word)
            if sample is None:
                sample = self.samples[cue.word] = CaptionSample(self.sizes.per_cue, self.sizes.seed, cue.word)
            sample.offer(text, lambda cue=cue: sampled(cue))  # type: ignore[misc]
        if self.sizes.absent and image is not None and (absent := _absent_object(cues)) is not None:
            name = image()
            if name is not None:
                self.absent.offer(f"{name}\0{text}", lambda: sampled(absent))

    def refuse(self, reason: RejectReason, message: str, origin: Origin, row: Any) -> None:
        """Count a bad row, and list it while the list is below its limit."""
        self.bad[str(reason)] += 1
        if len(self.listed) < MOST_LISTED:
            self.listed.append(BadRow(reason, message, origin, excerpt(row)))


def _absent_object(cues: Sequence[Cue]) -> Cue | None:
    """Return the first cue that says that an object is not in the image."""
    wanted = (
        cue for cue in cues if cue.negation_type is NegationType.ABSENCE and cue.cue_class is not CueClass.MENTION
    )
    return next((cue for cue in wanted if cue.concept_span is not None and cue.target != "person"), None)
