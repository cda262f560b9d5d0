"""Rows of a derived training set: a text that is true of an image and, where asked for, a false one beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from curation_db.enums import Reason, State
from curation_db.exporting.manifest import ExportItem
from curation_db.language.affirmation import affirmed
from curation_db.language.object_mentions import affirms

ItemKey = tuple[str, str]
"""(source, key) of an item"""


@dataclass(frozen=True, slots=True)
class TrainingRow:
    item: ExportItem
    text: str
    """True of the image."""
    negative: str | None = None
    """False of the image; None: not asked for, or not known."""
    reverse: bool = False
    """Whether the negated text is the false one."""

    def fields(self, *, hard_negatives: bool) -> dict[str, str | bool]:
        """Return the columns of the formats that have several; an unknown value is "".

        The readers infer the type of a column from its first rows, so that null there and a text later is an error.
        """
        item = self.item
        values: dict[str, str | bool] = {"text": self.text}
        if hard_negatives:
            values |= {"negative": self.negative or "", "reverse": self.reverse}
        others = ("caption", "concept", "negation_type", "cue", "source", "image_key", "file_name", "key")
        return values | {name: getattr(item, name) or "" for name in others}


def row_of(item: ExportItem, *, hard_negatives: bool) -> TrainingRow | None:
    """Return the row of a pair; None: no text of it is known to be true of the image.

    An accepted text is true. With `hard_negatives` its negative is the caption that it contradicts. A text that was
    rejected only because its concept is present is false, and its affirmed form is true.
    """
    if item.state == State.ACCEPTED:
        return TrainingRow(item, item.text, contradicted_caption(item) if hard_negatives else None)
    if not hard_negatives or item.state != State.REJECTED or item.reasons != (Reason.PRESENT,):
        return None
    true = _affirmed_text(item) or item.caption
    return None if true is None else TrainingRow(item, true, item.text, reverse=True)


def rows_of(
    items: Iterable[ExportItem], *, hard_negatives: bool, stripped: Collection[ItemKey] = ()
) -> Iterator[TrainingRow | None]:
    """Yield the row of each item, as `row_of` does; the rows of the items in `stripped` have no negative."""
    for item in items:
        row = row_of(item, hard_negatives=hard_negatives)
        if row is not None and (item.source, item.key) in stripped:
            row = TrainingRow(item, row.text)
        yield row


def surplus(items: Iterable[ExportItem], *, seed: int) -> frozenset[ItemKey]:
    """Return the items that have to lose their negative so that as many pairs have a true negated caption as a false
    one. They are drawn by a seeded hash of their keys, and keep their true text.
    """
    kinds: tuple[list[ItemKey], list[ItemKey]] = ([], [])
    for row in rows_of(items, hard_negatives=True):
        if row is not None and row.negative is not None:
            kinds[row.reverse].append((row.item.source, row.item.key))
    most = min(map(len, kinds))
    return frozenset(key for keys in kinds for key in sorted(keys, key=lambda key: _draw(key, seed))[most:])


def _draw(key: ItemKey, seed: int) -> bytes:
    identity = "\0".join((str(seed), *key)).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(identity, digest_size=16).digest()


def contradicted_caption(item: ExportItem) -> str | None:
    """Return a caption that is false where the text of `item` is true; None: none is known.

    That is the sentence that a probe verified as false, else the text with its concept affirmed, else the original
    caption if it affirms the concept. An original caption that does not name the concept is true, too.
    """
    if item.triplet is not None and item.triplet.get("twin"):
        return item.triplet["twin"]
    if (text := _affirmed_text(item)) is not None:
        return text
    names_concept = item.caption is not None and item.concept is not None and affirms(item.caption, item.concept)
    return item.caption if names_concept else None


def _affirmed_text(item: ExportItem) -> str | None:
    return affirmed(item.text, item.concept) if item.concept else None
