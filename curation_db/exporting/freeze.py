"""Freezing an export: write the selected pairs as a folder that appears whole or not at all and never changes.

All files are written to a hidden folder beside the final one, synced to disk, and renamed. The files lose their write
permission. The folder keeps it, so that an export can be deleted like any other folder.
"""

from __future__ import annotations

import gc
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection

from curation_db.atomic_write import partial_folder, seal, sync
from curation_db.events import event_clock
from curation_db.events.event_clock import RecordOrigin, origin_of
from curation_db.exporting.coco import CocoWriter
from curation_db.exporting.jsonl import ItemsWriter, PairsWriter
from curation_db.exporting.manifest import MANIFEST_FILE, Manifest, ManifestCounts, file_facts, hash_of
from curation_db.exporting.pairs import ExportHeader, ExportPair, Format, PairWriter, read_header, read_pairs
from curation_db.exporting.pseudonyms import NAMES, ensure_secret, read_pseudonyms
from curation_db.exporting.selection import ExportFilter, ExportRefused, NameTaken, NothingChosen, choose
from curation_db.language.token_counter import CLIP_LIMIT, TextLimit
from curation_db.storage.store import Store

FORMATS: Mapping[str, Format] = {"coco": CocoWriter, "jsonl": PairsWriter}
"""Optional data formats by name; items.jsonl is in every export."""

_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PROGRESS_INTERVAL = 500

Progress = Callable[[int, int], None]


def freeze(
    store: Store,
    exports: Path,
    name: str | None = None,
    *,
    selection: ExportFilter,
    tool_version: str,
    at: int | None = None,
    formats: Sequence[str] = tuple(FORMATS),
    limit: TextLimit = CLIP_LIMIT,
    names: bool = False,
    benchmarks: Mapping[str, int | None] | None = None,
    progress: Progress = lambda done, total: None,
    check: Callable[[Path], None] = lambda folder: None,
) -> Manifest:
    """Freeze the pairs that match `selection` as of the event `at` into `exports`/`name`.

    Args:
        name: Name of the new export; None: the next free one like set-001.
        tool_version: Version of negwb for the manifest.
        at: Sequence number of an event; None: now. Where something was imported since the newest event, an export of
            now reserves a sequence number of its own (`event_clock`).
        formats: Names from `FORMATS`.
        limit: The longest text that the model to be trained reads.
        names: Write the names of annotators instead of pseudonyms.
        benchmarks: For the manifest, as `Manifest.benchmarks`.
        progress: Callback with the pairs done and their total.
        check: Called with the folder when its data are complete; where it raises, nothing is published.

    Raises:
        NameTaken: an export of this name exists.
        NothingChosen: no pair is selected.
        ExportRefused: there is no such event, or the name is not valid.
        OSError: the folder cannot be written; the partial folder is removed.
    """
    if name is not None:
        _check_name(exports, name)
    event_seq = _resolve_event(store, selection, at)
    ensure_secret(store)
    with _collector_paused(), store.read() as connection:
        chosen = choose(connection, selection, at=event_seq)
        if not chosen.ids:
            raise _nothing_chosen(selection, chosen.event_seq)
        people = NAMES if names else read_pseudonyms(connection)
        header = read_header(connection, selection, chosen, tool_version, limit, people)
        with partial_folder(exports, name or "set") as folder:
            counts = _write_data(connection, folder, header, formats, progress)
            check(folder)
            origin = origin_of(connection, event_seq)
            return _publish(folder, exports, name, _manifest(folder, name, header, counts, origin, benchmarks or {}))


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the search for cyclic garbage: it goes through the outcomes of all candidates, a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _resolve_event(store: Store, selection: ExportFilter, at: int | None) -> int:
    """Return a sequence number that denotes `at` (None: now) permanently; reserve one where needed.

    Raises:
        NothingChosen: the export would be empty; no number is reserved.
    """
    kinds = selection.depends_on()
    with store.read() as connection:
        newest = event_clock.newest_seq(connection)
        number = event_clock.current_seq(connection, kinds) if at is None else at
        if number <= newest:
            return number
        if not choose(connection, selection, at=at).ids:
            raise _nothing_chosen(selection, max(newest, 0))
    with store.write() as connection:
        reserved = event_clock.reserve(connection, kinds)
    return reserved if at is None else at


def _nothing_chosen(selection: ExportFilter, event: int) -> NothingChosen:
    query = selection.query.text if selection.query is not None else ""
    conditions = {
        f" for {' or '.join(selection.reasons)}": bool(selection.reasons),
        " without a hasty decision": not selection.hasty,
        " by a person": not selection.auto,
        f" by {' or '.join(selection.deciders)}": bool(selection.deciders),
        f" with {selection.min_votes} votes": bool(selection.min_votes),
        f" with an agreement of {selection.min_agreement:g}": bool(selection.min_agreement),
        f" that matches {query}": bool(query),
        " on an image outside the benchmarks": bool(selection.held_out),
    }
    condition = "".join(text for text, applies in conditions.items() if applies)
    return NothingChosen(f"no pair was {' or '.join(selection.to_dict()['states'])}{condition} at event {event}")


def next_name(exports: Path) -> str:
    """Return the first free name of set-001, set-002, ..."""
    number = 1
    while (exports / f"set-{number:03}").exists():
        number += 1
    return f"set-{number:03}"


