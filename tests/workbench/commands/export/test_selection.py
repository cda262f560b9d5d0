"""`negwb export`: selection by query, votes, people and policies, without the images of benchmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from support.commands import negwb

from benchmarks.tasks import sugarcrepe
from curation_db.enums import Kind, Reason, Role
from curation_db.events.annotators import Actor, begin_session
from curation_db.exporting.manifest import read_items, read_manifest
from curation_db.review.candidates import Intake, NewCandidate, insert_candidates
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import open_store
from workbench.errors import NothingToDo, UsageError
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace

POLICY = "accept@0a1b2c3d4e5f"
NOT_IN = {"not_in_query": 1}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Twelve candidates of twelve images of COCO.

    1 to 4: two accepts; 5, 6: two accepts of three votes; 7, 8: one accept of zoe; 9, 10: accepted by a policy; 11:
    rejected; 12: open. Odd ones have the cue "no", even ones "without".
    """
    created = create_workspace(tmp_path / "ws")
    with open_store(created.database) as store:
        with store.write() as connection:
            connection.execute(text("INSERT INTO source(id, name) VALUES (1, 'coco')"))
            for n in range(1, 13):
                file = f"COCO_val2014_{n:012}.jpg"
                row = {"n": n, "file": file}
                connection.execute(text("INSERT INTO image(source_id, key, file_name) VALUES (1, :n, :file)"), row)
            drafts = [
                NewCandidate(
                    source_id=1,
                    key=f"g/{n}",
                    image_id=n,
                    raw_text=f"a dog with {'no' if n % 2 else 'but without a'} hat near number {n}",
                    concept="hat",
                    pipeline="P1",
                    generator="g",
                )
                for n in range(1, 13)
            ]
            insert_candidates(connection, drafts[:6], Intake(overlap="2+1", audit_rate=0.0))
            insert_candidates(connection, drafts[6:], Intake(audit_rate=0.0))
        ana, bob, zoe = (
            DecisionWriter(store, begin_session(store, name, version="test")) for name in ("ana", "bob", "zoe")
        )
        for n in range(1, 7):
            ana.decide(n, Kind.ACCEPT)
            bob.decide(
                n, *((Kind.ACCEPT,) if n <= 4 else (Kind.REJECT,)), **({} if n <= 4 else {"reason": Reason.SCOPE})
            )
        for n in (5, 6, 7, 8):
            zoe.decide(n, Kind.ACCEPT)
        DecisionWriter(store, Actor(POLICY, 0, Role.POLICY, "s")).decide_many([9, 10], Kind.ACCEPT)
        zoe.decide(11, Kind.REJECT, reason=Reason.PRESENT)
    return created


