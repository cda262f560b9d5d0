"""`negwb generate batch` against a real HTTP server with OpenAI's batch API: nothing is lost, doubled or paid twice."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.batch_server import BatchServerState, batch_server
from support.batch_workspace import build_workspace, engines_toml
from support.commands import negwb
from typer.testing import Result

from curation_db.atomic_write import replace_file
from curation_db.storage.store import open_store
from workbench.errors import ExitCode, NegwbError
from workbench.generation.engines.http.retry import RetryPolicy
from workbench.generation.runs import batch_transfer
from workbench.generation.runs.batch_requests import read_request_file
from workbench.generation.runs.batch_submissions import SubmissionFolder
from workbench.generation.runs.batch_transfer import Servers, draft_submission, wait_until_ended
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.settings import read_settings

URL = "http://127.0.0.1:9/v1"
KEY = "sk-very-secret-key-of-ours"
IMAGES = 4
START = "import sys; sys.argv[0] = 'negwb'; from workbench.cli import main; sys.exit(main())"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose first requests are in ask.jsonl, for copies."""
    engines = engines_toml(URL, judge_model="vlm", judge_key=True)
    workspace = build_workspace(tmp_path_factory.mktemp("batch"), engines, images=IMAGES)
    assert emit(workspace).exception is None
    return workspace.root


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchServerState]:
    monkeypatch.setenv("BATCH_KEY", KEY)
    monkeypatch.setattr(RetryPolicy, "delay", lambda *arguments: 0.0)
    with batch_server(key=KEY) as state:
        yield state


@pytest.fixture
def workspace(template: Path, tmp_path: Path, server: BatchServerState) -> Workspace:
    copy = Workspace(shutil.copytree(template, tmp_path / "ws"))
    replace_file(copy.settings, copy.settings.read_text().replace(URL, server.url))
    return copy


def emit(workspace: Workspace, name: str = "ask.jsonl", *options: str) -> Result:
    return negwb(workspace, "generate", "--emit-requests", workspace.root / name, "--quiet", "--json", *options)


def submit(workspace: Workspace, *args: object) -> Result:
    files = args if any(str(arg).endswith(".jsonl") for arg in args) else (workspace.root / "ask.jsonl", *args)
    return negwb(workspace, "generate", "batch", "submit", *files, "--quiet", "--json")


def fetch(workspace: Workspace, *args: object) -> Result:
    return negwb(workspace, "generate", "batch", "fetch", "--quiet", "--json", *args)


