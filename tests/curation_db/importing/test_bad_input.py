"""Tests of malformed input: valid rows are stored, others listed with their position, nothing is overwritten."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import text

from curation_db.importing import pipeline
from curation_db.importing.image_check import ImageChecker
from curation_db.importing.report import RejectsFile
from curation_db.importing.rows import Reject, RejectReason
from curation_db.storage import sqlite

Coco = Callable[..., dict[str, Any]]
Dump = Callable[[Any], dict[str, list[tuple[object, ...]]]]


def _annotation(number: Any, caption: Any, image: Any = 9) -> dict[str, Any]:
    return {"id": number, "image_id": image, "caption": caption}


def test_complete_rows_of_a_truncated_file_are_imported(importer: Any, coco: Coco) -> None:
    data = json.dumps(coco()).encode()
    report = importer.run(importer.write("cut.json", data[:-30]), source="coco")
    assert (report.images, report.captions) == (2, 2)
    (refused,) = importer.rejects
    assert (refused.reason, refused.where) == (RejectReason.TRUNCATED, "annotations[2]")
    assert data[refused.offset : refused.offset + 9] == b'{"image_i'
    assert importer.run(importer.write("whole.json", data)).captions == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"id": 1, "caption": "x"}, "no-field"),
        ({"id": 1, "image_id": 9}, "no-field"),
        (_annotation(1, "x", 77), "unknown-image"),
        (_annotation(1, None), "bad-value"),
        (_annotation(1, 17), "bad-value"),
        (_annotation(1, ["x"]), "bad-value"),
        (_annotation(1, " \n"), "empty-text"),
        (_annotation(1, "\u0007"), "empty-text"),
        (_annotation(1, "x" * 20_001), "text-too-long"),
        (_annotation(1, "x" * 10_000_000), "text-too-long"),
        (_annotation(1, "half \ud83d a smile"), "encoding"),
        (_annotation(True, "x"), "bad-value"),
        (_annotation(float("nan"), "x"), "bad-value"),
        (_annotation("", "x"), "bad-value"),
        (_annotation({"a": 1}, "x"), "bad-value"),
        (_annotation(10**1500, "x"), "bad-value"),
        (_annotation(101, "not what it was"), "duplicate"),
        (_annotation(101, "a woman riding a horse in a field", 25), "duplicate"),
        (17, "malformed"),
        (None, "malformed"),
        ([], "malformed"),
        ("text", "malformed"),
    ],
)
@pytest.mark.parametrize("kind", ["coco", "negationclip"])
def test_malformed_annotations_are_refused(importer: Any, coco: Coco, row: Any, reason: str, kind: str) -> None:
    content = coco()
    content["annotations"].append(row)
    if kind == "negationclip":
        content["annotations"] = [
            {**each, "updated_caption": "no dog"} if isinstance(each, dict) else each for each in content["annotations"]
        ]
    report = importer.run(importer.write("bad.json", content))
    assert report.captions == 3
    assert report.candidates == (3 if kind == "negationclip" else 0)
    assert importer.reasons[0] == reason
    assert set(importer.reasons) <= {reason, "caption-refused", "unknown-image"}
    assert all(each.where == "annotations[3]" and len(each.excerpt) <= 200 for each in importer.rejects)


@pytest.mark.parametrize("updated", [None, "", 5, "x" * 20_001])
def test_the_caption_of_a_malformed_candidate_is_stored(importer: Any, coco: Coco, updated: Any) -> None:
    good = {**_annotation(1, "a"), "updated_caption": "no b"}
    report = importer.run(
        importer.write("n.json", coco(annotations=[good, {**_annotation(2, "c"), "updated_caption": updated}]))
    )
    assert (report.captions, report.candidates, len(importer.rejects)) == (2, 1, 1)


def test_control_characters_are_cleaned_and_counted(importer: Any, coco: Coco) -> None:
    hostile = "a \x1b]0;title\x07dog\u202e [red]x[/red]"
    report = importer.run(importer.write("c.json", coco(annotations=[_annotation(1, hostile)])))
    assert (report.cleaned, report.flawless) == (1, True)
    assert importer.rows("SELECT text FROM caption") == [("a ]0;titledog [red]x[/red]",)]


def test_raw_control_characters_in_json_are_accepted(importer: Any, coco: Coco) -> None:
    data = json.dumps(coco()).replace("two giraffes", "two\ngir\taffes\x01").encode()
    assert importer.run(importer.write("c.json", data)).captions == 3
    assert importer.rejects == []


def test_only_rows_with_invalid_bytes_are_refused(importer: Any, coco: Coco) -> None:
    content = coco(annotations=[_annotation(1, "caf@ noir"), _annotation(2, "tea")])
    data = json.dumps(content).encode().replace(b"@", "é".encode("latin-1"))
    assert importer.run(importer.write("latin.json", data)).captions == 1
    assert importer.reasons == ["encoding"]
    report = importer.run(importer.write("l.csv", b"image,caption\na.jpg,caf\xe9\nb.jpg,tea\n"))
    assert (report.captions, importer.reasons) == (1, ["encoding"])
    assert importer.rejects[0].where == "line 2"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "txt"])
def test_only_the_row_with_an_incomplete_last_character_is_refused(importer: Any, encoding: str, suffix: str) -> None:
    rows = ["image,caption", *(f"{n}.png,a dog {n}" for n in range(9))]
    if suffix == "jsonl":
        rows = [json.dumps({"image": f"{n}.png", "caption": f"a dog {n}"}) for n in range(9)]
    data = "".join(f"{row}\n" for row in rows).encode(encoding)
    report = importer.run(importer.write(f"t.{suffix}", data[:-1]))
    assert report.captions == 8
    assert [each.where for each in importer.rejects] == [f"line {len(rows)}"]


def test_rows_with_invalid_utf_32_units_are_refused(importer: Any) -> None:
    data = "image;caption\na.png;ok\n".encode("utf-32") + b"\xff" * 4 + "b.png;x\nc.png;fine\n".encode("utf-32-le")
    report = importer.run(importer.write("t.csv", data + b"\xff" * 4))
    assert report.captions == 2
    assert [each.where for each in importer.rejects] == ["line 3", "line 5"]


def test_invalid_bytes_in_an_extra_column_are_listed(importer: Any) -> None:
    data = "image,candidate,x\na.png,no dog,1\nb.png,no cat,2\n".encode("utf-16")[:-1]
    report = importer.run(importer.write("t.csv", data))
    assert (report.candidates, importer.reasons) == (1, ["encoding"])


def test_a_json_row_with_an_invalid_utf_32_unit_is_refused(importer: Any, coco: Coco) -> None:
    data = json.dumps(coco()).encode("utf-32-le").replace("giraffes".encode("utf-32-le"), b"\xff" * 4)
    assert importer.run(importer.write("c.json", data), source="coco").captions == 2
    assert importer.reasons == ["encoding"]


def test_an_invalid_character_in_a_folder_text_refuses_one_line(importer: Any) -> None:
    for name in ("a", "b", "c"):
        Image.new("RGB", (7, 5)).save(importer.write(f"photos/{name}.png", b""))
        importer.write(f"photos/{name}.txt", f"first of {name}\nsecond of {name}\n".encode("utf-16"))
    path = importer.folder / "photos/a.txt"
    path.write_bytes(path.read_bytes()[:-1])
    report = importer.run(importer.folder / "photos")
    assert (report.captions, importer.reasons, importer.rejects[0].where) == (5, ["encoding"], "a.txt line 2")


@pytest.mark.parametrize("members", [{"0": 5}, {"1": 5}, {"1": 5, "2": "x", "3": None}])
@pytest.mark.parametrize("indent", [None, 1])
def test_malformed_sugarcrepe_members_are_refused(importer: Any, members: dict[str, Any], indent: int | None) -> None:
    row = {"filename": "000000000009.jpg", "caption": "a", "negative_caption": "b"}
    content = dict(sorted({**members, "00": row}.items(), reverse="0" not in members))
    report = importer.run(importer.write("s.json", json.dumps(content, indent=indent)))
    assert (report.format, report.candidates, importer.reasons) == ("sugarcrepe", 1, ["malformed"] * len(members))


def test_coco_in_one_line_with_extra_members_is_detected(importer: Any, coco: Coco) -> None:
    assert importer.run(importer.write("c.json", coco(type="captions", version=1, year="2014", x="y"))).captions == 3


@pytest.mark.parametrize("indent", [None, 1])
def test_coco_truncated_inside_the_images(importer: Any, coco: Coco, indent: int | None) -> None:
    data = json.dumps({name: coco()[name] for name in ("info", "images")}, indent=indent)
    report = importer.run(importer.write("c.json", data[: data.index("height", data.index("000000025"))]))
    assert (report.format, report.images, importer.reasons) == ("coco", 1, ["truncated"])
    assert importer.rejects[0].where == "images[1]"
    whole = json.dumps(coco())
    report = importer.run(importer.write("d.json", whole[: whole.index('"caption"')]))
    assert (report.format, report.images, report.unchanged) == ("coco", 1, 1)
    assert importer.reasons == ["truncated"]


def test_a_deeply_nested_row_is_refused(importer: Any, coco: Coco) -> None:
    content = coco()
    deep = "[" * 100_000 + "]" * 100_000
    data = json.dumps(content).replace('"two giraffes"', f'"two giraffes", "more": {deep}')
    report = importer.run(importer.write("deep.json", data))
    assert (report.captions, importer.reasons) == (2, ["malformed"])
    lines = '{"image": "a", "caption": "x"}\n{"image": "b", "caption": ' + deep + '}\n{"image": "c", "caption": "y"}\n'
    report = importer.run(importer.write("deep.jsonl", lines))
    assert (report.captions, importer.reasons) == (2, ["malformed"])


def test_invalid_sizes_are_not_stored(importer: Any, coco: Coco) -> None:
    sizes = [(-1, 0), ("5", None), (10**30, 1.5), (float("nan"), True)]
    images = [
        {"id": number, "file_name": f"{number}.jpg", "width": width, "height": height}
        for number, (width, height) in enumerate(sizes)
    ]
    assert importer.run(importer.write("s.json", coco(images=images, annotations=[]))).images == 4
    assert importer.rows("SELECT DISTINCT width, height FROM image") == [(None, None)]


def test_malformed_images_are_refused(importer: Any, coco: Coco) -> None:
    images = [
        {"file_name": "a.jpg"},
        {"id": 1, "file_name": 5},
        {"id": 2, "file_name": "a\u0007.jpg"},
        {"id": 9, "file_name": "a.jpg"},
        {"id": 9, "file_name": "other.jpg"},
        "x",
    ]
    report = importer.run(importer.write("i.json", coco(images=images, annotations=[_annotation(1, "of which 9?")])))
    assert (report.images, report.captions) == (1, 0)
    reasons = ["bad-value", "duplicate", "malformed", "no-field", "no-picture", "picture-refused"]
    assert sorted(importer.reasons) == reasons


def test_captions_of_another_image_with_a_stored_key_are_refused(importer: Any) -> None:
    rows = [{"image_id": 1, "image": "a.png", "caption": "a"}, {"image_id": 1, "image": "b.png", "caption": "b"}]
    report = importer.run(importer.write("t.jsonl", "\n".join(json.dumps(row) for row in rows)))
    assert (report.images, report.captions, importer.reasons) == (1, 1, ["duplicate"])


def test_malformed_lines_of_jsonl_are_refused(importer: Any) -> None:
    # fmt: off
    lines = [
        '{"image": "a.jpg", "caption": "good"}', "", "{", "[1]", '{"caption": "no picture"}', '{"image": "b.jpg"}',
        '{"image": "c.jpg", "caption": NaN}', '{"image": "d.jpg", "caption": "also good"}',
        '{"image": "e.jpg", "caption": "' + "x" * 10_000_000 + '"}',
    ]
    # fmt: on
    report = importer.run(importer.write("t.jsonl", "\n".join(lines)))
    assert report.captions == 2
    reasons = {each.where: str(each.reason) for each in importer.rejects}
    assert reasons == {
        "line 3": "malformed",
        "line 4": "malformed",
        "line 5": "no-picture",
        "line 6": "empty-text",
        "line 7": "empty-text",
        "line 9": "text-too-long",
    }


def test_malformed_lines_of_csv_are_refused(importer: Any) -> None:
    data = "image,caption\na.jpg,good\nb.jpg\nc.jpg,x,y\nd.jpg," + "x" * 10_000_000 + "\ne.jpg,also good\n\n,lost\n"
    report = importer.run(importer.write("t.csv", data))
    assert report.captions == 2
    assert {each.where: str(each.reason) for each in importer.rejects} == {
        "line 3": "malformed",
        "line 4": "malformed",
        "line 5": "malformed",
        "line 8": "no-picture",
    }


# -- image files


def _bomb(path: Path) -> None:
    """Write a PNG whose header states 10 gigapixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)))


