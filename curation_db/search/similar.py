"""The candidates that are most similar to one candidate, with their similarity: `like:1204`. Reads only.

By words: negated text and concept (the cue is part of the text), compared as `similarity.words` says. The full-text
index finds the candidates that share an informative word; those that share only frequent words ("a", "no", "with") are
not similar. So the work depends on how many candidates share a rare word, not on the size of the record: 0.2 s with
300,000 candidates.

By image and text features, where training or benchmarks have cached them (`similarity.features`): candidates of images
that look similar join the list. The similarity is the mean of the parts that the asked candidate has: its words, its
image, its text. Another candidate without a feature has 0 in that part.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, text

from curation_db.search.families import COLLECTION, cache_file
from curation_db.search.query_language import QueryField, View
from curation_db.similarity import features, signature_cache
from curation_db.similarity.words import AskedText, inverse_frequency, words_of
from curation_db.storage import sqlite
from curation_db.storage.sqlite import IN_IDS, json_array

MOST: Final = 2_000
"""Candidates of a list at most: those that the full-text index ranks first."""
LEAST: Final = 0.1
"""Smallest similarity of a listed candidate."""
_POSTINGS: Final = 60_000
"""Entries of the full-text index that are read for the words, rarest first; the rarest word is always read."""
_KEPT: Final = 8
"""Lists in memory, so that each page of rows finds the list of its view."""

_LOOKS_SIMILAR: Final = 0.5
"""Smallest similarity of an image whose candidates join the list."""
_IMAGES: Final = 200
"""Images that join at most, the most similar ones."""

_ASKED = text("SELECT text, concept, image_id FROM candidate WHERE id = :id")
_TEXTS = text(f"SELECT id, text, concept, image_id FROM candidate WHERE id {IN_IDS}")
_OF_IMAGES = text(f"SELECT id FROM candidate WHERE image_id {IN_IDS} ORDER BY id LIMIT :most")
_FILES = text("SELECT i.id, s.name, i.key, i.content_sha256 FROM image i JOIN source s ON s.id = i.source_id")
_RANKED = text("SELECT rowid FROM candidate_text WHERE candidate_text MATCH :query ORDER BY rank, rowid LIMIT :most")
_TOTAL = text("SELECT count(*) FROM candidate")
_VERSION = text("""
    SELECT (SELECT max(id) FROM candidate), (SELECT value FROM record_note WHERE name = 'indexed_candidate')
""")


@dataclass(frozen=True, slots=True)
class SimilarList:
    """Candidates by falling similarity; the asked candidate is the first."""

    ids: array[int]
    similarity: Mapping[int, float]


_NOTHING: Final = SimilarList(array("q"), {})
_lists: OrderedDict[tuple[Path | None, int, Any], SimilarList] = OrderedDict()


def similar_to(connection: Connection, number: int) -> SimilarList:
    """Return the candidates similar to candidate `number`; none if it does not exist."""
    database = sqlite.database_path(connection)
    cached = features.stamps(cache_file(database).parent) if database is not None else ()
    key = (database, number, (*connection.execute(_VERSION).one(), cached))
    found = _lists.get(key)
    if found is None:  # another thread may remove it from the cache at any time
        found = _lists[key] = _computed(connection, number)
        while len(_lists) > _KEPT:
            _lists.popitem(last=False)
    return found


def by_similarity(connection: Connection, view: View, ids: Sequence[int]) -> array[int]:
    """Return the ids in the order of the view: by falling similarity, equally similar ones by number, or reversed."""
    known = similarities(connection, view)
    order = sorted(ids, key=lambda number: (-known.get(number, 0.0), number), reverse=view.reverse)
    return array("q", order)


def similarities(connection: Connection, view: View) -> Mapping[int, float]:
    """Return the similarity of each candidate of the view's `like:` terms: the highest, if several are asked."""
    asked = [
        int(value.name)
        for term in view.terms
        if term.field is QueryField.LIKE and not term.excluded
        for value in term.values
    ]
    best: dict[int, float] = {}
    for number in asked:
        for candidate, value in similar_to(connection, number).similarity.items():
            best[candidate] = max(value, best.get(candidate, 0.0))
    return best


def _computed(connection: Connection, number: int) -> SimilarList:
    asked = connection.execute(_ASKED, {"id": number}).first()
    if asked is None:
        return _NOTHING
    words = words_of(asked.text, asked.concept)
    counts = sqlite.words_with_counts(connection, "candidate", sorted(set(words)))
    total = int(connection.execute(_TOTAL).scalar_one())
    compared = AskedText(words, {word: inverse_frequency(total, counts.get(word, 1)) for word in words})
    looks = _similar_images(connection, asked.image_id)
    close = sorted((image for image in looks if looks[image] >= _LOOKS_SIMILAR), key=lambda image: -looks[image])
    alike = {"ids": json_array(close[:_IMAGES]), "most": MOST}
    found = {*_sharing_informative_words(connection, counts, total), *connection.execute(_OF_IMAGES, alike).scalars()}
    rows = connection.execute(_TEXTS, {"ids": json_array(sorted(found | {number}))}).all()
    parts = [[compared.similarity(words_of(row.text, row.concept)) for row in rows]]
    if looks:
        parts.append([looks.get(row.image_id, 0.0) for row in rows])
    if (by_text := _similar_texts(connection, asked.text, [row.text for row in rows])) is not None:
        parts.append(by_text)
    similarity = {row.id: sum(values) / len(values) for row, *values in zip(rows, *parts, strict=True)}
    listed = {candidate: value for candidate, value in similarity.items() if value >= LEAST} | {number: 1.0}
    order = sorted(listed, key=lambda candidate: (candidate != number, -listed[candidate], candidate))
    return SimilarList(array("q", order), listed)


def _sharing_informative_words(connection: Connection, counts: Mapping[str, int], total: int) -> list[int]:
    """Return the candidates with at least one of the words that are worth reading, as the index ranks them."""
    read: list[str] = []
    budget = _POSTINGS
    for word in sorted(counts, key=lambda word: (counts[word], word)):
        if read and counts[word] > budget:
            break
        read.append(word)
        budget -= counts[word]
    if not read:
        return []
    query = " OR ".join(sqlite.exact_query(word) for word in read)
    return list(connection.execute(_RANKED, {"query": query, "most": min(MOST, total)}).scalars())


def _similar_images(connection: Connection, asked: int) -> dict[int, float]:
    """Return the similarity of each image with a cached feature; empty if the asked image has none."""
    database = sqlite.database_path(connection)
    known = features.largest(cache_file(database).parent, "image") if database is not None else None
    if database is None or known is None:
        return {}
    signed = signature_cache.load(cache_file(database), COLLECTION)
    hashes: dict[int, str] = {}
    for row in connection.execute(_FILES):
        place = signed.places.get((COLLECTION + row.name, row.key))
        digest = signed.sha256[place] if place is not None else row.content_sha256
        if digest is not None and (name := digest.hex()) in known.rows:
            hashes[row.id] = name
    found = known.similarity(hashes.get(asked, ""), list(hashes.values()))
    return {} if found is None else dict(zip(hashes, found.tolist(), strict=True))


def _similar_texts(connection: Connection, asked: str, texts: Sequence[str]) -> list[float] | None:
    """Return the similarity of each text by cached features; None if the asked text has none."""
    database = sqlite.database_path(connection)
    known = features.largest(cache_file(database).parent, "text") if database is not None else None
    found = None if known is None else known.similarity(features.text_id(asked), [*map(features.text_id, texts)])
    return None if found is None else found.tolist()
