"""Tests of `negwb generate tune`: the file, the question before writing, and that no label measures what it taught."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support.commands import negwb
from support.generated_demo import build_half_audited, json_of

from curation_db.generation.tuning_examples import gives_examples
from workbench.demo.build import DemoSize
from workbench.errors import ExitCode, NegwbError
from workbench.generation.prompts.loader import find_prompts
from workbench.workspace.layout import Workspace

SIZE = DemoSize(pictures=40, pool=1, scenes=1, gallery=1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo workspace, half audit, where a script decided everything; tests change a copy."""
    folder = tmp_path_factory.mktemp("drawn") / "demo"
    workspace = build_half_audited(folder, SIZE)
    json_of(workspace, "generate", "--quiet", "--json", "--limit", 24)
    json_of(workspace, "demo", folder, "--decide")
    return folder


@pytest.fixture
def workspace(drawn: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(drawn, tmp_path / "demo")
    return Workspace(tmp_path / "demo")


def rows(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(workspace.database)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def measuring(workspace: Workspace) -> set[int]:
    """The images whose labels measure tuned prompts."""
    key = bytes.fromhex(rows(workspace, "SELECT value FROM record_note WHERE name = 'audit_key'")[0][0])
    return {image for (image,) in rows(workspace, "SELECT id FROM image") if not gives_examples(key, image)}


def next_set(workspace: Workspace) -> Path:
    return workspace.root / "prompts" / "negwb-p1-2.toml"


def test_no_example_is_of_an_image_that_measures(workspace: Workspace) -> None:
    tuned = json_of(workspace, "generate", "tune", "--accepted", 20, "--rejected", 20, "--yes", "--json")
    image_of = dict(rows(workspace, "SELECT id, image_id FROM candidate"))
    images = {image_of[each["candidate"]] for each in tuned["examples"]}
    assert len(images) == len(tuned["examples"]) > 12
    assert not images & measuring(workspace)
    assert {each["audit"] for each in tuned["examples"]} == {True, False}
    assert {each["accepted"] for each in tuned["examples"]} == {True, False}
    uids = {uid for (uid,) in rows(workspace, "SELECT uid FROM event")}
    written = find_prompts(str(next_set(workspace)))
    assert written.version == tuned["version"]
    assert written.tuned is not None
    assert sorted(each["event"] for each in tuned["examples"]) == written.tuned.decisions
    assert set(written.tuned.decisions) <= uids
    assert written.tuned.decisions_sha256 == tuned["decisions_sha256"]


def test_a_tuned_version_is_compared_on_the_other_images_alone(workspace: Workspace) -> None:
    json_of(workspace, "generate", "tune", "--yes", "--json")
    run = json_of(workspace, "generate", "--compare", "negwb-p1-1", "negwb-p1-2", "--quiet", "--json")
    assert run["assigned"] > 15
    assigned = {image for (image,) in rows(workspace, "SELECT image_id FROM prompt_assignment")}
    assert assigned <= measuring(workspace)
    json_of(workspace, "demo", workspace.root, "--decide")
    report = json_of(workspace, "prompts", "compare", "negwb-p1-1", next_set(workspace), "--json")
    assert (report["labels"] > 5, report["labels_left_out"]) == (True, 0)
    shown = negwb(workspace, "prompts", "compare", "negwb-p1-1", "negwb-p1-2")
    assert "hash" not in shown.stderr


def test_a_shortened_list_of_decisions_is_noticed(workspace: Workspace) -> None:
    json_of(workspace, "generate", "tune", "--yes", "--json")
    lines = next_set(workspace).read_text(encoding="utf-8").splitlines()
    at = lines.index("decisions = [") + 1
    next_set(workspace).write_text("\n".join([*lines[:at], *lines[at + 1 :]]), encoding="utf-8")
    json_of(workspace, "generate", "--compare", "negwb-p1-1", "negwb-p1-2", "--quiet", "--json", "--limit", 4)
    assert "do not agree with their hash" in negwb(workspace, "prompts", "compare", "1").stderr


def test_labels_that_a_tuned_version_has_seen_do_not_measure_it(workspace: Workspace) -> None:
    """Not even where its candidates are not from a comparison."""
    version = json_of(workspace, "generate", "tune", "--yes", "--json")["version"]
    json_of(workspace, "generate", "--prompts", next_set(workspace), "--quiet", "--json", "--limit", 40)
    json_of(workspace, "demo", workspace.root, "--decide")
    by_prompt = {row["prompt"]: row for row in json_of(workspace, "prompts", "--by", "prompt", "--json")}
    labelled = rows(
        workspace,
        f"""SELECT DISTINCT c.id, c.image_id FROM candidate c JOIN event e ON e.candidate_id = c.id
            WHERE c.audit AND c.prompt_version = '{version}'""",
    )
    unseen = [number for number, image in labelled if image in measuring(workspace)]
    assert by_prompt[version]["audit"]["n"] == len(unseen) < len(labelled)
    done = negwb(workspace, "prompts", "--by", "prompt")
    assert f"{len(labelled) - len(unseen)} audit labels are left out" in done.stderr


def test_it_asks_before_it_writes(workspace: Workspace) -> None:
    assert negwb(workspace, "generate", "tune", input="n\n").exception is None
    assert not next_set(workspace).exists()
    shown = negwb(workspace, "generate", "tune", input="y\n")
    assert '+ name = "negwb-p1-2"' in shown.stdout
    assert "Decisions of people" in shown.stdout
    assert next_set(workspace).is_file()
    again = json_of(workspace, "generate", "tune", "--from", "negwb-p1-2", "--yes", "--json")
    assert Path(again["file"]).name == "negwb-p1-3.toml"


def test_a_dry_run_and_json_without_yes_write_nothing(workspace: Workspace) -> None:
    assert negwb(workspace, "generate", "tune", "--dry-run", "--yes").exception is None
    assert json_of(workspace, "generate", "tune", "--json")["written"] is False
    assert not next_set(workspace).parent.exists()


def test_refusals(workspace: Workspace, tmp_path: Path) -> None:
    def failure(*args: object) -> NegwbError:
        done = negwb(workspace, "generate", "tune", *args)
        assert isinstance(done.exception, NegwbError), done.exception
        return done.exception

    (tmp_path / "there.toml").write_text("mine")
    assert failure("--output", tmp_path / "there.toml", "--yes").exit_code == ExitCode.USAGE
    assert (tmp_path / "there.toml").read_text() == "mine"
    assert failure("--pipeline", "P3").exit_code == ExitCode.USAGE
    assert failure("--from", "nothing").exit_code == ExitCode.USAGE
    assert failure("--accepted", 0, "--rejected", 0, "--yes").exit_code == ExitCode.NOTHING_TO_DO
