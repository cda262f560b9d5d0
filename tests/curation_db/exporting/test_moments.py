"""Equal `--at`, equal bytes: later imports, verdicts, decisions, exports and restores do not change a past event."""

from __future__ import annotations

import hashlib
import json
from contextlib import nullcontext, suppress
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import text
from support.examples import examples

from curation_db.enums import Kind, Question, Reason, State
from curation_db.errors import RecordError
from curation_db.events import event_clock
from curation_db.events.annotators import begin_session
from curation_db.exporting import freeze as freezing
from curation_db.exporting.manifest import read_items
from curation_db.exporting.selection import ExportFilter, ExportRefused, NothingChosen
from curation_db.exporting.staleness import Drift, drift_since
from curation_db.importing.formats import Format
from curation_db.importing.image_check import NO_IMAGE_FOLDERS, ImageChecker
from curation_db.importing.pipeline import import_file, make_plan
from curation_db.integrity.rebuild import rebuild
from curation_db.review.bulk import decide_in_bulk
from curation_db.review.candidates import NewVerdict, insert_verdicts
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.backup import back_up
from curation_db.storage.restore import restore
from curation_db.storage.store import open_store

EVERYTHING = ExportFilter(tuple(State))
ACCEPTED = ExportFilter()
OPEN = ExportFilter((State.OPEN,))
FIELDS = {"file_name": "a.png", "width": 4, "height": 3, "license": 1}


def take(record, images=(), pairs=(), licenses=(), *, seen=False):
    """Import a NegationCLIP file: {image: fields that it tells of it}, (image, candidate) pairs, licence numbers."""
    values = {
        "images": [{"id": image, **{name: FIELDS[name] for name in names}} for image, names in dict(images).items()],
        "licenses": [{"id": number} for number in licenses],
        "annotations": [
            {"id": n, "image_id": image, "caption": f"a dog {n}", "updated_caption": f"a dog, no cat {n}", "score": n}
            for image, n in pairs
        ],
    }
    path, picture = record.folder / "coco.json", record.folder / "a.png"
    path.write_text(json.dumps(values))
    if seen and not picture.exists():
        Image.new("RGB", (4, 3)).save(picture)
    pictures = ImageChecker(lambda _source, _name: picture, check_all=True) if seen else NO_IMAGE_FOLDERS
    return import_file(record.store, make_plan(path, form=Format.NEGATIONCLIP), checker=pictures)


