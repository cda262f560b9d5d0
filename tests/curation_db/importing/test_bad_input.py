"""Good rows go in, every bad one is listed with its place; nothing is overwritten, nothing comes twice."""

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


def test_a_cut_file_leaves_its_whole_rows(desk: Any, coco: Coco) -> None:
    data = json.dumps(coco()).encode()
    report = desk.take(desk.file("cut.json", data[:-30]), source="coco")
    assert (report.images, report.captions) == (2, 2)
    (told,) = desk.rejects
    assert (told.reason, told.where) == (RejectReason.TRUNCATED, "annotations[2]")
    assert data[told.offset : told.offset + 9] == b'{"image_i'
    assert desk.take(desk.file("whole.json", data)).captions == 1


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
def test_bad_annotations(desk: Any, coco: Coco, row: Any, reason: str, kind: str) -> None:
    told = coco()
    told["annotations"].append(row)
    if kind == "negationclip":
        told["annotations"] = [
            {**each, "updated_caption": "no dog"} if isinstance(each, dict) else each for each in told["annotations"]
        ]
    report = desk.take(desk.file("bad.json", told))
    assert report.captions == 3
    assert report.candidates == (3 if kind == "negationclip" else 0)
    assert desk.reasons[0] == reason
    assert set(desk.reasons) <= {reason, "caption-refused", "unknown-image"}
    assert all(each.where == "annotations[3]" and len(each.excerpt) <= 200 for each in desk.rejects)


@pytest.mark.parametrize("updated", [None, "", 5, "x" * 20_001])
def test_a_bad_candidate_keeps_its_caption(desk: Any, coco: Coco, updated: Any) -> None:
    good = {**_annotation(1, "a"), "updated_caption": "no b"}
    report = desk.take(
        desk.file("n.json", coco(annotations=[good, {**_annotation(2, "c"), "updated_caption": updated}]))
    )
    assert (report.captions, report.candidates, len(desk.rejects)) == (2, 1, 1)


def test_control_characters_are_cleaned_and_counted(desk: Any, coco: Coco) -> None:
    hostile = "a \x1b]0;title\x07dog\u202e [red]x[/red]"
    report = desk.take(desk.file("c.json", coco(annotations=[_annotation(1, hostile)])))
    assert (report.cleaned, report.flawless) == (1, True)
    assert desk.rows("SELECT text FROM caption") == [("a ]0;titledog [red]x[/red]",)]


def test_raw_control_characters_in_the_json_are_no_fault(desk: Any, coco: Coco) -> None:
    data = json.dumps(coco()).replace("two giraffes", "two\ngir\taffes\x01").encode()
    assert desk.take(desk.file("c.json", data)).captions == 3
    assert desk.rejects == []


def test_bytes_of_another_encoding_cost_their_rows_only(desk: Any, coco: Coco) -> None:
    told = coco(annotations=[_annotation(1, "caf@ noir"), _annotation(2, "tea")])
    data = json.dumps(told).encode().replace(b"@", "é".encode("latin-1"))
    assert desk.take(desk.file("latin.json", data)).captions == 1
    assert desk.reasons == ["encoding"]
    report = desk.take(desk.file("l.csv", b"image,caption\na.jpg,caf\xe9\nb.jpg,tea\n"))
    assert (report.captions, desk.reasons) == (1, ["encoding"])
    assert desk.rejects[0].where == "line 2"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "txt"])
def test_text_that_stops_inside_a_character(desk: Any, encoding: str, suffix: str) -> None:
    rows = ["image,caption", *(f"{n}.png,a dog {n}" for n in range(9))]
    if suffix == "jsonl":
        rows = [json.dumps({"image": f"{n}.png", "caption": f"a dog {n}"}) for n in range(9)]
    data = "".join(f"{row}\n" for row in rows).encode(encoding)
    report = desk.take(desk.file(f"t.{suffix}", data[:-1]))
    assert report.captions == 8
    assert [each.where for each in desk.rejects] == [f"line {len(rows)}"]


def test_text_that_holds_no_characters(desk: Any) -> None:
    data = "image;caption\na.png;ok\n".encode("utf-32") + b"\xff" * 4 + "b.png;x\nc.png;fine\n".encode("utf-32-le")
    report = desk.take(desk.file("t.csv", data + b"\xff" * 4))
    assert report.captions == 2
    assert [each.where for each in desk.rejects] == ["line 3", "line 5"]


