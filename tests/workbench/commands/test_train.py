"""`negwb train` with real child processes: its end, Ctrl-C, kill -9, and the ways in which it refuses."""

from __future__ import annotations

import json
import os
import re
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

from trainers.errors import TrainerError
from trainers.run_files import TrainingStatus, read_run, read_saved_steps, take_lock
from trainers.settings import TrainSettings, read_config
from workbench.cli import app
from workbench.commands.train import progress_line, train_run
from workbench.errors import NothingToDo, UsageError
from workbench.jobs.runs import find_export, make_config, prepare_run, resume
from workbench.jobs.training import run_to_end, start_child
from workbench.workspace.layout import Workspace
from workbench.workspace.models import DEFAULT_MODEL, base_model, find_model, runs_folder

SMALL = ("--batch", 4, "--lr", "1e-3", "--threads", 1, "--set", "val_share=0.2")
LEADING = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
"""Makes the terminal the program's own, so that it turns Ctrl-C into a signal for all its processes."""
LONG = (*SMALL, "--steps", 140, "--set", "checkpoint_every=10", "--set", "keep=last", "--set", "val_share=0")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """With an export, and a run `first` that was trained by the command."""
    made = make_workspace(tmp_path_factory.mktemp("train"))
    done = negwb(made, "train", "set-001", "--model", tiny(made), "--name", "first", "--steps", 8, *SMALL, "--json")
    assert done.returncode == 0, done.stderr
    (made.root / "first.out").write_text(done.stdout)
    (made.root / "first.err").write_text(done.stderr)
    return made


def tiny(workspace: Workspace) -> Path:
    return workspace.root.parent / "tiny"


def test_json_is_one_object_and_the_lines_are_plain(workspace: Workspace) -> None:
    out = (workspace.root / "first.out").read_text()
    told = json.loads(out)
    assert out.count("\n") == 1
    assert (told["run"], told["status"], told["steps"]) == ("first", "done", 8)
    assert told["base"] == str(tiny(workspace))
    assert told["model_hash"] != told["base_hash"]
    assert (
        told["export_sha256"] == json.loads((workspace.exports / "set-001/manifest.json").read_text())["export_sha256"]
    )
    assert (Path(told["model"]) / "open_clip_config.json").is_file()
    said = (workspace.root / "first.err").read_text()
    assert "\x1b" not in said
    assert "step 8 of 8" in said
    assert "24 pairs from" in said, "the run's own words are passed on"


def test_the_config_needs_no_workspace(workspace: Workspace) -> None:
    config = read_config(runs_folder(workspace) / "first")
    assert config.pictures == {"small": (str(workspace.root / "pictures"),)}
    assert config.export == str(workspace.exports / "set-001")
    assert config.cache == str(workspace.cache)
    assert config.settings == TrainSettings(steps=8, batch=4, lr=1e-3, threads=1)


def test_json_says_what_it_learned_from(workspace: Workspace) -> None:
    told = json.loads((workspace.root / "first.out").read_text())
    data = told["data"]
    assert (data["pairs"], data["pairs_missing_picture"], data["pool"]) == (24, 0, None)
    assert data["train"]["pairs"] + data["validate"]["pairs"] == 24
    assert data["train"]["pictures"] + data["validate"]["pictures"] == 12
    assert told["pth"] is None
    assert "warning" not in (workspace.root / "first.err").read_text()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("nonsense", "there is no model"),
        ("nonsense:openai", "there is no model"),
        pytest.param("ViT-B-32:nonsense", "cannot be loaded", marks=pytest.mark.long),
        ("{tmp}/empty.pth", "holds no weights: EOFError"),
    ],
)
def test_a_refused_model_leaves_no_run(workspace: Workspace, tmp_path: Path, model: str, said: str) -> None:
    (tmp_path / "empty.pth").touch()
    before = sorted((workspace.root / "runs").iterdir())
    done = negwb(workspace, "train", "set-001", "--model", model.format(tmp=tmp_path), "--steps", 2, *SMALL)
    assert done.returncode in {2, 6}
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "log.txt" not in done.stderr, "the log went with the run"
    assert sorted((workspace.root / "runs").iterdir()) == before


def test_a_model_that_is_gone_leaves_a_run_that_is_resumed(workspace: Workspace, tmp_path: Path) -> None:
    model = tmp_path / "gone.pth"
    model.touch()
    run = prepare_run(workspace, "set-001", model=str(model), name="gone")
    model.unlink()
    done = negwb(workspace, "train", "--resume", "gone")
    assert done.returncode == 6
    assert "there is no file" in done.stderr
    assert (run / "config.json").is_file()
    shutil.rmtree(run)


