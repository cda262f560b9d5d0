"""Data files: imported content is exported unchanged, the published loader reads it, hostile text stays data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from curation_db.enums import Kind, Reason, State
from curation_db.events import annotators
from curation_db.exporting.coco import Ids
from curation_db.exporting.manifest import ExportItem, read_items
from curation_db.exporting.selection import ExportFilter
from curation_db.importing.pipeline import import_file, make_plan

HOSTILE = 'no "dog"\\ [/b] \u202e\u2028\x1b[31m </script>\t\n{"a": 1} é 🐕\u200d🦺'


def published_set(rows: int) -> dict:
    """Return content like the published file: five captions per image, with COCO's additional fields."""
    images = [
        {
            "license": 1 + i % 8,
            "file_name": f"COCO_train2014_{i * 3:012d}.jpg",
            "coco_url": f"http://images.cocodataset.org/train2014/{i}.jpg",
            "height": 480,
            "width": 640,
            "date_captured": "2013-11-14 16:28:13",
            "flickr_url": "http://farm7.staticflickr.com/x.jpg",
            "id": i * 3,
        }
        for i in range(rows // 5)
    ]
    annotations = [
        {
            "image_id": images[i // 5]["id"],
            "id": 900_000 - i,
            "caption": f"a woman riding a horse in a field {i} ",
            "updated_caption": f"a woman not wearing a hat riding a horse in a field {i}",
            **({"score": i / 7, "tags": ["é", None]} if i % 3 == 0 else {}),
        }
        for i in range(rows)
    ]
    licenses = [{"url": "http://creativecommons.org/", "id": n, "name": f"CC {n}"} for n in range(1, 9)]
    return {"info": {"year": 2014}, "licenses": licenses, "images": images, "annotations": annotations}


def import_content(record, content: dict) -> None:
    """Import the content and accept all of it in one statement, because 5,000 decisions take long."""
    path = record.folder / "negationclip_captions_train2014.json"
    path.write_text(json.dumps(content, indent=4))
    report = import_file(record.store, make_plan(path))
    assert report.candidates == len(content["annotations"])
    with record.store.write() as connection:
        connection.execute(
            text("""INSERT INTO event(uid, act, candidate_id, actor, role, session, stream, blind, kind, late, at)
                    SELECT id, id, id, 'ana', 'annotator', 's', 'review', 0, 'accept', 0, '' FROM candidate""")
        )


def load_as_published(path: Path, image_dir: Path) -> list[tuple[Path, str, str]]:
    """Read the file like the published training script."""
    with open(path) as file:
        content = json.load(file)
    names = {image["id"]: image["file_name"] for image in content["images"]}
    return [(image_dir / names[a["image_id"]], a["caption"], a["updated_caption"]) for a in content["annotations"]]


def coco(record, name: str = "s") -> dict:
    return json.loads((record.export(name) / "coco.json").read_text())


def by_id(entries: list[dict]) -> dict:
    assert len({entry["id"] for entry in entries}) == len(entries)
    return {entry["id"]: entry for entry in entries}


def test_five_thousand_rows_come_back_equal(record):
    content = published_set(5_000)
    import_content(record, content)
    record.freeze("s")
    back = coco(record)
    assert list(back) == ["info", "licenses", "images", "annotations"]
    assert by_id(back["images"]) == by_id(content["images"])
    assert by_id(back["annotations"]) == by_id(content["annotations"])
    assert all(type(a["id"]) is int and type(a["image_id"]) is int for a in back["annotations"])
    loaded = load_as_published(record.export("s") / "coco.json", Path("/pictures"))
    first = back["annotations"][0]
    assert loaded[0] == (Path("/pictures/COCO_train2014_000000000000.jpg"), first["caption"], first["updated_caption"])
    assert len(loaded) == 5_000


def test_all_licences_come_back(record):
    content = published_set(5)
    import_content(record, content)
    record.freeze("s")
    assert coco(record)["licenses"] == content["licenses"]


def test_licences_of_the_sources_in_the_export(record):
    ours, theirs = [{"id": 1, "name": "CC"}, {"id": 2, "name": "by"}], [{"id": 2, "name": "by"}, {"id": 9}]
    ana = record.person("ana")
    for name, listed in (("b", theirs), ("a", ours), ("unused", [{"id": 7}])):
        source = record.source(name, listed)
        image = record.image(source, "1", "1.jpg")
        number = record.candidate(source, "gen/1", image, "no dog")
        if name != "unused":
            ana.decide(number, Kind.ACCEPT)
    record.freeze("s")
    assert coco(record)["licenses"] == [*ours, {"id": 9}]


def test_one_entry_a_line(decided):
    decided.freeze("s")
    lines = (decided.export("s") / "coco.json").read_text().splitlines()
    entries = [json.loads(line.rstrip(",")) for line in lines if line.startswith("{") and len(line) > 1]
    assert len(entries) == 3 + 6


def test_only_the_pictures_of_the_pairs(decided):
    decided.freeze("s", selection=ExportFilter((State.REJECTED,)))
    assert [image["id"] for image in coco(decided)["images"]] == [103]


def test_two_accepted_texts_for_one_caption(record):
    """GIVEN a second generator for a caption THEN the first in order keeps its id, the other is beyond the largest."""
    ana = record.person("ana")
    record.pairs(2)
    other = record.candidate(1, "zz/1", 1, "a dog, no bird", caption_id=1)
    loose = record.candidate(1, "zz/2", 1, "a dog, no fish")
    for number in (1, 2, other, loose):
        ana.decide(number, Kind.ACCEPT)
    record.freeze("s")
    by_text = {a["updated_caption"]: (a["id"], a["caption"]) for a in coco(record)["annotations"]}
    assert by_text == {
        "a dog on a bed with no cat 0": (7, "a dog on a bed 0"),
        "a dog on a bed with no cat 1": (8, "a dog on a bed 1"),
        "a dog, no bird": (9, "a dog on a bed 0"),
        "a dog, no fish": ("zz/2", ""),
    }


def test_two_sources_that_count_alike(record):
    ana = record.person("ana")
    for number in record.pairs(4, source="b") + record.pairs(4, source="a"):
        ana.decide(number, Kind.ACCEPT)
    record.freeze("s")
    content = coco(record)
    assert [(i["id"], i["file_name"]) for i in content["images"]] == [
        (100, "a_0.jpg"),
        (101, "a_1.jpg"),
        (102, "b_0.jpg"),
        (103, "b_1.jpg"),
    ]
    names = {image["id"]: image["file_name"] for image in content["images"]}
    assert [names[a["image_id"]] for a in content["annotations"]] == [
        f"{s}_{i}.jpg" for s in "ab" for i in (0, 0, 1, 1)
    ]
    assert sorted(a["id"] for a in content["annotations"]) == list(range(7, 15))


def test_ids_stay_unique():
    ids = Ids(largest=9)
    assert [ids.give(key) for key in ("9", "9", "a", "a", "007", "9")] == [9, 10, "a", 11, "007", 12]


def test_ids_that_were_text_stay_text(record):
    """GIVEN a file that wrote its ids in quotes (the import keeps them) THEN they come back so, and still join."""
    source = record.source("quoted")
    image = record.image(source, "17", "17.jpg", height=5, extra='{"id": "17"}')
    more = {"caption_id": record.caption(source, "3", image, "a dog"), "extra": '{"id": "3", "image_id": "17"}'}
    record.person("ana").decide(record.candidate(source, "gen/3", image, "no dog", **more), Kind.ACCEPT)
    record.freeze("s")
    content = coco(record)
    assert content["images"] == [{"id": "17", "file_name": "17.jpg", "height": 5}]
    assert content["annotations"] == [{"image_id": "17", "id": "3", "caption": "a dog", "updated_caption": "no dog"}]


def test_without_caption_and_file_name(record):
    source = record.source("loose")
    image = record.image(source, "k1", None)
    number = record.candidate(source, "gen/1", image, "no dog")
    record.person("ana").decide(number, Kind.ACCEPT)
    manifest = record.freeze("s")
    assert (manifest.counts.without_caption, manifest.counts.without_file_name) == (1, 1)
    content = coco(record)
    assert content["images"] == [{"id": "k1", "file_name": None}]
    assert content["annotations"] == [{"image_id": "k1", "id": "gen/1", "caption": "", "updated_caption": "no dog"}]
    pair = json.loads((record.export("s") / "pairs.jsonl").read_text())
    assert (pair["caption"], pair["file_name"], pair["text"]) == (None, None, "no dog")


def test_image_with_url_has_coco_url(record):
    url = "https://example.org/a//b.jpg"
    source = record.source("loose")
    images = [record.image(source, "1", None, url=url), record.image(source, "2", "b.jpg")]
    for number, image in enumerate(images):
        record.person("ana").decide(record.candidate(source, f"gen/{number}", image, f"no dog {number}"), Kind.ACCEPT)
    assert record.freeze("s").counts.without_file_name == 1
    assert coco(record)["images"] == [{"id": 1, "file_name": None, "coco_url": url}, {"id": 2, "file_name": "b.jpg"}]
    for name in ("pairs.jsonl", "items.jsonl"):
        rows = [json.loads(line) for line in (record.export("s") / name).read_text().splitlines()]
        assert [(row["file_name"], row.get("url")) for row in rows] == [(None, url), ("b.jpg", None)]
        assert "url" not in rows[1]


def test_hostile_text_stays_data(record, monkeypatch):
    """GIVEN hostile text in every field THEN all files are ASCII without its control characters, the JSON parses."""
    source = record.source(HOSTILE, [{"id": 1, "name": HOSTILE}])
    extra = json.dumps({"note": HOSTILE, "id": 5, "n": float("nan"), "m": float("inf")})
    image = record.image(source, HOSTILE, HOSTILE, width=1, height=1, extra=extra.replace("Infinity", "1e999"))
    caption = record.caption(source, HOSTILE, image, HOSTILE)
    more = {"caption_id": caption, "concept": HOSTILE, "generator": HOSTILE, "extra": extra}
    number = record.candidate(source, HOSTILE, image, HOSTILE, **more)
    monkeypatch.setattr(annotators, "checked_name", str)  # no allowed name, but one that an older record may hold
    record.person(HOSTILE).decide(number, Kind.REJECT, reason=Reason.SCOPE)
    record.freeze("s", selection=ExportFilter((State.REJECTED,)), names=True)
    for path in record.export("s").iterdir():
        raw = path.read_bytes()
        assert raw.isascii()
        assert not set(raw) & {0x1B, 0x7F, 0x0D}
        if path.suffix == ".jsonl":
            assert [json.loads(line)["key"] for line in path.read_text().splitlines()] == [HOSTILE]
    refuse = pytest.fail
    content = json.loads((record.export("s") / "coco.json").read_text(), parse_constant=refuse)
    assert content["annotations"][0]["note"] == HOSTILE
    assert content["annotations"][0]["n"] is None
    assert content["images"][0]["m"] is None
    assert content["images"][0]["id"] == HOSTILE
    (item,) = read_items(record.export("s"))
    assert (item.source, item.deciders, item.reasons) == (HOSTILE, (HOSTILE,), ("scope",))


def test_lone_surrogates_in_names(record):
    """A file name that is not UTF-8 reaches us with surrogates; SQLite refuses it, JSON must not break on it."""
    item = ExportItem(key="k", source="s", image_key="i", file_name="\udcff.jpg", text="no dog")
    assert ExportItem.from_line(item.to_line()) == item


def test_items_hold_what_the_record_knows(decided):
    with decided.store.write() as connection:
        connection.execute(text("UPDATE image SET content_sha256 = :sha WHERE id = 1"), {"sha": b"\x01" * 32})
        day = connection.execute(text("SELECT substr(at, 1, 10) FROM event WHERE seq = 1")).scalar_one()
    decided.freeze("s")
    first = next(read_items(decided.export("s")))
    assert first == ExportItem(
        key="gen/7",
        source="coco",
        image_key="100",
        file_name="coco_0.jpg",
        image_sha256="01" * 32,
        caption_key="7",
        caption="a dog on a bed 0",
        text="a dog on a bed with no cat 0",
        concept="cat",
        negation_type="absence",
        cue="no",
        cue_position=first.cue_position,
        pipeline="import",
        generator="negationclip",
        tokens=first.tokens,
        accepts=1,
        deciders=(first.deciders[0],),
        stream="review",
        votes=(
            {
                "event": 1,
                "by": first.deciders[0],
                "kind": "accept",
                "verdict": "accept",
                "reason": None,
                "stream": "review",
                "blind": False,
                "day": day,
            },
        ),
    )
    assert first.tokens > 9


def test_later_keys_are_passed_over():
    line = json.dumps({"key": "k", "source": "s", "image_key": "i", "text": "no", "of_the_future": 1})
    assert ExportItem.from_line(line).text == "no"


@pytest.mark.parametrize("line", ["[]", "3", '{"key": "k"}', '{"key": 1, "source": "", "image_key": "", "text": ""}'])
def test_lines_that_are_no_items(line):
    with pytest.raises(ValueError, match="expected"):
        ExportItem.from_line(line)


@pytest.mark.parametrize("key", ["7", HOSTILE])
@pytest.mark.parametrize("extra", [None, '{"note": "x"}'])
def test_every_line_has_the_form_of_json_dumps(record, key, extra):
    source = record.source("coco")
    url = "https://example.org/a?b=1&c=\u732b"
    for number, more in enumerate(({"url": url}, {})):
        image = record.image(source, f"{key}{number}", None if more else "1.jpg", **more)
        caption = record.caption(source, f"{key}{number}", image, HOSTILE) if number else None
        candidate = record.candidate(source, f"{key}{number}", image, HOSTILE, caption_id=caption, extra=extra)
        record.person("ana").decide(candidate, Kind.ACCEPT)
    record.freeze("s")
    lines = [
        line.rstrip(",")
        for name in ("items.jsonl", "pairs.jsonl", "coco.json")
        for line in (record.export("s") / name).read_text().splitlines()
        if line.startswith('{"')
    ]
    assert len(lines) == 2 + 2 + 4
    assert [json.dumps(json.loads(line)) for line in lines] == lines
