"""`negwb apply ris` on tiny models, and its results in the report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.segmentation import phrasecut_rows, write_phrasecut, write_refcocog
from support.segmentation_models import make_clip, make_clipseg, make_sam

from trainers.models.saving import save_model
from workbench import cli
from workbench.workspace.create import create_workspace


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    base = make_clip(seed=1)
    save_model(base, folder / "base")
    save_model(make_clip(seed=2), folder / "tuned")
    make_clipseg(folder / "clipseg", tokenizer=base)
    make_sam(folder / "sam")
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = create_workspace(tmp_path / "ws").root
    write_phrasecut(root / "benchmarks" / "phrasecut")
    return root


@dataclass(frozen=True)
class Printed:
    exit_code: int
    stdout: str
    stderr: str


Negwb = Callable[..., Printed]


@pytest.fixture
def negwb(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Negwb:
    """Run a command in this process with the handling of errors of the program."""

    def run(*words: str) -> Printed:
        monkeypatch.setattr(sys, "argv", ["negwb", *words])
        code = cli.main()
        printed = capsys.readouterr()
        return Printed(code, printed.out, printed.err)

    return run


@pytest.fixture
def ris(negwb: Negwb, workspace: Path, models: Path) -> Negwb:
    def run(*words: str, model: str = "base") -> Printed:
        options = ["--clipseg", str(models / "clipseg"), "--sam", str(models / "sam"), "--model", str(models / model)]
        return negwb("-w", str(workspace), "apply", "ris", *words, *options)

    return run


def printed(result: Printed) -> dict[str, Any]:
    return dict(json.loads(result.stdout))


def test_both_subsets_are_scored_and_the_report_shows_them(
    ris: Negwb, negwb: Negwb, workspace: Path, models: Path
) -> None:
    for model in ("base", "tuned"):
        result = ris("phrasecut", model=model)
        assert result.exit_code == 0, result.stderr
    assert "IOU OF THE MASKS" in result.stdout.upper()
    assert "the image tower of" in result.stderr
    report = negwb("-w", str(workspace), "report", "--json")
    rows = {(row["task"], row["model"], row["protocol"]): row for row in json.loads(report.stdout)["rows"]}
    assert {task for task, _, _ in rows} == {"phrasecut-clipseg-negref", "phrasecut-clipseg-affirm"}
    row = rows["phrasecut-clipseg-negref", str(models / "tuned"), "strict"]
    assert row["segmentation"]["route"] == "clipseg"
    assert row["segmentation"]["base"]["mean_iou"]["low"] <= row["segmentation"]["base"]["mean_iou"]["high"]
    assert row["affirmative"]["state"] == "measured"
    text = negwb("-w", str(workspace), "report").stdout
    assert "PHRASECUT-CLIPSEG-NEGREF: IOU OF THE MASKS" in text.upper()
    assert "blind: whole image" in text
    csv = negwb("-w", str(workspace), "report", "--csv").stdout
    assert ",mean_iou," in csv


def test_original_is_the_text_tower_of_clipseg(ris: Negwb, models: Path) -> None:
    result = ris("phrasecut", "--subset", "all", "--model", "original", "--json")
    found = {each["model"]: each for each in printed(result)["results"] if each["protocol"] == "strict"}
    assert found.keys() == {"original", str(models / "base")}
    assert found["original"]["segmentation"]["warnings"] == []


def test_proposals_route(ris: Negwb) -> None:
    words = ["--route", "proposals", "--points", "2", "--quality", "-100", "--stability", "0", "--subset", "all"]
    result = ris("phrasecut", *words, "--json")
    assert result.exit_code == 0, result.stderr
    (strict, official) = printed(result)["results"]
    assert (strict["task"], official["task"]) == ("phrasecut-proposals", "phrasecut-proposals")
    assert strict["segmentation"]["settings"]["points_per_side"] == 2
    refused = ris("phrasecut", "--route", "proposals", "--model", "original")
    assert refused.exit_code == 2
    assert "original is the text tower of CLIPSeg" in refused.stderr


def test_missing_affirmed_subset_names_the_command_that_scores_it(ris: Negwb) -> None:
    result = ris("phrasecut", "--subset", "negated")
    assert "run: negwb apply ris phrasecut --route clipseg --subset affirmed" in result.stderr


def test_bad_rows_are_named_and_the_exit_code_tells(ris: Negwb, workspace: Path) -> None:
    rows = phrasecut_rows()
    rows[2]["phrase"] = ""
    write_phrasecut(workspace / "benchmarks" / "phrasecut", rows)
    result = ris("phrasecut", "--subset", "all")
    assert result.exit_code == 1
    assert "1 row left out; the others are scored" in result.stderr
    assert "refer_test.json, row 2: 'phrase' must be a text" in result.stderr
    assert len(list((workspace / "results").glob("*.items.jsonl"))) == 2
    as_json = ris("phrasecut", "--subset", "all", "--json")
    assert len(printed(as_json)["left_out"]) == 1


def test_folder_of_ones_own_names_the_task(ris: Negwb, tmp_path: Path) -> None:
    write_refcocog(tmp_path / "my-regions")
    result = ris(str(tmp_path / "my-regions"), "--subset", "all", "--most", "2", "--json")
    assert result.exit_code == 0, result.stderr
    (strict, _) = printed(result)["results"]
    assert strict["task"] == "my-regions-clipseg"
    assert strict["metrics"]["precision_at_0.5"]["n"] == 2


@pytest.mark.parametrize(
    ("words", "code", "message", "hint"),
    [
        (["refcoco"], 2, "there is no data set 'refcoco'", "phrasecut, refcocog"),
        (["refcocog"], 6, "no such file", "refs(umd).p"),
        (["phrasecut", "--split", "val"], 6, "refer_val.json", "PhraseCutDataset"),
        (["phrasecut", "--model", "nothing"], 2, "there is no model 'nothing'", ""),
        (["phrasecut", "--subset", "some"], 2, "'some'", ""),
    ],
)
def test_wrong_arguments_are_one_line(ris: Negwb, words: list[str], code: int, message: str, hint: str) -> None:
    result = ris(*words)
    assert result.exit_code == code
    assert message in result.stderr
    assert hint in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("route", "name"), [("clipseg", "CIDAS/clipseg-rd64-refined"), ("proposals", "facebook/sam-vit-base")]
)
def test_missing_weights_are_one_line(negwb: Negwb, workspace: Path, models: Path, route: str, name: str) -> None:
    words = ["phrasecut", "--route", route, "--model", str(models / "base")]
    result = negwb("-w", str(workspace), "apply", "ris", *words)
    assert result.exit_code == 6
    first, second = result.stderr.splitlines()
    assert first.startswith("negwb: there are no weights of the ")
    assert name in first
    assert f"hf download {name}" in second


def test_text_tower_that_does_not_fit_is_refused(ris: Negwb, workspace: Path, tmp_path: Path) -> None:
    save_model(make_clip(width=64), tmp_path / "wide")
    result = ris("phrasecut", model=str(tmp_path / "wide"))
    assert result.exit_code == 6
    assert "does not fit" in result.stderr
    assert not list((workspace / "results").glob("*.json"))


@pytest.mark.long
def test_killed_run_continues(negwb: Negwb, workspace: Path, models: Path) -> None:
    """Kill the process as soon as its first mask is on the disk; the second run computes only the others."""
    folder = workspace / "benchmarks" / "phrasecut"
    write_phrasecut(folder, images=12)
    options = ["--subset", "all", "--clipseg", str(models / "clipseg"), "--model", str(models / "base")]
    command = [sys.executable, "-m", "workbench", "-w", str(workspace), "apply", "ris", "phrasecut", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    lines: list[bytes] = []
    while not lines and time.monotonic() < deadline and process.poll() is None:
        lines = [line for path in workspace.glob("cache/segmentation/*/values.jsonl") for line in path.open("rb")]
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (values,) = workspace.glob("cache/segmentation/*/values.jsonl")
    before = values.read_bytes().splitlines()
    assert before
    assert not list((workspace / "results").glob("*.json"))
    result = negwb("-w", str(workspace), "apply", "ris", "phrasecut", *options)
    assert result.exit_code == 0, result.stderr
    after = values.read_bytes().splitlines()
    assert after[: len(before) - 1] == before[: len(before) - 1]
    assert len(after) == 24