def tree(record, selection, at=None):
    """The number of an export, and the hashes of its files; None: there is nothing to export."""
    try:
        frozen = record.freeze(selection=selection, at=at)
    except NothingChosen:
        return at, None
    files = record.export(frozen.name).iterdir()
    return frozen.event_seq, {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def newest(record):
    with record.store.read() as connection:
        return event_clock.newest_seq(connection)


def items(record, name):
    return list(read_items(record.export(name)))


def coco(record, name):
    return json.loads((record.export(name) / "coco.json").read_text())


@pytest.fixture
def imported(record):
    """Two images with known ids only and a candidate each; the first candidate is accepted."""
    take(record, {1: (), 2: ()}, [(1, 11), (2, 12)])
    record.person("ana").decide(1, Kind.ACCEPT)
    return record


class TestWhatIsFilledInLater:
    def test_is_not_in_an_export_of_an_event_before(self, imported):
        before = tree(imported, ACCEPTED, at=1)
        take(imported, {1: FIELDS, 2: FIELDS}, licenses=[1, 2], seen=True)
        assert tree(imported, ACCEPTED, at=1) == before
        imported.person("ana").decide(2, Kind.SKIP)
        assert tree(imported, ACCEPTED, at=1) == before

    def test_is_in_an_export_of_now(self, imported):
        """GIVEN file names imported because the first set lacked them THEN the next has them, without a decision."""
        assert imported.freeze("without").counts.without_file_name == 1
        take(imported, {1: FIELDS}, licenses=[1], seen=True)
        imported.freeze("with")
        (item,) = items(imported, "with")
        assert (item.file_name, item.image_sha256 is not None) == ("a.png", True)
        values = coco(imported, "with")
        assert values["images"] == [{"id": 1, **FIELDS}]
        assert values["licenses"] == [{"id": 1}]
        assert coco(imported, "without")["images"] == [{"id": 1, "file_name": None}]

    def test_column_by_column(self, imported):
        """GIVEN fields that came in at three times THEN each event shows those that were there when it was made."""
        ana, came = imported.person("ana"), []
        for number, names in enumerate((["width"], ["width", "height"], FIELDS), 2):
            take(imported, {1: names})
            came.append(ana.decide(2, Kind.SKIP).seq)
            assert came[-1] == number
        shown = []
        for at in (1, *came):
            imported.freeze(f"at-{at}", at=at)
            (image,) = coco(imported, f"at-{at}")["images"]
            shown.append({name: image[name] for name in FIELDS if image.get(name) is not None})
        assert shown == [{}, {"width": 4}, {"width": 4, "height": 3}, FIELDS]

    def test_a_name_without_its_prefix_shows_from_then_on(self, imported):
        """GIVEN an image whose name lost its prefix in a later import THEN older exports have the old name."""
        ana, path = imported.person("ana"), imported.folder / "coco.json"
        numbers, trees = [1], [tree(imported, ACCEPTED, at=1)]
        for stated, prefix in (("x/y/a.png", "none/"), ("x/y/a.png", "x/"), ("y/a.png", "y/")):
            path.write_text(json.dumps({"images": [{"id": 1, "file_name": stated}], "annotations": []}))
            plan = make_plan(path, form=Format.NEGATIONCLIP, strip_prefixes=(prefix,))
            assert import_file(imported.store, plan).completed == 1
            numbers.append(ana.decide(2, Kind.SKIP).seq)
            trees.append(tree(imported, ACCEPTED, at=numbers[-1]))
        assert [tree(imported, ACCEPTED, at=number) for number in numbers] == trees
        for number, name in zip(numbers, (None, "x/y/a.png", "y/a.png", "a.png"), strict=True):
            imported.freeze(f"name-{number}", at=number)
            assert items(imported, f"name-{number}")[0].file_name == name

    def test_of_a_picture_without_candidates_shows_with_its_first_one(self, imported):
        take(imported, {3: ()})
        take(imported, {3: FIELDS})
        take(imported, pairs=[(3, 13)])
        imported.person("ana").decide(3, Kind.ACCEPT)
        imported.freeze("s", at=2)
        assert [item.file_name for item in items(imported, "s")] == [None, "a.png"]


class TestCandidates:
    def test_that_came_in_later_are_not_there_yet(self, imported):
        before = tree(imported, OPEN, at=1)
        take(imported, {3: ()}, [(3, 13), (2, 14)])
        assert tree(imported, OPEN, at=1) == before
        imported.person("ana").decide(3, Kind.ACCEPT)
        assert tree(imported, OPEN, at=1) == before
        imported.freeze("now", selection=OPEN)
        assert [item.key for item in items(imported, "now")] == ["negationclip/12", "negationclip/14"]

    def test_are_there_before_anything_is_decided(self, record):
        """GIVEN a first import THEN event 0 includes it; a later import shows from event 1."""
        take(record, {1: ()}, [(1, 11)])
        take(record, {1: ()}, [(1, 12)])
        assert record.freeze("first", selection=OPEN).event_seq == 0
        first = tree(record, OPEN, at=0)
        take(record, {1: FIELDS}, [(1, 13)])
        assert tree(record, OPEN, at=0) == first
        assert record.freeze("second", selection=OPEN).event_seq == 1
        assert [len(items(record, name)) for name in ("first", "second")] == [2, 3]
        assert record.person("ana").decide(1, Kind.ACCEPT).seq == 2
        assert tree(record, OPEN, at=0) == first

    def test_of_a_first_edit_are_there_from_the_edit_on(self, record):
        take(record, {1: ()}, [(1, 11)])
        record.person("ana").edit(1, "a dog without a cat")
        record.freeze("before", selection=OPEN, at=0)
        assert [item.key for item in items(record, "before")] == ["negationclip/11"]


class TestNumbers:
    def test_none_is_taken_where_nothing_came_in(self, imported):
        take(imported, {1: (), 2: ()}, [(1, 11), (2, 12)])
        assert [imported.freeze(selection=EVERYTHING).event_seq for _ in range(2)] == [1, 1]

    def test_none_is_taken_where_it_does_not_matter(self, imported):
        take(imported, pairs=[(1, 13)])
        assert imported.freeze().event_seq == 1
        assert imported.freeze(selection=EVERYTHING).event_seq == 2

    def test_none_is_taken_for_nothing(self, record):
        take(record, {1: ()}, [(1, 11)], licenses=[1])
        with pytest.raises(NothingChosen, match="at event 0"):
            record.freeze()
        assert record.person("ana").decide(1, Kind.ACCEPT).seq == 1
        take(record, {1: FIELDS})
        with pytest.raises(NothingChosen, match="at event 1"):
            record.freeze(selection=ExportFilter((State.REJECTED,)))
        assert newest(record) == 1

    def test_one_that_was_taken_is_no_event(self, imported):
        take(imported, {1: FIELDS})
        with pytest.raises(ExportRefused, match="no event 2"):
            imported.freeze(at=2)
        assert [imported.freeze().event_seq for _ in range(2)] == [2, 2]
        taken = tree(imported, ACCEPTED, at=2)
        ana = imported.person("ana")
        assert [ana.decide(2, Kind.ACCEPT).seq, ana.undo().seq] == [3, 4]
        take(imported, {2: FIELDS})
        assert tree(imported, ACCEPTED, at=2) == taken

    def test_what_comes_in_between_is_not_in_it(self, imported, monkeypatch):
        """GIVEN an import that goes on while a set is frozen THEN later exports of its number are the same."""
        real = freezing._resolve_event

        def meanwhile(*args):
            number = real(*args)
            take(imported, {2: FIELDS}, [(2, 21)])
            return number

        take(imported, {1: ["width"]})
        monkeypatch.setattr(freezing, "_resolve_event", meanwhile)
        frozen = tree(imported, EVERYTHING)
        monkeypatch.undo()
        assert tree(imported, EVERYTHING, at=frozen[0]) == frozen

    def test_a_decision_of_another_annotator_in_between(self, imported):
        """GIVEN a decision that gets the number which the export wanted THEN the export is as that event left it."""
        take(imported, {1: FIELDS})
        frozen = freeze_while(imported, lambda: imported.person("ana").decide(2, Kind.ACCEPT))
        assert (frozen.event_seq, frozen.counts.pairs) == (2, 2)

    def test_where_the_first_decision_comes_in_between(self, record):
        take(record, {1: ()}, [(1, 11)])
        frozen = freeze_while(record, lambda: record.person("ana").decide(1, Kind.ACCEPT), selection=OPEN, at=0)
        assert (frozen.event_seq, frozen.counts.pairs) == (0, 1)


def freeze_while(record, happens, **options):
    """Freeze a set; something happens between the look at the record and the taking of a number."""
    store = mock.Mock(wraps=record.store)
    store.read = record.store.read
    store.write.side_effect = lambda: (happens(), record.store.write())[1]
    values = {"selection": ACCEPTED, "tool_version": "0.1.0", **options}
    frozen = freezing.freeze(store, record.folder / "exports", **values)
    store.write.assert_called_once()
    return frozen


def test_drift_counts_what_came_in(imported):
    def drift(event, *states):
        with imported.store.read() as connection:
            return drift_since(connection, event, ExportFilter(states))

    take(imported, {3: ()}, [(3, 13), (3, 14)])
    assert drift(1, State.OPEN) == Drift(entered=2)
    assert drift(1, State.ACCEPTED) == Drift()
    imported.person("ana").decide(3, Kind.ACCEPT)
    assert drift(1, State.OPEN) == Drift(entered=1)
    assert drift(1, State.ACCEPTED) == Drift(entered=1)


# -- any order of everything

SELECTIONS = (ACCEPTED, OPEN, EVERYTHING)
ALL_OF_IT = {"images": dict.fromkeys((1, 2, 3), FIELDS), "pairs": range(11, 20), "licenses": [1, 2, 3], "seen": True}
some_fields = st.sets(st.sampled_from(sorted(FIELDS)))
some_annotator, some_number = st.sampled_from(["ana", "bob"]), st.integers(0, 99)
imports = st.fixed_dictionaries(
    {
        "images": st.dictionaries(st.integers(1, 3), some_fields, min_size=1),
        "pairs": st.lists(st.integers(11, 17), unique=True, max_size=3),
        "licenses": st.sampled_from([(), (), (1,), (2, 1)]),
        "seen": st.booleans(),
    }
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("take"), imports),
        st.tuples(st.just("judge"), some_number),
        st.tuples(
            st.just("decide"), st.tuples(some_annotator, some_number, st.sampled_from([Kind.ACCEPT, Kind.REJECT]))
        ),
        st.tuples(st.just("edit"), st.tuples(some_annotator, some_number)),
        st.tuples(st.just("undo"), some_annotator),
        st.tuples(st.just("redo"), some_annotator),
        st.tuples(
            st.just("bulk"), st.tuples(some_annotator, st.sampled_from([Kind.ACCEPT, Kind.REJECT, Kind.REQUEUE]))
        ),
        st.tuples(st.just("repair"), st.none()),
        st.tuples(st.just("back_up"), st.none()),
        st.tuples(st.just("back_up"), st.none()),
        st.tuples(st.just("restore"), some_number),
        st.tuples(st.just("restore"), some_number),
        st.tuples(st.just("export_now"), st.sampled_from(SELECTIONS)),
        st.tuples(st.just("export_at"), st.tuples(st.sampled_from(SELECTIONS), some_number)),
    ),
    max_size=20,
)