def rows(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(workspace.database)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def statuses(workspace: Workspace) -> dict[str, int]:
    return dict(rows(workspace, "SELECT status, count(*) FROM generation_answer GROUP BY 1"))


def error(result: Result, code: ExitCode) -> str:
    assert isinstance(result.exception, NegwbError), result.exception
    assert result.exception.exit_code == code, result.exception
    return result.exception.message


def test_batches_complete_a_run(workspace: Workspace, server: BatchServerState) -> None:
    for number in range(8):
        if number and error_free(emit(workspace, f"ask{number}.jsonl")) is None:
            break
        files = sorted(workspace.root.glob(f"ask{number or ''}*.jsonl"))
        done = submit(workspace, *files)
        assert done.exception is None, done.exception
        assert {json.loads(line)["status"] for line in done.stdout.splitlines()} == {"completed"}
        done = fetch(workspace)
        assert done.exception is None, done.exception
    assert rows(workspace, "SELECT count(*) FROM candidate") == [(IMAGES,)]
    assert set(server.processed.values()) == {1}
    assert len(server.processed) == statuses(workspace)["ok"] == 4 * IMAGES
    assert rows(workspace, "SELECT count(*) FROM generation_answer WHERE cost > 0") == [(2 * IMAGES,)]
    assert {batch["metadata"]["negwb"] for batch in server.batches.values()} == {
        each.sha256 for each in SubmissionFolder(workspace.batches).all()
    }


def error_free(result: Result) -> Result | None:
    """Return the result; None: nothing was left to write."""
    if result.exception is None:
        return result
    assert error(result, ExitCode.NOTHING_TO_DO)
    return None


def test_the_same_content_is_never_submitted_twice(workspace: Workspace, server: BatchServerState) -> None:
    assert submit(workspace).exception is None
    (workspace.root / "ask.jsonl").rename(workspace.root / "other.jsonl")
    assert "submitted" in error(submit(workspace, workspace.root / "other.jsonl"), ExitCode.NOTHING_TO_DO)
    shutil.rmtree(workspace.batches)  # the state is lost: the batch is found in the server's list
    assert submit(workspace, workspace.root / "other.jsonl").exception is None
    assert len(server.batches) == 1
    assert fetch(workspace).exception is None
    shutil.rmtree(workspace.batches)
    assert "submitted" in error(submit(workspace, workspace.root / "other.jsonl"), ExitCode.NOTHING_TO_DO)
    assert set(server.processed.values()) == {1}


def test_a_batch_is_found_behind_many_others(workspace: Workspace, server: BatchServerState) -> None:
    server.page = 2
    assert submit(workspace).exception is None
    other = server.add_file("other.jsonl", b"", "batch")["id"]
    for _ in range(7):
        server.create({"endpoint": "/v1/x", "input_file_id": other, "completion_window": "24h"})
    shutil.rmtree(workspace.batches)
    assert submit(workspace).exception is None
    assert len(server.batches) == 8
    assert server.requests.count("POST /files") == 1


@pytest.mark.parametrize(
    ("step", "faults"),
    [
        ("POST /files", [0, 500, 0]),
        ("POST /batches", [0, 500, 0]),
        ("GET /files", [429, 503]),
        ("GET /batches", [500, 0]),
    ],
)
def test_faults_of_the_server_are_retried_and_double_nothing(
    workspace: Workspace, server: BatchServerState, step: str, faults: list[int]
) -> None:
    server.faults = {step: list(faults)}
    assert submit(workspace).exception is None
    server.faults = {"GET /files/file-3/content": list(faults)}
    assert fetch(workspace).exception is None
    assert server.faults["GET /files/file-3/content"] == []
    assert (len(server.batches), sum(each["purpose"] == "batch" for each in server.files.values())) == (1, 1)
    assert set(server.processed.values()) == {1}


def test_poll_lists_the_batches_and_waits_for_them(workspace: Workspace, server: BatchServerState) -> None:
    assert "no batch file was submitted" in error(negwb(workspace, "generate", "batch", "poll"), ExitCode.NOTHING_TO_DO)
    server.instant = False
    submit(workspace)
    (number,) = server.batches
    server.batches[number]["request_counts"]["completed"] = 3
    done = negwb(workspace, "generate", "batch", "poll")
    assert done.exception is None
    assert done.stdout.strip().splitlines()[-1].split() == [
        *("ask.jsonl", "llama", "in", "progress", "3", "0", str(IMAGES), "2030-03-17", "17:46", "UTC")
    ]
    assert "no batch has ended" in error(fetch(workspace), ExitCode.NOTHING_TO_DO)
    server.end(number)
    done = negwb(workspace, "generate", "batch", "poll", "--wait", "--json")
    assert done.exception is None
    assert json.loads(done.stdout)["status"] == "completed"
    assert fetch(workspace).exception is None
    assert "are stored" in error(fetch(workspace), ExitCode.NOTHING_TO_DO)
    assert negwb(workspace, "generate", "batch", "poll").stdout.split()[-1] == "stored"


async def test_waiting_outlasts_a_server_that_is_down(workspace: Workspace, server: BatchServerState) -> None:
    server.instant = False
    await asyncio.to_thread(submit, workspace)
    (number,) = server.batches
    server.faults = {f"GET /batches/{number}": [0] * 6}  # all tries of the first poll
    lines: list[str] = []
    steps: list[tuple[str, int, int]] = []
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            server.end(number)

    submissions = SubmissionFolder(workspace.batches).all()
    async with Servers(read_settings(workspace.settings).generate.engines) as servers:
        ended = await wait_until_ended(
            servers,
            submissions,
            every=7.0,
            on_progress=lambda *step: steps.append(step),
            notify=lines.append,
            sleep=sleep,
        )
    assert [(each.status, each.completed) for each in ended] == [("completed", IMAGES)]
    assert pauses == [7.0] * 3
    assert len(lines) == 1
    assert "trying again" in lines[0]
    assert steps[-1] == ("ask.jsonl", IMAGES, IMAGES)


def test_answers_of_an_unfinished_batch_are_read_and_the_rest_is_written_again(
    workspace: Workspace, server: BatchServerState
) -> None:
    server.ends_as, server.share = "expired", 0.5
    submit(workspace)
    assert "2 requests without an answer" in error(fetch(workspace), ExitCode.UNEXPECTED)
    assert statuses(workspace) == {"ok": 2, "failed": 2}
    assert rows(workspace, "SELECT DISTINCT tries FROM generation_answer WHERE status = 'failed'") == [(0,)]
    assert "only 0 of 4" in error(submit_again(workspace), ExitCode.USAGE)
    server.ends_as, server.share = "completed", 1.0
    assert emit(workspace, "rest.jsonl").exception is None
    files = sorted(workspace.root.glob("rest*.jsonl"))
    assert submit(workspace, *files).exception is None
    assert fetch(workspace).exception is None
    assert rows(workspace, "SELECT count(*) FROM generation_answer WHERE stage = 'propose' AND status = 'ok'") == [(4,)]
    assert set(server.processed.values()) == {1}


def submit_again(workspace: Workspace) -> Result:
    """Submit ask.jsonl without the stored state."""
    folder = workspace.batches.rename(workspace.root / "aside")
    try:
        return submit(workspace)
    finally:
        shutil.rmtree(workspace.batches)
        folder.rename(workspace.batches)


def test_a_rejected_file_is_released_and_its_requests_submitted_again(
    workspace: Workspace, server: BatchServerState
) -> None:
    server.ends_as = "failed"
    submit(workspace)
    done = negwb(workspace, "generate", "batch", "poll")
    assert "the file is" in done.stderr
    assert "\x1b" not in done.stderr
    assert "no request is answered" in error(fetch(workspace), ExitCode.NETWORK)
    server.ends_as = "completed"
    assert emit(workspace, "again.jsonl").exception is None
    assert (workspace.root / "again.jsonl").read_bytes() == (workspace.root / "ask.jsonl").read_bytes()
    assert submit(workspace, workspace.root / "again.jsonl").exception is None
    assert fetch(workspace).exception is None
    assert (len(server.batches), set(server.processed.values())) == (2, {1})


def test_failed_lines_are_written_again(workspace: Workspace, server: BatchServerState) -> None:
    server.fail_every = 3
    submit(workspace)
    done = fetch(workspace)
    assert "2 requests without an answer" in error(done, ExitCode.UNEXPECTED)
    result = json.loads(done.stdout)
    assert (result["answered"], result["stored"], result["failed"], result["released"]) == (2, 4, 2, 0)
    details = rows(workspace, "SELECT error, detail FROM generation_answer WHERE status = 'failed'")
    assert set(details) == {("refused", "400: bad image")}
    assert emit(workspace, "rest.jsonl").exception is None


def lines_changed(lines: list[str]) -> list[str]:
    """Return four good lines among hostile ones."""
    good = json.loads(lines[0])
    foreign = {**good, "custom_id": "ab" * 32}
    return [
        *lines,
        lines[1],
        "{half",
        json.dumps(foreign),
        json.dumps({**good, "custom_id": "../../etc"}),
        "x" * (9 << 10),
        json.dumps(["custom_id"]),
    ]


def test_foreign_and_doubled_lines_are_refused_and_the_others_stored(
    workspace: Workspace, server: BatchServerState
) -> None:
    server.change_output = lines_changed
    submit(workspace)
    done = fetch(workspace)
    assert "5 lines" in error(done, ExitCode.UNEXPECTED)
    result = json.loads(done.stdout)
    assert (result["stored"], result["known"], result["refused"], result["fetched"]) == (4, 1, 5, True)
    assert statuses(workspace) == {"ok": 4}
    assert "are stored" in error(fetch(workspace), ExitCode.NOTHING_TO_DO)


def test_an_answer_to_a_request_of_another_batch_is_refused(workspace: Workspace, server: BatchServerState) -> None:
    submit(workspace)
    fetch(workspace)
    assert emit(workspace, "next.jsonl").exception is None
    first, *others = (workspace.root / "next.jsonl").read_text().splitlines(keepends=True)
    pending = json.loads(first)["custom_id"]

    def redirected(lines: list[str]) -> list[str]:
        return [*lines, json.dumps({**json.loads(lines[0]), "custom_id": pending})]

    server.change_output = redirected
    part = workspace.root / "part.jsonl"
    part.write_text("".join(others))
    assert submit(workspace, part).exception is None
    assert "1 line " in error(fetch(workspace), ExitCode.UNEXPECTED)
    assert rows(workspace, f"SELECT status FROM generation_answer WHERE hex(key) = '{pending.upper()}'") == [
        ("pending",)
    ]


def test_answers_of_another_model_are_not_stored_unless_asked_for(
    workspace: Workspace, server: BatchServerState
) -> None:
    server.model = "cheaper"
    submit(workspace)
    assert "another model" in error(fetch(workspace), ExitCode.UNEXPECTED)
    assert statuses(workspace) == {"pending": 4}
    assert fetch(workspace, "--any-model").exception is None
    assert statuses(workspace) == {"ok": 4}
    assert server.requests.count("GET /files/file-3/content") == 1


def test_answers_that_the_server_keeps_back_are_fetched_later_or_given_up(
    workspace: Workspace, server: BatchServerState
) -> None:
    server.change_output = lambda lines: lines[:3]
    submit(workspace)
    assert "1 answer that it did not send" in error(fetch(workspace), ExitCode.UNEXPECTED)
    assert statuses(workspace) == {"ok": 3, "pending": 1}
    assert "did not send" in error(fetch(workspace), ExitCode.UNEXPECTED)
    assert "1 request without" in error(fetch(workspace, "--incomplete"), ExitCode.UNEXPECTED)
    assert statuses(workspace) == {"ok": 3, "failed": 1}


@pytest.mark.parametrize("deleted", ["contents", "batches"])
def test_what_the_server_has_deleted_can_be_given_up(
    workspace: Workspace, server: BatchServerState, deleted: str
) -> None:
    server.instant = False
    submit(workspace)
    server.end("batch_2")
    getattr(server, deleted).clear()
    assert "404" in error(fetch(workspace), ExitCode.NETWORK)
    assert statuses(workspace) == {"pending": 4}
    assert "no request is answered" in error(fetch(workspace, "--incomplete"), ExitCode.NETWORK)
    assert statuses(workspace) == {"failed": 4}
    assert emit(workspace, "again.jsonl").exception is None
    assert submit(workspace, workspace.root / "again.jsonl").exception is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "../models"}, "invalid ID of a batch"),
        ({"id": "b" * 300}, "invalid ID of a batch"),
        ({"id": None}, "invalid ID of a batch"),
        ({"id": "another"}, "another batch"),
        ({"output_file_id": "x/../../y"}, "invalid ID of a output file"),
        ({"output_file_id": {"a": 1}}, "invalid ID of a output file"),
    ],
)
def test_invalid_ids_of_a_server_are_refused(
    workspace: Workspace, server: BatchServerState, change: dict[str, Any], message: str
) -> None:
    server.instant = False
    assert submit(workspace).exception is None
    server.change_batch = lambda batch: {**batch, "status": "completed", **change}
    assert message.replace("a output", "an output") in error(fetch(workspace), ExitCode.NETWORK)
    assert not any("models" in step or step[-1] == "y" for step in server.requests)


