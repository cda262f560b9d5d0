"""The speed benches run, and say what BENCHES.md promises; what they measure in a few seconds means nothing."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.record import Record

from benchmarks.speed.curate import percentile
from benchmarks.speed.writers import double_claims, read_log
from curation_db.enums import Kind, Reason
from curation_db.storage.store import create_store

ALWAYS = {"bench", "quick", "machine", "versions", "seconds", "notes"}


def run(name: str) -> dict[str, Any]:
    """A bench as a person runs it, made small: the last line of what it prints."""
    command = [sys.executable, "-m", "benchmarks.speed", name, "--json", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_curate_measures_real_keys() -> None:
    told = run("curate")
    # fmt: off
    assert told.keys() >= ALWAYS | {
        "candidates", "presses", "p50_ms", "p95_ms", "p99_ms", "picture_p95_ms", "pilot_ms", "claim_worst_ms", "rss_mb",
    }
    # fmt: on
    assert told["candidates"] == 10_000
    assert 0 < told["p50_ms"] <= told["p95_ms"] <= told["p99_ms"]
    assert told["pilot_ms"] > 0
    assert told["pictures"] > 1
    assert told["rss_mb"] > 10


def test_browse_measures_views_pages_and_the_room() -> None:
    told = run("browse")
    # fmt: off
    assert told.keys() >= ALWAYS | {
        "rows", "first_page_s", "page_p95_ms", "filter_p95_ms", "sql_p95_ms", "rss_mb", "rss_above_empty_mb",
    }
    # fmt: on
    assert told["rows"] == 10_000
    counts = {line: view["count"] for line, view in told["views"].items()}
    assert (counts["everything"], counts["state:needs_more"], counts["reason:present"]) == (10_000, 1_000, 0)
    assert 0 < counts["judge:llava=present judge:qwen=absent"] < counts["judge:llava=present"] < 10_000
    assert 0 < counts["lint:in-sibling"] == 10_000 - counts["-lint:in-sibling"]
    assert told["first_page_s"] > 0
    assert told["rss_mb"] > 10


def test_writers_lose_nothing() -> None:
    told = run("writers")
    # fmt: off
    assert told.keys() >= ALWAYS | {
        "processes", "seconds", "decisions", "decisions_per_s", "fsync_per_s", "lock_errors", "double_claims", "lost",
        "backend",
    }
    # fmt: on
    assert told["decisions"] > 0
    assert (told["lock_errors"], told["double_claims"], told["lost"], told["unsound"]) == (0, 0, 0, 0)
    assert told["backend"] == "sqlite"
    assert told["seconds"] == 2.0


@pytest.mark.parametrize(
    ("values", "share", "least"),
    [([3.0], 95, 3.0), (range(1, 101), 95, 95), (range(1, 101), 99, 99), (range(1, 101), 50, 50), ([1, 9], 95, 9)],
)
def test_a_percentile_is_one_of_the_values(values: list[float], share: float, least: float) -> None:
    shuffled = list(values)
    random.Random(0).shuffle(shuffled)
    assert percentile(shuffled, share) == least


def test_a_claim_too_many_is_found(tmp_path: Path) -> None:
    with create_store(tmp_path / "curation.db") as store:
        record = Record(store)
        once, twice, third = record.add(1, overlap="1") + record.add(1, overlap="2") + record.add(1, overlap="2+1")
        ana, ben = record.open_session("ana"), record.open_session("ben")
        ana.reviewer.decide(third, Kind.ACCEPT)
        assert double_claims(store, [[once, twice, third], [twice, third]]) == 0
        assert double_claims(store, [[once, twice, third], [once, twice, third]]) == 1
        assert double_claims(store, [[twice], [twice], [twice]]) == 1
        assert double_claims(store, [[once, once]]) == 1
        assert double_claims(store, [[third], [third], [third]]) == 1
        ben.reviewer.decide(third, Kind.REJECT, reason=Reason.SCOPE)
        assert double_claims(store, [[third], [third], [third]]) == 0  # they differ: a third one is asked


def test_a_log_says_what_was_done_and_what_was_not(tmp_path: Path) -> None:
    lines = [
        {"claimed": 7, "action": "one", "ms": 3.0},
        {"claimed": 8, "busy": "held by another process", "ms": 15_000.0},
        {"busy": "held by another process", "ms": 15_000.0},
        {"dry": True, "ms": 1.0},
    ]
    path = tmp_path / "0.log"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    log = read_log(path)
    assert (log.claimed, log.decided, log.lock_errors, log.slowest_ms, log.ran_dry) == (
        [7, 8],
        {"one": 7},
        2,
        15_000.0,
        True,
    )


def test_generate_comes_near_the_ceiling_and_says_how_near() -> None:
    told = run("generate")
    assert told.keys() >= ALWAYS | {
        "latency_ms",
        "ceiling_per_s",
        "ours_per_s",
        "ratio_to_ceiling",
        "cpu_ms_per_request",
    }
    assert told["ceiling_per_s"] == 320
    assert 0 < told["ratio_to_ceiling"] <= 1.02
    assert 0 < told["queueing_ratio"] <= 1.02
    assert told["cpu_ms_per_request"] > 0
    assert told["median_latency_ms"] >= told["latency_ms"]


def test_lint_finds_the_same_in_both_ways() -> None:
    told = run("lint")
    assert told.keys() >= ALWAYS | {"candidates", "before_s", "ours_s", "ratio", "per_million_s"}
    assert told["candidates"] == 200
    assert told["findings"] > 50
    assert told["before_s"] > 0 < told["ours_s"]
