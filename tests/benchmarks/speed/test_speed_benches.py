"""The speed benches run and print their fixed JSON keys; figures of a quick run are not meaningful."""

from __future__ import annotations

import json
import random
import statistics
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

MOST_BYTES_PER_ITEM = 100
ALWAYS = {"bench", "quick", "machine", "versions", "seconds", "notes"}


def run(name: str) -> dict[str, Any]:
    """Run a bench with --quick and parse the last line of its output."""
    command = [sys.executable, "-m", "benchmarks.speed", name, "--json", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.long
def test_curate_measures_real_keys() -> None:
    result = run("curate")
    # fmt: off
    assert result.keys() >= ALWAYS | {
        "candidates", "presses", "p50_ms", "p95_ms", "p99_ms", "picture_p95_ms", "pilot_ms", "claim_worst_ms", "rss_mb",
        "times_empty_p95", "undo_times_empty_p95", "edit_times_empty_p95",
        "bytes_same_picture_ratio", "bytes_new_picture_ratio",
    }
    # fmt: on
    assert result["candidates"] == 10_000
    assert 0 < result["p50_ms"] <= result["p95_ms"] <= result["p99_ms"]
    assert result["pilot_ms"] > 0
    assert result["pictures"] > 1
    assert result["rss_mb"] > 10
    assert 1 <= result["bytes_new_picture_ratio"] < 2
    assert 1 <= result["bytes_same_picture_ratio"] < 5
    assert result["bytes_same_picture"] < result["bytes_new_picture"] / 10


@pytest.mark.long
def test_audit_measures_every_caption() -> None:
    result = run("audit")
    # fmt: off
    assert result.keys() >= ALWAYS | {
        "captions", "captions_per_s", "plain_re_per_s", "grep_per_s", "ratio_to_plain_re", "scaling_two_cores",
        "rss_mb",
    }
    # fmt: on
    assert result["captions"] == 200_000
    assert result["captions_per_s"] > 0
    assert result["rss_mb"] > 10


@pytest.mark.long
def test_browse_measures_views_pages_and_the_screen() -> None:
    result = run("browse")
    # fmt: off
    assert result.keys() >= ALWAYS | {
        "rows", "first_page_s", "page_p95_ms", "filter_p95_ms", "sql_p95_ms", "like_p95_ms", "rss_mb",
        "rss_above_empty_mb",
    }
    # fmt: on
    assert result["rows"] == 10_000
    counts = {line: view["count"] for line, view in result["views"].items()}
    assert (counts["everything"], counts["state:needs_more"], counts["reason:present"]) == (10_000, 1_000, 0)
    assert 0 < counts["judge:llava=present judge:qwen=absent"] < counts["judge:llava=present"] < 10_000
    assert 0 < counts["lint:in-sibling"] == 10_000 - counts["-lint:in-sibling"]
    assert result["first_page_s"] > 0
    assert result["rss_mb"] > 10


@pytest.mark.long
def test_report_compares_equal_rows() -> None:
    result = run("report")
    assert result.keys() >= ALWAYS | {"models", "rows", "reference_s", "first_s", "second_s", "second_ratio"}
    assert result["rows"] == 2 * result["models"] == 12
    assert 0 < result["second_s"] < result["first_s"]


@pytest.mark.long
def test_writers_lose_nothing() -> None:
    result = run("writers")
    # fmt: off
    assert result.keys() >= ALWAYS | {
        "processes", "seconds", "decisions", "decisions_per_s", "fsync_per_s", "lock_errors", "double_claims", "lost",
        "backend",
    }
    # fmt: on
    assert result["decisions"] > 0
    assert (result["lock_errors"], result["double_claims"], result["lost"], result["unsound"]) == (0, 0, 0, 0)
    assert result["backend"] == "sqlite"
    assert result["seconds"] == 2.0


@pytest.mark.parametrize(
    ("values", "share", "least"),
    [([3.0], 95, 3.0), (range(1, 101), 95, 95), (range(1, 101), 99, 99), (range(1, 101), 50, 50), ([1, 9], 95, 9)],
)
def test_a_percentile_is_one_of_the_values(values: list[float], share: float, least: float) -> None:
    shuffled = list(values)
    random.Random(0).shuffle(shuffled)
    assert percentile(shuffled, share) == least


def test_excess_claims_are_counted(tmp_path: Path) -> None:
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
        assert (
            double_claims(store, [[third], [third], [third]]) == 0
        )  # the votes differ, so a third annotator is needed


def test_log_is_parsed(tmp_path: Path) -> None:
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


@pytest.mark.long
def test_generate_reports_its_ratio_to_the_ceiling() -> None:
    result = run("generate")
    assert result.keys() >= ALWAYS | {
        "latency_ms",
        "ceiling_per_s",
        "ours_per_s",
        "ratio_to_ceiling",
        "cpu_ms_per_request",
    }
    assert result["ceiling_per_s"] == 320
    assert 0 < result["ratio_to_ceiling"] <= 1.02
    assert 0 < result["queueing_ratio"] <= 1.02
    assert result["cpu_ms_per_request"] > 0
    assert result["median_latency_ms"] >= result["latency_ms"]


@pytest.mark.long
def test_lint_compares_both_runs() -> None:
    result = run("lint")
    assert result.keys() >= ALWAYS | {"candidates", "before_s", "ours_s", "ratio", "per_million_s"}
    assert result["candidates"] == 200
    assert result["findings"] > 50
    assert result["before_s"] > 0 < result["ours_s"]


@pytest.mark.long
def test_train_compares_both_loops() -> None:
    result = run("train")
    assert result.keys() >= ALWAYS | {"vit_b_32", "vit_l_14", "max_loss_difference"}
    assert 0 <= result["max_loss_difference"] <= 1e-5
    for name in ("vit_b_32", "vit_l_14"):
        # fmt: off
        assert result[name].keys() >= {
            "pictures", "captions", "mean_tokens", "reference_epoch_s", "our_epoch_s", "features_s", "ratio",
            "flop_ratio", "rss_mb",
        }
        # fmt: on
        assert result[name]["captions"] == 5 * result[name]["pictures"]
        assert 8 < result[name]["mean_tokens"] < 30
        assert result[name]["ratio"] > 0


@pytest.mark.long
def test_evaluate_compares_both_loops() -> None:
    result = run("evaluate")
    # fmt: off
    assert result.keys() >= ALWAYS | {
        "items", "crops", "mean_tokens", "reference_s", "first_s", "second_s", "ratio", "second_ratio", "cpu_ratio",
        "cpu_second_ratio", "flop_ratio", "flop_second_ratio", "differing", "max_score_difference", "threads",
    }
    # fmt: on
    assert (result["items"], result["crops"], result["differing"]) == (12, 22, 0)
    assert 0 < result["max_score_difference"] < 1e-5
    assert 0 < result["second_s"] < result["first_s"]


@pytest.mark.long
def test_the_rows_of_evaluate_have_the_shape_of_the_published_file(shared_data: Path) -> None:
    from benchmarks.speed.evaluate import make_rows

    def figures(rows: list[dict[str, Any]]) -> tuple[float, ...]:
        words = [len(row["phrase"].split()) for row in rows]
        areas = [width * height for row in rows for _, _, width, height in row["bbox_list"]]
        crops = {(row["image"], *box) for row in rows for box in row["bbox_list"]}
        return (
            len(rows),
            len({row["image"] for row in rows}),
            statistics.mean(words),
            len(crops),
            statistics.mean(areas),
        )

    published = json.loads((shared_data / "NegRefCOCOg.json").read_bytes())
    assert figures(make_rows(440, 402)) == pytest.approx(figures(published), rel=0.12)


@pytest.mark.long
@pytest.mark.parametrize(("name", "ratio"), [("ViT-B-32", 7), ("ViT-L-14", 19)])
def test_the_expected_ratio_is_that_of_the_arithmetic(name: str, ratio: float) -> None:
    """At 16 tokens, without the share of the features: 7 times for ViT-B/32 and 19 times for ViT-L/14."""
    import open_clip

    from benchmarks.speed.train import expected_ratio

    assert expected_ratio(dict(open_clip.get_model_config(name)), [16]) == pytest.approx(ratio, rel=0.05)


@pytest.mark.long
def test_a_run_needs_no_more_memory_for_more_items() -> None:
    """100,000 items; the caches, about 40 MiB, are full after the first tenth."""
    command = [sys.executable, "-m", "benchmarks.speed", "generate-memory", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1_700, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result.keys() >= ALWAYS | {"first_mib", "last_mib", "bytes_per_item"}
    assert result["last_items"] == 100_000
    assert 10_000 <= result["first_items"] < 20_000
    assert result["bytes_per_item"] < MOST_BYTES_PER_ITEM, result


@pytest.mark.long
def test_generate_memory_measures_a_whole_run() -> None:
    result = run("generate-memory")
    assert (result["items"], result["last_items"]) == (1_000, 1_000)


@pytest.mark.long
def test_export_writes_the_files_of_the_plain_loop() -> None:
    result = run("export")
    assert result.keys() >= ALWAYS | {"pairs", "ours_s", "raw_s", "ratio_to_raw"}
    assert result["pairs"] == 2_000
    assert result["ratio_to_raw"] > 0
