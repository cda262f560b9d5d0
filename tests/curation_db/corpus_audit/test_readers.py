"""Every format gives the counts of its captions; bad files and rows are named and never fill the memory."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from curation_db.corpus_audit import parts
from curation_db.corpus_audit.audit_part import audit_part
from curation_db.corpus_audit.collector import SampleSizes
from curation_db.corpus_audit.part_result import AuditOptions, PartResult, merged
from curation_db.corpus_audit.parts import Part, SourceForm, parts_of
from curation_db.corpus_audit.readers import lines
from curation_db.importing.rows import InputError

CAPTIONS = [
    "a dog with no leash",
    "a cat on a sofa",
    "nobody is on the été beach",
    'a sign, "no dogs"',
    "an untied shoe",
]
OPTIONS = AuditOptions(sizes=SampleSizes(per_cue=3, absent=4))


def audited(source: object, options: AuditOptions = OPTIONS, **how: Any) -> PartResult:
    found = parts_of(str(source), **how)
    return merged([(part, audit_part(part, options)) for part in found], options.sizes)


def tar_bytes(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def coco(texts: list[str]) -> bytes:
    images = [{"id": at, "file_name": f"{at}.jpg"} for at in range(len(texts))]
    rows = [{"id": 10 + at, "image_id": at, "caption": text} for at, text in enumerate(texts)]
    return json.dumps({"info": {"a": 1}, "images": images, "licenses": [], "annotations": rows}).encode()


def karpathy(texts: list[str]) -> bytes:
    images = [{"filename": f"{at}.jpg", "sentences": [{"raw": text}]} for at, text in enumerate(texts)]
    return json.dumps({"images": images, "dataset": "coco"}).encode()


def csv_bytes(texts: list[str], delimiter: str = ",") -> bytes:
    cells = [f'"{text.replace(chr(34), chr(34) * 2)}"' for text in texts]
    rows = [f"{at}.jpg{delimiter}{cell}" for at, cell in enumerate(cells)]
    return "\n".join([f"URL{delimiter}TEXT", *rows, ""]).encode()


def shard(texts: list[str]) -> bytes:
    members = {}
    for at, text in enumerate(texts):
        members |= {f"{at:05}.jpg": b"\xff\xd8", f"{at:05}.json": json.dumps({"caption": text}).encode()}
        members |= {f"{at:05}.txt": text.encode()} if at % 2 else {}
    return tar_bytes(members)


FILES: dict[str, Callable[[list[str]], bytes]] = {
    "captions.txt": lambda texts: "\n".join(texts).encode(),
    "windows.txt": lambda texts: b"\xef\xbb\xbf" + "".join(f"{text}\r\n" for text in texts).encode(),
    "wide.txt": lambda texts: "".join(f"{text}\n" for text in texts).encode("utf-16"),
    "captions_val.json": coco,
    "dataset.json": karpathy,
    "array.json": lambda texts: json.dumps([{"image": "a.jpg", "caption": text} for text in texts]).encode(),
    "strings.json": lambda texts: json.dumps(texts).encode(),
    "members.json": lambda texts: json.dumps({str(at): {"caption": text} for at, text in enumerate(texts)}).encode(),
    "lines.json": lambda texts: "".join(json.dumps({"text": text}) + "\n" for text in texts).encode(),
    "rows.jsonl": lambda texts: "".join(json.dumps({"url": "u", "caption": text}) + "\n" for text in texts).encode(),
    "rows.csv": csv_bytes,
    "rows.tsv": lambda texts: csv_bytes(texts, "\t"),
    "00000.tar": shard,
}
COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("suffix", COMPRESSED)
def test_every_format_gives_the_same_counts(tmp_path: Path, name: str, suffix: str) -> None:
    (tmp_path / "reference.txt").write_text("\n".join(CAPTIONS), encoding="utf-8")
    path = tmp_path / "data" / f"{name}{suffix}"
    path.parent.mkdir()
    path.write_bytes(COMPRESSED[suffix](FILES[name](CAPTIONS)))
    result = audited(path)
    assert not result.bad
    assert result.counts == audited(tmp_path / "reference.txt").counts
    assert result.counts.captions == 5
    assert audited(path.parent).counts == result.counts


def test_zstandard_is_read(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    path = tmp_path / "a.txt.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress("\n".join(CAPTIONS).encode()))
    assert audited(path).counts.captions == 5


@pytest.mark.parametrize(("caption", "image"), [("TEXT", "URL"), ("caption", "key"), ("text", None)])
def test_parquet_of_laion_and_img2dataset(tmp_path: Path, caption: str, image: str | None) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    texts: list[str | None] = [*CAPTIONS, None, ""]
    columns = {"similarity": [0.3] * 7, caption: texts} | ({image: [f"u{at}" for at in range(7)]} if image else {})
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet", row_group_size=2)
    (tmp_path / "a.txt").write_text("\n".join(CAPTIONS), encoding="utf-8")
    result = audited(tmp_path / "a.parquet")
    assert (result.counts.captions, result.counts.empty, dict(result.bad)) == (5, 2, {})
    assert result.counts.to_json() | {"empty": 0} == audited(tmp_path / "a.txt").counts.to_json()
    assert result.samples["nobody"].to_json()[0][2] == ["a.parquet", None, "row 3"]
    assert [each.image for each in result.absent or []] == ([] if image is None else ["u0"])


def test_parquet_of_hostile_content(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    values = pyarrow.array([b"no dog", b"\xff\xfe no", b"a cat"], pyarrow.binary())
    pyarrow.parquet.write_table(pyarrow.table({"caption": values}), tmp_path / "binary.parquet")
    as_text = pyarrow.StringArray.from_buffers(3, *values.buffers()[1:])
    pyarrow.parquet.write_table(pyarrow.table({"caption": as_text}), tmp_path / "text.parquet")
    for name in ("binary", "text"):
        result = audited(tmp_path / f"{name}.parquet")
        assert (result.counts.captions, dict(result.bad)) == (2, {"encoding": 1})
        assert result.listed[0].origin.shown() == f"{name}.parquet, row 2"
    lists = pyarrow.table({"captions": [["a dog", "no dog"], [], None]})
    pyarrow.parquet.write_table(lists, tmp_path / "lists.parquet")
    assert audited(tmp_path / "lists.parquet").counts.captions == 2
    whole = (tmp_path / "text.parquet").read_bytes()
    for damaged in (whole[:-20], whole[:10], b"PAR1" + b"\0" * 50 + b"PAR1", whole[:40] + b"\xff" * 40 + whole[80:]):
        (tmp_path / "bad.parquet").write_bytes(damaged)
        with pytest.raises(InputError, match="damaged Parquet"):
            audited(tmp_path / "bad.parquet")


LINES = st.lists(st.sampled_from(["no dog", "a", "", "\u00e9 not", "x" * 30, "\r", "nobody\r"]), max_size=12)


@settings(max_examples=examples(80), deadline=None)
@given(LINES, st.integers(1, 40), st.booleans(), st.sampled_from(["txt", "jsonl"]))
def test_parts_of_a_file_cover_every_line_once(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], part_bytes: int, end: bool, suffix: str
) -> None:
    path = tmp_path_factory.mktemp("parts") / f"a.{suffix}"
    written = lines if suffix == "txt" else [json.dumps(line) for line in lines]
    path.write_bytes(("\n".join(written) + ("\n" if end else "")).encode())
    whole, parted = audited(path), audited(path, part_bytes=part_bytes)
    assert parted.counts == whole.counts
    assert {w: list(s) for w, s in parted.samples.items()} == {w: list(s) for w, s in whole.samples.items()}
    assert parted.counts.captions == sum(bool(line.split()) for line in lines)


def test_bad_rows_keep_their_line_in_later_parts(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"caption": "a dog"}\n' * 50 + b'{"caption": \n["a"]\n{"other": 1}\n{"caption": 3}\n\n"no"\n')
    result = audited(path, part_bytes=100)
    assert result.counts.captions == 51
    assert [bad.origin.shown() for bad in result.listed] == [f"a.jsonl, line {line}" for line in (51, 52, 53, 54)]
    assert dict(result.bad) == {"malformed": 2, "no-field": 1, "bad-value": 1}


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_huge_line_costs_only_itself(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LINE_LIMIT", 1000)
    monkeypatch.setattr(lines, "BLOCK", 100)
    good = b'"no dog"\n'
    path = tmp_path / name
    path.write_bytes(good * 3 + b"x" * 5000 + b"\n" + good * 2 + b"y" * 5000)
    for part_bytes in (10_000_000, 700):
        result = audited(path, part_bytes=part_bytes)
        assert result.counts.captions == 5
        assert [bad.origin.line for bad in result.listed] == [4, 7]
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert audited(tmp_path / f"{name}.gz").counts.captions == 5


def test_a_compressed_bomb_is_one_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "bomb.txt.gz"
    path.write_bytes(gzip.compress(b"a dog\n" + b"\0" * (40 << 20)))
    result = audited(path)
    assert (result.counts.captions, dict(result.bad)) == (1, {"text-too-long": 1})


@pytest.mark.parametrize("name", ["captions.txt", "rows.jsonl", "rows.csv", "captions_val.json", "00000.tar"])
def test_a_file_that_is_cut_off_is_reported(tmp_path: Path, name: str) -> None:
    whole = gzip.compress(FILES[name]([f"no dog {at} {at * 7919}" for at in range(3000)]))
    path = tmp_path / f"{name}.gz"
    path.write_bytes(whole[: len(whole) // 2])
    result = audited(path)
    assert 100 < result.counts.captions < 3000
    assert result.bad["truncated"] >= 1


def test_bad_members_of_a_shard(tmp_path: Path) -> None:
    members = {
        "1.txt": b"no dog\n",
        "2.txt": b"\xff no dog",
        "3.json": b"{",
        "4.json": b'{"other": 1}',
        "5.txt": b"x" * 90_000,
        "6.json": b'{"caption": null}',
        "7.cls": b"3",
    }
    (tmp_path / "a.tar").write_bytes(tar_bytes(members))
    result = audited(tmp_path / "a.tar")
    assert (result.counts.captions, result.counts.empty) == (1, 1)
    assert {bad.origin.place: str(bad.reason) for bad in result.listed} == {
        "2.txt": "encoding",
        "3.json": "malformed",
        "4": "no-field",
        "5.txt": "text-too-long",
    }
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 7 << 30
    (tmp_path / "b.tar").write_bytes(tar_bytes({"1.txt": b"no dog"})[:1024] + info.tobuf() + b"9" * 4096)
    result = audited(tmp_path / "b.tar")
    assert (result.counts.captions, dict(result.bad)) == (1, {"truncated": 1})


def test_members_that_describe_a_file_are_no_captions(tmp_path: Path) -> None:
    rows = [{"caption": text} for text in CAPTIONS]
    about = {"dataset": "no name", "meta": {"note": "no dog"}, "version": 3}
    for content in ({**about, "data": rows}, {"data": rows, **about}):
        (tmp_path / "a.json").write_text(json.dumps(content))
        result = audited(tmp_path / "a.json")
        assert (result.counts.captions, dict(result.bad)) == (5, {})
    (tmp_path / "b.json").write_text(json.dumps({f"{at}.jpg": text for at, text in enumerate(CAPTIONS * 40)}))
    assert audited(tmp_path / "b.json").counts.captions == 200
    (tmp_path / "c.json").write_text(json.dumps({"image": "no.jpg", "caption": "no dog", "width": 3}))
    assert audited(tmp_path / "c.json").counts.words == 2


def test_images_are_known_by_their_file(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_bytes(coco(CAPTIONS))
    (tmp_path / "s.tar").write_bytes(shard(CAPTIONS))
    assert [(each.image, each.target) for each in audited(tmp_path / "c.json").absent or []] == [("0.jpg", "leash")]
    assert [each.image for each in audited(tmp_path / "s.tar").absent or []] == [f"{tmp_path}/s.tar#00000.jpg"]


def test_folders_patterns_and_braces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        (tmp_path / f"0{number}.tar").write_bytes(shard(CAPTIONS))
        (tmp_path / f"0{number}_stats.json").write_text("{}")
        (tmp_path / f"0{number}.csv").write_bytes(csv_bytes(CAPTIONS))
    (tmp_path / "notes.md").write_text("x")
    assert [part.file for part in parts_of(str(tmp_path))] == ["00.tar", "01.tar", "02.tar"]
    assert [part.file for part in parts_of(f"{tmp_path}/*.csv")] == ["00.csv", "01.csv", "02.csv"]
    assert [part.file for part in parts_of(f"{tmp_path}/{{01..02}}.tar")] == ["01.tar", "02.tar"]
    assert [part.file for part in parts_of(f"{tmp_path}/0{{2,0}}.csv")] == ["02.csv", "00.csv"]
    addresses = [part.path for part in parts_of("https://host/d/{008..010}.parquet?x=1")]
    assert addresses == [f"https://host/d/{number}.parquet?x=1" for number in ("008", "009", "010")]
    assert parts_of("https://host/d/1.parquet?x=1")[0].form is SourceForm.PARQUET
    for missing in ("nothing.txt", "*.nothing", "{07..08}.tar", "0{0,7}.tar"):
        with pytest.raises(InputError, match="no file"):
            parts_of(f"{tmp_path}/{missing}")
    with pytest.raises(InputError, match="no file of captions"):
        (tmp_path / "empty").mkdir()
        parts_of(str(tmp_path / "empty"))
    monkeypatch.setattr(parts, "MOST_PARTS", 1000)
    with pytest.raises(InputError, match="more than 1,000 files"):
        parts_of("https://host/{0..9999}{0..9999}.txt")


def test_a_table_without_captions_is_refused_with_its_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("one,two\n1,2\n")
    with pytest.raises(InputError, match="no column holds captions") as refused:
        audited(tmp_path / "a.csv")
    assert refused.value.hint == "name it: --column NAME; columns: one, two"
    assert audited(tmp_path / "a.csv", AuditOptions(column="TWO")).counts.captions == 1
    (tmp_path / "b.tsv").write_text("a dog with no leash\thttp://a/1.jpg\na cat on a sofa\thttp://a/2.jpg\n")
    with pytest.raises(InputError, match="seems to be a row") as refused:
        audited(tmp_path / "b.tsv")
    assert refused.value.hint == "--no-header --column 1"
    assert audited(tmp_path / "b.tsv", AuditOptions(column="1", header=False)).counts.captions == 2


def test_results_survive_json(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\n".join(CAPTIONS).encode() + b"\n\xff\n")
    result = audited(tmp_path / "a.txt")
    again = PartResult.from_json(json.loads(json.dumps(result.to_json())), OPTIONS.sizes)
    assert again.to_json() == result.to_json()
    for broken in (None, {}, {**result.to_json(), "counts": {}}, {**result.to_json(), "samples": 3}):
        with pytest.raises(ValueError, match="not the"):
            PartResult.from_json(broken, OPTIONS.sizes)


def test_a_part_is_read_in_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a dog on a leash\n" * 40_000)
    done: list[int] = []
    part = Part("a.txt", str(path), SourceForm.TEXT, 0, path.stat().st_size, "")
    assert audit_part(part, OPTIONS, done.append).counts.captions == 40_000
    assert len(done) >= 2
    assert done == sorted(done)


@pytest.mark.parametrize(
    ("size", "captions", "bad"),
    [
        (4096, 3, 0),
        (3072, 3, 1),  # all members, but no end of the archive
        (3000, 3, 1),  # in the padding of the third member
        (2563, 2, 1),  # in the text of the third member
        (2100, 2, 1),  # in the header of the third member
        (2048, 2, 1),  # before the header of the third member
        (515, 0, 1),
    ],
)
def test_a_shard_that_is_cut_off_is_reported_wherever_the_cut_is(
    tmp_path: Path, size: int, captions: int, bad: int
) -> None:
    assert _cut_shard(tmp_path, lambda data: data[:size]) == (captions, bad)


def test_a_damaged_header_in_a_shard_is_reported(tmp_path: Path) -> None:
    assert _cut_shard(tmp_path, lambda data: data[:1024] + b"x" * 512 + data[1536:]) == (1, 1)


def _cut_shard(folder: Path, change: Callable[[bytes], bytes]) -> tuple[int, int]:
    """Audit a changed shard of three texts; return the number of captions and of bad rows."""
    path = folder / "shard.tar"
    path.write_bytes(change(tar_bytes({f"{number}.txt": b"no dog" for number in range(3)})))
    result = audited(path)
    return result.counts.captions, sum(result.bad.values())


def test_a_damaged_row_group_costs_only_itself(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    table = arrow.table({"caption": [f"no dog {number}" for number in range(300)]})
    parquet.write_table(table, path, row_group_size=100, use_dictionary=False)
    column = parquet.ParquetFile(path).metadata.row_group(1).column(0)
    data, start = bytearray(path.read_bytes()), column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(data)
    result = audited(path)
    assert (result.counts.captions, sum(result.bad.values())) == (200, 1)
    (refused,) = result.listed
    assert (refused.origin.shown(), refused.excerpt) == ("a.parquet, row 101", "100 rows")
    assert refused.message.startswith("damaged row group: ")
