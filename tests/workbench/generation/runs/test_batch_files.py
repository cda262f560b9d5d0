"""Batch files: requests are written, a batch server without the record answers them, responses are stored."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.batch_workspace import KEY_VARIABLE, build_workspace, engines_toml
from support.commands import negwb
from support.model_server import Served, model_server
from typer.testing import Result

from curation_db.enums import Stage
from curation_db.generation.runs import start_run
from curation_db.storage.store import open_store
from workbench.errors import ExitCode, NegwbError
from workbench.generation.budget import Budget
from workbench.generation.engines.protocol import EngineContext
from workbench.generation.engines.requests import (
    AnswerFormat,
    ImagePayload,
    Message,
    ModelAnswer,
    ModelRequest,
    Sampling,
)
from workbench.generation.runs.batch_files import BatchRequestFiles
from workbench.generation.runs.runner import AnswerPending
from workbench.generation.runs.session import NothingWentThrough
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.engines import EngineSettings

ENGINES = engines_toml("http://10.255.255.1:9/v1")
"""Unreachable servers."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with three images, for copies; the fourth one is not there."""
    return build_workspace(tmp_path_factory.mktemp("batch_files"), ENGINES, images=3, missing=1).root


@pytest.fixture
def workspace(template: Path, tmp_path: Path) -> Workspace:
    return Workspace(shutil.copytree(template, tmp_path / "ws"))


def emit(workspace: Workspace, path: Path, *words: str) -> Result:
    return negwb(workspace, "generate", "--emit-requests", path, "--quiet", "--json", *words)


