"""Tests of the generate screen: what it shows of the record, and what its keys do to generation runs."""

from __future__ import annotations

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
from sqlalchemy import text
from support.plugin_engine import install
from support.results import build_workspace, lines, running, until
from support.screen_sizes import SIZES, THEMES
from support.workspaces import HOSTILE, Case, WorkspaceFixture, build, press, settled
from tools.generation_screenshots import half_way, settings, write_drops, write_runs

from curation_db.enums import GenerationState
from curation_db.generation.runs import StageProgress, end_run, get_run, list_runs, record_heartbeat, start_run
from curation_db.storage.ids import utc_text
from workbench.errors import NegwbError
from workbench.jobs import generation, generation_monitor
from workbench.jobs.generation_monitor import GenerationMonitor, RunStatus
from workbench.jobs.process import JobRegistry
from workbench.tui.results import generate as screen_module
from workbench.tui.results.app import ResultsApp
from workbench.tui.screens.modals.generate import GenerateModal
from workbench.workspace.layout import Workspace

ENGINES = """
[engines.toy]
kind = "toy"
options = {{ pause_file = "{pause_file}" }}
[generate]
proposer = "toy"
judges = ["toy"]
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkspaceFixture]:
    monkeypatch.setattr(screen_module, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(generation, "jobs", JobRegistry())
    created = build(tmp_path / "workspace", [Case(caption=f"a dog on a lawn, picture {n}") for n in range(12)])
    yield created
    for child in generation.jobs.values():
        child.process.kill()
        child.process.wait()
    created.store.close()


def app_of(workspace: WorkspaceFixture, **content: Any) -> ResultsApp:
    return ResultsApp(Workspace(workspace.root), start="generate", **content)


def begin(workspace: WorkspaceFixture, **more: Any) -> int:
    with workspace.store.write() as connection:
        return start_run(connection, recipe="abc", settings=settings(**more))


def name_engines(workspace: WorkspaceFixture, *, pause: float = 0.0) -> None:
    path = workspace.root / "negwb.toml"
    set_pause(workspace, pause)
    path.write_text(path.read_text() + ENGINES.format(pause_file=workspace.root / "pause"))


def set_pause(workspace: WorkspaceFixture, seconds: float) -> None:
    """Set the time per answer outside the options, which are part of the recipe."""
    (workspace.root / "pause").write_text(str(seconds))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", THEMES)
async def test_a_run_is_shown_with_its_figures(workspace: WorkspaceFixture, size: tuple[int, int], theme: str) -> None:
    with workspace.store.write() as connection:
        write_drops(connection, write_runs(connection, time.time()))
    app = app_of(workspace, theme=theme)
    async with running(app, size) as pilot:
        await until(pilot, lambda: "run 3 · P1" in lines(app))
        content = lines(app)
        for words in (
            "▶ running on gpu-3",
            "1,248 of 2,000 · 62%",
            "8.4 items/s",
            "44.9 requests/s",
            "96 in flight",
            "1 min 30 s left",
            "cost 0.71",
            "✓ kept",
            "812  65.1%",
            "○ dropped",
            "✗ failed",
            "stage",
            "propose",
            "1,387",
            "why not",
            "present 337",
            "1 running · 3 in all",
        ):
            assert words in content
        await pilot.press(*["J"] * 6)
        await until(pilot, lambda: "items without a candidate" in lines(app) and "lint:chatter" in lines(app))
        assert "a dog on a lawn, picture 0" in lines(app)
        await pilot.press("down")
        await until(pilot, lambda: "the budget is reached: 1,500 of 1,500 requests" in lines(app).replace("│ ", ""))
        await pilot.press("down")
        await until(pilot, lambda: "500 of 500 · 100%" in lines(app))
        assert "left" not in lines(app), "a run that has ended has no pace"


@pytest.mark.parametrize("size", SIZES)
async def test_an_empty_record_shows_the_next_steps(workspace: WorkspaceFixture, size: tuple[int, int]) -> None:
    app = app_of(workspace)
    async with running(app, size) as pilot:
        await until(pilot, lambda: "No generation yet" in lines(app))
        assert "✓ 12 captions" in lines(app)
        assert "[engines.NAME]" in lines(app)
        assert "negwb generate probe" in lines(app)
        await pilot.press("s", "r", "J", "K", "down", "end", "n")
        await until(pilot, lambda: "names no proposer" in lines(app))
        name_engines(workspace)
        await until(pilot, lambda: "✓ toy proposes, toy judges" in lines(app))
        (workspace.root / "negwb.toml").write_text("[generate]\nproposer = 3\n")
        await pilot.press("n")
        await until(pilot, lambda: "text in quotes" in lines(app) or "proposer = 3" in lines(app))
    assert workspace.rows("SELECT count(*) FROM generation_run") == [(0,)]


async def test_without_captions_generation_is_refused(tmp_path: Path) -> None:
    app = ResultsApp(build_workspace(tmp_path / "workspace"), start="generate")
    async with running(app) as pilot:
        await until(pilot, lambda: "✗ captions: negwb import" in lines(app))
        await pilot.press("n")
        await until(pilot, lambda: "there are no captions to generate from" in lines(app))


async def test_the_screen_follows_the_run(workspace: WorkspaceFixture) -> None:
    run = begin(workspace, simulated=["llama"])
    app = app_of(workspace)
    async with running(app) as pilot:
        await until(pilot, lambda: "▶ running" in lines(app))
        assert "⚠ simulated: llama" in lines(app)
        with workspace.store.write() as connection:
            record_heartbeat(
                connection,
                run,
                StageProgress(items_total=40, items_done=10, items_kept=10, note="reading the pictures"),
            )
        await until(pilot, lambda: "10 of 40 · 25%" in lines(app) and "reading the pictures" in lines(app))
        with workspace.store.write() as connection:
            end_run(connection, run, GenerationState.FAILED, half_way(), "the server llama cannot be reached")
        await until(pilot, lambda: "✗ failed" in lines(app) and "llama cannot be reached" in lines(app))
        assert "0 running · 1 in all" in lines(app)


async def test_a_run_whose_process_is_gone_is_lost(workspace: WorkspaceFixture) -> None:
    run = begin(workspace)
    _claim(workspace, run, _gone())
    app = app_of(workspace)
    async with running(app) as pilot:
        await until(pilot, lambda: "⚠ lost" in lines(app) and "r resumes" in lines(app))
        await pilot.press("s")
        await until(pilot, lambda: f"run {run} is not running" in lines(app))


@pytest.mark.long
@pytest.mark.parametrize("size", SIZES)
async def test_hostile_runs_are_only_text(workspace: WorkspaceFixture, size: tuple[int, int]) -> None:
    bad = " ".join(content[:60] for content in HOSTILE.values())
    hostile = {
        "pipeline": bad,
        "simulated": [bad],
        "engines": {bad: 1},
        "recipe": {"models": {bad: bad}, "judges": bad, "proposer": bad},
        "limit": bad,
    }
    # fmt: off
    progress = {
        "stages": {bad: {"asked": "x"}, "propose": [1]}, "reasons": {bad: 3}, "capacity": {bad: 2}, "note": bad,
        "items_total": -4, "dropped": 2, "eta_s": 1e300, "cost": 1e308,
    }
    # fmt: on
    with workspace.store.write() as connection:
        connection.execute(text("UPDATE caption SET text = :bad WHERE id < 4"), {"bad": bad})
        connection.execute(text("UPDATE caption SET text = :bad WHERE id = 4"), {"bad": HOSTILE["long"]})
        connection.execute(text("UPDATE image SET file_name = :bad, key = id || :bad"), {"bad": bad})
        for state, message in (("dreaming", bad), ("stopped", bad), ("running", "")):
            run = start_run(connection, recipe="5f0c2a9e1b47", settings=hostile)
            connection.execute(
                text("""UPDATE generation_run SET state = :state, message = :message, progress = :progress,
                        host = :bad, started_at = :bad, recipe = :bad WHERE id = :run"""),
                {"state": state, "message": message, "progress": json.dumps(progress), "bad": bad, "run": run},
            )
        write_drops(connection, run, [("failed", bad, bad)] * 4)
        connection.execute(text("UPDATE generation_item SET reason = :bad, detail = :bad"), {"bad": bad})
        connection.execute(
            text("""INSERT INTO generation_run(recipe, settings, state, host, pid, started_at, beat_at, progress)
                    VALUES ('', '[[', '', '', -1, '', '', 'null')""")
        )
    app = app_of(workspace)
    async with running(app, size) as pilot:
        await until(pilot, lambda: "4 in all" in lines(app))
        for _ in range(4):
            await pilot.press("s", "r", "J")
            await pilot.pause()
            lines(app)
            await pilot.press("down")
        await until(pilot, lambda: "items without a candidate" not in lines(app))
        await pilot.press("up", *["J"] * 6)
        await pilot.pause()
        lines(app)
        await pilot.press("ctrl+p", "escape", "question_mark", "escape")
        await pilot.pause()
        lines(app)
    assert app.return_code in (None, 0)


async def test_polling_pauses_while_another_screen_is_above(
    workspace: WorkspaceFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(workspace)
    app = app_of(workspace)
    async with running(app) as pilot:
        await until(pilot, lambda: "▶ running" in lines(app))
        await pilot.press("question_mark")
        await pilot.pause()
        snapshots: list[int] = []
        monkeypatch.setattr(GenerationMonitor, "snapshot", lambda *args, **more: snapshots.append(1))
        await pilot.pause(0.3)
        assert not snapshots


async def test_the_results_key_opens_generation_from_the_card(make_workspace: Any, open_app: Any) -> None:
    app = open_app(workspace := make_workspace(2))
    app._workspace = Workspace(workspace.root)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await settled(pilot)
        await press(pilot, "f4", "8")
        await until(pilot, lambda: "No generation yet" in lines(app))
        await pilot.press("9")
        await until(pilot, lambda: "No training run yet" in lines(app))
        await pilot.press("8")
        await until(pilot, lambda: "No generation yet" in lines(app))
        await pilot.press("q")
        await settled(pilot)
        begin(workspace)
        await press(pilot, "f4")
        await until(pilot, lambda: "▶ running" in lines(app))


# -- with a process that generates -------------------------------------------------------------------------------


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(install(tmp_path / "packages")))


@pytest.mark.usefixtures("plugin")
async def test_n_starts_s_stops_and_r_continues_a_run(workspace: WorkspaceFixture) -> None:
    name_engines(workspace, pause=1.0)
    app = app_of(workspace)
    async with running(app) as pilot:
        await until(pilot, lambda: "n starts" in lines(app))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, GenerateModal))
        await until(pilot, lambda: "12 captions" in lines(app) and "toy proposes, toy judges" in lines(app))
        await pilot.press("backspace", "backspace", "backspace", "0", "enter")
        assert isinstance(app.screen, GenerateModal), "none is no number to start with"
        await pilot.press("backspace", "1", "1", "down", "enter")
        await until(pilot, lambda: "there is no question to start from" in lines(app))
        await pilot.press("up", "enter")
        await _until_rows(pilot, workspace, "SELECT 1 FROM generation_answer")
        await until(pilot, lambda: "▶ running" in lines(app) and "⚠ simulated: toy" in lines(app))
        await pilot.press("s")
        await until(pilot, lambda: "‖ stopped" in lines(app))
        first = _runs(workspace)[0]
        assert (first.settings["pipeline"], first.settings["limit"]) == ("P1", 11)
        assert first.progress.items_done < 11
        set_pause(workspace, 0.0)
        await pilot.press("r")
        await until(pilot, lambda: "✓ done" in lines(app))
        again = _runs(workspace)[0]
        assert again.id == first.id + 1
        assert again.recipe == first.recipe
        assert again.settings["limit"] == 11 - first.progress.items_done
        assert first.progress.answers + again.progress.answers == 11 * 3, "nothing is asked twice"
    assert workspace.rows("SELECT count(*) FROM generation_item") == [(11,)]


async def _until_rows(pilot: Any, workspace: WorkspaceFixture, sql: str) -> None:
    await until(pilot, lambda: bool(workspace.rows(sql)))


def _runs(workspace: WorkspaceFixture) -> Any:
    with workspace.store.read() as connection:
        return list_runs(connection, 10)


async def test_a_run_that_fails_at_its_start_shows_the_reason(workspace: WorkspaceFixture) -> None:
    name_engines(workspace)  # the package of the engine is not installed
    app = app_of(workspace)
    async with running(app, (80, 24)) as pilot:
        await until(pilot, lambda: "n starts" in lines(app))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, GenerateModal))
        await pilot.press("enter")
        await until(pilot, lambda: "✗ no start" in lines(app) and "known: openai" in lines(app))
        await pilot.press("s")
        await until(pilot, lambda: "No generation yet" in lines(app))
    assert workspace.rows("SELECT count(*) FROM generation_run") == [(0,)]


def _gone() -> int:
    """Return the id of a process that has ended."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    return gone.pid