def test_bytes_that_are_no_text_in_an_extra_column_are_told(desk: Any) -> None:
    data = "image,candidate,x\na.png,no dog,1\nb.png,no cat,2\n".encode("utf-16")[:-1]
    report = desk.take(desk.file("t.csv", data))
    assert (report.candidates, desk.reasons) == (1, ["encoding"])


def test_json_of_which_one_character_is_none(desk: Any, coco: Coco) -> None:
    data = json.dumps(coco()).encode("utf-32-le").replace("giraffes".encode("utf-32-le"), b"\xff" * 4)
    assert desk.take(desk.file("c.json", data), source="coco").captions == 2
    assert desk.reasons == ["encoding"]


def test_a_broken_text_costs_a_folder_one_line(desk: Any) -> None:
    for name in ("a", "b", "c"):
        Image.new("RGB", (7, 5)).save(desk.file(f"photos/{name}.png", b""))
        desk.file(f"photos/{name}.txt", f"first of {name}\nsecond of {name}\n".encode("utf-16"))
    path = desk.folder / "photos/a.txt"
    path.write_bytes(path.read_bytes()[:-1])
    report = desk.take(desk.folder / "photos")
    assert (report.captions, desk.reasons, desk.rejects[0].where) == (5, ["encoding"], "a.txt line 2")


@pytest.mark.parametrize("members", [{"0": 5}, {"1": 5}, {"1": 5, "2": "x", "3": None}])
@pytest.mark.parametrize("indent", [None, 1])
def test_sugarcrepe_members_that_are_none(desk: Any, members: dict[str, Any], indent: int | None) -> None:
    row = {"filename": "000000000009.jpg", "caption": "a", "negative_caption": "b"}
    told = dict(sorted({**members, "00": row}.items(), reverse="0" not in members))
    report = desk.take(desk.file("s.json", json.dumps(told, indent=indent)))
    assert (report.format, report.candidates, desk.reasons) == ("sugarcrepe", 1, ["malformed"] * len(members))


def test_one_line_of_coco_with_a_type(desk: Any, coco: Coco) -> None:
    assert desk.take(desk.file("c.json", coco(type="captions", version=1, year="2014", x="y"))).captions == 3


@pytest.mark.parametrize("indent", [None, 1])
def test_coco_cut_inside_the_images(desk: Any, coco: Coco, indent: int | None) -> None:
    data = json.dumps({name: coco()[name] for name in ("info", "images")}, indent=indent)
    report = desk.take(desk.file("c.json", data[: data.index("height", data.index("000000025"))]))
    assert (report.format, report.images, desk.reasons) == ("coco", 1, ["truncated"])
    assert desk.rejects[0].where == "images[1]"
    whole = json.dumps(coco())
    report = desk.take(desk.file("d.json", whole[: whole.index('"caption"')]))
    assert (report.format, report.images, report.unchanged) == ("coco", 1, 1)
    assert desk.reasons == ["truncated"]


def test_deep_nesting_costs_one_row(desk: Any, coco: Coco) -> None:
    told = coco()
    deep = "[" * 100_000 + "]" * 100_000
    data = json.dumps(told).replace('"two giraffes"', f'"two giraffes", "more": {deep}')
    report = desk.take(desk.file("deep.json", data))
    assert (report.captions, desk.reasons) == (2, ["malformed"])
    lines = '{"image": "a", "caption": "x"}\n{"image": "b", "caption": ' + deep + '}\n{"image": "c", "caption": "y"}\n'
    report = desk.take(desk.file("deep.jsonl", lines))
    assert (report.captions, desk.reasons) == (2, ["malformed"])


def test_sizes_that_are_none_are_left_out(desk: Any, coco: Coco) -> None:
    sizes = [(-1, 0), ("5", None), (10**30, 1.5), (float("nan"), True)]
    images = [
        {"id": number, "file_name": f"{number}.jpg", "width": width, "height": height}
        for number, (width, height) in enumerate(sizes)
    ]
    assert desk.take(desk.file("s.json", coco(images=images, annotations=[]))).images == 4
    assert desk.rows("SELECT DISTINCT width, height FROM image") == [(None, None)]