def _check_name(exports: Path, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ExportRefused(
            f"{name!r} is not a valid export name", hint="use letters and digits, and . _ - after the first character"
        )
    if (exports / name).exists():
        raise _name_taken(name)


def _name_taken(name: str) -> NameTaken:
    return NameTaken(f"the export {name} exists already", hint="exports are never overwritten: choose another name")


def _write_data(
    connection: Connection, folder: Path, header: ExportHeader, formats: Sequence[str], progress: Progress
) -> ManifestCounts:
    total = len(header.chosen.ids)
    counter = _PairCounter(header.limit)
    with ExitStack() as stack:
        writers: list[PairWriter] = []
        for make in (ItemsWriter, *(FORMATS[each] for each in sorted(set(formats)))):
            writers.append(make(folder, header))
            stack.callback(writers[-1].close)
        for done, pair in enumerate(read_pairs(connection, header.chosen, header.limit, header.people), 1):
            for writer in writers:
                writer.add(pair)
            counter.add(pair)
            if done % _PROGRESS_INTERVAL == 0 or done == total:
                progress(done, total)
        for writer in writers:
            writer.finish()
    return counter.counts()


class _PairCounter:
    """Counts pairs for the manifest while they are written.

    Most pairs have equal properties, so a pair adds 1 to one counter, which `counts` takes apart.
    """

    def __init__(self, limit: TextLimit) -> None:
        self._most_tokens = limit.most_tokens
        self._images = 0
        self._properties: Counter[_Properties] = Counter()
        self._image: tuple[str, str] | None = None

    def add(self, pair: ExportPair) -> None:
        """Count one pair; the pairs of one image must be adjacent."""
        item = pair.item
        image = (item.source, item.image_key)
        if image != self._image:
            self._images += 1
            self._image = image
        generated = pair.extra is not None
        properties = (
            (item.source, item.negation_type, item.cue, item.cue_position),
            pair.asked_position if generated else None,
            (item.generator, item.prompt_version, pair.mix if generated else None),
            (item.edited is not None, item.caption is None, item.file_name is None, item.tokens > self._most_tokens),
        )
        self._properties[properties] += 1

    def counts(self) -> ManifestCounts:
        """Return the counts, the most frequent values first."""
        totals = dict.fromkeys(("edited", "without_caption", "without_file_name", "too_long"), 0)
        by: dict[str, Counter[str]] = {f"by_{name}": Counter() for name in _COUNTED}
        asked_positions: defaultdict[str, Counter[str]] = defaultdict(Counter)
        made_with: Counter[PairProvenance] = Counter()
        absent: Counter[str] = Counter()
        for (labels, asked, origin, flags), count in self._properties.items():
            for name, flag in zip(totals, flags, strict=True):
                totals[name] += count * flag
            for name, value in zip(_COUNTED, (*labels, *origin), strict=True):
                if value is None:
                    absent[name] += count
                else:
                    by[f"by_{name}"][value] += count
            if asked is not None and labels[-1] is not None:
                asked_positions[asked][labels[-1]] += count
            made_with[PairProvenance(*origin)] += count
        listed = sorted(made_with.items(), key=lambda kv: (-kv[1], [each or "" for each in kv[0]]))
        frequent: dict[str, Any] = {name: _frequent(counter) for name, counter in by.items()}
        return ManifestCounts(
            pairs=self._properties.total(),
            images=self._images,
            **dict[str, Any](totals),
            without_cue=absent["cue"],
            without_prompt=absent["prompt"],
            without_mix=absent["mix"],
            **frequent,
            by_asked_position={asked: _frequent(seen) for asked, seen in sorted(asked_positions.items())},
            made_with=tuple({**provenance._asdict(), "pairs": count} for provenance, count in listed),
        )


_COUNTED = ("source", "negation_type", "cue", "cue_position", "generator", "prompt", "mix")
_Origin = tuple[str, str | None, str | None]
_Properties = tuple[tuple[str, str, str | None, str | None], str | None, _Origin, tuple[bool, bool, bool, bool]]
"""Labels, asked position, origin, and the flags edited, without caption, without file name, too long."""


class PairProvenance(NamedTuple):
    """How the text of a pair was generated."""

    generator: str
    prompt_version: str | None
    mix: str | None


def _frequent(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items(), key=lambda kv: (-kv[1], kv[0])))


def _manifest(
    folder: Path,
    name: str | None,
    header: ExportHeader,
    counts: ManifestCounts,
    origin: RecordOrigin,
    benchmarks: Mapping[str, int | None],
) -> Manifest:
    files = {path.name: file_facts(path) for path in sorted(folder.iterdir())}
    return Manifest(
        name=name or "",
        tool_version=header.tool_version,
        event_seq=header.chosen.event_seq,
        event_uid=origin.event_uid,
        lineage=origin.lineage,
        selection=header.selection.to_dict(),
        left_out=header.chosen.omitted,
        benchmarks=dict(sorted(benchmarks.items())),
        named=header.people.named,
        counts=counts,
        files=files,
        export_sha256=hash_of(files),
        text_limit={"most_tokens": header.limit.most_tokens, "tokenizer": header.limit.counter.name},
    )


def _publish(folder: Path, exports: Path, name: str | None, manifest: Manifest) -> Manifest:
    """Write the manifest, sync all files and rename the folder to its final name."""
    (folder / MANIFEST_FILE).write_text(manifest.to_text(), encoding="ascii", newline="\n")
    seal(folder)
    final = _rename(folder, exports, name)
    sync(exports)
    return replace(manifest, name=final)


def _rename(folder: Path, exports: Path, name: str | None) -> str:
    """Rename the folder to `name` or the next free name; retry where another export took that name first."""
    while True:
        final = name or next_name(exports)
        try:
            folder.rename(exports / final)
        except OSError as error:
            if not (exports / final).exists():
                raise
            if name is not None:
                raise _name_taken(name) from error
        else:
            return final
