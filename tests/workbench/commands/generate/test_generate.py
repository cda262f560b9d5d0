"""Tests of `negwb generate` and its subcommands with scripted engines."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.model_server import model_server
from typer.testing import CliRunner, Result

from curation_db.enums import GenerationState, StopReason
from curation_db.events.annotators import begin_session
from curation_db.generation.runs import get_run
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import open_store
from workbench.cli import app
from workbench.demo.engine_kinds import register_demo_engines
from workbench.errors import ExitCode, NegwbError
from workbench.generation.budget import Budget
from workbench.generation.runs.plan import make_plan
from workbench.generation.runs.session import GenerationOptions, NothingWentThrough, generate
from workbench.jobs.generation import resume_arguments
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace
from workbench.workspace.picture_folders import PictureFolders
from workbench.workspace.settings.settings import read_settings
from workbench.workspace.settings.writer import add_picture_folder

CAPTIONS = ("a man riding a horse", "a dog on a sofa", "two cups on a table", "a bus in a street")
ENGINES = """
[generate]
proposer = "llm"
judges = ["vlm", "annotations"]
[engines.llm]
kind = "scripted"
options = { clumsy = 0.0 }
[engines.vlm]
kind = "scripted"
options = { judge = "a" }
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    register_demo_engines()  # some tests call the library without the command that registers them
    created = create_workspace(tmp_path / "ws")
    images = [{"id": n, "file_name": f"{n}.jpg"} for n in range(1, 5)]
    annotations = [{"id": n, "image_id": n, "caption": caption} for n, caption in enumerate(CAPTIONS, 1)]
    (tmp_path / "c.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    with created.settings.open("a") as file:
        file.write(ENGINES)
    assert negwb(created, "import", tmp_path / "c.json", "--source", "coco").exit_code == 0
    return created


def negwb(workspace: Workspace, *args: object) -> Result:
    return CliRunner().invoke(app, ["-w", str(workspace.root), *map(str, args)])


def run_json(workspace: Workspace, *args: object) -> Any:
    done = negwb(workspace, "generate", *args, "--json")
    assert done.exception is None, done.stderr
    return json.loads(done.stdout)


def error(done: Result) -> NegwbError:
    assert isinstance(done.exception, NegwbError), done.exception
    return done.exception


def rows(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(workspace.database)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_captions_become_open_candidates(workspace: Workspace) -> None:
    run = run_json(workspace)
    assert (run["items_done"], run["kept"], run["state"]) == (4, 4, "done")
    events = rows(workspace, "SELECT pipeline, prompt_version, generator, extra FROM candidate")
    assert len(events) == 4
    for pipeline, prompt, generator, extra in events:
        assert pipeline == "P1"
        assert prompt == run["settings"]["prompts"]
        assert "script" in generator
        assert json.loads(extra)["mix"] == "balanced"
    verdicts = rows(workspace, "SELECT DISTINCT judge, question, p, simulated FROM verdict ORDER BY 1, 2")
    assert ("vlm", "present", None, 1) in verdicts  # outside the drawn world a script cannot tell
    assert rows(workspace, "SELECT count(*) FROM prompt_text")[0] == (1,)
    assert error(negwb(workspace, "generate")).exit_code == ExitCode.NOTHING_TO_DO


def test_other_settings_generate_again_under_another_recipe(workspace: Workspace) -> None:
    first, second = run_json(workspace), run_json(workspace, "--mix", "negrefcocog", "--seed", 3)
    assert first["recipe"] != second["recipe"]
    mixes = rows(workspace, "SELECT json_extract(extra, '$.mix'), count(*) FROM candidate GROUP BY 1 ORDER BY 1")
    assert mixes == [("balanced", 4), ("negrefcocog", 4)]


def test_an_export_has_the_mix(workspace: Workspace) -> None:
    run_json(workspace, "--mix", "negrefcocog")
    assert negwb(workspace, "export", "--state", "open").exit_code == 0
    manifest = json.loads((workspace.exports / "set-001" / "manifest.json").read_text())
    assert manifest["counts"]["by_mix"] == {"negrefcocog": 4}


def test_a_dry_run_prints_the_prompts_and_sends_nothing(workspace: Workspace) -> None:
    done = negwb(workspace, "generate", "--dry-run", "--limit", 2)
    assert done.exception is None, done.stderr
    assert "a man riding a horse" in done.stdout
    assert "propose · llm" in done.stdout
    estimate = run_json(workspace, "--dry-run", "--limit", 2)
    assert estimate["items"] == 2
    assert estimate["engines"]["llm"]["requests"] == 4
    assert estimate["engines"]["vlm"]["prompt_tokens"] > 600 * 4  # two questions about each picture
    assert {request["stage"] for request in estimate["requests"]} == {"propose", "presence", "rewrite", "acceptable"}
    assert rows(workspace, "SELECT count(*) FROM generation_answer") == [(0,)]
    assert rows(workspace, "SELECT count(*) FROM candidate") == [(0,)]


def test_a_dry_run_skips_finished_items(workspace: Workspace) -> None:
    run_json(workspace)
    assert error(negwb(workspace, "generate", "--dry-run")).exit_code == ExitCode.NOTHING_TO_DO


def test_a_dry_run_counts_cached_answers_as_free(workspace: Workspace) -> None:
    run_json(workspace)
    with sqlite3.connect(workspace.database) as connection:
        connection.execute("DELETE FROM generation_item")
    connection.close()
    estimate = run_json(workspace, "--dry-run")
    assert estimate["items"] == 4
    assert estimate["engines"]["llm"]["remembered"] == 4  # what was proposed; the made-up answers lead elsewhere


def test_prices_give_an_estimate_of_the_cost(workspace: Workspace) -> None:
    workspace.settings.write_text(
        workspace.settings.read_text().replace("[engines.vlm]", "[engines.vlm]\nprice_in = 10.0\nprice_out = 30.0")
    )
    estimate = run_json(workspace, "--dry-run")
    vlm = estimate["engines"]["vlm"]
    paid = (vlm["prompt_tokens"] * 10 + vlm["completion_tokens"] * 30) / 1e6
    assert vlm["cost"] == pytest.approx(paid, rel=1e-3)
    assert estimate["engines"]["llm"]["cost"] is None


def test_edited_texts_are_judged_again(workspace: Workspace) -> None:
    run_json(workspace)
    with open_store(workspace.database) as store:
        ana = DecisionWriter(store, begin_session(store, "ana", version="test"))
        ana.edit(1, "a man riding a horse without a saddle")
    (child,) = rows(workspace, "SELECT max(id) FROM candidate")[0]
    assert rows(workspace, f"SELECT count(*) FROM verdict WHERE candidate_id = {child}") == [(0,)]
    assert run_json(workspace, "judge")["judged"] == 1
    judged = rows(workspace, f"SELECT judge, question FROM verdict WHERE candidate_id = {child} ORDER BY 1, 2")
    assert judged == [("annotations", "present"), ("vlm", "acceptable"), ("vlm", "present")]
    assert error(negwb(workspace, "generate", "judge")).exit_code == ExitCode.NOTHING_TO_DO


def test_runs_are_listed_newest_first(workspace: Workspace) -> None:
    run_json(workspace, "--limit", 1)
    run_json(workspace)
    listed = [json.loads(line) for line in negwb(workspace, "generate", "runs", "--json").stdout.splitlines()]
    assert [(run["run"], run["state"], run["items_done"]) for run in listed] == [(2, "done", 3), (1, "done", 1)]
    assert listed[0]["settings"]["simulated"] == ["llm", "vlm"]
    assert "done" in negwb(workspace, "generate", "runs").stdout


def test_dropped_items_are_listed_with_their_reason(workspace: Workspace) -> None:
    run_json(workspace, "--judge", "annotations", "--set", "unclear=drop", "--set", "attempts=1")
    lines = [json.loads(line) for line in negwb(workspace, "generate", "failures", "--json").stdout.splitlines()]
    assert lines
    assert {line["reason"] for line in lines} == {"unclear"}
    assert {line["text"] for line in lines} <= set(CAPTIONS)
    assert "unclear" in negwb(workspace, "generate", "failures").stdout


def test_prompts_are_listed_and_can_be_copied(workspace: Workspace, tmp_path: Path) -> None:
    listed = json.loads(negwb(workspace, "generate", "prompts", "--json").stdout)
    assert {each["name"] for each in listed} == {"negationclip-p1", "negwb-p1-1", "negwb-p2-1"}
    own = tmp_path / "mine.toml"
    own.write_text(negwb(workspace, "generate", "prompts", "negwb-p1-1").stdout.replace("negwb-p1-1", "mine"))
    run = run_json(workspace, "--prompts", own)
    assert run["settings"]["prompts"].startswith("mine@")
    (content,) = rows(workspace, "SELECT content FROM prompt_text")[0]
    assert 'name = "mine"' in content


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--pipeline", "P3"], "no pipeline 'P3'"),
        (["--proposer", "nobody"], "unknown engine 'nobody'"),
        (["--judge", "nobody"], "unknown engine 'nobody'"),
        (["--judge", "vlm", "--judge", "vlm:present"], "named twice"),
        (["--judge-rule", "most"], "rule = 'most'"),
        (["--prompts", "negwb-p2-1"], "for P2, not for P1"),
        (["--prompts", "nothing"], "unknown prompt set"),
        (["--set", "x=1"], "no setting 'x'"),
        (["--set", "attempts"], "NAME=VALUE"),
        (["--source", "voc"], "no source 'voc'"),
        (["--shard", "3"], "i/n"),
        (["--dry-run", "--emit-requests", "x.jsonl"], "exclude each other"),
        (["--ingest-responses", "nowhere.jsonl"], "cannot read"),
        (["probe", "vlm"], "not a server"),
        (["probe", "nowhere"], "neither a server address"),
        (["judge", "--judge", "annotations:acceptable"], "cannot answer"),
        (["failures", "--run", "9"], "no run 9"),
        (["--proposer", "openai:http://127.0.0.1:9/v1#m", "--max-cost", "1"], "no prices"),
    ],
)
def test_invalid_options_are_reported_in_one_line(workspace: Workspace, words: list[str], says: str) -> None:
    refused = error(negwb(workspace, "generate", *words))
    assert refused.exit_code == ExitCode.USAGE
    assert says in refused.message
    assert "\n" not in refused.message
    assert rows(workspace, "SELECT count(*) FROM generation_run") == [(0,)]


