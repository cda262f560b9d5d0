"""A picture's name from a file: inside the folder or refused, a URL or a file, in whatever Unicode form."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from curation_db.events.event_clock import value_at
from curation_db.image_paths import find_image_file
from curation_db.importing.image_check import ImageChecker
from curation_db.importing.image_names import Naming
from curation_db.importing.path_suffixes import Tails
from curation_db.importing.rows import RefusedRow, RejectReason

NFC, NFD = "Br\u00fccke.png", "Bru\u0308cke.png"


def file_name(name: str, *prefixes: str) -> str | None:
    return Naming("s", prefixes).name(name).file_name


@pytest.mark.parametrize(
    "name",
    [
        "../a.jpg",
        "..",
        "a/../../b.jpg",
        "/etc/passwd",
        "//host/a.jpg",
        "..\\a.jpg",
        "a/..\\..\\..\\b.jpg",
        "\\\\host\\a.jpg",
        "\\a.jpg",
        "C:\\a.jpg",
        "c:/a.jpg",
        "file:///etc/passwd",
        "file:a.jpg",
    ],
)
def test_a_name_that_leads_out_of_the_folder_is_refused(name: str) -> None:
    with pytest.raises(RefusedRow) as refused:
        Naming("s").name(name)
    assert refused.value.reason is RejectReason.OUTSIDE_FOLDER
    assert "--strip-prefix" in refused.value.hint


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("sub/one.jpg", "sub/one.jpg"),
        ("./sub//one.jpg", "sub/one.jpg"),
        ("a/../one.jpg", "one.jpg"),
        ("back\\slash.jpg", "back/slash.jpg"),
        ("..a/b..jpg", "..a/b..jpg"),
        ("with space.jpg", "with space.jpg"),
        ("#per%20cent?.jpg", "#per%20cent?.jpg"),
        (NFD, NFD),
    ],
)
def test_a_name_below_the_folder_is_kept(name: str, kept: str) -> None:
    assert file_name(name) == kept
    assert Naming("s").key(Naming("s").name(name)) == unicodedata.normalize("NFC", kept)


@pytest.mark.parametrize("url", ["https://example.org/a//b/one.jpg?x=1#y", "s3://bucket/one.jpg", "gs://b/../one.jpg"])
def test_a_url_is_kept_whole_and_is_no_file(url: str) -> None:
    name = Naming("s").name(url)
    assert (name.file_name, name.url, Naming("s").key(name)) == (None, url, url)


URL, SHORTENED = "https://example.org/a.jpg", "https:/example.org/a.jpg"


def older_picture(desk: Any, source: str, key: str) -> None:
    """A picture as a version before schema 0004 took it from a URL: as a file, with a slash lost."""
    with desk.store.write() as connection:
        connection.exec_driver_sql("INSERT INTO source(name) VALUES (?)", (source,))
        connection.exec_driver_sql("INSERT INTO image(source_id, key, file_name) VALUES (1, ?, ?)", (key, SHORTENED))


def coco_shaped(annotation: dict[str, Any]) -> dict[str, Any]:
    listed = {"images": [{"id": 7, "file_name": URL}], "annotations": [{"id": 1, "image_id": 7, **annotation}]}
    return {**listed, "categories": [{"id": 3, "name": "hat"}]}


@pytest.mark.parametrize(
    ("name", "key", "content"),
    [
        ("set.jsonl", SHORTENED, json.dumps({"image": URL, "caption": "a dog"})),
        ("set.json", "7", json.dumps(coco_shaped({"caption": "a dog"}))),
    ],
)
def test_a_picture_that_an_older_version_took_from_a_url_is_met_again(
    desk: Any, name: str, key: str, content: str
) -> None:
    """GIVEN a URL that lost a slash THEN it is mended, no picture comes twice, and the past shows what it showed."""
    older_picture(desk, "set", key)
    report = desk.take(desk.file(name, content))
    assert (report.images, report.completed, report.captions, desk.rejects) == (0, 1, 1, [])
    [(kept, file_name, url, marks)] = desk.rows("SELECT key, file_name, url, completed FROM image")
    assert (kept, file_name, url) == (key, None, URL)
    marks = json.loads(marks)
    assert value_at(marks["file_name"], file_name, -1) == SHORTENED
    assert value_at(marks["url"], url, -1) is None
    assert desk.take(desk.file(name, content)).completed == 0


def test_objects_meet_a_picture_that_an_older_version_took_from_a_url(desk: Any) -> None:
    older_picture(desk, "instances_set", "7")
    report = desk.take(desk.file("instances_set.json", coco_shaped({"category_id": 3, "bbox": [1, 1, 2, 2]})))
    assert (report.images, report.objects, desk.rejects) == (0, 1, [])


@pytest.mark.parametrize(
    ("name", "prefix", "below"),
    [
        ("images/sub/one.jpg", "images/", "sub/one.jpg"),
        ("images/sub/one.jpg", "images", "sub/one.jpg"),
        ("./images/one.jpg", "images/", "one.jpg"),
        ("images2/one.jpg", "images", "images2/one.jpg"),
        ("/data/local-files/?d=sub/one.jpg", "/data/local-files/?d=", "sub/one.jpg"),
        ("C:\\Users\\me\\sub\\one.jpg", "C:/Users/me", "sub/one.jpg"),
        ("https://example.org/img/one.jpg", "https://example.org/img/", "one.jpg"),
        (f"{NFD}/one.jpg", f"{NFC}/", "one.jpg"),
        ("images/", "images/", "images"),
    ],
)
def test_a_prefix_is_stripped_at_the_border_of_a_word(name: str, prefix: str, below: str) -> None:
    assert file_name(name, "nothing/", prefix) == below


def test_what_a_prefix_leaves_is_checked() -> None:
    with pytest.raises(RefusedRow):
        file_name("images/../../etc/passwd", "images/")


# -- in the record


def pictures(folder: Path, *, every: bool = True) -> ImageChecker:
    return ImageChecker(lambda _source, name: find_image_file([folder], name), every=every, tail=Tails([folder]).of)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    (made / "sub").mkdir(parents=True)
    (made / "deep" / "er").mkdir(parents=True)
    for number, name in enumerate(("sub/one.png", "deep/er/two.png", "top.png"), 1):
        Image.new("RGB", (number, 5)).save(made / name)
    return made


@pytest.mark.parametrize("listed", [NFC, NFD])
@pytest.mark.parametrize("on_disk", [NFC, NFD])
def test_a_name_is_found_in_either_unicode_form(desk: Any, folder: Path, listed: str, on_disk: str) -> None:
    Image.new("RGB", (30, 20)).save(folder / on_disk)
    path = desk.file("t.csv", f"image,caption\n{listed},a bridge\n")
    assert desk.take(path, pictures=pictures(folder)).flawless
    assert desk.rows("SELECT key, file_name, width FROM image") == [(NFC, listed, 30)]
    other = desk.file("u.csv", f"image,caption\n{NFC if listed == NFD else NFD},a river\n")
    report = desk.take(other, pictures=pictures(folder), source="t")
    assert (report.images, report.captions, report.flawless) == (0, 1, True)


def test_two_files_that_differ_in_their_unicode_form_are_not_one(desk: Any) -> None:
    for name in (NFC, NFD):
        Image.new("RGB", (7, 5)).save(desk.file(f"photos/{name}", b""))
        desk.file(f"photos/{name[:-4]}.txt", f"{len(name)} letters")
    report = desk.take(desk.folder / "photos")
    assert (report.images, report.captions, report.rejected) == (1, 1, {"duplicate": 1})


def test_ids_in_nfd_are_those_in_nfc(desk: Any) -> None:
    rows = [{"image_id": NFD, "caption": "a"}, {"image_id": NFC, "caption": "b"}]
    report = desk.take(desk.file("t.jsonl", "\n".join(map(json.dumps, rows))))
    assert (report.images, report.captions) == (1, 2)


def test_urls_are_kept_in_a_column_of_their_own(desk: Any, folder: Path) -> None:
    urls = ["https://example.org/a.jpg", "s3://bucket/b.jpg"]
    rows = [{"image": url, "caption": "a dog", "candidate": "no dog"} for url in urls]
    report = desk.take(desk.file("t.jsonl", "\n".join(map(json.dumps, rows))), pictures=pictures(folder))
    assert (report.flawless, report.remote_pictures, report.missing_pictures) == (True, 2, 0)
    assert desk.rows("SELECT key, file_name, url FROM image ORDER BY id") == [(url, None, url) for url in urls]


def test_an_entry_without_a_file_name_is_known_by_its_coco_url(desk: Any, coco: Any) -> None:
    images = [{"id": 9, "file_name": None, "coco_url": "http://x.org/9.jpg"}, {"id": 25}]
    desk.take(desk.file("c.json", coco(images=images)))
    assert desk.rows("SELECT file_name, url FROM image ORDER BY id") == [(None, "http://x.org/9.jpg"), (None, None)]


def test_a_url_is_another_picture_than_a_file_under_the_same_id(desk: Any) -> None:
    rows = [
        {"image_id": 1, "image": "a.png", "caption": "of a"},
        {"image_id": 1, "image": "https://example.org/a.png", "caption": "of b"},
    ]
    assert desk.take(desk.file("t.jsonl", "\n".join(map(json.dumps, rows)))).rejected == {"duplicate": 1}


# -- names that are missing


@pytest.mark.parametrize(
    ("name", "found", "prefix", "deeper"),
    [
        ("images/sub/one.png", "sub/one.png", "images/", None),
        ("/data/?d=sub/one.png", "sub/one.png", "/data/?d=", None),
        ("C:\\me\\sub\\one.png", "sub/one.png", "C:\\me\\", None),
        ("4/one.png", "sub/one.png", "4/", "sub"),
        ("er/two.png", "deep/er/two.png", "", "deep"),
        ("x/er/two.png", "deep/er/two.png", "x/", "deep"),
    ],
)
def test_the_one_file_that_ends_like_a_name_is_offered(
    folder: Path, name: str, found: str, prefix: str, deeper: str | None
) -> None:
    tail = Tails([folder]).of(name)
    assert tail is not None
    assert (tail.found, tail.prefix, tail.folder) == (found, prefix, deeper and folder / deeper)


@pytest.mark.parametrize("name", ["images/none.png", "images/xtop.png", "sub/one.jpg"])
def test_nothing_is_offered_for_other_names(folder: Path, name: str) -> None:
    assert Tails([folder]).of(name) is None


def test_nothing_is_offered_where_several_files_end_alike(folder: Path) -> None:
    Image.new("RGB", (3, 3)).save(folder / "deep" / "one.png")
    assert Tails([folder]).of("4/one.png") is None
    offered = Tails([folder]).of("images/sub/one.png")
    assert offered is not None
    assert offered.found == "sub/one.png"


def test_an_offer_that_is_taken_finds_the_picture_that_is_in_the_record(desk: Any, folder: Path) -> None:
    """GIVEN pictures under names with a prefix WHEN imported again without it THEN no text comes twice."""
    rows = [{"image": "images/sub/one.png", "caption": "one"}, {"image": "top.png", "caption": "top"}]
    path = desk.file("t.jsonl", "\n".join(map(json.dumps, rows)))
    assert desk.take(path, pictures=pictures(folder)).kept == {"missing-file": 1}
    assert "--strip-prefix images/" in desk.rejects[0].hint
    assert "sub/one.png" in desk.rejects[0].message
    report = desk.take(path, pictures=pictures(folder), strip_prefixes=("images/",))
    assert (report.new, report.completed, report.flawless) == (0, 1, True)
    told = "SELECT key, file_name, width FROM image ORDER BY id"
    assert desk.rows(told) == [("images/sub/one.png", "sub/one.png", 1), ("top.png", "top.png", 3)]
    assert desk.take(path, pictures=pictures(folder), strip_prefixes=("images/",)).completed == 0


def test_a_refused_name_is_offered_its_file(desk: Any, folder: Path) -> None:
    path = desk.file("t.jsonl", json.dumps({"image": "/home/me/sub/one.png", "caption": "one"}))
    assert desk.take(path, pictures=pictures(folder)).rejected == {"outside-folder": 1}
    assert "--strip-prefix /home/me/" in desk.rejects[0].hint
    report = desk.take(path, pictures=pictures(folder), strip_prefixes=("/home/me/",))
    assert report.flawless
    assert desk.rows("SELECT key, file_name FROM image") == [("sub/one.png", "sub/one.png")]


# -- links


def test_a_text_behind_a_link_that_leaves_the_folder_is_not_read(desk: Any) -> None:
    secret = desk.file("secret.txt", "not for training")
    for name in ("a.png", "b.png"):
        Image.new("RGB", (7, 5)).save(desk.file(f"photos/{name}", b""))
    desk.file("photos/b.txt", "a black picture")
    (desk.folder / "photos/a.txt").symlink_to(secret)
    (desk.folder / "photos/c.png").symlink_to(desk.folder / "elsewhere.png")
    Image.new("RGB", (7, 5)).save(desk.folder / "elsewhere.png")
    report = desk.take(desk.folder / "photos")
    assert (report.images, report.rejected) == (2, {"outside-folder": 2})
    assert all("follow_links = true" in each.hint for each in desk.rejects)
    assert desk.rows("SELECT text FROM caption") == [("a black picture",)]
    assert desk.take(desk.folder / "photos", follow_links=True).flawless
    assert desk.rows("SELECT count(*) FROM caption") == [(2,)]
