"""`negwb train` with child processes: completion, Ctrl-C, kill -9, refusals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.loops import NEGWB, ONE_THREAD, make_workspace, negwb
from support.terminal import Terminal
from typer.testing import CliRunner

from trainers.errors import RunRefused, TrainerError
from trainers.models.loading import load_model
from trainers.recipes.recipe import read_recipe
from trainers.run_files import TrainingStatus, checkpoints_of, read_metrics, read_run, read_saved_steps, take_lock
from trainers.settings import TrainSettings, read_config
from workbench.cli import app
from workbench.commands.train import train_run
from workbench.errors import NothingToDo, UsageError
from workbench.installation import install_hint
from workbench.jobs.training.runs import find_export, make_config, prepare_run, resume, trainer_pid
from workbench.jobs.training.training import run_to_end, start_and_leave, start_child
from workbench.workspace.layout import Workspace
from workbench.workspace.models import DEFAULT_MODEL, base_model, find_model, runs_folder
from workbench.workspace.settings.catalog import read_setting_list
from workbench.workspace.settings.settings import parse, read_settings

SMALL = ("--batch", 4, "--lr", "1e-3", "--threads", 1, "--set", "val_share=0.2")
LEADING = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
"""Makes the terminal the controlling terminal, so that Ctrl-C sends a signal to all processes."""
LONG = (*SMALL, "--steps", 140, "--set", "checkpoint_every=10", "--set", "keep=last", "--set", "val_share=0")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Workspace with an export and a finished run `first`."""
    created = make_workspace(tmp_path_factory.mktemp("train"))
    done = negwb(
        created, "train", "set-001", "--model", tiny(created), "--name", "first", "--steps", 8, *SMALL, "--json"
    )
    assert done.returncode == 0, done.stderr
    (created.root / "first.out").write_text(done.stdout)
    (created.root / "first.err").write_text(done.stderr)
    return created


def tiny(workspace: Workspace) -> Path:
    return workspace.root.parent / "tiny"


def test_json_is_one_object_and_the_lines_are_plain(workspace: Workspace) -> None:
    out = (workspace.root / "first.out").read_text()
    data = json.loads(out)
    assert out.count("\n") == 1
    assert (data["run"], data["status"], data["steps"]) == ("first", "done", 8)
    assert data["base"] == str(tiny(workspace))
    assert data["model_hash"] != data["base_hash"]
    assert (
        data["export_sha256"] == json.loads((workspace.exports / "set-001/manifest.json").read_text())["export_sha256"]
    )
    assert (Path(data["model"]) / "open_clip_config.json").is_file()
    output = (workspace.root / "first.err").read_text()
    assert "\x1b" not in output
    assert "step 8 of 8" in output
    assert "24 pairs from" in output, "the run's own words are passed on"


def test_the_config_needs_no_workspace(workspace: Workspace) -> None:
    config = read_config(runs_folder(workspace) / "first")
    assert config.pictures == {"small": (str(workspace.root / "pictures"),)}
    assert config.export == str(workspace.exports / "set-001")
    assert config.cache == str(workspace.cache)
    assert config.settings == TrainSettings(steps=8, batch=4, lr=1e-3, threads=1)


def test_json_has_the_training_data(workspace: Workspace) -> None:
    fields = json.loads((workspace.root / "first.out").read_text())
    data = fields["data"]
    assert (data["pairs"], data["pairs_missing_picture"], data["pool"]) == (24, 0, None)
    assert data["train"]["pairs"] + data["validate"]["pairs"] == 24
    assert data["train"]["pictures"] + data["validate"]["pictures"] == 12
    assert fields["pth"] is None
    warnings = [line for line in (workspace.root / "first.err").read_text().splitlines() if "warning" in line]
    assert [line for line in warnings if "of the rows of a batch have another text of their image" not in line] == []
    assert data["same_image_share"] > 0.1, "24 pairs of 12 images in batches of 4"


