"""`negwb apply t2i` on a tiny pipeline, with a judge behind a real HTTP server on loopback."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.answering_server import AnsweringServer, answering_server, completion, image_of, last_text
from support.clip_models import make_tiny
from support.commands import negwb
from support.tiny_diffusion import SIZE, make_pipeline

from benchmarks.errors import BenchError
from benchmarks.text_to_image.generate import generate
from trainers.models.saving import save_model
from workbench.errors import UsageError
from workbench.images.contact_sheet import SheetRow, contact_sheet
from workbench.images.inline import inline_graphics, inline_half_cells
from workbench.jobs.benchmarks import text_to_image as jobs
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace

PROMPTS = """\
prompt,question1,question2
a dog with no hat,Is it bright?,Is it red?
a cat without a bow,Is it dark?,Is it green?
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    base = make_tiny(seed=1, context_length=77)
    save_model(base, folder / "base")
    save_model(make_tiny(seed=2, context_length=77), folder / "run")
    make_pipeline(folder / "pipeline", base)
    return folder


def look(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Answer from the pixels of the image that was sent."""
    image = Image.open(io.BytesIO(base64.b64decode(image_of(body).partition(",")[2]))).convert("RGB")
    red, green, blue = image.resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    bright = red + green + blue > 3 * 127
    answers = {"bright": bright, "dark": not bright, "red": red >= max(green, blue), "green": green >= max(red, blue)}
    return 200, completion("Yes." if answers[last_text(body).split("?")[0].split()[-1]] else "No.")


@pytest.fixture
def server() -> Iterator[AnsweringServer]:
    with answering_server(look) as running:
        yield running


@pytest.fixture
def workspace(tmp_path: Path, server: AnsweringServer) -> Workspace:
    created = create_workspace(tmp_path / "ws")
    (tmp_path / "mini.csv").write_text(PROMPTS)
    with created.settings.open("a") as file:
        file.write(f'\n[engines.eye]\nkind = "openai"\nurl = "{server.url}"\n')
    return created


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the pictures in this process: a child needs seconds to import torch and diffusers."""
    monkeypatch.setattr(jobs, "make_pictures", lambda job, progress, warn: generate(job, progress=progress, warn=warn))


def words(workspace: Workspace, models: Path, *more: object) -> list[object]:
    folder = workspace.root.parent
    fixed = ("--pipeline", models / "pipeline", "--model", models / "run", "--steps", 1, "--size", SIZE)
    return ["apply", "t2i", folder / "mini.csv", *fixed, *more]


def pictures(workspace: Workspace) -> set[Path]:
    return {path for path in (workspace.root / "results" / "t2i").rglob("*.png") if not path.name.startswith("grid-")}


@pytest.mark.usefixtures("in_process")
def test_pictures_are_made_judged_and_reported(workspace: Workspace, models: Path, server: AnsweringServer) -> None:
    done = negwb(workspace, *words(workspace, models, "--judge", "eye", "--json"))
    assert done.exit_code == 0, done.exception
    report = json.loads(done.stdout)
    original, run = report["results"]
    assert (original["model"], run["model"]) == ("pipeline (original)", str(models / "run"))
    assert len(pictures(workspace)) == 4
    with Image.open(report["pictures"]["grid"]) as grid:
        assert grid.width > 2 * 160
    assert len(server.requests) == 8
    # the answers of the server, by hand
    for result, encoder in zip(report["results"], report["pictures"]["encoders"], strict=True):
        items = [json.loads(line) for line in Path(result["path"]).with_suffix(".items.jsonl").read_text().splitlines()]
        assert [row["id"] for row in items] == ["1-0", "2-0"]
        expected = [look_at(workspace, report["pictures"]["group"], row["image"]) for row in items]
        answers = [(row["answers"][0]["scene"], row["answers"][0]["denied"]) for row in items]
        assert answers == [(expected[0]["bright"], expected[0]["red"]), (expected[1]["dark"], expected[1]["green"])]
        assert items[0]["image"].startswith(encoder["hash"][:12])
    shown = negwb(workspace, "report", "--json")
    rows = json.loads(shown.stdout)["rows"]
    assert [(row["model"], row["is_reference"]) for row in rows] == [(original["model"], True), (run["model"], False)]
    assert rows[1]["base"]["items"] == 2
    assert rows[1]["metric"] == "both"
    assert [share["name"] for share in rows[1]["others"]] == ["neg_score", "subject", "question_accuracy"]
    text = negwb(workspace, "report").stdout
    assert "T2I-MINI: 2 PICTURES FOR EACH TEXT ENCODER, JUDGE EYE" in text
    assert "Neg Score %" in text


def look_at(workspace: Workspace, group: str, name: str) -> dict[str, bool]:
    with Image.open(workspace.root / "results" / "t2i" / group / name) as image:
        red, green, blue = image.resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    bright = red + green + blue > 3 * 127
    return {"bright": bright, "dark": not bright, "red": red >= max(green, blue), "green": green >= max(red, blue)}


@pytest.mark.usefixtures("in_process")
def test_a_second_run_asks_and_makes_nothing(workspace: Workspace, models: Path, server: AnsweringServer) -> None:
    first = words(workspace, models, "--judge", "eye")
    assert negwb(workspace, *first).exit_code == 0
    before, asked = {path: path.stat().st_mtime_ns for path in pictures(workspace)}, len(server.requests)
    done = negwb(workspace, *first)
    assert done.exit_code == 0
    assert "drift %" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in pictures(workspace)} == before
    assert len(server.requests) == asked