def test_missing_pictures_are_warned_of_and_a_pth_is_kept(workspace: Workspace, tmp_path: Path) -> None:
    """The warning is a line of its own on stderr, not one among the run's own words."""
    gone = workspace.root / "pictures" / "p002.png"
    gone.rename(tmp_path / gone.name)
    try:
        words = ("set-001", "--model", tiny(workspace), "--name", "fewer", "--steps", 2, *SMALL, "--save-pth", "--json")
        done = negwb(workspace, "train", *words)
    finally:
        (tmp_path / gone.name).rename(gone)
    assert done.returncode == 0, done.stderr
    warning = "negwb: warning: 2 of 24 pairs have no image, the first is small/p002.png"
    assert warning in done.stderr.splitlines()
    told = json.loads(done.stdout)
    assert told["data"]["first_missing_picture"] == "small/p002.png"
    assert told["pth"] == str(runs_folder(workspace) / "fewer" / "model.pth")
    assert read_config(runs_folder(workspace) / "fewer").save_pth


def test_the_first_look_at_the_pictures_is_told(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = prepare_run(workspace, "set-001", model=str(tiny(workspace)), name="looking")
    stand_in(
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
    said = capsys.readouterr().err
    assert "failed" not in said, "why it failed is told once, at the end"
    assert "       encoding pictures 1,200 of 82,783\n" in said
    assert "negwb: stopped before a step was saved; go on with: negwb train --resume looking" in said


def test_the_bar_counts_pictures_then_steps(tmp_path: Path) -> None:
    code = """if True:
        import sys
        from pathlib import Path
        from trainers.run_files import RunWriter, read_run
        from workbench.commands.train import _progress
        folder = Path(sys.argv[1])
        writer = RunWriter(folder)
        with _progress(folder) as tell:
            writer.log("warning: 2 of 24 pairs have no image")
            writer.log("encoding pictures 1,200 of 82,783")
            tell(read_run(folder))
        with _progress(folder) as tell:
            writer.metrics({"step": 7, "steps": 90, "loss": 1.5, "val_loss": None, "seconds": "odd"})
            tell(read_run(folder))"""
    with Terminal([sys.executable, "-c", code, tmp_path], columns=100, **ONE_THREAD) as terminal:
        assert terminal.end() == 0
        output = re.sub(rb"\x1b\[[\d;?]*\w", b"", terminal.output)
    assert b"negwb: warning: 2 of 24" in output
    assert b"1200/82783 encoding pictures" in output
    assert b"7/90 loss 1.5000" in output


def test_a_finished_run_is_not_resumed(workspace: Workspace) -> None:
    done = negwb(workspace, "train", "--resume", "first")
    assert (done.returncode, done.stdout) == (5, "")
    assert "first is finished (8 steps)" in done.stderr


def test_the_runs_model_is_found_by_its_name_and_its_base_as_base(workspace: Workspace) -> None:
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
def test_interrupted_killed_and_resumed_it_ends(workspace: Workspace) -> None:
    """Ctrl-C in a real terminal, then kill -9 of the child, then the end."""
    run = runs_folder(workspace) / "hard"
    words = [NEGWB, "-w", workspace.root, "train", "set-001", "--name", "hard", *LONG]
    with Terminal([sys.executable, "-c", LEADING, *words], columns=100, **ONE_THREAD) as terminal:
        terminal.wait_for(lambda: read_run(run).step >= 20)
        terminal.press("\x03")
        assert terminal.end() == 130
        assert b"140" in terminal.output, "the bar knows how far it is"
        assert b"go on with: negwb train --resume hard" in terminal.output
        saved = read_saved_steps(run)
        assert saved is not None
        assert f"stopped after step {saved[0]} of 140;".encode() in terminal.output
    stopped = read_run(run)
    assert (stopped.status, (run / "checkpoints/latest.safetensors").is_file()) == (TrainingStatus.STOPPED, True)

    with Terminal([NEGWB, "-w", workspace.root, "train", "--resume", "hard"], **ONE_THREAD) as terminal:
        terminal.wait_for(lambda: read_run(run).step >= stopped.step + 30)
        with pytest.raises(UsageError, match="right now"):
            resume(workspace, "hard")
        os.kill(child_of(terminal.process.pid), signal.SIGKILL)
        assert terminal.end() == 6
        assert b"was killed by signal 9 after step" in terminal.output
        assert b"resumed at step" in terminal.output
        assert str(run / "log.txt").encode() in terminal.output.replace(b"\r\n", b"")

    done = negwb(workspace, "train", "--resume", "hard")
    assert (done.returncode, done.stdout) == (0, f"{run / 'model'}\n"), done.stderr
    assert read_run(run).result["steps"] == 140


def test_the_training_goes_on_when_its_parent_is_killed_and_stops_as_was_said(workspace: Workspace) -> None:
    run = runs_folder(workspace) / "left"
    words = [NEGWB, "-w", workspace.root, "train", "set-001", "--name", "left", *LONG, "--steps", 100_000]
    with Terminal(words, columns=200, **ONE_THREAD) as terminal:
        terminal.wait_for(lambda: read_run(run).step >= 10)
        child = child_of(terminal.process.pid)
        stop = f"kill -INT {child}"
        assert terminal.shows(
            f"if this command is killed (kill -9), the training goes on; stop it then with: {stop}".encode()
        )
        terminal.kill()
    try:
        after = read_run(run).step
        wait_until(lambda: read_run(run).step >= after + 30)
        with pytest.raises(UsageError, match="right now") as refused:
            resume(workspace, "left")
        assert f"stop it with: {stop};" in refused.value.hint
    finally:
        subprocess.run(stop, shell=True, check=True)
    wait_until(lambda: read_run(run).status is TrainingStatus.STOPPED)
    assert read_saved_steps(run) is not None


@pytest.mark.timeout(180)
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
    """The training's process."""
    (child,) = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return int(child)


def test_a_training_that_cannot_go_on_says_why_and_where(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepare_run(workspace, "set-001", model="ViT-B-32:openai", name="wrong")
    stand_in(
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
    assert base_model(workspace) != "ViT-B-32:openai", "what a run failed at is nobody's base"


def test_sigterm_stops_the_child_too(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepare_run(workspace, "set-001", model=str(tiny(workspace)), name="term")
    stand_in(monkeypatch, "import time; print('here', flush=True); time.sleep(60)")

    def tell(state: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        run_to_end(run, tell)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_bug_in_the_child_is_told_with_its_last_line(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepare_run(workspace, "set-001", model=str(tiny(workspace)), name="bug")
    stand_in(monkeypatch, "raise ZeroDivisionError('by nothing')")
    with pytest.raises(TrainerError, match="ended with code 1; it last said: ZeroDivisionError: by nothing") as failed:
        run_to_end(run)
    assert failed.value.hint == f"go on with: negwb train --resume bug; log: {run / 'output.txt'}"


def test_whatever_happens_here_the_child_ends(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepare_run(workspace, "set-001", model=str(tiny(workspace)), name="orphan")
    children = stand_in(monkeypatch, "import time; time.sleep(60)")

    def tell(state: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_to_end(run, tell)
    assert children[0].poll() is not None


def stand_in(monkeypatch: pytest.MonkeyPatch, code: str) -> list[object]:
    """Another program in the child's place; returns the children that were started."""
    children: list[object] = []

    class Stand(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, command: list[str], **more: object) -> None:
            super().__init__([sys.executable, "-c", code, command[-1]], **more)  # type: ignore[call-overload]
            children.append(self)

    monkeypatch.setattr("workbench.jobs.process.subprocess.Popen", Stand)
    return children


class TestOwnRecipe:
    """[train] in negwb.toml: a workspace's own defaults."""

    def recipe(self, workspace: Workspace, told: str, **asked: object) -> TrainSettings:
        words = workspace.settings.read_text(encoding="utf-8")
        try:
            workspace.settings.write_text(f"{words}\n[train]\n{told}\n", encoding="utf-8")
            return make_config(workspace, "set-001", model=str(tiny(workspace)), settings=asked).settings
        finally:
            workspace.settings.write_text(words, encoding="utf-8")

    def test_what_is_asked_for_wins_over_it_and_it_over_the_published(self, workspace: Workspace) -> None:
        made = self.recipe(workspace, "lr = 0.5\nbatch = 8", batch=4)
        assert made == TrainSettings(lr=0.5, batch=4)

    def test_its_paths_start_at_the_workspace(self, workspace: Workspace) -> None:
        made = self.recipe(workspace, 'replay_share = 0.5\nreplay_pool = "corpus/pool.jsonl"')
        assert made.replay_pool == str(workspace.root / "corpus" / "pool.jsonl")

    def test_epochs_that_are_asked_for_are_not_outvoted_by_its_steps(self, workspace: Workspace) -> None:
        assert self.recipe(workspace, "steps = 7").steps == 7
        assert self.recipe(workspace, "steps = 7", epochs=2).steps is None

    @pytest.mark.parametrize(
        ("told", "said"),
        [
            ("speed = 1", "unknown key speed"),
            ('lr = "fast"', "lr = 'fast': a number is expected"),
            ("frozen = [1]", r"frozen\[0\] = 1: text"),
            ("batch = 1", "batch must be 2 or more"),
        ],
    )
    def test_what_is_no_recipe_is_told(self, workspace: Workspace, told: str, said: str) -> None:
        with pytest.raises(UsageError, match=rf"negwb\.toml: \[train\].*{said}"):
            self.recipe(workspace, told)


class TestRefusals:
    """None of them makes a folder."""

    def refused(self, workspace: Workspace, call: Callable[[], object], said: str, hint: str = "") -> None:
        before = sorted(runs_folder(workspace).iterdir())
        with pytest.raises(UsageError, match=said) as refused:
            call()
        assert hint in refused.value.hint
        assert sorted(runs_folder(workspace).iterdir()) == before

    def test_export(self, workspace: Workspace) -> None:
        self.refused(workspace, lambda: prepare_run(workspace, "set-9"), "no export 'set-9'", "set-001")
        self.refused(workspace, lambda: prepare_run(workspace, ""), "no export")
        assert find_export(workspace, str(workspace.exports / "set-001")) == workspace.exports / "set-001"

    @pytest.mark.parametrize("model", ["nothing", "/none/tiny.pth", ":openai", "ViT-B-32:", "", "no\0name"])
    def test_model(self, workspace: Workspace, model: str) -> None:
        self.refused(workspace, lambda: prepare_run(workspace, "set-001", model=model), "no model", "first")

    def test_unfinished_run_as_model(self, workspace: Workspace) -> None:
        made = prepare_run(workspace, "set-001")
        self.refused(workspace, lambda: find_model(workspace, made.name), "not finished", "--resume")

    def test_name(self, workspace: Workspace) -> None:
        self.refused(workspace, lambda: prepare_run(workspace, "set-001", name="first"), "exists already")
        for name in ("../x", ".x", "a/b", "", "base"):
            self.refused(workspace, lambda name=name: prepare_run(workspace, "set-001", name=name), "no name for a run")

    def test_settings(self, workspace: Workspace) -> None:
        for settings in ({"lr": -1}, {"lr": "much"}, {"batch": 1}, {"bogus": 1}, {"seed": -1}, {"frozen": []}):
            self.refused(
                workspace,
                lambda settings=settings: prepare_run(workspace, "set-001", settings=settings),
                "train settings",
            )

    def test_resume(self, workspace: Workspace) -> None:
        self.refused(workspace, lambda: resume(workspace, "nothing"), "no run 'nothing'", "first")
        self.refused(workspace, lambda: resume(workspace, "../exports"), "no run")
        with pytest.raises(NothingToDo):
            resume(workspace, "first")

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ((), "is missing"),
            (("set-001", "--resume", "first"), "takes nothing else"),
            (("--resume", "first", "--lr", "1"), "takes nothing else"),
            (("--resume", "first", "--save-pth"), "takes nothing else"),
            (("set-001", "--set", "lr"), "NAME=VALUE"),
        ],
    )
    def test_calls(self, workspace: Workspace, words: tuple[str, ...], said: str) -> None:
        done = CliRunner().invoke(app, ["-w", str(workspace.root), "train", *words])
        assert isinstance(done.exception, UsageError)
        assert said in done.exception.message


def test_runs_get_the_next_free_name(workspace: Workspace) -> None:
    made = [prepare_run(workspace, "set-001").name for _ in range(2)]
    assert int(made[1].removeprefix("run-")) == int(made[0].removeprefix("run-")) + 1


def test_a_workspace_without_runs_begins_with_clip(tmp_path: Path) -> None:
    assert base_model(Workspace(tmp_path)) == DEFAULT_MODEL


def test_two_trainings_of_one_run_are_refused_by_the_child(workspace: Workspace) -> None:
    run = prepare_run(workspace, "set-001", model=str(tiny(workspace)), name="twice")
    lock = take_lock(run)
    assert lock is not None
    with lock:
        child = start_child(run)
        assert child.wait(30) == 2
    assert "another process trains this run" in (run / "output.txt").read_text()


def test_a_line_of_progress(tmp_path: Path) -> None:
    row = {"step": 1500, "steps": 4500, "loss": 1.23456, "val_loss": 2.0, "pairs_per_s": 412.4, "seconds": 1800.0}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    assert progress_line(read_run(tmp_path)) == (
        "step 1,500 of 4,500  loss 1.2346  val 2.0000  412 pairs/s  1:00:00 left"
    )
