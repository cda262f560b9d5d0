"""The command `negwb generate` against a faulty server on loopback, with kills and signals."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.model_server import Served, model_server

from workbench.workspace.create import create_workspace
from workbench.workspace.settings.writer import add_picture_folder

# fmt: off
FAULTS = {
    "500": 0.03, "503": 0.03, "cut": 0.03, "half_json": 0.03, "drip": 0.01, "wrong_schema": 0.03, "no_logprobs": 0.02,
    "bad_utf8": 0.02, "endless": 0.005, "empty": 0.02, "refusal": 0.01, "400": 0.01,
}
# fmt: on
CONCURRENCY = 16


@dataclass
class FaultWorkspace:
    """A workspace with captions that can be told from each other."""

    folder: Path
    captions: int

    def run(self, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """`negwb generate` to its end."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=900, check=False)
        assert code is None or done.returncode == code, done.stderr
        return done

    def command(self, *words: str) -> list[str]:
        """What is run."""
        return [sys.executable, "-P", "-m", "workbench", "-w", str(self.folder), "generate", *words]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What stands in the record."""
        with sqlite3.connect(self.folder / "curation.db") as connection:
            rows = connection.execute(sql).fetchall()
        connection.close()
        return rows


def make_workspace(folder: Path, pictures: int, captions: int) -> FaultWorkspace:
    workspace = create_workspace(folder)
    (folder / "pictures").mkdir()
    images, annotations = [], []
    for number in range(pictures):
        name = f"{number:06}.jpg"
        picture = Image.frombytes("RGB", (32, 24), random.Random(number).randbytes(32 * 24 * 3))  # none like another
        picture.save(folder / "pictures" / name)
        images.append({"id": number + 1, "file_name": name})
        for place in range(captions):
            text = f"a man with badge {number * captions + place} riding a horse"
            annotations.append({"image_id": number + 1, "id": number * captions + place + 1, "caption": text})
    file = folder / "captions.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations}))
    add_picture_folder(workspace.settings, "coco", "pictures")
    subprocess.run(
        [sys.executable, "-P", "-m", "workbench", "-w", str(folder), "import", str(file), "--source", "coco"],
        check=True,
        capture_output=True,
    )
    return FaultWorkspace(folder, pictures * captions)


def engines(workspace: FaultWorkspace, server: Served, **more: Any) -> None:
    """Name the server in negwb.toml."""
    table_values = {"kind": "openai", "url": server.url, "concurrency": CONCURRENCY, "timeout": 20, "tries": 8, **more}
    table = "\n".join(f"{name} = {json.dumps(value)}" for name, value in table_values.items())
    with (workspace.folder / "negwb.toml").open("a") as file:
        file.write(f'\n[generate]\nproposer = "stub"\njudges = ["stub"]\n[engines.stub]\n{table}\n')


def check(workspace: FaultWorkspace) -> None:
    """Nothing is lost, doubled or mixed up."""
    items = workspace.rows("SELECT item, status, count(*) FROM generation_item GROUP BY 1")
    assert len(items) == workspace.captions
    assert {count for _, _, count in items} == {1}
    assert not [item for item, status, _ in items if status == "failed"]
    rows = workspace.rows("""SELECT c.text, t.text, c.concept, c.id FROM generation_item i
                         JOIN candidate c ON c.id = i.candidate_id JOIN caption t ON t.id = c.caption_id
                         WHERE i.status = 'kept'""")
    assert len(rows) == sum(status == "kept" for _, status, _ in items)
    assert workspace.rows("SELECT count(*) FROM candidate") == [(len(rows),)]
    for text, caption, concept, _ in rows:
        assert caption in text  # an answer to another question would name another badge
        assert concept in text
    judged = workspace.rows("SELECT candidate_id, question, count(*) FROM verdict GROUP BY 1, 2")
    assert {count for _, _, count in judged} <= {1}
    assert {candidate for candidate, _, _ in judged} == {candidate for *_, candidate in rows}
    keys = workspace.rows("SELECT count(*), count(DISTINCT key) FROM generation_answer")
    assert keys[0][0] == keys[0][1]


@pytest.fixture
def workspace(tmp_path: Path) -> FaultWorkspace:
    return make_workspace(tmp_path / "ws", 20, 3)


@pytest.mark.long
def test_a_faulty_server_costs_no_item(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", 8, 3)
    quick = {"500": 0.05, "cut": 0.05, "half_json": 0.05, "wrong_schema": 0.05}
    with model_server(latency_ms=2, ceiling=8, faults=quick) as server:
        engines(workspace, server)
        result = json.loads(workspace.run("--json").stdout)
        assert result["items_done"] == workspace.captions
        check(workspace)
        assert len(server.stats()["faults"]) >= 3
        assert server.stats()["served_again"] == 0
        assert "all items are processed" in workspace.run(code=5).stderr


@pytest.mark.parametrize(
    "number", [signal.SIGINT, *(pytest.param(n, marks=pytest.mark.long) for n in (signal.SIGTERM, signal.SIGHUP))]
)
def test_a_signal_stores_requests_in_flight_and_the_same_command_continues(
    workspace: FaultWorkspace, number: signal.Signals
) -> None:
    with model_server(latency_ms=150, ceiling=CONCURRENCY) as server:
        engines(workspace, server)
        process = subprocess.Popen(workspace.command("--quiet"), stderr=subprocess.PIPE, text=True)
        wait_for(server, 20)
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        assert process.stderr is not None
        verdicts = process.stderr.read()
        process.stderr.close()
        assert "run the same command again" in verdicts
        assert workspace.rows("SELECT state FROM generation_run") == [("stopped",)]
        assert workspace.rows("SELECT count(*) FROM generation_answer") == [(server.stats()["served"],)]
        server.behave(latency_ms=1)
        workspace.run()
        check(workspace)
        assert server.stats()["served_again"] == 0


@pytest.mark.parametrize("goes", ["moved", "deleted"])
def test_a_missing_database_ends_the_run(workspace: FaultWorkspace, goes: str) -> None:
    database, moved = workspace.folder / "curation.db", workspace.folder / "moved.db"
    with model_server(latency_ms=50, ceiling=CONCURRENCY) as server:
        engines(workspace, server)
        process = subprocess.Popen(workspace.command("--quiet"), stderr=subprocess.PIPE, text=True)
        wait_for(server, 20)
        with sqlite3.connect(database) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        database.rename(moved)
        if goes == "deleted":
            moved.unlink()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 3
    assert errors.count("replaced, moved or deleted") == 1
    assert "Traceback" not in errors
    assert not database.exists()


def test_an_unreachable_server_gives_a_one_line_error(workspace: FaultWorkspace) -> None:
    with model_server() as server:
        engines(workspace, server, tries=2, timeout=1)
    done = workspace.run(code=4)
    assert done.stderr.count("\n") <= 4
    assert server.url in done.stderr
    assert workspace.rows("SELECT count(*) FROM generation_item") == [(0,)]


@pytest.mark.long
def test_two_processes_never_pay_for_the_same_items(workspace: FaultWorkspace) -> None:
    with model_server(latency_ms=500, ceiling=CONCURRENCY) as server:
        engines(workspace, server)
        first = subprocess.Popen(workspace.command("--quiet"), stderr=subprocess.DEVNULL)
        wait_for(server, 5)
        refused = workspace.run("--quiet", code=2)
        assert f"process {first.pid}" in refused.stderr
        assert "--shard" in refused.stderr
        server.behave(latency_ms=1)
        assert first.wait(60) == 0
        check(workspace)
        assert server.stats()["served_again"] == 0


@pytest.mark.long
def test_shards_divide_the_items(workspace: FaultWorkspace) -> None:
    with model_server(latency_ms=1) as server:
        engines(workspace, server)
        running = [
            subprocess.Popen(workspace.command("--quiet", "--shard", f"{number}/2"), stderr=subprocess.DEVNULL)
            for number in (1, 2)
        ]
        assert [each.wait(60) for each in running] == [0, 0]
        check(workspace)
        assert server.stats()["served_again"] == 0


def retry_all(workspace: FaultWorkspace) -> None:
    """Until nothing has failed: a request may go wrong twice, and not every way is worth a second try at once."""
    for _ in range(4):
        if workspace.rows("SELECT count(*) FROM generation_item WHERE status = 'failed'") != [(0,)]:
            workspace.run("--retry", "--quiet", code=None)


def wait_for(server: Served, requests: int) -> None:
    """Until the server has served so many."""
    end = time.monotonic() + 30
    while server.stats()["served"] < requests:
        assert time.monotonic() < end, "nothing was asked"
        time.sleep(0.01)


def kill_until_done(workspace: FaultWorkspace, server: Served, kills: int, rng: random.Random, most: int) -> int:
    """Run `generate`, killing it so many times within `most` requests; how often it was."""
    killed = 0
    while True:
        process = subprocess.Popen(workspace.command("--quiet"), stderr=subprocess.DEVNULL, start_new_session=True)
        if killed < kills:
            goal = server.stats()["requests"] + rng.randrange(20, most)
            while process.poll() is None and server.stats()["requests"] < goal:
                time.sleep(0.005)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                killed += 1
                continue
        if process.wait(600) in (0, 1, 5):  # 1: some items failed
            return killed


def test_kill_9_loses_at_most_the_requests_in_flight(workspace: FaultWorkspace) -> None:
    with model_server(latency_ms=20, ceiling=CONCURRENCY) as server:
        engines(workspace, server)
        killed = kill_until_done(workspace, server, 1, random.Random(7), 100)
        check(workspace)
        assert killed == 1
        assert server.stats()["served_again"] <= killed * CONCURRENCY


@pytest.mark.long
def test_two_thousand_items_faults_and_kills(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", 400, 5)
    with model_server(latency_ms=10, ceiling=CONCURRENCY, faults=FAULTS, drip_s=1.0) as server:
        engines(workspace, server, timeout=5)
        killed = kill_until_done(workspace, server, 8, random.Random(2501), 900)
        assert killed == 8
        assert workspace.rows("SELECT count(*) FROM generation_item") == [(2_000,)]
        again = server.stats()["served_again"]
        assert again <= killed * CONCURRENCY
        retry_all(workspace)
        check(workspace)
