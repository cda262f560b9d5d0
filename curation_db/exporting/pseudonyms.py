"""Pseudonyms of annotators in exports: keyed by a secret of the record, so that only its owner can assign names.

A person has the same pseudonym in all exports of a record. Policies are no people and keep their names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from sqlalchemy import Connection, text

from curation_db.errors import RecordError
from curation_db.events.annotator_names import spellings
from curation_db.exporting.manifest import ExportItem, ItemVote
from curation_db.review.candidates import audit_key
from curation_db.storage.store import Store

PREFIX: Final = "annotator-"
_DIGEST_BYTES: Final = 5
_KEY = text("SELECT value FROM record_note WHERE name = 'audit_key'")
_POLICIES = text("SELECT DISTINCT actor FROM event WHERE role = 'policy'")
_ANNOTATORS = text("SELECT name FROM annotator")


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    key: bytes | None = None
    """Secret of the record; None: people keep their names."""

    @property
    def named(self) -> bool:
        """Whether people keep their names."""
        return self.key is None

    def of(self, name: str) -> str:
        """Return the pseudonym of a person, "annotator-" and ten hexadecimal digits; without a key the name."""
        return name if self.key is None else _pseudonym(self.key, name)


NAMES: Final = Pseudonyms()
"""Leaves names as they are."""


@lru_cache(maxsize=4_096)
def _pseudonym(key: bytes, name: str) -> str:
    digest = hashlib.blake2b(
        name.encode("utf-8", "surrogatepass"), key=key, person=b"pseudonym", digest_size=_DIGEST_BYTES
    )
    return PREFIX + digest.hexdigest()


def read_pseudonyms(connection: Connection) -> Pseudonyms:
    """Return the pseudonyms of the record.

    Raises:
        RecordError: the record has no secret; `ensure_secret` draws one.
    """
    value = connection.execute(_KEY).scalar()
    if value is None:
        raise RecordError("the record has no secret for pseudonyms", hint="export once: negwb export")
    return Pseudonyms(bytes.fromhex(value))


def names_of(connection: Connection, pseudonyms: Iterable[str]) -> list[str]:
    """Return the names of these annotators; other names, such as those of policies, stay as they are.

    Raises:
        RecordError: the record has no secret.
    """
    name_of = _names(connection)
    return [name_of.get(each, each) for each in pseudonyms]


def pseudonyms_of(connection: Connection, name: str) -> list[str]:
    """Return the pseudonyms of an annotator, one for each spelling of the name; empty: the record does not have it.

    Raises:
        RecordError: the record has no secret.
    """
    people = read_pseudonyms(connection)
    return [people.of(each) for each in spellings(name, connection.execute(_ANNOTATORS).scalars())]


def policies_of(connection: Connection, name: str) -> list[str]:
    """Return the policies with decisions in the record that have this name, as NAME or NAME@VERSION."""
    actors = connection.execute(_POLICIES).scalars()
    return sorted(actor for actor in actors if actor == name or actor.startswith(f"{name}@"))


def _names(connection: Connection) -> dict[str, str]:
    people = read_pseudonyms(connection)
    return {people.of(name): name for name in connection.execute(_ANNOTATORS).scalars()}


def with_names(connection: Connection, items: Iterable[ExportItem]) -> Iterator[ExportItem]:
    """Yield the items of an export of this record with the names of annotators instead of their pseudonyms.

    Raises:
        RecordError: the record has no secret.
    """
    name_of = _names(connection)
    for item in items:
        votes = item.votes
        if votes is not None:
            votes = tuple([ItemVote({**vote, "by": name_of.get(vote["by"], vote["by"])}) for vote in votes])
        yield replace(
            item,
            generator=name_of.get(item.generator, item.generator),
            deciders=tuple(sorted(name_of.get(each, each) for each in item.deciders)),
            votes=votes,
        )


def ensure_secret(store: Store) -> None:
    """Draw the secret of a record that has none: a record whose candidates an older negwb inserted."""
    with store.read() as connection:
        if connection.execute(_KEY).scalar() is not None:
            return
    with store.write() as connection:
        audit_key(connection)