def test_bad_images(desk: Any, coco: Coco) -> None:
    images = [
        {"file_name": "a.jpg"},
        {"id": 1, "file_name": 5},
        {"id": 2, "file_name": "a\u0007.jpg"},
        {"id": 9, "file_name": "a.jpg"},
        {"id": 9, "file_name": "other.jpg"},
        "x",
    ]
    report = desk.take(desk.file("i.json", coco(images=images, annotations=[_annotation(1, "of which 9?")])))
    assert (report.images, report.captions) == (1, 0)
    reasons = ["bad-value", "duplicate", "malformed", "no-field", "no-picture", "picture-refused"]
    assert sorted(desk.reasons) == reasons


def test_another_picture_under_a_known_key_takes_no_captions(desk: Any) -> None:
    rows = [{"image_id": 1, "image": "a.png", "caption": "a"}, {"image_id": 1, "image": "b.png", "caption": "b"}]
    report = desk.take(desk.file("t.jsonl", "\n".join(json.dumps(row) for row in rows)))
    assert (report.images, report.captions, desk.reasons) == (1, 1, ["duplicate"])


def test_bad_lines_of_tables(desk: Any) -> None:
    # fmt: off
    lines = [
        '{"image": "a.jpg", "caption": "good"}', "", "{", "[1]", '{"caption": "no picture"}', '{"image": "b.jpg"}',
        '{"image": "c.jpg", "caption": NaN}', '{"image": "d.jpg", "caption": "also good"}',
        '{"image": "e.jpg", "caption": "' + "x" * 10_000_000 + '"}',
    ]
    # fmt: on
    report = desk.take(desk.file("t.jsonl", "\n".join(lines)))
    assert report.captions == 2
    told = {each.where: str(each.reason) for each in desk.rejects}
    assert told == {
        "line 3": "malformed",
        "line 4": "malformed",
        "line 5": "no-picture",
        "line 6": "empty-text",
        "line 7": "empty-text",
        "line 9": "text-too-long",
    }


def test_bad_lines_of_csv(desk: Any) -> None:
    data = "image,caption\na.jpg,good\nb.jpg\nc.jpg,x,y\nd.jpg," + "x" * 10_000_000 + "\ne.jpg,also good\n\n,lost\n"
    report = desk.take(desk.file("t.csv", data))
    assert report.captions == 2
    assert {each.where: str(each.reason) for each in desk.rejects} == {
        "line 3": "malformed",
        "line 4": "malformed",
        "line 5": "malformed",
        "line 8": "no-picture",
    }


# -- pictures