def test_hostile_counts_and_times_are_ignored(workspace: Workspace, server: BatchServerState) -> None:
    counts = {"completed": -5, "failed": "many", "total": 10**400}
    server.change_batch = lambda batch: {**batch, "status": ["x"], "request_counts": counts, "expires_at": 2**60}
    assert submit(workspace).exception is None
    done = negwb(workspace, "generate", "batch", "poll")
    assert done.exception is None
    assert done.stdout.strip().splitlines()[-1].split() == ["ask.jsonl", "llama", "unknown", "0", "0", "4"]


def test_the_key_is_masked_in_messages_and_files(workspace: Workspace, server: BatchServerState) -> None:
    server.words = "no: {key}"
    server.faults = {"GET /files": [400]}
    message = error(submit(workspace), ExitCode.NETWORK)
    assert "no: [key]" in message
    server.change_output = lambda lines: [line.replace('"content": "', '"content": "{key} ') for line in lines]
    assert submit(workspace).exception is None
    assert fetch(workspace).exception is None
    stored = b"".join(path.read_bytes() for path in workspace.batches.iterdir())
    assert KEY.encode() not in stored + workspace.database.read_bytes()
    assert b"[key]" in stored


@pytest.mark.parametrize(
    ("step", "status", "code", "message"),
    [
        ("GET /files", 401, ExitCode.NETWORK, "refuses access"),
        ("GET /files", 404, ExitCode.NETWORK, "has no batch API"),
        ("POST /files", 413, ExitCode.NETWORK, "413"),
        ("POST /batches", 400, ExitCode.NETWORK, "400"),
    ],
)
def test_a_server_that_rejects_a_step_is_named(
    workspace: Workspace, server: BatchServerState, step: str, status: int, code: ExitCode, message: str
) -> None:
    server.faults = {step: [status]}
    done = submit(workspace)
    assert message in error(done, code)
    assert submit(workspace).exception is None  # the next call continues
    assert len(server.batches) == 1