@pytest.mark.usefixtures("in_process")
def test_a_moved_workspace_still_shows_its_pictures(workspace: Workspace, models: Path, tmp_path: Path) -> None:
    assert negwb(workspace, *words(workspace, models, "--judge", "eye")).exit_code == 0
    moved = Workspace(Path(shutil.move(workspace.root, tmp_path / "elsewhere")))
    page = tmp_path / "report.html"
    done = negwb(moved, "report", "--html", page)
    assert done.exit_code == 0, done.exception
    from workbench.reports.benchmark_images import located

    result = json.loads(next((moved.root / "results").glob("*.json")).read_text())
    row = json.loads(next((moved.root / "results").glob("*.items.jsonl")).read_text().splitlines()[0])
    found = located(moved.root / "benchmarks", "t2i-mini", row["image"], first=result["task"]["pictures_folder"])
    assert found is not None
    assert found.is_relative_to(moved.root)
    assert located(moved.root / "benchmarks", "t2i-mini", row["image"], first="../elsewhere/results") is None


@pytest.mark.usefixtures("in_process")
def test_people_review_the_answers_of_the_judge(workspace: Workspace, models: Path) -> None:
    assert negwb(workspace, *words(workspace, models, "--judge", "eye")).exit_code == 0
    done = negwb(workspace, "bench", "review", "t2i-mini", "--sample", 3, "--json")
    assert json.loads(done.stdout) == {"task": "t2i-mini", "judged": 4, "sample": 3, "new": 3}


@pytest.mark.usefixtures("in_process")
def test_pictures_only_needs_no_judge(workspace: Workspace, models: Path, server: AnsweringServer) -> None:
    done = negwb(workspace, *words(workspace, models, "--pictures-only", "--json"))
    assert json.loads(done.stdout)["results"] == []
    assert server.requests == []
    assert not list((workspace.root / "results").glob("*.json"))


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        (["--judge", "nobody"], UsageError, "nobody"),
        (["--pictures-only", "--size", 12], UsageError, "multiple of 8"),
        (["--pictures-only", "--precision", "fp16"], UsageError, "needs a GPU"),
        (["--pictures-only", "--alpha", 0.5], UsageError, "was not trained from a base"),
        (["--pictures-only", "--pipeline", "my/own"], BenchError, "the pipeline my/own is not on this machine"),
        (["--pictures-only", "--model", "nothing"], UsageError, "there is no model"),
    ],
)
def test_mistakes_are_reported_before_anything_is_made(
    workspace: Workspace, models: Path, more: list[object], error: type[Exception], message: str
) -> None:
    done = negwb(workspace, *words(workspace, models, *more))
    assert isinstance(done.exception, error)
    assert message in done.exception.message  # type: ignore[attr-defined]
    assert not (workspace.root / "results").exists()


