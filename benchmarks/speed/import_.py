"""Bench `import`: the import of a synthetic COCO train2014 file, compared with raw sqlite3.

Both read the same JSON file and write the same rows into the same tables with the same indexes and pragmas, each into
its own database. The raw import loads the whole file, checks nothing and commits once. The two run in turns.
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

from benchmarks.speed.support.harness import median, report_progress, timed
from curation_db.importing.pipeline import import_rows, make_plan
from curation_db.search import fulltext
from curation_db.storage import sqlite
from curation_db.storage.store import create_store, open_store

IMAGES = 82_783
CAPTIONS = 414_113
_QUICK = 40
_REPEATS = 5
_CUE_SHARE = 0.005

_SUBJECTS = [
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
_ADJECTIVES = [
    "",
    "old",
    "young",
    "small",
    "large",
    "black and white",
    "brown",
    "smiling",
    "very tall",
    "colorful",
    "wet",
]
_ACTIONS = [
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
_OBJECTS = [
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
_PLACES = [
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
    """Run the bench and return its figures."""
    share, repeats = (_QUICK, 1) if quick else (1, _REPEATS)
    with tempfile.TemporaryDirectory(prefix="negwb-bench-") as temporary:
        folder = Path(temporary)
        corpus = folder / "captions_train2014.json"
        captions = write_corpus(corpus, IMAGES // share, CAPTIONS // share)
        report_progress(f"{captions:,} captions, {corpus.stat().st_size / 1e6:.1f} MB")
        ours, raw, index = [], [], []
        for turn in range(repeats):
            ours.append(_ours(corpus, folder / f"ours{turn}.db"))
            raw.append(_raw(corpus, folder / f"raw{turn}.db"))
            index.append(_index(folder / f"ours{turn}.db"))
            report_progress(f"turn {turn + 1}: ours {ours[-1]:.2f} s, raw {raw[-1]:.2f} s, index {index[-1]:.2f} s")
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
            "ours: streaming reader, every row checked and cleaned, one commit per batch of 10,000",
            "raw: json.load, then executemany with the same columns and hashes in one transaction, no checks",
            "both databases hold the same images and captions afterwards, row for row (compared)",
            "medians; rss_mb is that of the whole process, including json.load of the raw import",
        ],
    }


def write_corpus(path: Path, images: int, captions: int) -> int:
    """Write a captions file in the format of COCO train2014; return the number of captions."""
    draw = random.Random(2014)
    numbers = draw.sample(range(1, 581_930), images)
    image_entries = [_image(number, draw) for number in numbers]
    owners = [numbers[each % images] for each in range(captions)]
    draw.shuffle(owners)
    ids = draw.sample(range(37, 830_000), captions)
    rows = [
        {"image_id": owner, "id": number, "caption": make_caption(draw)}
        for owner, number in zip(owners, ids, strict=True)
    ]
    licenses = [{"url": "http://creativecommons.org/licenses/by/2.0/", "id": 4, "name": "Attribution License"}]
    content = {"info": {"description": "a bench"}, "images": image_entries, "licenses": licenses, "annotations": rows}
    path.write_text(json.dumps(content), encoding="utf-8")
    return captions


def _image(number: int, draw: random.Random) -> dict[str, Any]:
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


def make_caption(draw: random.Random) -> str:
    """Return a caption in the style of COCO; 0.5 % have a negation cue."""
    cue = draw.choice(_CUES) if draw.random() < _CUE_SHARE else ""
    parts = ("A", *(draw.choice(each) for each in (_ADJECTIVES, _SUBJECTS, _ACTIONS, _OBJECTS, _PLACES)), cue)
    return " ".join(part for part in parts if part) + draw.choice((".", "."))


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
    content = json.loads(corpus.read_text(encoding="utf-8"))
    connection = sqlite3.connect(database, isolation_level=None)
    for pragma in sqlite._PRAGMAS:
        connection.execute(pragma)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO source(id, name) VALUES (1, 'coco')")
    connection.executemany(
        "INSERT INTO image(id, source_id, key, file_name, width, height, extra) VALUES (?, 1, ?, ?, ?, ?, ?)",
        _raw_images(content["images"]),
    )
    numbers = {image["id"]: number for number, image in enumerate(content["images"], 1)}
    connection.executemany(
        "INSERT INTO caption(source_id, key, image_id, text, raw_sha256) VALUES (1, ?, ?, ?, ?)",
        (
            (str(row["id"]), numbers[row["image_id"]], row["caption"], hashlib.sha256(row["caption"].encode()).digest())
            for row in content["annotations"]
        ),
    )
    connection.execute("COMMIT")
    connection.close()


def _raw_images(images: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    known = {"id", "file_name", "width", "height"}
    for number, each in enumerate(images, 1):
        extra = json.dumps({name: value for name, value in each.items() if name not in known}, separators=(",", ":"))
        yield number, str(each["id"]), each["file_name"], each["width"], each["height"], extra


def _compare(ours: Path, raw: Path) -> None:
    """Raise RuntimeError unless both databases hold the same rows."""
    for table, columns in (
        ("image", "id, source_id, key, file_name, width, height, extra"),
        ("caption", "id, source_id, key, image_id, text, raw_sha256"),
    ):
        digests = []
        for path in (ours, raw):
            connection = sqlite3.connect(path)
            digest = hashlib.sha256()
            for row in connection.execute(f"SELECT {columns} FROM {table} ORDER BY id"):
                digest.update(repr(row).encode())
            digests.append(digest.hexdigest())
            connection.close()
        if digests[0] != digests[1]:
            raise RuntimeError(f"the {table} rows differ")
