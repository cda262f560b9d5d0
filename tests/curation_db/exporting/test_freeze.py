"""Freezing: equal events give equal bytes, no partial or overwritten export, damage is detected."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from curation_db.enums import Kind
from curation_db.exporting import freeze as freezing
from curation_db.exporting.manifest import MANIFEST_FILE, ManifestError, read_items, read_manifest, verify
from curation_db.exporting.selection import ExportRefused, NameTaken, NothingChosen


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_same_event_gives_the_same_bytes_later_elsewhere_and_after_more_decisions(decided, monkeypatch):
    event = decided.last_event()
    decided.freeze("first")
    ana, bob = decided.person("ana"), decided.person("bob")
    ana.undo()
    bob.edit(1, "a dog on a bed without any cat")
    bob.decide(10, Kind.ACCEPT)
    bob.decide(7, Kind.ACCEPT)
    monkeypatch.setattr(time, "time", lambda: 4_000_000_000.0)
    decided.freeze("second", folder="elsewhere", at=event)
    decided.freeze("now")
    first = content(decided.export("first"))
    assert first == content(decided.export("second", folder="elsewhere"))
    assert first.keys() == {MANIFEST_FILE, "items.jsonl", "coco.json", "pairs.jsonl"}
    assert first["items.jsonl"] != content(decided.export("now"))["items.jsonl"]


def test_order_does_not_depend_on_when_rows_came_in(record):
    """GIVEN rows inserted from last to first THEN the files are in the order of source, image and key."""
    ana = record.person("ana")
    for source in ("zoo", "coco"):
        source_id = record.source(source)
        for image in ("10", "9", "x2"):
            image_id = record.image(source_id, image, f"{image}.jpg")
            for key in ("gen/10", "gen/9"):
                ana.decide(record.candidate(source_id, f"{image}/{key}", image_id, "no cat here"), Kind.ACCEPT)
    record.freeze("s")
    seen = [(item.source, item.image_key, item.key) for item in read_items(record.export("s"))]
    images = [(image, f"{image}/gen/{n}") for image in ("9", "10", "x2") for n in (9, 10)]
    assert seen == [(source, *each) for source in ("coco", "zoo") for each in images]


def test_manifest_describes_the_export(decided):
    manifest = decided.freeze("s")
    read = read_manifest(decided.export("s"))
    assert read == manifest
    assert (read.name, read.event_seq, read.tool_version) == ("s", 9, "0.1.0")
    assert dict(read.selection) == {"states": ["accepted"]}
    assert (read.counts.pairs, read.counts.images, read.counts.by_cue) == (6, 3, {"no": 6})
    assert "name" not in json.loads((decided.export("s") / MANIFEST_FILE).read_text())


def test_export_hash_equals_that_of_sha256sum(decided):
    manifest = decided.freeze("s")
    shell = "sha256sum $(ls | grep -v manifest | LC_ALL=C sort) | sha256sum"
    completed = subprocess.run(shell, shell=True, cwd=decided.export("s"), capture_output=True, text=True, check=True)
    assert completed.stdout.split()[0] == manifest.export_sha256


def test_exception_midway_leaves_nothing(decided, monkeypatch):
    class Breaks(freezing.PairsWriter):
        def add(self, pair):
            if pair.item.caption_key == "9":
                raise KeyboardInterrupt
            super().add(pair)

    monkeypatch.setitem(freezing.FORMATS, "jsonl", Breaks)
    with pytest.raises(KeyboardInterrupt):
        decided.freeze("s")
    assert list((decided.folder / "exports").iterdir()) == []


@pytest.mark.parametrize("step", ["seal", "_rename", "file_facts"])
def test_failure_at_the_end_leaves_nothing(decided, monkeypatch, step):
    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(freezing, step, fails)
    with pytest.raises(OSError, match="No space"):
        decided.freeze("s")
    assert list((decided.folder / "exports").iterdir()) == []


def test_leftovers_of_a_killed_export_go_after_a_day(decided):
    exports = decided.folder / "exports"
    for name, age in ((".old.1.partial", 90_000), (".young.1.partial", 100)):
        (exports / name).mkdir(parents=True)
        os.utime(exports / name, (time.time() - age,) * 2)
    decided.freeze()
    assert sorted(path.name for path in exports.iterdir()) == [".young.1.partial", "set-001"]


def test_existing_export_is_not_overwritten(decided):
    decided.freeze("s")
    before = content(decided.export("s"))
    with pytest.raises(NameTaken):
        decided.freeze("s", at=2)
    assert content(decided.export("s")) == before


def test_name_taken_during_the_export(decided, monkeypatch):
    """GIVEN another process that takes the name while we write THEN ours is refused, or takes the next one."""
    real = freezing.seal

    def rival(folder):
        real(folder)
        taken = folder.parent / f"set-{len(list(folder.parent.glob('set-*'))) + 1:03}"
        taken.mkdir()
        (taken / "theirs").touch()

    monkeypatch.setattr(freezing, "seal", rival)
    assert decided.freeze().name == "set-002"
    with pytest.raises(NameTaken):
        decided.freeze("set-003")
    assert sorted(p.name for p in (decided.folder / "exports").iterdir()) == ["set-001", "set-002", "set-003"]


def test_default_names_count_up(decided):
    assert [decided.freeze().name for _ in range(3)] == ["set-001", "set-002", "set-003"]


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "a b", "-x", "é", "x" * 101, "a\n"])
def test_invalid_names_are_refused(decided, name):
    with pytest.raises(ExportRefused):
        decided.freeze(name)
    assert not (decided.folder / "exports").exists()


def test_files_are_read_only_and_the_folder_can_be_deleted(decided):
    decided.freeze("s")
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o222 for path in decided.export("s").iterdir()}
    assert modes == {0}
    assert decided.export("s").stat().st_mode & stat.S_IWUSR


def test_formats_are_chosen_but_items_are_always_there(decided):
    decided.freeze("s", formats=("coco",))
    assert content(decided.export("s")).keys() == {MANIFEST_FILE, "items.jsonl", "coco.json"}


def test_nothing_chosen(record):
    record.pairs(2)
    with pytest.raises(NothingChosen):
        record.freeze()
    assert not (record.folder / "exports").exists()


def test_progress_ends_with_all(decided):
    parsed = []
    decided.freeze(progress=lambda done, total: parsed.append((done, total)))
    assert parsed[-1] == (6, 6)


def test_frozen_within_one_view_of_the_record(decided, monkeypatch):
    """GIVEN decisions that come while the set is written THEN they are not in it."""
    real, ana = freezing.read_pairs, decided.person("ana")

    def meanwhile(*args):
        ana.decide(10, Kind.ACCEPT)
        return real(*args)

    monkeypatch.setattr(freezing, "read_pairs", meanwhile)
    manifest = decided.freeze()
    assert (manifest.counts.pairs, manifest.event_seq, decided.last_event()) == (6, 9, 10)


class TestVerify:
    def test_intact_export_has_no_problems(self, decided):
        decided.freeze("s")
        assert verify(decided.export("s")) == []

    @pytest.mark.parametrize("name", ["items.jsonl", "coco.json", "pairs.jsonl"])
    def test_finds_a_flipped_byte(self, decided, name):
        decided.freeze("s")
        path = decided.export("s") / name
        path.chmod(0o644)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        assert verify(decided.export("s")) == [f"{name}: its content was changed"]

    def test_finds_missing_longer_and_foreign_files(self, decided):
        decided.freeze("s")
        folder = decided.export("s")
        (folder / "coco.json").unlink()
        (folder / "more.txt").touch()
        (folder / "items.jsonl").chmod(0o644)
        with (folder / "items.jsonl").open("a") as file:
            file.write("\n")
        problems = "; ".join(verify(folder))
        for problem in ("coco.json: No such file", "items.jsonl: ", "instead of", "more.txt: not in the manifest"):
            assert problem in problems

    def test_finds_a_manifest_that_was_edited(self, decided):
        decided.freeze("s")
        path = decided.export("s") / MANIFEST_FILE
        path.chmod(0o644)
        parsed = json.loads(path.read_text())
        parsed["files"]["coco.json"]["sha256"] = "0" * 64
        path.write_text(json.dumps(parsed))
        assert len(verify(decided.export("s"))) == 2

    @pytest.mark.parametrize(
        "written", ["", "[]", "{}", '{"format": 1}', '{"format": 99}', "\udcff", '{"format": "x", "files": 3}']
    )
    def test_no_manifest(self, tmp_path, written):
        assert "not an export" in verify(tmp_path)[0]
        (tmp_path / MANIFEST_FILE).write_text(written, errors="surrogateescape")
        assert len(verify(tmp_path)) == 1
        with pytest.raises(ManifestError):
            read_manifest(tmp_path)

    def test_never_reads_outside_the_folder(self, decided):
        decided.freeze("s")
        path = decided.export("s") / MANIFEST_FILE
        path.chmod(0o644)
        parsed = json.loads(path.read_text())
        parsed["files"]["../../curation.db"] = parsed["files"]["coco.json"]
        path.write_text(json.dumps(parsed))
        assert any("outside the folder" in problem for problem in verify(decided.export("s")))

    def test_broken_items_are_named_by_line(self, decided):
        decided.freeze("s")
        path = decided.export("s") / "items.jsonl"
        path.chmod(0o644)
        path.write_text(path.read_text() + '{"key": "x"}\n')
        with pytest.raises(ManifestError, match="line 7"):
            list(read_items(decided.export("s")))


def test_event_table_is_untouched(decided):
    decided.freeze()
    with decided.store.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM event")).scalar_one() == 9


def manifest(record, image, number, *, mix=None, extra=None, **parsed):
    stored_extra = json.dumps({"mix": mix, "asked_cue": "no"}) if mix else extra
    return record.candidate(1, f"g/{number}", image, f"a dog with no cat {number}", extra=stored_extra, **parsed)


def test_manifest_counts_generators_prompts_and_mixes(record):
    image = record.image(record.source("coco"), "1", "1.jpg")
    p1 = {"generator": "llama", "prompt_version": "negwb-rewrite-1@3f"}
    ids = [
        manifest(record, image, 1, mix="negrefcocog", **p1),
        manifest(record, image, 2, mix="balanced", **p1),
        manifest(record, image, 3, mix="negrefcocog", **p1),
        manifest(record, image, 4),
        *(
            manifest(record, image, 5 + n, extra=parsed)
            for n, parsed in enumerate(['{"mix": 3}', '{"mix": "\\u001b[31m"}', "{}"])
        ),
    ]
    ana = record.person("ana")
    for number in ids[1:]:
        ana.decide(number, Kind.ACCEPT)
    ana.edit(ids[0], "a dog without a cat 1")
    counts = record.freeze("s", names=True).counts
    assert (dict(counts.by_mix), counts.without_mix) == ({"negrefcocog": 2, "balanced": 1}, 4)
    assert (dict(counts.by_prompt), counts.without_prompt) == ({"negwb-rewrite-1@3f": 2}, 5)
    assert dict(counts.by_generator) == {"negationclip": 4, "llama": 2, "ana": 1}
    assert counts.made_with == (
        {"generator": "negationclip", "prompt_version": None, "mix": None, "pairs": 4},
        {"generator": "ana", "prompt_version": None, "mix": "negrefcocog", "pairs": 1},
        {"generator": "llama", "prompt_version": "negwb-rewrite-1@3f", "mix": "balanced", "pairs": 1},
        {"generator": "llama", "prompt_version": "negwb-rewrite-1@3f", "mix": "negrefcocog", "pairs": 1},
    )
    read = read_manifest(record.export("s"))
    assert read.counts == counts
    assert read.to_text() == (record.export("s") / MANIFEST_FILE).read_text()


def test_manifest_counts_the_position_of_the_cue_by_the_position_that_was_asked_for(record):
    image = record.image(record.source("coco"), "1", "1.jpg")
    asked = {
        "a dog on a sofa with no cat": "end",
        "a dog without a cat on a red sofa": "end",
        "no cat is near the dog on the sofa": "beginning",
        "a dog on a sofa, no cat": "",
        "a dog on a sofa, not a cat": ["end"],
    }
    for number, (caption, position) in enumerate(asked.items()):
        extra = json.dumps({"mix": "balanced", "asked_position": position})
        record.person("ana").decide(record.candidate(1, f"g/{number}", image, caption, extra=extra), Kind.ACCEPT)
    counts = record.freeze("s").counts
    assert counts.by_asked_position == {"beginning": {"beginning": 1}, "end": {"beginning": 1, "end": 1}}
    assert counts.by_cue_position == {"end": 3, "beginning": 2}
    assert read_manifest(record.export("s")).counts == counts


def test_a_value_called_none_is_not_the_lack_of_one(record):
    """GIVEN the cue "none", a prompt, a mix and a generator of that name THEN pairs without one are counted apart."""
    image = record.image(record.source("none"), "1", "1.jpg")
    named = {"prompt_version": "none", "generator": "none", "extra": '{"mix": "none"}'}
    ids = [
        record.candidate(1, "g/1", image, "two dogs, none of them with a hat", **named),
        record.candidate(1, "g/2", image, "a dog with a hat", generator=""),
        record.candidate(1, "g/3", image, "a dog"),
    ]
    for number in ids:
        record.person("ana").decide(number, Kind.ACCEPT)
    counts = record.freeze("s").counts
    assert (dict(counts.by_cue), counts.without_cue) == ({"none": 1}, 2)
    assert (dict(counts.by_prompt), counts.without_prompt) == ({"none": 1}, 2)
    assert (dict(counts.by_mix), counts.without_mix) == ({"none": 1}, 2)
    assert dict(counts.by_generator) == {"none": 1, "": 1, "negationclip": 1}
    assert (dict(counts.by_cue_position), dict(counts.by_source)) == ({"beginning": 1}, {"none": 3})
    assert read_manifest(record.export("s")).counts == counts


def test_a_manifest_without_the_newer_counts_reads(decided):
    decided.freeze("s")
    path = decided.export("s") / MANIFEST_FILE
    parsed = json.loads(path.read_text())
    for name in (
        "by_asked_position",
        "by_generator",
        "by_prompt",
        "by_mix",
        "made_with",
        "without_cue",
        "without_prompt",
        "without_mix",
    ):
        parsed["counts"].pop(name)
    path.chmod(0o644)
    path.write_text(json.dumps(parsed))
    counts = read_manifest(decided.export("s")).counts
    assert (counts.pairs, counts.by_mix, counts.made_with) == (6, {}, ())
    assert (counts.without_cue, counts.without_prompt, counts.without_mix) == (None, None, None)