def test_without_an_engine_the_hint_names_the_settings(tmp_path: Path) -> None:
    bare = create_workspace(tmp_path / "bare")
    refused = error(negwb(bare, "generate"))
    assert refused.message == "no proposer is set"
    assert "[engines.NAME]" in refused.hint


def test_an_empty_record_is_not_reported_as_finished(workspace: Workspace, tmp_path: Path) -> None:
    assert error(negwb(workspace, "generate", "--pipeline", "P2")).message.startswith("the record has no questions")
    bare = create_workspace(tmp_path / "bare")
    with bare.settings.open("a") as file:
        file.write(ENGINES)
    for words in ([], ["--dry-run"]):
        nothing = error(negwb(bare, "generate", *words))
        assert nothing.exit_code == ExitCode.NOTHING_TO_DO
        assert (nothing.message, nothing.hint) == (
            "the record has no captions",
            "import some first: negwb import FILE",
        )


def test_a_run_sends_heartbeats_without_a_listener(workspace: Workspace) -> None:
    def gone(value: object) -> None:
        raise BrokenPipeError

    settings = read_settings(workspace.settings)
    plan, folders = make_plan(settings.generate), PictureFolders(workspace.root, {})
    with open_store(workspace.database) as store:
        ended = generate(workspace, store, plan, GenerationOptions(), folders, on_progress=gone, notify=gone)
    assert (ended.error, ended.progress.items_done) == (None, 4)
    assert rows(workspace, "SELECT state FROM generation_run") == [("done",)]


