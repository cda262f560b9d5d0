"""`negwb report --publish`: every file against its schema, its figures against the results, and files of others."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.json_schema import problems
from support.results import HOSTILE, build_workspace, fill_results, make_result, make_run
from typer.testing import CliRunner

from benchmarks.analysis.comparison import compare
from benchmarks.results import read, read_items, write
from trainers.run_files import DONE, RunWriter
from workbench.cli import app
from workbench.errors import UsageError
from workbench.reports.publish.cautions import CautionKind, cautions
from workbench.reports.publish.folder import RECORD
from workbench.reports.publish.models import portable_name
from workbench.workspace.layout import Workspace

SCHEMAS = Path(__file__).parent / "every_eval_ever"
LOG = json.loads((SCHEMAS / "eval.schema.json").read_text(encoding="utf-8"))
INSTANCE = json.loads((SCHEMAS / "instance_level_eval.schema.json").read_text(encoding="utf-8"))
HOSTILE_NAME = f"../{HOSTILE}\n---\nlicense: mit | \U0001f600\uffff"
TUNED = "models/me/tuned/README.md"


def publish(workspace: Workspace, folder: Path, *words: str) -> Any:
    return CliRunner().invoke(app, ["-w", str(workspace.root), "report", "--publish", str(folder), *words])


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fill(workspace: Workspace) -> None:
    """Two models on three tasks, one with both protocols; a broken model, a hostile name, and a run."""
    fill_results(workspace)
    make_result(workspace, "demo-negref", HOSTILE_NAME, [True] * 20, text=HOSTILE_NAME + "\ud83d")
    make_result(workspace, "=/../con", "hf-hub:other/ViT", [True, False])
    broken = make_result(workspace, "demo-negref", "broken", [False] * 20)
    rows: list[Any] = [{**row, "scores": [None, None], "pred": None} for row in broken.items()]
    changed: Any = {**broken.result, "nan": 20}
    write(broken.path.parent, changed, rows)
    digest = make_result(workspace, "demo-affirm", "tuned", [True] * 20).result["model"]["hash"]
    run = make_run(workspace, "tuned")
    RunWriter(run).end(DONE, {"steps": 40, "model": {"model_hash": digest}})


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    created = build_workspace(tmp_path_factory.mktemp("publish") / "ws")
    fill(created)
    return created


@pytest.fixture(scope="module")
def publication(workspace: Workspace) -> tuple[Path, str]:
    """The published folder and the output."""
    folder = workspace.root / "out" / "publication"
    done = publish(workspace, folder, "--owner", "me", "--hub-dataset", "demo-negref=org/set:task@0123abcd")
    assert done.exit_code == 0, done.output
    return folder, done.stdout


def logs_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in sorted((folder / "data").rglob("*.json"))]


def instances_of(folder: Path, log: dict[str, Any]) -> list[dict[str, Any]]:
    lines = (folder / log["detailed_evaluation_results"]["file_path"]).read_text(encoding="utf-8")
    return [json.loads(line) for line in lines.splitlines()]


def test_the_records_follow_the_schemas_of_every_eval_ever(publication: tuple[Path, str]) -> None:
    logs = logs_of(publication[0])
    assert len(logs) == 11
    for log in logs:
        assert list(problems(log, LOG, LOG)) == []
        lines = instances_of(publication[0], log)
        samples = log["detailed_evaluation_results"]
        data = (publication[0] / samples["file_path"]).read_bytes()
        assert (samples["total_rows"], samples["checksum"]) == (len(lines), hashlib.sha256(data).hexdigest())
        for line in lines:
            assert list(problems(line, INSTANCE, INSTANCE)) == []
            assert (line["evaluation_id"], line["model_id"]) == (log["evaluation_id"], log["model_info"]["id"])
        assert (publication[0] / samples["file_path"].replace("_samples.jsonl", ".json")).is_file()


def test_the_schema_check_of_the_tests_finds_faults(publication: tuple[Path, str]) -> None:
    log = next(iter(logs_of(publication[0])))
    changes: list[Callable[[dict[str, Any]], object]] = [
        lambda log: log.update(extra=1),
        lambda log: log.pop("eval_library"),
        lambda log: log["evaluation_results"][0]["source_data"].update(source_type="url"),
        lambda log: log["evaluation_results"][0]["metric_config"].pop("min_score"),
        lambda log: log["evaluation_results"][0]["score_details"]["details"].update(n=5),
        lambda log: log["detailed_evaluation_results"].update(file_path="data/a/b/c/d_samples.jsonl"),
    ]
    for change in changes:
        changed = json.loads(json.dumps(log))
        change(changed)
        assert list(problems(changed, LOG, LOG)), change


def test_a_record_has_the_figures_and_answers_of_its_result(
    workspace: Workspace, publication: tuple[Path, str]
) -> None:
    (log,) = [
        log
        for log in logs_of(publication[0])
        if log["evaluation_results"][0]["evaluation_name"] == "demo-negref.strict"
        and log["model_info"]["id"] == "me/tuned"
    ]
    (result,) = log["evaluation_results"]
    details = result["score_details"]
    interval = details["uncertainty"]["confidence_interval"]
    stored = next(
        read(path) for path in (workspace.root / "results").glob("demo-negref.*.json") if '"tuned"' in path.read_text()
    )
    score = stored.result["metrics"]["accuracy"]
    assert (details["score"], interval["lower"], interval["upper"]) == (score["value"], score["low"], score["high"])
    assert details["uncertainty"]["num_samples"] == 20
    assert float(details["details"]["difference from base"]) == pytest.approx(13 / 20)
    assert log["source_metadata"]["evaluator_relationship"] == "first_party"
    assert result["source_data"]["hf_repo"] == "org/set"
    lines, items = instances_of(publication[0], log), read_items(stored.items_path)
    assert [line["evaluation"]["is_correct"] for line in lines] == [row["correct"] for row in items]
    assert lines[17]["input"]["reference"] == ["[5, 5, 40, 50]"]
    assert lines[17]["answer_attribution"][0]["extracted_value"] == "[55, 5, 40, 50]"
    assert lines[17]["input"]["raw"] == "image: s17.png\ntext: no hat on dog 17"


def test_a_metric_beside_the_main_one_has_its_own_answers(tmp_path: Path) -> None:
    workspace = build_workspace(tmp_path / "ws")
    first = make_result(workspace, "pictures-t2i", "base", [True, False, False])
    rows: list[Any] = [
        {**row, "rank": rank, "options": ["a", "b"]} for row, rank in zip(first.items(), (1, 4, 9), strict=True)
    ]
    one, two = (
        first.result["metrics"]["accuracy"],
        {**first.result["metrics"]["accuracy"], "correct": 2, "value": 2 / 3},
    )
    two["high"] = 1.0
    task = {**first.result["task"], "kind": "retrieval"}
    first.path.unlink()
    changed: Any = {**first.result, "task": task, "metrics": {"recall_at_1": one, "recall_at_5": two}}
    write(first.path.parent, changed, rows)
    assert publish(workspace, tmp_path / "out").exit_code == 0
    (log,) = logs_of(tmp_path / "out")
    assert list(problems(log, LOG, LOG)) == []
    lines = instances_of(tmp_path / "out", log)
    by_metric = {
        name: [line["evaluation"]["is_correct"] for line in lines if line["evaluation_result_id"].endswith(f"#{name}")]
        for name in ("recall_at_1", "recall_at_5")
    }
    assert by_metric == {"recall_at_1": [True, False, False], "recall_at_5": [True, True, False]}
    assert {line["input"]["raw"] for line in lines} == {
        "text: dog 0 without a hat",
        "text: no hat on dog 1",
        "text: dog 2 without a hat",
    }


def test_a_result_with_nan_is_in_no_field_without_a_remark(publication: tuple[Path, str]) -> None:
    folder, output = publication
    card = (folder / "models/me/broken/README.md").read_text(encoding="utf-8")
    assert "20 of 20 items have a score that is NaN" in card
    assert "model-index" not in card
    assert not (folder / "models/me/broken/.eval_results").exists()
    assert "nan: 1" in output
    (log,) = [log for log in logs_of(folder) if log["model_info"]["id"] == "me/broken"]
    assert "NaN" in log["evaluation_results"][0]["score_details"]["details"]["caution: nan"]
    assert {line["error"] for line in instances_of(folder, log)} == {"a score is NaN"}


@pytest.mark.parametrize("fault", ["simulated", "blind"])
def test_the_score_of_a_judge_that_sees_nothing_is_blocked(tmp_path: Path, fault: str) -> None:
    workspace = build_workspace(tmp_path / "ws")
    stored = make_result(workspace, "simpleneg", "base", [True, False])
    report = compare(workspace.root / "results")
    judge: Any = {"name": "scripted", "simulated": False, "blind": False}
    sound, faulty = ({**stored.result, "judge": each} for each in (judge, judge | {fault: True}))
    assert not any(each.blocks for each in cautions(report.rows[0], report, sound))
    assert [each.kind for each in cautions(report.rows[0], report, faulty) if each.blocks] == [CautionKind.JUDGE]


def test_a_task_that_the_model_was_trained_on_is_left_out_or_has_a_caution(tmp_path: Path) -> None:
    workspace = build_workspace(tmp_path / "ws")
    make_result(workspace, "clean-negref", "base", [True, False])
    stored = make_result(workspace, "demo-negref", "base", [True, False])
    overlap = {"runs": ["r"], "training_images": 9, "images": 1, "by_id": 1, "by_content": 0, "items": 1}
    rewrite: Any = {**stored.result, "overlap": overlap}
    stored.path.write_text(json.dumps(rewrite))
    hidden = publish(workspace, tmp_path / "hidden", "--hub-dataset", "clean-negref=org/set")
    assert "demo-negref of base is left out: trained on 1 of its 2 images" in hidden.stdout
    assert "demo-negref (left out of the results)" in card_of(tmp_path / "hidden", "base")
    assert {log["evaluation_results"][0]["source_data"]["dataset_name"] for log in logs_of(tmp_path / "hidden")} == {
        "clean-negref"
    }
    assert (
        publish(workspace, tmp_path / "shown", "--allow-overlap", "--hub-dataset", "demo-negref=org/set").exit_code == 0
    )
    assert len(logs_of(tmp_path / "shown")) == 2
    before, _, after = card_of(tmp_path / "shown", "base").partition("## Before you cite a figure")
    assert "trained on 1 of its 2 images" in after
    assert "demo-negref" not in before
    assert not list((tmp_path / "shown").glob("models/*/*/.eval_results"))


def card_of(folder: Path, model: str) -> str:
    return (folder / "models/local" / model / "README.md").read_text(encoding="utf-8")


def test_a_task_with_two_data_sets_is_on_no_leaderboard(tmp_path: Path) -> None:
    workspace = build_workspace(tmp_path / "ws")
    stored = make_result(workspace, "demo-affirm", "base", [True, False])
    other: Any = {**stored.result, "task": {**stored.result["task"], "dataset_sha256": "0" * 64}}
    write(stored.path.parent, other, stored.items())
    assert publish(workspace, tmp_path / "out", "--hub-dataset", "demo-affirm=org/set").exit_code == 0
    assert len(logs_of(tmp_path / "out")) == 2
    assert not list((tmp_path / "out").glob("models/*/*/.eval_results"))


def test_an_undecided_difference_is_stated(publication: tuple[Path, str]) -> None:
    card = (publication[0] / TUNED).read_text(encoding="utf-8")
    before, _, cautions = card.partition("## Before you cite a figure")
    assert "no significant difference from base" in cautions.partition("## Results")[0]
    assert before.count("license:") == 0


def test_scores_for_a_leaderboard_need_a_named_data_set(publication: tuple[Path, str]) -> None:
    yaml, hub = pytest.importorskip("yaml"), pytest.importorskip("huggingface_hub")
    files = sorted(publication[0].glob("models/*/*/.eval_results/*"))
    assert {file.name for file in files} == {"demo-negref.yaml"}
    entries = hub.parse_eval_result_entries(
        yaml.safe_load((publication[0] / TUNED).with_name(".eval_results").joinpath("demo-negref.yaml").read_text())
    )
    assert [(each.dataset_id, each.task_id, each.dataset_revision, each.value) for each in entries] == [
        ("org/set", "task", "0123abcd", 85.0)
    ]
    assert "demo-affirm" in publication[1]


def test_the_hub_reads_the_metadata_of_every_card(publication: tuple[Path, str]) -> None:
    hub = pytest.importorskip("huggingface_hub")
    cards = sorted(publication[0].glob("models/*/*/README.md"))
    assert len(cards) == 5
    for path in cards:
        card = hub.ModelCard(path.read_text(encoding="utf-8"))
        assert card.data.to_dict().get("license") is None
        assert card.data.library_name == "open_clip"
    tuned = hub.ModelCard((publication[0] / TUNED).read_text(encoding="utf-8")).data.eval_results
    assert {(each.dataset_name, each.metric_value) for each in tuned} == {
        ("demo-affirm", 1.0),
        ("demo-negref", 0.85),
        ("negrefcocog", 0.5),
    }


def test_a_repeated_publication_is_equal_and_removes_what_is_gone(tmp_path: Path) -> None:
    workspace, folder = build_workspace(tmp_path / "ws"), tmp_path / "out"
    make_result(workspace, "demo-negref", "base", [True, False])
    gone = make_result(workspace, "demo-negref", "gone", [True, False])
    assert publish(workspace, folder).exit_code == 0
    first = content_of(folder)
    assert publish(workspace, folder).exit_code == 0
    assert content_of(folder) == first
    gone.path.unlink()
    make_result(workspace, "demo-negref", "base", [True, True])
    (folder / "note.txt").write_text("mine")
    assert publish(workspace, folder).exit_code == 0
    assert not (folder / "models/local/gone").exists()
    files = content_of(folder)
    assert files.pop("note.txt") == b"mine"
    assert files.keys() == {RECORD, *json.loads(files[RECORD])["files"]}
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize("name", [RECORD, "models/local/base/README.md", "models", "models/local"])
def test_a_file_of_somebody_else_is_not_overwritten(tmp_path: Path, name: str) -> None:
    workspace, folder = build_workspace(tmp_path / "ws"), tmp_path / "out"
    make_result(workspace, "demo-negref", "base", [True, False])
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("mine")
    assert isinstance(publish(workspace, folder).exception, UsageError)
    assert content_of(folder) == {name: b"mine"}


def test_a_changed_card_and_a_link_are_not_overwritten(tmp_path: Path) -> None:
    workspace, folder = build_workspace(tmp_path / "ws"), tmp_path / "out"
    make_result(workspace, "demo-negref", "base", [True, False])
    assert publish(workspace, folder).exit_code == 0
    card = folder / "models/local/base/README.md"
    card.write_text(card.read_text() + "by hand\n")
    make_result(workspace, "demo-negref", "base", [True, True])
    before = content_of(folder)
    assert isinstance(publish(workspace, folder).exception, UsageError)
    assert content_of(folder) == before
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "data").symlink_to(tmp_path / "elsewhere")
    assert isinstance(publish(workspace, tmp_path / "linked").exception, UsageError)
    assert content_of(tmp_path / "elsewhere") == {}


def test_a_hostile_record_removes_nothing_outside(tmp_path: Path) -> None:
    workspace, folder = build_workspace(tmp_path / "ws"), tmp_path / "out"
    make_result(workspace, "demo-negref", "base", [True, False])
    assert publish(workspace, folder).exit_code == 0
    victim = tmp_path / "victim"
    victim.write_text("mine")
    record = json.loads((folder / RECORD).read_text())
    digest = hashlib.sha256(b"mine").hexdigest()
    record["files"] |= {"../victim": digest, str(victim): digest}
    (folder / RECORD).write_text(json.dumps(record))
    assert publish(workspace, folder).exit_code == 0
    assert victim.read_text() == "mine"


@pytest.mark.parametrize(
    "words",
    [
        ("--json",),
        ("--owner", "a/b"),
        ("--hub-dataset", "demo-negref=nothing"),
        ("--hub-dataset", "no-such-task=org/set"),
    ],
)
def test_wrong_options_write_nothing(workspace: Workspace, tmp_path: Path, words: tuple[str, ...]) -> None:
    assert isinstance(publish(workspace, tmp_path / "out", *words).exception, UsageError)
    assert not list(tmp_path.iterdir())


def test_models_of_one_name_have_their_own_folders(tmp_path: Path) -> None:
    workspace = build_workspace(tmp_path / "ws")
    for model in ("a model", "A-Model"):
        make_result(workspace, "demo-negref", model, [True, False])
    assert publish(workspace, tmp_path / "out").exit_code == 0
    assert len({path.name.casefold() for path in (tmp_path / "out/models/local").iterdir()}) == 2


@pytest.mark.parametrize("name", ["", "..", "data", "CON", "con.txt", "unknown", "a/b\\c", "ä:b", ".hidden", "x" * 300])
def test_a_portable_name_is_accepted_everywhere(name: str) -> None:
    portable = portable_name(name)
    assert portable.isascii()
    assert 0 < len(portable) <= 81
    assert not set('/<>:"\\|?*') & set(portable)
    assert portable.casefold() not in {"data", "con", "con.txt", "unknown"}
    assert portable.strip(".") == portable


def test_the_writer_imports_no_library_of_the_hub() -> None:
    code = "import sys, workbench.reports.publish.publication; print({'yaml', 'huggingface_hub'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