@pytest.mark.long
@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("nonsense", "there is no model"),
        ("nonsense:openai", "there is no model"),
        pytest.param("ViT-B-32:nonsense", "cannot be loaded", marks=pytest.mark.long),
        ("{tmp}/empty.pth", "holds no weights: EOFError"),
    ],
)
def test_a_refused_model_leaves_no_run(workspace: Workspace, tmp_path: Path, model: str, message: str) -> None:
    (tmp_path / "empty.pth").touch()
    before = sorted((workspace.root / "runs").iterdir())
    done = negwb(workspace, "train", "set-001", "--model", model.format(tmp=tmp_path), "--steps", 2, *SMALL)
    assert done.returncode in {2, 6}
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "log.txt" not in done.stderr, "the log went with the run"
    assert sorted((workspace.root / "runs").iterdir()) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(("--device", "meta"), "does not run on the device meta", marks=pytest.mark.long),
        (("--threads", 100_000), "threads = 100000, and this process may use"),
        pytest.param(
            ("--set", "val_share=0.001"),
            "keep = best compares validations, and val_share = 0.001 leaves 0",
            marks=pytest.mark.long,
        ),
        (("--set", "val_share=0"), "keep = best needs a val_share above 0"),
    ],
)
def test_a_run_that_cannot_start_leaves_no_run(workspace: Workspace, options: tuple[object, ...], message: str) -> None:
    before = sorted((workspace.root / "runs").iterdir())
    done = negwb(workspace, "train", "set-001", "--model", tiny(workspace), "--steps", 2, *SMALL, *options)
    assert done.returncode in {2, 6}
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted((workspace.root / "runs").iterdir()) == before


@pytest.mark.long
def test_a_run_with_a_missing_model_can_be_resumed(workspace: Workspace, tmp_path: Path) -> None:
    model = tmp_path / "gone.pth"
    model.touch()
    run = prepare_run(workspace, "set-001", model=str(model), name="gone")
    model.unlink()
    done = negwb(workspace, "train", "--resume", "gone")
    assert done.returncode == 6
    assert "there is no file" in done.stderr
    assert (run / "config.json").is_file()
    shutil.rmtree(run)