def test_image_files_are_checked(importer: Any, coco: Coco) -> None:
    names = ("good.png", "bad.png", "bomb.png", "gone.png", "empty.png")
    Image.new("RGB", (30, 20)).save(importer.folder / "good.png")
    (importer.folder / "bad.png").write_bytes(b"no picture at all")
    (importer.folder / "empty.png").write_bytes(b"")
    _bomb(importer.folder / "bomb.png")

    def locate(_source: str, name: str | None) -> Path | None:
        path = importer.folder / (name or "")
        return path if path.is_file() else None

    images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    path = importer.write("p.json", coco(images=images, annotations=[_annotation(1, "kept", 3)]))
    report = importer.run(path, checker=ImageChecker(locate))
    assert (report.images, report.captions, report.missing_pictures) == (5, 1, 1)
    assert importer.reasons == ["bad-picture", "bad-picture", "missing-file", "bad-picture"]
    assert all(each.warning for each in importer.rejects)
    assert not report.flawless
    assert importer.rows("SELECT width, height FROM image WHERE key = '0'") == [(30, 20)]
    # later imports look for files only, unless check_all is set
    assert importer.run(path, checker=ImageChecker(locate)).warnings == {"missing-file": 1}
    assert importer.run(path, checker=ImageChecker(locate, check_all=True)).warnings == {
        "missing-file": 1,
        "bad-picture": 3,
    }


