"""Bench `import`: a COCO train2014 of our making into the record, against raw sqlite3.

Both read the same JSON file and write the same rows into the same tables with the same indexes and pragmas, each into
a database of its own; the raw way loads the file whole, checks nothing and commits once. They take turns.
"""

from __future__ import annotations

import hashlib
import json
import random
import resource
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.speed.harness import median, say, timed
from curation_db.importing.pipeline import import_rows, make_plan
from curation_db.search import fulltext
from curation_db.storage import sqlite
from curation_db.storage.store import create_store, open_store

IMAGES = 82_783
CAPTIONS = 414_113
_QUICK = 40
_REPEATS = 5
_CUE_SHARE = 0.005

_WHO = [
    "man",
    "woman",
    "boy",
    "girl",
    "dog",
    "cat",
    "couple",
    "group of people",
    "young child",
    "baseball player",
    "giraffe",
    "bird",
    "train",
    "bus",
    "zebra",
]
_HOW = ["", "old", "young", "small", "large", "black and white", "brown", "smiling", "very tall", "colorful", "wet"]
_DOES = [
    "sitting on",
    "standing next to",
    "riding",
    "holding",
    "looking at",
    "walking past",
    "lying under",
    "playing with",
    "parked near",
    "eating",
]
_WHAT = [
    "a wooden bench",
    "a red bicycle",
    "a plate of food",
    "the green grass",
    "a laptop computer",
    "a tennis racket",
    "a large building",
    "a surf board",
    "a kitchen counter",
    "an umbrella",
    "a street sign",
    "a pile of luggage",
    "a bowl of fruit",
]
_WHERE = [
    "",
    "in a park",
    "on a city street",
    "near the ocean",
    "in a kitchen with white cabinets",
    "on a sunny day",
    "at night",
    "by the water",
    "in front of a crowd",
    "while people watch from the stands",
]
_CUES = ["with no people", "without a hat", "that is not moving", "with nothing on it"]


