"""The family of a candidate: the candidates that repeat its negated sentence or its denial. Reads only.

A candidate belongs to the family if it has the same negated sentence (`corpus_counts.near_text`), on any image; or if
it denies the same concept with the same cue at the same place of the sentence, and its image is the same image or a
near-duplicate. Candidates that an edit has replaced belong to no family.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, text

from curation_db.language.nouns import concept_key
from curation_db.lint.corpus_counts import near_text
from curation_db.similarity import signature_cache
from curation_db.similarity.words import words_of
from curation_db.storage import sqlite
from curation_db.storage.sqlite import IN_IDS, json_array

COLLECTION: Final = "source/"
"""Prefix of the collections of the record's images in the cache of signatures; the name of the source follows."""
_SEARCHED_WORDS: Final = 3
_COLUMNS: Final = "c.id, c.text, c.concept, c.cue, c.cue_position, c.negation_type, c.image_id"
_ASKED = text(f"SELECT {_COLUMNS} FROM candidate c WHERE c.id = :id")
_WITH_WORDS = text("""
    SELECT c.id, c.text FROM candidate c JOIN candidate_state s ON s.candidate_id = c.id
    WHERE c.id IN (SELECT rowid FROM candidate_text WHERE candidate_text MATCH :query) AND s.state != 'superseded'
""")
_EQUAL = text(f"""
    SELECT c.id, c.text FROM candidate c JOIN candidate_state s ON s.candidate_id = c.id
    WHERE {sqlite.TEXT_PREFIX.replace("text", "c.text")} COLLATE NOCASE = substr(:text, 1, 32) COLLATE NOCASE
    AND s.state != 'superseded'
""")
_OF_IMAGES = text(f"""
    SELECT {_COLUMNS} FROM candidate c JOIN candidate_state s ON s.candidate_id = c.id
    WHERE c.image_id {IN_IDS} AND s.state != 'superseded'
""")
_NAME_OF_IMAGE = text("SELECT s.name, i.key FROM image i JOIN source s ON s.id = i.source_id WHERE i.id = :id")
_FILES = text("""
    SELECT s.name, i.key, i.file_name FROM image i JOIN source s ON s.id = i.source_id
    WHERE i.file_name IS NOT NULL ORDER BY s.id, i.id
""")
_IMAGES = text("SELECT s.name, i.key FROM image i JOIN source s ON s.id = i.source_id")
_CANDIDATES_OF = text("""
    SELECT count(*) FROM candidate WHERE image_id =
    (SELECT id FROM image WHERE key = :key AND source_id = (SELECT id FROM source WHERE name = :source))
""")
_IMAGES_CALLED = text("SELECT id FROM image WHERE key = :name OR file_name = :name")
_BY_KEY = text("""
    SELECT i.id FROM json_each(:keys) k JOIN image i ON i.key = k.value
    AND i.source_id = (SELECT id FROM source WHERE name = :source)
""")


@dataclass(frozen=True, slots=True)
class Family:
    """Candidates that repeat one candidate, itself included."""

    ids: array[int]
    """In order of numbers."""
    same_sentence: int = 0
    """Others with the same negated sentence."""
    same_denial: int = 0
    """Others with another sentence, but the same denial on the same image or a near-duplicate."""
    images: int = 0
    """Images of the family."""


def family_of(connection: Connection, number: int) -> Family:
    """Return the family of candidate `number`; an empty one if it does not exist."""
    asked = connection.execute(_ASKED, {"id": number}).first()
    if asked is None:
        return Family(array("q"))
    sentence = _with_same_sentence(connection, asked.text) | {number}
    near = images_near(connection, [asked.image_id])
    rows = connection.execute(_OF_IMAGES, {"ids": json_array(near)}).all()
    denial = {row.id for row in rows if asked.concept and _denial(row) == _denial(asked)} | {number}
    ids = sorted(sentence | denial)
    images = connection.execute(
        text(f"SELECT count(DISTINCT image_id) FROM candidate WHERE id {IN_IDS}"), {"ids": json_array(ids)}
    ).scalar_one()
    return Family(array("q", ids), len(sentence) - 1, len(denial - sentence), int(images))


