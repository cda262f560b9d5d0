"""Freezing: what was chosen becomes a folder that appears whole or not at all, and is never written again.

Everything goes into a hidden folder beside the final one, reaches the disk, and is renamed. The files lose their
write permission; the folder keeps its own, so that a set can be deleted like any other folder.
"""

from __future__ import annotations

import re
import secrets
import shutil
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection

from curation_db.atomic_write import sync
from curation_db.events import event_clock
from curation_db.events.event_clock import RecordOrigin, origin_of
from curation_db.exporting.coco import CocoWriter
from curation_db.exporting.jsonl import ItemsWriter, PairsWriter
from curation_db.exporting.manifest import MANIFEST_FILE, Manifest, ManifestCounts, file_facts, hash_of
from curation_db.exporting.pairs import ExportPair, Format, Frame, PairWriter, frame_of, read_pairs
from curation_db.exporting.selection import ExportFilter, ExportRefused, NameTaken, NothingChosen, choose
from curation_db.storage.store import Store

FORMATS: Mapping[str, Format] = {"coco": CocoWriter, "jsonl": PairsWriter}
"""Data formats by name; items.jsonl is in every export."""

_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PARTIAL = ".partial"
_ABANDONED_S = 86_400.0
_TELL_EVERY = 500
_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH

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
    progress: Progress = lambda done, total: None,
) -> Manifest:
    """Freeze what `selection` asks for, as the event `at` left it (None: as it is now), into `exports`/`name`.

    What came in since the newest event is in a set of now, which takes a number of its own for that (`moments`).
    Without a name the set gets the next free one like set-001. `progress` is told of pairs done and of all.

    Raises:
        NameTaken: there is such an export.
        NothingChosen: no pair is selected.
        ExportRefused: no such event, or a name that is none.
        OSError: the folder cannot be written; nothing is left of the attempt.
    """
    if name is not None:
        _refuse_name(exports, name)
    moment = _settled(store, selection, at)
    with store.read() as connection:
        chosen = choose(connection, selection, at=moment)
        if not chosen.ids:
            raise _nothing_chosen(selection, chosen.event_seq)
        frame = frame_of(connection, selection, chosen, tool_version)
        with _partial_folder(exports, name or "set") as folder:
            counts = _write_data(connection, folder, frame, formats, progress)
            return _publish(folder, exports, name, frame, counts, origin_of(connection, moment))