def _a_generation() -> subprocess.Popen[bytes]:
    """Start a process of another program whose command line looks like a generation."""
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "workbench", "generate"])


async def test_quitting_does_not_stop_a_run(workspace: WorkspaceFixture) -> None:
    child = _a_generation()
    run = begin(workspace)
    _claim(workspace, run, child.pid)
    try:
        app = app_of(workspace)
        async with running(app) as pilot:
            await until(pilot, lambda: "▶ running" in lines(app))
            await pilot.press("q")
        assert child.poll() is None
        generation.stop(_runs(workspace)[0])
        assert child.wait(60) == -signal.SIGINT, "the process is found by its id, also if another process started it"
    finally:
        child.kill()
        child.wait()


def _claim(workspace: WorkspaceFixture, run: int, pid: int) -> None:
    with workspace.store.write() as connection:
        connection.execute(
            text("UPDATE generation_run SET pid = :pid, started_at = :now WHERE id = :run"),
            {"pid": pid, "run": run, "now": utc_text(time.time())},
        )


def test_a_process_of_another_program_is_not_stopped(workspace: WorkspaceFixture) -> None:
    run = begin(workspace)
    other = subprocess.Popen(["sleep", "60"])
    try:
        _claim(workspace, run, other.pid)
        with pytest.raises(NegwbError, match="no process of this machine"):
            generation.stop(_runs(workspace)[0])
        with workspace.store.write() as connection:
            connection.execute(text("UPDATE generation_run SET host = 'gpu-3', pid = :pid"), {"pid": os.getpid()})
        with pytest.raises(NegwbError, match="running on gpu-3"):
            generation.stop(_runs(workspace)[0])
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