def test_files_that_are_no_batch_files_are_refused(workspace: Workspace, server: BatchServerState) -> None:
    path, lines = workspace.root / "bad.jsonl", (workspace.root / "ask.jsonl").read_text().splitlines()
    other = json.loads(lines[1])
    other["body"]["model"] = "vlm"
    foreign = {**json.loads(lines[0]), "custom_id": "ab" * 32}
    for content, message in (
        ([], "has no requests"),
        ([lines[0], "{"], "line 2: not a request"),
        ([lines[0], lines[0]], "twice"),
        ([lines[0], json.dumps(other)], "two models"),
        ([json.dumps(foreign)], "not of this record"),
    ):
        path.write_text("".join(f"{line}\n" for line in content))
        assert message in error(submit(workspace, path), ExitCode.USAGE)
    assert server.requests == []


def test_caps_leave_whole_files_for_later(workspace: Workspace, server: BatchServerState) -> None:
    assert emit(workspace, "two.jsonl", "--retry", "--max-lines", "2").exception is None
    files = sorted(workspace.root.glob("two-*.jsonl"))
    assert len(files) == 2
    done = submit(workspace, *files, "--max-requests", "3")
    assert "1 file not submitted" in error(done, ExitCode.FAILED)
    assert len(server.batches) == 1
    done = submit(workspace, *files, "--max-cost", "0.5")
    assert "1 file not submitted" in error(done, ExitCode.FAILED)
    assert submit(workspace, *files, "--max-cost", "1000").exception is None
    assert len(server.batches) == 2


