"""Pseudonyms and votes of an export: no name in any file, and what each person decided, under one pseudonym."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from curation_db.enums import EDITED, Kind, Reason, Role, State
from curation_db.events.annotators import Actor, begin_session
from curation_db.exporting.manifest import (
    ITEMS_FILE,
    MANIFEST_FILE,
    file_facts,
    hash_of,
    read_items,
    read_manifest,
    verify,
)
from curation_db.exporting.pseudonyms import read_pseudonyms, with_names
from curation_db.exporting.selection import ExportFilter
from curation_db.review.decisions import DecisionWriter, PresentationContext

ZOE, IAN = "Zoë Quillfeather", "ian.oddname@lab.example"
ALL = ExportFilter((State.ACCEPTED, State.REJECTED, State.CONTESTED))


@pytest.fixture
def voted(record):
    """Candidate 1 has two votes, 2 an edit's child, 3 a policy's accept, 4 an adjudication against a vote."""
    source = record.source("coco")
    image = record.image(source, "1", "1.jpg")
    for number in range(4):
        record.candidate(source, f"g/{number}", image, f"a dog with no cat {number}", overlap="1" if number else "2")
    zoe, ian = record.person(ZOE), record.person(IAN)
    zoe.decide(1, Kind.ACCEPT)
    ian.decide(1, Kind.REJECT, reason=Reason.SCOPE, shown=PresentationContext(blind=True))
    ian.decide(1, Kind.ACCEPT)
    zoe.edit(2, "a dog without a cat")
    ian.decide(5, Kind.ACCEPT)
    DecisionWriter(record.store, Actor("accept@0a1b2c3d4e5f", 0, Role.POLICY, "s")).decide_many([3], Kind.ACCEPT)
    ian.decide(4, Kind.ACCEPT)
    judge = DecisionWriter(record.store, begin_session(record.store, ZOE, version="test", role=Role.ADJUDICATOR))
    judge.adjudicate(4, Kind.REJECT, reason=Reason.PRESENT)
    return record


def occurrences(folder: Path, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return (file, name) for every name that a file contains, as UTF-8 or escaped as in JSON."""
    forms = {form for name in names for form in (name, json.dumps(name)[1:-1], name.split()[0], name.split("@")[0])}
    files = [(path.name, path.read_bytes().decode()) for path in sorted(folder.rglob("*")) if path.is_file()]
    return [(file, form) for file, content in files for form in sorted(forms) if form.lower() in content.lower()]


def test_no_file_of_an_export_has_a_name(voted):
    voted.freeze("s", selection=ALL)
    voted.freeze("named", selection=ALL, names=True)
    assert occurrences(voted.export("s"), (ZOE, IAN)) == []
    assert {file for file, _ in occurrences(voted.export("named"), (ZOE, IAN))} == {ITEMS_FILE, MANIFEST_FILE}
    assert (read_manifest(voted.export("s")).named, read_manifest(voted.export("named")).named) == (False, True)


def test_pseudonyms_are_keyed_and_the_record_gives_the_names_back(voted, new_record):
    voted.freeze("s", selection=ALL)
    voted.freeze("t", selection=ALL)
    voted.freeze("named", selection=ALL, names=True)
    assert (voted.export("s") / ITEMS_FILE).read_bytes() == (voted.export("t") / ITEMS_FILE).read_bytes()
    with voted.store.read() as connection:
        people = read_pseudonyms(connection)
        assert list(with_names(connection, read_items(voted.export("s")))) == list(read_items(voted.export("named")))
    with new_record() as other:
        other.pairs(1)
        with other.store.read() as connection:
            assert read_pseudonyms(connection).of(ZOE) != people.of(ZOE)
    assert people.of(ZOE) != people.of(IAN)


def test_items_have_the_votes_in_force(voted):
    """GIVEN replaced and undone answers THEN each person has one vote, with its event and its day, in order."""
    voted.freeze("s", selection=ALL, names=True)
    items = {item.key: item for item in read_items(voted.export("s"))}
    assert len(items) == 4
    with voted.store.read() as connection:
        rows = connection.execute(text("SELECT seq, uid, actor, kind, at FROM event ORDER BY seq")).all()
    for item in items.values():
        for vote in item.votes:
            row = rows[vote["event"] - 1]
            assert (row.seq, row.actor, row.kind, row.at[:10]) == (
                vote["event"], vote["by"], vote["kind"], vote["day"],
            )  # fmt: skip
    shown = {
        key: [(v["by"], v["kind"], v["verdict"], v["reason"], v["blind"]) for v in item.votes]
        for key, item in items.items()
    }
    child = next(item for item in items.values() if item.pipeline == EDITED)
    assert shown == {
        "g/0": [(ZOE, "accept", "accept", None, False), (IAN, "accept", "accept", None, False)],
        child.key: [(IAN, "accept", "accept", None, False)],
        "g/2": [("accept@0a1b2c3d4e5f", "accept", "accept", None, False)],
        "g/3": [(IAN, "accept", "accept", None, False), (ZOE, "adjudicate", "reject", "present", False)],
    }
    assert child.generator == ZOE
    voted.freeze("p", selection=ALL)
    hidden = {item.key: item for item in read_items(voted.export("p"))}
    assert hidden["g/2"].deciders == ("accept@0a1b2c3d4e5f",)  # a policy is no person
    assert {vote["by"] for vote in hidden["g/3"].votes} >= set(hidden["g/3"].deciders)


def test_the_vote_of_an_earlier_event_is_in_an_earlier_export(voted):
    voted.freeze("s", selection=ExportFilter((State.NEEDS_MORE,)), at=1, names=True)
    (item,) = read_items(voted.export("s"))
    assert [vote["by"] for vote in item.votes] == [ZOE]


def as_format_1(folder: Path, old: Path) -> None:
    """Copy the export as negwb wrote it in format 1: without votes, with names, without what the manifest gained."""
    shutil.copytree(folder, old)
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    for name in (MANIFEST_FILE, ITEMS_FILE):
        (old / name).chmod(0o644)
    rows = [json.loads(line) for line in (folder / ITEMS_FILE).read_text().splitlines()]
    lines = [json.dumps({name: value for name, value in row.items() if name != "votes"}) for row in rows]
    (old / ITEMS_FILE).write_text("\n".join(lines) + "\n")
    del manifest["named"]
    facts = {name: file_facts(old / name) for name in manifest["files"]}
    manifest |= {
        "format": 1,
        "files": {name: {"sha256": each.sha256, "bytes": each.bytes} for name, each in facts.items()},
        "export_sha256": hash_of(facts),
    }
    (old / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n")


def test_exports_of_format_1_load_and_verify(voted):
    voted.freeze("s", selection=ALL, names=True)
    old = voted.export("old")
    as_format_1(voted.export("s"), old)
    assert verify(old) == []
    manifest = read_manifest(old)
    assert (manifest.format, manifest.named, read_manifest(voted.export("s")).format) == (1, True, 2)
    items = list(read_items(old))
    assert [item.votes for item in items] == [None] * 4
    assert items[0].to_line() == (old / ITEMS_FILE).read_text().splitlines(keepends=True)[0]


@pytest.mark.parametrize("votes", ['{"a": 1}', "[1]", '"x"', "3"])
def test_votes_of_a_foreign_file_are_objects(votes, tmp_path):
    (tmp_path / ITEMS_FILE).write_text(
        f'{{"key": "k", "source": "s", "image_key": "i", "text": "no", "votes": {votes}}}\n'
    )
    with pytest.raises(ValueError, match="line 1"):
        list(read_items(tmp_path))
