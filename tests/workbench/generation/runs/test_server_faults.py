"""`negwb generate` as its user runs it, against a server on loopback that misbehaves, and killed in the middle."""

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
from workbench.workspace.settings_writer import add_picture_folder

# fmt: off
FAULTS = {
    "500": 0.03, "503": 0.03, "cut": 0.03, "half_json": 0.03, "drip": 0.01, "wrong_schema": 0.03, "no_logprobs": 0.02,
    "bad_utf8": 0.02, "endless": 0.005, "empty": 0.02, "refusal": 0.01, "400": 0.01,
}
# fmt: on
CONCURRENCY = 16


@dataclass
class House:
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


def make_house(folder: Path, pictures: int, captions: int) -> House:
    workspace = create_workspace(folder)
    (folder / "pictures").mkdir()
    images, annotations = [], []
    for number in range(pictures):
        name = f"{number:06}.jpg"
        picture = Image.frombytes("RGB", (32, 24), random.Random(number).randbytes(32 * 24 * 3))  # none like another
        picture.save(folder / "pictures" / name)
        images.append({"id": number + 1, "file_name": name})
        for place in range(captions):
            told = f"a man with badge {number * captions + place} riding a horse"
            annotations.append({"image_id": number + 1, "id": number * captions + place + 1, "caption": told})
    file = folder / "captions.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations}))
    add_picture_folder(workspace.settings, "coco", "pictures")
    subprocess.run(
        [sys.executable, "-P", "-m", "workbench", "-w", str(folder), "import", str(file), "--source", "coco"],
        check=True,
        capture_output=True,
    )
    return House(folder, pictures * captions)


def engines(house: House, server: Served, **more: Any) -> None:
    """Name the server in negwb.toml."""
    told = {"kind": "openai", "url": server.url, "concurrency": CONCURRENCY, "timeout": 20, "tries": 8, **more}
    table = "\n".join(f"{name} = {json.dumps(value)}" for name, value in told.items())
    with (house.folder / "negwb.toml").open("a") as file:
        file.write(f'\n[generate]\nproposer = "stub"\njudges = ["stub"]\n[engines.stub]\n{table}\n')


def check(house: House) -> None:
    """Nothing is lost, doubled or mixed up."""
    items = house.rows("SELECT item, status, count(*) FROM generation_item GROUP BY 1")
    assert len(items) == house.captions
    assert {count for _, _, count in items} == {1}
    assert not [item for item, status, _ in items if status == "failed"]
    kept = house.rows("""SELECT c.text, t.text, c.concept, c.id FROM generation_item i
                         JOIN candidate c ON c.id = i.candidate_id JOIN caption t ON t.id = c.caption_id
                         WHERE i.status = 'kept'""")
    assert len(kept) == sum(status == "kept" for _, status, _ in items)
    assert house.rows("SELECT count(*) FROM candidate") == [(len(kept),)]
    for text, caption, concept, _ in kept:
        assert caption in text  # an answer to another question would name another badge
        assert concept in text
    judged = house.rows("SELECT candidate_id, question, count(*) FROM verdict GROUP BY 1, 2")
    assert {count for _, _, count in judged} <= {1}
    assert {candidate for candidate, _, _ in judged} == {candidate for *_, candidate in kept}
    keys = house.rows("SELECT count(*), count(DISTINCT key) FROM generation_answer")
    assert keys[0][0] == keys[0][1]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return make_house(tmp_path / "ws", 20, 3)


def test_a_server_that_misbehaves_costs_no_item(tmp_path: Path) -> None:
    house = make_house(tmp_path / "ws", 8, 3)
    quick = {"500": 0.05, "cut": 0.05, "half_json": 0.05, "wrong_schema": 0.05}
    with model_server(latency_ms=2, ceiling=8, faults=quick) as server:
        engines(house, server)
        told = json.loads(house.run("--json").stdout)
        assert told["items_done"] == house.captions
        check(house)
        assert len(server.stats()["faults"]) >= 3
        assert server.stats()["served_again"] == 0
        assert "all items are processed" in house.run(code=5).stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stores_what_is_in_flight_and_the_same_command_goes_on(house: House, number: signal.Signals) -> None:
    with model_server(latency_ms=150, ceiling=CONCURRENCY) as server:
        engines(house, server)
        process = subprocess.Popen(house.command("--quiet"), stderr=subprocess.PIPE, text=True)
        wait_for(server, 20)
        process.send_signal(number)
        assert process.wait(30) == 128 + number
        assert process.stderr is not None
        verdicts = process.stderr.read()
        process.stderr.close()
        assert "run the same command again" in verdicts
        assert house.rows("SELECT state FROM generation_run") == [("stopped",)]
        assert house.rows("SELECT count(*) FROM generation_answer") == [(server.stats()["served"],)]
        server.behave(latency_ms=1)
        house.run()
        check(house)
        assert server.stats()["served_again"] == 0