def test_the_hash_of_an_image_file_is_stored(importer: Any) -> None:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (30, 20)).save(importer.write(name, b""))
    _bomb(importer.folder / "bomb.png")
    digests = [hashlib.sha256((importer.folder / name).read_bytes()).digest() for name in ("a.png", "b.png")]
    rows = [("a.png", "x"), ("a.png", "y"), ("b.png", "z"), ("bomb.png", "w")]
    path = importer.write("t.csv", "image,caption\n" + "".join(f"{name},{caption}\n" for name, caption in rows))
    seen = ImageChecker(lambda _source, name: importer.folder / (name or ""))
    assert importer.run(path, checker=seen).completed == 0
    statement = "SELECT width, height, content_sha256 FROM image ORDER BY key"
    assert importer.rows(statement) == [(30, 20, digests[0]), (30, 20, digests[1]), (None, None, None)]


def test_the_hash_of_an_image_file_is_added_later(importer: Any, coco: Coco) -> None:
    path = importer.write("c.json", coco())
    importer.run(path)
    assert importer.rows("SELECT DISTINCT content_sha256 FROM image") == [(None,)]
    Image.new("RGB", (640, 480)).save(importer.folder / "a.png")
    every = ImageChecker(lambda _source, _name: importer.folder / "a.png", check_all=True)
    assert importer.run(path, checker=every).completed == 2
    (digest,) = importer.rows("SELECT DISTINCT content_sha256 FROM image")[0]
    assert digest == hashlib.sha256((importer.folder / "a.png").read_bytes()).digest()
    assert importer.run(path, checker=every).completed == 0


