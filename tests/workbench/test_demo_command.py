"""`negwb demo --auto`: the first half of the loop, run as its user runs it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from curation_db.manifest import verify
from workbench.demo.annotator import read_truth
from workbench.demo.build import DemoFiles, build_demo
from workbench.errors import UsageError

KEYS = {"candidates", "accepted", "rejected", "judge_errors_caught", "export_sha256", "seconds"}


def negwb(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("negwb")), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, check=False)


def test_the_demo_runs_by_itself_and_ends_in_one_line_of_json(tmp_path: Path) -> None:
    done = negwb("demo", tmp_path / "one", "--pictures", "60")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told.keys() >= KEYS
    assert told["accepted"] + told["rejected"] == told["candidates"] > 60
    assert 0 < told["judge_errors_caught"] <= told["rejected"]
    assert "simulated" in done.stderr
    truth = read_truth(DemoFiles(tmp_path / "one").truth)
    connection = sqlite3.connect(tmp_path / "one" / "curation.db")
    rows = connection.execute(
        "SELECT c.key, s.state FROM candidate c JOIN candidate_state s ON s.candidate_id = c.id"
    ).fetchall()
    connection.close()
    assert all(state == f"{truth[key][0]}ed" for key, state in rows)
    (export,) = (tmp_path / "one" / "exports").iterdir()
    assert verify(export) == []

    again = negwb("demo", tmp_path / "two", "--auto", "--pictures", "60")
    assert json.loads(again.stdout)["export_sha256"] == told["export_sha256"], "the same demo freezes the same bytes"


def test_a_demo_goes_on_where_it_was_left(tmp_path: Path) -> None:
    folder = tmp_path / "demo"

    def stop_early(step: str, done: int, total: int) -> None:
        if step == "storing candidates and verdicts":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_demo(folder, pictures=30, progress=stop_early)
    first = json.loads(negwb("demo", folder, "--auto", "--pictures", "30").stdout)
    second = negwb("demo", folder, "--auto", "--pictures", "30")
    assert second.returncode == 0, second.stderr
    told = json.loads(second.stdout)
    assert {**told, "seconds": 0} == {**first, "seconds": 0}


def test_the_demo_does_not_touch_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    done = negwb("demo", tmp_path)
    assert done.returncode == 2
    assert "not empty" in done.stderr
    with pytest.raises(UsageError):
        build_demo(tmp_path, pictures=1, progress=lambda *_: None)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