def test_a_request_is_not_submitted_in_two_files(workspace: Workspace, server: BatchServerState) -> None:
    first, *_ = lines = (workspace.root / "ask.jsonl").read_text().splitlines(keepends=True)
    (workspace.root / "part.jsonl").write_text(first)
    both = (workspace.root / "part.jsonl", workspace.root / "ask.jsonl")
    assert "1 request also in part.jsonl" in error(submit(workspace, *both), ExitCode.USAGE)
    assert server.requests == []
    assert submit(workspace).exception is None
    assert "1 request also in ask.jsonl" in error(submit(workspace, both[0]), ExitCode.USAGE)
    assert fetch(workspace).exception is None
    assert len(server.processed) == len(lines)


def test_an_engine_of_the_command_line_is_remembered(workspace: Workspace, server: BatchServerState) -> None:
    server.key = ""
    assert submit(workspace, "--engine", f"openai:{server.url}").exception is None
    assert negwb(workspace, "generate", "batch", "poll").exception is None
    assert fetch(workspace).exception is None
    assert statuses(workspace) == {"ok": 4}


def test_ctrl_c_ends_the_wait_with_one_line(workspace: Workspace, server: BatchServerState) -> None:
    server.instant = False
    submit(workspace)
    arguments = ["-w", str(workspace.root), "generate", "batch", "poll", "--wait"]
    with subprocess.Popen([sys.executable, "-c", START, *arguments], stderr=subprocess.PIPE, text=True) as process:
        server.after = lambda method, path: process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=60)[1]
    assert process.returncode == ExitCode.INTERRUPTED
    assert "Traceback" not in output
    assert len(output.splitlines()) <= 1


