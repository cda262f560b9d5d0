"""`negwb demo --auto` as a process, with few images and few steps."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.results import make_result

from benchmarks.results import StoredResult, list_results
from curation_db.exporting.manifest import ExportItem, read_items, read_manifest, verify
from curation_db.search.overview import last_seq
from curation_db.storage.store import open_read_only
from trainers.run_files import TrainingStatus, read_metrics, read_run
from trainers.settings import read_config
from workbench.demo.build import DemoFiles, DemoSize, build_demo
from workbench.demo.experiment.exam_files import AFFIRM, FIND, NEGREF, TWINS
from workbench.demo.experiment.experiments import ALL, TUNED
from workbench.demo.experiment.finetune_recipe import RECIPE
from workbench.demo.experiment.loop import DemoPlan, figures, make_plan
from workbench.demo.simulation.annotator import read_truth
from workbench.errors import UsageError
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace

SMALL = DemoSize(pictures=40, pool=60, scenes=60, gallery=20)
PICTURES = ("--pictures", SMALL.pictures)
"""Also the size of the worlds of automatic acceptance."""
COUNTS = {"candidates", "accepted", "rejected", "judge_errors_caught", "judge_error_rate"}
ARMS = {"base", "tuned", "trained_on_all"}
KEYS = COUNTS | ARMS | {"export_sha256", "curation_gain", "second_looks", "auto", "seconds"}


def build(folder: Path, *, steps: int = 20) -> Path:
    """Build a demo workspace with a short training recipe."""
    workspace = build_demo(folder, size=SMALL, progress=lambda *_: None)
    words = workspace.settings.read_text(encoding="utf-8")
    for name, value in (("steps", steps), ("hard_pictures", 8)):
        usual = f"\n{name} = {RECIPE[name]}\n"
        assert usual in words
        words = words.replace(usual, f"\n{name} = {value}\n")
    workspace.settings.write_text(f"{words}checkpoint_every = 20\n", encoding="utf-8")
    return folder


def negwb(*words: str | Path | int) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("negwb")), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=1200, check=False)


def json_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A demo that ran unattended because there is no terminal; tests do not change it."""
    folder = build(tmp_path_factory.mktemp("demo") / "one")
    return folder, negwb("demo", folder, *PICTURES)


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A demo in which the script decided all candidates."""
    folder = build(tmp_path_factory.mktemp("decided") / "one")
    return folder, negwb("demo", folder, *PICTURES, "--decide")


@pytest.fixture(scope="module")
def plan(decided: tuple[Path, object]) -> DemoPlan:
    """The exports and run folders of the two experiments, without trainings."""
    folder, _ = decided
    with open_read_only(folder / "curation.db") as store, store.read() as connection:
        event = last_seq(connection)
    return make_plan(Workspace(folder), event=event, experiments=[TUNED, ALL], seeds=1)


def test_the_script_decides_all_candidates_by_the_ground_truth(decided) -> None:
    folder, done = decided
    output = json_of(done)
    assert output.keys() == COUNTS
    check_decisions(folder, output)


def test_the_experiments_train_on_what_was_accepted_and_on_everything(decided, plan: DemoPlan) -> None:
    folder, done = decided
    check_training_data(folder, {**json_of(done), "export_sha256": plan.export.export_sha256})


def test_the_figures_count_the_items_and_pair_them_for_the_gain(plan: DemoPlan, tmp_path: Path) -> None:
    """The trained models differ on 3 of 20 denied phrases: 2 for the tuned one, 1 against it."""
    stored = create_workspace(tmp_path / "results")
    right = {"base": {2}, "tuned": {0, 1, 2, 3}, "trained-on-all": {0, 1, 4}}
    results = {
        model: {
            NEGREF: make_result(stored, NEGREF, model, [at in items for at in range(20)]),
            AFFIRM: make_result(stored, AFFIRM, model, [True] * 19 + [model != "tuned"]),
            FIND: make_result(stored, FIND, model, [True, False]),
            TWINS: make_result(stored, TWINS, model, [False] * 4),
        }
        for model, items in right.items()
    }
    output = figures(plan, results)
    gain = output.pop("curation_gain")
    assert output == {
        "base": {"negref": 5.0, "affirm": 100.0, "retrieval_r1": 50.0, "twins": 0.0},
        "tuned": {"negref": 20.0, "affirm": 95.0, "retrieval_r1": 50.0, "twins": 0.0},
        "trained_on_all": {"negref": 15.0, "affirm": 100.0, "retrieval_r1": 50.0, "twins": 0.0},
    }
    assert gain["mean"] == 5.0
    assert -15 <= gain["low"] < 0 < gain["high"] <= 25


def check_decisions(folder: Path, output: dict[str, Any]) -> None:
    """Compare the counts with each other, and the states with the ground truth."""
    assert output["accepted"] + output["rejected"] == output["candidates"] > 40
    assert 0 < output["judge_errors_caught"] <= output["rejected"]
    assert output["judge_error_rate"] == pytest.approx(output["judge_errors_caught"] / output["candidates"], abs=1e-4)
    truth = read_truth(DemoFiles(folder).truth)
    connection = sqlite3.connect(folder / "curation.db")
    rows = connection.execute(
        "SELECT c.key, s.state FROM candidate c JOIN candidate_state s ON s.candidate_id = c.id"
    ).fetchall()
    connection.close()
    assert len(rows) == output["candidates"]
    assert all(state == f"{truth[key][0]}ed" for key, state in rows)


def check_training_data(folder: Path, output: dict[str, Any]) -> None:
    """Compare the exports and the settings of the two experiments."""
    sets = {run: Path(read_config(folder / "runs" / run).export) for run in ("tuned", "trained-on-all")}
    assert [verify(frozen) for frozen in sets.values()] == [[], []]
    assert read_manifest(sets["tuned"]).export_sha256 == output["export_sha256"]
    items = {run: list(read_items(frozen)) for run, frozen in sets.items()}
    assert {item.state for item in items["tuned"]} == {"accepted"}
    assert len(items["tuned"]) == output["accepted"]
    assert len(items["trained-on-all"]) == output["candidates"]
    configs = [read_config(folder / "runs" / run) for run in sets]
    assert configs[0].settings == configs[1].settings, "same steps, same recipe"
    assert configs[0].model == configs[1].model


@pytest.mark.long
def test_all_candidates_are_decided_by_the_ground_truth_and_frozen(finished) -> None:
    folder, done = finished
    output = json_of(done)
    assert output.keys() == KEYS
    assert output["auto"].keys() >= {"precision_bound", "true_precision", "decisions_saved", "decisions_saved_95"}
    assert "simulated" in done.stderr
    check_decisions(folder, output)


@pytest.mark.long
def test_training_data_of_the_experiments(finished) -> None:
    folder, done = finished
    check_training_data(folder, json_of(done))


@pytest.mark.long
def test_the_figures_are_those_of_the_results(finished) -> None:
    folder, done = finished
    output = json_of(done)
    by_model = results_of(folder)
    for arm, model in (("base", "demo"), ("tuned", "tuned"), ("trained_on_all", "trained-on-all")):
        for key, task in (("negref", "demo-negref"), ("affirm", "demo-affirm"), ("retrieval_r1", "demo-retrieval")):
            score = next(iter(by_model[model, task].result["metrics"].values()))
            assert output[arm][key] == round(100 * score["correct"] / score["n"], 2)
    ours, theirs = (
        [row["correct"] for row in by_model[model, "demo-negref"].items()] for model in ("tuned", "trained-on-all")
    )
    gain = output["curation_gain"]
    assert gain["mean"] == pytest.approx(100 * (sum(ours) - sum(theirs)) / len(ours), abs=0.01)
    assert gain["low"] <= gain["mean"] <= gain["high"]
    base = output["base"]
    assert (base["affirm"] > 90, base["negref"] < 10) == (True, True), "it knows the things and ignores the no"


@pytest.mark.long
def test_the_report_comes_before_the_last_line(finished) -> None:
    _, done = finished
    assert "DEMO-NEGREF" in done.stdout
    assert "affirm %" in done.stdout, "negated accuracy never stands alone"
    assert done.stdout.count("{") == done.stdout.splitlines()[-1].count("{")


@pytest.mark.long
def test_a_second_run_reuses_everything(finished) -> None:
    folder, done = finished
    before = files_of(folder)
    again = negwb("demo", folder, "--auto", *PICTURES)
    assert {**json_of(again), "seconds": 0} == {**json_of(done), "seconds": 0}
    assert files_of(folder) == before


@pytest.mark.long
def test_json_prints_only_the_object(finished) -> None:
    folder, done = finished
    again = negwb("demo", folder, "--json", *PICTURES)
    assert again.stdout.count("\n") == 1
    assert {**json_of(again), "seconds": 0} == {**json_of(done), "seconds": 0}


@pytest.mark.long
def test_two_demos_freeze_the_same_pairs_and_train_the_same_weights(finished, tmp_path: Path) -> None:
    folder, done = finished
    again = json_of(negwb("demo", build(tmp_path / "two"), *PICTURES, "--auto", "--seeds", 2, "--arm", "negated-only"))
    first = json_of(done)
    assert {key: again[key] for key in COUNTS | {"base"}} == {key: first[key] for key in COUNTS | {"base"}}
    for name in ("set-001", "set-002"):
        one, two = (each / "exports" / name for each in (folder, tmp_path / "two"))
        assert (one / "pairs.jsonl").read_bytes() == (two / "pairs.jsonl").read_bytes()
        assert _without_events(one) == _without_events(two)
    assert again.keys() == KEYS | {"negated_only"}
    runs = {folder.name for folder in (tmp_path / "two" / "runs").iterdir()}
    assert runs == {f"{arm}{seed}" for arm in ("tuned", "trained-on-all", "negated-only") for seed in ("", "-seed-1")}
    alone = read_config(tmp_path / "two" / "runs" / "negated-only").settings
    assert (alone.replay_share, alone.replay_pool, alone.anchor_weight) == (0.0, None, 0.0)
    of_first = next(iter(results_of(tmp_path / "two")["tuned", "demo-negref"].result["metrics"].values()))
    assert round(100 * of_first["value"], 2) == first["tuned"]["negref"], "the first seed is the demo without --seeds"


def _without_events(export: Path) -> list[ExportItem]:
    """Return the items without the numbers and days of their votes: the order of decisions is not fixed."""
    return [
        replace(item, votes=tuple({**vote, "event": 0, "day": ""} for vote in item.votes or ()))
        for item in read_items(export)
    ]


@pytest.mark.long
def test_an_interrupted_training_continues(tmp_path: Path) -> None:
    folder = build(tmp_path / "demo", steps=120)
    command = [str(Path(sys.executable).with_name("negwb")), "demo", str(folder), "--auto", *map(str, PICTURES)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while not any(row.get("step", 0) >= 20 for row in read_metrics(folder / "runs" / "tuned")):
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Traceback" not in errors
    assert read_run(folder / "runs" / "tuned").status is TrainingStatus.STOPPED
    assert json_of(negwb("demo", folder, "--auto", *PICTURES)).keys() == KEYS
    assert {run.name for run in (folder / "runs").iterdir()} == {"tuned", "trained-on-all"}


def test_an_interrupted_build_continues(tmp_path: Path) -> None:
    folder = tmp_path / "demo"

    def stop_early(step: str, done: int, total: int) -> None:
        if step == "storing candidates and verdicts":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_demo(folder, size=SMALL, progress=stop_early)
    build_demo(folder, size=SMALL, progress=lambda *_: None)
    whole = build_demo(tmp_path / "whole", size=SMALL, progress=lambda *_: None)
    names = {path.relative_to(folder) for path in folder.rglob("*") if "curation.db" not in path.name}
    assert names == {path.relative_to(whole.root) for path in whole.root.rglob("*") if "curation.db" not in path.name}
    assert DemoFiles(folder).truth.read_bytes() == DemoFiles(whole.root).truth.read_bytes()


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    done = negwb("demo", tmp_path)
    assert done.returncode == 2
    assert "not empty" in done.stderr
    with pytest.raises(UsageError):
        build_demo(tmp_path, size=SMALL, progress=lambda *_: None)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.long
def test_the_demo_reproduces_the_figures_of_the_readme(tmp_path: Path) -> None:
    """Full size; less than three minutes on two cores."""
    result = json_of(negwb("demo", tmp_path / "demo", "--auto", "--arm", "negated-only"))
    base, tuned, alone = result["base"], result["tuned"], result["negated_only"]
    assert tuned["negref"] >= base["negref"] + 70
    assert tuned["affirm"] >= base["affirm"] - 2
    assert tuned["retrieval_r1"] >= base["retrieval_r1"] - 6
    assert result["curation_gain"]["low"] > 0
    assert alone["negref"] >= base["negref"] + 40, "negated captions alone look like a success"
    assert alone["affirm"] <= base["affirm"] - 30, "until one looks at the affirmative ones"


def results_of(folder: Path) -> dict[tuple[str, str], StoredResult]:
    listed = list_results(folder / "results")
    assert listed.problems == ()
    return {(one.result["model"]["name"], one.result["task"]["name"]): one for one in listed.results}


def files_of(folder: Path) -> dict[Path, int]:
    remaining = (
        path for part in ("runs", "results", "exports") for path in (folder / part).rglob("*") if path.is_file()
    )
    return {path: path.stat().st_mtime_ns for path in remaining}