def run(*, quick: bool) -> dict[str, Any]:
    """The figures of BENCHES.md."""
    share, repeats = (_QUICK, 1) if quick else (1, _REPEATS)
    with tempfile.TemporaryDirectory(prefix="negwb-bench-") as place:
        folder = Path(place)
        corpus = folder / "captions_train2014.json"
        captions = write_corpus(corpus, IMAGES // share, CAPTIONS // share)
        say(f"{captions:,} captions, {corpus.stat().st_size / 1e6:.1f} MB")
        ours, raw, index = [], [], []
        for turn in range(repeats):
            ours.append(_ours(corpus, folder / f"ours{turn}.db"))
            raw.append(_raw(corpus, folder / f"raw{turn}.db"))
            index.append(_index(folder / f"ours{turn}.db"))
            say(f"turn {turn + 1}: ours {ours[-1]:.2f} s, raw {raw[-1]:.2f} s, index {index[-1]:.2f} s")
        _compare(folder / "ours0.db", folder / "raw0.db")
    return {
        "captions": captions,
        "ours_s": median(ours),
        "raw_s": median(raw),
        "ratio_to_raw": median(mine / theirs for mine, theirs in zip(ours, raw, strict=True)),
        "index_s": median(index),
        "captions_per_s": round(captions / median(ours)),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "repeats": repeats,
        "notes": [
            "ours: streaming reader, every row checked and cleaned, batches of 10,000 committed one by one",
            "raw: json.load, then executemany with the same columns and hashes in one transaction, nothing checked",
            "both databases hold the same pictures and captions afterwards, row for row (compared)",
            "medians; rss_mb is that of the whole process, the raw way's json.load included",
        ],
    }


def write_corpus(path: Path, images: int, captions: int) -> int:
    """Write a captions file in the shape of COCO's train2014; returns how many captions it holds."""
    draw = random.Random(2014)
    numbers = draw.sample(range(1, 581_930), images)
    pictures = [_picture(number, draw) for number in numbers]
    owners = [numbers[each % images] for each in range(captions)]
    draw.shuffle(owners)
    ids = draw.sample(range(37, 830_000), captions)
    rows = [
        {"image_id": owner, "id": number, "caption": _caption(draw)} for owner, number in zip(owners, ids, strict=True)
    ]
    licenses = [{"url": "http://creativecommons.org/licenses/by/2.0/", "id": 4, "name": "Attribution License"}]
    told = {"info": {"description": "a bench"}, "images": pictures, "licenses": licenses, "annotations": rows}
    path.write_text(json.dumps(told), encoding="utf-8")
    return captions


def _picture(number: int, draw: random.Random) -> dict[str, Any]:
    name = f"COCO_train2014_{number:012d}.jpg"
    return {
        "license": draw.randint(1, 8),
        "file_name": name,
        "coco_url": f"http://images.cocodataset.org/train2014/{name}",
        "height": draw.choice((480, 427, 640)),
        "width": draw.choice((640, 500, 480)),
        "date_captured": f"2013-11-{draw.randint(14, 25)} {draw.randint(10, 23)}:28:13",
        "flickr_url": f"http://farm{draw.randint(1, 9)}.staticflickr.com/{draw.randint(1000, 9999)}/{number}_z.jpg",
        "id": number,
    }


def _caption(draw: random.Random) -> str:
    cue = draw.choice(_CUES) if draw.random() < _CUE_SHARE else ""
    words = ("A", *(draw.choice(each) for each in (_HOW, _WHO, _DOES, _WHAT, _WHERE)), cue)
    return " ".join(word for word in words if word) + draw.choice((".", "."))


def _ours(corpus: Path, database: Path) -> float:
    create_store(database).close()
    return timed(lambda: _our_import(corpus, database))


def _our_import(corpus: Path, database: Path) -> None:
    with open_store(database) as store:
        report = import_rows(store, make_plan(corpus))
    if not report.flawless:
        raise RuntimeError(report.summary())


def _index(database: Path) -> float:
    with open_store(database) as store:
        return timed(lambda: fulltext.refresh(store))


def _raw(corpus: Path, database: Path) -> float:
    create_store(database).close()
    return timed(lambda: _raw_import(corpus, database))


def _raw_import(corpus: Path, database: Path) -> None:
    told = json.loads(corpus.read_text(encoding="utf-8"))
    connection = sqlite3.connect(database, isolation_level=None)
    for pragma in sqlite._PRAGMAS:
        connection.execute(pragma)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO source(id, name) VALUES (1, 'coco')")
    connection.executemany(
        "INSERT INTO image(id, source_id, key, file_name, width, height, extra) VALUES (?, 1, ?, ?, ?, ?, ?)",
        _raw_images(told["images"]),
    )
    numbers = {picture["id"]: number for number, picture in enumerate(told["images"], 1)}
    connection.executemany(
        "INSERT INTO caption(source_id, key, image_id, text, raw_sha256) VALUES (1, ?, ?, ?, ?)",
        (
            (str(row["id"]), numbers[row["image_id"]], row["caption"], hashlib.sha256(row["caption"].encode()).digest())
            for row in told["annotations"]
        ),
    )
    connection.execute("COMMIT")
    connection.close()


def _raw_images(pictures: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    known = {"id", "file_name", "width", "height"}
    for number, each in enumerate(pictures, 1):
        extra = json.dumps({name: value for name, value in each.items() if name not in known}, separators=(",", ":"))
        yield number, str(each["id"]), each["file_name"], each["width"], each["height"], extra


def _compare(ours: Path, raw: Path) -> None:
    """Stop unless both databases hold the same rows."""
    for table, columns in (
        ("image", "id, source_id, key, file_name, width, height, extra"),
        ("caption", "id, source_id, key, image_id, text, raw_sha256"),
    ):
        held = []
        for path in (ours, raw):
            connection = sqlite3.connect(path)
            digest = hashlib.sha256()
            for row in connection.execute(f"SELECT {columns} FROM {table} ORDER BY id"):
                digest.update(repr(row).encode())
            held.append(digest.hexdigest())
            connection.close()
        if held[0] != held[1]:
            raise RuntimeError(f"the {table} rows differ")