def rows(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(workspace.database)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def answered(requests: Path, responses: Path, server: Served) -> list[dict[str, Any]]:
    """What `vllm run-batch` does on its node: each request's body to the model, each answer into a line."""
    lines = [json.loads(line) for line in requests.read_text().splitlines()]
    with httpx.Client() as client, responses.open("w") as file:
        for line in reversed(lines):  # results come in any order
            reply = client.post(server.root + line["url"], json=line["body"])
            response = {"status_code": reply.status_code, "request_id": "r", "body": reply.json()}
            file.write(
                json.dumps({"id": "b", "custom_id": line["custom_id"], "response": response, "error": None}) + "\n"
            )
    return lines


def test_a_batch_server_completes_a_run(workspace: Workspace, tmp_path: Path) -> None:
    stages = []
    with model_server(present=0.0) as server:
        for turn in range(6):
            requests, responses = tmp_path / f"ask{turn}.jsonl", tmp_path / f"say{turn}.jsonl"
            done = emit(workspace, requests)
            if done.exception is not None:
                break
            result = json.loads(done.stdout)
            lines = answered(requests, responses, server)
            assert result["written"] == len(lines) == len({line["custom_id"] for line in lines})
            assert {line["method"] for line in lines} == {"POST"}
            stages.append(rows(workspace, "SELECT DISTINCT stage FROM generation_answer WHERE status = 'pending'"))
            back = negwb(workspace, "generate", "--ingest-responses", responses, "--json")
            assert back.exception is None, back.exception
            assert json.loads(back.stdout)["stored"] == len(lines)
    assert [set(stage) for stage in stages] == [{("propose",)}, {("presence",)}, {("rewrite",)}, {("acceptable",)}]
    assert isinstance(done.exception, NegwbError)
    assert done.exception.exit_code == ExitCode.NOTHING_TO_DO
    candidates = rows(workspace, "SELECT text FROM candidate ORDER BY id")
    assert len(candidates) == 3
    assert all(f"a man number {n} on a beach" in text for n, (text,) in enumerate(candidates, 1))
    verdicts = rows(workspace, "SELECT judge, method, count(*) FROM verdict WHERE judge = 'llava' GROUP BY 1, 2")
    assert verdicts == [("llava", "logprobs", 6)]
    lost = rows(workspace, "SELECT status, reason FROM generation_item WHERE status <> 'kept'")
    assert lost == [("failed", "failed:picture-missing")]
    assert rows(workspace, "SELECT sum(cost) FROM generation_answer WHERE engine = 'llama'")[0][0] > 0


def test_pending_requests_are_not_written_twice(workspace: Workspace, tmp_path: Path) -> None:
    assert emit(workspace, tmp_path / "first.jsonl").exception is None
    again = emit(workspace, tmp_path / "second.jsonl")
    assert isinstance(again.exception, NegwbError)
    assert "in an earlier file" in again.stderr
    assert not (tmp_path / "second.jsonl").exists()
    same = emit(workspace, tmp_path / "first.jsonl")
    assert isinstance(same.exception, NegwbError)
    assert "exists" in same.exception.message
    assert not list(tmp_path.glob(".*.half"))


def test_requests_of_a_lost_file_are_written_again_with_retry(workspace: Workspace, tmp_path: Path) -> None:
    emit(workspace, tmp_path / "lost.jsonl")
    assert emit(workspace, tmp_path / "new.jsonl", "--retry").exception is None
    assert (tmp_path / "new.jsonl").read_bytes() == (tmp_path / "lost.jsonl").read_bytes()


def written_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_file_has_one_model_and_at_most_max_lines(workspace: Workspace, tmp_path: Path) -> None:
    """The judge of two captions and the proposer of the third have requests at the same time."""
    workspace.settings.write_text(
        workspace.settings.read_text().replace('model = "stub"\nmethod', 'model = "vlm"\nmethod')
    )
    first, responses = tmp_path / "first.jsonl", tmp_path / "say.jsonl"
    assert emit(workspace, first).exception is None
    with model_server(present=0.0, models=["stub", "vlm"]) as server:
        answered(first, responses, server)
    lines = responses.read_text().splitlines()
    failed = {**json.loads(lines[0]), "response": {"status_code": 500, "body": {}}}
    responses.write_text("\n".join([json.dumps(failed), *lines[1:]]) + "\n")
    negwb(workspace, "generate", "--ingest-responses", responses)
    done = emit(workspace, tmp_path / "ask.jsonl", "--max-lines", "1")
    assert done.exception is None, done.exception
    names = ["ask-llama-001.jsonl", "ask-llava-001.jsonl", "ask-llava-002.jsonl"]
    assert sorted(path.name for path in tmp_path.glob("*ask*")) == names
    assert [Path(file["file"]).name for file in json.loads(done.stdout)["files"]] == names
    assert [[line["body"]["model"] for line in written_lines(tmp_path / name)] for name in names] == [
        ["stub"],
        ["vlm"],
        ["vlm"],
    ]
    again = emit(workspace, tmp_path / "ask.jsonl", "--retry")
    assert isinstance(again.exception, NegwbError)
    assert "ask-llama-001.jsonl exists" in again.exception.message


def test_a_file_is_no_larger_than_max_bytes(workspace: Workspace, tmp_path: Path) -> None:
    emit(workspace, tmp_path / "whole.jsonl")
    sizes = [len(line) + 1 for line in (tmp_path / "whole.jsonl").read_bytes().splitlines()]
    done = emit(workspace, tmp_path / "ask.jsonl", "--retry", "--max-bytes", str(sizes[0] + sizes[1]))
    assert done.exception is None, done.exception
    files = json.loads(done.stdout)["files"]
    assert [(file["requests"], file["bytes"]) for file in files] == [(2, sizes[0] + sizes[1]), (1, sizes[2])]
    assert [os.stat(file["file"]).st_size for file in files] == [sizes[0] + sizes[1], sizes[2]]


def test_a_request_larger_than_max_bytes_is_reported_and_stays_open(workspace: Workspace, tmp_path: Path) -> None:
    done = emit(workspace, tmp_path / "ask.jsonl", "--max-bytes", "100")
    assert isinstance(done.exception, NegwbError)
    assert done.exception.exit_code == ExitCode.UNEXPECTED
    assert (json.loads(done.stdout)["written"], json.loads(done.stdout)["too_large"]) == (0, 3)
    assert done.stderr.count("more than --max-bytes") == 3
    assert list(tmp_path.glob("*ask*")) == []
    assert json.loads(emit(workspace, tmp_path / "ask.jsonl").stdout)["written"] == 3


def test_max_requests_caps_the_written_requests(workspace: Workspace, tmp_path: Path) -> None:
    done = emit(workspace, tmp_path / "ask.jsonl", "--max-requests", "2")
    assert isinstance(done.exception, NegwbError)
    assert done.exception.exit_code == ExitCode.FAILED
    assert len(written_lines(tmp_path / "ask.jsonl")) == 2
    assert json.loads(emit(workspace, tmp_path / "rest.jsonl").stdout)["written"] == 1
    costly = emit(workspace, tmp_path / "more.jsonl", "--max-cost", "2")
    assert isinstance(costly.exception, NegwbError)
    assert costly.exception.exit_code == ExitCode.USAGE


def test_drafts_of_a_killed_process_are_removed(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / ".ask-llava-007.jsonl.half").write_text("half")
    emit(workspace, tmp_path / "ask.jsonl")
    assert [path.name for path in tmp_path.glob("*ask*")] == ["ask.jsonl"]


def test_a_request_that_fails_in_each_of_its_tries_is_given_up(workspace: Workspace, tmp_path: Path) -> None:
    settings = workspace.settings.read_text().replace('key_env = "BATCH_KEY"', "tries = 2")
    workspace.settings.write_text(settings)
    for number in range(2):
        path = tmp_path / f"ask{number}.jsonl"
        assert json.loads(emit(workspace, path).stdout)["written"] == 3
        failures = [
            {"custom_id": line["custom_id"], "response": {"status_code": 500, "body": {}}}
            for line in written_lines(path)
        ]
        (tmp_path / "say.jsonl").write_text("".join(json.dumps(line) + "\n" for line in failures))
        negwb(workspace, "generate", "--ingest-responses", tmp_path / "say.jsonl")
    assert isinstance(emit(workspace, tmp_path / "ask2.jsonl").exception, NothingWentThrough)
    assert set(rows(workspace, "SELECT reason FROM generation_item")) == {
        ("failed:server",),
        ("failed:picture-missing",),
    }


async def test_the_shared_prior_of_several_images_is_written_once(workspace: Workspace, tmp_path: Path) -> None:
    async def stored(index: int, answer: ModelAnswer) -> None:
        raise AssertionError("nobody answers")

    settings = EngineSettings(name="vlm", kind="openai", url="http://10.255.255.1:9/v1", model="stub")
    blank = ImagePayload(key="blank", blank=True)
    request = ModelRequest(
        stage=Stage.PRIOR,
        answer_format=AnswerFormat.YES_NO,
        prompt="p@1",
        messages=(Message("user", "Is there a kite?"),),
        sampling=Sampling(),
        picture=blank,
        subject="kite",
    )
    with open_store(workspace.database) as store, BatchRequestFiles(tmp_path / "ask.jsonl", store) as emission:
        with store.write() as connection:
            run = start_run(connection, recipe="r", settings={})
        engine = await emission.open(settings, EngineContext(budget=Budget()))
        for _ in range(2):
            with pytest.raises(AnswerPending):
                await engine.answer([request], stored)
        await engine.close()
        assert [file.requests for file in emission.finish(run)] == [1]
    assert len((tmp_path / "ask.jsonl").read_text().splitlines()) == 1


def test_bad_lines_are_reported_and_the_others_stored(workspace: Workspace, tmp_path: Path) -> None:
    requests, responses = tmp_path / "ask.jsonl", tmp_path / "say.jsonl"
    emit(workspace, requests)
    with model_server() as server:
        answered(requests, responses, server)
    good = responses.read_text().splitlines()
    failed = json.loads(good[0])
    failed["response"] = {"status_code": 400, "body": {"error": {"message": "too \u001b[31mlong"}}}
    strange = json.dumps({"custom_id": "ab" * 32, "response": {"status_code": 200, "body": {}}})
    responses.write_text("\n".join([json.dumps(failed), "{half", strange, *good[1:], good[1]]) + "\n")
    done = negwb(workspace, "generate", "--ingest-responses", responses, "--json")
    assert isinstance(done.exception, NegwbError)
    assert done.exception.exit_code == ExitCode.UNEXPECTED
    assert json.loads(done.stdout) == {
        "lines": 6,
        "stored": 3,
        "failed": 1,
        "known": 1,
        "refused": 2,
        "other_model": 0,
        "cost": 2.0,
    }
    assert "say.jsonl, line 2" in done.stderr
    assert "say.jsonl, line 3" in done.stderr
    assert rows(workspace, "SELECT error FROM generation_answer WHERE status = 'failed'") == [("refused",)]
    assert "\x1b" not in rows(workspace, "SELECT detail FROM generation_answer WHERE status = 'failed'")[0][0]


def test_an_endless_line_counts_as_one(workspace: Workspace, tmp_path: Path) -> None:
    with (tmp_path / "say.jsonl").open("wb") as file:
        file.write(b"\n" + b"x" * (17 << 20) + b"\n{half\n")
    done = negwb(workspace, "generate", "--ingest-responses", tmp_path / "say.jsonl", "--json")
    assert json.loads(done.stdout)["lines"] == 2
    assert "say.jsonl, line 2:" in done.stderr
    assert "say.jsonl, line 3:" in done.stderr


def test_a_good_answer_replaces_a_failure_before_it(workspace: Workspace, tmp_path: Path) -> None:
    requests, responses = tmp_path / "ask.jsonl", tmp_path / "say.jsonl"
    emit(workspace, requests)
    with model_server() as server:
        answered(requests, responses, server)
    good = responses.read_text().splitlines()
    failed = {**json.loads(good[0]), "response": None, "error": {"code": "server_error"}}
    responses.write_text("\n".join([json.dumps(failed), *good, json.dumps(failed)]) + "\n")
    result = json.loads(negwb(workspace, "generate", "--ingest-responses", responses, "--json").stdout)
    assert (result["stored"], result["failed"], result["known"]) == (3, 0, 2)
    assert rows(workspace, "SELECT DISTINCT status FROM generation_answer") == [("ok",)]


def test_batch_files_contain_no_api_key(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_KEY", "sk-very-secret")
    emit(workspace, tmp_path / "ask.jsonl")
    assert "sk-very-secret" not in (tmp_path / "ask.jsonl").read_text()
    assert os.environ["BATCH_KEY"] == "sk-very-secret"


def test_a_batch_file_needs_a_model_name(workspace: Workspace, tmp_path: Path) -> None:
    workspace.settings.write_text(workspace.settings.read_text().replace('model = "stub"\n', ""))
    done = emit(workspace, tmp_path / "ask.jsonl")
    assert isinstance(done.exception, NegwbError)
    assert "names no model" in done.exception.message


def test_a_key_in_two_parts_of_an_answer_is_not_stored(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-a-key-of-two-parts"
    monkeypatch.setenv(KEY_VARIABLE, key)
    emit(workspace, tmp_path / "ask.jsonl")
    content = [{"type": "text", "text": f"hat {key[:9]}"}, {"type": "text", "text": key[9:]}]
    with (tmp_path / "answers.jsonl").open("w") as file:
        for line in (tmp_path / "ask.jsonl").read_text().splitlines():
            body = {"choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]}
            response = {"status_code": 200, "body": body}
            file.write(json.dumps({"custom_id": json.loads(line)["custom_id"], "response": response}) + "\n")
    negwb(workspace, "generate", "--ingest-responses", tmp_path / "answers.jsonl", "--quiet", "--json")
    stored = [text for (text,) in rows(workspace, "SELECT text FROM generation_answer WHERE text <> ''")]
    assert stored
    assert not [text for text in stored if key in text or "[key]" not in text]