def exported(workspace: Workspace, *words: object) -> tuple[list[int], dict[str, Any], str]:
    """Return the numbers of the exported candidates, the report, and the lines on stderr."""
    done = negwb(workspace, "export", *words, "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    report = json.loads(done.stdout)
    items = read_items(Path(report["path"]))
    return sorted(int(item.key.removeprefix("g/")) for item in items), report, done.stderr


@pytest.mark.parametrize(
    ("words", "chosen", "left_out"),
    [
        ((), list(range(1, 11)), {}),
        (("--query", "cue:no"), [1, 3, 5, 7, 9], {"not_in_query": 5}),
        (("-q", f"by:{POLICY}"), [9, 10], {"not_in_query": 8}),
        (("-q", "by:ana -cue:no"), [2, 4, 6], {"not_in_query": 7}),
        (("--min-votes", "2"), [1, 2, 3, 4, 5, 6], {"too_few_votes": 4}),
        (("--min-agreement", "0.7"), [1, 2, 3, 4, 7, 8], {"too_little_agreement": 4}),
        (("--min-agreement", "0.6"), [1, 2, 3, 4, 5, 6, 7, 8], {"too_little_agreement": 2}),
        (("--person", "Zoe"), [5, 6, 7, 8], {"other_decider": 6}),
        (("--policy", "accept"), [9, 10], {"other_decider": 8}),
        (("--policy", POLICY, "--person", "bob"), [1, 2, 3, 4, 5, 6, 9, 10], {"other_decider": 2}),
        (("--without-auto", "--min-votes", "3", "-q", "no"), [5], {"policy_only": 2, "too_few_votes": 6} | NOT_IN),
        (("--state", "rejected", "--min-agreement", "1"), [11], {}),
        (("--state", "open", "--state", "accepted", "--min-votes", "3"), [5, 6], {"too_few_votes": 9}),
    ],
)  # fmt: skip
def test_pairs_are_selected_and_the_others_counted(
    workspace: Workspace, words: tuple[str, ...], chosen: list[int], left_out: dict[str, int]
) -> None:
    numbers, report, _ = exported(workspace, *words)
    assert numbers == chosen
    others = 12 - len(chosen) - sum(left_out.values())
    assert report["left_out"] == ({"other_state": others} if others else {}) | left_out
    manifest = read_manifest(Path(report["path"]))
    assert (manifest.selection, dict(manifest.left_out)) == (report["selection"], report["left_out"])
    again, repeated, _ = exported(workspace, "--again", report["name"])
    assert (again, repeated["selection"], repeated["left_out"]) == (chosen, report["selection"], report["left_out"])
    assert repeated["export_sha256"] == report["export_sha256"]


def test_a_selection_hides_the_names_of_annotators_and_is_stated(workspace: Workspace) -> None:
    _, report, stderr = exported(workspace, "set", "--query", "by:Zoe", "--person", "zoe")
    content = b"".join(path.read_bytes() for path in sorted(Path(report["path"]).iterdir()))
    assert b"zoe" not in content.lower()
    pseudonym = report["selection"]["deciders"][0]
    assert report["selection"]["query"] == f"by:{pseudonym}"
    assert "left out: 6 decided by others" in stderr
    assert f"decided by {pseudonym}" in negwb(workspace, "export-card", "set").stdout.replace("\\", "")


def test_status_compares_an_export_with_its_query_as_of_now(workspace: Workspace) -> None:
    exported(workspace, "odd", "--query", "cue:no state:accepted")
    exported(workspace, "zoe", "--person", "zoe")

    def drift() -> dict[str, tuple[int, int]]:
        rows = json.loads(negwb(workspace, "status", "--json").stdout)["exports"]
        return {row["name"]: (row["entered"], row["left"]) for row in rows}

    assert drift() == {"odd": (0, 0), "zoe": (0, 0)}
    with open_store(workspace.database) as store:
        zoe = DecisionWriter(store, begin_session(store, "zoe", version="test"))
        zoe.decide(7, Kind.REJECT, reason=Reason.SCOPE)
        zoe.decide(11, Kind.ACCEPT)
        zoe.decide(12, Kind.ACCEPT)
    assert drift() == {"odd": (1, 1), "zoe": (2, 1)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--query", "cue:"), "has no value"),
        (("--query", "by:nora"), "no by:nora in this record"),
        (("--query", "sort:newest"), "has no term"),
        (("--person", "nora"), "no annotator is called 'nora'"),
        (("--policy", "nora"), "no policy 'nora'"),
        (("--query", "state:accepted", "--at", "3"), "its answer is that of the record of now"),
        (("--again", "none"), "none"),
        (("--again", "set", "--min-votes", "2"), "repeats a selection as it is"),
    ],
)
def test_an_unknown_selection_is_refused(workspace: Workspace, words: tuple[str, ...], message: str) -> None:
    exported(workspace, "set")
    done = negwb(workspace, "export", *words)
    assert isinstance(done.exception, UsageError)
    assert message in done.exception.message
    assert [path.name for path in workspace.exports.iterdir()] == ["set"]


