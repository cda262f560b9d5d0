"""`negwb bench make`: a benchmark from the record, and what it changes for exports, ablations and evaluations."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from support.clip_models import make_tiny
from support.commands import negwb
from support.labelled_workspace import is_true, make_labelled, negated_caption

from benchmarks.errors import BenchError
from benchmarks.frozen.folder import load_frozen
from curation_db.events.annotators import begin_session
from curation_db.events.state import Overlap
from curation_db.exporting.manifest import file_facts, read_items, read_manifest
from curation_db.review.decisions import DecisionWriter
from curation_db.review.overlaps import set_overlap
from curation_db.storage.store import open_store
from trainers.models.saving import save_model
from workbench.errors import NegwbError, NothingToDo, UsageError
from workbench.jobs.training.ablation import make_plan
from workbench.workspace.layout import Workspace
from workbench.workspace.operations import find_task, freeze_set

SMALL = ("--margin", 0.3)
"""Items that this margin needs: 8."""


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_labelled(tmp_path_factory.mktemp("labelled") / "ws").root


@pytest.fixture
def workspace(labelled: Path, tmp_path: Path) -> Workspace:
    """24 candidates, each of its own image; 12 are true, and two people agree on each."""
    shutil.copytree(labelled, tmp_path / "ws")
    return Workspace(tmp_path / "ws")


def make(workspace: Workspace, name: str = "quiz", *options: object) -> dict[str, Any]:
    done = negwb(workspace, "bench", "make", name, *SMALL, *options, "--json")
    assert done.exit_code == 0, done.exception
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed


def images_of(workspace: Workspace, name: str = "quiz") -> set[str]:
    manifest = json.loads((workspace.root / "benchmarks" / name / "manifest.json").read_text())
    return {each["key"] for each in manifest["images"].values()}


def exported_images(workspace: Workspace, name: str) -> set[str]:
    return {item.image_key for item in read_items(workspace.exports / name)}


def run_sql(workspace: Workspace, *statements: str) -> None:
    with open_store(workspace.database) as store, store.write() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_the_benchmark_holds_what_the_people_decided(workspace: Workspace) -> None:
    report = make(workspace)
    assert (report["item_count"], report["balanced"], report["needed"]) == (24, 24, 8)
    assert report["labels"] == {"negated": 12, "affirmed": 12, "people": 2, "adjudicated": 0}
    assert report["counts"]["cue"] == {"no": 12, "without": 12}
    assert set(report["baselines"]) >= {"longest caption", "no negation cue", "word n-grams", "first caption"}
    assert max(each["high"] for each in report["baselines"].values()) <= 0.8
    assert [each["discordant"] for each in report["power"]] == [0.1, 0.2, 0.3]
    assert report["limits"] == [
        "the affirmed captions are written by rule from the negated ones, and people decided about these only"
    ]
    folder = workspace.root / "benchmarks" / "quiz"
    assert report["path"] == str(folder)
    task = load_frozen(folder)
    assert len(task.items) == 24
    for item in task.items:
        number = int(item.id.removeprefix("small/g/"))
        negated = negated_caption(number)
        assert negated in item.captions
        assert (item.captions[item.target] == negated) == is_true(number)
        assert item.slices["truth"] == ("negated" if is_true(number) else "affirmed")
        original = workspace.root / "pictures" / f"p{number:03d}.png"
        assert (folder / item.image).read_bytes() == original.read_bytes()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["settings"]["votes"] == 2
    assert {len(each["events"]) for each in manifest["decisions"].values()} == {2}
    assert {each["votes"] for each in manifest["decisions"].values()} == {2}


def test_equal_records_and_seeds_give_equal_bytes(workspace: Workspace, labelled: Path, tmp_path: Path) -> None:
    shutil.copytree(labelled, tmp_path / "elsewhere")
    first, second = make(workspace), make(Workspace(tmp_path / "elsewhere"), "other-name")
    assert first["sha256"] == second["sha256"]
    assert make(workspace, "third", "--seed", 1)["sha256"] != first["sha256"]


def test_it_is_listed_run_and_reported_like_any_other(workspace: Workspace, tmp_path: Path) -> None:
    make(workspace, "quiz", "--items", 16)
    rows = {row["name"]: row for row in json.loads(negwb(workspace, "bench", "list", "--json").stdout)["tasks"]}
    assert (rows["quiz"]["items"], rows["quiz"]["ready"]) == (16, True)
    assert rows["quiz"]["summary"].startswith("from the record")
    assert "people decided about these only" in rows["quiz"]["caveats"][0]
    assert len(rows["quiz"]["caveats"]) == 4
    assert "a difference below 10.0 points is seldom found" in negwb(workspace, "bench", "list", "quiz").stdout
    save_model(make_tiny(), tmp_path / "tiny")
    done = negwb(workspace, "bench", "run", "quiz", "--model", tmp_path / "tiny", "--json")
    results = json.loads(done.stdout)["results"]
    assert {result["protocol"] for result in results} == {"official", "strict"}
    stored = json.loads(next((workspace.root / "results").glob("quiz.strict.*[0-9].json")).read_text())
    scores = stored["metrics"]
    assert scores["accuracy_on_negated_true"]["n"] == scores["accuracy_on_affirmed_true"]["n"] == 8
    assert "quiz" in negwb(workspace, "report").stdout


def test_a_copy_is_the_same_task_by_its_path(workspace: Workspace, tmp_path: Path) -> None:
    make(workspace)
    shutil.move(workspace.root / "benchmarks" / "quiz", tmp_path / "copy")
    task = find_task(workspace, str(tmp_path / "copy"))
    task.check_pictures()
    assert (task.name, len(task.items)) == ("copy", 24)
    refused = negwb(workspace, "bench", "run", tmp_path / "copy", "--pictures", tmp_path)
    assert isinstance(refused.exception, UsageError)


def test_a_changed_image_is_refused_before_a_model_is_loaded(workspace: Workspace) -> None:
    make(workspace)
    image = next((workspace.root / "benchmarks" / "quiz" / "images").iterdir())
    image.chmod(0o600)
    image.write_bytes(image.read_bytes()[:-1] + b"\0")
    refused = negwb(workspace, "bench", "run", "quiz", "--model", "none")
    assert isinstance(refused.exception, BenchError)
    assert "not the image of the benchmark" in refused.exception.message


def test_exports_leave_out_its_images(workspace: Workspace) -> None:
    before = make(workspace, "quiz", "--items", 8)
    inside = images_of(workspace)
    done = negwb(workspace, "export", "--state", "accepted", "--state", "rejected", "--json")
    report = json.loads(done.stdout)
    assert report["held_out_images"] == before["item_count"] == 8
    assert report["benchmark_pairs"] == {}
    assert freeze_set(workspace).counts.pairs == 8, "accepted ones by default"
    assert exported_images(workspace, "set-001") == {str(n) for n in range(1, 25)} - inside
    assert "without the 8 images of the record that benchmarks use: quiz 8" in done.stderr
    status = json.loads(negwb(workspace, "status", "--json").stdout)
    assert [(each["name"], each["stale"]) for each in status["exports"]] == [
        ("set-001", False),
        ("set-002", False),
    ]


def test_with_benchmarks_the_export_says_so(workspace: Workspace) -> None:
    make(workspace, "quiz", "--items", 8)
    done = negwb(workspace, "export", "all", "--with-benchmarks", "--json")
    report = json.loads(done.stdout)
    assert report["held_out_images"] == 0
    assert report["benchmark_pairs"] == {"quiz": 4}, "of its 8 candidates 4 are accepted"
    assert "held_out" not in report["selection"]
    assert "4 pairs on images of the benchmark quiz" in done.stderr
    assert len(exported_images(workspace, "all")) == 12


def test_images_of_equal_content_are_held_out(workspace: Workspace) -> None:
    make(workspace)
    digest = next(iter(load_frozen(workspace.root / "benchmarks" / "quiz").image_sha256.values()))
    run_sql(
        workspace,
        "INSERT INTO source(id, name) VALUES (2, 'later')",
        f"INSERT INTO image(id, source_id, key, file_name, content_sha256) VALUES (99, 2, 'x', 'x.png', x'{digest}')",
        "UPDATE candidate SET image_id = 99, source_id = 2 WHERE id = 1",
    )
    refused = negwb(workspace, "export")
    assert isinstance(refused.exception, NothingToDo)
    assert "outside the benchmarks" in refused.exception.message


def test_images_of_exports_are_left_out_of_a_benchmark(workspace: Workspace) -> None:
    """GIVEN an export with the 12 accepted pairs THEN the true side is lacking, and nothing is written."""
    negwb(workspace, "export")
    refused = negwb(workspace, "bench", "make", "quiz", *SMALL)
    assert isinstance(refused.exception, NothingToDo)
    assert not (workspace.root / "benchmarks").exists()
    report = make(workspace, "quiz", "--dry-run")
    assert report["possible"] is False
    assert report["omitted"] == {"exported": 12}
    assert report["usable"] == {"negated": 0, "affirmed": 12}
    shown = negwb(workspace, "bench", "make", "quiz", *SMALL, "--dry-run")
    assert shown.exit_code == 0
    assert "12 left out: images of exports can be used with --with-exported" in shown.stdout
    report = make(workspace, "quiz", "--with-exported")
    assert "the export set-001 has 12 of its images: models trained on it have seen them" in report["limits"]


def test_a_copy_of_an_exported_image_is_known_by_its_content(workspace: Workspace) -> None:
    """GIVEN an exported image, and a second entry of the same file whose hash the record does not have yet."""
    digest = file_facts(workspace.root / "pictures" / "p000.png").sha256
    run_sql(workspace, f"UPDATE image SET content_sha256 = x'{digest}' WHERE id = 1")
    negwb(workspace, "export")
    run_sql(
        workspace,
        "INSERT INTO image(id, source_id, key, file_name) VALUES (98, 1, 'other', 'p000.png')",
        "UPDATE candidate SET image_id = 98 WHERE id = 1",
    )
    assert make(workspace, "quiz", "--dry-run")["omitted"] == {"exported": 12}
    make(workspace, "quiz", "--with-exported")
    limits = json.loads((workspace.root / "benchmarks" / "quiz" / "manifest.json").read_text())["limits"]
    assert "the export set-001 has 12 of its images: models trained on it have seen them" in limits


def test_a_dry_run_writes_nothing_and_counts_what_is_lacking(workspace: Workspace) -> None:
    (workspace.root / "pictures" / "p000.png").unlink()
    changed = "0" * 64
    run_sql(workspace, f"UPDATE image SET content_sha256 = x'{changed}' WHERE id = 2")
    before = sorted(path for path in workspace.root.rglob("*") if "curation.db" not in path.name)
    report = make(workspace, "quiz", "--dry-run")
    assert report["omitted"] == {"no_image": 1, "changed_image": 1}
    assert report["usable"] == {"negated": 11, "affirmed": 11}
    assert (report["possible"], report["path"], report["sha256"]) == (True, None, None)
    after = sorted(path for path in workspace.root.rglob("*") if "curation.db" not in path.name)
    assert [path for path in after if path not in before and "cache" not in path.parts] == []
    shown = negwb(workspace, "bench", "make", "quiz", *SMALL, "--dry-run").stdout
    assert "left out: its image is not in the image folders" in shown
    assert f"quiz would have {report['item_count']} items, one per image" in shown


def test_too_few_votes_are_named(workspace: Workspace) -> None:
    refused = negwb(workspace, "bench", "make", "quiz", "--votes", 3, *SMALL)
    assert isinstance(refused.exception, NothingToDo)
    assert "0 items can be balanced; it takes 8" in refused.exception.message
    as_json = negwb(workspace, "bench", "make", "quiz", "--votes", 3, *SMALL, "--json")
    assert isinstance(as_json.exception, NothingToDo)
    assert json.loads(as_json.stdout)["lacking"] == refused.exception.message
    shown = negwb(workspace, "bench", "make", "quiz", "--votes", 3, "--dry-run").stdout
    assert "24 left out: let more people decide" in shown


def test_one_vote_is_named_as_a_limit(workspace: Workspace) -> None:
    """GIVEN three labels that only ana decided THEN they need --votes 1, and the benchmark counts them."""
    with open_store(workspace.database) as store:
        bob = DecisionWriter(store, begin_session(store, "bob", version="test"))
        for _ in range(3):
            bob.undo()
        set_overlap(store, range(1, 25), Overlap.parse("1"), actor="test")
    assert make(workspace, "quiz", "--dry-run")["omitted"] == {"too_few_votes": 3}
    report = make(workspace, "quiz", "--votes", 1)
    assert report["item_count"] == 24
    assert "3 of 24 labels are the decision of one person, checked by no other" in report["limits"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--quota", "cue=no"), "quota 'cue=no'"),
        (("--margin", "0"), "margin"),
        (("--items", "3"), "items"),
        (("--votes", "0"), "votes"),
    ],
)
def test_wrong_options(workspace: Workspace, options: tuple[str, ...], message: str) -> None:
    refused = negwb(workspace, "bench", "make", "quiz", *options)
    assert refused.exit_code != 0
    assert message in str(refused.exception) + refused.stderr


def test_quotas_are_kept(workspace: Workspace) -> None:
    report = make(workspace, "quiz", "--quota", "cue=no:4", "--quota", "concept=hat:0")
    assert report["counts"]["cue"]["no"] == 4
    assert report["item_count"] == 12


def test_names_that_are_taken(workspace: Workspace) -> None:
    make(workspace)
    for name in ("quiz", "valse", "negrefcocog"):
        refused = negwb(workspace, "bench", "make", name, *SMALL)
        assert isinstance(refused.exception, BenchError | UsageError), name


def test_a_folder_that_cannot_be_written_is_named(workspace: Workspace) -> None:
    (workspace.root / "benchmarks").touch()
    refused = negwb(workspace, "bench", "make", "quiz", *SMALL)
    assert isinstance(refused.exception, NegwbError)
    assert "benchmarks" in refused.exception.message


def test_a_damaged_benchmark_stops_exports_and_is_listed(workspace: Workspace) -> None:
    make(workspace)
    manifest = workspace.root / "benchmarks" / "quiz" / "manifest.json"
    manifest.chmod(0o600)
    manifest.write_text(manifest.read_text().replace('"key": "1"', '"key": "9"'))
    refused = negwb(workspace, "export")
    assert isinstance(refused.exception, BenchError)
    rows = {row["name"]: row for row in json.loads(negwb(workspace, "bench", "list", "--json").stdout)["tasks"]}
    assert "not as it was frozen" in rows["quiz"]["state"]
    assert rows["quiz"]["ready"] is False


def test_an_ablation_of_today_leaves_out_its_images(workspace: Workspace) -> None:
    make(workspace, "quiz", "--items", 8)
    plan = make_plan(workspace)
    assert [(arm.name, arm.pairs) for arm in plan.arms] == [("accepted", 8), ("present", 16)]
    negwb(workspace, "export")
    negwb(workspace, "export", "--with-benchmarks")
    assert make_plan(workspace).export == "set-001", "which leaves them out, too"


def test_an_ablation_of_an_older_export_is_refused_where_it_would_train_on_the_benchmark(workspace: Workspace) -> None:
    negwb(workspace, "export")
    make(workspace, "quiz", "--items", 8, "--with-exported")
    with pytest.raises(UsageError, match="4 pairs of the arm present are on images of a benchmark"):
        make_plan(workspace, "set-001")
    negwb(workspace, "export")
    assert [(arm.name, arm.pairs) for arm in make_plan(workspace, "set-002").arms] == [("accepted", 8), ("present", 16)]
    assert read_manifest(workspace.exports / "set-002").counts.pairs == 8