def _settled(store: Store, selection: ExportFilter, at: int | None) -> int:
    """A number that stands for `at` (None: now) and always will.

    Raises:
        NothingChosen: the set would be empty; no number is taken for it.
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
        settled = event_clock.reserve(connection, kinds)
    return settled if at is None else at


def _nothing_chosen(selection: ExportFilter, event: int) -> NothingChosen:
    how = "" if selection.hasty else " without a hasty decision"
    return NothingChosen(f"no pair was {' or '.join(selection.told()['states'])}{how} at event {event}")


def next_name(exports: Path) -> str:
    """The first of set-001, set-002, ... that is free."""
    number = 1
    while (exports / f"set-{number:03}").exists():
        number += 1
    return f"set-{number:03}"


def _refuse_name(exports: Path, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ExportRefused(f"{name!r} is no name for an export", hint="letters, digits, and . _ - within")
    if (exports / name).exists():
        raise _taken(name)


def _taken(name: str) -> NameTaken:
    return NameTaken(f"there is an export {name} already", hint="frozen sets are never overwritten: take another name")


@contextmanager
def _partial_folder(exports: Path, name: str) -> Iterator[Path]:
    """The hidden folder in which a set grows; gone at the end, unless it has become the set."""
    exports.mkdir(parents=True, exist_ok=True)
    _sweep(exports)
    folder = exports / f".{name}.{secrets.token_hex(4)}{_PARTIAL}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(exports: Path) -> None:
    """Remove what a killed export left; one that is still at work is not that old."""
    for folder in exports.glob(f".*{_PARTIAL}"):
        if time.time() - folder.stat().st_mtime > _ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)


def _write_data(
    connection: Connection, folder: Path, frame: Frame, formats: Sequence[str], progress: Progress
) -> ManifestCounts:
    total = len(frame.chosen.ids)
    tally = _Tally()
    with ExitStack() as stack:
        writers: list[PairWriter] = []
        for make in (ItemsWriter, *(FORMATS[each] for each in sorted(set(formats)))):
            writers.append(make(folder, frame))
            stack.callback(writers[-1].close)
        for done, pair in enumerate(read_pairs(connection, frame.chosen), 1):
            for writer in writers:
                writer.add(pair)
            tally.add(pair)
            if done % _TELL_EVERY == 0 or done == total:
                progress(done, total)
        for writer in writers:
            writer.finish()
    return tally.counts()


_COUNTED = ("source", "negation_type", "cue", "cue_position")


class _Tally:
    """Counts while the pairs go by."""

    def __init__(self) -> None:
        self._plain: Counter[str] = Counter()
        self._by: dict[str, Counter[str]] = {name: Counter() for name in _COUNTED}
        self._made: Counter[FrozenExport] = Counter()
        self._image: tuple[str, str] | None = None

    def add(self, pair: ExportPair) -> None:
        """Count one more; pairs of one picture come together."""
        item = pair.item
        image = (item.source, item.image_key)
        self._plain["pairs"] += 1
        self._plain["images"] += image != self._image
        self._plain["edited"] += item.edited is not None
        self._plain["without_caption"] += item.caption is None
        self._plain["without_file_name"] += item.file_name is None
        self._plain["without_cue"] += item.cue is None
        self._plain["without_prompt"] += item.prompt_version is None
        self._plain["without_mix"] += pair.mix is None
        self._image = image
        for name, counter in self._by.items():
            if (value := getattr(item, name)) is not None:
                counter[value] += 1
        self._made[FrozenExport(item.generator, item.prompt_version, pair.mix)] += 1

    def counts(self) -> ManifestCounts:
        """What was counted, the frequent first."""
        by: dict[str, Any] = {f"by_{name}": _frequent(counter) for name, counter in self._by.items()}
        for name, place in (("by_generator", 0), ("by_prompt", 1), ("by_mix", 2)):
            together: Counter[str] = Counter()
            for made, count in self._made.items():
                if (value := made[place]) is not None:
                    together[value] += count
            by[name] = _frequent(together)
        made_with = sorted(self._made.items(), key=lambda kv: (-kv[1], [each or "" for each in kv[0]]))
        return ManifestCounts(
            **dict[str, Any](self._plain), **by, made_with=tuple({**m._asdict(), "pairs": n} for m, n in made_with)
        )


class FrozenExport(NamedTuple):
    """What a pair was made with."""

    generator: str
    prompt_version: str | None
    mix: str | None


def _frequent(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items(), key=lambda kv: (-kv[1], kv[0])))


def _publish(
    folder: Path, exports: Path, name: str | None, frame: Frame, counts: ManifestCounts, origin: RecordOrigin
) -> Manifest:
    """Write the manifest, bring everything to the disk and give the folder its name."""
    files = {path.name: file_facts(path) for path in sorted(folder.iterdir())}
    manifest = Manifest(
        name=name or "",
        tool_version=frame.tool_version,
        event_seq=frame.chosen.event_seq,
        event_uid=origin.event_uid,
        lineage=origin.lineage,
        selection=frame.selection.told(),
        counts=counts,
        files=files,
        export_sha256=hash_of(files),
    )
    (folder / MANIFEST_FILE).write_text(manifest.to_text(), encoding="ascii", newline="\n")
    _to_disk(folder)
    final = _rename(folder, exports, name)
    sync(exports)
    return replace(manifest, name=final)


def _rename(folder: Path, exports: Path, name: str | None) -> str:
    """Give the folder its name; where somebody was quicker, the next free one or none."""
    while True:
        final = name or next_name(exports)
        try:
            folder.rename(exports / final)
        except OSError as error:
            if not (exports / final).exists():
                raise
            if name is not None:
                raise _taken(name) from error
        else:
            return final


def _to_disk(folder: Path) -> None:
    for path in folder.iterdir():
        sync(path)
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_WRITE)
    sync(folder)