def test_without_an_image_folder_no_image_is_missing(importer: Any, coco: Coco) -> None:
    report = importer.run(importer.write("c.json", coco()))
    assert (report.unsought_pictures, report.missing_pictures, report.flawless) == (2, 0, True)


# -- the same file again


@pytest.mark.parametrize("kind", ["coco", "negationclip", "instances", "sugarcrepe", "jsonl", "csv"])
def test_a_second_import_changes_nothing(importer: Any, coco: Coco, dump: Dump, kind: str) -> None:
    path = importer.write(*_sample(kind, coco))
    first = importer.run(path)
    before = dump(importer.store)
    second = importer.run(path)
    assert dump(importer.store) == before
    assert first.new > 0
    assert (second.new, second.completed) == (0, 0)
    assert second.unchanged >= first.new
    assert second.rejected == first.rejected


def _sample(kind: str, coco: Coco) -> tuple[str, Any]:
    rows = [{"image": "a.jpg", "caption": f"a {n}", "candidate": f"no {n}", "id": n % 3} for n in range(5)]
    match kind:
        case "coco":
            return "c.json", coco()
        case "negationclip":
            return "n.json", coco(annotations=[{**_annotation(n, f"a {n}"), "updated_caption": "no"} for n in range(9)])
        case "instances":
            marks = [{"id": n, "image_id": 9, "category_id": n % 2} for n in range(9)]
            return "i.json", coco(annotations=marks, categories=[{"id": n, "name": f"thing {n}"} for n in range(2)])
        case "sugarcrepe":
            row = {"filename": "000000000009.jpg", "caption": "a", "negative_caption": "b"}
            return "s.json", {str(n): {**row, "caption": f"a {n // 2}"} for n in range(9)}
        case "jsonl":
            return "t.jsonl", "\n".join(json.dumps(row) for row in rows)
    return "t.csv", "image,caption,candidate\n" + "".join(f"a.jpg,a {n},no {n}\n" for n in range(5))