@pytest.mark.parametrize("goes", ["moved", "deleted"])
def test_a_database_that_goes_away_ends_the_run_and_takes_nothing_more(house: House, goes: str) -> None:
    database, moved = house.folder / "curation.db", house.folder / "moved.db"
    with model_server(latency_ms=50, ceiling=CONCURRENCY) as server:
        engines(house, server)
        process = subprocess.Popen(house.command("--quiet"), stderr=subprocess.PIPE, text=True)
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


def test_a_server_that_is_gone_is_said_in_one_line(house: House) -> None:
    with model_server() as server:
        engines(house, server, tries=2, timeout=1)
    done = house.run(code=4)
    assert done.stderr.count("\n") <= 4
    assert server.url in done.stderr
    assert house.rows("SELECT count(*) FROM generation_item") == [(0,)]


def test_two_processes_never_pay_for_the_same(house: House) -> None:
    with model_server(latency_ms=60, ceiling=CONCURRENCY) as server:
        engines(house, server)
        first = subprocess.Popen(house.command("--quiet"), stderr=subprocess.DEVNULL)
        wait_for(server, 5)
        refused = house.run("--quiet", code=2)
        assert f"process {first.pid}" in refused.stderr
        assert "--shard" in refused.stderr
        server.behave(latency_ms=1)
        assert first.wait(60) == 0
        check(house)
        assert server.stats()["served_again"] == 0


def test_shards_share_the_work(house: House) -> None:
    with model_server(latency_ms=1) as server:
        engines(house, server)
        running = [
            subprocess.Popen(house.command("--quiet", "--shard", f"{number}/2"), stderr=subprocess.DEVNULL)
            for number in (1, 2)
        ]
        assert [each.wait(60) for each in running] == [0, 0]
        check(house)
        assert server.stats()["served_again"] == 0


def retry_all(house: House) -> None:
    """Until nothing has failed: a request may go wrong twice, and not every way is worth a second try at once."""
    for _ in range(4):
        if house.rows("SELECT count(*) FROM generation_item WHERE status = 'failed'") != [(0,)]:
            house.run("--retry", "--quiet")


def wait_for(server: Served, requests: int) -> None:
    """Until the server has served so many."""
    end = time.monotonic() + 30
    while server.stats()["served"] < requests:
        assert time.monotonic() < end, "nothing was asked"
        time.sleep(0.01)


def kill_until_done(house: House, server: Served, kills: int, rng: random.Random, most: int) -> int:
    """Run `generate`, killing it so many times within `most` requests; how often it was."""
    killed = 0
    while True:
        process = subprocess.Popen(house.command("--quiet"), stderr=subprocess.DEVNULL, start_new_session=True)
        if killed < kills:
            goal = server.stats()["requests"] + rng.randrange(20, most)
            while process.poll() is None and server.stats()["requests"] < goal:
                time.sleep(0.005)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                killed += 1
                continue
        if process.wait(600) in (0, 5):
            return killed


def test_kill_9_costs_at_most_what_is_in_flight(house: House) -> None:
    with model_server(latency_ms=20, ceiling=CONCURRENCY) as server:
        engines(house, server)
        killed = kill_until_done(house, server, 1, random.Random(7), 100)
        check(house)
        assert killed == 1
        assert server.stats()["served_again"] <= killed * CONCURRENCY


@pytest.mark.long
def test_two_thousand_items_faults_and_kills(tmp_path: Path) -> None:
    house = make_house(tmp_path / "ws", 400, 5)
    with model_server(latency_ms=10, ceiling=CONCURRENCY, faults=FAULTS, drip_s=1.0) as server:
        engines(house, server, timeout=5)
        killed = kill_until_done(house, server, 8, random.Random(2501), 900)
        assert killed == 8
        assert house.rows("SELECT count(*) FROM generation_item") == [(2_000,)]
        again = server.stats()["served_again"]
        assert again <= killed * CONCURRENCY
        retry_all(house)
        check(house)
