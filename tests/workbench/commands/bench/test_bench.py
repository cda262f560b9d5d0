"""Tests of `negwb bench`: list, fetch from a local server, run on few items."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support.benches import draw_picture, negrefcocog_folder, serving, write_negrefcocog
from support.clip_models import make_tiny
from support.loops import NEGWB, ONE_THREAD
from typer.testing import CliRunner

from benchmarks.caveats import CAVEATS
from benchmarks.data.download import RequestLimits
from benchmarks.errors import BenchError
from benchmarks.protocols import PROTOCOLS
from trainers.errors import TrainerError
from trainers.models.saving import save_model
from workbench.cli import app, main
from workbench.commands.bench.fetch import DownloadError, NotDownloadable
from workbench.commands.bench.run import ProtocolChoice
from workbench.errors import UsageError
from workbench.workspace.create import settings_template
from workbench.workspace.layout import Workspace
from workbench.workspace.operations import find_task

ITEMS = 12


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_negrefcocog(tmp_path_factory.mktemp("source") / "NegRefCOCOg.json", 2 * ITEMS)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(make_tiny(), folder)
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Workspace without a record; benchmarks do not read it."""
    created = Workspace(tmp_path / "ws")
    created.root.mkdir()
    created.settings.write_text(settings_template())
    return created


@pytest.fixture
def filled(workspace: Workspace, source: Path) -> Workspace:
    """Workspace with the first items of NegRefCOCOg and drawn images."""
    negrefcocog_folder(workspace.root / "benchmarks" / "negrefcocog", source, ITEMS)
    return workspace


def bench(workspace: Workspace, *words: object) -> Any:
    return CliRunner().invoke(app, ["-w", str(workspace.root), "bench", *map(str, words)])


def report(workspace: Workspace) -> Any:
    return CliRunner().invoke(app, ["-w", str(workspace.root), "report", "--json"])


def code_of(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["negwb", "-w", str(workspace.root), "bench", *words])
    return int(main())


class TestList:
    def test_an_empty_workspace(self, workspace: Workspace) -> None:
        rows = json.loads(bench(workspace, "list", "--json").stdout)["tasks"]
        assert "negrefcocog" in {row["name"] for row in rows}
        assert {(row["ready"], row["state"]) for row in rows} == {(False, "not fetched")}

    def test_ready_and_missing(self, filled: Workspace) -> None:
        assert "ready" in bench(filled, "list").stdout
        pictures = sorted((filled.root / "benchmarks/negrefcocog/train2014").iterdir())
        pictures[0].unlink()
        rows = json.loads(bench(filled, "list", "--json").stdout)["tasks"]
        (row,) = [row for row in rows if row["name"] == "negrefcocog"]
        assert (row["items"], row["missing_pictures"], row["ready"]) == (ITEMS, 1, False)
        assert row["state"] == f"1 of {len(pictures)} images missing"

    def test_own_tasks_and_damaged_ones(self, workspace: Workspace) -> None:
        own_task(workspace, "demo-negref")
        (workspace.root / "benchmarks" / "broken.json").write_text("{")
        rows = {row["name"]: row for row in json.loads(bench(workspace, "list", "--json").stdout)["tasks"]}
        assert (rows["demo-negref"]["ready"], rows["demo-negref"]["items"]) == (True, 1)
        assert "cannot be read" in rows["broken"]["state"]

    def test_every_benchmark_states_its_caveats(self, workspace: Workspace) -> None:
        rows = {row["name"]: row for row in json.loads(bench(workspace, "list", "--json").stdout)["tasks"]}
        assert all(row["caveats"] for row in rows.values())
        assert rows["valse-plurals"]["caveats"] == list(CAVEATS["valse"])
        assert rows["valse-existence"]["caveats"] == [*CAVEATS["valse-existence"], *CAVEATS["valse"]]
        assert set(CAVEATS) <= rows.keys() | {Path(row["folder"]).name for row in rows.values()}

    def test_named_benchmarks_are_listed_with_their_caveats(self, workspace: Workspace) -> None:
        listed = bench(workspace, "list", "ccneg", "celeba").stdout
        assert all(text in " ".join(listed.split()) for text in (*CAVEATS["ccneg"], *CAVEATS["celeba"]))
        assert "aro" not in listed
        assert isinstance(bench(workspace, "list", "cneg").exception, UsageError)