def test_a_run_stopped_by_a_budget_has_its_own_exit_code(workspace: Workspace) -> None:
    settings = read_settings(workspace.settings)
    plan, folders = make_plan(settings.generate), PictureFolders(workspace.root, {})
    with open_store(workspace.database) as store:
        ended = generate(workspace, store, plan, GenerationOptions(budget=Budget(max_requests=2)), folders)
        with store.read() as connection:
            run = get_run(connection, ended.run_id)
    assert run is not None
    assert (run.state, run.stop_reason) == (GenerationState.STOPPED, StopReason.BUDGET)
    with pytest.raises(NegwbError, match="has spent its budget"):
        resume_arguments(run, settings.generate)


def test_two_judges_with_the_same_name_in_the_record_are_refused(workspace: Workspace) -> None:
    with model_server() as one, model_server() as other:
        with workspace.settings.open("a") as file:
            for name, server in (("one", one), ("other", other)):
                file.write(f'[engines.{name}]\nkind = "openai"\nurl = "{server.url}"\nmodel = "default"\n')
        refused = error(negwb(workspace, "generate", "--judge", "one", "--judge", "other"))
    assert refused.exit_code == ExitCode.USAGE
    assert "one and other both run a model called default" in refused.message
    assert rows(workspace, "SELECT count(*) FROM generation_answer") == [(0,)]