def test_a_changed_address_is_noticed(workspace: Workspace, server: BatchServerState) -> None:
    server.instant = False
    submit(workspace)
    old = workspace.settings.read_text()
    replace_file(workspace.settings, old.replace(server.url, "http://127.0.0.1:9/v1"))
    assert "is at" in error(negwb(workspace, "generate", "batch", "poll"), ExitCode.USAGE)
    replace_file(workspace.settings, old.replace("[engines.llama]", "[engines.other]").replace('"llama"', '"other"'))
    assert "no [engines.llama]" in error(negwb(workspace, "generate", "batch", "poll"), ExitCode.USAGE)
    assert negwb(workspace, "generate", "batch", "poll", "--engine", "other").exception is None


def test_a_batch_is_cancelled(workspace: Workspace, server: BatchServerState) -> None:
    server.instant, server.share = False, 0.5
    submit(workspace)
    done = negwb(workspace, "generate", "batch", "cancel", "ask.jsonl")
    assert done.exception is None
    assert "cancelled" in done.stderr
    assert "have ended" in error(negwb(workspace, "generate", "batch", "cancel", "ask.jsonl"), ExitCode.NOTHING_TO_DO)
    error(fetch(workspace), ExitCode.UNEXPECTED)
    assert statuses(workspace) == {"ok": 2, "failed": 2}


STEPS = [
    *(("submit", "GET /files"), ("submit", "POST /files"), ("submit", "GET /batches"), ("submit", "POST /batches")),
    *(
        ("fetch", "GET /batches/batch_2"),
        ("fetch", "GET /files/file-3/content"),
        ("fetch", "GET /files/file-4/content"),
    ),
]


def kill_at(workspace: Workspace, server: BatchServerState, command: str, step: str, when: str) -> None:
    """Run a command in a process of its own and kill it at a request, before or after the server processes it."""
    files = [str(workspace.root / "ask.jsonl")] if command == "submit" else []
    arguments = ["-w", str(workspace.root), "generate", "batch", command, *files, "--quiet"]
    with subprocess.Popen([sys.executable, "-c", START, *arguments], stderr=subprocess.PIPE) as process:

        def kill(method: str, path: str) -> None:
            if f"{method} {path.removeprefix('/v1')}" == step:
                os.kill(process.pid, signal.SIGKILL)

        setattr(server, when, kill)
        _, output = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, output
    setattr(server, when, lambda method, path: None)


