"""The pairs of an export, read from the record in order and in batches; the protocol of a format's writer."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection, text

from curation_db.enums import EDITED, State
from curation_db.errors import RecordError
from curation_db.events import event_clock
from curation_db.exporting.manifest import ExportItem, ItemVote
from curation_db.exporting.pseudonyms import NAMES, Pseudonyms
from curation_db.exporting.selection import BATCH, Chosen, CountedVote, DecidedCandidate, ExportFilter, Moment
from curation_db.foreign_json import parse_json
from curation_db.language.token_counter import TextLimit
from curation_db.stats.probes import VerifiedTriplet, read_answers, verified_triplets
from curation_db.stats.targets import POSITIONS
from curation_db.storage.sqlite import IN_IDS, batches, json_array

# fmt: off
_COLUMNS = {
    "key": "c.key", "source": "s.name", "image_key": "i.key", "caption_key": "t.key", "caption": "t.text",
    "text": "c.text", "concept": "c.concept", "negation_type": "c.negation_type", "cue": "c.cue",
    "cue_position": "c.cue_position", "pipeline": "c.pipeline", "generator": "c.generator",
    "prompt_version": "c.prompt_version", "tokens": "c.tokens", "edited": "p.key",
}
# fmt: on
"""Columns of an item's immutable fields; the other fields come from the image row and from the fold."""
_FILLED_IN = ("file_name", "width", "height", "content_sha256", "extra", "url")
"""Columns of an image that a later import may fill in, in the order of `_pair`."""
_ROWS = text(f"""
    SELECT c.id, c.extra, i.completed, {", ".join(f"i.{name}" for name in _FILLED_IN)}, {", ".join(_COLUMNS.values())}
    FROM candidate c
    JOIN image i ON i.id = c.image_id
    JOIN source s ON s.id = i.source_id
    LEFT JOIN caption t ON t.id = c.caption_id
    LEFT JOIN candidate p ON p.id = c.parent_id
    WHERE c.id {IN_IDS}
""")
_LICENSES = text("""
    SELECT name, licenses FROM source WHERE licenses IS NOT NULL AND licenses_since <= :at ORDER BY name
""")


WRITE_BUFFER: Final = 1 << 20
"""Bytes that a writer collects before it writes them to its file."""
_MIX = re.compile(r"[a-z][a-z0-9_-]{0,39}")
"""Form of a mix name; an imported file may have anything else under the key "mix"."""


class ExportPair(NamedTuple):
    """One pair with the additional fields of its imported files."""

    item: ExportItem
    width: int | None
    height: int | None
    extra: str | None
    """JSON object: the annotation's other fields."""
    image_extra: str | None
    """JSON object: the image entry's other fields."""

    @property
    def mix(self) -> str | None:
        """Name of the cue mix with which the text was generated; None: not known.

        Raises:
            RecordError: `extra` is not a JSON object.
        """
        mix = self._generated.get("mix")
        return mix if isinstance(mix, str) and _MIX.fullmatch(mix) else None

    @property
    def asked_position(self) -> str | None:
        """Position of the cue that the generation asked for; None: it asked for none.

        Raises:
            RecordError: `extra` is not a JSON object.
        """
        asked = self._generated.get("asked_position")
        return asked if isinstance(asked, str) and asked in POSITIONS else None

    @property
    def _generated(self) -> Mapping[str, Any]:
        """The annotation's other fields if a generation wrote them; empty otherwise."""
        if self.extra is None or '"mix"' not in self.extra:
            return {}
        return fields_of(self.extra, f"candidate {self.item.key}")


@dataclass(frozen=True, slots=True)
class ExportHeader:
    """Data of an export that a writer gets before the first pair."""

    selection: ExportFilter
    chosen: Chosen
    tool_version: str
    limit: TextLimit
    """The longest text that the model to be trained reads."""
    people: Pseudonyms
    licenses: tuple[Any, ...]
    """The `licenses` entries of all sources in the export, as of its event, by source name, equal ones once."""


class PairWriter(Protocol):
    """Writes one data file: `add` is called for every pair in order, then `finish`; at last `close`, also on errors."""

    def add(self, pair: ExportPair) -> None:
        """Write the next pair."""

    def finish(self) -> None:
        """Complete the file."""

    def close(self) -> None:
        """Close all files, whether the data are complete or not; may be called twice."""


Format = Callable[[Path, ExportHeader], PairWriter]
"""Constructor of a format's writer, which opens its data file in the given folder."""


def read_header(
    connection: Connection,
    selection: ExportFilter,
    chosen: Chosen,
    tool_version: str,
    limit: TextLimit,
    people: Pseudonyms,
) -> ExportHeader:
    """Collect the licenses and return the header for the writers."""
    licenses = licenses_at(connection, chosen.event_seq, chosen.sources)
    return ExportHeader(selection, chosen, tool_version, limit, people, licenses)