def test_a_run_prints_its_recipe_warns_of_missing_images_and_writes_all_forms(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Warnings, also of a tracker that fails, are lines of their own on stderr, not lines of the run's log."""
    monkeypatch.setenv("PYTHONPATH", str(failing_wandb(tmp_path)))
    gone = workspace.root / "pictures" / "p002.png"
    gone.rename(tmp_path / gone.name)
    try:
        words = (
            "set-001",
            "--model",
            tiny(workspace),
            "--name",
            "fewer",
            "--steps",
            2,
            *SMALL,
            "--save-pth",
            "--save-hf",
            "--report-to",
            "wandb",
            "--json",
        )
        done = negwb(workspace, "train", *words, "--recipe", "negationclip", "--set", "max_unusable=0.1")
    finally:
        (tmp_path / gone.name).rename(gone)
    assert done.returncode == 0, done.stderr
    left_out = "1 image left out (1 missing, 0 unreadable), listed in excluded_images.jsonl"
    assert f"negwb: warning: {left_out}; the first is small/p002.png: missing" in done.stderr.splitlines()
    data = json.loads(done.stdout)
    assert data["data"]["first_missing_picture"] == "small/p002.png"
    assert data["pth"] == str(runs_folder(workspace) / "fewer" / "model.pth")
    assert data["hf"] == str(runs_folder(workspace) / "fewer" / "hf")
    assert load_model(data["hf"]).model_hash == load_model(data["model"]).model_hash == data["model_hash"]
    config = read_config(runs_folder(workspace) / "fewer")
    assert config.save_pth
    assert (config.settings.split, data["recipe"]) == ("caption", "negationclip")
    assert "recipe negationclip: the published NegationCLIP recipe to the letter" in done.stderr
    assert "steps = 2 (command line)" in done.stderr
    assert config.report_to == ("wandb",)
    assert "negwb: warning: wandb failed: no network" in done.stderr


_FAILING = """
class Settings:
    def __init__(self, **_): ...
def init(**_):
    raise OSError('no network')
"""


def failing_wandb(folder: Path) -> Path:
    """Return a folder for PYTHONPATH with a package wandb that fails when it starts a run."""
    (folder / "packages").mkdir()
    (folder / "packages" / "wandb.py").write_text(_FAILING)
    return folder / "packages"


@pytest.mark.long
def test_trackers_change_no_byte(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(failing_wandb(tmp_path)))
    words = ("set-001", "--model", tiny(workspace), "--name", "tracked", "--steps", 8, *SMALL)
    done = negwb(workspace, "train", *words, "--report-to", "wandb,tensorboard")
    assert done.returncode == 0, done.stderr
    first, tracked = (runs_folder(workspace) / name for name in ("first", "tracked"))
    weights = "model/open_clip_model.safetensors"
    assert (first / weights).read_bytes() == (tracked / weights).read_bytes()
    times = {"seconds", "pairs_per_s"}
    rows = [
        [{k: v for k, v in row.items() if k not in times} for row in read_metrics(each)] for each in (first, tracked)
    ]
    assert rows[0] == rows[1]
    assert list((tracked / "tensorboard").iterdir())


def test_image_encoding_shows_progress(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = prepare_run(workspace, "set-001", model=str(tiny(workspace)), name="looking")
    replace_child(
        monkeypatch,
        """if True:
        import sys
        from pathlib import Path
        with (Path(sys.argv[-1]) / "log.txt").open("a") as log:
            log.write("encoding pictures 1,200 of 82,783\\nfailed: not now\\n")
        sys.exit(130)""",
    )
    with pytest.raises(KeyboardInterrupt):
        train_run(run)
    output = capsys.readouterr().err
    assert "failed" not in output, "the cause of a failure is printed once, at the end"
    assert "       encoding pictures 1,200 of 82,783\n" in output
    assert "negwb: stopped before a step was saved; continue with: negwb train --resume looking" in output


def test_a_finished_run_is_not_resumed(workspace: Workspace) -> None:
    done = negwb(workspace, "train", "--resume", "first")
    assert (done.returncode, done.stdout) == (5, "")
    assert "first is finished (8 steps)" in done.stderr


def test_models_are_found_by_run_name_and_as_base(workspace: Workspace) -> None:
    run = runs_folder(workspace) / "first"
    assert find_model(workspace, "first").spec == str(run / "model")
    assert find_model(workspace, str(run)).spec == str(run / "model")
    assert find_model(workspace, "base").spec == str(tiny(workspace))
    further = prepare_run(workspace, "set-001", model="first", name="further")
    assert base_model(workspace) == str(tiny(workspace)), "the base of a run on a run is where the first one began"
    for path in further.iterdir():
        path.unlink()
    further.rmdir()


@pytest.mark.long
def test_an_interrupted_and_killed_run_is_resumed_to_its_end(workspace: Workspace) -> None:
    """Ctrl-C in a terminal, then kill -9 of the child, then completion."""
    run = runs_folder(workspace) / "hard"
    words = [NEGWB, "-w", workspace.root, "train", "set-001", "--name", "hard", *LONG, "--report-to", "tensorboard"]
    with Terminal([sys.executable, "-c", LEADING, *words], columns=100, **ONE_THREAD) as terminal:
        terminal.wait_for(lambda: read_run(run).step >= 20)
        terminal.press("\x03")
        assert terminal.end() == 130
        assert b"140" in terminal.output, "the bar knows how far it is"
        assert b"continue with: negwb train --resume hard" in terminal.output
        saved = read_saved_steps(run)
        assert saved is not None
        assert f"stopped after step {saved[0]} of 140;".encode() in terminal.output
    stopped = read_run(run)
    assert (stopped.status, bool(checkpoints_of(run))) == (TrainingStatus.STOPPED, True)

    with Terminal([NEGWB, "-w", workspace.root, "train", "--resume", "hard"], **ONE_THREAD) as terminal:
        terminal.wait_for(lambda: read_run(run).step >= stopped.step + 30)
        with pytest.raises(UsageError, match="is training"):
            resume(workspace, "hard")
        os.kill(child_of(terminal.process.pid), signal.SIGKILL)
        assert terminal.end() == 6
        assert b"was killed by signal 9 after step" in terminal.output
        assert b"resumed at step" in terminal.output
        assert str(run / "log.txt").encode() in terminal.output.replace(b"\r\n", b"")

    done = negwb(workspace, "train", "--resume", "hard")
    assert (done.returncode, done.stdout) == (0, f"{run / 'model'}\n"), done.stderr
    assert read_run(run).result["steps"] == 140
    reported = steps_in_tensorboard(run / "tensorboard")
    assert reported == [row["step"] for row in read_metrics(run)], "each step once"


def steps_in_tensorboard(folder: Path) -> list[int]:
    """Return the steps of all event files that have a loss, in order."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    events = (event for path in folder.iterdir() for event in EventFileLoader(str(path)).Load())
    return sorted(event.step for event in events if any(value.tag == "train/loss" for value in event.summary.value))


@pytest.mark.long
def test_the_training_survives_its_parent_and_stops_with_the_printed_command(workspace: Workspace) -> None:
    run = runs_folder(workspace) / "left"
    words = [NEGWB, "-w", workspace.root, "train", "set-001", "--name", "left", *LONG, "--steps", 100_000]
    with Terminal(words, columns=200, **ONE_THREAD) as terminal:
        terminal.wait_for(lambda: read_run(run).step >= 10)
        child = child_of(terminal.process.pid)
        stop = f"kill -INT {child}"
        assert terminal.shows(
            f"if this command is killed with kill -9, the training continues; stop it with: {stop}".encode()
        )
        terminal.kill()
    try:
        after = read_run(run).step
        wait_until(lambda: read_run(run).step >= after + 30)
        with pytest.raises(UsageError, match="is training") as refused:
            resume(workspace, "left")
        assert f"stop it with: {stop};" in refused.value.hint
    finally:
        subprocess.run(stop, shell=True, check=True)
    wait_until(lambda: read_run(run).status is TrainingStatus.STOPPED)
    assert read_saved_steps(run) is not None


@pytest.mark.long
def test_a_detached_training_survives_its_terminal_and_cannot_be_resumed_meanwhile(workspace: Workspace) -> None:
    run = runs_folder(workspace) / "detached"
    words = [NEGWB, "-w", workspace.root, "train", "set-001", "--name", "detached", *LONG, "--steps", 100_000]
    with Terminal([sys.executable, "-c", LEADING, *words, "--detach"], columns=200, **ONE_THREAD) as terminal:
        assert terminal.end() == 0
        assert terminal.shows(b"watch it with: negwb report --runs")
        stop = f"kill -INT {trainer_pid(run)}"
        assert terminal.shows(f"stop it with: {stop};".encode())
        terminal.hang_up()
    try:
        refused = negwb(workspace, "train", "--resume", "detached")
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "another process is training detached" in refused.stderr
        assert f"stop it with: {stop};" in refused.stderr
        wait_until(lambda: read_run(run).step >= 10)
    finally:
        subprocess.run(stop, shell=True, check=True)
    wait_until(lambda: read_run(run).status is TrainingStatus.STOPPED)
    assert read_saved_steps(run) is not None


@pytest.mark.long
def test_a_detached_training_is_one_json_object(workspace: Workspace) -> None:
    run = runs_folder(workspace) / "background"
    started = negwb(workspace, "train", "set-001", "--name", "background", *SMALL, "--steps", 3, "--detach", "--json")
    assert started.returncode == 0, started.stderr
    listed = json.loads(started.stdout)
    assert listed == {"run": "background", "path": str(run), "status": "running", "pid": listed["pid"]}
    wait_until(lambda: read_run(run).status is TrainingStatus.DONE)


def test_a_detached_training_that_is_refused_at_once_is_reported(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prepare_run(workspace, "set-001", model=str(tiny(workspace)), name="refused")
    replace_child(
        monkeypatch,
        """if True:
        import json, sys
        from pathlib import Path
        failure = {"message": "no", "hint": "another", "refused": True}
        (Path(sys.argv[-1]) / "failed.json").write_text(json.dumps(failure))
        sys.exit(6)""",
    )
    with pytest.raises(RunRefused, match="no") as refused:
        start_and_leave(run)
    assert refused.value.hint == "another"


@pytest.mark.timeout(180)
@pytest.mark.long
def test_a_closed_terminal_stops_the_training(workspace: Workspace) -> None:
    run = runs_folder(workspace) / "closed"
    words = [NEGWB, "-w", workspace.root, "train", "set-001", "--name", "closed", *LONG, "--steps", 100_000]
    with Terminal([sys.executable, "-c", LEADING, *words], columns=200, **ONE_THREAD) as terminal:
        terminal.wait_for(lambda: read_run(run).step >= 10)
        assert terminal.shows(b"a closed terminal saves its state and stops it")
        terminal.hang_up()
        assert terminal.end(seconds=60) == 129
    assert read_run(run).status is TrainingStatus.STOPPED
    assert read_saved_steps(run) is not None


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def child_of(process: int) -> int:
    """Return the process id of the training."""
    (child,) = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return int(child)


def test_a_failed_training_reports_its_cause_and_log(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepare_run(workspace, "set-001", model="ViT-B-32:openai", name="wrong")
    replace_child(
        monkeypatch,
        """if True:
        import json, sys
        from pathlib import Path
        told = {"message": "there is no model ViT-B-32", "hint": "another"}
        (Path(sys.argv[-1]) / "failed.json").write_text(json.dumps(told))
        sys.exit(6)""",
    )
    with pytest.raises(TrainerError, match="there is no model ViT-B-32") as failed:
        run_to_end(run)
    assert failed.value.hint == f"another; log: {run / 'log.txt'}"
    assert base_model(workspace) != "ViT-B-32:openai", "the model of a failed run is not the default base"


def test_sigterm_stops_the_child_too(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepare_run(workspace, "set-001", model=str(tiny(workspace)), name="term")
    replace_child(monkeypatch, "import time; print('here', flush=True); time.sleep(60)")

    def report_state(state: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        run_to_end(run, report_state)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_crash_of_the_child_is_reported_with_its_last_line(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prepare_run(workspace, "set-001", model=str(tiny(workspace)), name="bug")
    replace_child(monkeypatch, "raise ZeroDivisionError('by nothing')")
    with pytest.raises(
        TrainerError, match="ended with code 1; its last output: ZeroDivisionError: by nothing"
    ) as failed:
        run_to_end(run)
    assert failed.value.hint == f"resume with: negwb train --resume bug; log: {run / 'output.txt'}"


def test_an_error_in_the_parent_stops_the_child(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepare_run(workspace, "set-001", model=str(tiny(workspace)), name="orphan")
    children = replace_child(monkeypatch, "import time; time.sleep(60)")

    def report_state(state: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_to_end(run, report_state)
    assert children[0].poll() is not None


def replace_child(monkeypatch: pytest.MonkeyPatch, code: str) -> list[object]:
    """Replace the child program; return the started children."""
    children: list[object] = []

    class Stand(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, command: list[str], **more: object) -> None:
            super().__init__([sys.executable, "-c", code, command[-1]], **more)  # type: ignore[call-overload]
            children.append(self)

    monkeypatch.setattr("workbench.jobs.process.subprocess.Popen", Stand)
    return children


class TestRecipes:
    def test_they_are_listed_without_a_workspace(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        lines = CliRunner().invoke(app, ["train", "--recipes"]).stdout.splitlines()
        listed = json.loads(CliRunner().invoke(app, ["train", "--recipes", "--json"]).stdout)
        assert [line.split()[0] for line in lines] == [recipe["name"] for recipe in listed]
        assert all(line.endswith(recipe["summary"]) for line, recipe in zip(lines, listed, strict=True))
        assert {"conclip", "lora", "negationclip", "negwb"} <= {recipe["name"] for recipe in listed}

    def test_options_override_the_workspace_which_overrides_the_recipe(self, workspace: Workspace) -> None:
        words = workspace.settings.read_text(encoding="utf-8")
        try:
            workspace.settings.write_text(f"{words}\n[train]\nlr = 0.5\nbatch = 8\n", encoding="utf-8")
            changes = {"batch": 4, "warm_up": 0.05}  # the second as in the recipe
            config = make_config(workspace, "set-001", model=str(tiny(workspace)), recipe="negwb", settings=changes)
        finally:
            workspace.settings.write_text(words, encoding="utf-8")
        recipe = read_recipe("negwb")
        assert config.settings == TrainSettings.from_dict({**recipe.settings, "lr": 0.5, "batch": 4})
        assert config.recipe is not None
        assert (config.recipe.name, config.recipe.settings) == ("negwb", recipe.settings)
        assert config.recipe.overridden == {"lr": "negwb.toml", "batch": "command line"}

    def test_epochs_override_steps_of_a_recipe(self, workspace: Workspace, tmp_path: Path) -> None:
        path = tmp_path / "mine.toml"
        path.write_text('summary = "mine"\n[settings]\nsteps = 7\n')
        config = make_config(workspace, "set-001", model=str(tiny(workspace)), recipe=str(path), settings={"epochs": 2})
        assert (config.settings.steps, config.settings.epochs) == (None, 2)
        assert config.recipe is not None
        assert config.recipe.overridden == {"epochs": "command line", "steps": "command line"}

    def test_lora_without_peft_leaves_no_run(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        before = sorted(runs_folder(workspace).iterdir())
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(UsageError, match="lora_rank needs peft") as refused:
            prepare_run(workspace, "set-001", model=str(tiny(workspace)), recipe="lora")
        assert refused.value.hint == install_hint("lora")
        assert sorted(runs_folder(workspace).iterdir()) == before

    def test_an_unknown_recipe_leaves_no_run(self, workspace: Workspace) -> None:
        before = sorted(runs_folder(workspace).iterdir())
        with pytest.raises(UsageError, match="unknown recipe 'nothing'"):
            prepare_run(workspace, "set-001", model=str(tiny(workspace)), recipe="nothing")
        assert sorted(runs_folder(workspace).iterdir()) == before


class TestOwnRecipe:
    """[train] in negwb.toml: defaults of the workspace."""

    def recipe(self, workspace: Workspace, value: str, **asked: object) -> TrainSettings:
        words = workspace.settings.read_text(encoding="utf-8")
        try:
            workspace.settings.write_text(f"{words}\n[train]\n{value}\n", encoding="utf-8")
            return make_config(workspace, "set-001", model=str(tiny(workspace)), settings=asked).settings
        finally:
            workspace.settings.write_text(words, encoding="utf-8")

    def test_options_override_the_recipe_and_the_recipe_overrides_defaults(self, workspace: Workspace) -> None:
        run = self.recipe(workspace, "lr = 0.5\nbatch = 8", batch=4)
        assert run == TrainSettings(lr=0.5, batch=4)

    def test_it_can_start_from_a_recipe(self, workspace: Workspace) -> None:
        """[train] overrides it; --recipe replaces it; anchor_weight needs the replay of the recipe."""
        words = workspace.settings.read_text(encoding="utf-8")
        (workspace.root / "mine.toml").write_text('summary = "mine"\n[settings]\nlr = 0.5\n', encoding="utf-8")
        model, configs = str(tiny(workspace)), []
        try:
            for table, recipe in (
                ('recipe = "negwb"\nbatch = 8\nanchor_weight = 1', None),
                ('recipe = "negwb"\nbatch = 8', "negclip"),
                ('recipe = "mine.toml"', None),
            ):
                workspace.settings.write_text(f"{words}\n[train]\n{table}\n", encoding="utf-8")
                configs.append(make_config(workspace, "set-001", model=model, recipe=recipe, settings={"seed": 1}))
        finally:
            workspace.settings.write_text(words, encoding="utf-8")
        negwb, negclip, mine = configs
        whole = {**read_recipe("negwb").settings, "batch": 8, "anchor_weight": 1, "seed": 1}
        assert negwb.settings == TrainSettings.from_dict(whole)
        assert negwb.recipe is not None
        assert negwb.recipe.name == "negwb"
        assert negwb.recipe.overridden == {
            "batch": "negwb.toml",
            "anchor_weight": "negwb.toml",
            "seed": "command line",
        }
        assert negclip.recipe is not None
        assert negclip.recipe.name == "negclip"
        assert mine.settings == TrainSettings(lr=0.5, seed=1)
        assert mine.recipe is not None
        assert mine.recipe.name == str(workspace.root / "mine.toml")

    @pytest.mark.parametrize(
        ("table", "message", "hint"),
        [
            ('recipe = "negvb"', "unknown recipe 'negvb'", "did you mean negwb?"),
            ('recipe = "xyzzy"', "unknown recipe 'xyzzy'", "known: "),
            ('recipe = "none.toml"', "none.toml cannot be read", ""),
            ("recipe = 3", r"recipe = 3", ""),
            ('recipe = "negwb"\nval_share = 0.0', "needs", ""),
        ],
    )
    def test_a_wrong_recipe_is_one_line_with_the_file(
        self, workspace: Workspace, table: str, message: str, hint: str
    ) -> None:
        path = workspace.root / "other.toml"
        path.write_text(f"[train]\n{table}\n", encoding="utf-8")
        with pytest.raises(UsageError, match=message) as refused:
            read_settings(path)
        assert str(path) in refused.value.message
        assert hint in refused.value.hint
        assert "\n" not in refused.value.message

    def test_the_settings_screen_lists_the_values_of_its_recipe(self, workspace: Workspace) -> None:
        path = workspace.root / "other.toml"
        path.write_text('[train]\nrecipe = "negwb"\nbatch = 8\n', encoding="utf-8")
        rows = {row.name: row for row in read_setting_list(path)[1]}
        assert (rows["train.recipe"].value, rows["train.recipe"].line) == ("negwb", 2)
        assert (rows["train.batch"].value, rows["train.batch"].default, rows["train.batch"].line) == ("8", "512", 3)
        assert (rows["train.schedule"].value, rows["train.schedule"].line) == ("cosine", None)

    def test_its_paths_are_relative_to_the_workspace(self, workspace: Workspace) -> None:
        run = self.recipe(workspace, 'replay_share = 0.5\nreplay_pool = "corpus/pool.jsonl"')
        assert run.replay_pool == str(workspace.root / "corpus" / "pool.jsonl")

    def test_the_epochs_option_overrides_its_steps(self, workspace: Workspace) -> None:
        assert self.recipe(workspace, "steps = 7").steps == 7
        assert self.recipe(workspace, "steps = 7", epochs=2).steps is None

    @pytest.mark.parametrize("value", ['"wandb, tensorboard"', '["tensorboard", "wandb"]'])
    def test_its_trackers_are_used_unless_the_command_line_names_others(
        self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        text = f"{workspace.settings.read_text(encoding='utf-8')}\n[train]\nreport_to = {value}\n"
        settings = parse(text, workspace.settings)
        monkeypatch.setattr("workbench.workspace.settings.settings.read_settings", lambda path: settings)

        def trackers(report_to: str | None) -> tuple[str, ...]:
            return make_config(workspace, "set-001", model=str(tiny(workspace)), report_to=report_to).report_to

        assert trackers(None) == ("tensorboard", "wandb")
        assert trackers("trackio") == ("trackio",)
        assert trackers("none") == ()

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ("report_to = 1", "report_to must be a list"),
            ("report_to = [1]", "report_to must be a list"),
            ('report_to = "wandbb"', "unknown tracker 'wandbb'"),
            ("speed = 1", "unknown key speed"),
            ('lr = "fast"', "lr = 'fast': a number is expected"),
            ("frozen = [1]", r"frozen\[0\] = 1: text"),
            ("batch = 1", "batch must be 2 or more"),
        ],
    )
    def test_an_invalid_recipe_is_reported(self, workspace: Workspace, value: str, message: str) -> None:
        with pytest.raises(UsageError, match=rf"negwb\.toml: \[train\].*{message}"):
            self.recipe(workspace, value)


class TestRefusals:
    """No refusal creates a folder."""

    def refused(self, workspace: Workspace, call: Callable[[], object], message: str, hint: str = "") -> None:
        before = sorted(runs_folder(workspace).iterdir())
        with pytest.raises(UsageError, match=message) as refused:
            call()
        assert hint in refused.value.hint
        assert sorted(runs_folder(workspace).iterdir()) == before

    def test_export(self, workspace: Workspace) -> None:
        self.refused(workspace, lambda: prepare_run(workspace, "set-9"), "unknown export 'set-9'", "set-001")
        self.refused(workspace, lambda: prepare_run(workspace, ""), "unknown export")
        assert find_export(workspace, str(workspace.exports / "set-001")) == workspace.exports / "set-001"

    @pytest.mark.parametrize("model", ["nothing", "/none/tiny.pth", ":openai", "ViT-B-32:", "", "no\0name"])
    def test_model(self, workspace: Workspace, model: str) -> None:
        self.refused(workspace, lambda: prepare_run(workspace, "set-001", model=model), "no model", "first")

    def test_unfinished_run_as_model(self, workspace: Workspace) -> None:
        result = prepare_run(workspace, "set-001")
        self.refused(workspace, lambda: find_model(workspace, result.name), "not finished", "--resume")

    def test_name(self, workspace: Workspace) -> None:
        self.refused(workspace, lambda: prepare_run(workspace, "set-001", name="first"), "exists already")
        for name in ("../x", ".x", "a/b", "", "base"):
            self.refused(workspace, lambda name=name: prepare_run(workspace, "set-001", name=name), "invalid run name")

    def test_settings(self, workspace: Workspace) -> None:
        for settings in ({"lr": -1}, {"lr": "much"}, {"batch": 1}, {"bogus": 1}, {"seed": -1}, {"frozen": []}):
            self.refused(
                workspace,
                lambda settings=settings: prepare_run(workspace, "set-001", settings=settings),
                "train settings",
            )

    def test_resume(self, workspace: Workspace) -> None:
        self.refused(workspace, lambda: resume(workspace, "nothing"), "unknown run 'nothing'", "first")
        self.refused(workspace, lambda: resume(workspace, "../exports"), "unknown run")
        with pytest.raises(NothingToDo):
            resume(workspace, "first")

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ((), "missing argument"),
            (("set-001", "--resume", "first"), "takes no other options"),
            (("--resume", "first", "--lr", "1"), "takes no other options"),
            (("--resume", "first", "--save-pth"), "takes no other options"),
            (("--resume", "first", "--report-to", "wandb"), "takes no other options"),
            (("set-001", "--report-to", "wandbb"), "unknown tracker 'wandbb'"),
            (("set-001", "--set", "lr"), "NAME=VALUE"),
        ],
    )
    def test_calls(self, workspace: Workspace, words: tuple[str, ...], message: str) -> None:
        done = CliRunner().invoke(app, ["-w", str(workspace.root), "train", *words])
        assert isinstance(done.exception, UsageError)
        assert message in done.exception.message


def test_runs_get_the_next_free_name(workspace: Workspace) -> None:
    result = [prepare_run(workspace, "set-001").name for _ in range(2)]
    assert int(result[1].removeprefix("run-")) == int(result[0].removeprefix("run-")) + 1


def test_the_default_base_without_runs_is_clip(tmp_path: Path) -> None:
    assert base_model(Workspace(tmp_path)) == DEFAULT_MODEL


def test_a_second_training_of_a_run_is_refused(workspace: Workspace) -> None:
    run = prepare_run(workspace, "set-001", model=str(tiny(workspace)), name="twice")
    lock = take_lock(run)
    assert lock is not None
    with lock:
        child = start_child(run)
        assert child.wait(60) == 2
    assert "another process trains this run" in (run / "output.txt").read_text()
