"""Tests of image names: names outside the folder, URLs, Unicode forms, prefixes, suggestions."""

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
from curation_db.importing.path_suffixes import SuffixIndex
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
    ("name", "stored"),
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
def test_a_name_below_the_folder_is_stored(name: str, stored: str) -> None:
    assert file_name(name) == stored
    assert Naming("s").key(Naming("s").name(name)) == unicodedata.normalize("NFC", stored)


@pytest.mark.parametrize("url", ["https://example.org/a//b/one.jpg?x=1#y", "s3://bucket/one.jpg", "gs://b/../one.jpg"])
def test_a_url_is_stored_unchanged_and_is_not_a_file(url: str) -> None:
    name = Naming("s").name(url)
    assert (name.file_name, name.url, Naming("s").key(name)) == (None, url, url)


URL, SHORTENED = "https://example.org/a.jpg", "https:/example.org/a.jpg"


def older_image(importer: Any, source: str, key: str) -> None:
    """Insert an image as versions before schema 0004 stored it from a URL: as a file name, with one slash missing."""
    with importer.store.write() as connection:
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
def test_an_image_stored_from_a_url_by_an_older_version_is_matched(
    importer: Any, name: str, key: str, content: str
) -> None:
    """A URL with a missing slash is corrected, no image is stored twice, and earlier exports do not change."""
    older_image(importer, "set", key)
    report = importer.run(importer.write(name, content))
    assert (report.images, report.completed, report.captions, importer.rejects) == (0, 1, 1, [])
    [(stored, file_name, url, marks)] = importer.rows("SELECT key, file_name, url, completed FROM image")
    assert (stored, file_name, url) == (key, None, URL)
    marks = json.loads(marks)
    assert value_at(marks["file_name"], file_name, -1) == SHORTENED
    assert value_at(marks["url"], url, -1) is None
    assert importer.run(importer.write(name, content)).completed == 0


def test_objects_match_an_image_stored_from_a_url_by_an_older_version(importer: Any) -> None:
    older_image(importer, "instances_set", "7")
    report = importer.run(importer.write("instances_set.json", coco_shaped({"category_id": 3, "bbox": [1, 1, 2, 2]})))
    assert (report.images, report.objects, importer.rejects) == (0, 1, [])


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
def test_a_prefix_is_removed_at_a_word_boundary(name: str, prefix: str, below: str) -> None:
    assert file_name(name, "nothing/", prefix) == below


def test_the_name_without_the_prefix_is_checked() -> None:
    with pytest.raises(RefusedRow):
        file_name("images/../../etc/passwd", "images/")


# -- in the record