def test_an_empty_selection_says_what_it_was(workspace: Workspace) -> None:
    done = negwb(workspace, "export", "--min-votes", "9", "--query", "cue:no")
    assert isinstance(done.exception, NothingToDo)
    assert "with 9 votes" in done.exception.message
    assert "cue:no" in done.exception.message
    assert exported(workspace, "--query", "cue:no", "--at", "2")[0] == [1]


def add_sugarcrepe(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, images: list[str]) -> None:
    folder = workspace.root / "benchmarks" / "sugarcrepe"
    folder.mkdir(parents=True)
    monkeypatch.setattr(sugarcrepe, "ITEMS", {"add_att": len(images)})
    rows = {
        str(n): {"filename": name, "caption": f"a dog {n}", "negative_caption": f"a cat {n}"}
        for n, name in enumerate(images)
    }
    (folder / "add_att.json").write_text(json.dumps(rows))


def test_images_of_registered_tasks_are_left_out_by_their_coco_number(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN the published file of a task WHEN pairs are exported THEN images of another split and name are found."""
    add_sugarcrepe(workspace, monkeypatch, [f"{n:012}.jpg" for n in (2, 3, 3, 400)])
    numbers, report, stderr = exported(workspace)
    assert numbers == [1, *range(4, 11)]
    assert (report["left_out"]["benchmark_image"], report["held_out_images"]) == (2, 2)
    assert (report["benchmarks"]["sugarcrepe-add-att"], report["benchmarks"]["sugarcrepe"]) == (2, 2)
    assert report["benchmarks"]["ccneg"] is None
    assert report["benchmarks"]["sugarcrepe-add-obj"] is None  # its file is missing
    assert "without the 2 images of the record that benchmarks use: sugarcrepe 2, sugarcrepe-add-att 2" in stderr
    missing = next(line for line in stderr.splitlines() if "their files are not in benchmarks/" in line)
    assert "aro, beaf, ccneg" in missing
    assert "sugarcrepe" in missing  # the files of its other parts
    assert exported(workspace, "--again", report["name"])[0] == numbers
    kept, whole, warning = exported(workspace, "--keep-benchmark-images")
    assert (kept, whole["benchmark_pairs"]["sugarcrepe"]) == (list(range(1, 11)), 2)
    assert whole["benchmarks"] == {}
    assert "2 pairs on images of the benchmark sugarcrepe" in warning


def test_a_damaged_task_file_is_not_known(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    add_sugarcrepe(workspace, monkeypatch, ["000000000002.jpg"])
    (workspace.root / "benchmarks" / "sugarcrepe" / "add_att.json").write_text("{")
    numbers, report, _ = exported(workspace)
    assert (numbers, report["benchmarks"]["sugarcrepe-add-att"]) == (list(range(1, 11)), None)


def test_equal_file_names_are_one_image_unless_the_files_differ(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {1: "cat.jpg", 2: "hat.jpg", 3: "mat.jpg", 4: "rat.jpg"}
    with open_store(workspace.database) as store, store.write() as connection:
        for n, name in names.items():
            connection.execute(text("UPDATE image SET file_name = :name WHERE id = :n"), {"n": n, "name": f"x/{name}"})
        stated = {"digest": bytes.fromhex("ab" * 32)}
        connection.execute(text("UPDATE image SET content_sha256 = :digest WHERE id = 4"), stated)
    add_sugarcrepe(workspace, monkeypatch, list(names.values()))
    ours, theirs = workspace.root / "pictures" / "x", workspace.root / "benchmarks" / "sugarcrepe" / "val2017"
    for folder, contents in ((ours, ("one", "two", None)), (theirs, ("one", "other", "three", "four"))):
        folder.mkdir(parents=True)
        for name, content in zip(names.values(), contents, strict=False):
            if content is not None:
                (folder / name).write_text(content)
    workspace.settings.write_text('[pictures]\ncoco = ["pictures"]\n')
    numbers, report, _ = exported(workspace)
    assert numbers == [2, 4, *range(5, 11)]  # 1: equal files, 3: a file is missing; 2 and 4 differ
    assert report["benchmarks"]["sugarcrepe-add-att"] == 2