def run_to_the_end(workspace: Workspace, server: BatchServerState) -> None:
    """Repeat both commands; the batch has half of its requests answered, the others are in the next file."""
    assert submit(workspace).exception is None or "submitted" in str(submit(workspace).exception)
    for number in server.batches:
        if server.batches[number]["status"] == "in_progress":
            server.end(number)
    error(fetch(workspace), ExitCode.UNEXPECTED)
    assert statuses(workspace) == {"ok": 2, "failed": 2}
    assert len(server.batches) == 1
    assert set(server.processed.values()) == {1}
    assert len(SubmissionFolder(workspace.batches).all()) == 1
    server.ends_as, server.share = "completed", 1.0
    assert emit(workspace, "rest.jsonl").exception is None
    assert submit(workspace, *sorted(workspace.root.glob("rest*.jsonl"))).exception is None
    assert fetch(workspace).exception is None
    assert rows(workspace, "SELECT count(*) FROM generation_answer WHERE stage = 'propose' AND status = 'ok'") == [(4,)]
    assert set(server.processed.values()) == {1}


KILLS = [(*step, when) for step in STEPS for when in ("before", "after")]
QUICK = (("submit", "POST /batches", "after"), ("fetch", "GET /files/file-3/content", "after"))


@pytest.mark.parametrize(
    ("command", "step", "when"),
    [
        pytest.param(*kill, marks=() if kill in QUICK else pytest.mark.long, id=f"{kill[0]}-{kill[2]}-{kill[1]}")
        for kill in KILLS
    ],
)
def test_a_kill_at_any_step_loses_and_doubles_nothing(
    workspace: Workspace, server: BatchServerState, command: str, step: str, when: str
) -> None:
    server.ends_as, server.share = "expired", 0.5
    if command == "fetch":
        server.instant = False
        assert submit(workspace).exception is None
        server.end("batch_2")
        server.instant = True
    kill_at(workspace, server, command, step, when)
    run_to_the_end(workspace, server)


def test_a_killed_write_of_answers_is_repeated(workspace: Workspace, server: BatchServerState) -> None:
    """The downloads are complete and a part of their answers is stored."""
    server.ends_as, server.share = "expired", 0.5
    submit(workspace)
    before = workspace.database.read_bytes()
    state = {path: path.read_bytes() for path in workspace.batches.glob("*.json")}
    error(fetch(workspace), ExitCode.UNEXPECTED)
    for path, content in state.items():  # as if killed before the state was stored, once with and once without answers
        replace_file(path, content)
    error(fetch(workspace), ExitCode.UNEXPECTED)
    assert rows(workspace, "SELECT DISTINCT tries FROM generation_answer WHERE status = 'failed'") == [(0,)]
    for path, content in state.items():
        replace_file(path, content)
    for path in workspace.root.glob("curation.db*"):
        path.unlink()
    workspace.database.write_bytes(before)
    run_to_the_end(workspace, server)


async def test_progress_of_an_upload_and_a_download(workspace: Workspace, server: BatchServerState) -> None:
    steps: list[tuple[str, int, int]] = []
    folder, engines = SubmissionFolder(workspace.batches), read_settings(workspace.settings).generate.engines
    with folder.locked(), open_store(workspace.database) as store:
        async with Servers(engines) as servers:
            file = read_request_file(workspace.root / "ask.jsonl")
            draft = draft_submission(folder, store, file, servers)
            assert draft is not None
            at = await servers.of(draft)
            done = await batch_transfer.submit(folder, at, file, draft, on_progress=lambda *step: steps.append(step))
            uploaded = steps.pop()
            await batch_transfer.fetch(folder, at, store, done, engines, on_progress=lambda *step: steps.append(step))
    assert uploaded[0] == "upload ask.jsonl"
    assert uploaded[1] == uploaded[2] > len((workspace.root / "ask.jsonl").read_bytes())
    size = len(server.contents[done.output_file])
    assert ("download output.jsonl of ask.jsonl", size, size) in steps


def test_two_processes_do_not_submit_at_the_same_time(workspace: Workspace, server: BatchServerState) -> None:
    with SubmissionFolder(workspace.batches).locked():
        assert "another process" in error(submit(workspace), ExitCode.USAGE)
    assert server.requests == []