def test_without_a_run_a_model_has_to_be_named(workspace: Workspace) -> None:
    done = negwb(workspace, "apply", "t2i", "--pictures-only")
    assert isinstance(done.exception, UsageError)
    assert done.exception.message == "there is no finished run"


def test_prompts_are_printed_and_checked(workspace: Workspace) -> None:
    path = workspace.root.parent / "mini.csv"
    assert "a cat without a bow" in negwb(workspace, "apply", "prompts", path).stdout
    assert negwb(workspace, "apply", "prompts", path, "--csv").stdout == PROMPTS
    report = json.loads(negwb(workspace, "apply", "prompts", "--json").stdout)
    assert (report["name"], len(report["prompts"])) == ("everyday", 40)
    path.write_text(PROMPTS + "x,y\n")
    done = negwb(workspace, "apply", "prompts", path)
    assert isinstance(done.exception, BenchError)
    assert "line 4: question2 is missing" in done.exception.message


@pytest.mark.long
def test_the_command_continues_after_a_kill(workspace: Workspace, models: Path) -> None:
    """The command is killed, its child ends, and the same command makes the rest and adds the results."""
    arguments = [*words(workspace, models, "--judge", "eye", "--seeds", 6, "--json")]
    arguments[arguments.index("--steps") + 1] = 60
    command = [sys.executable, "-m", "workbench", "-w", workspace.root, *arguments]
    for number in (signal.SIGINT, signal.SIGKILL):
        before = len(pictures(workspace))
        process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 240
        while len(pictures(workspace)) <= before and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(process.pid, number)
        _, errors = process.communicate()
        assert process.returncode == (130 if number == signal.SIGINT else -9), errors
        if number == signal.SIGINT:
            made = len(pictures(workspace))
            assert before < made < 24
            time.sleep(2)
            assert len(pictures(workspace)) == made, "the child has ended, too"
    done = subprocess.run([*map(str, command)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(pictures(workspace)) == 24
    assert [result["metrics"]["both"]["n"] for result in json.loads(done.stdout)["results"]] == [12, 12]


def test_a_grid_shows_every_picture_at_its_place(tmp_path: Path) -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for path, colour in zip(paths, colours, strict=True):
        Image.new("RGB", (8, 8), colour).save(path)
    rows = [SheetRow("a \x1b[31mdog", paths[:2]), SheetRow("no hat " * 90, [paths[2], tmp_path / "missing.png"])]
    sheet = contact_sheet(["one", "two"], rows, side=40)
    centres = [(26, 64), (72, 64), (26, 132), (72, 132)]
    assert [sheet.getpixel(at) for at in centres] == [*colours, (224, 226, 230)]


def test_a_grid_of_many_prompts_is_about_square(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.png" for n in range(30)]
    for number, path in enumerate(paths):
        Image.new("RGB", (8, 8), (number, 0, 200)).save(path)
    sheet = contact_sheet(["one"], [SheetRow("x", [path]) for path in paths], side=40, across=None)
    assert 0.5 < sheet.width / sheet.height < 2
    width, tall = 40 + 12, 40 + 22 + 6
    across = sheet.width // width
    centres = [(at % across * width + 26, 22 + at // across * tall + 42) for at in range(30)]
    assert [sheet.getpixel(at) for at in centres] == [(number, 0, 200) for number in range(30)]


def test_half_cells_have_the_colours_of_the_picture() -> None:
    image = Image.new("RGB", (4, 4), (10, 20, 30))
    image.paste((200, 0, 0), (0, 0, 4, 2))
    text = inline_half_cells(image, 2)
    assert text.plain == "▀▀\n"
    assert [str(span.style) for span in text.spans] == ["#c80000 on #0a141e"]


def test_graphics_are_as_wide_as_the_terminal_allows() -> None:
    image = Image.new("RGB", (400, 100), (10, 20, 30))
    kitty = inline_graphics(image, 20, "kitty")
    assert kitty.count("\n") == 2 or kitty.count("\n") == 3
    assert kitty.count("\U0010eeee") == 20 * kitty.count("\n")
    assert inline_graphics(image, 20, "sixel").startswith("\x1bP0;1;0q")
