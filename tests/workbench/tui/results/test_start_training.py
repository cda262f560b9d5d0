"""The form of the Runs screen that starts a training, and the keys that stop and resume it, with real key presses."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.clip_models import freeze
from support.loops import make_workspace
from support.results import HOSTILE, build_workspace, lines, make_run, running, until
from support.screen_sizes import SIZES

from curation_db.exporting.manifest import ExportItem
from trainers.cost import TrainingCost
from trainers.recipes.recipe import list_recipes
from trainers.run_files import TrainingStatus, read_run, read_saved_steps
from trainers.settings import read_config
from workbench.jobs.process import JobRegistry, tail
from workbench.jobs.training import cost as training_cost
from workbench.jobs.training import training
from workbench.tui.rendering.training_form import cost_content
from workbench.tui.results.app import ResultsApp
from workbench.tui.screens.modals.start import StartModal
from workbench.workspace.layout import Workspace

FIELDS = ("export", "model", "recipe", "epochs", "steps", "batch", "lr", "seed", "other", "name", "device")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    created = build_workspace(tmp_path / "workspace")
    for name in ("set-001", "set-002"):
        freeze(created.exports / name, [ExportItem(key="k", source="s", image_key="1", text="no dog")])
    make_run(created, "earlier")
    monkeypatch.setattr(training, "jobs", JobRegistry())
    return created


@pytest.fixture(scope="module")
def trainable(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("start"))


async def open_form(app: ResultsApp, pilot: Any) -> None:
    await until(pilot, lambda: "runs" in lines(app))
    await pilot.press("n")
    await until(pilot, lambda: isinstance(app.screen, StartModal) and "start a training" in lines(app))


async def fill_in(pilot: Any, **texts: str) -> None:
    """Type texts into the fields, from the first field on."""
    for name in FIELDS:
        if name in texts:
            await pilot.press(*texts[name])
        await pilot.press("tab")


def the_row(app: ResultsApp, word: str) -> str:
    return next(line for line in lines(app).split("\n") if word in line)


@pytest.mark.parametrize("size", SIZES)
async def test_the_form_starts_the_same_training_as_the_command(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    started: list[Path] = []
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]

    def start(folder: Path) -> subprocess.Popen[bytes]:
        started.append(folder)
        return subprocess.Popen(sleeper, start_new_session=True)

    monkeypatch.setattr(training, "start_child", start)
    app = ResultsApp(workspace)
    async with running(app, size) as pilot:
        await open_form(app, pilot)
        await until(pilot, lambda: "set-002 · 1 pairs" in lines(app) and " 512 " in lines(app))
        recipes = ["", *(recipe.name for recipe in list_recipes())]
        await pilot.press("down", "tab", "tab", *["down"] * recipes.index("negclip"))
        await until(pilot, lambda: "NegCLIP's objective" in lines(app) and " 256 " in lines(app))
        await pilot.press("shift+tab", "shift+tab")
        await fill_in(pilot, steps="30", lr="1e-4", other="keep=last", name="mine")
        await pilot.press("enter")
        await until(pilot, lambda: "… starting" in lines(app))
        assert app.context.run == "mine"
    assert started == [workspace.root / "runs" / "mine"]
    config = read_config(started[0])
    assert (Path(config.export).name, config.recipe and config.recipe.name) == ("set-001", "negclip")
    assert (config.settings.steps, config.settings.lr, config.settings.keep) == (30, 1e-4, "last")
    assert config.settings.batch == 256, "of the recipe"
    job = training.jobs.running(started[0])
    assert job is not None, "leaving kills no training"
    try:
        training.stop(started[0])
        assert job.process.wait(60) == -signal.SIGINT
    finally:
        job.process.kill()
        job.process.wait()


@pytest.mark.parametrize("size", SIZES)
async def test_problems_are_shown_below_their_fields_and_nothing_starts(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    monkeypatch.setattr(training, "start_child", lambda folder: pytest.fail("started"))
    app = ResultsApp(workspace)
    async with running(app, size) as pilot:
        await open_form(app, pilot)
        await fill_in(pilot, model="nothing", batch="1", name="earlier")
        await until(pilot, lambda: lines(app).count("✗") >= 3 and "exists already" in lines(app))
        rows = lines(app).split("\n")  # also those of the table behind the form, which has a column "model"
        for field, problem in (("model", "there is no model"), ("batch", "train settings: batch must be 2 or more")):
            at = next(at for at, row in enumerate(rows) if f"✗ {problem}" in row)
            assert f" {field} " in rows[at - 1]
        await pilot.press("enter")
        await until(pilot, lambda: app.focused is not None and app.focused.id == "model")
        await pilot.press(*["backspace"] * 7)
        await until(pilot, lambda: "there is no model" not in lines(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.focused is not None and app.focused.id == "batch")
        assert "start a training" in lines(app)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, StartModal))
    assert [path.name for path in (workspace.root / "runs").iterdir()] == ["earlier"]


async def test_hostile_names_are_only_text(workspace: Workspace) -> None:
    freeze(workspace.exports / "[red]x[", [ExportItem(key="k", source="s", image_key="1", text=HOSTILE)])
    app = ResultsApp(workspace)
    async with running(app, (80, 24)) as pilot:
        await open_form(app, pilot)
        await until(pilot, lambda: "[red]x[ · 1 pairs" in lines(app))
        await pilot.press("tab", *"[/x][@click=q]a[/]")
        await until(pilot, lambda: "✗ there is no model '[/x][@click=q]a[/]'" in lines(app))


def hold(monkeypatch: pytest.MonkeyPatch, code: str) -> list[subprocess.Popen[bytes]]:
    """Replace the child that measures the cost by `code`; return the children."""
    children: list[subprocess.Popen[bytes]] = []

    def start(module: str, arguments: list[str], output: Any) -> subprocess.Popen[bytes]:
        assert (module, arguments[0]) == ("trainers", "--cost")
        children.append(subprocess.Popen([sys.executable, "-c", code, arguments[1]], stdout=output, stderr=output))
        return children[-1]

    monkeypatch.setattr(training_cost, "start_detached", start)
    return children


async def test_a_measurement_can_be_cancelled_and_ends_with_the_form(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(training_cost.tempfile, "tempdir", str(tmp_path))
    children = hold(
        monkeypatch,
        "import sys, time; open(sys.argv[1] + '/log.txt', 'w').write('reading [x]\\x1b[2J\\n'); time.sleep(60)",
    )
    app = ResultsApp(workspace)
    async with running(app, (80, 24)) as pilot:
        await open_form(app, pilot)
        await pilot.press("f5")
        await until(pilot, lambda: "reading [x][2J …" in lines(app) and "f5 cancels" in lines(app))
        await pilot.press("f5")
        await until(pilot, lambda: "f5 measures 3 steps" in lines(app))
        await pilot.press("f5")
        await until(pilot, lambda: len(children) == 2 and "f5 cancels" in lines(app))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, StartModal))
    assert [child.wait(60) for child in children] == [-signal.SIGKILL] * 2
    assert not holds(tmp_path, "negwb-cost-*")


async def test_a_failed_measurement_shows_its_reason(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(monkeypatch, "raise ZeroDivisionError('by nothing')")
    app = ResultsApp(workspace)
    async with running(app, (80, 24)) as pilot:
        await open_form(app, pilot)
        await pilot.press("f5")
        await until(pilot, lambda: "✗ the cost was not measured — ZeroDivisionError" in lines(app))


@pytest.mark.long
async def test_a_training_runs_to_its_end(trainable: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "jobs", JobRegistry())
    app = ResultsApp(trainable)
    async with running(app, (80, 24)) as pilot:
        await open_form(app, pilot)
        await fill_in(pilot, **small(trainable), steps="6", name="mine")
        await pilot.press("enter")
        await until_slow(pilot, lambda: "✓ done" in the_row(app, "mine"))
        await until(pilot, lambda: "6/6" in lines(app))
    folder = trainable.root / "runs" / "mine"
    state = read_run(folder)
    assert (state.status, state.result["steps"]) == (TrainingStatus.DONE, 6)
    assert holds(folder, "model/open_clip_config.json")


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_training_is_measured_started_stopped_and_resumed(
    trainable: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(training_cost.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(training, "jobs", JobRegistry())
    app = ResultsApp(trainable)
    folder = trainable.root / "runs" / "long"
    async with running(app, (80, 24)) as pilot:
        await open_form(app, pilot)
        await fill_in(pilot, **small(trainable), steps="100000", name="long")
        await pilot.press("f5")
        await until_slow(pilot, lambda: "100,000 steps of" in lines(app))
        assert "features of 12 images stored" in lines(app)
        assert not holds(folder, ""), "nothing is left of the measurement"
        assert not holds(tmp_path, "negwb-cost-*")
        await pilot.press("enter")
        await until_slow(pilot, lambda: read_run(folder).step >= 10 and "▶ running" in the_row(app, "long"))
        await pilot.press("s")
        await until_slow(pilot, lambda: "‖ stopped" in the_row(app, "long"))
        saved = read_saved_steps(folder)
        assert saved is not None
        await pilot.press("r")
        await until_slow(pilot, lambda: read_run(folder).step >= saved[0] + 20)
        assert f"resumed at step {saved[0]} of 100000" in "\n".join(tail(folder / "log.txt", 99))
        await until(pilot, lambda: "▶ running" in the_row(app, "long"))
        await pilot.press("s")
        await until_slow(pilot, lambda: "‖ stopped" in the_row(app, "long"))


def small(workspace: Workspace) -> dict[str, str]:
    other = "threads=1 log_every=1 val_share=0 keep=last"
    return {"model": str(workspace.root.parent / "tiny"), "batch": "4", "other": other}


def holds(folder: Path, pattern: str) -> bool:
    return bool(list(folder.glob(pattern))) if pattern else folder.exists()


async def until_slow(pilot: Any, true: Any) -> None:
    """Wait for a process that imports torch."""
    for _ in range(20):
        try:
            return await until(pilot, true)
        except AssertionError:
            continue
    return await until(pilot, true)


def test_the_cost_is_shown_with_its_parts() -> None:
    cost = TrainingCost(
        load_s=2, images=1000, missing_images=400, image_s=0.05, pairs=3000, batch=512, steps=2400, step_s=1.5,
        validations=17, texts=12_000, text_s=0.02,
    )  # fmt: skip
    assert cost_content(cost).plain == (
        "about 1 h 04 min: 2,400 steps of 1.5 s\nfeatures of 400 of 1,000 images 20 s, 17 validations 4 min 00 s"
    )