def _bomb(path: Path) -> None:
    """A PNG whose header promises 10 gigapixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)))


def test_pictures_are_looked_at(desk: Any, coco: Coco) -> None:
    names = ("good.png", "bad.png", "bomb.png", "gone.png", "empty.png")
    Image.new("RGB", (30, 20)).save(desk.folder / "good.png")
    (desk.folder / "bad.png").write_bytes(b"no picture at all")
    (desk.folder / "empty.png").write_bytes(b"")
    _bomb(desk.folder / "bomb.png")

    def locate(_source: str, name: str | None) -> Path | None:
        path = desk.folder / (name or "")
        return path if path.is_file() else None

    images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    path = desk.file("p.json", coco(images=images, annotations=[_annotation(1, "kept", 3)]))
    report = desk.take(path, pictures=ImageChecker(locate))
    assert (report.images, report.captions, report.missing_pictures) == (5, 1, 1)
    assert desk.reasons == ["bad-picture", "bad-picture", "missing-file", "bad-picture"]
    assert all(each.kept for each in desk.rejects)
    assert not report.flawless
    assert desk.rows("SELECT width, height FROM image WHERE key = '0'") == [(30, 20)]
    # later imports look for files only, unless all pictures are asked for
    assert desk.take(path, pictures=ImageChecker(locate)).kept == {"missing-file": 1}
    assert desk.take(path, pictures=ImageChecker(locate, every=True)).kept == {"missing-file": 1, "bad-picture": 3}


def test_the_hash_of_a_seen_picture_is_kept(desk: Any) -> None:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (30, 20)).save(desk.file(name, b""))
    _bomb(desk.folder / "bomb.png")
    digests = [hashlib.sha256((desk.folder / name).read_bytes()).digest() for name in ("a.png", "b.png")]
    rows = [("a.png", "x"), ("a.png", "y"), ("b.png", "z"), ("bomb.png", "w")]
    path = desk.file("t.csv", "image,caption\n" + "".join(f"{name},{said}\n" for name, said in rows))
    seen = ImageChecker(lambda _source, name: desk.folder / (name or ""))
    assert desk.take(path, pictures=seen).completed == 0
    told = "SELECT width, height, content_sha256 FROM image ORDER BY key"
    assert desk.rows(told) == [(30, 20, digests[0]), (30, 20, digests[1]), (None, None, None)]


def test_the_hash_of_a_picture_that_was_not_seen_before_is_added(desk: Any, coco: Coco) -> None:
    path = desk.file("c.json", coco())
    desk.take(path)
    assert desk.rows("SELECT DISTINCT content_sha256 FROM image") == [(None,)]
    Image.new("RGB", (640, 480)).save(desk.folder / "a.png")
    every = ImageChecker(lambda _source, _name: desk.folder / "a.png", every=True)
    assert desk.take(path, pictures=every).completed == 2
    (digest,) = desk.rows("SELECT DISTINCT content_sha256 FROM image")[0]
    assert digest == hashlib.sha256((desk.folder / "a.png").read_bytes()).digest()
    assert desk.take(path, pictures=every).completed == 0


def test_without_a_folder_no_picture_is_missing(desk: Any, coco: Coco) -> None:
    report = desk.take(desk.file("c.json", coco()))
    assert (report.unsought_pictures, report.missing_pictures, report.flawless) == (2, 0, True)


# -- the same file again


@pytest.mark.parametrize("kind", ["coco", "negationclip", "instances", "sugarcrepe", "jsonl", "csv"])
def test_a_second_import_changes_nothing(desk: Any, coco: Coco, dump: Dump, kind: str) -> None:
    path = desk.file(*_sample(kind, coco))
    first = desk.take(path)
    before = dump(desk.store)
    second = desk.take(path)
    assert dump(desk.store) == before
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


def test_changed_text_is_reported_and_not_overwritten(desk: Any, coco: Coco, dump: Dump) -> None:
    desk.take(desk.file(*_sample("negationclip", coco)))
    before = dump(desk.store)
    told = coco(annotations=[{**_annotation(n, f"a {n}"), "updated_caption": f"no {n}"} for n in range(9)])
    report = desk.take(desk.file("changed.json", told))
    assert report.rejected == {"duplicate": 9}
    assert dump(desk.store) == before


def test_changed_counts_are_reported(desk: Any, coco: Coco) -> None:
    name, told = _sample("instances", coco)
    desk.take(desk.file(name, told))
    told["annotations"].pop()
    assert desk.take(desk.file(name, told)).rejected == {"duplicate": 1}


def test_what_the_record_did_not_know_is_added(desk: Any, coco: Coco) -> None:
    row = {"filename": "000000000009.jpg", "caption": "a", "negative_caption": "b"}
    desk.take(desk.file("s.json", {"0": row}))
    assert desk.take(desk.file("c.json", coco())).completed == 1
    assert desk.rows("SELECT file_name, width, extra FROM image WHERE key = '9'") == [
        ("000000000009.jpg", 640, '{"license":3}')
    ]


def test_an_interrupted_import_goes_on(desk: Any, coco: Coco, dump: Dump, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.file("c.json", coco(annotations=[_annotation(n, f"caption {n}") for n in range(50)]))
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
            desk.take(path)
    assert 0 < desk.rows("SELECT count(*) FROM caption")[0][0] < 50
    report = desk.take(path)
    assert report.captions + report.unchanged - 2 == 50
    assert desk.rows("SELECT count(*) FROM caption WHERE text LIKE 'caption %'") == [(50,)]
    with desk.store.read() as connection:
        found = connection.execute(text("SELECT count(*) FROM caption_text WHERE caption_text MATCH 'caption'"))
        assert found.scalar_one() == 50


def test_the_rejects_file_is_safe_and_never_overwritten(tmp_path: Path) -> None:
    told = Reject(RejectReason.MALFORMED, "it says \x1b[31m\u202e", "line\n3", 17, "row", kept=False)
    paths = []
    for _ in range(2):
        with RejectsFile(tmp_path / "rejects", "../a b", "x\x07.json") as rejects:
            assert rejects.path is None
            rejects(told)
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


def test_the_garbage_collector_is_left_as_it_was(desk: Any, coco: Coco) -> None:
    import gc

    before = gc.get_threshold()
    desk.take(desk.file("c.json", coco()))
    assert gc.get_threshold() == before
    assert pipeline.make_plan(desk.folder / "c.json").source == "coco"