def candidates_near(connection: Connection, name: str) -> list[int]:
    """Return the candidates of the images with this key or file name, and of their near-duplicates."""
    images = images_near(connection, list(connection.execute(_IMAGES_CALLED, {"name": name}).scalars()))
    of_images = text(f"SELECT id FROM candidate WHERE image_id {IN_IDS} ORDER BY id")
    return list(connection.execute(of_images, {"ids": json_array(images)}).scalars())


def images_near(connection: Connection, images: Sequence[int]) -> list[int]:
    """Return these images and their near-duplicates in the record, as far as their signatures are computed."""
    near = set(images)
    database = sqlite.database_path(connection)
    if database is None:
        return sorted(near)
    known = signature_cache.load(cache_file(database), COLLECTION)
    names = [connection.execute(_NAME_OF_IMAGE, {"id": image}).one() for image in images]
    stored = [(f"{COLLECTION}{row.name}", row.key) for row in names]
    places = [known.places[name] for name in stored if name in known.places]
    named = sorted({known.names[each] for place in places for each in known.near(place)})
    for collection, members in groupby(named, key=lambda name: name[0]):
        keys = json_array(key for _, key in members)
        values = {"keys": keys, "source": collection.removeprefix(COLLECTION)}
        near.update(connection.execute(_BY_KEY, values).scalars())
    return sorted(near)


class GroupedImage(NamedTuple):
    source: str
    key: str
    file_name: str
    candidates: int


@dataclass(frozen=True, slots=True)
class ImageGroup:
    """Near-duplicates of each other, possibly in a chain."""

    images: Sequence[GroupedImage]


def groups_of_images(connection: Connection) -> list[ImageGroup]:
    """Return the groups of near-duplicate images of the record, as far as their signatures are computed."""
    database = sqlite.database_path(connection)
    if database is None:
        return []
    known = signature_cache.load(cache_file(database), COLLECTION)
    rows = {(COLLECTION + source, key): (source, key, file) for source, key, file in image_files(connection)}
    known = known.restricted(rows.keys())  # not the signatures of images that the record no longer has
    groups = []
    for places in known.groups():
        named = [rows[known.names[place]] for place in places]
        counts = (connection.execute(_CANDIDATES_OF, {"source": source, "key": key}) for source, key, _ in named)
        groups.append(
            ImageGroup([GroupedImage(*name, int(n.scalar_one())) for name, n in zip(named, counts, strict=True)])
        )
    return groups


def count_unsigned(connection: Connection) -> tuple[int, int]:
    """Return how many images have no signature, which are near-duplicates of none, and the number of all images."""
    names = [(COLLECTION + source, key) for source, key in connection.execute(_IMAGES)]
    database = sqlite.database_path(connection)
    signed = signature_cache.load(cache_file(database), COLLECTION).places if database is not None else {}
    return sum(name not in signed for name in names), len(names)


def image_files(connection: Connection) -> list[tuple[str, str, str]]:
    """Return source, key and file name of every image that has a file name."""
    return [tuple(row) for row in connection.execute(_FILES)]


def cache_file(database: Path) -> Path:
    """Return the cache of signatures that belongs to a record."""
    return database.parent / signature_cache.FILE


def _denial(row: Any) -> tuple[object, ...]:
    return concept_key(row.concept or ""), (row.cue or "").lower(), row.cue_position, row.negation_type


def _with_same_sentence(connection: Connection, asked: str) -> set[int]:
    """Return the candidates with the same `near_text`; the full-text index finds those with its rarest words."""
    wanted = near_text(asked)
    counts = sqlite.words_with_counts(connection, "candidate", sorted(_in_every_spelling(wanted, asked)))
    rarest = sorted(counts, key=lambda word: (counts[word], word))[:_SEARCHED_WORDS]
    if rarest:
        query = " AND ".join(sqlite.exact_query(word) for word in rarest)
        rows = connection.execute(_WITH_WORDS, {"query": query})
    else:  # no word to search for, or the text is not indexed yet
        rows = connection.execute(_EQUAL, {"text": asked})
    return {row.id for row in rows if near_text(row.text) == wanted}


def _in_every_spelling(wanted: str, asked: str) -> set[str]:
    """Return the words of a `near_text` that every text with it has: not "2", and not "is", which "isn't" hides."""
    words = wanted.split()
    hidden = {word for word, after in pairwise(words) if after == "not"} | {"not"}
    plain = {word for word in words if word.isascii() and word.isalpha()}
    return (plain - hidden) & set(words_of(asked))
