"""Karpathy's files of splits: dataset_coco.json, dataset_flickr30k.json and dataset_flickr8k.json.

Each picture has its sentences and its split (train, restval, val, test). COCO's pictures are known by `cocoid` and
their sentences by `sentid`, which is COCO's own annotation id, so that both meet COCO's own files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from curation_db.importing.image_names import Naming, PictureName
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
    """The pictures and sentences of a file; of some splits alone, where `splits` names them."""
    for event in read_json(path):
        if not isinstance(event, JsonRun):
            yield RowBatch(done=event.offset, rejects=[event.as_reject()])
            continue
        batch = RowBatch(done=event.done)
        if event.key == "images":
            for index, item in enumerate(event.values):
                _picture(item, (event, index), naming, splits, batch)
        yield batch


def picture_in(item: Any, naming: Naming) -> tuple[str, PictureName]:
    """The key and the name of the picture that an entry of `images` is about.

    COCO's names tell the release, so the folder before them (`filepath`) is left out, as in COCO's own files.

    Raises:
        RefusedRow: it has no usable id or name.
    """
    file_name, folder = member(item, "filename"), item.get("filepath")
    key = None if item.get("cocoid") is None else key_of(item["cocoid"])
    name = naming.name(file_name)
    if isinstance(folder, str) and folder and (key is None or coco_id(name.file_name or "") != key):
        name = naming.name(f"{folder}/{file_name}")
    return naming.key(name) if key is None else key, name


def _picture(item: Any, at: At, naming: Naming, splits: Collection[str], batch: RowBatch) -> None:
    try:
        if splits and member(item, "split") not in splits:
            return
        key, name = picture_in(item, naming)
        sentences = member(item, "sentences")
        if not isinstance(sentences, list):
            raise RefusedRow(RejectReason.BAD_VALUE, "a list of sentences is expected")
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
