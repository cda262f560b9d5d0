"""Reader of the Karpathy splits: dataset_coco.json, dataset_flickr30k.json and dataset_flickr8k.json.

Each image has its sentences and its split (train, restval, val, test). The key of a COCO image is `cocoid`, and the
key of its sentence is `sentid`, which is COCO's annotation id; so both match the rows of COCO's files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from curation_db.importing.image_names import ImageName, Naming
from curation_db.importing.json_stream import JsonRun, read_json
from curation_db.importing.rows import (
    At,
    CaptionRow,
    ImageRow,
    RefusedRow,
    RejectReason,
    RowBatch,
    coco_id,
    extra_of,
    key_of,
    member,
    reject,
)

_KNOWN = frozenset({"sentences", "sentids", "filename", "cocoid", "imgid"})


def read_karpathy(path: Path, naming: Naming, splits: Collection[str] = ()) -> Iterator[RowBatch]:
    """Yield the images and sentences of a file, of all splits or of the given `splits`."""
    for event in read_json(path):
        if not isinstance(event, JsonRun):
            yield RowBatch(done=event.offset, rejects=[event.as_reject()])
            continue
        batch = RowBatch(done=event.done)
        if event.key == "images":
            for index, item in enumerate(event.values):
                _add_image(item, (event, index), naming, splits, batch)
        yield batch


def key_and_name(item: Any, naming: Naming) -> tuple[str, ImageName]:
    """Return the key and the name of the image in an entry of `images`.

    COCO file names contain the release, so their folder (`filepath`) is left out, as in COCO's files.

    Raises:
        RefusedRow: The entry has no valid id or name.
    """
    file_name, folder = member(item, "filename"), item.get("filepath")
    key = None if item.get("cocoid") is None else key_of(item["cocoid"])
    name = naming.name(file_name)
    if isinstance(folder, str) and folder and (key is None or coco_id(name.file_name or "") != key):
        name = naming.name(f"{folder}/{file_name}")
    return naming.key(name) if key is None else key, name


def _add_image(item: Any, at: At, naming: Naming, splits: Collection[str], batch: RowBatch) -> None:
    try:
        if splits and member(item, "split") not in splits:
            return
        key, name = key_and_name(item, naming)
        sentences = member(item, "sentences")
        if not isinstance(sentences, list):
            raise RefusedRow(RejectReason.BAD_VALUE, "expected a list of sentences")
        extra = extra_of(item, _KNOWN, ())
    except RefusedRow as why:
        batch.rejects.append(reject(at, why))
        return
    batch.images.append(ImageRow(key, name.file_name, None, None, extra, at, None, name.url, name.unstripped))
    for place, sentence in enumerate(sentences):
        try:
            text, number = member(sentence, "raw"), sentence.get("sentid")
            caption = None if number is None else key_of(number)
        except RefusedRow as why:
            batch.rejects.append(reject(at, RefusedRow(why.reason, f"sentences[{place}]: {why.message}")))
        else:
            batch.captions.append(CaptionRow(caption, key, text, at))
