"""Tests of tables: delimiters, headers, quotes, empty cells, ids, columns that differ by row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curation_db.importing.rows import InputError, RefusedRow, key_of
from curation_db.importing.tables.columns import is_empty, parse_mapping
from curation_db.importing.tables.csv_quotes import lenient_cells
from curation_db.importing.tables.layout import HEAD, layout_in

HEADLESS = "a very typical bus station\thttp://example.org/a.jpg\nno hat, no coat\thttp://example.org/b.jpg?w=2\n"


def _texts(importer: Any, kind: str = "caption") -> list[str]:
    return [row[0] for row in importer.rows(f"SELECT text FROM {kind} ORDER BY id")]


def _refused(importer: Any) -> list[tuple[str, str]]:
    return [(each.where, str(each.reason)) for each in importer.rejects]


# -- delimiters and headers


@pytest.mark.parametrize(
    ("name", "form"), [("t.csv", "tsv"), ("t.tsv", "tsv"), ("t.txt", "tsv"), ("t", "tsv"), ("t.tab", "tsv")]
)
def test_tabs_are_detected_with_any_file_name(importer: Any, name: str, form: str) -> None:
    data = "image\tcaption\tnegated_caption\r\na.jpg\ta dog, a cat\tno bird, no cat\r\nb.jpg\tx, y, z\tx, y, no z\r\n"
    report = importer.run(importer.write(name, data))
    assert (report.format, report.captions, report.candidates, importer.rejects) == (form, 2, 2, [])
    assert _texts(importer) == ["a dog, a cat", "x, y, z"]


@pytest.mark.parametrize("mark", [",", ";", "|", "\t"])
@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_all_delimiters_are_detected(importer: Any, mark: str, suffix: str) -> None:
    rows = [("image", "caption", "x"), ("a.jpg", "a dog and a cat", "1,5"), ("b.jpg", "a bird; a bee", "2,5")]
    quoted = [mark.join(f'"{cell}"' if mark in cell else cell for cell in row) for row in rows]
    report = importer.run(importer.write(f"t.{suffix}", "\n".join(quoted)))
    assert (report.captions, importer.rejects) == (2, [])
    assert _texts(importer) == ["a dog and a cat", "a bird; a bee"]


def test_the_stated_columns_determine_the_delimiter(importer: Any) -> None:
    data = "wo;was, kurz\na.jpg;eins, zwei\nb.jpg;drei, vier, sieben\nc.jpg;nix\n"
    report = importer.run(importer.write("t.csv", data), mapping={"image": "wo", "caption": "was, kurz"})
    assert (report.captions, importer.rejects) == (3, [])


@pytest.mark.parametrize("line", ["sep=;\r\n", '"sep=;"\n', "SEP=;\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_line_that_names_the_delimiter(importer: Any, line: str, mark: str) -> None:
    report = importer.run(importer.write("t.csv", f"{mark}{line}image;caption\na.jpg;a dog, a cat\nb.jpg\n"))
    assert (report.captions, report.columns) == (1, {"image": "image", "caption": "caption"})
    assert _refused(importer) == [("line 4", "malformed")]


def test_padded_names_and_cells(importer: Any) -> None:
    data = '\ufeff image , caption , negated_caption \na.jpg , a dog , "a dog, no hat"\n'
    report = importer.run(importer.write("t.csv", data))
    assert (report.columns["candidate"], importer.rejects) == ("negated_caption", [])
    assert importer.rows("SELECT key FROM image") == [("a.jpg",)]
    assert (_texts(importer), _texts(importer, "candidate")) == (["a dog"], ["a dog, no hat"])


def test_blanks_are_stored_unless_the_table_is_padded(importer: Any) -> None:
    importer.run(importer.write("t.csv", 'image,caption\na.jpg, a dog \nb.jpg, "a cat, a bird"\n'))
    assert _texts(importer) == [" a dog ", "a cat, a bird"]


@pytest.mark.parametrize("names", [("Image ", "CAPTION"), (" image", "caption ")])
def test_stated_columns_are_found_in_spite_of_blanks_and_case(importer: Any, names: tuple[str, str]) -> None:
    mapping = {"image": names[0], "caption": names[1]}
    assert importer.run(importer.write("t.csv", "image , caption\na.jpg,x\n"), mapping=mapping).captions == 1
    assert importer.run(importer.write("t.jsonl", '{" image": "a.jpg", "caption": "y"}'), mapping=mapping).captions == 1


@pytest.mark.parametrize("header", ["image,caption,caption", "image, caption ,caption", "image,x,caption,x"])
def test_two_columns_with_one_name_are_an_error(importer: Any, header: str) -> None:
    name = "x" if "x" in header else "caption"
    row = ",".join(["a"] * (header.count(",") + 1))
    with pytest.raises(InputError, match=f"two columns are named {name}"):
        importer.run(importer.write("t.csv", f"{header}\n{row}\n"))
    assert importer.rows("SELECT count(*) FROM source") == [(0,)]


def test_unnamed_columns_are_numbered(importer: Any) -> None:
    importer.run(importer.write("t.csv", ",image,candidate,\n0,a.jpg,no dog,z\n"))
    assert json.loads(importer.rows("SELECT extra FROM candidate")[0][0]) == {"": "0", "Unnamed: 3": "z"}


# -- without a header


def test_a_table_without_a_header(importer: Any) -> None:
    path = importer.write("t.tsv", HEADLESS)
    report = importer.run(path, header=False, mapping=parse_mapping(["caption=1", "image=2"]))
    assert (report.captions, importer.rejects) == (2, [])
    assert _texts(importer)[0] == "a very typical bus station"
    assert importer.rows("SELECT url FROM image ORDER BY id") == [
        ("http://example.org/a.jpg",),
        ("http://example.org/b.jpg?w=2",),
    ]


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (HEADLESS, "--no-header --map caption=1 --map image=2"),
        (HEADLESS.splitlines(keepends=True)[0], "--no-header --map caption=1 --map image=2"),
        ("a.jpg,a dog sits here,a dog sits with no hat\n" * 3, "--no-header --map image=1 --map caption=2"),
        ("391895,a man on a motorcycle\n522418,a woman cuts a cake\n", "--no-header --map image_id=1 --map caption=2"),
    ],
)
def test_a_missing_header_is_reported(importer: Any, data: str, hint: str) -> None:
    path = importer.write("t.csv", data)
    for mapping in ({}, {"caption": "1", "image": "2"}):
        with pytest.raises(InputError, match="seems to have no header") as caught:
            importer.run(path, mapping=mapping)
        assert caught.value.hint.startswith(hint)
    assert importer.rows("SELECT count(*) FROM source") == [(0,)]


def test_the_hint_names_the_candidates(importer: Any) -> None:
    with pytest.raises(InputError) as caught:
        importer.run(importer.write("t.csv", "a dog sits here,a.jpg,a dog sits with no hat\n" * 3))
    assert caught.value.hint == "--no-header --map caption=1 --map image=2 --map candidate=3"
    mapping = parse_mapping(each for each in caught.value.hint.split() if "=" in each)
    assert importer.run(importer.folder / "t.csv", header=False, mapping=mapping).candidates == 1


def test_a_table_without_a_header_needs_a_mapping(importer: Any) -> None:
    with pytest.raises(InputError) as caught:
        importer.run(importer.write("t.tsv", HEADLESS), header=False)
    assert caught.value.hint == "--no-header --map caption=1 --map image=2"


def test_unknown_names_are_still_a_header(importer: Any) -> None:
    with pytest.raises(InputError, match="no column holds an image"):
        importer.run(importer.write("t.csv", "where,what\na.jpg,a dog\n"))


def test_columns_by_number_under_a_header(importer: Any) -> None:
    mapping = parse_mapping(["image=1", "caption=2"])
    assert importer.run(importer.write("t.csv", "where,what\na.jpg,a dog\n"), mapping=mapping).captions == 1
    with pytest.raises(InputError, match="no column '3'"):
        importer.run(importer.write("t.csv", "where,what\na.jpg,a dog\n"), mapping={**mapping, "id": "3"})


def test_no_header_is_only_for_csv_and_tsv(importer: Any) -> None:
    with pytest.raises(InputError, match="--no-header"):
        importer.run(importer.write("t.jsonl", '{"image": "a.jpg", "caption": "x"}'), header=False)


# -- empty cells and ids


@pytest.mark.parametrize("word", ["nan", "NaN", "NULL", "null", "None", "N/A", "<NA>", "NA", "", "  ", " nan "])
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_words_for_a_missing_value_are_empty(importer: Any, word: str, suffix: str) -> None:
    cells = [
        ("a.jpg", word, "a dog with no hat", word, word),
        ("b.jpg", "a dog", word, "", ""),
        (word, "x", "y", "", ""),
    ]
    names = ("image", "caption", "negated_caption", "concept", "id")
    if suffix == "csv":
        data = "\n".join(map(",".join, [names, *cells]))
    else:
        data = "\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in cells)
    report = importer.run(importer.write(f"t.{suffix}", data))
    assert (report.captions, report.candidates, report.rejected) == (1, 1, {"empty-text": 1, "no-picture": 1})
    assert importer.rows("SELECT c.text, concept, caption_id FROM candidate c") == [("a dog with no hat", "hat", None)]
    assert _texts(importer) == ["a dog"]


def test_nan_is_empty(importer: Any) -> None:
    importer.run(
        importer.write("t.jsonl", '{"image": "a.jpg", "caption": NaN, "candidate": "no dog", "image_id": NaN}')
    )
    assert (_texts(importer), _texts(importer, "candidate"), importer.rejects) == ([], ["no dog"], [])


def test_texts_that_begin_like_a_missing_value_are_texts() -> None:
    assert not any(map(is_empty, ["none of them", "nan bread", "null and void", 0, False, [], "0"]))
    assert is_empty(" " * 100)


def test_a_row_without_its_candidate_is_listed(importer: Any) -> None:
    importer.run(importer.write("t.csv", "image,caption,negated_caption\na.jpg,a dog,\nb.jpg,a cat,no cat\n"))
    assert _refused(importer) == [("line 2", "empty-text")]
    assert "negated_caption" in importer.rejects[0].message
    assert len(_texts(importer)) == 2


@pytest.mark.parametrize("number", ["391895.0", 391895.0, 391895, "391895"])
def test_integers_written_as_floats_are_ids(importer: Any, coco: Any, number: Any) -> None:
    importer.run(
        importer.write("coco.json", coco(images=[{"id": 391895, "file_name": "000000391895.jpg"}], annotations=[]))
    )
    row = json.dumps({"image_id": number, "caption": "a dog", "id": number})
    report = importer.run(importer.write("t.jsonl", row), source="coco")
    if isinstance(number, str):
        importer.run(importer.write("t.csv", f"image_id,caption\n{number},a dog\n"), source="coco")
    else:
        importer.run(importer.write("u.jsonl", json.dumps({"image": number, "caption": "a dog"})), source="coco")
        assert importer.rejects == []
    assert report.images == 0
    assert importer.rows("SELECT i.key, c.key FROM caption c JOIN image i ON i.id = image_id") == [("391895", "391895")]


def test_ids_that_are_not_integers_are_unchanged() -> None:
    assert [key_of(each) for each in ("1.5", "v1.0", "x.0", ".0", "7.0")] == ["1.5", "v1.0", "x.0", ".0", "7"]
    with pytest.raises(RefusedRow):
        key_of(1.5)


# -- quotes


def test_quotes_in_tsv_are_text(importer: Any) -> None:
    rows = [
        'a.jpg\t"Wow" says a boy\t"Wow" says a boy with no hat',
        'b.jpg\t"Stop\t"Stop with no cars',
        'c.jpg\ta cow"\ta cow" with no bell',
        'd.jpg\t"Halt"\t"Halt", no cars',
        'e.jpg\t"a 6"" pipe"\t"no\tpipe"',
        'f.jpg\t"two\nlines"\tno lines',
    ]
    report = importer.run(importer.write("t.tsv", "\n".join(["image\tcaption\tnegated_caption", *rows])))
    assert _texts(importer) == ['"Wow" says a boy', 'a cow"', '"Halt"', 'a 6" pipe', "two\nlines"]
    assert _texts(importer, "candidate")[:2] == ['"Wow" says a boy with no hat', 'a cow" with no bell']
    assert _texts(importer, "candidate")[2:] == ['"Halt", no cars', "no\tpipe", "no lines"]
    assert (_refused(importer), report.rejected.total()) == ([("line 3", "malformed")], 1)
    assert importer.rejects[0].message == "a quote is not closed in its cell"


def test_quotes_are_removed_from_a_tsv_file_that_quotes_all_cells(importer: Any) -> None:
    importer.run(importer.write("t.tsv", '"image"\t"caption"\n"a.jpg"\t"Halt"\n'))
    assert _texts(importer) == ["Halt"]


def test_quotes_that_csv_does_not_allow_are_text(importer: Any) -> None:
    importer.run(
        importer.write("t.csv", 'image,caption\na.jpg,"Wow" says a boy\nb.jpg,"Wow", says a boy\nc.jpg,"Stop\n')
    )
    assert _texts(importer) == ['"Wow" says a boy']
    assert _refused(importer) == [("line 3", "malformed"), ("line 4", "malformed")]


@pytest.mark.parametrize("line", ['"a"b' + ',"x""' * 200_000, '"' * 999_999, '" ' * 400_000 + '"'])
def test_many_quotes_take_linear_time(line: str) -> None:
    cells = lenient_cells(line, ",")
    assert cells is None or sum(map(len, cells)) <= len(line)


# -- columns that differ by row


def test_each_row_is_read_by_its_own_keys(importer: Any) -> None:
    rows = [
        {"image": "a.jpg", "caption": "a dog", "negated_caption": "a dog with no hat"},
        {"image_path": "b.jpg", "captions": ["a cat"], "negative_caption": "a cat with no hat"},
        {"file_name": "c.jpg", "title": "a bird", "z": 1, "foil": "no bird"},
        {"caption": "no picture"},
    ]
    report = importer.run(importer.write("t.jsonl", "\n".join(map(json.dumps, rows))))
    assert importer.rows("SELECT key FROM image ORDER BY id") == [("a.jpg",), ("b.jpg",), ("c.jpg",)]
    assert _texts(importer) == ["a dog", "a cat", "a bird"]
    assert _texts(importer, "candidate") == ["a dog with no hat", "a cat with no hat", "no bird"]
    assert importer.rows("SELECT extra FROM candidate ORDER BY id") == [(None,), (None,), ('{"z":1}',)]
    assert _refused(importer) == [("line 4", "no-picture")]
    assert report.columns["image"] == "image or image_path or file_name"


def test_a_stated_column_holds_for_the_rows_that_have_it(importer: Any) -> None:
    rows = [{"image": "a.jpg", "caption": "not this", "says": "a"}, {"image": "b.jpg", "caption": "nor this"}]
    importer.run(importer.write("t.jsonl", "\n".join(map(json.dumps, rows))), mapping={"caption": "says"})
    assert (_texts(importer), _refused(importer)) == (["a"], [("line 2", "empty-text")])


def test_the_cache_of_row_kinds_is_bounded(importer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation_db.importing.tables.row_mapping._KINDS", 3)
    rows = [{"image": f"{n}.jpg", f"x{n}": n, "caption": "a"} for n in range(9)]
    assert importer.run(importer.write("t.jsonl", "\n".join(map(json.dumps, rows)))).captions == 9


def test_an_unused_column_with_a_usual_name_is_reported(importer: Any) -> None:
    report = importer.run(importer.write("t.csv", "image,caption,title,foil,score\na.jpg,a dog,Dog,no dog,1\n"))
    assert (report.unused, report.as_json()["unused_columns"]) == ({"title": "caption"}, {"title": "caption"})
    report = importer.run(
        importer.write("t.csv", "image,caption,title\na.jpg,a dog,Dog\n"), mapping={"caption": "title"}
    )
    assert report.unused == {"caption": "caption"}
    assert importer.run(importer.write("t.csv", "image,caption,score\na.jpg,a dog,1\n")).unused == {}


# -- layout


def test_only_the_beginning_is_read_for_the_layout(tmp_path: Path) -> None:
    head = ("a\tb,c\n" + "1\t2\n" * HEAD)[:HEAD]
    layout = layout_in(head)
    assert (layout.delimiter, layout.width, layout.skipped) == ("\t", 2, 0)
    assert layout_in("").delimiter == ","
    assert layout_in("", usual="\t").delimiter == "\t"
    assert layout_in("a\tb\n1\t2\n3\n4\t5\n").delimiter == "\t", "a row that lacks a cell changes nothing"
    assert layout_in("image,caption\tx\na,b\tc\n").delimiter == ",", "names count first"