def test_no_request_is_sent_for_a_missing_image(workspace: Workspace) -> None:
    with model_server() as server:
        output = f"openai:{server.url}"
        done = negwb(workspace, "generate", "--json", "--proposer", output, "--judge", output)
        assert error(done).exit_code == ExitCode.NETWORK
        assert "no item went through: 4 items failed: picture-missing" in error(done).message
        run = json.loads(done.stdout)
        assert (run["failed"], run["requests"], run["reasons"]) == (4, 0, {"failed:picture-missing": 4})
        assert isinstance(done.exception, NothingWentThrough)
        scripted = run_json(workspace, "--proposer", output)
        assert scripted["requests"] > 0  # a script does not look


def test_annotations_alone_can_judge(workspace: Workspace) -> None:
    run_json(workspace)
    with sqlite3.connect(workspace.database) as connection:
        connection.execute("DELETE FROM verdict")
    connection.close()
    assert run_json(workspace, "judge", "--judge", "annotations")["judged"] == 4


def test_a_candidate_that_cannot_be_judged_is_listed_with_its_text(workspace: Workspace) -> None:
    run_json(workspace)
    with model_server(faults={"400": 1.0}) as server:
        negwb(workspace, "generate", "judge", "--judge", f"openai:{server.url}")
    lines = [json.loads(line) for line in negwb(workspace, "generate", "failures", "--json").stdout.splitlines()]
    texts = {text for (text,) in rows(workspace, "SELECT text FROM candidate")}
    assert {line["text"] for line in lines} == texts
    assert {line["reason"] for line in lines} <= {"failed:refused", "failed:picture-missing"}


def test_questions_answered_with_no_become_candidates(workspace: Workspace) -> None:
    with sqlite3.connect(workspace.database) as connection:
        connection.execute(
            """INSERT INTO visual_question(source_id, key, image_id, text, answer)
               VALUES (1, '70', 1, 'Is the man wearing a hat?', 'no'), (1, '71', 2, 'Is the dog asleep?', 'no')"""
        )
    connection.close()
    run = run_json(workspace, "--pipeline", "P2")
    assert (run["items_done"], run["kept"]) == (2, 2)
    events = rows(workspace, "SELECT pipeline, json_extract(extra, '$.question') FROM candidate ORDER BY id")
    assert events == [("P2", "Is the man wearing a hat?"), ("P2", "Is the dog asleep?")]


