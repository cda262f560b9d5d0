"""Tests of `negwb generate --compare` and `negwb prompts compare` with scripted engines and a scripted annotator."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.commands import negwb
from support.generated_demo import build_half_audited, json_of

from curation_db.enums import GenerationState
from curation_db.generation.comparisons import compared_items, list_comparisons
from curation_db.generation.runs import list_runs, start_run
from curation_db.storage.store import open_read_only, open_store
from workbench.demo.build import DemoSize
from workbench.errors import ExitCode, NegwbError
from workbench.generation.prompts.loader import find_prompts
from workbench.jobs.generation import resume_arguments
from workbench.reports.prompt_comparison import comparison_report
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.settings import read_settings

SIZE = DemoSize(pictures=16, pool=1, scenes=1, gallery=1)
OLD = "negwb-p1-1"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo workspace whose audit set is a half of what is generated; tests change a copy."""
    folder = tmp_path_factory.mktemp("drawn") / "demo"
    build_half_audited(folder, SIZE)
    content = find_prompts(OLD).content.replace(f'name = "{OLD}"', 'name = "mine"')
    (folder / "mine.toml").write_text(content, encoding="utf-8")
    return folder


@pytest.fixture
def workspace(drawn: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(drawn, tmp_path / "demo")
    return Workspace(tmp_path / "demo")


def mine(workspace: Workspace) -> Path:
    return workspace.root / "mine.toml"


def compare(workspace: Workspace, *more: object) -> Any:
    return json_of(workspace, "generate", "--compare", OLD, mine(workspace), "--quiet", "--json", *more)


def rows(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(workspace.database)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def failure(workspace: Workspace, *args: object) -> NegwbError:
    done = negwb(workspace, *args)
    assert isinstance(done.exception, NegwbError), done.exception
    return done.exception


def test_both_versions_get_half_of_each_image_and_the_report_compares_them(workspace: Workspace) -> None:
    run = compare(workspace)
    versions = [find_prompts(OLD).version, find_prompts(str(mine(workspace))).version]
    assert sorted(run["arms"]) == sorted(versions)
    done = {version: arm["items_done"] for version, arm in run["arms"].items()}
    assert sum(done.values()) == run["assigned"] == rows(workspace, "SELECT count(*) FROM caption")[0][0]
    assert abs(done[versions[0]] - done[versions[1]]) <= 1
    uneven = rows(
        workspace,
        """SELECT max(abs(n))
           FROM (SELECT sum(arm = 'a') - sum(arm = 'b') AS n FROM prompt_assignment GROUP BY image_id)""",
    )
    assert uneven == [(1,)]
    json_of(workspace, "demo", workspace.root, "--decide")
    report = json_of(workspace, "prompts", "compare", OLD, mine(workspace), "--json")
    assert (report["old"]["prompt"], report["new"]["prompt"]) == tuple(versions)
    assert report["labels"] == report["old"]["audit"]["n"] + report["new"]["audit"]["n"] > 10
    gain = report["new"]["audit"]["share"] - report["old"]["audit"]["share"]
    assert report["difference"] == pytest.approx(gain)
    assert report["difference_95"][0] <= gain <= report["difference_95"][1]
    assert 0 < report["p"] <= 1
    assert report["labels_needed_for_5_points"] > 500
    for version, arm in zip(versions, (report["old"], report["new"]), strict=True):
        ran = run["arms"][version]
        cost = ran["requests"] / ran["kept"] / arm["audit"]["share"]
        assert arm["per_accepted"]["requests"]["estimate"] == pytest.approx(cost)
    assert report["altered_pairs"] == 0
    swapped = json_of(workspace, "prompts", "compare", "mine", versions[0], "--json")
    assert (swapped["difference"], swapped["p"]) == (-report["difference"], pytest.approx(report["p"]))
    shown = negwb(workspace, "prompts", "compare", str(report["comparison"]))
    assert "difference (points)" in shown.stdout
    assert "randomisation test" in shown.stderr
    assert "5 points" in shown.stderr


def test_a_stopped_comparison_continues_with_the_same_division(workspace: Workspace) -> None:
    assert (
        failure(
            workspace, "generate", "--compare", OLD, mine(workspace), "--quiet", "--limit", 20, "--max-requests", 40
        ).exit_code
        == ExitCode.FAILED
    )
    before = dict(rows(workspace, "SELECT item, arm FROM prompt_assignment"))
    assert Counter(before.values()) == {"a": 10, "b": 10}
    with open_read_only(workspace.database) as store, store.read() as connection:
        runs = list_runs(connection)
    assert {run.state for run in runs} == {GenerationState.STOPPED}
    assert [run.settings["comparison"]["arm"] for run in runs] == ["b", "a"]
    with pytest.raises(NegwbError, match="arm of comparison 1"):
        resume_arguments(runs[1], read_settings(workspace.settings).generate)
    run = compare(workspace, "--limit", 20)
    assert run["assigned"] == 0
    assert dict(rows(workspace, "SELECT item, arm FROM prompt_assignment")) == before
    arms = rows(
        workspace,
        """
        SELECT a.arm, count(*) FROM prompt_assignment a JOIN prompt_comparison c ON c.id = a.comparison_id
        JOIN generation_item g ON g.item = a.item AND g.recipe = iif(a.arm = 'a', c.recipe_a, c.recipe_b) GROUP BY 1""",
    )
    assert arms == [("a", 10), ("b", 10)]
    assert rows(workspace, "SELECT count(*) FROM generation_item") == [(20,)]
    assert compare(workspace, "--limit", 5)["assigned"] == 5


def test_a_limit_also_holds_for_items_that_were_assigned_before(workspace: Workspace) -> None:
    stopped = negwb(
        workspace, "generate", "--compare", OLD, mine(workspace), "--quiet", "--limit", 30, "--max-requests", 1
    )
    assert "next:" not in stopped.stderr
    run = compare(workspace, "--limit", 7)
    assert (run["assigned"], sorted(arm["items_done"] for arm in run["arms"].values())) == (0, [3, 4])


def test_items_outside_the_comparison_do_not_change_its_costs(workspace: Workspace) -> None:
    alone = json_of(workspace, "generate", "--prompts", OLD, "--limit", 12, "--quiet", "--json")
    run = compare(workspace)
    arm = run["arms"][find_prompts(OLD).version]
    json_of(workspace, "demo", workspace.root, "--decide")
    report = json_of(workspace, "prompts", "compare", mine(workspace), OLD, "--json")["new"]
    per_item = (alone["requests"] + arm["requests"]) / (alone["items_done"] + arm["items_done"])
    cost = per_item * arm["items_done"] / arm["kept"] / report["audit"]["share"]
    assert report["per_accepted"]["requests"]["estimate"] == pytest.approx(cost)


def test_seen_labels_are_left_out_of_all_figures(workspace: Workspace) -> None:
    compare(workspace)
    json_of(workspace, "demo", workspace.root, "--decide")
    with open_read_only(workspace.database) as store, store.read() as connection:
        comparison = list_comparisons(connection)[0]
        every, half = (
            comparison_report(connection, comparison, "b", {}, is_seen=lambda image, by=by: image % by == 0)
            for by in (1_000, 2)
        )
        items = compared_items(connection, comparison)
    labels = [item for item in items if item.accepted is not None]
    odd = [item for item in labels if item.image_id % 2]
    assert (every.seen, half.seen) == (0, len(labels) - len(odd))
    assert half.difference.old.labels + half.difference.new.labels == half.old.labels + half.new.labels == len(odd)
    assert half.new.accepted == sum(bool(item.accepted) for item in odd if item.arm == "b")


def test_another_seed_or_rule_is_another_comparison(workspace: Workspace) -> None:
    one = compare(workspace, "--limit", 6)
    other = compare(workspace, "--limit", 6, "--seed", 4)
    assert [one["comparison"], other["comparison"]] == [1, 2]
    report = negwb(workspace, "prompts", "compare", OLD, "mine")
    assert report.exception is None
    assert "prompt comparison 2" in report.stdout.lower()
    assert "other settings: 1" in report.stderr
    listed = json_of(workspace, "prompts", "compare", "--json")
    assert [(each["id"], each["seed"]) for each in listed] == [(2, 4), (1, 0)]


def test_shards_together_are_one_comparison(workspace: Workspace) -> None:
    runs = [compare(workspace, "--shard", f"{number}/2") for number in (1, 2)]
    assert {run["comparison"] for run in runs} == {1}
    assert sum(run["assigned"] for run in runs) == rows(workspace, "SELECT count(*) FROM caption")[0][0]
    assert all(run["assigned"] for run in runs)
    arms = dict(rows(workspace, "SELECT arm, count(*) FROM prompt_assignment GROUP BY 1"))
    assert abs(arms["a"] - arms["b"]) <= 1
    assert rows(workspace, "SELECT max(n) FROM (SELECT count(*) AS n FROM prompt_assignment GROUP BY pair)") == [(2,)]


def test_no_run_is_left_open_if_the_other_arm_cannot_start(workspace: Workspace) -> None:
    compare(workspace, "--limit", 2)
    with open_store(workspace.database) as store, store.write() as connection:
        other = start_run(connection, recipe=list_comparisons(connection)[0].recipe_b, settings={})
    refused = failure(workspace, "generate", "--compare", OLD, mine(workspace), "--quiet", "--limit", 2)
    assert "running the same generation" in refused.message
    assert rows(workspace, "SELECT id FROM generation_run WHERE state = 'running'") == [(other,)]


def test_an_altered_division_is_reported(workspace: Workspace) -> None:
    compare(workspace, "--limit", 8)
    connection = sqlite3.connect(workspace.database)
    with connection:
        connection.execute("UPDATE prompt_assignment SET arm = iif(arm = 'a', 'b', 'a') WHERE pair = 2")
    connection.close()
    assert json_of(workspace, "prompts", "compare", "1", "--json")["altered_pairs"] == 1
    assert "those of 1 pair" in negwb(workspace, "prompts", "compare", "1").stderr


def test_refusals(workspace: Workspace) -> None:
    same = failure(workspace, "generate", "--compare", OLD, OLD, "--quiet")
    assert (same.exit_code, "same" in same.message or "both" in same.message) == (ExitCode.USAGE, True)
    both = failure(workspace, "generate", "--compare", OLD, "mine.toml", "--dry-run")
    assert both.exit_code == ExitCode.USAGE
    assert failure(workspace, "prompts", "compare").exit_code == ExitCode.NOTHING_TO_DO
    compare(workspace, "--limit", 2)
    assert failure(workspace, "prompts", "compare", "7").exit_code == ExitCode.USAGE
    assert failure(workspace, "prompts", "compare", OLD, "nothing").exit_code == ExitCode.USAGE
    assert failure(workspace, "prompts", "compare", OLD).exit_code == ExitCode.USAGE
    assert failure(workspace, "generate", "--compare", OLD, "negwb-p2-1").exit_code == ExitCode.USAGE


def test_nothing_is_left_when_all_captions_are_assigned(workspace: Workspace) -> None:
    compare(workspace)
    again = failure(workspace, "generate", "--compare", OLD, mine(workspace), "--quiet")
    assert again.exit_code == ExitCode.NOTHING_TO_DO
