"""Bench `export`: freezing 229,000 accepted pairs, as many as the published set has, against plain reading and writing.

The reference is one SELECT of the accepted rows with their decision and a loop that encodes and writes them: the same
three data files, byte for byte. It folds no events, does not sort, counts nothing, and writes no hashes.
"""

from __future__ import annotations

import json
import resource
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.speed.support.big_record import Size, add_images, append_accepts, draft
from benchmarks.speed.support.harness import median, report_progress, timed
from curation_db.atomic_write import sync
from curation_db.events.annotators import begin_session
from curation_db.exporting.freeze import freeze
from curation_db.exporting.manifest import verify
from curation_db.exporting.pseudonyms import read_pseudonyms
from curation_db.exporting.selection import ExportFilter
from curation_db.review.candidates import Intake, insert_candidates
from curation_db.storage.store import create_store, open_store

PAIRS = 229_000
_QUICK = 2_000
_PER_IMAGE = 10
_BATCH = 20_000
_VERSION = "bench"
_PERSON = "ana"
_ROWS = """
    SELECT c.key, s.name, i.key, i.file_name, t.key, t.text, c.text, c.concept, c.negation_type, c.cue,
           c.cue_position, c.pipeline, c.generator, c.prompt_version, c.tokens, e.seq, e.stream, e.blind,
           substr(e.at, 1, 10), i.width, i.height
    FROM candidate_state d JOIN candidate c ON c.id = d.candidate_id JOIN image i ON i.id = c.image_id
    JOIN source s ON s.id = c.source_id JOIN caption t ON t.id = c.caption_id JOIN event e ON e.candidate_id = c.id
    WHERE d.state = 'accepted' ORDER BY c.id
"""
_DATA = ("coco.json", "items.jsonl", "pairs.jsonl")


def run(*, quick: bool) -> dict[str, Any]:
    """Run the bench and return its figures."""
    pairs, repeats = (_QUICK, 1) if quick else (PAIRS, 3)
    with tempfile.TemporaryDirectory(prefix="negwb-bench-") as temporary:
        folder = Path(temporary)
        database = folder / "curation.db"
        report_progress(f"{pairs:,} pairs in {timed(lambda: _fill(database, pairs)):.1f} s")
        with open_store(database) as store, store.read() as connection:
            person = read_pseudonyms(connection).of(_PERSON)
        ours, raw = [], []
        for turn in range(repeats):
            mine, plain = f"ours{turn}", folder / f"raw{turn}"
            ours.append(timed(lambda name=mine: _ours(database, folder, name)))  # type: ignore[misc]
            raw.append(timed(lambda path=plain: _raw(database, path, person)))  # type: ignore[misc]
            report_progress(f"turn {turn + 1}: ours {ours[-1]:.2f} s, raw {raw[-1]:.2f} s")
            _compare(folder / mine, plain)
        megabytes = sum((folder / "raw0" / name).stat().st_size for name in _DATA) / 1e6
    return {
        "pairs": pairs,
        "ours_s": median(ours),
        "raw_s": median(raw),
        "ratio_to_raw": median(mine / theirs for mine, theirs in zip(ours, raw, strict=True)),
        "megabytes": round(megabytes, 1),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "repeats": repeats,
        "notes": [
            "ours: freeze, with the states folded from the events, sorted, counted, hashed, and synced to the disk",
            "raw: one SELECT of the accepted rows, and a loop that encodes them into the same files, synced, too",
            "the files of both are equal byte for byte (compared); medians",
        ],
    }