def test_probe_results_are_stored_and_listed(workspace: Workspace) -> None:
    assert error(negwb(workspace, "generate", "probe")).exit_code == ExitCode.NOTHING_TO_DO
    with model_server(logprobs=False, decisions="assets") as server:
        proved = run_json(workspace, "probe", server.url)
    assert proved["features"]["logprobs"]["seen"] == "no"
    assert proved["features"]["decision_picture"]["seen"] == "yes"
    assert proved["method"] == "decision"
    (known,) = [json.loads(line) for line in negwb(workspace, "generate", "probe", "--json").stdout.splitlines()]
    assert (known["url"], known["model"]) == (server.url, "stub")
    assert "decision" in negwb(workspace, "generate", "probe").stdout


def test_an_unprobed_judge_is_reported_and_a_probe_gives_probabilities(workspace: Workspace, tmp_path: Path) -> None:
    for number in range(1, 5):
        Image.new("RGB", (16, 16), (60 * number, 0, 0)).save(tmp_path / f"{number}.jpg")
    add_picture_folder(workspace.settings, "coco", str(tmp_path))
    with model_server(present=0.0) as server:
        judge = f"openai:{server.url}"
        before = negwb(workspace, "generate", "--judge", judge, "--limit", 1, "--quiet")
        assert f"yes/no text without probabilities; run: negwb generate probe {server.url}" in before.stderr
        run_json(workspace, "probe", server.url)
        after = negwb(workspace, "generate", "--judge", judge, "--quiet")
        assert "has not been probed" not in after.stderr
    methods = rows(workspace, "SELECT method, count(*) FROM verdict WHERE question = 'present' GROUP BY 1 ORDER BY 1")
    assert methods == [("bare", 1), ("logprobs", 4)]  # the first item again, since the method has changed


def test_the_official_rule_uses_text_answers_whatever_the_server_supports(workspace: Workspace, tmp_path: Path) -> None:
    for number in range(1, 5):
        Image.new("RGB", (16, 16), (60 * number, 0, 0)).save(tmp_path / f"{number}.jpg")
    add_picture_folder(workspace.settings, "coco", str(tmp_path))
    published = ("--prompts", "negationclip-p1", "--judge-rule", "official")
    with model_server(present=1.0, decisions="assets") as server:
        run_json(workspace, "probe", server.url)
        run = run_json(workspace, *published, "--judge", f"openai:{server.url}")
    assert run["reasons"] == {"present": 4}
    events = rows(workspace, "SELECT DISTINCT text, method FROM generation_answer WHERE stage = 'presence'")
    assert events == [("Yes", "bare")]


@pytest.mark.parametrize(
    ("fault", "reasons"),
    [
        ("length", {"present": 4}),  # the cut answers contain "yes"
        ("empty", {"lint:empty": 4}),  # an empty verdict is "absent", an empty rewrite is no candidate
    ],
)
def test_the_official_rule_takes_a_cut_and_an_empty_answer_as_they_are(
    workspace: Workspace, tmp_path: Path, fault: str, reasons: dict[str, int]
) -> None:
    for number in range(1, 5):
        Image.new("RGB", (16, 16), (60 * number, 0, 0)).save(tmp_path / f"{number}.jpg")
    add_picture_folder(workspace.settings, "coco", str(tmp_path))
    published = ("--prompts", "negationclip-p1", "--judge-rule", "official")
    with model_server(present=1.0, faults={fault: 1.0}, faulty_tries=0) as server:
        engine = f"openai:{server.url}"
        run = run_json(workspace, *published, "--judge", engine, "--proposer", engine)
    assert run["reasons"] == reasons


def test_scripted_engines_are_reported_as_simulated(workspace: Workspace) -> None:
    assert run_json(workspace, "--limit", 1)["simulated"] == ["llm", "vlm"]
    assert "simulated: llm, vlm (scripts, not models)" in negwb(workspace, "generate", "--quiet").stderr


@pytest.mark.parametrize("command", [[], ["probe"], ["judge"]])
def test_the_help_has_an_example(command: list[str]) -> None:
    shown = CliRunner().invoke(app, ["generate", *command, "--help"]).stdout
    assert "Examples:" in shown
    assert "negwb generate" in shown