# -- polling -----------------------------------------------------------------------------------------------------


def test_unchanged_rows_are_not_read_again(workspace: WorkspaceFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    with workspace.store.write() as connection:
        run = write_runs(connection, time.time())
        end_run(connection, run, GenerationState.DONE, half_way())
        write_drops(connection, run)
    watch = GenerationMonitor(Workspace(workspace.root))
    try:
        before = watch.snapshot(None)
        assert len(before.failures) == 6
        monkeypatch.setattr(generation_monitor, "list_runs", lambda *_: pytest.fail("read again"))
        monkeypatch.setattr(generation_monitor, "failures", lambda *_, **__: pytest.fail("read again"))
        assert watch.snapshot(f"run/{run}") == before
    finally:
        watch.close()


def test_a_replaced_record_is_read_again(workspace: WorkspaceFixture, tmp_path: Path) -> None:
    run = begin(workspace)
    with workspace.store.write() as connection:
        end_run(connection, run, GenerationState.DONE, {})
    watch = GenerationMonitor(Workspace(workspace.root))
    try:
        assert [entry.status for entry in watch.snapshot(None).entries] == [RunStatus.DONE]
        other = build(tmp_path / "other", [Case()])
        other.store.close()
        workspace.store.close()
        for end in ("-wal", "-shm"):
            (workspace.root / f"curation.db{end}").unlink(missing_ok=True)
        shutil.move(tmp_path / "other" / "curation.db", workspace.root / "curation.db")
        assert watch.snapshot(None).entries == ()
        (workspace.root / "curation.db").unlink()
        assert "no database" in watch.snapshot(None).problem
    finally:
        watch.close()


def test_a_reused_run_id_does_not_hide_a_process(workspace: WorkspaceFixture) -> None:
    """In containers process ids are soon used again."""
    run = begin(workspace)
    pid = generation.start_job(Workspace(workspace.root), ["--limit", "x"], "P1")
    generation.jobs[pid].process.wait()
    with workspace.store.write() as connection:
        earlier = {"pid": pid, "then": utc_text(time.time() - 60)}
        connection.execute(text("UPDATE generation_run SET pid = :pid, started_at = :then"), earlier)
    with workspace.store.read() as connection:
        row = get_run(connection, run)
    assert row is not None
    content = generation.pending(Workspace(workspace.root), {row.pid: row.started_at})
    assert [each.ended for each in content] == [True]
    assert "--limit" in content[0].output
    assert generation.pending(Workspace(workspace.root), {pid: utc_text(time.time())}) == []


def test_the_screen_loads_no_model_and_no_network() -> None:
    code = (
        "import sys; import workbench.tui.results.generate, workbench.tui.screens.modals.generate; "
        "print([m for m in ('torch', 'open_clip', 'transformers', 'httpx', 'sqlmodel') if m in sys.modules])"
    )
    content = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert content.stdout.strip() == "[]"