class World:
    """A record that things happen to, and every export that was made of it.

    `made` holds them by selection and number, whatever history they are of: a number means one thing for ever.
    """

    def __init__(self, record):
        self.record = record
        self.actors = {name: begin_session(record.store, name, version="test") for name in ("ana", "bob")}
        self.frozen = {}
        self.uids = {}
        self.backups = []
        self.steps = 0

    @property
    def people(self):
        return {name: DecisionWriter(self.record.store, actor) for name, actor in self.actors.items()}

    def do(self, step, values):
        self.steps += 1
        # another annotator edited it, or decided about the edit
        with suppress(RecordError) if step not in {"back_up", "restore", "repair"} else nullcontext():
            getattr(self, step)(values)

    def take(self, values):
        pairs = [(1 + n % 3, n) for n in values["pairs"]]  # pairs of a missing image are refused
        take(self.record, values["images"], pairs, values["licenses"], seen=values["seen"])

    def judge(self, which):
        values = {
            "judge": f"j{self.steps}",
            "model": "m",
            "prompt_version": "1",
            "question": Question.PRESENT,
            "p": 0.5,
        }
        with self.record.store.write() as connection:
            insert_verdicts(connection, [NewVerdict(candidate_id=self.candidate(which), **values)])

    def decide(self, values):
        name, which, kind = values
        reason = Reason.SCOPE if kind is Kind.REJECT else None
        self.people[name].decide(self.candidate(which), kind, reason=reason)

    def edit(self, values):
        name, which = values
        self.people[name].edit(self.candidate(which), f"no dog at step {self.steps}")

    def undo(self, name):
        self.people[name].undo()

    def redo(self, name):
        self.people[name].redo()

    def bulk(self, values):
        name, kind = values
        ids = [row.id for row in self.rows("SELECT id FROM candidate WHERE id % 2 = 1")]
        reason = Reason.SCOPE if kind is Kind.REJECT else None
        decide_in_bulk(self.record.store, self.actors[name], ids, kind, reason)

    def repair(self, _):
        rebuild(self.record.store, [row.id for row in self.rows("SELECT id FROM candidate")])

    def back_up(self, _):
        self.backups.append(back_up(self.record.store.path).path)

    def restore(self, which):
        if not self.backups:
            return
        path = self.record.store.path
        self.note_uids()
        above = max([-1, *self.uids, *(at for _, at in self.frozen)])
        self.record.store.close()
        done = restore(path, self.backups[which % len(self.backups)], force=True)
        self.backups.append(done.before)
        self.record.store = open_store(path)
        self.actors = {name: begin_session(self.record.store, name, version="test") for name in ("ana", "bob")}
        with self.record.store.read() as connection:
            assert event_clock.next_seq(connection) > above
            assert event_clock.next_event_seq(connection) == done.next_event

    def note_uids(self):
        """Each event number has one event, in all histories together."""
        for row in self.rows("SELECT seq, uid FROM event"):
            assert self.uids.setdefault(row.seq, row.uid) == row.uid

    def exportable_numbers(self):
        """The numbers that can be exported: of events, and those that exports took."""
        taken = self.rows("SELECT first, last FROM event_gap WHERE cause = 'export'")
        replaced = self.rows("SELECT 1 FROM event_gap WHERE first = 0")
        numbers = {row.seq for row in self.rows("SELECT seq FROM event")} | ({0} if not replaced else set())
        return numbers.union(*(range(row.first, row.last + 1) for row in taken))

    def keep(self, selection, at, files):
        assert self.frozen.setdefault((selection, at), files) == files

    def export_at(self, values):
        selection, which = values
        exportable_numbers = sorted(self.exportable_numbers())
        if not exportable_numbers:
            return
        at, files = tree(self.record, selection, exportable_numbers[which % len(exportable_numbers)])
        if files is not None or newest(self.record) >= at:  # before it was ever exported, 0 may get more
            self.keep(selection, at, files)

    def compare(self):
        """Make each export again that is of this history; one of a replaced history is refused."""
        exportable_numbers = self.exportable_numbers()
        for (selection, at), files in self.frozen.items():
            if at in exportable_numbers:
                assert tree(self.record, selection, at) == (at, files)
            else:
                with pytest.raises(ExportRefused, match="replaced"):
                    self.record.freeze(selection=selection, at=at)

    def export_now(self, selection):
        """An export of now: it is the same by its number, and nothing that the record knows is missing."""
        at, files = tree(self.record, selection)
        if files is None:
            return
        self.keep(selection, at, files)
        name = f"now-{self.steps}"
        self.record.freeze(name, selection=selection, at=at)
        values = coco(self.record, name)
        known = {int(row.key): row for row in self.rows("SELECT * FROM image")}
        for image in values["images"]:
            row = known[image["id"]]
            assert image["file_name"] == row.file_name
            assert (image.get("width"), image.get("height")) == (row.width, row.height)
            assert image.get("license") == json.loads(row.extra or "{}").get("license")
        if selection is EVERYTHING:
            assert len(values["annotations"]) == len(self.rows("SELECT id FROM candidate"))

    def candidate(self, which):
        ids = [row.id for row in self.rows("SELECT id FROM candidate ORDER BY id")]
        return ids[which % len(ids)]

    def rows(self, statement):
        with self.record.store.read() as connection:
            return connection.execute(text(statement)).all()


@settings(max_examples=examples(25), deadline=None)
@given(first=imports, steps=steps)
def test_exports_of_one_event_are_equal_whatever_happens(new_record, first, steps):
    """GIVEN imports, verdicts, decisions, bulks, repairs, restores and exports in any order THEN each export can be
    made again, byte by byte, or is refused because a restore replaced its history.

    In the end every number that stands is exported, then everything comes in that can, and all of it is compared. Then
    every backup is restored, and all of it is compared again.
    """
    with new_record() as record, mock.patch.object(freezing, "sync"):
        world = World(record)
        take(record, {**dict.fromkeys((1, 2), ()), **first["images"]}, [(1, 12), (2, 13)])
        for step, values in steps:
            world.do(step, values)
        for selection in SELECTIONS:
            for at in range(len(world.exportable_numbers())):
                world.export_at((selection, at))
        for step, values in (("take", ALL_OF_IT), ("judge", 0), ("decide", ("bob", 0, Kind.ACCEPT))):
            world.do(step, values)
        world.compare()
        for which in range(len(world.backups)):
            world.restore(which)
            world.compare()
        world.note_uids()
        record.store.close()