def licenses_at(connection: Connection, at: int, sources: Collection[str]) -> tuple[Any, ...]:
    """Return the `licenses` entries of these sources as of an event, by source name, equal ones once.

    Raises:
        RecordError: a stored entry is damaged.
    """
    licenses: list[Any] = []
    for row in connection.execute(_LICENSES, {"at": at}):
        listed = _loads(row.licenses, f"source {row.name}", list) if row.name in sources else []
        licenses += [entry for entry in listed if entry not in licenses]
    return tuple(licenses)


def read_pairs(
    connection: Connection, chosen: Chosen, limit: TextLimit, people: Pseudonyms = NAMES
) -> Iterator[ExportPair]:
    """Yield the chosen pairs in order, with their values as of the event; `limit` counts their tokens."""
    triplets = verified_triplets(read_answers(connection, chosen.event_seq))
    decided: dict[int, dict[str, Any]] = {}
    """By the identity of an outcome: equal decisions mostly share one (`selection.outcomes_at`)."""
    for ids in batches(chosen.ids, BATCH):
        rows = {row[0]: row for row in connection.execute(_ROWS, {"ids": json_array(ids)}).all()}
        for number in ids:
            outcome = chosen.outcomes[number]
            if (facts := decided.get(id(outcome))) is None:
                facts = decided[id(outcome)] = _decision_fields(outcome, people)
            votes = tuple(
                [_vote(*each, people) for each in zip(outcome.votes, chosen.moments.get(number, ()), strict=True)]
            )
            triplet = triplets.get(number) if outcome.state is State.ACCEPTED else None
            yield _pair(rows[number], facts, votes, chosen.event_seq, limit, triplet, people)


def _pair(
    row: Any,
    facts: Mapping[str, Any],
    votes: tuple[ItemVote, ...],
    at: int,
    limit: TextLimit,
    triplet: VerifiedTriplet | None,
    people: Pseudonyms,
) -> ExportPair:
    number, extra, completed, file_name, width, height, digest, image_extra, url, *values = row
    if completed is not None:
        image = dict(zip(_FILLED_IN, (file_name, width, height, digest, image_extra, url), strict=True))
        marks = _loads(completed, f"the image of candidate {number}", dict)
        image |= {name: event_clock.value_at(mark, image.get(name), at) for name, mark in marks.items()}
        file_name, width, height, digest, image_extra, url = (image[name] for name in _FILLED_IN)
    fields: dict[str, Any] = dict(zip(_COLUMNS, values))  # noqa: B905  # the statement selects these columns
    if fields["pipeline"] == EDITED:
        fields["generator"] = people.of(fields["generator"])
    fields["tokens"] = limit.count(fields["text"], fields["tokens"])
    fields.update(facts)
    item = ExportItem(
        file_name=file_name,
        url=url,
        image_sha256=None if digest is None else digest.hex(),
        triplet=None if triplet is None else triplet.to_dict(),
        votes=votes,
        **fields,
    )
    return ExportPair(item, width, height, extra, image_extra)


def _decision_fields(outcome: DecidedCandidate, people: Pseudonyms) -> dict[str, Any]:
    """Return the fields of an item that follow from the outcome alone."""
    return {
        "state": str(outcome.state),
        "accepts": outcome.accepts,
        "rejects": outcome.rejects,
        "deciders": tuple(sorted(map(people.of, outcome.deciders))) if outcome.by_people else outcome.deciders,
        "reasons": outcome.reasons,
        "stream": outcome.stream,
    }


def _vote(vote: CountedVote, moment: Moment, people: Pseudonyms) -> ItemVote:
    seq, day = moment
    return {
        "event": seq,
        "by": people.of(vote.actor) if vote.is_person else vote.actor,
        "kind": vote.kind,
        "verdict": vote.verdict,
        "reason": vote.reason,
        "stream": vote.stream,
        "blind": vote.blind,
        "day": day,
    }


def fields_of(extra: str | None, owner: str) -> Mapping[str, Any]:
    """Parse the additional fields that an import stored; NaN and infinities, which JSON lacks, become null.

    Raises:
        RecordError: they are not a JSON object; `owner` names their row in the message.
    """
    return _loads(extra, owner, dict) if extra else {}


_Container = TypeVar("_Container", bound=list[Any] | dict[str, Any])


def _loads(json_text: str, owner: str, wanted: type[_Container]) -> _Container:
    try:
        parsed = parse_json(json_text, parse_constant=lambda _: None, parse_float=_finite)
    except ValueError as error:
        raise RecordError(f"{owner}: the fields kept from its file are damaged: {error}") from error
    if not isinstance(parsed, wanted):
        raise RecordError(f"{owner}: the fields kept from its file are not a JSON {wanted.__name__}")
    return parsed


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if value - value == 0 else None