def _fill(database: Path, pairs: int) -> None:
    """Write a record in which one person accepted all candidates."""
    size = Size(candidates=pairs, seeds=min(pairs, 5_000), voted=0)
    with create_store(database) as store:
        actor = begin_session(store, _PERSON, version=_VERSION)
        with store.write() as connection:
            add_images(connection, range(1, pairs // _PER_IMAGE + 1), size)
        for start in range(1, pairs + 1, _BATCH):
            numbers = range(start, min(start + _BATCH, pairs + 1))
            with store.write() as connection:
                ids = insert_candidates(connection, [draft(number, size) for number in numbers], Intake())
                append_accepts(connection, actor, ids, first=start)
                connection.exec_driver_sql(
                    f"UPDATE candidate_state SET state = 'accepted', accepts = 1 WHERE candidate_id >= {start}"
                )


def _ours(database: Path, folder: Path, name: str) -> None:
    with open_store(database) as store:
        freeze(store, folder, name, selection=ExportFilter(), tool_version=_VERSION)


def _raw(database: Path, folder: Path, person: str) -> None:
    """Write the reference; `person` is the pseudonym of the annotator."""
    folder.mkdir()
    encode = json.JSONEncoder().encode
    connection = sqlite3.connect(database)
    event = connection.execute("SELECT max(seq) FROM event").fetchone()[0]
    info = {
        "description": "Negated captions curated with negwb; state: accepted",
        "version": f"negwb {_VERSION}",
        "event": event,
    }
    images: list[str] = []
    annotations: list[str] = []
    with (
        (folder / "items.jsonl").open("w", encoding="ascii", newline="\n") as items,
        (folder / "pairs.jsonl").open("w", encoding="ascii", newline="\n") as pairs,
        (folder / "coco.json").open("w", encoding="ascii", newline="\n") as coco,
    ):
        for image, annotation, item, pair in _entries(connection.execute(_ROWS), person):
            items.write(encode(item) + "\n")
            pairs.write(encode(pair) + "\n")
            if image is not None:
                images.append("\n" + encode(image))
            annotations.append("\n" + encode(annotation))
        coco.write(f'{{\n"info": {encode(info)},\n"licenses": [\n],\n"images": [{",".join(images)}')
        coco.write(f'\n],\n"annotations": [{",".join(annotations)}\n]\n}}\n')
    connection.close()
    for name in _DATA:
        sync(folder / name)
    sync(folder)


def _entries(rows: sqlite3.Cursor, person: str) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Yield the image (None: that of the row before), annotation, item and pair of each row."""
    last = None
    ids: set[str] = set()
    number = 0
    for row in rows:
        (key, source, image_key, file_name, caption_key, caption, text, concept, negation_type, cue, position, pipeline,
         generator, prompt, tokens, event, stream, blind, day, width, height) = row  # fmt: skip
        image = {"id": image_key, "file_name": file_name, "width": width, "height": height}
        annotation_id: str | int = caption_key
        if caption_key in ids:  # the second text for one caption gets a number
            number += 1
            annotation_id = number
        ids.add(caption_key)
        annotation = {"image_id": image_key, "id": annotation_id, "caption": caption, "updated_caption": text}
        item = {
            "key": key, "source": source, "image_key": image_key, "file_name": file_name, "image_sha256": None,
            "caption_key": caption_key, "caption": caption, "text": text, "concept": concept,
            "negation_type": negation_type, "cue": cue, "cue_position": position, "pipeline": pipeline,
            "generator": generator, "prompt_version": prompt, "tokens": tokens, "edited": None, "state": "accepted",
            "accepts": 1, "rejects": 0, "deciders": [person], "reasons": [], "stream": stream,
            "votes": [{"event": event, "by": person, "kind": "accept", "verdict": "accept", "reason": None,
                       "stream": stream, "blind": bool(blind), "day": day}],
        }  # fmt: skip
        pair = {
            "source": source, "image": image_key, "file_name": file_name, "caption": caption, "text": text,
            "concept": concept, "negation_type": negation_type, "cue": cue, "key": key,
        }  # fmt: skip
        yield image if image_key != last else None, annotation, item, pair
        last = image_key


def _compare(ours: Path, raw: Path) -> None:
    """Raise RuntimeError unless the files of both are equal and intact."""
    if problems := verify(ours):
        raise RuntimeError(problems[0])
    for name in _DATA:
        if (ours / name).read_bytes() != (raw / name).read_bytes():
            raise RuntimeError(f"{name} of the reference differs")