def test_changed_text_is_reported_and_not_overwritten(importer: Any, coco: Coco, dump: Dump) -> None:
    importer.run(importer.write(*_sample("negationclip", coco)))
    before = dump(importer.store)
    content = coco(annotations=[{**_annotation(n, f"a {n}"), "updated_caption": f"no {n}"} for n in range(9)])
    report = importer.run(importer.write("changed.json", content))
    assert report.rejected == {"duplicate": 9}
    assert dump(importer.store) == before


def test_changed_counts_are_reported(importer: Any, coco: Coco) -> None:
    name, content = _sample("instances", coco)
    importer.run(importer.write(name, content))
    content["annotations"].pop()
    assert importer.run(importer.write(name, content)).rejected == {"duplicate": 1}


def test_empty_columns_of_a_stored_image_are_filled(importer: Any, coco: Coco) -> None:
    row = {"filename": "000000000009.jpg", "caption": "a", "negative_caption": "b"}
    importer.run(importer.write("s.json", {"0": row}))
    assert importer.run(importer.write("c.json", coco())).completed == 1
    assert importer.rows("SELECT file_name, width, extra FROM image WHERE key = '9'") == [
        ("000000000009.jpg", 640, '{"license":3}')
    ]


def test_an_interrupted_import_is_continued(
    importer: Any, coco: Coco, dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = importer.write("c.json", coco(annotations=[_annotation(n, f"caption {n}") for n in range(50)]))
    monkeypatch.setattr("curation_db.importing.json_stream.RUN", 8)
    insert, calls = sqlite.insert_or_ignore, []

    def interrupted(connection: Any, table: str, *rest: Any) -> int:
        calls.append(table)
        if calls.count("caption") == 4:
            raise KeyboardInterrupt
        return insert(connection, table, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "insert_or_ignore", interrupted)
        with pytest.raises(KeyboardInterrupt):
            importer.run(path)
    assert 0 < importer.rows("SELECT count(*) FROM caption")[0][0] < 50
    report = importer.run(path)
    assert report.captions + report.unchanged - 2 == 50
    assert importer.rows("SELECT count(*) FROM caption WHERE text LIKE 'caption %'") == [(50,)]
    with importer.store.read() as connection:
        matches = connection.execute(text("SELECT count(*) FROM caption_text WHERE caption_text MATCH 'caption'"))
        assert matches.scalar_one() == 50


def test_the_rejects_file_is_safe_and_never_overwritten(tmp_path: Path) -> None:
    reject = Reject(RejectReason.MALFORMED, "it says \x1b[31m\u202e", "line\n3", 17, "row", warning=False)
    paths = []
    for _ in range(2):
        with RejectsFile(tmp_path / "rejects", "../a b", "x\x07.json") as rejects:
            assert rejects.path is None
            rejects(reject)
            paths.append(rejects.path)
    assert [path.name for path in paths if path] == [".._a_b-1.jsonl", ".._a_b-2.jsonl"]
    assert paths[0] is not None
    assert json.loads(paths[0].read_text()) == {
        "file": "x.json",
        "where": "line 3",
        "byte": 17,
        "reason": "malformed",
        "message": "it says [31m",
        "kept": False,
        "row": "row",
    }


def test_the_garbage_collector_threshold_is_restored(importer: Any, coco: Coco) -> None:
    import gc

    before = gc.get_threshold()
    importer.run(importer.write("c.json", coco()))
    assert gc.get_threshold() == before
    assert pipeline.make_plan(importer.folder / "c.json").source == "coco"
