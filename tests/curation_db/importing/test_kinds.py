"""Tests of kinds of files: compressed files are read, unsupported ones are named with a hint, pipes do not block."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import socket
import sqlite3
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

from curation_db.importing import compression
from curation_db.importing.formats import Format
from curation_db.importing.pipeline import make_plan
from curation_db.importing.rows import InputError
from curation_db.storage.store import create_store

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "zst": zstandard.ZstdCompressor().compress,
}
ROWS = "".join(f'{{"image": "{n}.jpg", "caption": "a dog {n}", "candidate": "no dog {n}"}}\n' for n in range(2_000))
TABLE = "image,caption\n" + "".join(f"{n}.jpg,a dog {n}\n" for n in range(2_000))


@pytest.fixture(params=COMPRESS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# -- compressed


def test_compressed_files_are_imported_like_plain_files(importer: Any, kind: str) -> None:
    report = importer.run(importer.write(f"set.jsonl.{kind}", COMPRESS[kind](ROWS.encode())))
    assert (report.format, report.source) == ("jsonl", "set")
    assert (report.images, report.captions, report.candidates) == (2_000, 2_000, 2_000)
    assert report.flawless


def test_compressed_tables_and_coco_files_are_imported(importer: Any, coco: Callable[..., Any], kind: str) -> None:
    report = importer.run(importer.write(f"table.csv.{kind}", COMPRESS[kind](TABLE.encode("utf-16"))))
    assert (report.format, report.source, report.captions) == ("csv", "table", 2_000)
    plain = importer.write("captions.json", coco())
    report = importer.run(importer.write(f"captions_train2014.json.{kind}", COMPRESS[kind](plain.read_bytes())))
    assert (report.format, report.source, report.images, report.captions) == ("coco", "coco", 2, 3)
    assert importer.run(plain).unchanged == 5


def test_compression_is_detected_by_content(importer: Any, kind: str) -> None:
    report = importer.run(importer.write("set.jsonl", COMPRESS[kind](ROWS.encode())))
    assert report.captions == 2_000
    report = importer.run(importer.write(f"plain.jsonl.{kind}", ROWS), source="set", generator="set")
    assert (report.new, report.unchanged) == (0, 6_000)


def test_concatenated_streams_are_one_file(importer: Any, kind: str) -> None:
    lines = ROWS.splitlines(keepends=True)
    content = b"".join(COMPRESS[kind]("".join(lines[n : n + 700]).encode()) for n in (0, 700, 1400))
    report = importer.run(importer.write(f"set.jsonl.{kind}", content))
    assert (report.captions, report.flawless) == (2_000, True)


@pytest.mark.parametrize("name", ["set.jsonl", "set.csv", "set.json"])
def test_rows_before_a_truncation_are_imported_and_the_truncation_is_listed(
    importer: Any, kind: str, name: str
) -> None:
    texts = [f"a dog {os.urandom(60).hex()}" for _ in range(9_000)]  # so that there is more than one block
    lines = [f'{{"image": "{n}.jpg", "caption": "{text}"}}' for n, text in enumerate(texts)]
    table = "".join(f"{n}.jpg,{text}\n" for n, text in enumerate(texts))
    content = {"set.jsonl": "\n".join(lines), "set.csv": f"image,caption\n{table}", "set.json": f"[{','.join(lines)}]"}
    packed = COMPRESS[kind](content[name].encode())
    report = importer.run(importer.write(f"{name}.{kind}", packed[: len(packed) * 3 // 4]))
    assert 0 < report.captions < len(texts)
    last = importer.rejects[-1]
    assert (last.reason, last.warning) == ("truncated", False)
    assert "is damaged or cut off" in last.message
    assert {text for (text,) in importer.rows("SELECT text FROM caption")} == set(texts[: report.captions])


def test_a_file_damaged_from_the_start_is_an_error(importer: Any, kind: str) -> None:
    packed = COMPRESS[kind](ROWS.encode())[:12]
    for name in ("set.jsonl", "set.csv", "set.json", "set"):
        with pytest.raises(InputError, match="is damaged or cut off"):
            make_plan(importer.write(name, packed))


@pytest.mark.parametrize("cut", [20, 1])
def test_a_missing_checksum_is_listed(importer: Any, cut: int) -> None:
    """The checksum of gzip follows the data, so all rows are complete."""
    packed = gzip.compress(ROWS.encode())
    report = importer.run(importer.write("set.jsonl.gz", packed[:-cut]))
    assert "truncated" in importer.reasons
    assert report.captions >= (2_000 if cut == 1 else 1_900)


@pytest.mark.parametrize("kind", ["gz", *(pytest.param(k, marks=pytest.mark.long) for k in ("bz2", "xz"))])
def test_a_bomb_does_not_fill_the_memory(importer: Any, kind: str) -> None:
    line = b'{"image": "a.jpg", "caption": "' + b" " * (100 << 20) + b'"}\n'
    path = importer.write(f"bomb.jsonl.{kind}", COMPRESS[kind](ROWS.encode() + line))
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    report = importer.run(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 90 << 20
    assert (report.captions, importer.reasons) == (2_000, ["text-too-long"])


def test_a_window_of_a_gigabyte_is_refused(importer: Any) -> None:
    packed = bytearray(lzma.compress(ROWS.encode()))
    size = (packed[12] + 1) * 4  # of the header of the first block, behind that of the file
    header = packed[12 : 12 + size - 4]
    header[header.index(b"\x21\x01") + 2] = 36  # 1 GiB
    packed[12 : 12 + size] = header + zlib.crc32(header).to_bytes(4, "little")
    with pytest.raises(InputError, match="Memory usage limit exceeded"):
        make_plan(importer.write("set.jsonl.xz", bytes(packed)))


def test_missing_zstandard_is_an_error(importer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = importer.write("set.jsonl.zst", COMPRESS["zst"](ROWS.encode()))
    monkeypatch.setattr(compression, "_module", lambda name: None)
    with pytest.raises(InputError, match="Zstandard") as raised:
        importer.run(path)
    assert "zstd -d" in raised.value.hint


# -- other kinds of files


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.jpg"), io.BytesIO())
    return out.getvalue()


def database(folder: Path) -> bytes:
    path = folder / "made.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t(a)")
    connection.close()
    return path.read_bytes()


def array() -> bytes:
    out = io.BytesIO()
    np.save(out, np.zeros(3))
    return out.getvalue()


KINDS: dict[str, tuple[bytes, str, str]] = {
    "set.zip": (zipped("captions.json"), "a ZIP archive", "unzip set.zip"),
    "empty.zip": (zipped(), "a ZIP archive", "unzip"),
    "cut.zip": (zipped("captions.json")[:40], "a ZIP archive", "unzip"),
    "captions.csv": (zipped("xl/workbook.xml"), "an Excel workbook", "save the sheet as CSV"),
    "set.docx": (zipped("word/document.xml"), "a Word document", "plain text"),
    "set.ods": (zipped("mimetype", "content.xml"), "a document of an office program", "CSV"),
    "model.pth": (zipped("archive/data.pkl"), "a PyTorch file", "bench run --model model.pth"),
    "a.npz": (zipped("a.npy"), "NumPy arrays", "JSONL"),
    "a.npy": (array(), "a NumPy array", "JSONL"),
    "set.tar": (tarred(), "a tar archive", "tar xf set.tar"),
    "set.tgz": (gzip.compress(tarred()), "a tar archive", "tar xf set.tgz"),
    "old.pth": (pickle.dumps({"a": 1}, protocol=2), "a pickle", "can run code"),
    "new.pkl": (pickle.dumps({"a": 1}), "a pickle", "can run code"),
    "set.parquet": (b"PAR1" + bytes(40), "a Parquet file", "read_parquet('set.parquet')"),
    "lfs.json": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n",
        "a Git LFS pointer",
        "lfs pull",
    ),
    "page.json": (b"\n<!DOCTYPE html>\n<html><title>Sign in</title>", "a web page", "download the file again"),
    "bom.csv": (b"\xef\xbb\xbf<HTML><body>404</body>", "a web page", "download"),
    "x.csv": (b'<?xml version="1.0"?><rows/>', "an XML file", "CSV"),
    "x.json": (b'<?xml version="1.0"?><!DOCTYPE html><html xmlns="x">', "a web page", "download"),
    "a.jpg": (b"\xff\xd8\xff\xe0" + bytes(40), "an image", "import its folder"),
    "a.png": (b"\x89PNG\r\n\x1a\n", "an image", "folder"),
    "a.pdf": (b"%PDF-1.7", "a PDF document", "table"),
    "none.json": (b"", "none.json is empty", "repeat it"),
    "none.json.gz": (gzip.compress(b""), "is empty", "repeat it"),
    "LLaVA.json": (
        b'[{"id": "1", "image": "a.jpg", "conversations": [{"from": "human", "value": "<image>"}]}]',
        "a file of conversations (LLaVA)",
        "jq -c '.[] | {image, caption: .conversations[-1].value}' LLaVA.json > rows.jsonl",
    ),
    "llava.jsonl": (
        b'{"id": "1", "image": "a.jpg", "conversations": []}\n{"id": "2", "conversations": []}\n',
        "a file of conversations",
        "jq -c '. | {image",
    ),
    "studio.json": (
        b'[{"id": 1, "data": {"image": "/data/upload/a.jpg"}, "annotations": [{"result": []}]}]',
        "a Label Studio export",
        "JSON-MIN",
    ),
    "argilla.json": (
        b'[{"id": "1", "fields": {"image": "a.jpg", "text": "a dog"}, "responses": {}, "status": "pending"}]',
        "an Argilla export",
        "jq -c '.[] | {id} + .fields' argilla.json > rows.jsonl",
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_unsupported_files_are_named_with_a_hint(importer: Any, name: str) -> None:
    content, message, hint = KINDS[name]
    path = importer.write(name, content)
    with pytest.raises(InputError) as raised:
        make_plan(path)
    assert message in raised.value.message
    assert hint in raised.value.hint
    assert "\n" not in raised.value.message + raised.value.hint


def test_a_database_is_named(importer: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rows\.db is a SQLite database") as raised:
        make_plan(importer.write("rows.db", database(tmp_path)))
    assert "sqlite3 -header -csv rows.db" in raised.value.hint


def test_a_record_of_negwb_is_named(tmp_path: Path) -> None:
    create_store(tmp_path / "other.db").close()
    with pytest.raises(InputError, match="a record of negwb") as raised:
        make_plan(tmp_path / "other.db")
    assert "items.jsonl" in raised.value.hint


def test_an_archive_is_refused_with_a_stated_format(importer: Any) -> None:
    with pytest.raises(InputError, match="a ZIP archive"):
        make_plan(importer.write("set.csv", zipped("a.csv")), form=Format.CSV)


def test_a_space_in_the_name_is_quoted_in_the_hint(importer: Any) -> None:
    with pytest.raises(InputError) as raised:
        make_plan(importer.write("my set.zip", zipped("a.csv")))
    assert raised.value.hint.endswith("unzip 'my set.zip'")


def test_rows_similar_to_unsupported_formats_are_imported(importer: Any) -> None:
    rows = '{"image": "a.jpg", "caption": "<html> on a screen", "data": 1, "fields": 2}\n'
    assert importer.run(importer.write("set.jsonl", rows)).captions == 1


# -- what is no file


def test_pipes_sockets_and_devices_are_refused_without_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match=r"pipe\.json is a named pipe"):
        make_plan(pipe)  # opening it would wait for a writer
    with pytest.raises(InputError, match="a device"):
        make_plan(Path("/dev/null"), form=Format.CSV)
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("s.json")  # its path may be no longer than 100 characters
        with pytest.raises(InputError, match="a socket"):
            make_plan(tmp_path / "s.json")