def own_task(workspace: Workspace, name: str) -> Path:
    folder = workspace.root / "benchmarks"
    (folder / "demo").mkdir(parents=True, exist_ok=True)
    draw_picture(folder / "demo" / "0.jpg", (64, 40), 1)
    row = {
        "image": "demo/0.jpg",
        "phrase": "no hat",
        "ref_bbox": [0, 0, 20, 20],
        "bbox_list": [[0, 0, 20, 20], [20, 0, 40, 40]],
    }
    (folder / f"{name}.json").write_text(json.dumps([row]))
    return folder / f"{name}.json"


class TestRun:
    def test_results_are_stored_and_printed(self, filled: Workspace, tiny: Path) -> None:
        completed = bench(filled, "run", "negrefcocog", "--model", tiny, "--json")
        assert completed.exit_code == 0, completed.stderr
        results = json.loads(completed.stdout)["results"]
        assert [result["protocol"] for result in results] == ["strict", "official"]
        assert {result["model"] for result in results} == {str(tiny)}
        assert results[0]["metrics"]["accuracy"]["n"] == ITEMS
        assert results[1]["baselines"]["first box"]["correct"] == ITEMS
        assert {Path(result["path"]).parent for result in results} == {filled.root / "results"}
        again = bench(filled, "run", "negrefcocog", "--model", tiny, "--protocol", "strict")
        assert "RESULTS" in again.stdout
        assert "official" not in again.stdout
        assert len(list((filled.root / "results").glob("*.items.jsonl"))) == 3
        assert (filled.cache / "features").is_dir()

    def test_a_folder_of_classes(self, workspace: Workspace, tiny: Path, tmp_path: Path) -> None:
        for at, name in enumerate(("red_fox", "dog", "cat", "cow", "hen", "owl")):
            (tmp_path / "photos" / name).mkdir(parents=True)
            draw_picture(tmp_path / "photos" / name / "a.jpg", (64, 40), at)
        own = workspace.root / "benchmarks" / "pets"
        own.mkdir(parents=True)
        (own / "classes.json").write_text(json.dumps({"templates": ["a photo of a {}.", "the {}"]}))
        pictures = ("--pictures", tmp_path / "photos")
        completed = bench(workspace, "run", "pets", *pictures, "--model", tiny, "--protocol", "strict", "--json")
        assert completed.exit_code == 0, completed.stderr
        (result,) = json.loads(completed.stdout)["results"]
        assert {name: score["n"] for name, score in result["metrics"].items()} == {"accuracy": 6, "top_5": 6}
        assert set(result["balanced"]["groups"]) == {"red fox", "dog", "cat", "cow", "hen", "owl"}
        assert result["templates"] == "classes.json (2)"
        rows = {row["name"]: row for row in json.loads(bench(workspace, "list", "--json").stdout)["tasks"]}
        assert (rows["pets"]["ready"], "sub-folders" in rows["pets"]["state"]) == (False, True)
        (row,) = json.loads(report(workspace).stdout)["rows"]
        assert (row["task"], row["metric"], row["affirmative"]) == ("pets", "accuracy", None)
        direct = bench(workspace, "run", tmp_path / "photos", "--model", tiny, "--protocol", "strict", "--json")
        (result,) = json.loads(direct.stdout)["results"]
        assert (result["task"], result["templates"]) == ("photos", "a photo of a {}. (1)")

    def test_a_projection_is_evaluated_beside_the_model(self, filled: Workspace, tiny: Path) -> None:
        words = ("run", "negrefcocog", "--model", tiny, "--protocol", "strict", "--correct", "projection", "--json")
        completed = bench(filled, *words)
        assert completed.exit_code == 0, completed.stderr
        plain, corrected = json.loads(completed.stdout)["results"]
        assert corrected["model"] == f"{plain['model']} + projection"
        left = plain["metrics"]["accuracy"]["n"] - corrected["metrics"]["accuracy"]["n"]
        assert 0 < left < ITEMS
        notes = [row["notes"] for row in json.loads(report(filled).stdout)["rows"]]
        assert f"chosen on {left} items of negrefcocog" in str(notes[1])

    def test_a_projection_needs_negated_items_before_a_model_is_loaded(
        self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("trainers.models.loading.load_model", None)
        own_task(workspace, "few")
        assert code_of(workspace, monkeypatch, "run", "few", "--correct", "projection") == 6
        assert "1 items are too few to choose a strength" in capsys.readouterr().err

    def test_missing_images_are_reported_before_a_model_is_loaded(
        self, filled: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("workbench.commands.bench.run.run_benches", None)
        for picture in (filled.root / "benchmarks/negrefcocog/train2014").iterdir():
            picture.unlink()
        assert code_of(filled, monkeypatch, "run", "negrefcocog") == 6
        out, err = capsys.readouterr()
        first, second = err.splitlines()
        assert (out, "12 of 12 images are missing" in first) == ("", True)
        assert second == "       fetch them with: negwb bench fetch negrefcocog"

    @pytest.mark.parametrize("what", ["annotations", "pictures"])
    def test_the_hint_repeats_the_given_folders(
        self,
        workspace: Workspace,
        source: Path,
        tmp_path: Path,
        what: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        folder, pictures = tmp_path / "bench marks", tmp_path / "coco"
        if what == "pictures":
            negrefcocog_folder(folder, source, ITEMS)
        typed = ["--folder", str(folder), "--pictures", str(pictures)]
        assert code_of(workspace, monkeypatch, "run", "negrefcocog", *typed) == 6
        _, _, words = capsys.readouterr().err.partition("negwb bench fetch ")
        assert shlex.split(words) == ["negrefcocog", *typed]

    def test_a_figure_on_denied_phrases_has_its_affirmative_twin(self, workspace: Workspace, tiny: Path) -> None:
        own_task(workspace, "demo-negref")
        own_task(workspace, "demo-affirm")
        words = ("--model", tiny, "--protocol", "strict")
        alone = bench(workspace, "run", "demo-negref", *words)
        assert "not run" in alone.stdout
        assert "negwb bench run demo-affirm" in alone.stderr
        data = json.loads(bench(workspace, "run", "demo-negref", *words, "--json").stdout)["results"][0]
        assert data["affirmative"] == {"task": "demo-affirm", "state": "not run"}
        bench(workspace, "run", "demo-affirm", *words)
        later = bench(workspace, "run", "demo-negref", *words, "--json")
        data = json.loads(later.stdout)["results"][0]["affirmative"]
        assert (data["state"], data["n"]) == ("measured", 1)
        assert "was not run" not in later.stderr
        assert "affirm %" in bench(workspace, "run", "demo-negref", *words).stdout

    def test_a_task_without_a_twin_is_marked(self, filled: Workspace, tiny: Path) -> None:
        result = bench(filled, "run", "negrefcocog", "--model", tiny)
        assert result.stdout.count("no twin") == 2
        assert result.stderr.count("retrieval task too") == 1

    def test_scores_that_are_nan_are_counted_beside_the_accuracy(self, filled: Workspace, tmp_path: Path) -> None:
        model = make_tiny()
        with torch.no_grad():
            model.model.text_projection.fill_(3e38)  # finite, as the loader requires; the features overflow
        save_model(model, tmp_path / "broken")
        words = ("run", "negrefcocog", "--model", tmp_path / "broken", "--protocol", "official")
        printed = bench(filled, *words)
        line = next(line for line in printed.stdout.splitlines() if f"{ITEMS}/{ITEMS}" in line)
        assert line.endswith(f"{ITEMS} NaN")
        assert f"NaN scores in {ITEMS} of {ITEMS} items; {ITEMS} of them count as right" in printed.stderr
        (data,) = json.loads(bench(filled, *words, "--json").stdout)["results"]
        assert (data["texts"]["limit"], data["texts"]["cut"], data["texts"]["tokenizer"]) == (24, 0, "clip")
        assert data["undecided"] == {"nan": ITEMS, "ties": 0, "equal": 0, "right": ITEMS}
        assert [each["code"] for each in data["verdicts"]] == ["NaN scores"]
        assert f"{ITEMS} NaN" in CliRunner().invoke(app, ["-w", str(filled.root), "report"]).stdout

    def test_progress_lines_in_a_pipe(self, filled: Workspace, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("workbench.console.progress_bars._EVERY_S", 0)
        result = bench(filled, "run", "negrefcocog", "--model", tiny, "--protocol", "strict")
        assert re.search(r"^negwb: .*negrefcocog: crops: \d+ of \d+$", result.stderr, re.MULTILINE)
        assert "\x1b" not in result.stderr

    def test_a_benchmark_that_is_not_fetched(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        assert code_of(workspace, monkeypatch, "run", "negrefcocog") == 6

    def test_wrong_names(self, filled: Workspace, tmp_path: Path) -> None:
        with pytest.raises(UsageError) as refused:
            find_task(filled, "negrefcoco")
        assert refused.value.hint == "did you mean negrefcocog?"
        assert isinstance(bench(filled, "run", "negrefcocog", "--model", "nothing").exception, UsageError)
        assert isinstance(bench(filled, "run", "negrefcocog", "x", "--folder", tmp_path).exception, UsageError)
        broken = bench(filled, "run", "negrefcocog", "--model", tmp_path)
        assert isinstance(broken.exception, TrainerError)
        assert "is not a model" in broken.exception.message

    def test_custom_tasks(self, workspace: Workspace, tiny: Path) -> None:
        path = own_task(workspace, "demo-negref")
        assert find_task(workspace, "demo-negref").images == ("demo/0.jpg",)
        assert find_task(workspace, str(path)).name == "demo-negref"
        result = bench(workspace, "run", "demo-negref", "--model", tiny, "--protocol", "strict")
        assert result.exit_code == 0, result.exception
        elsewhere = find_task(workspace, str(path), pictures=workspace.root)
        with pytest.raises(BenchError, match="1 of 1 images are missing"):
            elsewhere.check_pictures()

    @pytest.mark.long
    @pytest.mark.parametrize(
        "number", [signal.SIGINT, *(pytest.param(n, marks=pytest.mark.long) for n in (signal.SIGTERM, signal.SIGHUP))]
    )
    def test_a_signal_leaves_complete_results_or_none(
        self, filled: Workspace, tiny: Path, number: signal.Signals
    ) -> None:
        command = [NEGWB, "-w", filled.root, "bench", "run", "negrefcocog", "--model", tiny]
        process = subprocess.Popen(
            [str(word) for word in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **ONE_THREAD},
        )
        assert process.stderr is not None
        assert b"tiny" in process.stderr.readline(), "the model is being loaded"
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (128 + number, b"")
        assert err.decode().splitlines()[-1].endswith("; what was done is kept")
        assert not list(filled.root.glob("results/*.json"))


@pytest.fixture
def server(tmp_path: Path, source: Path) -> Iterator[tuple[str, Path]]:
    """Address and folder of a server with a few items and images."""
    folder = tmp_path / "server"
    negrefcocog_folder(folder, source, ITEMS)
    with serving(folder) as address:
        yield address, folder


class TestFetch:
    @pytest.fixture(autouse=True)
    def other_items(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Accept the hash of the first items instead of the published file's."""
        monkeypatch.setattr("benchmarks.tasks.negrefcocog.SHA256", None)

    def test_fetch_then_run(self, workspace: Workspace, server: tuple[str, Path]) -> None:
        result = bench(workspace, "fetch", "negrefcocog", "--mirror", server[0])
        assert result.exit_code == 0, result.stderr
        assert result.stdout == f"{workspace.root / 'benchmarks' / 'negrefcocog'}\n"
        assert find_task(workspace, "negrefcocog").missing_pictures() == []
        again = json.loads(bench(workspace, "fetch", "negrefcocog", "--mirror", server[0], "--json").stdout)
        assert (again["complete"], again["fetched"], again["present"]) == (True, 0, 12)

    def test_downloaded_images_are_kept_after_a_failure(self, workspace: Workspace, server: tuple[str, Path]) -> None:
        gone = next((server[1] / "train2014").iterdir())
        held = gone.read_bytes()
        gone.unlink()
        result = bench(workspace, "fetch", "negrefcocog", "--mirror", server[0])
        assert isinstance(result.exception, DownloadError)
        assert (result.exception.exit_code, result.stdout) == (4, "")
        assert "1 of 12 images are missing" in result.exception.message
        assert result.exception.hint.endswith(f"--mirror {server[0]} --retry-failed")
        table = result.stderr.partition("MISSING IMAGES")[2].split("\n")
        assert table[2].split()[:2] == [gone.name, "gone"]
        gone.write_bytes(held)
        words = ("fetch", "negrefcocog", "--mirror", server[0], "--json")
        assert json.loads(bench(workspace, *words).stdout)["gone"] == [gone.name]  # not requested again
        again = json.loads(bench(workspace, *words, "--retry-failed").stdout)
        assert (again["fetched"], again["present"], again["gone"]) == (1, 11, [])

    def test_without_a_network_fetch_ends_with_one_line_and_code_4(
        self, workspace: Workspace, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("benchmarks.data.fetch.RequestLimits", functools.partial(RequestLimits, backoff_s=0.01))
        folder = workspace.root / "benchmarks" / "negrefcocog"
        folder.mkdir(parents=True)
        (folder / "NegRefCOCOg.json").write_bytes((server[1] / "NegRefCOCOg.json").read_bytes())
        with serving(server[1]) as gone:
            pass
        refused = bench(workspace, "fetch", "negrefcocog", "--mirror", gone).exception
        assert isinstance(refused, DownloadError)
        assert (refused.exit_code, "12 of 12 images are missing" in refused.message) == (4, True)
        assert "127.0.0.1" in refused.message
        assert refused.hint.endswith(f"negwb bench fetch negrefcocog --mirror {gone}")

    def test_no_annotations(
        self,
        workspace: Workspace,
        server: tuple[str, Path],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        (server[1] / "NegRefCOCOg.json").unlink()
        assert code_of(workspace, monkeypatch, "fetch", "negrefcocog", "--mirror", server[0]) == 4
        assert "NegRefCOCOg.json could not be fetched" in capsys.readouterr().err

    def test_existing_images_are_not_downloaded(self, workspace: Workspace, server: tuple[str, Path]) -> None:
        pictures = server[1] / "train2014"
        result = bench(workspace, "fetch", "negrefcocog", "--mirror", server[0], "--pictures", pictures, "--json")
        assert json.loads(result.stdout)["present"] == 12

    def test_the_mirror_can_be_set_in_the_environment(
        self, workspace: Workspace, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NEGWB_MIRROR", server[0])
        assert bench(workspace, "fetch", "negrefcocog").exit_code == 0
        assert find_task(workspace, "negrefcocog").missing_pictures() == []

    def test_the_next_command_finds_the_same_images(
        self, workspace: Workspace, server: tuple[str, Path], tmp_path: Path
    ) -> None:
        named = ("--folder", tmp_path / "bench marks", "--pictures", server[1] / "train2014")
        result = bench(workspace, "fetch", "negrefcocog", "--mirror", server[0], *named)
        _, _, next_words = result.stderr.partition("next: negwb bench run ")
        assert shlex.split(next_words) == ["negrefcocog", *map(str, named)]
        assert find_task(workspace, "negrefcocog", folder=named[1], pictures=named[3]).missing_pictures() == []

    def test_unknown(self, workspace: Workspace) -> None:
        assert isinstance(bench(workspace, "fetch", "coco").exception, UsageError)

    @pytest.mark.parametrize(
        ("name", "what"), [("negbench-coco-mcq", "COCO_val_mcq_llama3.1_rephrased.csv"), ("celeba", "no such file: ")]
    )
    def test_files_that_a_person_has_to_get(self, workspace: Workspace, name: str, what: str) -> None:
        result = bench(workspace, "fetch", name)
        assert isinstance(result.exception, NotDownloadable)
        assert (result.exception.exit_code, result.stdout) == (5, "")
        assert what in result.exception.message
        assert str(workspace.root / "benchmarks" / name.split("-", maxsplit=1)[0]) in result.exception.hint
        assert "TO BE PUT THERE BY HAND" in result.stderr
        (step,) = json.loads(bench(workspace, "fetch", name, "--json").stdout)["by_hand"]
        assert what in step["what"]
        assert step["from"]

    def test_licences_are_stated(self, workspace: Workspace, server: tuple[str, Path]) -> None:
        result = bench(workspace, "fetch", "negrefcocog", "--mirror", server[0], "--json")
        assert json.loads(result.stdout)["licences"][0] == "annotations MIT"
        assert "licence: annotations MIT" in result.stderr


def test_the_command_offers_the_protocols_of_the_benchmarks() -> None:
    assert set(ProtocolChoice) - {ProtocolChoice.BOTH} == set(PROTOCOLS)