def image_checker(folder: Path, *, every: bool = True) -> ImageChecker:
    return ImageChecker(
        lambda _source, name: find_image_file([folder], name),
        check_all=every,
        find_by_suffix=SuffixIndex([folder]).find,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    (folder / "deep" / "er").mkdir(parents=True)
    for number, name in enumerate(("sub/one.png", "deep/er/two.png", "top.png"), 1):
        Image.new("RGB", (number, 5)).save(folder / name)
    return folder


@pytest.mark.parametrize("listed", [NFC, NFD])
@pytest.mark.parametrize("on_disk", [NFC, NFD])
def test_a_name_is_found_in_either_unicode_form(importer: Any, folder: Path, listed: str, on_disk: str) -> None:
    Image.new("RGB", (30, 20)).save(folder / on_disk)
    path = importer.write("t.csv", f"image,caption\n{listed},a bridge\n")
    assert importer.run(path, checker=image_checker(folder)).flawless
    assert importer.rows("SELECT key, file_name, width FROM image") == [(NFC, listed, 30)]
    other = importer.write("u.csv", f"image,caption\n{NFC if listed == NFD else NFD},a river\n")
    report = importer.run(other, checker=image_checker(folder), source="t")
    assert (report.images, report.captions, report.flawless) == (0, 1, True)


def test_files_that_differ_only_in_unicode_form_are_not_merged(importer: Any) -> None:
    for name in (NFC, NFD):
        Image.new("RGB", (7, 5)).save(importer.write(f"photos/{name}", b""))
        importer.write(f"photos/{name[:-4]}.txt", f"{len(name)} letters")
    report = importer.run(importer.folder / "photos")
    assert (report.images, report.captions, report.rejected) == (1, 1, {"duplicate": 1})


def test_ids_in_nfd_equal_ids_in_nfc(importer: Any) -> None:
    rows = [{"image_id": NFD, "caption": "a"}, {"image_id": NFC, "caption": "b"}]
    report = importer.run(importer.write("t.jsonl", "\n".join(map(json.dumps, rows))))
    assert (report.images, report.captions) == (1, 2)


def test_urls_are_stored_in_their_own_column(importer: Any, folder: Path) -> None:
    urls = ["https://example.org/a.jpg", "s3://bucket/b.jpg"]
    rows = [{"image": url, "caption": "a dog", "candidate": "no dog"} for url in urls]
    report = importer.run(importer.write("t.jsonl", "\n".join(map(json.dumps, rows))), checker=image_checker(folder))
    assert (report.flawless, report.remote_pictures, report.missing_pictures) == (True, 2, 0)
    assert importer.rows("SELECT key, file_name, url FROM image ORDER BY id") == [(url, None, url) for url in urls]


def test_an_entry_without_a_file_name_uses_its_coco_url(importer: Any, coco: Any) -> None:
    images = [{"id": 9, "file_name": None, "coco_url": "http://x.org/9.jpg"}, {"id": 25}]
    importer.run(importer.write("c.json", coco(images=images)))
    assert importer.rows("SELECT file_name, url FROM image ORDER BY id") == [(None, "http://x.org/9.jpg"), (None, None)]


def test_a_url_and_a_file_with_one_id_are_different_images(importer: Any) -> None:
    rows = [
        {"image_id": 1, "image": "a.png", "caption": "of a"},
        {"image_id": 1, "image": "https://example.org/a.png", "caption": "of b"},
    ]
    assert importer.run(importer.write("t.jsonl", "\n".join(map(json.dumps, rows)))).rejected == {"duplicate": 1}


# -- names that are missing


@pytest.mark.parametrize(
    ("name", "path", "prefix", "deeper"),
    [
        ("images/sub/one.png", "sub/one.png", "images/", None),
        ("/data/?d=sub/one.png", "sub/one.png", "/data/?d=", None),
        ("C:\\me\\sub\\one.png", "sub/one.png", "C:\\me\\", None),
        ("4/one.png", "sub/one.png", "4/", "sub"),
        ("er/two.png", "deep/er/two.png", "", "deep"),
        ("x/er/two.png", "deep/er/two.png", "x/", "deep"),
    ],
)
def test_the_only_file_with_the_same_suffix_is_suggested(
    folder: Path, name: str, path: str, prefix: str, deeper: str | None
) -> None:
    match = SuffixIndex([folder]).find(name)
    assert match is not None
    assert (match.path, match.prefix, match.folder) == (path, prefix, deeper and folder / deeper)


@pytest.mark.parametrize("name", ["images/none.png", "images/xtop.png", "sub/one.jpg"])
def test_nothing_is_suggested_for_other_names(folder: Path, name: str) -> None:
    assert SuffixIndex([folder]).find(name) is None


def test_nothing_is_suggested_for_several_matches(folder: Path) -> None:
    Image.new("RGB", (3, 3)).save(folder / "deep" / "one.png")
    assert SuffixIndex([folder]).find("4/one.png") is None
    offered = SuffixIndex([folder]).find("images/sub/one.png")
    assert offered is not None
    assert offered.path == "sub/one.png"


def test_importing_with_the_suggested_prefix_matches_the_stored_image(importer: Any, folder: Path) -> None:
    """A second import that removes a prefix stores no text twice."""
    rows = [{"image": "images/sub/one.png", "caption": "one"}, {"image": "top.png", "caption": "top"}]
    path = importer.write("t.jsonl", "\n".join(map(json.dumps, rows)))
    assert importer.run(path, checker=image_checker(folder)).warnings == {"missing-file": 1}
    assert "--strip-prefix images/" in importer.rejects[0].hint
    assert "sub/one.png" in importer.rejects[0].message
    report = importer.run(path, checker=image_checker(folder), strip_prefixes=("images/",))
    assert (report.new, report.completed, report.flawless) == (0, 1, True)
    statement = "SELECT key, file_name, width FROM image ORDER BY id"
    assert importer.rows(statement) == [("images/sub/one.png", "sub/one.png", 1), ("top.png", "top.png", 3)]
    assert importer.run(path, checker=image_checker(folder), strip_prefixes=("images/",)).completed == 0


def test_a_file_is_suggested_for_a_refused_name(importer: Any, folder: Path) -> None:
    path = importer.write("t.jsonl", json.dumps({"image": "/home/me/sub/one.png", "caption": "one"}))
    assert importer.run(path, checker=image_checker(folder)).rejected == {"outside-folder": 1}
    assert "--strip-prefix /home/me/" in importer.rejects[0].hint
    report = importer.run(path, checker=image_checker(folder), strip_prefixes=("/home/me/",))
    assert report.flawless
    assert importer.rows("SELECT key, file_name FROM image") == [("sub/one.png", "sub/one.png")]


# -- links


def test_a_text_behind_a_link_out_of_the_folder_is_not_read(importer: Any) -> None:
    secret = importer.write("secret.txt", "not for training")
    for name in ("a.png", "b.png"):
        Image.new("RGB", (7, 5)).save(importer.write(f"photos/{name}", b""))
    importer.write("photos/b.txt", "a black picture")
    (importer.folder / "photos/a.txt").symlink_to(secret)
    (importer.folder / "photos/c.png").symlink_to(importer.folder / "elsewhere.png")
    Image.new("RGB", (7, 5)).save(importer.folder / "elsewhere.png")
    report = importer.run(importer.folder / "photos")
    assert (report.images, report.rejected) == (2, {"outside-folder": 2})
    assert all("follow_links = true" in each.hint for each in importer.rejects)
    assert importer.rows("SELECT text FROM caption") == [("a black picture",)]
    assert importer.run(importer.folder / "photos", follow_links=True).flawless
    assert importer.rows("SELECT count(*) FROM caption") == [(2,)]
