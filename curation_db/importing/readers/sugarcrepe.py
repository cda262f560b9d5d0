"""Reader of SugarCrepe JSON: {number: {filename, caption, negative_caption}} for COCO images.

The negative captions become candidates of the generator `sugarcrepe-<file>`. The key of an image is the COCO id in
its file name, so it matches the rows of COCO's files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from curation_db.importing.image_names import Naming
from curation_db.importing.json_stream import JsonRun, read_json
from curation_db.importing.rows import (
    CandidateRow,
    CaptionRow,
    ImageRow,
    RefusedRow,
    RowBatch,
    extra_of,
    key_of,
    member,
    reject,
)

_BATCH = 10_000
_KNOWN = frozenset({"filename", "caption", "negative_caption"})


def read_sugarcrepe(path: Path, naming: Naming) -> Iterator[RowBatch]:
    """Yield the images, captions and candidates of a SugarCrepe file."""
    batch = RowBatch()
    for event in read_json(path):
        if not isinstance(event, JsonRun):
            batch.rejects.append(event.as_reject())
            continue
        for index in range(len(event.values)):
            _row(event, index, naming, batch)
        batch.done = event.done
        if len(batch.candidates) >= _BATCH:
            yield batch
            batch = RowBatch(done=batch.done)
    yield batch


def _row(run: JsonRun, index: int, naming: Naming, batch: RowBatch) -> None:
    item, at = run.values[index], (run, index)
    try:
        name = naming.name(member(item, "filename"))
        caption, text = member(item, "caption"), member(item, "negative_caption")
        number = key_of(run.names[index]) if run.key is None else str(run.start + index)
        extra = extra_of(item, _KNOWN, ())
    except RefusedRow as why:
        batch.rejects.append(reject(at, why))
        return
    image = naming.key(name)
    batch.images.append(ImageRow(image, name.file_name, None, None, None, at, None, name.url, name.unstripped))
    batch.captions.append(CaptionRow(None, image, caption, at))
    batch.candidates.append(CandidateRow(number, image, len(batch.captions) - 1, text, None, extra, at))
