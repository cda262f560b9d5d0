"""`negwb sweep-alpha` on a run of the tiny model, with its validation pairs and with tasks."""

from __future__ import annotations

import json

import pytest
from support.commands import negwb
from support.loops import make_workspace

from trainers.loop.finetune import run_training
from trainers.models.loading import load_model
from trainers.run_files import read_run
from trainers.settings import read_config
from workbench.errors import UsageError
from workbench.jobs.training.runs import prepare_run
from workbench.workspace.layout import Workspace
from workbench.workspace.models import find_model

SETTINGS = {"batch": 4, "steps": 6, "lr": 1e-2, "threads": 1, "keep": "last"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with the runs mine and plain, which has no validation pairs, and two tasks."""
    created = make_workspace(tmp_path_factory.mktemp("sweep"))
    tiny = str(created.root.parent / "tiny")
    for name, share in (("mine", 0.3), ("plain", 0.0)):
        settings = {**SETTINGS, "val_share": share}
        run_training(prepare_run(created, "set-001", model=tiny, name=name, settings=settings))
    for name, word in (("mini-negref", "no "), ("mini-affirm", "")):
        captions = [{"image": f"p{n:03}.png", "text": f"a dog with {word}hat {n}"} for n in range(8)]
        task = {"images": [caption["image"] for caption in captions], "captions": captions}
        (created.root / "pictures" / f"{name}.json").write_text(json.dumps(task))
    return created


def _tasks(workspace: Workspace) -> list[object]:
    folder = workspace.root / "pictures"
    return ["--task", folder / "mini-negref.json", "--task", folder / "mini-affirm.json"]


def test_the_curve_runs_from_the_base_to_the_run(workspace: Workspace) -> None:
    done = negwb(workspace, "sweep-alpha", "mine", "--step", "0.5", *_tasks(workspace), "--json")
    report = json.loads(done.stdout)
    assert (report["run"], report["base"], report["saved"]) == ("mine", "tiny", None)
    assert [point["alpha"] for point in report["points"]] == [0.0, 0.5, 1.0]
    result = read_run(workspace.root / "runs" / "mine").result
    assert report["points"][0]["validation"] == pytest.approx(result["validation_base"], rel=1e-6)
    assert report["points"][2]["validation"] == pytest.approx(result["validation"], rel=1e-6)
    assert report["points"][0]["tasks"].keys() == {"mini-negref", "mini-affirm"}
    assert report["points"][0]["tasks"]["mini-negref"]["n"] == 8
    assert not (workspace.root / "results").exists(), "points of a curve are no results"


@pytest.mark.long
def test_scores_at_the_ends_are_those_of_bench_run(workspace: Workspace) -> None:
    swept = json.loads(negwb(workspace, "sweep-alpha", "plain", "--step", "1", *_tasks(workspace), "--json").stdout)
    tasks = _tasks(workspace)[1::2]
    models = ("--model", workspace.root.parent / "tiny", "--model", "plain", "--protocol", "strict", "--no-corrections")
    results = json.loads(negwb(workspace, "bench", "run", *tasks, *models, "--json").stdout)["results"]
    try:
        expected = [result["metrics"]["recall_at_1"]["value"] for result in results]
    finally:
        for path in (workspace.root / "results").iterdir():
            path.unlink()
        (workspace.root / "results").rmdir()
    assert [score["value"] for point in swept["points"] for score in point["tasks"].values()] == expected


def test_the_table_and_the_plot(workspace: Workspace) -> None:
    done = negwb(workspace, "sweep-alpha", "plain", "--step", "0.5", *_tasks(workspace))
    lines = done.stdout.splitlines()
    assert lines[1].split() == ["alpha", "mini-negref", "%", "mini-affirm", "%"]
    assert [line.split()[:2] for line in lines[2:5]] == [["0", "0"], ["1", "0.5"], ["2", "1"]]
    assert "mini-negref, %" in lines
    assert lines[-1].endswith("mini-affirm, %")


def test_one_alpha_is_saved_as_a_model_for_every_command(workspace: Workspace) -> None:
    done = negwb(workspace, "sweep-alpha", "mine", "--step", "1", "--save", "0.3", "--json")
    report = json.loads(done.stdout)
    assert report["saved"] == "mine-alpha-0.3"
    assert [point["alpha"] for point in report["points"]] == [0.0, 0.3, 1.0]
    folder = workspace.root / "runs" / "mine-alpha-0.3"
    assert (
        load_model(find_model(workspace, "mine-alpha-0.3").spec).model_hash
        == (read_run(folder).result["model"]["model_hash"])
    )
    assert read_run(folder).result["validation"] == report["points"][1]["validation"]
    assert read_config(folder).settings.interpolation == 0.3
    again = negwb(workspace, "sweep-alpha", "mine", "--save", "0.3")
    assert isinstance(again.exception, UsageError)
    assert "exists already" in again.exception.message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none",), "there is no run"),
        (("plain",), "no validation pairs"),
        (("mine", "--step", "0"), "--step must be"),
        (("mine", "--step", "nan"), "--step must be"),
        (("mine", "--save", "0"), "--save must be"),
        (("mine", "--name", "x"), "--name needs --save"),
        (("mine", "--save", "0.5", "--name", "../x"), "invalid run name"),
        (("mine", "--task", "unknown"), "there is no benchmark"),
    ],
)
def test_refusals(workspace: Workspace, words: tuple[str, ...], message: str) -> None:
    done = negwb(workspace, "sweep-alpha", *words)
    assert isinstance(done.exception, UsageError)
    assert message in done.exception.message


def test_a_routed_and_an_unfinished_run_are_refused(workspace: Workspace) -> None:
    negwb(workspace, "model", "route", "plain")
    routed = negwb(workspace, "sweep-alpha", "plain-routed")
    prepare_run(workspace, "set-001", model=str(workspace.root.parent / "tiny"), name="new")
    new = negwb(workspace, "sweep-alpha", "new")
    assert "routed" in str(routed.exception)
    assert "not finished" in str(new.exception)
